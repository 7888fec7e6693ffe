package sequential

import (
	"fmt"
	"math"
)

// Gap is what the windows so far say of RateB - RateA, each window compared with itself. One end of it is for each kind of decision: that B is worse
// by more than a margin should need few events, that it is not should need enough of them.
type Gap struct {
	// Value is the difference with weights of Mantel and Haenszel; nil before there is a window.
	Value *float64

	// Least and Most are the confidence sequence of the odds ratio (Proportions), told as the difference that it makes of the successes that were
	// seen in all. As exact as it is from the first event on, but for the total, which is taken as it was seen: without successes nothing is told.
	// Nil ends are unbounded.
	Least, Most *float64

	// Lower and Upper are the confidence sequence of the difference itself, a normal mixture as in Means. Asymptotic: nil below 200 events a side,
	// and rates are smoothed for its width ((k+1)/(n+2)), so that it is never narrow because nothing happened yet.
	Lower, Upper *float64

	Reason string // why something of it does not exist
}

// Gap returns the difference of the two shares at a level alpha in (0, 1). planned is about how many events a side will have when it matters
// most: at least 1.
func (s *Proportions) Gap(alpha float64, planned uint64) Gap {
	out := Gap{Value: nil, Least: nil, Most: nil, Lower: nil, Upper: nil, Reason: ""}
	if s.windows == 0 {
		out.Reason = "no window in which both sides had events"
		return out
	}
	d := s.difference / s.weights
	out.Value = &d
	effect := s.Read(alpha).Effect
	for _, end := range []struct {
		of   *float64
		into **float64
	}{{effect.Lower, &out.Least}, {effect.Upper, &out.Most}} {
		if end.of != nil {
			x := s.differenceAt(*end.of)
			*end.into = &x
		}
	}
	if least := min(s.a.Trials, s.b.Trials); least < minMeans {
		out.Reason = fmt.Sprintf("each side needs %d events, one has %d", minMeans, least)
		return out
	}
	variance := float64(s.spreadA*bernoulli(s.a)) + float64(s.spreadB*bernoulli(s.b))
	w := half(rate(max(1, planned)), s.weights, variance, alpha)
	lower, upper := max(-1, d-w), min(1, d+w)
	out.Lower, out.Upper = &lower, &upper
	return out
}

// bernoulli is the variance of one event, at a smoothed rate.
func bernoulli(a Arm) float64 {
	p := (float64(a.Successes) + 1) / (float64(a.Trials) + 2)
	return p * (1 - p)
}

// differenceAt is p_B - p_A where the odds ratio is e^theta and both together have the successes that were seen: n·p_A + m·p_B = k.
func (s *Proportions) differenceAt(theta float64) float64 {
	n, m, k := float64(s.a.Trials), float64(s.b.Trials), float64(s.a.Successes+s.b.Successes)
	odds := math.Exp(theta)
	// n(e-1)p² + (n + me - k(e-1))p - k = 0
	a, b := n*(odds-1), n+float64(m*odds)-float64(k*(odds-1))
	root := math.Sqrt(float64(b*b) + float64(4*a*k))
	var p float64
	if b >= 0 {
		p = 2 * k / (b + root)
	} else {
		p = (root - b) / (2 * a)
	}
	p = min(1, max(0, p))
	return odds*p/(1-p+float64(odds*p)) - p
}

// splitConcentration is how many events the alternative of Split is worth: it is most sensitive to a share that is off by about the standard error of as
// many events.
const splitConcentration = 1000

// Split returns the p-value, valid at every window, of whether each event went to B with the probability share in (0, 1).
//
// H₀: it did, independently of all others. Method: the share is Beta(cs, c(1-s)) under the alternative, c = 1000; the ratio of the two likelihoods
// of (a, b) is a martingale under H₀, and p = 1/E. The state is the two totals. Special cases: no events give 1. Assumption: events are
// independent: where one user sends many and stays on one side, users have to be counted instead.
// Reference: M. Lindon, A. Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.
func Split(a, b uint64, share float64) float64 {
	return min(1, math.Exp(-splitEvidence(a, b, share)))
}

// splitEvidence is the logarithm of the evidence against a share.
func splitEvidence(a, b uint64, share float64) float64 {
	x, y := float64(b), float64(a)
	p, q := splitConcentration*share, splitConcentration*(1-share)
	return logBeta(p+x, q+y) - logBeta(p, q) - float64(x*math.Log(share)) - float64(y*math.Log1p(-share))
}

func logBeta(p, q float64) float64 {
	a, _ := math.Lgamma(p)
	b, _ := math.Lgamma(q)
	c, _ := math.Lgamma(p + q)
	return a + b - c
}
