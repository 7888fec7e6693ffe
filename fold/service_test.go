package fold_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

func nearly(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	switch {
	case got == nil:
		t.Errorf("%s does not exist, want %v", what, want)
	case math.Abs(*got-want) > 1e-12*max(1, math.Abs(want)):
		t.Errorf("%s is %.16g, want %.16g", what, *got, want)
	}
}

// Latencies of 1, 2 and 4 ms are in buckets of their own.
//
// The reference: ten minutes with 21 requests, 15 of 2 ms, 5 of 4 ms and one without a latency. The window: a minute with 8, of 1, 2, 4, 4, 4,
// 4, 4 ms and one without; two of them failed, and one of the reference's. By hand: of 7·20 pairs longer are 5·15 (4 > 2), of one bucket 15 (2 and 2) and 5·5 (4 and 4). Groups
// of 1, 16 and 10 values: Σ(t³-t) = 5070, σ² = 140/12·(27³-27-5070)/(27·26), z = (95-70-½)/σ. The intervals are Wilson's formula at z = 3.2905 in
// Python: of 2, of 1 of 8, and of 8 of 29, whose odds times ten minutes over one are the ratio of the rates. The change of the error rate is 2/8 - 1/21,
// with Newcombe's interval of these two by the same, and Fisher's p by counting tables.
func TestServiceByHand(t *testing.T) {
	const minute = int64(60_000)
	var requests []request
	for i := range int64(20) {
		requests = append(requests, request{monday + i*minute/2, []float64{2, 2, 2, 4}[i%4], ""})
	}
	requests = append(requests, request{monday + 10*minute - 1, -1, ""})
	requests[5].status = "503"
	status := map[int]string{2: "timeout", 3: "500"}
	for i, latency := range []float64{1, 2, 4, 4, 4, 4, 4, -1} {
		requests = append(requests, request{monday + 20*minute + int64(i), latency, status[i]})
	}
	sums, _ := backtest(t, requests, monday+10*minute, tumbling(minute, minute), alerting.Defaults())
	judged := 0
	for _, s := range sums {
		if s.Window.Start != monday+20*minute {
			continue
		}
		judged++
		l := &s.Latency
		nearly(t, "slower", l.Slower.Value, 95.0/140)
		nearly(t, "its lower bound", l.Slower.Lower, 75.0/140)
		nearly(t, "its upper bound", l.Slower.Upper, 115.0/140)
		nearly(t, "its baseline", l.Slower.Baseline, 0.5)
		nearly(t, "its p-value", l.Slower.PValue, 0.11558096405606658)
		nearly(t, "error rate", s.ErrorRate.Value, 0.25)
		nearly(t, "its lower end", s.ErrorRate.Lower, 0.035303537941766876)
		nearly(t, "its upper end", s.ErrorRate.Upper, 0.7522420235109508)
		nearly(t, "change of the error rate", s.ErrorChange.Value, 0.20238095238095238)
		nearly(t, "its lower end", s.ErrorChange.Lower, -0.20964369173311204)
		nearly(t, "its upper end", s.ErrorChange.Upper, 0.7065354918406692)
		nearly(t, "its baseline", s.ErrorChange.Baseline, 1.0/21)
		nearly(t, "its p-value", s.ErrorChange.PValue, 0.17624521072796934)
		nearly(t, "share of timeouts", s.StatusShare["timeout"].Value, 0.125)
		nearly(t, "its lower end", s.StatusShare["timeout"].Lower, 0.009888148110183636)
		nearly(t, "its upper end", s.StatusShare["timeout"].Upper, 0.6714301940688929)
		if len(s.StatusShare) != 3 || l.RelativeError != 0.01 || l.Min == nil || math.Abs(*l.Min-1) > 0.01 {
			t.Errorf("shares of %v, relative error %v, smallest %v", s.Status, l.RelativeError, l.Min)
		}
		if s.Key.Version != result.All {
			if s.ThroughputRatio.Value != nil || !strings.Contains(s.ThroughputRatio.Reason, "versions") {
				t.Errorf("a version has a throughput ratio to a reference of all: %+v", s.ThroughputRatio)
			}
			continue
		}
		nearly(t, "throughput ratio", s.ThroughputRatio.Value, 80.0/21)
		nearly(t, "its lower end", s.ThroughputRatio.Lower, 1.060990856891229)
		nearly(t, "its upper end", s.ThroughputRatio.Upper, 13.678224992297547)
	}
	if judged != 2 {
		t.Errorf("%d results of the window, want those of all versions and of one", judged)
	}
}

