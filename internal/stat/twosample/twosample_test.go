package twosample_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/twosample"
)

// below counts the values ≤ x, or < x: the readable distribution function of the oracles.
func below(values []float64, x float64, strictly bool) float64 {
	k := 0.0
	for _, v := range values {
		if v < x || (v == x && !strictly) {
			k++
		}
	}
	return k
}

// naive computes every statistic from its definition, in quadratic time.
func naive(ref, cur []float64) (ks, cvm, a2, u, w, energy float64) {
	m, n := float64(len(ref)), float64(len(cur))
	all := m + n
	pooled := slices.Sorted(slices.Values(slices.Concat(ref, cur)))
	for _, x := range pooled {
		d := below(ref, x, false)/m - below(cur, x, false)/n
		ks = max(ks, math.Abs(d))
		cvm += m * n / (all * all) * d * d
	}
	// Scholz and Stephens 1987, equation 7, term by term.
	for _, side := range [][]float64{ref, cur} {
		for _, z := range slices.Compact(slices.Clone(pooled)) {
			l := below(pooled, z, false) - below(pooled, z, true)
			b := below(pooled, z, true) + l/2
			mid := (below(side, z, true) + below(side, z, false)) / 2
			size := float64(len(side))
			d := all*mid - b*size
			a2 += (all - 1) / all / size * l / all * d * d / (b*(all-b) - all*l/4)
		}
	}
	mean := func(a, b []float64) float64 {
		s := 0.0
		for _, x := range a {
			for _, y := range b {
				s += math.Abs(x-y) / float64(len(a)) / float64(len(b))
			}
		}
		return s
	}
	for _, x := range ref {
		u += below(cur, x, true)/2 + below(cur, x, false)/2
	}
	for i := 1; i < len(pooled); i++ {
		w += math.Abs(below(ref, pooled[i-1], false)/m-below(cur, pooled[i-1], false)/n) * (pooled[i] - pooled[i-1])
	}
	return ks, cvm, a2, u, w, math.Sqrt(max(0, 2*mean(ref, cur)-mean(ref, ref)-mean(cur, cur)))
}

func TestEqualsDefinitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	shapes := []func() float64{
		rng.NormFloat64,
		func() float64 { return rng.NormFloat64() + 2 },
		func() float64 { return float64(rng.IntN(6)) },
		func() float64 { return float64(rng.IntN(60)) },
		func() float64 { return 3 },
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-11*(1+math.Abs(want)) {
			t.Errorf("%s = %v, by definition %v", what, got, want)
		}
	}
	for range 400 {
		draw := func() []float64 {
			f := shapes[rng.IntN(len(shapes))]
			out := make([]float64, 1+rng.IntN(40))
			for i := range out {
				out[i] = f()
			}
			slices.Sort(out)
			return out
		}
		ref, cur := draw(), draw()
		c, err := twosample.Compare(ref, cur)
		if err != nil {
			t.Fatal(err)
		}
		ks, cvm, a2, u, w, energy := naive(ref, cur)
		near("ks", c.KS.Value, ks)
		if c.CramerVonMises.OK {
			near("cramer_von_mises", c.CramerVonMises.Value, cvm)
		}
		near("mann_whitney", c.MannWhitney.Value, u)
		near("wasserstein", c.Wasserstein.Value, w)
		// The definition subtracts means of the values' size, ours integrates: compare the squares.
		near("energy", c.Energy.Value*c.Energy.Value, energy*energy)
		if c.AndersonDarling.OK {
			want, _, _, _ := stat.AndersonDarling(a2, c.RefN, c.CurN)
			near("anderson_darling", c.AndersonDarling.Value, want)
		}
		swapped, err := twosample.Compare(cur, ref)
		if err != nil {
			t.Fatal(err)
		}
		near("energy, swapped", swapped.Energy.Value, c.Energy.Value)
		near("cramer_von_mises, swapped", swapped.CramerVonMises.Value, c.CramerVonMises.Value)
		near("mann_whitney, swapped", swapped.MannWhitney.Value, float64(len(ref)*len(cur))-u)
		if swapped.MannWhitney.P != c.MannWhitney.P {
			t.Errorf("p of U %v, swapped %v", c.MannWhitney.P, swapped.MannWhitney.P)
		}
	}
}

func TestOddSamples(t *testing.T) {
	big := math.MaxFloat64
	c, _ := twosample.Compare([]float64{-big}, []float64{big})
	if c.Wasserstein.OK || !c.KS.OK || c.KS.Value != 1 {
		t.Errorf("the distance of ±the largest number overflows, got %+v", c)
	}
	// One half of the mass moves by 1.8e308: W = 0.9e308, energy² = 2·¼·1.8e308, although the difference overflows.
	c, _ = twosample.Compare([]float64{-8e307, -8e307}, []float64{-8e307, 1e308})
	if !c.Wasserstein.OK || math.Abs(c.Wasserstein.Value/9e307-1) > 1e-12 || math.Abs(c.Energy.Value/math.Sqrt(9e307)-1) > 1e-12 {
		t.Errorf("huge values: %+v", c)
	}
	c, _ = twosample.Compare([]float64{math.Copysign(0, -1)}, []float64{0})
	if c.KS.Value != 0 || !c.Ties {
		t.Errorf("-0 is not 0: %+v", c)
	}
	for _, bad := range [][]float64{{math.NaN()}, {math.Inf(1), math.Inf(-1)}, {2, 1}, {math.NaN(), 1, math.NaN()}} {
		for _, other := range [][]float64{{0}, {math.NaN()}, {math.Inf(1)}, nil} {
			_, _ = twosample.Compare(bad, other) // meaningless, but it ends
			_, _ = twosample.Compare(other, bad)
			_, _, _, _ = twosample.Welch(bad, other)
		}
	}
}

// At two sizes of a million, the sums of the merge against compensated ones over the same terms.
func TestManyValuesKeepPrecision(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	const size = 1_000_000
	draw := func() []float64 {
		out := make([]float64, size)
		for i := range out {
			out[i] = rng.Float64() // not NormFloat64, whose 32 bits repeat
		}
		slices.Sort(out)
		return out
	}
	ref, cur := draw(), draw()
	c, err := twosample.Compare(ref, cur)
	if err != nil {
		t.Fatal(err)
	}
	// Distinct values: Σ (i-j)² is an integer below 2^63, so the statistic follows without rounding but its last division.
	var sum uint64
	i, j := 0, 0
	for i < size || j < size {
		if j >= size || (i < size && ref[i] < cur[j]) {
			i++
		} else {
			j++
		}
		sum += uint64((i - j) * (i - j))
	}
	want := float64(sum) / size / (4 * size) // nm/N² · Σ((i-j)/n)² with m = n
	if c.Ties || math.Abs(c.CramerVonMises.Value/want-1) > 1e-13 {
		t.Errorf("cramer_von_mises %v, in integers %v", c.CramerVonMises.Value, want)
	}
}

func BenchmarkCompare(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, size := range []int{10_000, 1_000_000} {
		for _, decimals := range []float64{0, 100} {
			draw := func() []float64 {
				out := make([]float64, size)
				for i := range out {
					out[i] = rng.NormFloat64()
					if decimals > 0 {
						out[i] = math.Round(out[i]*decimals) / decimals
					}
				}
				slices.Sort(out)
				return out
			}
			ref, cur := draw(), draw()
			b.Run(fmt.Sprintf("n=%d/decimals=%v", size, decimals), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = twosample.Compare(ref, cur)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(2*size), "ns/value")
			})
		}
	}
}
