package exact_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/exact"
)

// AddAll and Scatter.AddAll are Add and AddSquare for each value, whatever the order and the magnitudes: the same canonical bytes.
func TestAddAllEqualsOneByOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	var scatter exact.Scatter
	bits := func() float64 { return math.Float64frombits(rng.Uint64()) }
	for name, draw := range map[string]func() float64{
		"normal": rng.NormFloat64,
		"bits":   bits, // every magnitude, NaN and infinities among them
		"denormal": func() float64 {
			return math.Copysign(float64(rng.IntN(9))*math.SmallestNonzeroFloat64, rng.NormFloat64())
		},
		"huge":     func() float64 { return math.MaxFloat64 * (2*rng.Float64() - 1) },
		"constant": func() float64 { return -math.Nextafter(2, 1) },
	} {
		for _, n := range []int{0, 1, 2, 1000, 1<<20 + 3} {
			if n > 1000 && name != "constant" {
				continue
			}
			xs := make([]float64, n)
			for i := range xs {
				xs[i] = draw()
			}
			if rng.IntN(2) == 0 {
				slices.Sort(xs)
			}
			var sum, squares, scattered, scatteredSquares, wantSum, wantSquares exact.Sum
			exact.AddAll(&sum, &squares, xs[:n/3])
			exact.AddAll(&sum, &squares, xs[n/3:])
			scatter.AddAll(&scattered, &scatteredSquares, xs[:n/4])
			scatter.AddAll(&scattered, &scatteredSquares, xs[n/4:])
			var both, bothSquares exact.Sum
			for _, x := range xs {
				wantSum.Add(x)
				wantSquares.AddSquare(x)
				exact.AddBoth(&both, &bothSquares, x)
			}
			if !bytes.Equal(both.AppendBinary(nil), wantSum.AppendBinary(nil)) ||
				!bytes.Equal(bothSquares.AppendBinary(nil), wantSquares.AppendBinary(nil)) {
				t.Errorf("%s, %d values: the sums that are added to together differ", name, n)
			}
			if !bytes.Equal(sum.AppendBinary(nil), wantSum.AppendBinary(nil)) ||
				!bytes.Equal(squares.AppendBinary(nil), wantSquares.AppendBinary(nil)) {
				t.Errorf("%s, %d values: the sums differ", name, n)
			}
			if !bytes.Equal(scattered.AppendBinary(nil), wantSum.AppendBinary(nil)) ||
				!bytes.Equal(scatteredSquares.AppendBinary(nil), wantSquares.AppendBinary(nil)) {
				t.Errorf("%s, %d values: the scattered sums differ", name, n)
			}
		}
	}
}

func BenchmarkAddAllSorted(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 2))
	xs := make([]float64, 1<<16)
	for i := range xs {
		xs[i] = rng.NormFloat64()
	}
	slices.Sort(xs)
	b.ReportAllocs()
	for b.Loop() {
		var sum, squares exact.Sum
		exact.AddAll(&sum, &squares, xs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(xs)), "ns/value")
}