// A reference without latencies, and a window of labels alone, say what does not exist and why.
func TestServiceWithoutAnything(t *testing.T) {
	const minute = int64(60_000)
	requests := []request{{monday, -1, ""}, {monday + 2*minute, 3, ""}}
	sums, _ := backtest(t, requests, monday+minute, tumbling(minute, minute), alerting.Defaults())
	for _, s := range sums {
		if s.Latency.Slower.Value != nil || !strings.Contains(s.Latency.Slower.Reason, "reference") {
			t.Errorf("slower than a reference without latencies: %+v", s.Latency.Slower)
		}
	}
	counting := smallCounting()
	counting.UnknownModels = fold.UnknownAuto
	msgs := []fold.Message{
		{Seq: 1, Subject: "ml.events.m", Time: monday, Data: []byte(`{"ts":"2026-11-02T00:00:00Z","latency_ms":3}`)},
		{Seq: 2, Subject: "ml.labels.m", Time: monday + 5*hourMS, Data: []byte(`{"id":"a","ts":"2026-11-02T05:00:00Z","label":1}`)},
	}
	end := event.Control{Kind: event.ControlMarker, Watermark: monday + day} //nolint:exhaustruct // a marker
	msgs = append(msgs, fold.Message{Seq: 3, Subject: "driftd.control.0", Time: monday + day, Data: end.Encode()})
	sums, _ = documents(t, run(t, counting, none, msgs, undisturbed()))
	labelled := 0
	for _, s := range sums {
		if s.Counts.Labels == 0 || s.Counts.Events > 0 {
			continue
		}
		labelled++
		for what, got := range map[string]result.Stat{"error rate": s.ErrorRate, "throughput ratio": s.ThroughputRatio, "slower": s.Latency.Slower} {
			if got.Value != nil || got.Lower != nil || got.Reason == "" {
				t.Errorf("a window without events has the %s %+v", what, got)
			}
		}
		if s.Latency.Min != nil || len(s.StatusShare) != 0 {
			t.Errorf("a window without events has a latency, or statuses: %+v", s)
		}
	}
	if labelled == 0 {
		t.Error("no window has labels alone")
	}
}

// Against what came before: a stream of one event every six minutes has a ratio of 1 to any past of its own, also where the stretches of a season
// are apart (an hour of each day) and where those of windows longer than a day overlap.
func TestThroughputAgainstTheStream(t *testing.T) {
	rs := readings(1_680, monday, 360_000, rand.New(rand.NewPCG(5, 5))) // a week
	for name, c := range map[string]struct {
		rolling fold.Rolling
		size    int64
		version string
	}{
		"span":            {fold.Rolling{Previous: 6 * hourMS}, hourMS, result.All},
		"hours":           {fold.Rolling{Previous: 3 * day, Same: fold.SameHour}, hourMS, result.All},
		"long windows":    {fold.Rolling{Previous: 3 * day, Same: fold.SameHour}, 2 * day, result.All},
		"against version": {fold.Rolling{Version: "v0"}, 6 * hourMS, "v0"},
	} {
		t.Run(name, func(t *testing.T) {
			counting := rollingCounting(c.rolling)
			counting.Defaults.Timing.Windows = []window.Spec{{Size: c.size, Every: c.size}}
			compared := 0
			sums, _ := documents(t, run(t, counting, none, storedReadings(rs), undisturbed()))
			for _, s := range sums {
				if s.Key.Version != c.version || s.Window.End > rs[len(rs)-1].at || s.ThroughputRatio.Value == nil {
					continue
				}
				compared++
				nearly(t, "throughput ratio", s.ThroughputRatio.Value, 1)
				if !(*s.ThroughputRatio.Lower < 1 && *s.ThroughputRatio.Upper > 1) {
					t.Errorf("its interval is %v to %v", *s.ThroughputRatio.Lower, *s.ThroughputRatio.Upper)
				}
			}
			if compared == 0 {
				t.Error("no window was compared")
			}
		})
	}
}

// A segment is compared with its own rows, in the time in which there were any: two events a minute in the EU and one in the US, on two days
// with a day without any between them, then an hour at twice that rate in the EU. The US stays at 1, the EU is at 2, all at 5/3.
func TestThroughputOfSegments(t *testing.T) {
	const minute = int64(60_000)
	line := func(at int64, region string) []byte {
		return fmt.Appendf(nil, `{"model":"m","ts":%d,"segment":{"region":%q},"prediction":1}`, at, region)
	}
	var before, now [][]byte
	for _, start := range []int64{monday, monday + 2*day} {
		for at := start; at < start+day; at += minute {
			before = append(before, line(at, "eu"), line(at+1, "us"), line(at+2, "eu"))
		}
	}
	later := monday + 10*day
	for at := later; at < later+hourMS; at += minute {
		now = append(now, line(at, "eu"), line(at+1, "us"), line(at+2, "eu"), line(at+3, "eu"), line(at+4, "eu"))
	}
	ref := referenceOf(t, reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "before", Model: "m", Pane: window.PaneUnit, Segments: []reference.SegmentBy{{Name: "region", Values: nil, Largest: 2}},
	}, before)
	counting := elec2Counting(ref.Fingerprint())
	m := counting.Defaults
	m.ReferenceName, m.Timing = "before", tumbling(hourMS, hourMS)
	m.Timing.Pane = window.PaneUnit
	m.Segments = []fold.SegmentConfig{{Dimension: "region", Values: nil, Largest: 2}}
	counting.Defaults, counting.Models = m, map[string]fold.ModelConfig{"m": m}
	sums, _ := documents(t, run(t, counting, find(ref), storedEvents("m", now, time.UnixMilli(later), time.UnixMilli(later+day)), undisturbed()))
	want := map[string]float64{result.All: 5.0 / 3, result.SegmentKey("region", "eu"): 2, result.SegmentKey("region", "us"): 1}
	for _, s := range sums {
		if s.Key.Version == result.All && s.Counts.Events > 0 {
			nearly(t, "throughput ratio of "+s.Key.Segment, s.ThroughputRatio.Value, want[s.Key.Segment])
			delete(want, s.Key.Segment)
		}
	}
	if len(want) > 0 {
		t.Errorf("no result of %v", want)
	}
}
