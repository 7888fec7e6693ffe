package alerting_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// parts are segments of a window, in each of which the feature `age` has an effect and a q-value.
func parts(whole *result.Summary, q float64, effects map[string]float64, names ...string) []alerting.Part {
	var out []alerting.Part
	for _, name := range names {
		sum := *whole
		sum.Key.Segment = name
		effect := effects[name]
		out = append(out, alerting.Part{Sum: &sum, Features: []result.Feature{{ //nolint:exhaustruct // what rules read
			Feature: "age", Role: result.RoleFeature, QValue: &q, Statistics: map[string]result.Stat{"psi_debiased": {Value: &effect}}, NMin: 100,
			Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25, Q: 0.01}, Reasons: []string{"moved"}, //nolint:exhaustruct // as above
		}}})
	}
	return out
}

// Fifty segments that drift are one incident, the one that moved furthest first; nothing is said of all events.
func TestSegmentsAreOneIncident(t *testing.T) {
	book, rules := &alerting.Book{}, alerting.Defaults()
	var names []string
	effects := map[string]float64{}
	for i := range 50 {
		name := fmt.Sprintf("region=r%02d", i)
		names, effects[name] = append(names, name), 0.3+float64(i%7)/100
	}
	effects["region=r33"] = 2
	var fired []result.Transition
	for n := range 4 {
		whole := service(n, 3_600_000, 1000, 0)
		got := book.Step(whole, nil, rules)
		got = append(got, book.StepParts(whole, parts(whole, 1e-9, effects, names...), rules)...)
		for _, tr := range got {
			if tr.To == result.Firing {
				fired = append(fired, tr)
			}
		}
		book = restart(t, book)
	}
	if len(fired) != 1 {
		t.Fatalf("%d transitions to firing, want one: %+v", len(fired), fired)
	}
	tr := fired[0]
	if tr.Rule != "segment-drift" || tr.Segment != "region=r33" || tr.Feature != "age" || tr.Key.Segment != result.All || tr.FeaturesTotal != 50 {
		t.Errorf("fired %+v, want region=r33 first of 50", tr)
	}
	if !strings.Contains(tr.Title, "50 places (age in region=r33, ") || !strings.HasPrefix(tr.Reasons[0], "region=r33: age: moved") {
		t.Errorf("title %q, reasons %q", tr.Title, tr.Reasons)
	}
	for i := range rules { // results of segments are no results of all events
		for _, p := range parts(service(9, 3_600_000, 1000, 0), 1e-9, effects, names[0]) {
			if got := (&alerting.Book{}).Step(p.Sum, p.Features, rules[i:i+1]); len(got) > 0 {
				t.Errorf("a segment alone moves %s: %+v", rules[i].Name, got)
			}
		}
	}
}

// What chance explains is shared among the segments: q of 0.001 is enough for one, and not for fifty.
func TestChanceIsSharedAmongSegments(t *testing.T) {
	r := rule(t, "segment-drift")
	r.Hits, r.Of = 1, 1
	for n, fires := range map[int]bool{1: true, 10: true, 11: false, 50: false} {
		whole := service(0, 3_600_000, 1000, 0)
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("region=r%02d", i)
		}
		got := (&alerting.Book{}).StepParts(whole, parts(whole, 0.001, map[string]float64{"region=r00": 1}, names...), []alerting.Rule{r})
		if (len(got) > 0) != fires {
			t.Errorf("%d segments: %d transitions, want some: %v", n, len(got), fires)
		}
	}
}

// A segment without events can neither confirm nor clear: after as many windows as the rule looks at it leaves the incident.
func TestSegmentThatIsGone(t *testing.T) {
	r := rule(t, "segment-drift")
	r.Hits, r.Of, r.Segments = 1, 2, []string{"region"}
	book := &alerting.Book{}
	step := func(n int, names ...string) []result.Transition {
		whole := service(n, 3_600_000, 1000, 0)
		return book.StepParts(whole, parts(whole, 1e-9, map[string]float64{"region=a": 1, "plan=x": 1}, names...), []alerting.Rule{r})
	}
	if got := step(0, "plan=x", "region=a"); len(got) != 1 || got[0].To != result.Firing || got[0].FeaturesTotal != 1 {
		t.Fatalf("fired %+v, want region=a alone: the rule does not look at plans", got)
	}
	if got := step(1, "plan=x"); len(got) != 0 {
		t.Errorf("one window without it: %+v", got)
	}
	got := step(2, "plan=x")
	if len(got) != 1 || got[0].To != result.Resolved || !strings.Contains(got[0].Reasons[0], "region=a has had no events in 2 windows") {
		t.Errorf("two windows without it: %+v; want it resolved, and why", got)
	}
}

// While all events drift their segments are not worth a message.
func TestDriftOfAllInhibitsSegments(t *testing.T) {
	rules := []alerting.Rule{rule(t, "feature-drift"), rule(t, "segment-drift")}
	for i := range rules {
		rules[i].Hits, rules[i].Of = 1, 1
	}
	whole := service(0, 3_600_000, 1000, 0)
	of := parts(whole, 1e-9, map[string]float64{"region=a": 1}, "region=a")
	book := &alerting.Book{}
	book.Step(whole, of[0].Features, rules)
	if got := book.StepParts(whole, of, rules); len(got) != 1 || got[0].InhibitedBy != "feature-drift" {
		t.Errorf("%+v; want it inhibited by feature-drift", got)
	}
}
