package stat_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/internal/stat"
)

// enumerate is the oracle of Urn.Tail: it visits every way in which n values can be drawn from the urn, by the definition.
func enumerate(t []uint64, n uint64, g func(t, c uint64) float64, x float64) float64 {
	choose := func(t, c uint64) float64 {
		a, _ := math.Lgamma(float64(t) + 1)
		b, _ := math.Lgamma(float64(c) + 1)
		d, _ := math.Lgamma(float64(t-c) + 1)
		return a - b - d
	}
	var tail, all float64
	var walk func(i int, left uint64, logW, sum float64)
	walk = func(i int, left uint64, logW, sum float64) {
		if i == len(t)-1 {
			if left <= t[i] {
				w := math.Exp(logW + choose(t[i], left))
				all += w
				if sum+g(t[i], left) >= x {
					tail += w
				}
			}
			return
		}
		for c := uint64(0); c <= min(t[i], left); c++ {
			walk(i+1, left-c, logW+choose(t[i], c), sum+g(t[i], c))
		}
	}
	walk(0, n, 0, 0)
	return tail / all
}

// draw is the second oracle, for tables that cannot be enumerated: the window's share of a shuffled urn, seeded.
func draw(t []uint64, n uint64, g func(t, c uint64) float64, x float64, runs int) float64 {
	rng := rand.New(rand.NewPCG(n, uint64(len(t))))
	var urn []int
	for i, k := range t {
		for range k {
			urn = append(urn, i)
		}
	}
	hits := 0
	c := make([]uint64, len(t))
	for range runs {
		clear(c)
		for i := range n { // the first n of a Fisher-Yates shuffle
			j := i + rng.Uint64N(uint64(len(urn))-i)
			urn[i], urn[j] = urn[j], urn[i]
			c[urn[i]]++
		}
		sum := 0.0
		for i, k := range c {
			sum += g(t[i], k)
		}
		if sum >= x {
			hits++
		}
	}
	return float64(hits) / float64(runs)
}

func psiOf(t []uint64, n uint64) func(t, c uint64) float64 {
	m := stat.Total(t) - n
	return func(k, c uint64) float64 {
		return stat.PSITerm(float64(k-c), float64(c), float64(m), float64(n), len(t), stat.Smoothing{})
	}
}

func TestUrnTailAgainstEnumeration(t *testing.T) {
	for _, tc := range []struct {
		urn       []uint64
		n         uint64
		tolerance float64 // relative; 0: every outcome is visited
	}{
		{[]uint64{30, 50}, 40, 0},
		{[]uint64{30, 50}, 60, 0},
		{[]uint64{3, 500}, 40, 0},
		{[]uint64{30, 50, 20}, 40, 0},
		{[]uint64{30, 50, 20, 25}, 40, 0},
		{[]uint64{20, 20, 20, 20, 20}, 25, 0},
		{[]uint64{300, 50, 200, 25, 27}, 70, 0.03},
		{[]uint64{30, 12, 20, 15, 17, 16}, 40, 0.03},
		{[]uint64{30, 12, 20, 15, 17, 16}, 80, 0.03},
	} {
		m := stat.Total(tc.urn) - tc.n
		g := psiOf(tc.urn, tc.n)
		u := stat.NewUrn(tc.urn, tc.n)
		for _, upper := range []float64{0.5, 0.01, 0.001} {
			x := stat.ChiSquareQuantile(upper, len(tc.urn)-1) * (1/float64(tc.n) + 1/float64(m))
			got, want := u.Tail(g, x), enumerate(tc.urn, tc.n, g, x)
			if math.Abs(got-want) > (tc.tolerance+1e-6)*want {
				t.Errorf("%v, n %d: P(psi ≥ %.4g) = %v, enumerated %v", tc.urn, tc.n, x, got, want)
			}
		}
	}
}

func TestUrnTailAgainstDraws(t *testing.T) {
	const runs = 40_000
	for _, bins := range []int{5, 10, 21} {
		for _, n := range []uint64{uint64(5 * bins), 400} {
			urn := make([]uint64, bins)
			for i := range urn {
				urn[i] = (2000 + n) / uint64(bins) * uint64(i+bins) / uint64(bins)
			}
			g := psiOf(urn, n)
			x := stat.ChiSquareQuantile(0.01, bins-1) * (1/float64(n) + 1/float64(stat.Total(urn)-n))
			got, want := stat.NewUrn(urn, n).Tail(g, x), draw(urn, n, g, x, runs)
			if sd := math.Sqrt(want / runs); math.Abs(got-want) > 4*sd+0.02*want {
				t.Errorf("%d bins, n %d: P(psi ≥ %.4g) = %v, drawn %v ± %v", bins, n, x, got, want, sd)
			}
		}
	}
}

