package quality

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// Estimation is what the labels of all predictions should say, as long as its assumptions hold: confidence-based performance
// estimation (CBPE). Each prediction is right with a probability that its calibrated score tells; the expected confusion matrix
// and what follows from it are sums over them.
type Estimation struct {
	Predictions uint64          // that the estimate is of
	Left        uint64          // flawless predictions without a probability: they are not in it
	Calibration string          // how scores became probabilities, in words
	Assumptions []string        // what the estimate rests on, in words
	Metrics     []result.Metric // in a fixed order. Lower and Upper are the band that the labels should end up in, in 95 of 100 windows
}

// Assumptions are what an estimate without labels rests on.
func Assumptions() []string {
	return []string{
		"the calibrated score is the probability that the label will say so, for these predictions as for the reference's",
		"so inputs may move, but not what they mean: where the same inputs come to have other labels (concept drift), the estimate does not see it",
		"inputs of a kind that the reference has none of are scored as well as those that it has",
		"labels do not depend on one another, given the scores",
	}
}

// Estimate returns what the labels of all predictions of c should say. It has no metrics for a regression, and null ones where no
// prediction has a probability.
//
// Reference: NannyML, Confidence-based performance estimation (nannyml/performance_estimation/confidence_based).
func Estimate(c *Counts) Estimation {
	if c.spec.task == Regression {
		return Estimation{Predictions: 0, Left: 0, Calibration: "", Assumptions: nil, Metrics: nil}
	}
	e := Estimation{
		Predictions: c.estimable, Left: c.inestimable, Calibration: c.spec.calibrated(), Assumptions: Assumptions(), Metrics: nil,
	}
	if c.spec.task == Binary {
		e.Metrics = c.estimateBinary()
	} else {
		e.Metrics = c.estimateMulticlass()
	}
	return e
}

// calibrated says how scores become probabilities.
func (s *Spec) calibrated() string {
	if len(s.calibrations) == 0 {
		return "the scores are taken as probabilities, unchecked: the reference has no labels"
	}
	fitted := 0
	before, after := 0.0, 0.0
	for _, c := range s.calibrations {
		if c.Method == Isotonic {
			fitted++
		}
		before, after = before+c.Error, after+c.CrossFitted
	}
	n := float64(len(s.calibrations))
	rows := s.calibrations[0].Rows
	judged := fmt.Sprintf("expected calibration error %.4f as they are, %.4f after isotonic regression, cross-fitted on %d labelled rows of the reference", before/n, after/n, rows)
	switch {
	case math.IsNaN(before):
		judged = fmt.Sprintf("they are not in [0, 1]; %d labelled rows of the reference", rows)
	case math.IsNaN(after):
		judged = fmt.Sprintf("the %d labelled rows of the reference are too few, or of one class, to judge", rows)
	}
	switch {
	case fitted == 0:
		return "the scores are probabilities as they are: " + judged
	case len(s.calibrations) == 1:
		return "isotonic regression makes probabilities of the scores: " + judged
	}
	return fmt.Sprintf("isotonic regression makes probabilities of the scores of %d of %d classes: %s", fitted, len(s.calibrations), judged)
}

// inflation is what the reference's own chance adds to the variance of a window of n predictions: calibrated on m rows, the probabilities
// are themselves off by as much as a window of m rows would be.
func (s *Spec) inflation(n uint64) float64 {
	if len(s.calibrations) == 0 || s.calibrations[0].Rows == 0 {
		return 1
	}
	return 1 + float64(n)/float64(s.calibrations[0].Rows)
}

// expected is the expected confusion of one class: sums of probabilities, and the variances of what the labels will make of them.
type expected struct {
	n              uint64
	tp, fp, fn, tn float64
	said, unsaid   float64 // variances of the positives among predictions of the class, and among the others
}

// newExpected takes the sums of the class's probabilities over the predictions of the class, and over all others.
func newExpected(n, predicted uint64, right, wrong *moment) expected {
	e := expected{n: n, tp: read(&right.sum), fn: read(&wrong.sum)}
	e.fp, e.tn = rest(predicted, &right.sum), rest(n-predicted, &wrong.sum)
	e.said, e.unsaid = less(&right.sum, &right.squares), less(&wrong.sum, &wrong.squares)
	return e
}

func read(s *exact.Sum) float64 {
	x, _ := s.Float64()
	return max(x, 0)
}

// rest is n - s, rounded once.
func rest(n uint64, s *exact.Sum) float64 {
	var out exact.Sum
	out.Add(float64(n))
	out.Subtract(s)
	return read(&out)
}

// less is a - b, rounded once.
func less(a, b *exact.Sum) float64 {
	out := a.Clone()
	out.Subtract(b)
	return read(&out)
}

