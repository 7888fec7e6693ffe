package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// kl is the Kullback-Leibler divergence of the current bins from the reference's: what is lost by taking the reference for now.
//
// Formula: Σ c' ln(c'/r') with smoothed proportions, see stat.KL. Range [0, ∞) with pseudo-counts; nats. With a floor, whose
// proportions do not add up to one, values slightly below 0 occur. It has no p-value.
// Special cases: either side empty: null.
// Cost: one pass over the bins.
// Reference: S. Kullback, R. A. Leibler, On information and sufficiency, 1951.
func kl() Spec {
	return Spec{
		Name: "kl", Kinds: bothKinds(), Doc: "docs/statistics.md#kl", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.KL(in.RefBins, in.CurBins, in.smoothing())
			return value(v, "kl has no p-value")
		},
	}
}

// klReverse is kl in the other direction, Σ r' ln(r'/c'); their sum is psi.
func klReverse() Spec {
	return Spec{
		Name: "kl_reverse", Kinds: bothKinds(), Doc: "docs/statistics.md#kl", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.KL(in.CurBins, in.RefBins, in.smoothing())
			return value(v, "kl_reverse has no p-value")
		},
	}
}
