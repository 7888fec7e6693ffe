package alerting_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// measure is a metric with an interval of half a margin to both sides.
func measure(name string, value, margin float64, n uint64) result.Metric {
	lower, upper := value-margin, value+margin
	return result.Metric{Name: name, N: n, Value: &value, Lower: &lower, Upper: &upper} //nolint:exhaustruct // nothing more
}

// judged is the document of the hour n at its last maturity.
func judged(n int, labels uint64, metrics ...result.Metric) *result.Quality {
	coverage := float64(labels) / 1000
	return &result.Quality{ //nolint:exhaustruct // what rules read
		ResultID: fmt.Sprint("q", n), Key: result.Key{Model: "m", Version: result.All, Segment: result.All}, Task: "binary",
		Window: result.Window{Start: int64(n) * hour, End: int64(n+1) * hour, Size: hour}, Maturity: 48 * hour, Final: true,
		Predictions: 1000, Labels: labels, Coverage: &coverage, Metrics: metrics,
		Confusion: &result.Confusion{Classes: []string{"0", "1"}, Matrix: [][]uint64{{labels / 2, 0}, {0, labels - labels/2}}},
	}
}

func quality(metric string, threshold float64) alerting.Rule {
	r := alerting.Template("q", alerting.KindQuality)
	r.Metric, r.Threshold, r.Hits, r.Of = metric, threshold, 1, 1
	return r
}

// The end of the interval that is the better one decides, by the direction of the metric: smaller is worse for accuracy, larger for mae, and
// bias counts by its size.
func TestQualityBound(t *testing.T) {
	for name, test := range map[string]struct {
		rule  alerting.Rule
		value result.Metric
		fires bool
	}{
		"accuracy below":           {quality("accuracy", 0.9), measure("accuracy", 0.85, 0.04, 500), true},
		"accuracy below by chance": {quality("accuracy", 0.9), measure("accuracy", 0.87, 0.04, 500), false},
		"accuracy above":           {quality("accuracy", 0.9), measure("accuracy", 0.99, 0.005, 500), false},
		"too few labels":           {quality("accuracy", 0.9), measure("accuracy", 0.5, 0.04, 99), false},
		"mae above":                {quality("mae", 2), measure("mae", 2.5, 0.4, 500), true},
		"mae above by chance":      {quality("mae", 2), measure("mae", 2.5, 0.6, 500), false},
		"mae below":                {quality("mae", 2), measure("mae", 1, 0.1, 500), false},
		"bias below":               {quality("bias", 1), measure("bias", -1.5, 0.4, 500), true},
		"bias above":               {quality("bias", 1), measure("bias", 1.5, 0.4, 500), true},
		"bias around nothing":      {quality("bias", 1), measure("bias", 0.5, 2, 500), false},
		"another metric":           {quality("recall", 0.9), measure("accuracy", 0.5, 0.01, 500), false},
	} {
		got := (&alerting.Book{}).StepQuality(judged(0, 500, test.value), []alerting.Rule{test.rule})
		if fired := len(got) == 1 && got[0].To == result.Firing; fired != test.fires {
			t.Errorf("%s: %+v", name, got)
		}
	}
	// Nine labels of a class are too few to compare the two by.
	q := judged(0, 500, measure("roc_auc", 0.5, 0.01, 500))
	q.Confusion.Matrix = [][]uint64{{491, 0}, {4, 5}}
	if got := (&alerting.Book{}).StepQuality(q, []alerting.Rule{quality("roc_auc", 0.9)}); len(got) > 0 {
		t.Errorf("nine labels of a class: %+v", got)
	}
}

