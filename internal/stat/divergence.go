package stat

import "math"

// Smoothing says how zero counts are kept from making a logarithm infinite. The zero value is the default, pseudo-counts.
type Smoothing struct {
	// Floor, when positive, replaces every proportion below it; the proportions are not renormalised (drift-numeric/1
	// uses 1e-4). When zero, pseudo-counts are added: c' = (c + αp)/(n + α) with p the pooled proportion of the bin and
	// α = B/2, B the number of bins that are not empty on both sides.
	Floor float64
}

// Occupied returns how many bins are not empty on both sides: B of the null distribution of PSI and χ².
func Occupied(ref, cur []uint64) int {
	b := 0
	for i := range ref {
		if ref[i] > 0 || cur[i] > 0 {
			b++
		}
	}
	return b
}

// Total returns the sum of the counts.
func Total(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// smoothed calls f with the smoothed proportions of every bin that is not empty on both sides.
func smoothed(ref, cur []uint64, s Smoothing, f func(r, c float64)) bool {
	m, n := float64(Total(ref)), float64(Total(cur))
	if m == 0 || n == 0 {
		return false
	}
	alpha := float64(Occupied(ref, cur)) / 2
	for i := range ref {
		r, c := float64(ref[i]), float64(cur[i])
		if r == 0 && c == 0 {
			continue
		}
		if s.Floor > 0 {
			f(max(r/m, s.Floor), max(c/n, s.Floor))
			continue
		}
		prior := alpha * ((r + c) / (m + n))
		f((r+prior)/(m+alpha), (c+prior)/(n+alpha))
	}
	return true
}

// PSI measures how far two count vectors over the same bins are apart: the population stability index, also the symmetric
// Kullback-Leibler (Jeffreys) divergence.
//
// Formula: Σ (c'-r') ln(c'/r') over the bins that are not empty on both sides, c' and r' the smoothed proportions.
// Range [0, ∞), 0 for equal proportions, symmetric; natural logarithm.
// Special cases: false if either side is empty; one occupied bin gives 0.
// Cost: one pass over the bins.
// Reference: H. Jeffreys, An invariant form for the prior probability in estimation problems, 1946.
func PSI(ref, cur []uint64, s Smoothing) (float64, bool) {
	sum := 0.0
	ok := smoothed(ref, cur, s, func(r, c float64) { sum += float64((c - r) * math.Log(c/r)) })
	return max(sum, 0), ok
}

// KL measures the information lost when the reference stands for the current window: the Kullback-Leibler divergence of
// current from reference. KL(cur, ref, s) is the other direction.
//
// Formula: Σ c' ln(c'/r') with the smoothed proportions. Unit: nats.
// Range [0, ∞) with pseudo-counts; with a floor, whose proportions do not add up to one, slightly negative values occur.
// Special cases: false if either side is empty.
// Reference: S. Kullback, R. A. Leibler, On information and sufficiency, 1951.
func KL(ref, cur []uint64, s Smoothing) (float64, bool) {
	sum := 0.0
	ok := smoothed(ref, cur, s, func(r, c float64) { sum += float64(c * math.Log(c/r)) })
	return sum, ok
}

// JSDistance is the Jensen-Shannon distance: the square root of the Jensen-Shannon divergence in base 2, a metric.
//
// Formula: sqrt(½ Σ r log2(2r/(r+c)) + ½ Σ c log2(2c/(r+c))) with raw proportions, 0 log 0 = 0: it needs no smoothing.
// Range [0, 1]: 0 for equal proportions, 1 for disjoint ones; symmetric.
// Special cases: false if either side is empty. Near 0 it is the root of a difference: about 1e-8 absolute precision.
// Reference: J. Lin, Divergence measures based on the Shannon entropy, 1991; D. Endres, J. Schindelin, 2003 (the metric).
func JSDistance(ref, cur []uint64) (float64, bool) {
	m, n := float64(Total(ref)), float64(Total(cur))
	if m == 0 || n == 0 {
		return 0, false
	}
	sum := 0.0
	for i := range ref {
		r, c := float64(ref[i])/m, float64(cur[i])/n
		mid := (r + c) / 2
		if r > 0 {
			sum += float64(r * math.Log2(r/mid))
		}
		if c > 0 {
			sum += float64(c * math.Log2(c/mid))
		}
	}
	return math.Sqrt(min(max(sum/2, 0), 1)), true
}
