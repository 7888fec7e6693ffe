package cells_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
)

// AddSorted is AddNumber for each value, to the bit, also on top of what was counted before.
func TestAddSortedEqualsOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 3))
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
		got, want := cells.NewCounts(space), cells.NewCounts(space)
		for range rng.IntN(3) {
			xs := sample(rng.IntN(60))
			got.AddSorted(xs)
			for _, x := range xs {
				want.AddNumber(x)
			}
		}
		if !bytes.Equal(got.AppendBinary(nil), want.AppendBinary(nil)) {
			t.Fatalf("round %d, points %v: the counts differ", round, points)
		}
	}
}
