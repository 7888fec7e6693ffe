package quality

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// Why a metric has no value.
const (
	reasonNoRows      = "no labelled prediction"
	reasonNoScores    = "no labelled prediction has a score"
	reasonNoPositives = "no label is of the class"
	reasonNoNegatives = "every label is of the class"
	reasonNoPredicted = "nothing was predicted to be of the class"
	reasonOneClass    = "labels or predictions are of one class only"
	reasonOverflow    = "the numbers are too large for a float64"
)

// Evaluate returns the metrics of the labelled rows, in an order that depends on the task only. One that does not exist is null with
// a reason.
func Evaluate(c *Counts) []result.Metric {
	switch c.spec.task {
	case Regression:
		return c.evaluateRegression()
	case Multiclass:
		return c.evaluateMulticlass()
	case Binary:
	}
	return c.evaluateBinary()
}

// unit is the range of a rate, positive that of a loss, everything that of a difference; unknown is no interval.
func unit() stat.Interval       { return stat.Interval{Lower: 0, Upper: 1} }
func positive() stat.Interval   { return stat.Interval{Lower: 0, Upper: math.Inf(1)} }
func everything() stat.Interval { return stat.Interval{Lower: math.Inf(-1), Upper: math.Inf(1)} }
func unknown() stat.Interval    { return stat.Interval{Lower: math.NaN(), Upper: math.NaN()} }

func null(name, class string, n uint64, reason string) result.Metric {
	return result.Metric{Name: name, Class: class, N: n, Value: nil, Lower: nil, Upper: nil, Least: nil, Most: nil, Reason: reason}
}

// metric is a metric with its interval, which is made to hold the value and kept in its range. Numbers that are not finite do not
// exist.
func metric(name, class string, n uint64, value float64, interval, within stat.Interval) result.Metric {
	if !finite(value) {
		return null(name, class, n, reasonOverflow)
	}
	m := null(name, class, n, "")
	m.Value = &value
	lower, upper := min(interval.Lower, value), max(interval.Upper, value)
	if finite(lower) && finite(upper) {
		lower, upper = max(lower, min(within.Lower, value)), min(upper, max(within.Upper, value))
		m.Lower, m.Upper = &lower, &upper
	}
	return m
}

