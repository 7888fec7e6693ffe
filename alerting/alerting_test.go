package alerting_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

const hour = int64(3_600_000)

// window returns a result of the n-th hour with one feature's gate.
//
//go:fix inline
func window(n int, value float64, significant bool) (*result.Summary, []result.Feature) {
	sum := &result.Summary{ //nolint:exhaustruct // what rules read
		Complete: true, ResultID: fmt.Sprint("r", n), Key: result.Key{Model: "m", Version: result.All, Segment: result.All},
		Window: result.Window{Start: int64(n) * hour, End: int64(n+1) * hour, Size: hour},
	}
	f := result.Feature{ //nolint:exhaustruct // what rules read
		Feature: "age", Role: result.RoleFeature, Verdict: result.Stable,
		Statistics: map[string]result.Stat{"psi_debiased": {Value: new(value)}}, //nolint:exhaustruct // what rules read
		Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25, Q: 0.01, RateWarning: 0.02, RateDrift: 0.1},
		QValue:     new(1e-9),
	}
	if !significant {
		f.QValue = new(0.5)
	}
	return sum, []result.Feature{f}
}

// The expected transitions follow by hand from "2 of the last 3 windows; resolved after 2 windows below 0.8 × 0.25 = 0.2".
func TestFeatureDrift(t *testing.T) {
	rules := alerting.Defaults()[:1]
	for _, test := range []struct {
		name   string
		values []float64 // -1: the window could not be judged
		want   []string
	}{
		{"a single window is pending and forgotten", []float64{0.3, 0.1, 0.1, 0.1}, []string{"0 inactive→pending", "3 pending→inactive"}},
		{"two in a row fire", []float64{0.1, 0.3, 0.4}, []string{"1 inactive→pending", "2 pending→firing"}},
		{"two of three fire", []float64{0.3, 0.1, 0.4}, []string{"0 inactive→pending", "2 pending→firing"}},
		{"two of four do not", []float64{0.3, 0.1, 0.1, 0.4}, []string{"0 inactive→pending", "3 pending→inactive"}[:1]},
		{"between clear and threshold it goes on", []float64{0.3, 0.3, 0.22, 0.21, 0.24}, []string{"0 inactive→pending", "1 pending→firing"}},
		{
			"two clear windows in a row resolve it",
			[]float64{0.3, 0.3, 0.1, 0.22, 0.1, 0.19},
			[]string{"0 inactive→pending", "1 pending→firing", "5 firing→resolved"},
		},
		{
			"a window that cannot judge changes nothing",
			[]float64{0.3, -1, -1, 0.3, 0.1, -1, 0.1},
			[]string{"0 inactive→pending", "3 pending→firing", "6 firing→resolved"},
		},
		{
			"after it is resolved it is a new incident",
			[]float64{0.3, 0.3, 0, 0, 0.3, 0.3},
			[]string{"0 inactive→pending", "1 pending→firing", "3 firing→resolved", "4 inactive→pending", "5 pending→firing"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			book := &alerting.Book{}
			var got []string
			incidents := map[string]bool{}
			for i, v := range test.values {
				sum, fs := window(i, v, true)
				if v < 0 {
					fs[0].Verdict, fs[0].QValue = result.Insufficient, nil
				}
				for _, tr := range book.Step(sum, fs, rules) {
					got = append(got, fmt.Sprintf("%d %s→%s", i, tr.From, tr.To))
					incidents[tr.Incident] = true
				}
				// A restart between any two windows changes nothing.
				data, err := json.Marshal(book.Incidents())
				if err != nil {
					t.Fatal(err)
				}
				var stored []alerting.Incident
				if err := json.Unmarshal(data, &stored); err != nil {
					t.Fatal(err)
				}
				book = alerting.Restore(stored)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("transitions (-want +got):\n%s", diff)
			}
			if test.name == "after it is resolved it is a new incident" && len(incidents) != 2 {
				t.Errorf("%d incident ids, want 2", len(incidents))
			}
		})
	}
}

func TestNotSignificantIsNoHit(t *testing.T) {
	sum, fs := window(0, 3, false)
	if got := (&alerting.Book{}).Step(sum, fs, alerting.Defaults()); len(got) != 0 {
		t.Errorf("an effect that chance explains moved an incident: %+v", got)
	}
}

// Windows that overlap are not independent: of windows of an hour every quarter only each fourth counts. Revisions never do.
func TestOnlySeparateFinalWindowsCount(t *testing.T) {
	rules := alerting.Defaults()
	sum, fs := window(0, 3, true)
	sum.Window.Start, sum.Window.End = sum.Window.Start+hour/4, sum.Window.End+hour/4
	if got := (&alerting.Book{}).Step(sum, fs, rules); len(got) != 0 {
		t.Errorf("an overlapping window moved an incident: %+v", got)
	}
	sum, fs = window(0, 3, true)
	sum.Revision = 1
	if got := (&alerting.Book{}).Step(sum, fs, rules); len(got) != 0 {
		t.Errorf("a revision moved an incident: %+v", got)
	}
}