// band is a metric of the class whose value is v and whose derivatives by the positives that the labels will find among the predictions of
// the class, and among the others, are given.
func (e expected) band(name, class string, v, bySaid, byUnsaid, inflation float64, within stat.Interval, none string) result.Metric {
	switch {
	case e.n == 0:
		return null(name, class, 0, "no prediction has a probability")
	case !finite(v): // 0/0
		return null(name, class, e.n, none)
	}
	half := stat.Z95 * math.Sqrt(inflation*(bySaid*bySaid*e.said+byUnsaid*byUnsaid*e.unsaid))
	return metric(name, class, e.n, v, stat.Interval{Lower: v - half, Upper: v + half}, within)
}

func (e expected) precision(class string, inflation float64) result.Metric {
	said := e.tp + e.fp
	return e.band("precision", class, e.tp/said, 1/said, 0, inflation, unit(), reasonNoPredicted)
}

func (e expected) recall(class string, inflation float64) result.Metric {
	p := e.tp + e.fn
	return e.band("recall", class, e.tp/p, e.fn/p/p, -e.tp/p/p, inflation, unit(), "no label is expected to be of the class")
}

func (e expected) f1(class string, inflation float64) result.Metric {
	d := 2*e.tp + e.fp + e.fn
	v := 2 * e.tp / d
	return e.band("f1", class, v, (2-v)/d, -v/d, inflation, unit(), "no label and no prediction is of the class")
}

func (e expected) metrics(inflation float64, roc result.Metric) []result.Metric {
	n := float64(e.n)
	count := func(name string, v, said, unsaid float64) result.Metric {
		return e.band(name, "", v, said, unsaid, inflation, stat.Interval{Lower: 0, Upper: n}, "")
	}
	negatives := e.tn + e.fp
	return []result.Metric{
		count("true_positives", e.tp, 1, 0), count("false_positives", e.fp, 1, 0),
		count("false_negatives", e.fn, 0, 1), count("true_negatives", e.tn, 0, 1),
		e.band("accuracy", "", (e.tp+e.tn)/n, 1/n, 1/n, inflation, unit(), ""),
		e.precision("", inflation), e.recall("", inflation),
		// A positive more among the predictions of the class is a false positive less; one among the others is a true negative less.
		e.band("specificity", "", e.tn/negatives, e.tn/negatives/negatives, -e.fp/negatives/negatives, inflation, unit(),
			"every label is expected to be of the class"),
		e.f1("", inflation), roc,
	}
}

func (c *Counts) estimateBinary() []result.Metric {
	set := &c.sets[0]
	e := newExpected(c.estimable, set.predicted, &set.right, &set.wrong)
	var calibration *Calibration
	if len(c.spec.calibrations) > 0 {
		calibration = &c.spec.calibrations[0]
	}
	groups := weigh(set.all, func(x float64) float64 {
		// A cell may reach beyond the scores that have a probability; what is in it has one.
		p, ok := calibration.Probability(x)
		if !ok {
			p = min(max(x, 0), 1)
		}
		return p
	})
	inflation := c.spec.inflation(c.estimable)
	return e.metrics(inflation, expectedROC("", groups, e, inflation))
}

// weighted is a cell of predictions, each of which is a positive with a probability: the least and the largest of them, and the one taken.
type weighted struct {
	n                  float64
	least, value, most float64
	tied               bool
}

func weigh(all *cells.Counts, probability func(score float64) float64) []weighted {
	var out []weighted
	for p := range cells.Walk(all, all) {
		w := weighted{n: float64(p.Ref), least: probability(p.Lo), value: probability(p.Lo/2 + p.Hi/2), most: probability(p.Hi), tied: p.Point}
		out = append(out, w)
	}
	return out
}

