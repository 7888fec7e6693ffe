package stat

import "math"

// AndersonDarling standardises the k-sample Anderson-Darling statistic a2 of two samples with m and n values, and gives its p-value.
//
// H₀: both samples come from one distribution, continuous or not. Formula: (A² - 1)/σ, σ² the finite-sample variance of A² (Scholz
// and Stephens, equation 4) with the sums H_{N-1} = Σ 1/i and g = Σ Σ 1/((N-i)j) = Σ_{i<N} 1/i² - 2H_{N-1}/N. p: the quadratic in ln p
// fitted to the tabulated points 0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001, at most 0.25 and at least 0.001, as
// scipy.stats.anderson_ksamp; capped is -1 where the truth is smaller, 1 where it is larger, else 0.
// Special cases: false for m = 0, n = 0 or fewer than 4 values together. Whether there are two distinct values is the caller's to know.
// Cost: constant.
// Reference: F. W. Scholz, M. A. Stephens, K-sample Anderson-Darling tests, J. Am. Stat. Assoc. 82, 1987, table 2 with m = k-1 = 1.
func AndersonDarling(a2 float64, m, n uint64) (statistic, p float64, capped int, ok bool) {
	if m == 0 || n == 0 || m+n < 4 {
		return 0, 0, 0, false
	}
	const k = 2
	all := float64(m + n)
	sum := 1/float64(m) + 1/float64(n)
	h, squares := harmonic(m + n - 1)
	g := squares - 2*h/all
	a := (4*g-6)*(k-1) + (10-6*g)*sum
	b := (2*g-4)*k*k + 8*h*k + (2*g-14*h-4)*sum - 8*h + 4*g - 6
	c := (6*h+2*g-2)*k*k + (4*h-4*g+6)*k + (2*h-6)*sum + 4*h
	d := (2*h+6)*k*k - 4*h*k
	variance := (((a*all+b)*all+c)*all + d) / ((all - 1) * (all - 2) * (all - 3))
	statistic = (a2 - (k - 1)) / math.Sqrt(variance)
	p, capped = andersonDarlingP(statistic)
	return statistic, p, capped, true
}

func andersonDarlingP(s float64) (p float64, capped int) {
	// The tabulated ends, and the least squares of ln p on the seven points, computed in rational arithmetic; a test repeats it.
	const (
		least, most = 0.325, 6.546
		c0          = -1.07777027982048732554
		c1          = -1.00822656446525058316
		c2          = 0.01819809457411125845
	)
	switch {
	case s < least:
		return 0.25, 1
	case s > most:
		return 0.001, -1
	}
	return math.Exp(c0 + s*(c1+float64(s*c2))), 0
}

// harmonic returns Σ 1/i and Σ 1/i² for i = 1 … n.
func harmonic(n uint64) (h, squares float64) {
	const direct = 100
	if n <= direct {
		for i := n; i >= 1; i-- { // small terms first
			x := float64(i)
			h += 1 / x
			squares += 1 / (x * x)
		}
		return h, squares
	}
	// Euler-Maclaurin; the next terms are below 1e-17 from n = 100 on.
	const gamma = 0.57721566490153286061
	x := float64(n)
	y := 1 / (x * x)
	h = math.Log(x) + gamma + 1/(2*x) - y/12 + y*y/120 - y*y*y/252
	squares = math.Pi*math.Pi/6 - 1/x + y/2 - y/(6*x) + y*y/(30*x) - y*y*y/(42*x)
	return h, squares
}
