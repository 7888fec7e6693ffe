package exact

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The ways without big integers give what those with them give, to the bit, or leave it to them; for values of usual magnitudes they do it.
func TestFixedEqualsBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	done, all := 0, 0
	same := func(what string, got, want float64, gotOK, wantOK bool) {
		t.Helper()
		if all++; gotOK {
			done++
			if !wantOK || math.Float64bits(got) != math.Float64bits(want) {
				t.Errorf("%s is %v, by big integers %v (%v)", what, got, want, wantOK)
			}
		}
	}
	draws := map[string]func() float64{
		"normal":   rng.NormFloat64,
		"offset":   func() float64 { return 1e9 + rng.NormFloat64()*1e-3 },
		"integers": func() float64 { return float64(rng.IntN(7) - 3) },
		"constant": func() float64 { return 0.1 },
		"zero":     func() float64 { return 0 },
		"small":    func() float64 { return math.Ldexp(rng.NormFloat64(), -1000) },
		"large":    func() float64 { return math.Ldexp(rng.NormFloat64(), 1000) },
		"subnormal": func() float64 {
			return float64(rng.IntN(100)) * math.SmallestNonzeroFloat64
		},
		"bits": func() float64 {
			for {
				if x := math.Float64frombits(rng.Uint64()); x-x == 0 {
					return x
				}
			}
		},
		"magnitudes": func() float64 { return math.Ldexp(rng.NormFloat64(), rng.IntN(400)-200) },
		"halves":     func() float64 { return float64(1<<53) + float64(rng.IntN(3)) }, // ties
	}
	for name, draw := range draws {
		for range 400 {
			var a, aa, b, bb Sum
			n, m := 1+rng.IntN(40), 1+rng.IntN(40)
			for range n {
				AddBoth(&a, &aa, draw())
			}
			for range m {
				AddBoth(&b, &bb, draw())
			}
			if rng.IntN(3) == 0 { // carries
				for range 31 {
					c, cc := a.Clone(), aa.Clone()
					a.Merge(&c)
					aa.Merge(&cc)
					n *= 2
				}
			}
			un, um := uint64(n), uint64(m)
			got, ok := fastMean(&a, un)
			want, wantOK := meanOf(&a, un)
			same(name+": the mean", got, want, ok, wantOK)
			got, ok = fastMeanDifference(&a, un, &b, um)
			want, wantOK = meanDifferenceOf(&a, un, &b, um)
			same(name+": the difference", got, want, ok, wantOK)
			for ddof := range min(n, 2) {
				got, ok = fastVariance(&a, &aa, un, ddof)
				want, wantOK = varianceOf(&a, &aa, un, ddof)
				same(name+": the variance", got, want, ok, wantOK)
			}
		}
	}
	if done < all/2 {
		t.Errorf("%d of %d were done without big integers", done, all)
	}
	t.Logf("%d of %d were done without big integers", done, all)
	var s Sum
	s.Add(math.NaN())
	s.Add(1)
	if _, ok := fastMean(&s, 2); ok {
		t.Error("a sum with a NaN has a mean")
	}
}

func BenchmarkMoments(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 4))
	var sum, squares, other, otherSquares Sum
	for range 3000 {
		AddBoth(&sum, &squares, 100+10*rng.NormFloat64())
		AddBoth(&other, &otherSquares, 100+10*rng.NormFloat64())
	}
	b.Run("MeanVariance", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			MeanVariance(&sum, &squares, 3000, 1)
		}
	})
	b.Run("MeanVariance/big", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			meanOf(&sum, 3000)
			varianceOf(&sum, &squares, 3000, 1)
		}
	})
	b.Run("MeanDifference", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			MeanDifference(&sum, 3000, &other, 3000)
		}
	})
	b.Run("MeanDifference/big", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			meanDifferenceOf(&sum, 3000, &other, 3000)
		}
	})
}
