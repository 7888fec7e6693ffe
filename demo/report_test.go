package demo_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/result"
)

const aDay = int64(24 * 3_600_000)

// at is a transition that a window of one day caused; days count from the start of March 2001, from 1.
func at(day int, to result.IncidentState, incident, rule, feature, version string, since int) *result.Transition {
	start := month(time.March) + int64(day-1)*aDay
	return &result.Transition{ //nolint:exhaustruct // what a report reads
		Incident: incident, Rule: rule, Severity: "warning", Key: result.Key{Model: demo.ModelName, Version: version, Segment: result.All},
		Feature: feature, To: to, Window: result.Window{Start: start, End: start + aDay, Size: aDay}, Since: month(time.March) + int64(since-1)*aDay,
		Value: 0.5, Unit: "psi_debiased", Title: "flight-delay: " + feature + " " + rule + " " + string(to), Reasons: []string{"because", "of this"},
	}
}

// The delays follow by hand from the calendar: injected on 5 to 11 March, found by the window of the 6th, which ends two days
// after the 5th began.
func TestReport(t *testing.T) {
	injected := demo.Incidents()
	injected = []demo.Incident{injected[0], injected[1]}
	injected[1].Start, injected[1].End = month(time.March)+19*aDay, month(time.March)+26*aDay // 20 to 26 March
	r := demo.NewReport(injected)
	if got := r.Missed(); len(got) != 2 {
		t.Errorf("%d missed before anything fired, want 2", len(got))
	}
	r.Transition(at(3, result.Firing, "a", "feature-drift", "distance_miles", result.All, 2)) // before it is injected
	r.Transition(at(5, result.Pending, "b", "feature-drift", "distance_miles", result.All, 5))
	r.Transition(at(6, result.Firing, "b", "feature-drift", "distance_miles", result.All, 5))
	r.Transition(at(7, result.Firing, "c", "feature-drift", "prediction", result.All, 6))
	r.Transition(at(13, result.Resolved, "b", "feature-drift", "distance_miles", result.All, 5))
	text := r.Summary(1500*time.Millisecond, nil)
	for _, want := range []string{
		"in 1.5 s", "found at the end of 2001-03-06, 2 days after it began; cleared at the end of 2001-03-13, 2 days after it ended",
		"NOT FOUND", "also      2001-03-03  flight-delay: distance_miles feature-drift (natural: psi_debiased 0.5)",
		"2001-03-07  flight-delay: prediction feature-drift (began while distance_miles holds kilometres",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q:\n%s", want, text)
		}
	}
	if got := r.Missed(); !slices.Equal(got, injected[1:]) {
		t.Errorf("missed %v, want %v", got, injected[1:])
	}
}

// What is natural is what happened on the days without an incident: a value of a day with one does not count.
func TestReportOfNaturalMovement(t *testing.T) {
	r := demo.NewReport(demo.Incidents())
	for day, v := range map[int]float64{1: 0.01, 2: 0.03, 6: 9} { // an incident begins on the 5th
		start := month(time.March) + int64(day-1)*aDay
		verdict := result.Stable
		if day == 2 {
			verdict = result.Warning
		}
		r.Features(&result.FeatureDoc{ //nolint:exhaustruct // what a report reads
			Key: result.Key{Model: demo.ModelName, Version: result.All, Segment: result.All}, Window: result.Window{Start: start, End: start + aDay, Size: aDay},
			Features: []result.Feature{
				{ //nolint:exhaustruct // what a report reads
					Feature: "hour", Current: result.Side{Count: 500}, Verdict: verdict, Thresholds: result.Thresholds{Statistic: "psi", Warning: 0.02},
					Statistics: map[string]result.Stat{"psi": {Value: &v}},
				},
				{ //nolint:exhaustruct // what a report reads
					Feature: "origin", Current: result.Side{Count: 500}, Verdict: result.Insufficient, NMin: 563,
					Thresholds: result.Thresholds{Statistic: "psi", Warning: 0.02}, Statistics: map[string]result.Stat{"psi": {Value: &v}},
				},
			},
		})
	}
	text := r.Summary(0, flights(t))
	for _, want := range []string{
		"reached a warning: 1 ", "psi at most  0.030 (2001-03-02); a warning begins at 0.02",
		"never judged; 2 of 2 days had too few events, it needs 563", "January 20.6 %, February 23.1 %, March 21.2 %",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q:\n%s", want, text)
		}
	}
}

// Three days by hand: coverage (90+60)/(100+100), accuracies 0.7 and 0.9, the first inside of the band that was foretold and the second
// above it. The third day's last labels have not come; what is said of a version does not count.
func TestReportOfQuality(t *testing.T) {
	r := demo.NewReport(nil)
	accuracy := func(v, lower, upper float64) []result.Metric {
		return []result.Metric{{Name: "accuracy", Class: "", N: 90, Value: &v, Lower: &lower, Upper: &upper, Least: nil, Most: nil, Reason: ""}}
	}
	say := func(version string, day int, maturity int64, labels uint64, final bool, known, foretold []result.Metric) {
		start := month(time.March) + int64(day)*aDay
		r.Quality(&result.Quality{ //nolint:exhaustruct // what a report reads
			Key: result.Key{Model: demo.ModelName, Version: version, Segment: result.All}, Window: result.Window{Start: start, End: start + aDay, Size: aDay},
			Maturity: maturity, Final: final, Predictions: 100, Labels: labels, DelayP50: new(float64(7+day) * 3_600_000), Metrics: known,
			Estimate: &result.Estimate{Metrics: foretold}, //nolint:exhaustruct // the same
		})
	}
	for day := range 3 {
		say(result.All, day, 0, 10, false, accuracy(0.1, 0, 1), accuracy(0.75, 0.65, 0.8))
	}
	say(result.All, 0, 3*aDay, 90, true, accuracy(0.7, 0.6, 0.8), accuracy(0, 0, 0))
	say("2", 0, 3*aDay, 5, true, accuracy(0.2, 0.1, 0.3), accuracy(0, 0, 0))
	say(result.All, 1, 3*aDay, 60, true, accuracy(0.9, 0.8, 1), accuracy(0, 0, 0))
	say(result.All, 2, aDay, 80, false, accuracy(0.3, 0.2, 0.4), accuracy(0, 0, 0))
	text := r.Summary(0, nil)
	for _, want := range []string{
		"quality   of 2 days, 72 hours after each: labels of 75.0 % of the predictions, half of a day's within 8.0 hours",
		"accuracy 0.700 to 0.900, half of the days above 0.900; foretold at the day's end without labels: in its band on 1 of 2 days",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the summary does not say %q:\n%s", want, text)
		}
	}
	if text := demo.NewReport(nil).Summary(0, nil); strings.Contains(text, "quality") {
		t.Errorf("quality that nobody told of:\n%s", text)
	}
}

func TestAlert(t *testing.T) {
	want := "2001-03-06  FIRING    warning   flight-delay: origin missing-values\n" + strings.Repeat(" ", 32) + "because\n" + strings.Repeat(" ", 32) + "of this\n"
	if diff := cmp.Diff(want, demo.Alert(at(6, result.Firing, "a", "missing-values", "origin", result.All, 5))); diff != "" {
		t.Errorf("alert (-want +got):\n%s", diff)
	}
	if got := demo.Alert(at(5, result.Pending, "a", "missing-values", "origin", result.All, 5)); got != "" {
		t.Errorf("a pending incident is shown: %q", got)
	}
}
