package stat

import "math"

// Hellinger is the Hellinger distance of two count vectors over the same bins.
//
// Formula: sqrt(½ Σ (√r' - √c')²) with raw proportions. Range [0, 1]: 0 for equal proportions, 1 for disjoint ones; symmetric, a metric.
// Special cases: false if either side is empty. Cost: one pass over the bins.
// Reference: E. Hellinger, 1909; A. Bhattacharyya 1943 (its coefficient is 1 - H²).
func Hellinger(ref, cur []uint64) (float64, bool) {
	sum := 0.0
	ok := proportions(ref, cur, func(r, c float64) {
		d := math.Sqrt(r) - math.Sqrt(c)
		sum += float64(d * d)
	})
	return math.Sqrt(min(sum/2, 1)), ok
}

// TotalVariation is the total variation distance of two count vectors over the same bins: the share of values that would have
// to change their bin.
//
// Formula: ½ Σ |r' - c'| with raw proportions. Range [0, 1]; symmetric, a metric.
// Special cases: false if either side is empty. Cost: one pass over the bins.
// Reference: D. A. Levin, Y. Peres, Markov Chains and Mixing Times, 2017, section 4.1.
func TotalVariation(ref, cur []uint64) (float64, bool) {
	sum := 0.0
	ok := proportions(ref, cur, func(r, c float64) { sum += math.Abs(r - c) })
	return min(sum/2, 1), ok
}

// LInfinity is the largest change of a bin's share between two count vectors over the same bins.
//
// Formula: max |r' - c'| with raw proportions. Range [0, 1]; symmetric.
// Special cases: false if either side is empty. Cost: one pass over the bins.
// Reference: TensorFlow Data Validation calls it L-infinity distance of categorical features.
func LInfinity(ref, cur []uint64) (float64, bool) {
	most := 0.0
	ok := proportions(ref, cur, func(r, c float64) { most = max(most, math.Abs(r-c)) })
	return most, ok
}

// proportions calls f with the raw proportions of every bin; it returns false if either side is empty.
func proportions(ref, cur []uint64, f func(r, c float64)) bool {
	m, n := float64(Total(ref)), float64(Total(cur))
	if m == 0 || n == 0 {
		return false
	}
	for i := range ref {
		f(float64(ref[i])/m, float64(cur[i])/n)
	}
	return true
}
