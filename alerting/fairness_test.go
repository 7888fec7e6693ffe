package alerting_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// groupsSaid is a document about the groups of a dimension in the n-th hour; a measure without numbers does not exist.
func groupsSaid(n int64, dimension string, maturity int64, numbers ...float64) *result.Fairness {
	const hour = 3_600_000
	f := new(result.Fairness) // what rules read
	f.Key, f.Window = result.Key{Model: "m", Version: result.All, Segment: result.All}, result.Window{Start: n * hour, End: (n + 1) * hour, Size: hour}
	f.ResultID, f.Dimension, f.Maturity, f.Final = fmt.Sprintf("%s.%d.%d", dimension, n, maturity/hour), dimension, maturity, maturity == 2*hour
	f.Groups = []result.FairnessGroup{{Group: "a", Predictions: 100}}
	for _, metric := range result.FairnessMetrics() {
		g := result.FairnessGap{Metric: metric, Low: "a", High: "b", Left: []string{}, Reason: "nobody"}
		if len(numbers) == 3 {
			g.Lower, g.Value, g.Upper, g.Reason = &numbers[0], &numbers[1], &numbers[2], ""
		}
		f.Gaps = append(f.Gaps, g)
	}
	return f
}

// A rule about groups looks at one maturity, at the end of the interval that chance leaves, and at the dimension in which groups are furthest
// apart; what does not exist neither fires nor clears.
func TestFairnessRules(t *testing.T) {
	const hour = 3_600_000
	rule := func(metric string, threshold float64, dimension string) alerting.Rule {
		r := alerting.Template("gap", alerting.KindFairness)
		r.Metric, r.Threshold, r.Dimension, r.Hits, r.Of = metric, threshold, dimension, 1, 1
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		return r
	}
	wide, near, none := []float64{0.2, 0.3, 0.4}, []float64{0, 0.05, 0.3}, []float64(nil)
	low := []float64{0.4, 0.6, 0.7} // a ratio
	for name, test := range map[string]struct {
		rule alerting.Rule
		docs [][]*result.Fairness
		want []string
	}{
		"the lower end": {
			rule(result.AccuracyDifference, 0.2, ""),
			[][]*result.Fairness{{groupsSaid(0, "sex", 2*hour, 0.19, 0.5, 0.9)}, {groupsSaid(1, "sex", 2*hour, wide...)}},
			[]string{"firing 0.3 sex.1.2"},
		},
		"only its maturity": {
			rule(result.AccuracyDifference, 0.2, ""),
			[][]*result.Fairness{{groupsSaid(0, "sex", 0, wide...)}, {groupsSaid(0, "sex", hour, wide...)}},
			nil,
		},
		"selection is known at once": {
			rule(result.DemographicParityDifference, 0.2, ""),
			[][]*result.Fairness{{groupsSaid(0, "sex", 0, wide...)}, {groupsSaid(0, "sex", 2*hour, wide...)}},
			[]string{"firing 0.3 sex.0.0"},
		},
		"a ratio is low": {
			rule(result.DemographicParityRatio, 0.8, ""),
			[][]*result.Fairness{{groupsSaid(0, "sex", 0, 0.5, 0.7, 0.9)}, {groupsSaid(1, "age", 0, 0.5, 0.9, 1), groupsSaid(1, "sex", 0, low...)}},
			[]string{"firing 0.6 sex.1.0"},
		},
		"one dimension": {
			rule(result.AccuracyDifference, 0.2, "age"),
			[][]*result.Fairness{{groupsSaid(0, "age", 2*hour, near...), groupsSaid(0, "sex", 2*hour, wide...)}},
			nil,
		},
		"any of them, and over when all are quiet": {
			rule(result.AccuracyDifference, 0.2, ""),
			[][]*result.Fairness{
				{groupsSaid(0, "age", 2*hour, near...), groupsSaid(0, "sex", 2*hour, wide...)},
				{groupsSaid(1, "age", 2*hour, none...), groupsSaid(1, "sex", 2*hour, none...)},
				{groupsSaid(2, "age", 2*hour, near...), groupsSaid(2, "sex", 2*hour, 0.1, 0.3, 0.5)},
				{groupsSaid(3, "age", 2*hour, near...), groupsSaid(3, "sex", 2*hour, near...)},
				{groupsSaid(4, "age", 2*hour, near...), groupsSaid(4, "sex", 2*hour, near...)},
			},
			[]string{"firing 0.3 sex.0.2", "resolved 0.05 age.4.2"},
		},
	} {
		book := alerting.Restore(nil)
		var got []string
		for _, docs := range test.docs {
			for _, tr := range book.StepFairness(docs, []alerting.Rule{test.rule}) {
				got = append(got, fmt.Sprintf("%s %v %s", tr.To, tr.Value, tr.ResultID))
			}
			book = alerting.Restore(book.Incidents())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for field, change := range map[string]func(r *alerting.Rule){
		"metric": func(r *alerting.Rule) { r.Metric = "accuracy" }, "threshold": func(r *alerting.Rule) { r.Threshold = 1 },
		"maturity": func(r *alerting.Rule) { r.Maturity = -1 }, "segments": func(r *alerting.Rule) { r.Segments = []string{"sex"} },
		"dimension": func(r *alerting.Rule) { r.Kind, r.Metric, r.Dimension = alerting.KindQuality, "accuracy", "sex" },
	} {
		r := rule(result.AccuracyDifference, 0.2, "")
		change(&r)
		var e *alerting.RuleError
		if err := r.Validate(); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
