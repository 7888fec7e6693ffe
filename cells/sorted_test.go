package cells_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
)

// AddSorted and AddNumbers are AddNumber for each value, to the bit, also on top of what was counted before.
func TestAddSortedEqualsOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 3))
	scratch := exact.Scatter{}
	for round := range 400 {
		draw := func() float64 { return math.Round(4*rng.NormFloat64()) / 4 } // many ties, zeros of both signs
		if round%3 == 0 {
			draw = rng.NormFloat64
		}
		sample := func(n int) []float64 {
			xs := make([]float64, n)
			for i := range xs {
				xs[i] = draw()
			}
			slices.Sort(xs)
			return xs
		}
		points := slices.Compact(sample(rng.IntN(12)))
		space, err := cells.NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		got, want, mixed := cells.NewCounts(space), cells.NewCounts(space), cells.NewCounts(space)
		for range rng.IntN(3) {
			xs := sample(rng.IntN(60))
			got.AddSorted(xs)
			for _, x := range xs {
				want.AddNumber(x)
			}
			rng.Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
			mixed.AddNumbers(xs, &scratch)
		}
		if !bytes.Equal(got.AppendBinary(nil), want.AppendBinary(nil)) {
			t.Fatalf("round %d, points %v: the counts differ", round, points)
		}
		for _, x := range []float64{math.NaN(), math.Inf(1), 1, math.Inf(-1)} {
			want.AddNumber(x)
		}
		mixed.AddNumbers([]float64{1, math.Inf(-1), math.NaN(), math.Inf(1)}, &scratch)
		if !bytes.Equal(mixed.AppendBinary(nil), want.AppendBinary(nil)) || mixed.Missing != want.Missing || mixed.Inf != want.Inf {
			t.Fatalf("round %d, points %v: the counts of AddNumbers differ", round, points)
		}
	}
}

func BenchmarkAddNumbers(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 4))
	sample := make([]float64, 1<<16)
	for i := range sample {
		sample[i] = rng.NormFloat64()
	}
	points := slices.Sorted(slices.Values(sample[:2000]))
	space, err := cells.NewNumeric(points)
	if err != nil {
		b.Fatal(err)
	}
	perValue := func(b *testing.B) {
		b.Helper()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(sample)), "ns/value")
	}
	counts, scratch := cells.NewCounts(space), exact.Scatter{}
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for _, x := range sample {
				counts.AddNumber(x)
			}
		}
		perValue(b)
	})
	b.Run("together", func(b *testing.B) {
		for b.Loop() {
			counts.AddNumbers(sample, &scratch)
		}
		perValue(b)
	})
}
