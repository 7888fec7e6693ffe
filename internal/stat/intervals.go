package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Interval is a confidence interval, its ends included.
type Interval struct{ Lower, Upper float64 }

// NormalQuantile is the z with P(|Z| ≤ z) = level of the standard normal distribution: 1.96 at 0.95.
//
// Special cases: level must lie in (0, 1).
func NormalQuantile(level float64) float64 { return math.Sqrt2 * math.Erfcinv(1-level) }

// StudentQuantile is the t with P(|T| ≤ t) = level of Student's distribution with df degrees of freedom.
//
// Special cases: level must lie in (0, 1), df must be above 0.
func StudentQuantile(level, df float64) float64 {
	x := mathext.InvRegIncBeta(df/2, 0.5, 1-level) // df/(df+t²)
	return math.Sqrt(df * (1 - x) / x)
}

// Wilson is the confidence interval of a proportion of which k of n were seen: the score interval.
//
// Formula: (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²))/(1 + z²/n), two-sided. It never leaves [0, 1] and is not a point where none or all
// succeeded. Approximation: normal; its coverage is near the level from n = 10 on, also for rare events.
// Special cases: false for n = 0. k must be at most n.
// Reference: E. B. Wilson, Probable inference, the law of succession, and statistical inference, 1927; A. Agresti, B. A. Coull, 1998.
func Wilson(k, n uint64, level float64) (Interval, bool) {
	if n == 0 {
		return Interval{}, false
	}
	z, m := NormalQuantile(level), float64(n)
	p, z2 := float64(k)/m, z*z
	middle, half := p+z2/(2*m), z*math.Sqrt(p*(1-p)/m+z2/(4*m*m))
	out := Interval{max(0, (middle-half)/(1+z2/m)), min(1, (middle+half)/(1+z2/m))}
	switch k { // where rounding would leave 1e-17
	case 0:
		out.Lower = 0
	case n:
		out.Upper = 1
	}
	return out, true
}

// Newcombe is the confidence interval of p₂ - p₁ of k₁ of n₁ and k₂ of n₂: the hybrid score interval, of Wilson's for each side.
//
// Formula: with d = p₂ - p₁ and Wilson's ends l, u: d - sqrt((p₂-l₂)² + (u₁-p₁)²) to d + sqrt((u₂-p₂)² + (p₁-l₁)²). It never leaves
// [-1, 1]. Special cases: false for an empty side.
// Reference: R. G. Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10.
func Newcombe(k1, n1, k2, n2 uint64, level float64) (Interval, bool) {
	w1, ok1 := Wilson(k1, n1, level)
	w2, ok2 := Wilson(k2, n2, level)
	if !ok1 || !ok2 {
		return Interval{}, false
	}
	p1, p2 := float64(k1)/float64(n1), float64(k2)/float64(n2)
	d := p2 - p1
	return Interval{
		max(-1, d-math.Hypot(p2-w2.Lower, w1.Upper-p1)),
		min(1, d+math.Hypot(w2.Upper-p2, p1-w1.Lower)),
	}, true
}

// Wald is the textbook confidence interval of p₂ - p₁, with the variances of both sides added.
//
// Formula: d ± z·sqrt(p₁(1-p₁)/n₁ + p₂(1-p₂)/n₂). It is a point where none or all succeeded on both sides, and too narrow for small
// samples and rare events: use Newcombe. Special cases: false for an empty side.
func Wald(k1, n1, k2, n2 uint64, level float64) (Interval, bool) {
	if n1 == 0 || n2 == 0 {
		return Interval{}, false
	}
	p1, p2 := float64(k1)/float64(n1), float64(k2)/float64(n2)
	half := NormalQuantile(level) * math.Sqrt(p1*(1-p1)/float64(n1)+p2*(1-p2)/float64(n2))
	return Interval{p2 - p1 - half, p2 - p1 + half}, true
}

// WelchInterval is the confidence interval of mean₂ - mean₁ that belongs to Welch's test, see Welch.
//
// Formula: d ± t·sqrt(v₁/n₁ + v₂/n₂), t of Student's distribution with Welch's degrees of freedom. Special cases: as Welch.
func WelchInterval(n1 uint64, mean1, variance1 float64, n2 uint64, mean2, variance2, level float64) (Interval, bool) {
	_, df, _, ok := Welch(n1, mean1, variance1, n2, mean2, variance2)
	if !ok {
		return Interval{}, false
	}
	half := StudentQuantile(level, df) * math.Sqrt(variance1/float64(n1)+variance2/float64(n2))
	return Interval{mean2 - mean1 - half, mean2 - mean1 + half}, true
}
