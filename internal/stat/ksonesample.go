package stat

import "math"

// KSOneSampleSF is P(D_n ≥ d) of the two-sided one-sample Kolmogorov-Smirnov statistic of n values (SciPy's kstwo.sf). With
// n = round(n₁n₂/(n₁+n₂)) it serves as the p-value of the two-sample test where counting paths costs too much.
//
// H₀: the sample comes from the given continuous distribution. Range [0, 1], decreasing in d.
// Method, by the region in which each is precise (Simard and L'Ecuyer; the switch-over points are SciPy's):
//   - n·d ≤ 1, n·d ≥ n-1, d ≥ ½: closed forms and twice the one-sided tail, all exact;
//   - n ≤ 140: Durbin's matrix (n·d² ≤ 0.754693), the Pomeranz recursion (≤ 4), then twice the one-sided tail;
//   - n > 140: twice the one-sided tail from n·d² ≥ 2.2 (relative error below 2e-6 there, falling fast), Durbin's matrix for
//     n·d^1.5 ≤ 1.4 and n ≤ 100,000, the Pelz-Good expansion between (absolute error below 0.06/n²).
//
// One difference from SciPy: where P(D_n < d) is below 1e-10 Pelz-Good replaces the costly matrix; p is 1 to ten digits.
// Special cases: d ≤ 1/(2n) gives 1, d ≥ 1 gives 0; n < 1 or a NaN gives NaN, which callers exclude.
// Cost: at most some 500 terms, or log₂ n products of matrices of order 2nd.
// Reference: R. Simard, P. L'Ecuyer, Computing the two-sided Kolmogorov-Smirnov distribution, J. Stat. Soft. 39 (11), 2011.
func KSOneSampleSF(n, d float64) float64 {
	const smallN = 140
	if math.IsNaN(n) || math.IsNaN(d) || n < 1 {
		return math.NaN()
	}
	t := n * d
	switch {
	case d >= 1:
		return 0
	case t <= 0.5:
		return 1
	case t <= 1: // Ruben and Gambino: P(D < d) = n! (2d - 1/n)^n
		return clampProb(1 - math.Exp(logFactorialOverPower(n)+float64(n*math.Log(2*t-1))))
	case t >= n-1: // Ruben and Gambino
		return clampProb(2 * math.Exp(n*math.Log1p(-d)))
	case d >= 0.5:
		return clampProb(2 * SmirnovSF(n, d))
	}
	nd2 := t * d
	if n <= smallN {
		switch {
		case nd2 <= 0.754693:
			return clampProb(1 - durbinMatrixCDF(int(n), d))
		case nd2 <= 4:
			return clampProb(1 - pomeranzCDF(int(n), d))
		}
		return clampProb(2 * SmirnovSF(n, d))
	}
	switch {
	case nd2 >= 370: // below the smallest float64
		return 0
	case nd2 >= 2.2:
		return clampProb(2 * SmirnovSF(n, d))
	case n <= 100000 && float64(t*math.Sqrt(d)) <= 1.4 && kolmogorovCDFLead(math.Sqrt(nd2)) > 1e-10:
		return clampProb(1 - durbinMatrixCDF(int(n), d))
	}
	return clampProb(1 - pelzGoodCDF(n, d))
}

// kolmogorovCDFLead is the leading term of the limiting distribution function at small z = √n·d.
func kolmogorovCDFLead(z float64) float64 {
	return math.Sqrt(2*math.Pi) / z * math.Exp(-math.Pi*math.Pi/(8*z*z))
}

// SmirnovSF is P(D⁺_n ≥ d) of the one-sided one-sample statistic, exact (SciPy's ksone.sf).
//
// Formula: d Σ_{j=0}^{⌊n(1-d)⌋} C(n,j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j), all terms positive. Each is evaluated by Stirling's
// error series and log1p, so that no large logarithms cancel; relative precision about 1e-10 even for n of 1e9.
// Above n = 512 every k-th term is summed and weighted by k: the summand is smooth and flat at both ends, where the
// trapezoidal rule converges faster than any power; the test compares both.
// Range [0, 1]; d ≤ 0 gives 1, d ≥ 1 gives 0.
// Reference: Z. W. Birnbaum, F. H. Tingey, One-sided confidence contours for probability distribution functions, 1951.
func SmirnovSF(n, d float64) float64 {
	const terms = 256
	if d <= 0 {
		return 1
	}
	if d >= 1 {
		return 0
	}
	stride := 1.0
	if n > 2*terms {
		stride = math.Floor(n / terms)
	}
	return smirnovSum(n, d, stride)
}

// smirnovSum evaluates the Birnbaum-Tingey sum at j = 0 and every stride-th j from stride on.
func smirnovSum(n, d, stride float64) float64 {
	nd := n * d
	sum := 0.0
	deltaN := stirlingError(n)
	for j := stride; j < n-nd; j += stride {
		rest := n - j
		exponent := deltaN - stirlingError(j) - stirlingError(rest) + float64(j*math.Log1p(nd/j)) + float64(rest*math.Log1p(-nd/rest))
		if exponent < -745 { // exp underflows
			continue
		}
		sum += math.Exp(exponent) * math.Sqrt(n/(2*math.Pi*j*rest)) / (d + j/n)
	}
	return clampProb(float64(stride*sum*d) + math.Exp(n*math.Log1p(-d)))
}

// stirlingError is δ(k) = ln k! - ((k+½) ln k - k + ½ ln 2π), k ≥ 1.
// Reference: C. Loader, Fast and accurate computation of binomial probabilities, 2000.
func stirlingError(k float64) float64 {
	if k < 16 {
		lg, _ := math.Lgamma(k + 1)
		return lg - float64((k+0.5)*math.Log(k)) + k - 0.5*math.Log(2*math.Pi)
	}
	k2 := k * k
	return (1.0/12 - (1.0/360-(1.0/1260-(1.0/1680)/k2)/k2)/k2) / k
}

// logFactorialOverPower is ln(n!/n^n), by Stirling's formula so that no large logarithms cancel.
func logFactorialOverPower(n float64) float64 {
	return stirlingError(n) + 0.5*math.Log(2*math.Pi*n) - n
}
