package detectors

import "github.com/driftd/driftd/result"

// wasserstein is the Wasserstein (earth mover's) distance of order 1: how far values moved on average.
//
// Formula: ∫ |F - G| dx. Unit: the feature's. Range [0, ∞); a metric. It has no p-value.
// Special cases: either side empty, or an overflow: null.
// Bounds: Lower = Upper where the positions of all values are known, and where one distribution function is nowhere above the
// other: then it is the difference of the means, which are exact. Else with d = F - G, D the difference of the means and P and N the integrals of
// the positive and the negative part of d, W = P + N, P - N = D, and the smaller of the two parts is all that the bounds hang on. Each is
// enclosed gap by gap; the value lets d be linear inside gaps.
// Cost: a part of the sweep over the cells, and a microsecond for the means.
// Reference: L. V. Kantorovich 1939; S. S. Vallender, Calculation of the Wasserstein distance between probability distributions on
// the line, 1974.
func wasserstein() Spec {
	return Spec{
		Name: "wasserstein", Kinds: numericOnly(), Doc: "docs/statistics.md#wasserstein", Rate: NotARate, sums: sumDistances | sumMeans,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			lower, v, upper := in.wasserstein()
			return enclosed(lower, v, upper, nil, "wasserstein has no p-value")
		},
	}
}

// wassersteinNormed is wasserstein in standard deviations of the reference (divisor m), so that features can be compared.
//
// Special cases: as wasserstein; a reference whose standard deviation is 0 or overflows: null.
func wassersteinNormed() Spec {
	return Spec{
		Name: "wasserstein_normed", Kinds: numericOnly(), Doc: "docs/statistics.md#wasserstein", Rate: NotARate, sums: sumDistances | sumMeans,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			std, ok := in.refStd()
			if !ok {
				return null("the reference's standard deviation is 0 or overflows")
			}
			lower, v, upper := in.wasserstein()
			return enclosed(lower/std, v/std, upper/std, nil, "wasserstein_normed has no p-value")
		},
	}
}

func (in Input) wasserstein() (lower, v, upper float64) {
	s := in.sweep
	positive, negative := s.parts()
	pLower, p, pUpper := positive.bounds()
	nLower, n, nUpper := negative.bounds()
	lower, v, upper = pLower+nLower, p+n, pUpper+nUpper
	if !s.open { // every position is known
		return v, v, v
	}
	// ∫ (F - G) dx is mean(window) - mean(reference).
	d, ok := in.moved, in.movedOK
	if !ok {
		return lower, v, upper
	}
	lower = max(lower, d+2*nLower, -d+2*pLower)
	upper = min(upper, d+2*nUpper, -d+2*pUpper)
	if p < n {
		v = -d + 2*p
	} else {
		v = d + 2*n
	}
	return min(lower, upper), v, upper // rounding may cross bounds that meet
}

// refStd is the reference's standard deviation with divisor m; false where it is 0 or does not exist.
func (in Input) refStd() (float64, bool) { return in.basis.std, in.basis.std > 0 }
