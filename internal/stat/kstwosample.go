package stat

import (
	"errors"
	"fmt"
	"math"
)

// MaxExactKS is the largest sample size for which KSTwoSampleSF counts paths: its cost is n·m at worst.
const MaxExactKS = 10000

// ErrKSSize says that a sample is empty or too large for the exact two-sample distribution.
var ErrKSSize = errors.New("sample size outside of the exact Kolmogorov-Smirnov distribution")

// KSTwoSampleSF is the exact P(D ≥ h/lcm(n,m)) of the two-sided two-sample Kolmogorov-Smirnov statistic of samples of n and m
// values: h is the statistic times the least common multiple of n and m, an integer.
//
// H₀: both samples come from one continuous distribution (with ties the p-value is conservative, as SciPy's).
// Method: the share of the lattice paths from (0,0) to (n,m) that touch |x·m - y·n| ≥ h·gcd, by the recurrence
// A(x,y) = (x·A(x-1,y) + y·A(x,y-1))/(x+y), A = 1 outside: sums of positive numbers, so small p keep their relative precision.
// Range [0, 1]; h = 0 gives 1. Cost: n times the width of the band, at most n·m steps. Sizes from 1 to MaxExactKS.
// Reference: J. L. Hodges, The significance probability of the Smirnov two-sample test, 1957 (the inside method).
func KSTwoSampleSF(n, m int, h int64) (float64, error) {
	if n < 1 || m < 1 || n > MaxExactKS || m > MaxExactKS {
		return 0, fmt.Errorf("%w: n %d, m %d, allowed 1 to %d", ErrKSSize, n, m, MaxExactKS)
	}
	if h <= 0 {
		return 1, nil
	}
	if n < m {
		n, m = m, n // the shorter side is kept in memory
	}
	g := int64(gcd(n, m))
	ng, mg := int64(n)/g, int64(m)/g
	// Column x holds A(x, y) for the y strictly inside the band |x·mg - y·ng| < h; everything else is 1.
	a := make([]float64, m+1)
	for y := range a {
		if int64(y)*ng >= h {
			a[y] = 1
		}
	}
	for x := 1; x <= n; x++ {
		lo := max(floorDiv(int64(x)*mg-h, ng)+1, 0)            // first y inside
		hi := min(-floorDiv(-(int64(x)*mg+h), ng), int64(m)+1) // first y above the band
		if lo >= hi {
			return 1, nil // no path can pass
		}
		below := 0.0 // A(x, y-1); y = 0 has no such neighbour
		if lo > 0 {
			a[lo-1], below = 1, 1
		}
		fx := float64(x)
		for y := lo; y < hi; y++ {
			fy := float64(y)
			below = (float64(fx*a[y]) + float64(fy*below)) / (fx + fy)
			a[y] = below
		}
	}
	return clampProb(a[m]), nil
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// floorDiv is ⌊a/b⌋ for b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && a < 0 {
		q--
	}
	return q
}

// KSConvention chooses how a p-value of the two-sample Kolmogorov-Smirnov test is computed.
type KSConvention uint8

// The conventions.
const (
	// KSDefault counts paths while n·m ≤ 10,000, else takes the one-sample exact distribution at round(nm/(n+m)).
	KSDefault KSConvention = iota
	// KSSciPy counts paths while max(n, m) ≤ 10,000, as scipy.stats.ks_2samp does; up to n·m steps.
	KSSciPy
)

// KSPValue is the two-sided p-value of the two-sample distance d of samples of n and m values.
//
// d is taken as the nearest multiple of 1/lcm(n,m) where paths are counted. Range [0, 1]. False if a sample is empty.
func KSPValue(d float64, n, m uint64, convention KSConvention) (float64, bool) {
	if n == 0 || m == 0 || math.IsNaN(d) {
		return 0, false
	}
	exact := max(n, m) <= MaxExactKS
	if convention == KSDefault {
		exact = exact && n*m <= 10000
	}
	if exact {
		ni, mi := int(n), int(m) // both at most MaxExactKS
		lcm := float64(ni / gcd(ni, mi) * mi)
		p, err := KSTwoSampleSF(ni, mi, int64(math.Round(d*lcm)))
		return p, err == nil
	}
	fn, fm := float64(n), float64(m)
	effective := math.RoundToEven(1 / (1/fn + 1/fm)) // = nm/(n+m) without a product of sizes
	return KSOneSampleSF(effective, d), true
}
