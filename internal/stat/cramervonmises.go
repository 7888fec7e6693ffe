package stat

import "math"

// CramerVonMisesPValue is the asymptotic p-value of the two-sample Cramér-von Mises statistic t of m and n values.
//
// H₀: both samples come from one continuous distribution. Formula: with N = m + n, ET = (1 + 1/N)/6 and
// VT = (N+1)(4nmN - 3(n² + m²) - 2nm)/(180 N² nm), the finite-sample mean and variance of t, it is
// CramerVonMisesSF(1/6 + (t - ET)/sqrt(45 VT)). Range [0, 1], decreasing in t.
// Assumptions: no ties; where many values are equal it is too small. Minimum: 2 values on either side.
// Special cases: false for m or n below 2. Approximation: within 0.01 of the exact p from about 10 values a side on.
// Cost: some microseconds.
// Reference: T. W. Anderson, On the distribution of the two-sample Cramér-von Mises criterion, 1962.
func CramerVonMisesPValue(t float64, m, n uint64) (float64, bool) {
	if m < 2 || n < 2 {
		return 0, false
	}
	x, y := float64(m), float64(n)
	all := x + y
	et := (1 + 1/all) / 6
	// Divided by N² and nm step by step: the products of three sizes stay far from an overflow.
	vt := (all + 1) / all * (4 - 3*(x/y+y/x)/all - 2/all) / 180
	return CramerVonMisesSF(1.0/6 + (t-et)/math.Sqrt(45*vt)), true
}

// CramerVonMisesSF is P(ω² > z) of the limiting distribution of the Cramér-von Mises statistics, with relative precision into
// the far tail (below 1e-300 it is 0), where SciPy's form, one minus the distribution function, ends at about 1e-7.
//
// Formula: (2/π) Σ_{k≥1} (-1)^(k+1) ∫ exp(-zu²/2)/sqrt(-u sin u) du over [(2k-1)π, 2kπ]. With u = (2k-1)π + π(1-cos θ)/2 the
// integrand is smooth, even and periodic in θ, and the midpoint rule converges geometrically.
// Range [0, 1], decreasing; z ≤ 0.003 gives 1, which it is to 15 digits.
// Cost: 10 microseconds around z = 0.2, more towards 0.
// Reference: N. V. Smirnov, Sur la distribution de ω², 1936; J. Durbin, Distribution theory for tests …, 1973, section 4.4.
func CramerVonMisesSF(z float64) float64 {
	const (
		negligible = 745 // exp(-745) is the smallest float64
		digits     = 42  // exp(-42) is below the last digit of the first term
	)
	switch {
	case z <= 0.003:
		return 1
	case z*math.Pi*math.Pi/2 > negligible:
		return 0
	}
	// Near θ = 0 the integrand is a bell of width 1/√z: the points must resolve it.
	points := 24 + int(10*math.Sqrt(z))
	sum, sign := 0.0, 1.0
	type node struct{ v, weight float64 }
	nodes := make([]node, points)
	for i := range nodes {
		theta := math.Pi * (float64(i) + 0.5) / float64(points)
		sin, cos := math.Sincos(theta)
		v := math.Pi * (1 - cos) / 2
		if i < points/2 { // 1 - cos θ without cancellation
			half := math.Sin(theta / 2)
			v = math.Pi * half * half
		}
		nodes[i] = node{v, sin / math.Sqrt(math.Sin(math.Pi*(1-math.Abs(cos))/2))}
		if cos > 0 {
			nodes[i].weight = sin / math.Sqrt(math.Sin(v))
		}
	}
	for k := 1; ; k++ {
		start := float64(2*k-1) * math.Pi
		if z*(start*start-math.Pi*math.Pi)/2 > digits {
			break
		}
		term := 0.0
		for _, nd := range nodes {
			u := start + nd.v
			term += float64(nd.weight * math.Exp(-z*u*u/2) / math.Sqrt(u))
		}
		sum += float64(sign * term)
		sign = -sign
	}
	// dv = (π/2) sin θ dθ, and the step of the rule is π/points.
	return clampProb(2 / math.Pi * sum * (math.Pi / 2) * (math.Pi / float64(points)))
}