// The other additive distances have the same null machinery.
func TestUrnTailOfOtherDistances(t *testing.T) {
	urn, n := []uint64{60, 45, 30, 25}, uint64(50)
	a, b := float64(stat.Total(urn)-n), float64(n)
	for name, g := range map[string]func(t, c uint64) float64{
		"js":        func(t, c uint64) float64 { return stat.JSTerm(float64(t-c), float64(c), a, b) },
		"hellinger": func(t, c uint64) float64 { return stat.HellingerTerm(float64(t-c), float64(c), a, b) },
	} {
		got, want := stat.NewUrn(urn, n).Tail(g, 0.02), enumerate(urn, n, g, 0.02)
		if math.Abs(got-want) > 1e-6*want {
			t.Errorf("%s: %v, enumerated %v", name, got, want)
		}
	}
}

// The terms are those of the statistics as a whole.
func TestTermsAddUp(t *testing.T) {
	ref, cur := []uint64{10, 0, 7, 31}, []uint64{3, 4, 0, 9}
	m, n := float64(stat.Total(ref)), float64(stat.Total(cur))
	for _, s := range []stat.Smoothing{{}, {Floor: 1e-4}} {
		sum := 0.0
		for i := range ref {
			sum += stat.PSITerm(float64(ref[i]), float64(cur[i]), m, n, 4, s)
		}
		if want, _ := stat.PSI(ref, cur, s); math.Abs(sum-want) > 1e-12 {
			t.Errorf("%+v: psi %v, of its terms %v", s, want, sum)
		}
	}
	var js, h float64
	for i := range ref {
		js += stat.JSTerm(float64(ref[i]), float64(cur[i]), m, n)
		h += stat.HellingerTerm(float64(ref[i]), float64(cur[i]), m, n)
	}
	wantJS, _ := stat.JSDistance(ref, cur)
	wantH, _ := stat.Hellinger(ref, cur)
	if math.Abs(math.Sqrt(js)-wantJS) > 1e-12 || math.Abs(math.Sqrt(h)-wantH) > 1e-12 {
		t.Errorf("js %v, hellinger %v; of their terms %v, %v", wantJS, wantH, math.Sqrt(js), math.Sqrt(h))
	}
}

func TestUrnEdges(t *testing.T) {
	one := func(_, _ uint64) float64 { return 1 }
	for _, tc := range []struct {
		urn  []uint64
		n    uint64
		x    float64
		want float64
	}{
		{[]uint64{5, 5}, 4, 0, 1},
		{[]uint64{5, 5}, 0, 1, 0},
		{[]uint64{5, 5}, 10, 1, 0},
		{nil, 0, 1, 0},
		{[]uint64{0, 10}, 5, 0.5, 0},
		{[]uint64{5, 0, 5}, 4, 2, 1},
	} {
		if got := stat.NewUrn(tc.urn, tc.n).Tail(one, tc.x); got != tc.want {
			t.Errorf("%v, n %d, x %v: %v, want %v", tc.urn, tc.n, tc.x, got, tc.want)
		}
	}
}

// A gamma of mean 2 and variance 1 has shape 4 and scale 1/2; four times it is χ² of 8 degrees of freedom, of which the printed tables
// give the upper 0.001 quantile as 26.12448.
func TestGammaBound(t *testing.T) {
	if got, want := stat.GammaBound(2, 1, 0.001), 26.12448/4; math.Abs(got-want) > 1e-5 {
		t.Errorf("bound %v, want %v", got, want)
	}
	for _, tc := range [][3]float64{{2, 0, 2}, {0, 1, 0}, {0, 0, 0}} {
		if got := stat.GammaBound(tc[0], tc[1], 0.001); got != tc[2] {
			t.Errorf("mean %v, variance %v: %v, want %v", tc[0], tc[1], got, tc[2])
		}
	}
}

func BenchmarkUrnTail(b *testing.B) {
	for _, bins := range []int{2, 4, 10, 21} {
		b.Run(fmt.Sprintf("bins=%d", bins), func(b *testing.B) {
			urn := make([]uint64, bins)
			for i := range urn {
				urn[i] = uint64(17000/bins + 10*i)
			}
			const n = 300
			u, g := stat.NewUrn(urn, n), psiOf(urn, n)
			x := stat.ChiSquareQuantile(0.001, bins-1) * (1.0/n + 1.0/17000)
			for b.Loop() {
				u.Tail(g, x)
			}
		})
	}
}
