package stat

import "math"

// KolmogorovSF is P(K > λ) of the Kolmogorov distribution, the limit of √n·D_n: the classical asymptotic p-value of the
// Kolmogorov-Smirnov test, without continuity correction. KSOneSampleSF is the finite-n distribution and closer to the truth.
//
// Formula: 2 Σ_{k≥1} (-1)^(k-1) exp(-2k²λ²); below λ = 1 its theta transform 1 - √(2π)/λ Σ exp(-(2k-1)²π²/(8λ²)), which
// converges there in three terms. Range [0, 1], decreasing in λ; λ ≤ 0 gives 1.
// Reference: A. Kolmogorov, Sulla determinazione empirica di una legge di distribuzione, 1933; N. Smirnov, 1948.
func KolmogorovSF(lambda float64) float64 {
	if lambda <= 0 {
		return 1
	}
	if lambda < 1 {
		sum := 0.0
		for k := 1; k <= 5; k++ {
			odd := float64(2*k - 1)
			sum += math.Exp(-odd * odd * math.Pi * math.Pi / (8 * lambda * lambda))
		}
		return clampProb(1 - math.Sqrt(2*math.Pi)/lambda*sum)
	}
	sum, sign := 0.0, 1.0
	for k := 1.0; k <= 10; k++ {
		sum += sign * math.Exp(-2*k*k*lambda*lambda)
		sign = -sign
	}
	return clampProb(2 * sum)
}

// clampProb removes the last-digit excursions of a computed probability from [0, 1].
func clampProb(p float64) float64 { return min(max(p, 0), 1) }
