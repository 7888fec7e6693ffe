package alerting

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// Rules about quality look at documents of quality, which come at maturities, and not at results of windows.

// DefaultMinLabels is from how many labels on a metric is judged.
const DefaultMinLabels = 100

// minOfClass is how many labels of each class there must be for a metric that compares the two: the intervals of fewer are not to be relied on.
const minOfClass = 10

// seriesOfQuality begins the names of series that are metrics of quality.
const seriesOfQuality = "quality."

// typeQuality marks what stands for a document of quality.
const typeQuality = "quality"

// Metrics are the metrics of a model's quality that a rule can look at, by their names in results: of classification, then of regression.
func Metrics() []string {
	var out []string
	for _, task := range []string{"binary", "multiclass", "regression"} {
		for _, m := range TaskMetrics(task) {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// TaskMetrics are those of a task, nil where there is no such task.
func TaskMetrics(task string) []string {
	switch task {
	case "binary":
		return []string{
			"accuracy", "balanced_accuracy", "precision", "recall", "specificity", "f1", "mcc", "roc_auc", "average_precision", "log_loss", "brier", "ece",
		}
	case "multiclass":
		return []string{
			"accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "weighted_precision", "weighted_recall", "weighted_f1", "mcc",
			"macro_roc_auc", "macro_average_precision", "log_loss", "brier", "ece",
		}
	case "regression":
		return []string{"mae", "mse", "rmse", "mape", "median_absolute_error", "r2", "bias"}
	}
	return nil
}

// usual are the metrics that a rule without one looks at, the first that the reference has.
func usual(task string) []string {
	switch task {
	case "binary":
		return []string{"roc_auc", "accuracy"}
	case "regression":
		return []string{"mae"}
	}
	return []string{"accuracy"}
}

// less reports whether a smaller value of a metric is the worse one; all such metrics are 1 at best.
func less(metric string) bool {
	switch metric {
	case "log_loss", "brier", "ece", "mae", "mse", "rmse", "mape", "median_absolute_error", "bias":
		return false
	}
	return true
}

// OfQuality reports whether a rule looks at documents of quality, and so at nothing where a model's labels are not joined.
func (r *Rule) OfQuality() bool {
	return r.Kind == KindQuality || r.Kind == KindLabelCoverage || r.Kind == KindFairness ||
		r.Kind == KindChangePoint && r.Change != nil && strings.HasPrefix(r.Change.Series, seriesOfQuality)
}

// low reports whether a smaller value of the rule is the worse one.
func (r *Rule) low() bool {
	return r.Kind == KindFairness && r.Metric == result.DemographicParityRatio || !r.Relative && (r.Kind == KindLabelCoverage || r.Kind == KindQuality && less(r.Metric))
}

// matures reports whether a rule looks at windows at the maturity of a document: each window is judged once. How often groups are selected is
// known with the window's own result.
func (r *Rule) matures(maturity int64, final bool) bool {
	switch {
	case r.Estimate, r.Maturity == 0 && r.Kind == KindFairness && strings.HasPrefix(r.Metric, "demographic_parity"):
		return maturity == 0
	case r.Maturity == 0:
		return final
	}
	return maturity == r.Maturity
}

// validateQuality checks what rules about quality have.
func (r *Rule) validateQuality() (string, error) {
	if !r.OfQuality() {
		for _, of := range []struct {
			field string
			given bool
		}{
			{"metric", r.Metric != ""}, {"maturity", r.Maturity != 0}, {"relative", r.Relative && r.Kind != KindErrorRate}, {"estimate", r.Estimate}, {"min_labels", r.MinLabels != 0},
		} {
			if of.given {
				return of.field, fmt.Errorf("is for rules about quality and labels, got the kind %s", r.Kind)
			}
		}
		return "", nil
	}
	switch {
	case r.Kind == KindFairness:
		return "", nil
	case r.Maturity < 0:
		return "maturity", errors.New("must be one of the model's maturities, or 0s: the last of them")
	case r.MinLabels < 0:
		return "min_labels", fmt.Errorf("must be at least 1, or 0: %d, got %d", DefaultMinLabels, r.MinLabels)
	case r.Estimate && (r.Maturity != 0 || r.Kind == KindLabelCoverage):
		return "estimate", errors.New("needs no labels, so no maturity and no label_coverage")
	case r.Kind != KindQuality && r.Metric != "":
		return "metric", fmt.Errorf("is for rules of the kind %s, got the kind %s", KindQuality, r.Kind)
	case r.Kind != KindQuality:
		return "", nil
	case r.Metric == "" && !r.Relative, r.Metric != "" && !slices.Contains(Metrics(), r.Metric):
		return "metric", fmt.Errorf("must be one of %s, got %q", strings.Join(Metrics(), ", "), r.Metric)
	case r.Relative && r.Metric == "bias":
		return "relative", errors.New("cannot be for bias, which has no share of the reference's: give a threshold in its unit")
	case !(r.Threshold > 0):
		return "threshold", fmt.Errorf("must be above 0: the bound of the metric or, with relative, the share by which it may be worse, got %v", r.Threshold)
	case less(r.Metric) && r.Threshold >= 1 && (r.Metric != "" || r.Relative):
		return "threshold", fmt.Errorf("must be below 1, got %v", r.Threshold)
	}
	return "", nil
}

// StepQuality looks at one document of quality with every rule that looks at its maturity and returns what changed, in canonical order.
// Windows that overlap the one before are left out, as in Step.
func (b *Book) StepQuality(q *result.Quality, rules []Rule) []result.Transition {
	if q.Window.End%q.Window.Size != 0 || q.Key.Segment != result.All {
		return nil
	}
	sum := standing(q)
	var out []result.Transition
	for i := range rules {
		r := &rules[i]
		if r.OfQuality() && r.Kind != KindFairness && r.matures(q.Maturity, q.Final) && (r.Scope == ScopeAll) == (q.Key.Version == result.All) {
			out = append(out, b.stepQuality(r, q, sum)...)
		}
	}
	return b.inhibit(sum, rules, out)
}

// standing is a summary that stands for a document: what incidents note of the window that moved them.
func standing(q *result.Quality) *result.Summary {
	sum := new(result.Summary) // nothing more is looked at
	sum.Type, sum.ResultID, sum.Key, sum.Window, sum.Ref, sum.Counts.Events = typeQuality, q.ResultID, q.Key, q.Window, q.Ref, q.Predictions+q.Labels
	return sum
}

// stepQuality moves one subject by one window.
func (b *Book) stepQuality(r *Rule, q *result.Quality, sum *result.Summary) []result.Transition {
	subject := Subject{Rule: r.Name, Key: q.Key, Size: q.Window.Size}
	if r.Kind == KindChangePoint {
		if in := b.open[subject]; in != nil {
			in.Maturity = q.Maturity
		}
		return b.watch(r, sum, r.readQuality(q))
	}
	var past []Point
	if in := b.open[subject]; in != nil {
		past = in.Past
	}
	var observed []observation
	var metric string
	remembers := false
	if r.Kind == KindQuality {
		observed, metric = r.quality(q)
	} else {
		observed = r.coverage(q, past)
		remembers = r.Relative && q.Predictions > 0
	}
	hit := slices.ContainsFunc(observed, func(o observation) bool { return o.hit })
	if b.open[subject] == nil && !hit && !remembers {
		return nil
	}
	in := b.incident(subject)
	in.Absent, in.Metric, in.Maturity = 0, cmp.Or(metric, in.Metric), q.Maturity
	if remembers {
		in.remember(r, Point{End: q.Window.End, Total: q.Predictions, Bad: min(q.Labels, q.Predictions)}, hit)
	}
	t := in.move(r, sum, func() {
		keep := in.keep(r)
		for _, o := range observed {
			in.look(r, q.Window, keep, o)
		}
	})
	b.forget(in, q.Window.End)
	return t
}

// metricOf returns a metric by its name, of the whole task; ok is false where it has no value or no interval.
func metricOf(all []result.Metric, name string) (m result.Metric, ok bool) {
	i := slices.IndexFunc(all, func(m result.Metric) bool { return m.Name == name && m.Class == "" })
	if i < 0 {
		return result.Metric{}, false //nolint:exhaustruct // there is none
	}
	m = all[i]
	return m, m.Value != nil && m.Lower != nil && m.Upper != nil
}

// measured returns what a rule looks at: the metrics of the labels, or their estimate.
func (r *Rule) measured(q *result.Quality) []result.Metric {
	switch {
	case !r.Estimate:
		return q.Metrics
	case q.Estimate != nil:
		return q.Estimate.Metrics
	}
	return nil
}

// quality holds where even the end of the metric's interval that is the better one is beyond the bound: chance does not explain it.
func (r *Rule) quality(q *result.Quality) (observed []observation, metric string) {
	all, name := r.measured(q), r.Metric
	if name == "" {
		for _, m := range usual(q.Task) {
			if _, ok := metricOf(q.Reference, m); ok {
				name = m
				break
			}
		}
	}
	now, ok := metricOf(all, name)
	if !ok || !r.enough(now.N) || !r.Estimate && !bothClasses(q, name) {
		return nil, name
	}
	says := fmt.Sprintf("%s is %.4g (%.4g to %.4g)", name, *now.Value, *now.Lower, *now.Upper)
	if r.Estimate {
		says += fmt.Sprintf(" as estimated without labels from %d predictions", now.N)
	} else {
		says += fmt.Sprintf(" of %d labels%s, %s after the window", now.N, coverageOf(q), after(q.Maturity))
	}
	if !r.Relative {
		return []observation{r.bound(name, now, says)}, name
	}
	then, ok := metricOf(q.Reference, name)
	if !ok || *then.Value <= 0 || !r.enough(then.N) {
		return nil, name
	}
	return []observation{r.worse(name, now, then, says)}, name
}

func (r *Rule) enough(n uint64) bool { return n >= uint64(cmp.Or(r.MinLabels, DefaultMinLabels)) }

// bothClasses reports whether there are enough labels of each class for a metric that compares the two.
func bothClasses(q *result.Quality, metric string) bool {
	if q.Task != "binary" || q.Confusion == nil || !slices.Contains([]string{"roc_auc", "average_precision", "balanced_accuracy", "mcc", "f1"}, metric) {
		return true
	}
	for _, row := range q.Confusion.Matrix {
		var n uint64
		for _, k := range row {
			n += k
		}
		if n < minOfClass {
			return false
		}
	}
	return true
}

func coverageOf(q *result.Quality) string {
	if q.Coverage == nil {
		return ""
	}
	return " (" + percent(*q.Coverage) + " of the predictions)"
}

// bound holds a metric against a number. `clear` is a share of what the metric is away from its best value.
func (r *Rule) bound(name string, now result.Metric, says string) observation {
	value, lower, upper := *now.Value, *now.Lower, *now.Upper
	if name == "bias" {
		if value, lower, upper = math.Abs(value), max(lower, -upper, 0), max(upper, -lower); lower == 0 {
			says += ", which may be none"
		}
	}
	o := observation{
		segment: "", feature: "", role: "", hit: lower > r.Threshold, clear: value < r.Clear*r.Threshold, value: value, threshold: r.Threshold, unit: name,
		reasons: []string{fmt.Sprintf("%s; the bound is %.4g", says, r.Threshold)},
	}
	if less(name) {
		o.hit, o.clear = upper < r.Threshold, 1-value < r.Clear*(1-r.Threshold)
	}
	return o
}

// worse holds a metric against the reference's. Its difference from the value that is as much worse as the threshold allows has an interval
// of both sides (MOVER), so chance in the reference counts too.
func (r *Rule) worse(name string, now, then result.Metric, says string) observation {
	factor, sign, unit := 1+r.Threshold, 1.0, "rise of "+name
	if less(name) {
		factor, sign, unit = 1-r.Threshold, -1.0, "drop of "+name
	}
	i := stat.Mover([]float64{sign, -sign * factor}, []float64{*now.Value, *then.Value}, []stat.Interval{
		{Lower: *now.Lower, Upper: *now.Upper}, {Lower: *then.Lower, Upper: *then.Upper},
	})
	share := sign * (*now.Value - *then.Value) / *then.Value
	word := "worse"
	if share < 0 {
		word = "better"
	}
	return observation{
		segment: "", feature: "", role: "", hit: i.Lower > 0, clear: share < r.Clear*r.Threshold, value: share, threshold: r.Threshold, unit: unit,
		reasons: []string{fmt.Sprintf("%s; in the reference %.4g (%.4g to %.4g) of %d: %s %s, the bound is %s",
			says, *then.Value, *then.Lower, *then.Upper, then.N, percent(math.Abs(share)), word, percent(r.Threshold))},
	}
}

// coverage holds where fewer predictions have a label than the threshold says, or with Relative than it leaves of what is usual, by more than
// chance.
func (r *Rule) coverage(q *result.Quality, past []Point) []observation {
	if q.Coverage == nil || !r.enough(q.Predictions) {
		return nil
	}
	labels := min(q.Labels, q.Predictions)
	value, upper := float64(labels)/float64(q.Predictions), 1-wilsonLower(q.Predictions-labels, q.Predictions)
	says := fmt.Sprintf("%d of %d predictions have a label %s after the window: %s", labels, q.Predictions, after(q.Maturity), percent(value))
	if !r.Relative {
		return []observation{{
			segment: "", feature: "", role: "", hit: upper < r.Threshold, clear: 1-value < r.Clear*(1-r.Threshold) || value >= 1, value: value, threshold: r.Threshold,
			unit: "label coverage", reasons: []string{fmt.Sprintf("%s, the bound is %s", says, percent(r.Threshold))},
		}}
	}
	if len(past) < minThroughputN {
		return nil
	}
	shares := make([]float64, 0, len(past))
	for _, p := range past {
		shares = append(shares, float64(p.Bad)/float64(max(p.Total, 1)))
	}
	slices.Sort(shares)
	before := shares[len(shares)/2]
	if before == 0 {
		return nil // none came: nothing can become less
	}
	drop := max(0, 1-value/before)
	return []observation{{
		segment: "", feature: "", role: "", hit: upper < (1-r.Threshold)*before, clear: drop < r.Clear*r.Threshold, value: drop, threshold: r.Threshold,
		unit: "drop of the label coverage", reasons: []string{fmt.Sprintf("%s, usual are %s (median of the %d windows before)", says, percent(before), len(past))},
	}}
}

// readQuality returns the value that a document has of the rule's series.
func (r *Rule) readQuality(q *result.Quality) []seriesValue {
	m, ok := metricOf(r.measured(q), strings.TrimPrefix(r.Change.Series, seriesOfQuality))
	if !ok || !r.enough(m.N) {
		return nil
	}
	return []seriesValue{{feature: "", role: "", value: *m.Value}}
}

// AbsentQuality is Absent for what looks at quality: present are the versions that had documents of a window at a maturity, of which all is the
// one of all versions together.
func (b *Book) AbsentQuality(all *result.Quality, present []string, rules []Rule) []result.Transition {
	if all.Window.End%all.Window.Size != 0 || all.Predictions+all.Labels == 0 {
		return nil
	}
	return b.absent(standing(all), present, rules, func(r *Rule) bool { return r.OfQuality() && r.matures(all.Maturity, all.Final) })
}

// after says how long after a window its labels were waited for.
func after(maturity int64) string {
	d := duration(maturity)
	if day := 24 * time.Hour; d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}
