package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// lInfinity is the largest change of the share of one bin.
//
// Formula: max |r' - c'| with raw proportions, see stat.LInfinity. Range [0, 1]. It has no p-value.
// Special cases: either side empty: null.
// Cost: one pass over the bins.
// Reference: TensorFlow Data Validation uses it for categorical features.
func lInfinity() Spec {
	return Spec{
		Name: "l_infinity", Kinds: bothKinds(), Doc: "docs/statistics.md#l_infinity", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.LInfinity(in.RefBins, in.CurBins)
			return value(v, "l_infinity has no p-value")
		},
	}
}
