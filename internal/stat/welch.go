package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Welch is Welch's t-test of two means from their samples' sizes, means and variances (divisor size - 1).
//
// H₀: both populations have the same mean, whatever their variances. Formula: t = (mean₁ - mean₂)/sqrt(v₁/n₁ + v₂/n₂), df by Welch and
// Satterthwaite, two-sided p = I(df/(df+t²); df/2, ½) of Student's distribution. Unit: none. Positive: the first mean is larger.
// Assumptions: means nearly normal, which fails for small samples with heavy tails. Minimum: 2 values a side.
// Special cases: false where a size is below 2, both variances are 0, or something overflows or underflows.
// Reference: B. L. Welch, The generalization of Student's problem …, 1947; F. E. Satterthwaite, 1946.
func Welch(n1 uint64, mean1, variance1 float64, n2 uint64, mean2, variance2 float64) (t, df, p float64, ok bool) {
	if n1 < 2 || n2 < 2 {
		return 0, 0, 0, false
	}
	a, b := variance1/float64(n1), variance2/float64(n2)
	s := a + b
	if !(s > 0) || math.IsInf(s, 0) {
		return 0, 0, 0, false
	}
	t = (mean1 - mean2) / math.Sqrt(s)
	u, v := a/s, b/s // not a² and b², which overflow
	df = 1 / (u*u/float64(n1-1) + v*v/float64(n2-1))
	if math.IsNaN(t) || math.IsInf(t, 0) {
		return 0, 0, 0, false
	}
	return t, df, StudentTwoSided(t, df), true
}

// StudentTwoSided is P(|T| ≥ |t|) of Student's distribution with df degrees of freedom, with relative precision into the tail.
// Special cases: t = 0 gives 1.
func StudentTwoSided(t, df float64) float64 {
	t2 := t * t
	if math.IsInf(t2, 1) || t2 == 0 {
		if t2 == 0 {
			return 1
		}
		return 0
	}
	return clampProb(mathext.RegIncBeta(df/2, 0.5, df/(df+t2)))
}
