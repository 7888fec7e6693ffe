package sequential

import (
	"math"
	"math/big"
	"testing"
)

// The difference that an odds ratio makes of what was seen in all has that odds ratio, and that many successes: the two equations that define it.
func TestDifferenceOfAnOddsRatio(t *testing.T) {
	for _, c := range [][4]uint64{{3, 100, 9, 100}, {0, 10_000, 50, 1000}, {50, 1000, 0, 10_000}, {999, 1000, 90, 100}, {1, 2, 1, 2}, {5000, 5000, 1, 5}} {
		s := Proportions{a: Arm{c[0], c[1]}, b: Arm{c[2], c[3]}} //nolint:exhaustruct // the totals
		n, m, k := float64(c[1]), float64(c[3]), float64(c[0]+c[2])
		for _, theta := range []float64{-3, -0.5, -1e-3, 0, 1e-3, 0.7, 3} {
			d := s.differenceAt(theta)
			p := (k - m*d) / (n + m) // n·p + m·(p+d) = k
			q := p + d
			if p < -1e-12 || p > 1+1e-12 || q < -1e-12 || q > 1+1e-12 {
				t.Errorf("%v at %v: rates %v and %v", c, theta, p, q)
			}
			if got := math.Log(q/(1-q)) - math.Log(p/(1-p)); k > 0 && k < n+m && math.Abs(got-theta) > 1e-6 {
				t.Errorf("%v: the difference %v has the log odds ratio %v, want %v", c, d, got, theta)
			}
		}
	}
}

// What is told of two sides without a success: nothing by the odds ratio, and by the difference no more than so many events allow. An upper bound of 95 % for
// no success in n events is 3/n; one that may be read at any time is wider.
func TestGapWithoutSuccesses(t *testing.T) {
	var s Proportions
	for range 10 {
		s.Add(Arm{0, 1000}, Arm{0, 100})
	}
	g := s.Gap(0.05, 2000)
	switch {
	case g.Value == nil || *g.Value != 0 || g.Least != nil || g.Most != nil:
		t.Errorf("the difference is %v in [%v, %v], want 0 without bounds", g.Value, g.Least, g.Most)
	case g.Upper == nil || *g.Upper < 3.0/1000 || *g.Upper > 0.01:
		t.Errorf("the difference of 0 of 10,000 and 0 of 1,000 is below %v, want between 0.003 and 0.01", *g.Upper)
	}
	var few Proportions
	few.Add(Arm{0, 100}, Arm{60, 100})
	if g := few.Gap(0.05, 2000); g.Lower != nil || g.Upper != nil || g.Reason == "" || g.Least == nil || *g.Least < 0.2 {
		t.Errorf("0 of 100 and 60 of 100: %+v, want a least difference, and a reason why there is no other", g)
	}
	if g := new(Proportions).Gap(0.05, 1); g.Value != nil || g.Reason == "" {
		t.Errorf("nothing seen: %+v", g)
	}
}

// Under H₀ the evidence against a split is 1 on average: over all outcomes, each with its binomial probability.
func TestSplitIsAMartingale(t *testing.T) {
	for _, share := range []float64{0.5, 0.1, 0.013} {
		for _, n := range []uint64{1, 7, 60} {
			sum := 0.0
			for x := range n + 1 {
				ways, _ := new(big.Float).SetInt(binomial(n, x)).Float64()
				chance := ways * math.Pow(share, float64(x)) * math.Pow(1-share, float64(n-x))
				sum += chance * math.Exp(splitEvidence(n-x, x, share))
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Errorf("share %v, %d events: the evidence is %v on average, want 1", share, n, sum)
			}
		}
	}
	if p := Split(0, 0, 0.3); p != 1 {
		t.Errorf("p of no events is %v", p)
	}
	if p := Split(9000, 1000, 0.1); p < 0.5 {
		t.Errorf("p of an exact split is %v", p)
	}
	if p := Split(9000, 1200, 0.1); p > 1e-6 { // 3.7 standard errors of 30.3: 180 more than the 1,020 expected, 5.9 of them
		t.Errorf("p of a split that is off by 5.9 standard errors is %v", p)
	}
}