func TestMissingAndLatency(t *testing.T) {
	sum, fs := window(0, 0, false)
	fs[0].Reference = result.Side{Count: 990, Missing: 10}                                                                       //nolint:exhaustruct // rows
	fs[0].Statistics = map[string]result.Stat{"missing_rate": {Value: new(0.06), PValue: new(1e-9)}}                             //nolint:exhaustruct // what the rule reads
	each := *sum                                                                                                                 // the same window of one version
	each.Key.Version = "v2"                                                                                                      //
	each.Latency.Quantiles = map[string]*float64{"0.95": new(float64(30))}                                                       //
	each.Latency.Reference = map[string]*float64{"0.95": new(float64(10))}                                                       //
	each.Latency.Ratio = map[string]result.Stat{"0.95": {Value: new(float64(3)), Lower: new(2.5), Upper: new(3.5), PValue: nil}} //nolint:exhaustruct // no reason
	book := &alerting.Book{}
	got := book.Step(sum, fs, alerting.Defaults())
	got = append(got, book.Step(&each, fs, alerting.Defaults())...)
	if len(got) != 2 || got[0].Rule != "missing-values" || got[1].Rule != "latency-p95" || got[1].Key.Version != "v2" {
		t.Fatalf("transitions: %+v", got)
	}
	if want := "age is missing in 6.0 % of the events, in the reference in 1.0 %"; got[0].Reasons[0] != want {
		t.Errorf("reason %q, want %q", got[0].Reasons[0], want)
	}
	if want := "m v2: latency p95 pending"; got[1].Title != want {
		t.Errorf("title %q, want %q", got[1].Title, want)
	}
}

func TestRuleValidate(t *testing.T) {
	for _, r := range alerting.Defaults() {
		if err := r.Validate(); err != nil {
			t.Errorf("default rule: %v", err)
		}
	}
	for name, change := range map[string]func(*alerting.Rule){
		"name": func(r *alerting.Rule) { r.Name = "" }, "kind": func(r *alerting.Rule) { r.Kind = "x" },
		"scope": func(r *alerting.Rule) { r.Scope = "" }, "hits": func(r *alerting.Rule) { r.Hits = 4 },
		"of": func(r *alerting.Rule) { r.Of = 1000 }, "quiet": func(r *alerting.Rule) { r.Quiet = 0 },
		"clear": func(r *alerting.Rule) { r.Clear = 1.5 }, "threshold": func(r *alerting.Rule) { r.Threshold = -1 },
		"ratio": func(r *alerting.Rule) { r.Kind, r.Threshold = alerting.KindLatency, 1 },
	} {
		r := alerting.Defaults()[0]
		change(&r)
		if r.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// An incident of a version that is gone ends after as many windows of the model as its rule remembers (3), and says why.
func TestVersionThatIsGone(t *testing.T) {
	book := &alerting.Book{}
	for i := range 2 {
		each, _ := window(i, 0, false)
		each.Key.Version = "v2"
		each.Latency.Quantiles = map[string]*float64{"0.95": new(float64(30))}
		each.Latency.Reference = map[string]*float64{"0.95": new(float64(10))}
		each.Latency.Ratio = map[string]result.Stat{"0.95": {Value: new(float64(3)), Lower: new(2.5), Upper: new(3.5)}} //nolint:exhaustruct // no reason
		book.Step(each, nil, alerting.Defaults())
	}
	for i, test := range []struct {
		events  uint64
		present []string
		ends    bool
	}{
		{100, []string{"v1"}, false}, {100, []string{"v1", "v2"}, false}, // there: not absent, whatever it says
		{100, []string{"v1"}, false}, {0, nil, false}, // a window without events says nothing
		{100, []string{"v1"}, false}, {100, []string{"v1"}, true},
	} {
		all, _ := window(2+i, 0, false)
		all.Counts.Events = test.events
		if slices.Contains(test.present, "v2") {
			each := *all
			each.Key.Version = "v2"
			each.Latency.Quantiles = map[string]*float64{"0.95": new(float64(12))}
			each.Latency.Reference = map[string]*float64{"0.95": new(float64(10))}
			each.Latency.Ratio = map[string]result.Stat{"0.95": {Value: new(1.24), Lower: new(1.1), Upper: new(1.4)}} //nolint:exhaustruct // no reason
			book.Step(&each, nil, alerting.Defaults())
		}
		got := book.Absent(all, test.present, alerting.Defaults())
		if (len(got) == 1) != test.ends {
			t.Fatalf("window %d: transitions %+v, want an end: %v", i, got, test.ends)
		}
		if test.ends && (got[0].To != result.Resolved || got[0].Key.Version != "v2" || len(got[0].Reasons) != 1) {
			t.Errorf("transition: %+v", got[0])
		}
	}
}
