// Package ab compares two versions, A and B, by samples whose sizes were decided beforehand: proportions, means, and whether the traffic was
// split as it should have been. Differences are B - A and tests are two-sided. What may be read at every window is in package sequential.
package ab

import (
	"errors"
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// Arm is one side of a comparison of proportions. Successes is at most Trials.
type Arm struct{ Successes, Trials uint64 }

// Proportions is what two proportions say about each other; nil is what does not exist.
type Proportions struct {
	RateA, RateB *float64 // nil where a side is empty: there is nothing to compare

	// Difference is RateB - RateA with Newcombe's interval, and the p-value of the z-test where every cell of the table expects at
	// least 5, else of Fisher's exact test.
	Difference stat.Estimate

	Z, PZ                 *float64 // the pooled two-proportion z-test; nil where none or all succeeded on both sides
	ChiSquare, PChiSquare *float64 // Pearson's χ² of the table, the square of Z
	Yates, PYates         *float64 // χ² with Yates' correction for continuity
	PFisher               *float64 // Fisher's exact test
	Wald                  *stat.Interval
}

// CompareProportions compares two proportions. level is that of the intervals, such as 0.95.
//
// Reference: stat.TwoProportionsZ, stat.FisherExact, stat.Newcombe; F. Yates, Contingency tables involving small numbers and the χ²
// test, 1934. Special cases: an empty side leaves nothing; none or all on both sides leave Fisher's p (1) and the intervals.
func CompareProportions(a, b Arm, level float64) Proportions {
	var out Proportions
	out.Difference = stat.Missing("a side without events has no rate")
	if a.Trials == 0 || b.Trials == 0 {
		return out
	}
	rateA, rateB := float64(a.Successes)/float64(a.Trials), float64(b.Successes)/float64(b.Trials)
	d := rateB - rateA
	out.RateA, out.RateB = &rateA, &rateB
	out.Difference = stat.Estimate{Value: &d, Lower: nil, Upper: nil, PValue: nil, Reason: ""}
	if i, ok := stat.Newcombe(a.Successes, a.Trials, b.Successes, b.Trials, level); ok {
		out.Difference.Lower, out.Difference.Upper = &i.Lower, &i.Upper
	}
	if p, ok := stat.TwoProportions(a.Successes, a.Trials, b.Successes, b.Trials); ok {
		out.Difference.PValue = &p
	}
	if i, ok := stat.Wald(a.Successes, a.Trials, b.Successes, b.Trials, level); ok {
		out.Wald = &i
	}
	fisher := stat.FisherExact(a.Successes, a.Trials, b.Successes, b.Trials)
	out.PFisher = &fisher
	if z, p, ok := stat.TwoProportionsZ(a.Successes, a.Trials, b.Successes, b.Trials); ok {
		square, same := z*z, p
		yates := yates(a, b)
		tail := stat.ChiSquareSF(yates, 1)
		out.Z, out.PZ, out.ChiSquare, out.PChiSquare, out.Yates, out.PYates = &z, &p, &square, &same, &yates, &tail
	}
	return out
}

// yates is Σ (|o-e| - ½)²/e over the four cells. They all are |D|/N from what they expect, D the determinant of the table, and the
// correction takes no more than that away.
func yates(a, b Arm) float64 {
	x, n, y, m := float64(a.Successes), float64(a.Trials), float64(b.Successes), float64(b.Trials)
	all, success := n+m, x+y
	off := math.Abs(x*(m-y)-y*(n-x)) / all
	off -= min(0.5, off)
	return off * off * all * (1/success + 1/(all-success)) * (1/n + 1/m)
}

// Moments describe one side of a comparison of means.
type Moments struct {
	Count    uint64
	Mean     float64
	Variance float64 // divisor Count - 1
}

// Means is what two means say about each other.
type Means struct {
	Difference stat.Estimate // B - A, with the interval and the p-value of Welch's test
	T, DF      *float64      // Welch's statistic and its degrees of freedom
}

// CompareMeans compares two means by Welch's t-test, see stat.Welch. level is that of the interval.
//
// Special cases: an empty side leaves nothing; fewer than two values a side, or no variance at all, leave the difference alone.
func CompareMeans(a, b Moments, level float64) Means {
	if a.Count == 0 || b.Count == 0 {
		return Means{Difference: stat.Missing("a side without values has no mean"), T: nil, DF: nil}
	}
	d := b.Mean - a.Mean
	out := Means{Difference: stat.Estimate{Value: &d, Lower: nil, Upper: nil, PValue: nil, Reason: ""}, T: nil, DF: nil}
	t, df, p, ok := stat.Welch(b.Count, b.Mean, b.Variance, a.Count, a.Mean, a.Variance)
	if !ok {
		out.Difference.Reason = "a test of means needs two values a side, and values that differ"
		return out
	}
	out.T, out.DF, out.Difference.PValue = &t, &df, &p
	if i, ok := stat.WelchInterval(a.Count, a.Mean, a.Variance, b.Count, b.Mean, b.Variance, level); ok {
		out.Difference.Lower, out.Difference.Upper = &i.Lower, &i.Upper
	}
	return out
}

// Ratio is whether traffic was split as it should have been.
type Ratio struct {
	ChiSquare, PValue *float64
	DoF               int
	Reason            string // why there is no test
}

// ErrWeights says that the weights of a split are none.
var ErrWeights = errors.New("weights must be positive numbers, one for each of at least two counts")

// SampleRatio tests whether counts have the ratios of weights: a sample ratio mismatch means that the comparison itself is broken, so
// that no difference of it can be believed.
//
// H₀: each event went to side i with probability wᵢ/Σw, independently of all others. Formula: χ² = Σ (o-e)²/e, one degree of freedom less
// than there are sides. Take a small level for it, such as 0.001. Special cases: no events give no test.
// Reference: K. Pearson 1900; A. Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments, KDD 2019.
func SampleRatio(counts []uint64, weights []float64) (Ratio, error) {
	if len(counts) < 2 || len(counts) != len(weights) {
		return Ratio{}, fmt.Errorf("%w: %d counts, %d weights", ErrWeights, len(counts), len(weights))
	}
	var share float64
	for _, w := range weights {
		if !(w > 0) || math.IsInf(w, 0) {
			return Ratio{}, fmt.Errorf("%w: got %v", ErrWeights, w)
		}
		share += w
	}
	if math.IsInf(share, 0) {
		return Ratio{}, fmt.Errorf("%w: their sum overflows", ErrWeights)
	}
	all := float64(stat.Total(counts))
	if all == 0 {
		return Ratio{ChiSquare: nil, PValue: nil, DoF: 0, Reason: "no events to compare"}, nil
	}
	var x float64
	for i, c := range counts {
		e := all * weights[i] / share
		x += float64((float64(c) - e) * (float64(c) - e) / e)
	}
	p := stat.ChiSquareSF(x, len(counts)-1)
	return Ratio{ChiSquare: &x, PValue: &p, DoF: len(counts) - 1, Reason: ""}, nil
}
