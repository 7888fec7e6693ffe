package stat

import (
	"math"
	"slices"
)

// ScoreGroup counts the rows of both classes in one cell of scores. Groups are in the order of the scores, from the smallest.
type ScoreGroup struct {
	Negative, Positive uint64
	Tied               bool // all have one score; else their order is not known
}

// Enclosed is a value and the bounds between which it certainly lies.
type Enclosed struct{ Value, Least, Most float64 }

// ROC is the area under the ROC curve, with its variance.
type ROC struct {
	Enclosed

	Variance           float64
	Negative, Positive uint64
}

// NewROC takes the area under the ROC curve: the probability that a row of the positive class has a higher score than one of the negative
// class, equal scores counting half.
//
// Formula: Mann and Whitney's U over n₀·n₁; the variance is DeLong's, S₁₀/n₁ + S₀₁/n₀ with the sample variances of the rows' placements.
// Rows of both classes inside one group that is not tied count half in the value, and all or nothing in the bounds.
// Special cases: false where a class has no rows. The variance of a class of one row is taken as 0.
// Cost: one pass over the groups.
// Reference: E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
// characteristic curves, 1988.
func NewROC(groups []ScoreGroup) (r ROC, ok bool) {
	for _, g := range groups {
		r.Negative += g.Negative
		r.Positive += g.Positive
	}
	if r.Negative == 0 || r.Positive == 0 {
		return r, false
	}
	n0, n1 := float64(r.Negative), float64(r.Positive)
	var below, u, least, most float64
	for _, g := range groups {
		b, a := float64(g.Negative), float64(g.Positive)
		u += a * (below + b/2)
		if g.Tied {
			least += a * (below + b/2)
			most += a * (below + b/2)
		} else {
			least += a * below
			most += a * (below + b)
		}
		below += b
	}
	pairs := n0 * n1
	r.Value = min(u/pairs, 1)
	r.Least, r.Most = min(least/pairs, r.Value), max(min(most/pairs, 1), r.Value)
	var s10, s01 float64
	below, above := 0.0, n1
	for _, g := range groups {
		b, a := float64(g.Negative), float64(g.Positive)
		above -= a
		d10, d01 := (below+b/2)/n0-r.Value, (above+a/2)/n1-r.Value
		s10 += a * d10 * d10
		s01 += b * d01 * d01
		below += b
	}
	if n1 > 1 {
		r.Variance += s10 / (n1 - 1) / n1
	}
	if n0 > 1 {
		r.Variance += s01 / (n0 - 1) / n0
	}
	return r, true
}

// Interval is the 95 % confidence interval of the value: of its logarithmic odds by the delta method, so that it stays in [0, 1]. Where
// the variance says nothing (the classes are separated, or one of them has a single row) it is Newcombe's, which inverts Hanley
// and McNeil's variance at the ends.
//
// References: M. S. Pepe, The Statistical Evaluation of Medical Tests for Classification and Prediction, 2003 (section 5.2);
// R. G. Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2, 2006 (method 5);
// J. A. Hanley, B. J. McNeil, The meaning and use of the area under a receiver operating characteristic (ROC) curve, 1982.
func (r ROC) Interval() Interval {
	if odds := r.Value * (1 - r.Value); r.Variance > 0 && odds > 0 && r.Negative > 1 && r.Positive > 1 {
		half := Z95 * math.Sqrt(r.Variance) / odds
		return logistic(r.Value, half)
	}
	n0, n1 := float64(r.Negative), float64(r.Positive)
	inside := func(theta float64) bool {
		v := theta * (1 - theta) * (1 + ((n0+n1)/2-1)*((1-theta)/(2-theta)+theta/(1+theta))) / (n0 * n1)
		d := r.Value - theta
		return d*d <= Z95*Z95*v
	}
	return Interval{edge(inside, r.Value, 0), edge(inside, r.Value, 1)}
}

// edge returns the last point on the way from value, which is inside, to the end of the range that is inside too.
func edge(inside func(float64) bool, value, end float64) float64 {
	in, out := value, end
	for range 60 {
		middle := in/2 + out/2
		if inside(middle) {
			in = middle
		} else {
			out = middle
		}
	}
	return in
}

// logistic is the interval of p whose logarithmic odds reach half as far to both sides.
func logistic(p, half float64) Interval {
	z := math.Log(p / (1 - p))
	return Interval{1 / (1 + math.Exp(half-z)), 1 / (1 + math.Exp(-half-z))}
}

// AveragePrecision is the sum over the distinct scores, from the highest, of the recall gained times the precision there: no
// interpolation.
//
// Range [0, 1]; its level by chance is the share of positives. A group that is not tied counts as tied in the value; in the
// bounds its positives come first, or last, one by one.
// Special cases: false without positives. Cost: one pass over the groups.
// Reference: scikit-learn, average_precision_score.
func AveragePrecision(groups []ScoreGroup) (e Enclosed, positives uint64, ok bool) {
	for _, g := range groups {
		positives += g.Positive
	}
	if positives == 0 {
		return e, 0, false
	}
	var tp, fp, value, least, most float64
	for _, g := range slices.Backward(groups) {
		b, a := float64(g.Negative), float64(g.Positive)
		if a > 0 {
			tied := a * ((tp + a) / (tp + a + fp + b))
			value += tied
			if g.Tied {
				least += tied
				most += tied
			} else {
				least += last(tp, fp+b, a)
				most += a * ((tp + a) / (tp + a + fp)) // as one score above the negatives: precision only grows on the way
			}
		}
		tp += a
		fp += b
	}
	n := float64(positives)
	e.Value = min(value/n, 1)
	e.Least, e.Most = max(min(least/n, e.Value), 0), max(min(most/n, 1), e.Value)
	return e, positives, true
}

// last is Σ (tp+i)/(tp+i+fp) over i = 1 … a, or a little less: a - fp·(H(tp+a+fp) - H(tp+fp)), whose difference of harmonic numbers
// is below the logarithm of the quotient of their middles.
func last(tp, fp, a float64) float64 {
	if fp == 0 {
		return a
	}
	return max(a-fp*math.Log1p(a/(tp+fp+0.5)), 0)
}

// AveragePrecisionInterval is the 95 % interval of an average precision of that many positives: binomial on the scale of logarithmic odds,
// and Wilson's where the value is 0 or 1.
//
// Reference: K. Boyd, K. H. Eng, C. D. Page, Area under the precision-recall curve: point estimates and confidence intervals, 2013
// (logit interval).
func AveragePrecisionInterval(value float64, positives uint64) Interval {
	if odds := value * (1 - value); odds > 0 {
		return logistic(value, Z95/math.Sqrt(float64(positives)*odds))
	}
	i, _ := Wilson(uint64(value)*positives, positives, 0.95)
	return i
}
