package alerting_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// rule returns a default rule.
func rule(tb testing.TB, name string) alerting.Rule {
	tb.Helper()
	all := alerting.Defaults()
	i := slices.IndexFunc(all, func(r alerting.Rule) bool { return r.Name == name })
	if i < 0 {
		tb.Fatalf("no default rule %q", name)
	}
	return all[i]
}

// restart stores and restores a book, as a restart does between any two windows.
func restart(tb testing.TB, b *alerting.Book) *alerting.Book {
	tb.Helper()
	data, err := json.Marshal(b.Incidents())
	if err != nil {
		tb.Fatal(err)
	}
	var stored []alerting.Incident
	if err := json.Unmarshal(data, &stored); err != nil {
		tb.Fatal(err)
	}
	return alerting.Restore(stored)
}

// wide returns a window in which features f000 … drift with the values given.
func wide(n int, values ...float64) (*result.Summary, []result.Feature) {
	sum, one := window(n, 0, true)
	features := make([]result.Feature, 0, len(values))
	for i, v := range values {
		f := one[0]
		f.Feature = fmt.Sprintf("f%03d", i)
		f.Statistics = map[string]result.Stat{"psi_debiased": {Value: new(v)}} //nolint:exhaustruct // what rules read
		f.Reasons = []string{fmt.Sprintf("psi_debiased %.3g", v)}
		features = append(features, f)
	}
	return sum, features
}

// 200 features that drift together are one incident, with the largest effects first and a bounded list.
func TestOneIncidentForManyFeatures(t *testing.T) {
	values := make([]float64, 200)
	for i := range values {
		values[i] = 0.3 + float64(i)/1000
	}
	book, rules := &alerting.Book{}, []alerting.Rule{rule(t, "feature-drift")}
	var got []result.Transition
	for n := range 2 {
		sum, features := wide(n, values...)
		got = append(got, book.Step(sum, features, rules)...)
		book = restart(t, book)
	}
	if len(got) != 2 || got[1].To != result.Firing {
		t.Fatalf("%d transitions, want pending and firing: %+v", len(got), got)
	}
	fired := got[1]
	if fired.FeaturesTotal != 200 || len(fired.Features) != 25 || fired.Features[0].Feature != "f199" || fired.Features[24].Feature != "f175" {
		t.Errorf("features: %d of %d, %+v", len(fired.Features), fired.FeaturesTotal, fired.Features)
	}
	if want := "m: drift of 200 features (f199, f198, f197, …) firing"; fired.Title != want {
		t.Errorf("title %q, want %q", fired.Title, want)
	}
	if data, err := json.Marshal(fired); err != nil || len(data) > 16<<10 {
		t.Errorf("a transition of %d bytes (%v)", len(data), err)
	}
}

