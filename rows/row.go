package rows

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/driftd/driftd/event"
)

// assign gives the value v of a flat row its place in e by role, an empty one being a feature.
func assign(e *event.Event, role string, name []byte, v event.Value) error {
	switch role {
	case "":
		e.Features = append(e.Features, event.Field{Name: name, Value: v})
	case "ts":
		if v.Kind == event.ValueNull {
			return nil
		}
		ms, err := instant(v)
		if err != nil {
			return err
		}
		e.Time, e.HasTime = ms, true
	case "id":
		e.ID = v.Str
	case "version":
		e.Version = v.Str
	case "model":
		e.Model = v.Str
	case "status":
		e.Status = v.Str
	case "label":
		e.Label = v
	case "latency_ms":
		e.Latency, e.HasLatency, e.LatencyInvalid = 0, false, false
		switch {
		case v.Kind == event.ValueNumber && v.Num >= 0 && !math.IsInf(v.Num, 0):
			e.Latency, e.HasLatency = v.Num+0, true // -0 + 0 is 0
		case v.Kind != event.ValueNull:
			e.LatencyInvalid = true
		}
	default:
		field := event.Field{Name: []byte(role), Value: v}
		if len(role) > len(segmentPrefix) && role[:len(segmentPrefix)] == segmentPrefix {
			field.Name = field.Name[len(segmentPrefix):]
			e.Segments = append(e.Segments, field)
			return nil
		}
		e.Prediction = append(e.Prediction, field)
	}
	return nil
}

// instant reads a time: a number of milliseconds since 1970, RFC 3339, or a date with or without a time of day. What has no
// zone is UTC: files, unlike live events, are mostly written so, and a span of days is what they are cut by.
func instant(v event.Value) (int64, error) {
	const fix = "write RFC 3339 (2026-11-22T10:00:00Z), a date, or milliseconds since 1970; or map another column to ts"
	switch v.Kind {
	case event.ValueNumber:
		if ms := math.Floor(v.Num); ms >= minMillis && ms <= maxMillis {
			return int64(ms), nil
		}
		return 0, fmt.Errorf("the time %s lies outside of the years 1 to 9999; %s", v.Str, fix)
	case event.ValueString:
		for _, layout := range []string{
			time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05", "2006-01-02T15:04",
			"2006-01-02 15:04", time.DateOnly,
		} {
			if t, err := time.Parse(layout, string(v.Str)); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
				return t.UnixMilli(), nil
			}
		}
	case event.ValueNull, event.ValueBool, event.ValueInvalid:
	}
	return 0, fmt.Errorf("the time %.60q cannot be read; %s", v.Str, fix)
}

const (
	minMillis = -62_135_596_800_000 // 0001-01-01T00:00:00Z
	maxMillis = 253_402_300_799_999 // 9999-12-31T23:59:59.999Z
)

// cell returns the value of a CSV cell: an empty one is null, the JSON syntax of a number is that number, all else is a
// string, also `NaN` and `Infinity`, which a numeric feature reads as these. A number with leading zeros is a string: it is a
// code. One beyond float64 is no value.
func cell(text []byte) event.Value {
	switch {
	case len(text) == 0:
		return event.Value{Kind: event.ValueNull, Num: 0, Str: nil}
	case isNumber(text):
		x, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return event.Value{Kind: event.ValueInvalid, Num: 0, Str: nil}
		}
		return event.Value{Kind: event.ValueNumber, Num: x, Str: text}
	}
	return event.Value{Kind: event.ValueString, Num: 0, Str: text}
}

// isNumber reports whether b is a number as RFC 8259 writes it.
func isNumber(b []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	zero := i < len(b) && b[i] == '0'
	from := i
	if !digits() || (zero && i-from > 1) {
		return false
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(b)
}
