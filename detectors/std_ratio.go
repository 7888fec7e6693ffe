package detectors

import (
	"math"

	"github.com/driftd/driftd/result"
)

// stdRatio is how much wider the values spread.
//
// Formula: the window's standard deviation over the reference's (divisors n - 1 and m - 1). Unit: none. Range [0, ∞); Baseline is 1. It
// has no p-value: the classical F-test holds for normal distributions only, and is wrong for all others at any n.
// Special cases: fewer than 2 values on a side, a reference without spread, or an overflow: null.
// Cost: two divisions of exact sums.
func stdRatio() Spec {
	return Spec{
		Name: "std_ratio", Kinds: numericOnly(), Doc: "docs/statistics.md#std_ratio", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			if in.M() < 2 || in.N() < 2 {
				return null("needs 2 values on either side")
			}
			ref, cur := in.basis.moments, in.moments
			if !ref.spread || !cur.spread || ref.variance == 0 {
				return null("a standard deviation overflows, or the reference's is 0")
			}
			s := value(math.Sqrt(cur.variance)/math.Sqrt(ref.variance), "std_ratio has no p-value")
			one := 1.0
			s.Baseline = &one
			return s
		},
	}
}
