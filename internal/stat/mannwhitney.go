package stat

import "math"

// MannWhitneyPValue is the two-sided asymptotic p-value of Mann and Whitney's U of m and n values.
//
// H₀: a value of one sample is as often above as below one of the other. Formula: 2·P(Z > z) of the normal distribution with
// z = (|U - nm/2| - ½)/σ, continuity correction ½ included, and σ² = nm/12·(N + 1 - Σ(t³-t)/(N(N-1))), t the sizes of the groups of
// equal values. excess is |U - nm/2|, ties the sum. Range [0, 1].
// Special cases: all values equal: 1; false for m or n = 0. Approximation: good from about 8 values a side.
// Reference: H. B. Mann, D. R. Whitney, On a test of whether one of two random variables …, 1947; scipy.stats.mannwhitneyu
// (method="asymptotic").
func MannWhitneyPValue(excess, ties float64, m, n uint64) (float64, bool) {
	if m == 0 || n == 0 {
		return 0, false
	}
	x, y := float64(m), float64(n)
	all := x + y
	// N³-N-Σ(t³-t) first: where nearly all values are equal, it is a small difference of exact integers.
	variance := x * y / 12 * ((all*all*all - all - ties) / all / (all - 1))
	if !(variance > 0) {
		return 1, true
	}
	return clampProb(math.Erfc((excess - 0.5) / math.Sqrt(2*variance))), true
}
