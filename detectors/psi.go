package detectors

import (
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// psi is the population stability index of the bins: how far the current proportions are from the reference's, in either
// direction (H₀ of its p-value: both samples have the same bin probabilities).
//
// Formula: Σ (c'-r') ln(c'/r') with smoothed proportions, see stat.PSI. Range [0, ∞), larger is further apart; nats.
// p-value: under H₀ psi/(1/n+1/m) is χ² with B-1 degrees of freedom, B the bins that are not empty on both sides.
// Approximation: good where bins expect 5 or more; sparse tables make it conservative with pseudo-counts.
// Special cases: either side empty: null; one bin: 0 with p 1.
// Cost: one pass over the bins.
// Reference: B. Yurdakul, Statistical properties of population stability index, 2018 (the scaled χ² distribution).
func psi() Spec {
	return Spec{
		Name: "psi", Kinds: bothKinds(), Doc: "docs/statistics.md#psi", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			v, _ := stat.PSI(in.RefBins, in.CurBins, in.smoothing())
			return valueP(v, in.psiPValue(v))
		},
	}
}

// psiDebiased is psi of the judged table without what chance alone adds to it: the statistic that verdicts are taken by.
//
// Formula: psi - (B-1)(1/n+1/m), the expectation of psi under H₀ taken off, B the judged bins that are not empty on both sides. Around 0
// without drift, so it may be negative.
// p-value: χ² of that psi over 1/n+1/m, as psi; the judged bins expect 5 values or more, where it holds.
// Special cases, cost: as psi.
func psiDebiased() Spec {
	return Spec{
		Name: DefaultGate, Kinds: bothKinds(), Doc: "docs/statistics.md#psi_debiased", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			in = in.judged()
			v, _ := stat.PSI(in.RefBins, in.CurBins, in.smoothing())
			return valueP(v-in.bias(), in.psiPValue(v))
		},
	}
}

// bias is what chance alone adds to psi on average.
func (in Input) bias() float64 {
	return float64(float64(stat.Occupied(in.RefBins, in.CurBins)-1) * in.scale())
}

// scale is 1/n + 1/m: the size of what chance does to proportions.
func (in Input) scale() float64 { return 1/float64(in.N()) + 1/float64(in.M()) }

func (in Input) psiPValue(psi float64) float64 {
	return stat.ChiSquareSF(psi/in.scale(), stat.Occupied(in.RefBins, in.CurBins)-1)
}

func (c Config) smoothing() stat.Smoothing {
	if c.Smoothing == SmoothingFloor {
		return stat.Smoothing{Floor: c.Epsilon}
	}
	return stat.Smoothing{Floor: 0}
}

func (in Input) smoothing() stat.Smoothing { return in.Config.smoothing() }
