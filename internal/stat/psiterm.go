package stat

import "math"

// PSITerm is what one bin with r of m and c of n values adds to PSI, (c'-r') ln(c'/r') with smoothed proportions, where bins bins are
// not empty on both sides. It is never negative.
func PSITerm(r, c, m, n float64, bins int, s Smoothing) float64 {
	if s.Floor > 0 {
		a, b := max(c/n, s.Floor), max(r/m, s.Floor)
		return (a - b) * math.Log(a/b)
	}
	alpha := float64(bins) / 2
	prior := alpha * ((r + c) / (m + n))
	a, b := (c+prior)/(n+alpha), (r+prior)/(m+alpha)
	return (a - b) * math.Log(a/b)
}

// JSTerm is what one bin adds to the Jensen-Shannon divergence in base 2, the square of JSDistance. It is never negative.
func JSTerm(r, c, m, n float64) float64 {
	a, b := r/m, c/n
	mid, sum := (a+b)/2, 0.0
	if a > 0 {
		sum += float64(a * math.Log2(a/mid))
	}
	if b > 0 {
		sum += float64(b * math.Log2(b/mid))
	}
	return max(sum/2, 0)
}

// HellingerTerm is what one bin adds to the square of Hellinger. It is never negative.
func HellingerTerm(r, c, m, n float64) float64 {
	d := math.Sqrt(r/m) - math.Sqrt(c/n)
	return d * d / 2
}
