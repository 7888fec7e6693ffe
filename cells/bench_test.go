package cells_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
)

// normalCounts are n normal values over the cells of points normal points.
func normalCounts(b *testing.B, points, n int) *cells.Counts {
	b.Helper()
	rng := rand.New(rand.NewPCG(8, 1))
	at := make([]float64, points)
	for i := range at {
		at[i] = float64(i)/float64(points)*6 - 3
	}
	space, err := cells.NewNumeric(at)
	if err != nil {
		b.Fatal(err)
	}
	c := cells.NewCounts(space)
	for range n {
		c.AddNumber(rng.NormFloat64())
	}
	return c
}

// BenchmarkMerge is what adding a pane to a window takes for one feature: the newest, whose cells are an array, and an older one, which is packed.
func BenchmarkMerge(b *testing.B) {
	for _, points := range []int{1000, 10_000} {
		for _, form := range []string{"dense", "packed"} {
			b.Run(fmt.Sprintf("points=%d/%s", points, form), func(b *testing.B) {
				window, pane := normalCounts(b, points, 3000), normalCounts(b, points, 3000)
				if form == "packed" {
					pane.Compact()
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := window.Merge(pane); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkEncode is what a commit takes for one feature that changed, and a restoring for one that is stored.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{100, 3000, 100_000} {
		c := normalCounts(b, 1000, n)
		data := c.AppendBinary(nil)
		b.Run(fmt.Sprintf("n=%d/AppendBinary", n), func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = c.AppendBinary(buf[:0])
			}
			b.ReportMetric(float64(len(buf)), "bytes")
		})
		b.Run(fmt.Sprintf("n=%d/DecodeCounts", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := cells.DecodeCounts(c.Space(), data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
