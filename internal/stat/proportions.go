package stat

import "math"

// TwoProportionsZ tests whether k₁ of n₁ and k₂ of n₂ come from one probability: the pooled two-proportion z-test.
//
// H₀: p₁ = p₂. Formula: z = (p₂-p₁)/sqrt(p(1-p)(1/n₁+1/n₂)), p pooled, no continuity correction; two-sided normal p-value.
// z > 0 means that the second is larger. Approximation: normal; use TwoProportions where a cell expects fewer than 5.
// Special cases: false if a sample is empty, or if none or all succeed in both (z is 0/0).
func TwoProportionsZ(k1, n1, k2, n2 uint64) (z, pValue float64, ok bool) {
	if n1 == 0 || n2 == 0 {
		return 0, 0, false
	}
	a, b := float64(n1), float64(n2)
	p := (float64(k1) + float64(k2)) / (a + b)
	if p <= 0 || p >= 1 {
		return 0, 0, false
	}
	z = (float64(k2)/b - float64(k1)/a) / math.Sqrt(p*(1-p)*(1/a+1/b))
	return z, clampProb(math.Erfc(math.Abs(z) / math.Sqrt2)), true
}

// FisherExact is the two-sided p-value of Fisher's exact test of k₁ of n₁ against k₂ of n₂.
//
// H₀: p₁ = p₂. Method: given both margins the table is hypergeometric; the p-value sums the tables that are no likelier than
// the observed one (with a relative slack of 1e-7, as SciPy and R). Exact, conservative.
// Special cases: 1 if a sample is empty, or if none or all succeed in both. Cost: the number of tables, at most the smaller
// margin plus one; terms that no longer count are not visited.
// Reference: R. A. Fisher, The logic of inductive inference, 1935.
func FisherExact(k1, n1, k2, n2 uint64) float64 {
	successes := k1 + k2
	var lo uint64 // k₁ ranges over lo … hi
	if successes > n2 {
		lo = successes - n2
	}
	hi := min(n1, successes)
	if n1 == 0 || n2 == 0 || lo == hi {
		return 1
	}
	// The probabilities relative to the observed table, by the ratio of neighbours, walking away from it to both sides.
	up := func(k uint64) float64 { // P(k+1)/P(k)
		return float64(n1-k) * float64(successes-k) / (float64(k+1) * (float64(n2) - float64(successes) + float64(k) + 1))
	}
	const slack = 1 + 1e-7
	// The distribution is unimodal: a walk may end once its terms fall and add nothing to what it has summed.
	var extreme, central float64 // sums relative to the observed table, compensated by nothing: all terms are positive
	add := func(r float64) {
		if r <= slack {
			extreme += r
		} else {
			central += r
		}
	}
	add(1)
	for k, r := k1, 1.0; k < hi; k++ {
		f := up(k)
		r *= f
		add(r)
		if math.IsInf(r, 1) {
			return 0 // the observed table is less likely than 1e-308 of another one
		}
		if f < 1 && r < 1e-20*(extreme+central) && r < 1e-20*extreme {
			break
		}
	}
	for k, r := k1, 1.0; k > lo; k-- {
		f := 1 / up(k-1)
		r *= f
		add(r)
		if math.IsInf(r, 1) {
			return 0
		}
		if f < 1 && r < 1e-20*(extreme+central) && r < 1e-20*extreme {
			break
		}
	}
	return clampProb(extreme / (extreme + central))
}

// TwoProportions is the two-sided p-value of k₁ of n₁ against k₂ of n₂: the z-test where every cell of the table expects at
// least 5, else Fisher's exact test, since the normal approximation calls one odd value in a small window impossible.
//
// Special cases: false if a sample is empty; 1 if none or all succeed in both.
// Reference: W. G. Cochran, Some methods for strengthening the common χ² tests, 1954 (the rule of five).
func TwoProportions(k1, n1, k2, n2 uint64) (pValue float64, ok bool) {
	if n1 == 0 || n2 == 0 {
		return 0, false
	}
	total := float64(n1) + float64(n2)
	success := float64(k1) + float64(k2)
	smallest := min(success, total-success) / total * float64(min(n1, n2))
	if smallest >= 5 {
		_, p, ok := TwoProportionsZ(k1, n1, k2, n2)
		return p, ok
	}
	return FisherExact(k1, n1, k2, n2), true
}
