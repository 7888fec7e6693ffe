package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// hellinger is the Hellinger distance of the bins: a bounded metric that weighs changes of rare bins more than total_variation does.
//
// Formula: sqrt(½ Σ (√r' - √c')²) with raw proportions, see stat.Hellinger. Range [0, 1]: 0 for equal proportions, 1 for disjoint ones. It has no p-value.
// Special cases: either side empty: null.
// Cost: one pass over the bins.
// Reference: E. Hellinger, 1909.
func hellinger() Spec {
	return Spec{
		Name: "hellinger", Kinds: bothKinds(), Doc: "docs/statistics.md#hellinger", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.Hellinger(in.RefBins, in.CurBins)
			return value(v, "hellinger has no p-value")
		},
	}
}
