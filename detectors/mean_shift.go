package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// meanShift is how far the mean moved (H₀ of its p-value: both populations have the same mean, whatever their variances).
//
// Formula: (mean(window) - mean(reference))/σ, σ the reference's standard deviation (divisor m). Unit: none. Range: all numbers, positive
// means larger; its size is at most wasserstein_normed.
// p-value: Welch's t-test, two-sided, see stat.Welch. Minimum: 2 values a side for p, and tails that let means be nearly normal.
// Special cases: either side empty, a reference without spread, or an overflow: null; constant sides or one value: no p.
// Cost: two divisions of exact sums: order, splits and offsets of the values do not matter.
// Reference: B. L. Welch, The generalization of Student's problem …, 1947.
func meanShift() Spec {
	return Spec{
		Name: "mean_shift", Kinds: numericOnly(), Doc: "docs/statistics.md#mean_shift", Rate: NotARate, sums: sumMeans,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			d, ok := in.moved, in.movedOK
			if !ok {
				return null("the difference of the means overflows")
			}
			std, ok := in.refStd()
			if !ok {
				return null("the reference's standard deviation is 0 or overflows")
			}
			v1, v2 := in.basis.moments, in.moments
			if !v1.spread || !v2.spread {
				return value(d/std, "the t-test needs 2 values on either side, and variances that do not overflow")
			}
			_, _, p, ok := stat.Welch(in.N(), d, v2.variance, in.M(), 0, v1.variance)
			if !ok {
				return value(d/std, "the t-test needs some variance")
			}
			return valueP(d/std, p)
		},
	}
}
