package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// js is the Jensen-Shannon distance of the bins: a bounded, symmetric distance that needs no smoothing.
//
// Formula: the square root of the Jensen-Shannon divergence in base 2, see stat.JSDistance. Range [0, 1]: 0 for equal
// proportions, 1 for disjoint ones. It has no p-value.
// Special cases: either side empty: null. Near 0 the absolute precision is about 1e-8: it is the root of a difference.
// Cost: one pass over the bins.
// Reference: J. Lin, Divergence measures based on the Shannon entropy, 1991.
func js() Spec {
	return Spec{
		Name: "js", Kinds: bothKinds(), Doc: "docs/statistics.md#js", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.JSDistance(in.RefBins, in.CurBins)
			return value(v, "js has no p-value")
		},
	}
}
