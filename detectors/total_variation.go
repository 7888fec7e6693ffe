package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// totalVariation is the total variation distance of the bins: the share of values that would have to change their bin.
//
// Formula: ½ Σ |r' - c'| with raw proportions, see stat.TotalVariation. Range [0, 1]: 0 for equal proportions, 1 for disjoint ones. It has no p-value.
// Special cases: either side empty: null.
// Cost: one pass over the bins.
// Reference: D. A. Levin, Y. Peres, Markov Chains and Mixing Times, 2017, section 4.1.
func totalVariation() Spec {
	return Spec{
		Name: "total_variation", Kinds: bothKinds(), Doc: "docs/statistics.md#total_variation", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.TotalVariation(in.RefBins, in.CurBins)
			return value(v, "total_variation has no p-value")
		},
	}
}