// A feature that joins a firing incident, or leaves it, is a transition from firing to firing; the incident ends with the last.
func TestFeaturesJoinAndLeave(t *testing.T) {
	book, rules := &alerting.Book{}, []alerting.Rule{rule(t, "feature-drift")}
	var got []string
	for n, values := range [][]float64{
		{0.3, 0}, {0.3, 0}, // the first fires
		{0.3, 0.4}, {0.3, 0.5}, // the second is pending, then joins: its effect is larger
		{0.3, 0.5},           // nothing new
		{0.1, 0.5}, {0, 0.5}, // the first leaves after two quiet windows
		{0, 0}, {0, 0}, // and the second
	} {
		sum, features := wide(n, values...)
		for _, tr := range book.Step(sum, features, rules) {
			var names []string
			for _, f := range tr.Features {
				names = append(names, f.Feature)
			}
			got = append(got, fmt.Sprintf("%d %s→%s %s", n, tr.From, tr.To, strings.Join(names, ",")))
		}
		book = restart(t, book)
	}
	want := []string{
		"0 inactive→pending f000", "1 pending→firing f000", "3 firing→firing f001,f000", "6 firing→firing f001", "8 firing→resolved f001",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	if open := book.Incidents(); len(open) != 1 || len(open[0].Members) != 0 {
		t.Errorf("left in the book: %+v, want the times of its changes for a day", open)
	}
}

// An incident that fires and is resolved again and again stays firing once it changed more than four times within a day.
func TestFlapping(t *testing.T) {
	r := rule(t, "feature-drift")
	r.Hits, r.Of, r.Quiet = 1, 1, 1
	book := &alerting.Book{}
	var got []string
	flapping := false
	for n := range 40 {
		sum, features := wide(n, map[bool]float64{true: 0.5, false: 0}[n%2 == 0 && n < 12])
		for _, tr := range book.Step(sum, features, []alerting.Rule{r}) {
			got = append(got, fmt.Sprintf("%d %s", n, tr.To))
			if flapping = flapping || tr.Flapping; tr.Flapping && tr.To == result.Firing && !strings.Contains(strings.Join(tr.Reasons, "\n"), "within a day") {
				t.Errorf("it does not say that it flaps: %q", tr.Reasons)
			}
		}
		book = restart(t, book)
	}
	// By hand: changes 1 to 5 in the windows 0 to 4; from the fifth on it must be quiet for 24 hours. The condition holds last in
	// window 10, which ends at hour 11, so it is resolved in the window that ends at hour 35.
	want := []string{"0 firing", "1 resolved", "2 firing", "3 resolved", "4 firing", "34 resolved"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	if !flapping {
		t.Error("no transition says that the incident flaps")
	}
}

// keep_firing_for is event time after the condition held last.
func TestKeepFiring(t *testing.T) {
	r := rule(t, "feature-drift")
	r.Hits, r.Of, r.Quiet, r.KeepFiring = 1, 1, 1, 5*hour
	book := &alerting.Book{}
	for n := range 10 {
		sum, features := wide(n, map[bool]float64{true: 0.5, false: 0}[n == 0])
		got := book.Step(sum, features, []alerting.Rule{r})
		if ended := len(got) == 1 && got[0].To == result.Resolved; ended != (n == 5) { // held last until hour 1; window 5 ends at hour 6
			t.Errorf("window %d: %+v", n, got)
		}
	}
}

// While the share of drifted features fires, the drift of the features is not worth a message of its own; when it ends and they
// go on, that is said.
func TestInhibition(t *testing.T) {
	rules := []alerting.Rule{rule(t, "feature-drift"), rule(t, "drift-share")}
	rules[1].Quiet = 1
	book := &alerting.Book{}
	var got []string
	for n, values := range [][]float64{{0.5, 0.5}, {0.5, 0.5}, {0.5, 0}, {0.5, 0}, {0, 0}, {0, 0}} {
		sum, features := wide(n, values...)
		drifting := 0.0
		for i := range features {
			if features[i].Verdict = result.Stable; values[i] > 0 {
				features[i].Verdict = result.Drift
				drifting++
			}
		}
		sum.DriftShare = new(drifting / 4)
		if n < 2 {
			sum.DriftShare = new(float64(1))
		}
		for _, tr := range book.Step(sum, features, rules) {
			got = append(got, fmt.Sprintf("%d %s %s by %q", n, tr.Rule, tr.To, tr.InhibitedBy))
		}
		book = restart(t, book)
	}
	want := []string{
		`0 feature-drift pending by ""`, `0 drift-share pending by ""`,
		`1 feature-drift firing by "drift-share"`, `1 drift-share firing by ""`,
		`2 drift-share resolved by ""`, `2 feature-drift firing by ""`, // one feature is left, and worth a message now
		`3 feature-drift firing by ""`, // f001 left
		`5 feature-drift resolved by ""`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
}

// Silence is decided by the watermark: three windows without an event fire, the next event ends it. However many markers came,
// and wherever they stand, it is the same transition.
func TestNoData(t *testing.T) {
	rules := alerting.Defaults()
	key := result.Key{Model: "m", Version: result.All, Segment: result.All}
	var first []result.Transition
	for name, marks := range map[string][]int64{"one": {9 * hour}, "many": {4*hour + 1, 5 * hour, 7 * hour, 8*hour + hour/2}, "late": {700 * hour}} {
		book := &alerting.Book{}
		var got []result.Transition
		for _, at := range marks {
			got = append(got, book.Silence(key, hour, hour, 4*hour, at, rules)...) // the last event was in the window that ends at hour 4
			book = restart(t, book)
		}
		if len(got) != 1 || got[0].To != result.Firing || got[0].Window.End != 7*hour || got[0].Since != 4*hour {
			t.Fatalf("%s: %+v", name, got)
		}
		if first == nil {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("%s is another transition:\n%s", name, diff)
		}
		if !book.Silent(rules) {
			t.Errorf("%s: the book does not know that nothing more can be said", name)
		}
		sum, features := window(9, 0, false)
		sum.Counts.Events = 1
		got = book.Step(sum, features, rules)
		if len(got) != 1 || got[0].Rule != "no-data" || got[0].To != result.Resolved || book.Silent(rules) {
			t.Errorf("%s: the next event: %+v", name, got)
		}
	}
	book := &alerting.Book{}
	if got := book.Silence(key, hour, hour, 4*hour, 7*hour-1, rules); len(got) != 0 {
		t.Errorf("it fired before the third window was over: %+v", got)
	}
}

// What older versions stored, an incident a feature, becomes members of one.
func TestStoredBeforeIncidentsWereGrouped(t *testing.T) {
	const stored = `[
		{"subject":{"rule":"feature-drift","key":{"model":"m","version":"*","segment":"*"},"size_ms":3600000,"feature":"f000","role":"feature"},
		 "id":"a","state":"firing","since_ms":0,"history":[true,true],"quiet":0,"worst":0.6},
		{"subject":{"rule":"feature-drift","key":{"model":"m","version":"*","segment":"*"},"size_ms":3600000,"feature":"f001","role":"feature"},
		 "id":"b","state":"pending","since_ms":3600000,"history":[true],"quiet":0,"worst":0.3}]`
	var incidents []alerting.Incident
	if err := json.Unmarshal([]byte(stored), &incidents); err != nil {
		t.Fatal(err)
	}
	book := alerting.Restore(incidents)
	if got := book.Incidents(); len(got) != 1 || len(got[0].Members) != 2 || got[0].State != result.Firing || got[0].ID != "a" || got[0].Worst != 0.6 {
		t.Fatalf("restored: %+v", got)
	}
	sum, features := wide(2, 0.5, 0.5)
	got := book.Step(sum, features, []alerting.Rule{rule(t, "feature-drift")})
	if len(got) != 1 || got[0].From != result.Firing || got[0].FeaturesTotal != 2 || got[0].Incident != "a" {
		t.Errorf("transitions: %+v", got)
	}
}

// An incident whose rule was taken out of the configuration ends, and says why.
func TestRuleThatIsGone(t *testing.T) {
	book := &alerting.Book{}
	for n := range 2 {
		sum, features := wide(n, 0.5)
		book.Step(sum, features, []alerting.Rule{rule(t, "feature-drift")})
	}
	sum, _ := wide(2, 0.5)
	sum.Counts.Events = 1
	got := book.Absent(sum, nil, nil)
	if len(got) != 1 || got[0].To != result.Resolved || len(got[0].Reasons) != 1 || !strings.Contains(got[0].Reasons[0], "no more") {
		t.Fatalf("transitions: %+v", got)
	}
	if left := book.Incidents(); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
}