// Against the reference the difference counts with the intervals of both sides: of 0.80 ± 0.01 and 0.9 times 0.90 ± 0.01 it is 0.01 ± 0.0135
// (√(0.01² + 0.009²)), so it may be none; of 0.79 it is 0.02.
func TestQualityAgainstTheReference(t *testing.T) {
	r := rule(t, "quality-drop")
	r.Hits, r.Of = 1, 1
	for value, fires := range map[float64]bool{0.9: false, 0.8: false, 0.79: true, 0.5: true} {
		q := judged(0, 500, measure("roc_auc", value, 0.01, 500), measure("accuracy", 0.99, 0.001, 500))
		q.Reference = []result.Metric{measure("accuracy", 0.99, 0.001, 5000), measure("roc_auc", 0.9, 0.01, 5000)}
		got := (&alerting.Book{}).StepQuality(q, []alerting.Rule{r})
		if (len(got) > 0) != fires {
			t.Errorf("%v: %+v", value, got)
		}
		if q.Reference = nil; len((&alerting.Book{}).StepQuality(q, []alerting.Rule{r})) > 0 {
			t.Errorf("%v without a reference's quality", value)
		}
	}
	// An error rises: 12 is 20 % more than 10, and its interval ends above 11.
	q := judged(0, 500, measure("mae", 12, 0.5, 500))
	q.Task, q.Confusion, q.Reference = "regression", nil, []result.Metric{measure("mae", 10, 0.1, 5000)}
	got := (&alerting.Book{}).StepQuality(q, []alerting.Rule{r})
	if len(got) != 1 || got[0].Metric != "mae" || got[0].Unit != "rise of mae" || got[0].Title != "m: quality mae firing" {
		t.Fatalf("mae: %+v", got)
	}
	want := []string{"mae is 12 (11.5 to 12.5) of 500 labels (50.0 % of the predictions), 2d after the window; in the reference 10 (9.9 to 10.1) of 5000: " +
		"20.0 % worse, the bound is 10.0 %"}
	if diff := cmp.Diff(want, got[0].Reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// A window is judged at one maturity, once, and one that overlaps the one before not at all; an incident goes through all its states and
// remembers its worst value, which is the smallest.
func TestQualityIncident(t *testing.T) {
	r := quality("accuracy", 0.9)
	r.Hits, r.Of = 2, 3
	rules := []alerting.Rule{r}
	book := &alerting.Book{}
	var got []string
	for n, value := range []float64{0.95, 0.8, 0.7, 0.91, 0.93, 0.93} {
		for _, maturity := range []int64{0, hour, 48 * hour} {
			q := judged(n, 500, measure("accuracy", value, 0.01, 500))
			q.Maturity, q.Final = maturity, maturity == 48*hour
			for _, tr := range book.StepQuality(q, rules) {
				got = append(got, fmt.Sprintf("%d after %d h: %s, %g below %g, worst %g", n, tr.Maturity/hour, tr.To, tr.Value, tr.Threshold, tr.Worst))
			}
			between := *q
			between.Window.Start, between.Window.End = q.Window.Start+hour/4, q.Window.End+hour/4
			segment := *q
			segment.Key.Segment = "region=eu"
			if more := append(book.StepQuality(&between, rules), book.StepQuality(&segment, rules)...); len(more) > 0 {
				t.Errorf("%d: %+v", n, more)
			}
		}
		book = alerting.Restore(book.Incidents())
	}
	want := []string{
		"1 after 48 h: pending, 0.8 below 0.9, worst 0.8", "2 after 48 h: firing, 0.7 below 0.9, worst 0.7", "5 after 48 h: resolved, 0.93 below 0.9, worst 0.7",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A rule may name an earlier maturity, or look at the estimate, which comes first.
func TestQualityMaturity(t *testing.T) {
	early, estimated := quality("accuracy", 0.9), quality("accuracy", 0.9)
	early.Name, early.Maturity = "early", hour
	estimated.Name, estimated.Estimate = "estimated", true
	var got []string
	book := &alerting.Book{}
	for _, maturity := range []int64{0, hour, 48 * hour} {
		q := judged(0, 500, measure("accuracy", 0.5, 0.01, 500))
		q.Estimate = &result.Estimate{Metrics: []result.Metric{measure("accuracy", 0.6, 0.01, 1000)}} //nolint:exhaustruct // what rules read
		q.Maturity, q.Final = maturity, maturity == 48*hour
		for _, tr := range book.StepQuality(q, []alerting.Rule{early, estimated}) {
			got = append(got, fmt.Sprintf("%s %g after %d h", tr.Rule, tr.Value, tr.Maturity/hour))
		}
	}
	if diff := cmp.Diff([]string{"estimated 0.6 after 0 h", "early 0.5 after 1 h"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of 1,000 predictions 480 with a label are below 50 % by chance at most (Wilson's one-sided 99.9 % interval, worked out in Python, reaches to 0.5288), and
// 450 are not (0.4988).
func TestLabelCoverage(t *testing.T) {
	r := alerting.Template("labels", alerting.KindLabelCoverage)
	r.Hits, r.Of = 1, 1
	for labels, fires := range map[uint64]bool{1000: false, 480: false, 450: true, 0: true} {
		if got := (&alerting.Book{}).StepQuality(judged(0, labels), []alerting.Rule{r}); (len(got) > 0) != fires {
			t.Errorf("%d labels: %+v", labels, got)
		}
	}
	// Where few labels ever come, that is usual; a tenth of it is not.
	r = rule(t, "label-coverage-drop")
	book := &alerting.Book{}
	var got []string
	for n, labels := range []uint64{100, 110, 90, 100, 100, 100, 10, 10, 100, 100} {
		for _, tr := range book.StepQuality(judged(n, labels), []alerting.Rule{r}) {
			got = append(got, fmt.Sprintf("%d %s", n, tr.To))
		}
		book = alerting.Restore(book.Incidents())
	}
	if diff := cmp.Diff([]string{"6 pending", "7 firing", "9 resolved"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The incident of a version ends when its documents stay away while the model's come; that it has no events now says nothing, since its
// windows still mature. One whose rule nothing can look at any more ends too.
func TestQualityAbsent(t *testing.T) {
	r := quality("accuracy", 0.9)
	r.Scope, r.Hits, r.Of = alerting.ScopeEach, 1, 2
	rules := []alerting.Rule{r}
	bad := judged(0, 500, measure("accuracy", 0.5, 0.01, 500))
	bad.Key.Version = "1"
	book := &alerting.Book{}
	if got := book.StepQuality(bad, rules); len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	for n := range 5 {
		if got := book.Absent(service(n, hour, 1000, 0), nil, rules); len(got) > 0 {
			t.Fatalf("its events are gone: %+v", got)
		}
	}
	if got := book.AbsentQuality(judged(1, 500), nil, rules); len(got) > 0 {
		t.Errorf("gone once: %+v", got)
	}
	got := book.AbsentQuality(judged(2, 500), nil, rules)
	if len(got) != 1 || got[0].To != result.Resolved || !strings.Contains(got[0].Reasons[0], "version 1 has had no events in 2 windows") {
		t.Errorf("gone twice: %+v", got)
	}
	book = &alerting.Book{}
	book.StepQuality(bad, rules)
	if got := book.Absent(service(9, hour, 1000, 0), []string{"1"}, nil); len(got) != 1 || got[0].To != result.Resolved {
		t.Errorf("without the rule: %+v", got)
	}
}

// An incident of quality inhibits others and is inhibited, and what says so is no result of the other's.
func TestQualityInhibits(t *testing.T) {
	r := quality("accuracy", 0.9)
	r.Inhibits = []string{"error-rate"}
	failing := rule(t, "error-rate")
	failing.Scope, failing.Hits, failing.Of = alerting.ScopeAll, 1, 1
	rules := []alerting.Rule{r, failing}
	book := &alerting.Book{}
	if got := book.Step(service(0, hour, 1000, 500), nil, rules); len(got) != 1 || got[0].InhibitedBy != "" {
		t.Fatalf("%+v", got)
	}
	got := book.StepQuality(judged(0, 500, measure("accuracy", 0.5, 0.01, 500)), rules)
	if len(got) != 2 || got[1].Rule != "error-rate" || got[1].InhibitedBy != "q" || got[1].ResultID != "" || got[0].ResultID != "q0" {
		t.Errorf("%+v", got)
	}
	var ids []string
	for n, value := range []float64{0.99, 0.99} {
		for _, tr := range book.StepQuality(judged(n+1, 500, measure("accuracy", value, 0.001, 500)), rules) {
			ids = append(ids, tr.Rule+" "+string(tr.To)+" "+tr.InhibitedBy)
		}
	}
	if !slices.Equal(ids, []string{"q resolved ", "error-rate firing "}) {
		t.Errorf("it is over: %q", ids)
	}
}

// A slow decay that stays above every bound is a change of the series: twelve windows around 0.9, then a level three hundredths below.
func TestQualityChange(t *testing.T) {
	r := alerting.Template("decay", alerting.KindChangePoint)
	r.Change.Series, r.Change.Warmup, r.Change.Threshold = "quality.accuracy", 12, 8
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	book := &alerting.Book{}
	var got []string
	for n := range 30 {
		value := 0.9 + 0.005*float64(n%3-1)
		if n >= 20 {
			value -= 0.03
		}
		for _, tr := range book.StepQuality(judged(n, 500, measure("accuracy", value, 0.01, 500)), []alerting.Rule{r}) {
			got = append(got, fmt.Sprint(n, tr.To))
		}
		if more := book.Step(service(n, hour, 1000, 0), nil, []alerting.Rule{r}); len(more) > 0 {
			t.Errorf("a result has no quality: %+v", more)
		}
	}
	if len(got) == 0 || got[0] < "20" || got[0] > "24" {
		t.Errorf("%v", got)
	}
}
