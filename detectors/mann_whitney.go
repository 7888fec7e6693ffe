package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// mannWhitney is Mann and Whitney's U of the reference (H₀ of its p-value: a value of one side is as often above as below one of the
// other). U/nm is the probability that a reference value is above one of the window, the area under a ROC curve.
//
// Formula: U = Σ over the reference's values of the window's values below, plus half of those that are equal. Range [0, nm];
// Baseline is nm/2, its expectation without drift. Large: the window's values are smaller.
// Special cases: either side empty: null; all values equal: p 1. Ties: half, and in the variance of p at points; equal values of the
// window inside one gap are held distinct there, which makes p conservative.
// Bounds: Lower = Upper where every reference value is a cut point. Above the resolution pairs inside one gap have no known order:
// the value counts them half, and p is that of the U nearest to nm/2.
// Approximation: normal, with continuity correction; good from about 8 values a side.
// Cost: a part of the sweep over the cells, in 128-bit integers.
// Reference: H. B. Mann, D. R. Whitney, On a test of whether one of two random variables …, 1947.
func mannWhitney() Spec {
	return Spec{
		Name: "mann_whitney", Kinds: numericOnly(), Doc: "docs/statistics.md#mann_whitney", Rate: NotARate, sums: sumPairs,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			s := in.sweep
			middle := s.pairs.plus(s.pairsInside)
			last := middle.plus(s.pairsInside)
			expected := multiply(s.m, s.n)
			// All four are twice a U. The nearest to the expectation decides p.
			below, tooHigh := expected.minus(last)
			above, tooLow := s.pairs.minus(expected)
			excess := 0.0
			switch {
			case !tooHigh: // even the last is at most what is expected
				excess = below.float() / 2
			case !tooLow:
				excess = above.float() / 2
			}
			p, _ := stat.MannWhitneyPValue(excess, s.ties, in.M(), in.N())
			st := enclosed(s.pairs.float()/2, middle.float()/2, last.float()/2, &p, "")
			baseline := s.whole / 2
			st.Baseline = &baseline
			return st
		},
	}
}