// enclosed is a metric whose value is only enclosed: the bounds are given where they differ, and widen the interval.
func enclosed(name, class string, n uint64, e stat.Enclosed, interval, within stat.Interval) result.Metric {
	interval.Lower -= e.Value - e.Least
	interval.Upper += e.Most - e.Value
	m := metric(name, class, n, e.Value, interval, within)
	if m.Value != nil && e.Least < e.Most {
		m.Least, m.Most = &e.Least, &e.Most
	}
	return m
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// wilson is the score interval of k of n; of nothing it is [0, 1].
func wilson(k, n uint64) stat.Interval {
	if i, ok := stat.Wilson(k, n, 0.95); ok {
		return i
	}
	return unit()
}

// rate is k of n with Wilson's interval.
func rate(name, class string, k, n uint64, none string) result.Metric {
	if n == 0 {
		return null(name, class, n, none)
	}
	return metric(name, class, n, float64(k)/float64(n), wilson(k, n), unit())
}

// tally is the confusion of one class with all others.
type tally struct{ tp, fp, fn, tn uint64 }

func (t tally) n() uint64 { return t.tp + t.fp + t.fn + t.tn }

// f1 is 2tp/(2tp+fp+fn) = 2J/(1+J) of J = tp/(tp+fp+fn), which is a rate and has Wilson's interval; ends map to ends.
func (t tally) f1() (value float64, interval stat.Interval, ok bool) {
	n := t.tp + t.fp + t.fn
	if n == 0 {
		return 0, unit(), false
	}
	ofJaccard := func(j float64) float64 { return 2 * j / (1 + j) }
	i := wilson(t.tp, n)
	value = 2 * float64(t.tp) / (2*float64(t.tp) + float64(t.fp) + float64(t.fn))
	return value, stat.Interval{Lower: ofJaccard(i.Lower), Upper: ofJaccard(i.Upper)}, true
}

func (c *Counts) evaluateBinary() []result.Metric {
	t := tally{tn: c.confusion[0], fp: c.confusion[1], fn: c.confusion[2], tp: c.confusion[3]}
	n := t.n()
	none := func(reason string) string {
		if n == 0 {
			return reasonNoRows
		}
		return reason
	}
	balanced := null("balanced_accuracy", "", n, none(noBothClasses(t)))
	if t.tp+t.fn > 0 && t.tn+t.fp > 0 {
		balanced = meanRate("balanced_accuracy", n, []uint64{t.tn, t.tp}, []uint64{t.tn + t.fp, t.tp + t.fn})
	}
	f1 := null("f1", "", n, none("no label and no prediction is of the class"))
	if v, i, ok := t.f1(); ok {
		f1 = metric("f1", "", t.tp+t.fp+t.fn, v, i, unit())
	}
	groups := c.sets[0].groups()
	return append([]result.Metric{
		rate("accuracy", "", t.tp+t.tn, n, reasonNoRows),
		balanced,
		rate("precision", "", t.tp, t.tp+t.fp, none(reasonNoPredicted)),
		rate("recall", "", t.tp, t.tp+t.fn, none(reasonNoPositives)),
		rate("specificity", "", t.tn, t.tn+t.fp, none(reasonNoNegatives)),
		f1,
		c.matthews(),
		c.rocAUC("", groups),
		c.averagePrecision("", groups),
	}, c.losslike()...)
}

func noBothClasses(t tally) string {
	if t.tp+t.fn == 0 {
		return reasonNoPositives
	}
	return reasonNoNegatives
}

// meanRate is the mean of rates of independent groups, by Wilson's intervals and their combination.
func meanRate(name string, n uint64, ks, ns []uint64) result.Metric {
	weights, values, intervals := make([]float64, len(ks)), make([]float64, len(ks)), make([]stat.Interval, len(ks))
	mean := 0.0
	for i := range ks {
		weights[i] = 1 / float64(len(ks))
		values[i] = float64(ks[i]) / float64(ns[i])
		intervals[i] = wilson(ks[i], ns[i])
		mean += values[i]
	}
	return metric(name, "", n, mean/float64(len(ks)), stat.Mover(weights, values, intervals), unit())
}

func (c *Counts) matthews() result.Metric {
	n := stat.Total(c.confusion)
	switch m, ok := stat.Matthews(c.confusion, c.width()); {
	case n == 0:
		return null("mcc", "", n, reasonNoRows)
	case !ok:
		return null("mcc", "", n, reasonOneClass)
	default:
		i, known := stat.MatthewsInterval(c.confusion, c.width())
		if !known {
			i = unknown()
		}
		return metric("mcc", "", n, m, i, stat.Interval{Lower: -1, Upper: 1})
	}
}

// groups are the labelled score cells of the class, from the smallest score.
func (s *scoreSet) groups() []stat.ScoreGroup {
	var out []stat.ScoreGroup
	for p := range cells.Walk(s.negative, s.positive) {
		out = append(out, stat.ScoreGroup{Negative: p.Ref, Positive: p.Cur, Tied: p.Point})
	}
	return out
}

func (c *Counts) rocAUC(class string, groups []stat.ScoreGroup) result.Metric {
	const name = "roc_auc"
	r, ok := stat.NewROC(groups)
	n := r.Negative + r.Positive
	switch {
	case n == 0:
		return null(name, class, n, c.noScores())
	case r.Positive == 0:
		return null(name, class, n, reasonNoPositives)
	case !ok:
		return null(name, class, n, reasonNoNegatives)
	}
	return enclosed(name, class, n, r.Enclosed, r.Interval(), unit())
}

func (c *Counts) averagePrecision(class string, groups []stat.ScoreGroup) result.Metric {
	const name = "average_precision"
	e, positives, ok := stat.AveragePrecision(groups)
	switch {
	case c.scored == 0:
		return null(name, class, 0, c.noScores())
	case !ok:
		return null(name, class, c.scored, reasonNoPositives)
	}
	return enclosed(name, class, c.scored, e, stat.AveragePrecisionInterval(e.Value, positives), unit())
}

func (c *Counts) noScores() string {
	if stat.Total(c.confusion) == 0 {
		return reasonNoRows
	}
	return reasonNoScores
}

// losslike are the metrics of probabilities: null where one of the scores is none.
func (c *Counts) losslike() []result.Metric {
	reason := ""
	switch {
	case c.scored == 0:
		reason = c.noScores()
	case c.outside > 0:
		reason = fmt.Sprintf("%d of %d rows have a score outside [0, 1]", c.outside, c.scored)
	}
	if reason != "" {
		n := c.scored - c.outside
		return []result.Metric{
			null("log_loss", "", n, reason), null("brier", "", n, reason), null("ece", "", n, reason), null("mce", "", n, reason),
		}
	}
	most := 1.0
	if c.spec.task == Multiclass {
		most = 2 // one class has all, another one is right
	}
	return append([]result.Metric{
		mean("log_loss", c.losses, &c.logLoss.sum, &c.logLoss.squares, positive(), "no label is of a tracked class"),
		mean("brier", c.losses, &c.brier.sum, &c.brier.squares, stat.Interval{Lower: 0, Upper: most}, "no label is of a tracked class"),
	}, c.calibrationErrors()...)
}

// mean is the mean of n numbers with the normal interval: mean ± z·s/√n, s from the exact sums.
func mean(name string, n uint64, sum, squares *exact.Sum, within stat.Interval, none string) result.Metric {
	if n == 0 {
		return null(name, "", 0, none)
	}
	value, ok := exact.Mean(sum, n)
	if !ok {
		return null(name, "", n, reasonOverflow)
	}
	return metric(name, "", n, value, normal(value, n, sum, squares), within)
}

// normal is the normal interval of a mean, NaN where there is none.
func normal(value float64, n uint64, sum, squares *exact.Sum) stat.Interval {
	_, variance, ok := exact.MeanVariance(sum, squares, n, 1)
	if !ok {
		return unknown()
	}
	half := stat.Z95 * math.Sqrt(variance/float64(n))
	return stat.Interval{Lower: value - half, Upper: value + half}
}

// calibrationErrors are the expected and the largest calibration error over the bins.
//
// With the gap gᵦ = |mean p - mean y| of bin b and its standard error sᵦ = √(mean (p-y)²/nᵦ), ece = Σ nᵦ/n·gᵦ has the standard
// error √Σ(nᵦ/n·sᵦ)². It is biased upwards: scores that are calibrated have about Σ nᵦ/n·sᵦ·√(2/π), not 0, so the lower end of the
// interval is that much lower. mce is the largest gᵦ; its interval holds all gaps at once (Bonferroni).
func (c *Counts) calibrationErrors() []result.Metric {
	var n, used uint64
	for i := range c.bins {
		n += c.bins[i].n
		if c.bins[i].n > 0 {
			used++
		}
	}
	if n == 0 {
		reason := "no prediction is of a tracked class"
		return []result.Metric{null("ece", "", 0, reason), null("mce", "", 0, reason)}
	}
	all := float64(n)
	z := math.Sqrt2 * math.Erfinv(1-0.05/float64(used))
	var ece, chance, variance, mce float64
	largest := stat.Interval{Lower: 0, Upper: 0}
	for i := range c.bins {
		b := &c.bins[i]
		if b.n == 0 {
			continue
		}
		difference := b.sum.Clone()
		var positives exact.Sum
		positives.Add(float64(b.positive))
		difference.Subtract(&positives)
		d, _ := difference.Float64()
		r, _ := b.residual.Float64()
		size := float64(b.n)
		gap, se := math.Abs(d)/size, math.Sqrt(max(r, 0))/size
		ece += math.Abs(d) / all
		chance += size / all * se * math.Sqrt(2/math.Pi)
		variance += (size / all * se) * (size / all * se)
		mce = max(mce, gap)
		largest.Lower, largest.Upper = max(largest.Lower, gap-z*se), max(largest.Upper, gap+z*se)
	}
	half := stat.Z95 * math.Sqrt(variance)
	return []result.Metric{
		metric("ece", "", n, ece, stat.Interval{Lower: ece - chance - half, Upper: ece + half}, unit()),
		metric("mce", "", n, mce, largest, unit()),
	}
}

// ReliabilityBin is one calibration bin: of the probability of the positive class, or of the predicted one among several.
type ReliabilityBin struct {
	Lower, Upper float64 // of the probability
	N, Positive  uint64  // labelled rows, and those where the class came true
	Mean         float64 // of the probability; 0 where N is 0
}

// Reliability returns the calibration bins, nil for a regression.
func (c *Counts) Reliability() []ReliabilityBin {
	out := make([]ReliabilityBin, 0, len(c.bins))
	for i := range c.bins {
		b, k := &c.bins[i], float64(len(c.bins))
		m, _ := exact.Mean(&b.sum, b.n)
		out = append(out, ReliabilityBin{Lower: float64(i) / k, Upper: float64(i+1) / k, N: b.n, Positive: b.positive, Mean: m})
	}
	return out
}

// Other is the name of the classes that are not tracked.
const Other = "other"

// Confusion returns the classes (of a multiclass task with `other` as the last one) and the matrix of counts: rows are labels, columns
// predictions. Both are nil for a regression.
func (c *Counts) Confusion() (classes []string, matrix [][]uint64) {
	if c.spec.task == Regression {
		return nil, nil
	}
	classes = append(classes, c.spec.classes...)
	if c.spec.task == Multiclass {
		classes = append(classes, Other)
	}
	k := c.width()
	for i := range k {
		matrix = append(matrix, append([]uint64(nil), c.confusion[i*k:(i+1)*k]...))
	}
	return classes, matrix
}

// Difference returns current less reference, two metrics of equal name and class over different rows, with its interval (MOVER). Where that
// does not hold 0, the change is more than chance. It is null where either has no value or no interval.
func Difference(current, reference result.Metric) result.Metric {
	out := null(current.Name, current.Class, current.N, "")
	switch {
	case current.Value == nil:
		out.Reason = current.Reason
	case reference.Value == nil:
		out.Reason = "reference: " + reference.Reason
	case current.Lower == nil || current.Upper == nil || reference.Lower == nil || reference.Upper == nil:
		out.Reason = "a side has no interval"
	default:
		i := stat.Mover([]float64{1, -1}, []float64{*current.Value, *reference.Value}, []stat.Interval{
			{Lower: *current.Lower, Upper: *current.Upper}, {Lower: *reference.Lower, Upper: *reference.Upper},
		})
		return metric(current.Name, current.Class, current.N, *current.Value-*reference.Value, i, everything())
	}
	return out
}
