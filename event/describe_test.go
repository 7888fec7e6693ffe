package event_test

import (
	"fmt"
	"math"
	"strconv"

	"github.com/driftd/driftd/event"
)

// described is an event in words: what the oracle and the decoder are compared by.
type described struct {
	isLabel                        bool
	model, version, id, status     string
	time, predictionTime           string
	latency, label                 string
	prediction, features, segments []string
	duplicates, unknown, wrongType int
}

func (e described) String() string {
	return fmt.Sprintf("label=%t model=%q version=%q id=%q status=%q time=%s predictionTime=%s latency=%s value=%s "+
		"prediction=%s features=%s segments=%s duplicates=%d unknown=%d wrongType=%d",
		e.isLabel, e.model, e.version, e.id, e.status, e.time, e.predictionTime, e.latency, e.label,
		e.prediction, e.features, e.segments, e.duplicates, e.unknown, e.wrongType)
}

// describe writes a decoded event as the oracle does.
func describe(ev *event.Event) string {
	e := described{
		isLabel: ev.IsLabel, model: string(ev.Model), version: string(ev.Version), id: string(ev.ID), status: string(ev.Status),
		time: "none", predictionTime: "none", duplicates: ev.DuplicateKeys, unknown: ev.UnknownKeys, wrongType: ev.WrongType,
		prediction: describeFields(ev.Prediction), features: describeFields(ev.Features), segments: describeFields(ev.Segments),
	}
	if ev.HasTime {
		e.time = strconv.FormatInt(ev.Time, 10)
	}
	if ev.HasPredTime {
		e.predictionTime = strconv.FormatInt(ev.PredictionTime, 10)
	}
	switch {
	case ev.LatencyInvalid:
		e.latency = "invalid"
	case ev.HasLatency:
		e.latency = fmt.Sprint(ev.Latency)
	}
	if ev.Label.Kind != 0 {
		e.label = describeValue(ev.Label)
	}
	return e.String()
}

func describeFields(fields []event.Field) (out []string) {
	for _, f := range fields {
		out = append(out, fmt.Sprintf("%q=%s", f.Name, describeValue(f.Value)))
	}
	return out
}

func describeValue(v event.Value) string {
	switch v.Kind {
	case event.ValueNull:
		return "null"
	case event.ValueString:
		return fmt.Sprintf("string %q", v.Str)
	case event.ValueBool:
		return fmt.Sprintf("bool %s", v.Str)
	case event.ValueNumber:
		return fmt.Sprintf("number %s %x", v.Str, math.Float64bits(v.Num))
	case event.ValueInvalid:
	}
	return "invalid" // ValueInvalid, and nothing else
}

// decodeAll returns one line for each record of message: the reason of its refusal, or describe's.
func decodeAll(d *event.Decoder, message []byte) (out []string) {
	for d.Reset(message); d.Next(); {
		if ev, err := d.Event(); err != nil {
			out = append(out, err.Reason.String())
		} else {
			out = append(out, describe(ev))
		}
	}
	return out
}