// expectedROC is the area under the ROC curve with every prediction a positive of weight p and a negative of weight 1-p, equal scores
// counting half.
//
// Where a cell holds several scores, its weights are known to an interval and the order inside is not: with p in [a, b] a pair in
// it counts between a(1-b)/2 and b(1-a)/2 on average. The total weights of both sides are known exactly. The band is by the delta method: label i
// moves the area by (weight of negatives below - of positives above)/(PN) - A/P + A/N.
func expectedROC(class string, groups []weighted, e expected, inflation float64) result.Metric {
	const name = "roc_auc"
	p, n := e.tp+e.fn, e.fp+e.tn
	switch {
	case e.n == 0:
		return null(name, class, 0, "no prediction has a probability")
	case p == 0:
		return null(name, class, e.n, "no label is expected to be of the class")
	case n == 0:
		return null(name, class, e.n, "every label is expected to be of the class")
	}
	var u, least, most, below, belowLeast, belowMost, positives float64
	for _, g := range groups {
		inside := g.n * g.n / 2
		u += g.n*g.value*below + inside*g.value*(1-g.value)
		least += g.n*g.least*belowLeast + inside*g.least*(1-g.most)
		most += g.n*g.most*belowMost + inside*g.most*(1-g.least)
		below += g.n * (1 - g.value)
		belowLeast += g.n * (1 - g.most)
		belowMost += g.n * (1 - g.least)
		positives += g.n * g.value
	}
	// The value with the totals of what it takes for the weights: those of the exact sums where all cells are points.
	area := stat.Enclosed{Value: u / (positives * below), Least: max(least/(p*n), 0), Most: min(most/(p*n), 1)}
	if !finite(area.Value) {
		area.Value = area.Least/2 + area.Most/2
	}
	exactly := true
	for _, g := range groups {
		exactly = exactly && g.tied
	}
	area.Value = min(max(area.Value, 0), 1)
	if exactly {
		area.Least, area.Most = area.Value, area.Value // but for rounding
	}
	area.Value = min(max(area.Value, area.Least), area.Most)
	variance, under, over := 0.0, 0.0, positives
	for _, g := range groups {
		negatives := g.n * (1 - g.value)
		over -= g.n * g.value
		d := (under+negatives/2-over-g.n*g.value/2)/(p*n) - area.Value/p + area.Value/n
		variance += g.n * g.value * (1 - g.value) * d * d
		under += negatives
	}
	half := stat.Z95 * math.Sqrt(inflation*variance)
	return enclosed(name, class, e.n, area, stat.Interval{Lower: area.Value - half, Upper: area.Value + half}, unit())
}

func (c *Counts) estimateMulticlass() []result.Metric {
	inflation := c.spec.inflation(c.estimable)
	all := expected{n: c.estimable}
	var of, averaged [4][]result.Metric // precision, recall, f1, roc_auc
	for i := range c.sets {
		set, class := &c.sets[i], c.spec.classes[i]
		e := newExpected(c.estimable, set.predicted, &set.right, &set.wrong)
		all.tp += e.tp
		all.said += e.said
		roc := expectedROC(class, weigh(set.all, func(x float64) float64 { return min(max(x, 0), 1) }), e, inflation)
		for k, m := range []result.Metric{e.precision(class, inflation), e.recall(class, inflation), e.f1(class, inflation), roc} {
			of[k] = append(of[k], m)
			if m.Value == nil && k < 3 && c.estimable > 0 { // in an average 0/0 is 0, and may be anything
				m = metric(m.Name, class, c.estimable, 0, unit(), unit())
			}
			averaged[k] = append(averaged[k], m)
		}
	}
	n := float64(c.estimable)
	out := make([]result.Metric, 0, 1+len(of)*(1+len(c.sets)))
	out = append(out, all.band("accuracy", "", all.tp/n, 1/n, 0, inflation, unit(), ""))
	for k, name := range []string{"macro_precision", "macro_recall", "macro_f1", "macro_roc_auc"} {
		out = append(out, macro(name, c.estimable, averaged[k], "no prediction has a probability"))
	}
	for i := range c.sets {
		for k := range of {
			out = append(out, of[k][i])
		}
	}
	return out
}

// EstimateRow is a prediction of a binary task with its calibrated probability.
type EstimateRow struct {
	Probability float64 // in [0, 1]: that the label is the positive class
	Rank        float64 // what the area under the ROC curve orders by: the score, or the probability itself
	Positive    bool    // the prediction
}

// EstimateRows is Estimate of a sample in which every row has its probability, without cells: exact. The metrics are those of a binary task.
func EstimateRows(rows []EstimateRow) ([]result.Metric, error) {
	var right, wrong moment
	var predicted uint64
	for i, r := range rows {
		if !(r.Probability >= 0 && r.Probability <= 1) || math.IsNaN(r.Rank) {
			return nil, fmt.Errorf("estimating quality: row %d has the probability %v and the rank %v", i, r.Probability, r.Rank)
		}
		if r.Positive {
			predicted++
			right.add(r.Probability)
		} else {
			wrong.add(r.Probability)
		}
	}
	e := newExpected(uint64(len(rows)), predicted, &right, &wrong)
	byRank := slices.Clone(rows)
	slices.SortStableFunc(byRank, func(a, b EstimateRow) int { return cmp.Compare(a.Rank, b.Rank) })
	var groups []weighted
	for i := 0; i < len(byRank); {
		sum, n := 0.0, 0.0
		for k := i; i < len(byRank) && byRank[i].Rank == byRank[k].Rank; i++ {
			sum += byRank[i].Probability
			n++
		}
		groups = append(groups, weighted{n: n, least: sum / n, value: sum / n, most: sum / n, tied: true})
	}
	return e.metrics(1, expectedROC("", groups, e, 1)), nil
}
