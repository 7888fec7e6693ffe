package analyze

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sortFloats sorts as the standard library does, whatever the values.
func TestSortFloats(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 4))
	for name, draw := range map[string]func() float64{
		"normal":   rng.NormFloat64,
		"integers": func() float64 { return float64(rng.IntN(50) - 25) },
		"constant": func() float64 { return -3 },
		"bits": func() float64 {
			for {
				if x := math.Float64frombits(rng.Uint64()); x-x == 0 {
					return x
				}
			}
		},
		"denormal": func() float64 { return float64(rng.IntN(1<<20)-1<<19) * math.SmallestNonzeroFloat64 },
	} {
		var scratch []float64
		for _, n := range []int{0, 1, radixLeast - 1, radixLeast, 5000, 100_000} {
			xs := make([]float64, n)
			for i := range xs {
				xs[i] = draw() + 0 // the callers have no -0
			}
			want := slices.Sorted(slices.Values(xs))
			scratch = sortFloats(xs, scratch)
			if !slices.Equal(xs, want) {
				t.Fatalf("%s: %d values are not sorted", name, n)
			}
			scratch = sortFloats(xs, scratch) // sorted already
			if !slices.Equal(xs, want) {
				t.Fatalf("%s: %d sorted values are not sorted any more", name, n)
			}
		}
	}
}

func BenchmarkSortFloats(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 5))
	from, xs := make([]float64, 1_000_000), make([]float64, 1_000_000)
	for i := range from {
		from[i] = rng.NormFloat64()
	}
	var scratch []float64
	for b.Loop() {
		copy(xs, from)
		scratch = sortFloats(xs, scratch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(xs)), "ns/value")
}
