package fold_test

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// flights are the domestic US flights of half a year, as events: the hour of departure, the distance and the delay are features, the
// origin is a segment field. They are those before start, and those from then until end.
func flights(tb testing.TB, start, end time.Time) (before, current [][]byte) {
	tb.Helper()
	f, err := os.Open(testenv.Shared(tb, "data/us-flights/flights.csv.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	rows, err := csv.NewReader(unpacked).ReadAll()
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range rows[1:] {
		at, err := time.Parse("2006-01-02T15:04:05", r[0])
		if err != nil {
			tb.Fatal(err)
		}
		delay := r[4]
		if delay == "" {
			delay = "null"
		}
		line := fmt.Appendf(nil, `{"model":"flights","ts":%d,"features":{"hour":%d,"distance":%s,"delay":%s},"segment":{"origin":%q}}`,
			at.UnixMilli(), at.Hour(), r[3], delay, r[1])
		switch {
		case at.Before(start):
			before = append(before, line)
		case at.Before(end):
			current = append(current, line)
		}
	}
	return before, current
}

// storedEvents makes stored messages of events, and a marker behind them.
func storedEvents(model string, lines [][]byte, at, end time.Time) []fold.Message {
	out := make([]fold.Message, 0, len(lines)+1)
	for i, line := range lines {
		out = append(out, fold.Message{Seq: uint64(i + 1), Subject: "ml.events." + model, Time: at.UnixMilli() + int64(i), Data: line})
	}
	c := event.Control{Kind: event.ControlMarker, Watermark: end.UnixMilli(), Source: model, End: true}
	return append(out, fold.Message{Seq: uint64(len(out) + 1), Subject: "driftd.control.0", Time: at.UnixMilli() + int64(len(out)), Data: c.Encode()})
}

// referenceOf builds a reference of events.
func referenceOf(tb testing.TB, o reference.Options, lines [][]byte) *reference.Reference {
	tb.Helper()
	b := reference.NewBuilder(o)
	d := event.NewDecoder(event.DefaultLimits())
	for _, line := range lines {
		d.Reset(line)
		for d.Next() {
			ev, rejected := d.Event()
			if rejected != nil {
				tb.Fatal(rejected)
			}
			if err := b.Add(ev); err != nil {
				tb.Fatal(err)
			}
		}
	}
	ref, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

// saidAll is the documents of a run by what they are about.
type saidAll struct {
	summaries   map[string]result.Summary            // by version and segment, of the last window
	features    map[string]map[string]result.Feature // and by name
	transitions []result.Transition
}

func saidOf(tb testing.TB, j *journal) saidAll {
	tb.Helper()
	out := saidAll{summaries: map[string]result.Summary{}, features: map[string]map[string]result.Feature{}, transitions: nil}
	read := func(data []byte, into any) {
		if err := json.Unmarshal(data, into); err != nil {
			tb.Fatal(err)
		}
	}
	for _, doc := range j.docs {
		var head struct{ Type string }
		read(doc.Data, &head)
		switch head.Type {
		case "summary":
			var s result.Summary
			read(doc.Data, &s)
			out.summaries[s.Key.Version+" "+s.Key.Segment] = s
		case "features":
			var f result.FeatureDoc
			read(doc.Data, &f)
			of := map[string]result.Feature{}
			for _, x := range f.Features {
				of[x.Feature] = x
			}
			out.features[f.Key.Version+" "+f.Key.Segment] = of
		case "transition":
			var t result.Transition
			read(doc.Data, &t)
			out.transitions = append(out.transitions, t)
		}
	}
	return out
}

// A part of the flights drifts and all of them together do not: in the two weeks from 26 April 2001 those from Atlanta were early as
// they never had been. Everything is real, nothing is injected. The two PSI are those of a plain implementation in Python: deciles
// x[k(n-1)//10] of the sorted reference, smoothed by half a count a bin, less (B-1)(1/n + 1/m).
func TestSegmentDriftThatTheWholeHides(t *testing.T) {
	start, end := time.Date(2001, 4, 26, 0, 0, 0, 0, time.UTC), time.Date(2001, 5, 10, 0, 0, 0, 0, time.UTC)
	before, current := flights(t, start, end)
	ref := referenceOf(t, reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "winter", Model: "flights", Segments: []reference.SegmentBy{{Name: "origin", Values: nil, Largest: 5}},
	}, before)
	counting := elec2Counting(ref.Fingerprint())
	m := counting.Models["elec2-up"]
	m.ReferenceName, m.Detectors = "winter", detectors.Default()
	m.Timing.Windows = []window.Spec{{Size: 14 * day, Every: 14 * day}}
	m.Segments = []fold.SegmentConfig{{Dimension: "origin", Values: nil, Largest: 5}}
	m.Rules = alerting.Defaults()
	for i := range m.Rules {
		m.Rules[i].Hits, m.Rules[i].Of = 1, 1
	}
	counting.Models = map[string]fold.ModelConfig{"flights": m}
	got := saidOf(t, run(t, counting, find(ref), storedEvents("flights", current, end, end), undisturbed()))

	for _, tt := range []struct {
		segment string
		events  uint64
		psi     float64
		verdict result.Verdict
	}{
		{"*", 7871, 0.11356439669237002, result.Warning},
		{"origin=ATL", 361, 0.4880524307344235, result.Drift},
	} {
		key := "* " + tt.segment
		f := got.features[key]["delay"]
		if n := got.summaries[key].Counts.Events; n != tt.events || f.Verdict != tt.verdict {
			t.Errorf("%s: %d events, delay is %s; want %d and %s", tt.segment, n, f.Verdict, tt.events, tt.verdict)
		}
		if v := f.Statistics["psi_debiased"].Value; v == nil || math.Abs(*v-tt.psi) > 1e-9 {
			t.Errorf("%s: psi_debiased of the delay is %v, want %v", tt.segment, v, tt.psi)
		}
	}
	fired := slices.DeleteFunc(got.transitions, func(t result.Transition) bool { return t.To != result.Firing })
	if len(fired) != 1 || fired[0].Rule != "segment-drift" || fired[0].Segment != "origin=ATL" || fired[0].Feature != "delay" || fired[0].Key.Segment != result.All {
		t.Errorf("fired: %+v; want the delay of origin=ATL alone, in one incident of the model", fired)
	}
}

// smallSegments counts events of one hour by the dimension r.
func smallSegments(tb testing.TB, s fold.SegmentConfig, by []reference.SegmentBy, lines [][]byte) saidAll {
	tb.Helper()
	var rows [][]byte
	for i := range 2000 {
		rows = append(rows, fmt.Appendf(nil, `{"features":{"x":%d},"segment":{"r":"r%d"}}`, i%97, i%4))
	}
	ref := referenceOf(tb, reference.Options{Name: "r", Segments: by}, rows) //nolint:exhaustruct // the defaults are meant
	counting := storedCounting(ref.Fingerprint())
	m := counting.Models["m"]
	m.Segments = []fold.SegmentConfig{s}
	counting.Models = map[string]fold.ModelConfig{"m": m}
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	j := run(tb, counting, find(ref), storedEvents("m", lines, at, at.Add(2*time.Hour)), undisturbed())
	return saidOf(tb, j)
}

// Ten thousand values are one segment, and none is lost; which values have one of their own is never decided by what arrives.
func TestTenThousandSegments(t *testing.T) {
	lines := [][]byte{[]byte(`{"features":{"x":1}}`), []byte(`{"features":{"x":1},"segment":{"r":null}}`), []byte(`{"features":{"x":1},"segment":{"r":"r1"}}`)}
	for i := range 10_000 {
		lines = append(lines, fmt.Appendf(nil, `{"features":{"x":%d},"segment":{"r":"v%d"}}`, i%97, i))
	}
	s := fold.SegmentConfig{Dimension: "r", Values: nil, Largest: 2}
	got := smallSegments(t, s, []reference.SegmentBy{{Name: "r", Values: nil, Largest: 3}}, lines)
	events := map[string]uint64{}
	for key, sum := range got.summaries {
		events[key] = sum.Counts.Events
	}
	want := map[string]uint64{}
	for segment, n := range map[string]uint64{"*": 10_003, "r=(missing)": 2, "r=r1": 1, "r=other": 10_000} {
		want["* "+segment], want["unknown "+segment] = n, n
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Errorf("events by version and segment (-want +got):\n%s", diff)
	}
	if f := got.features["* r=other"]["x"]; f.Reference.Count != 1000 {
		t.Errorf("r=other is compared with %d rows, want the 1,000 of the two values that the configuration leaves to it", f.Reference.Count)
	}
	if why := strings.Join(got.summaries["* r=(missing)"].Reasons, " "); !strings.Contains(why, "no rows counted as r=(missing)") {
		t.Errorf("a segment that the reference has not got says %q", why)
	}
}

// A value that the reference counted among others cannot be told from them there: neither it nor they are judged.
func TestSegmentThatTheReferenceHasNot(t *testing.T) {
	lines := [][]byte{[]byte(`{"features":{"x":1},"segment":{"r":"r3"}}`), []byte(`{"features":{"x":1},"segment":{"r":"r2"}}`)}
	s := fold.SegmentConfig{Dimension: "r", Values: []string{"r3"}, Largest: 0}
	got := smallSegments(t, s, []reference.SegmentBy{{Name: "r", Values: nil, Largest: 2}}, lines)
	for segment, want := range map[string]string{"r=r3": "no rows counted as r=r3", "r=other": "counts r=r3 together with others"} {
		if why := strings.Join(got.summaries["* "+segment].Reasons, " "); !strings.Contains(why, want) {
			t.Errorf("%s says %q, want %q", segment, why, want)
		}
	}
}

// Without values every event is in one segment, and the result says what to do.
func TestSegmentsWithoutValues(t *testing.T) {
	lines := [][]byte{[]byte(`{"features":{"x":1},"segment":{"r":"r1"}}`)}
	got := smallSegments(t, fold.SegmentConfig{Dimension: "r", Values: nil, Largest: 2}, nil, lines)
	if n := got.summaries["* r=other"].Counts.Events; n != 1 {
		t.Errorf("r=other has %d events, want 1", n)
	}
	if why := strings.Join(got.summaries["* *"].Reasons, " "); !strings.Contains(why, "--segment-by r") {
		t.Errorf("the result of all events says %q; want what to do about segments", why)
	}
	if s := got.summaries["* r=other"]; s.Verdict != result.Insufficient {
		t.Errorf("a segment that is compared with nothing is %s", s.Verdict)
	}
}
