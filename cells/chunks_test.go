package cells_test

import (
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
)

// Chunks says what Walk says, for every combination of the forms that counts are kept in, and stops when it is told to.
func TestChunksEqualsWalk(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for _, size := range []int{0, 1, 2, 63, 64, 65, 300} {
		points := make([]float64, size)
		for i := range points {
			points[i] = float64(i)
		}
		space, err := cells.NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		fill := func(n int) *cells.Counts {
			c := cells.NewCounts(space)
			for range n {
				c.AddNumber(float64(rng.IntN(4*size+8))/2 - float64(size)/2)
			}
			return c
		}
		for _, sizes := range [][2]int{{0, 0}, {0, 50}, {50, 0}, {40, 600}, {600, 40}} {
			for form := range 8 {
				ref, cur := fill(sizes[0]), fill(sizes[1])
				for i := 0; form&4 != 0 && i < 17; i++ { // counts that need 32 bits
					if err := cur.Merge(cur); err != nil {
						t.Fatal(err)
					}
				}
				if form&1 != 0 {
					ref.Compact()
				}
				if form&2 != 0 {
					cur.Compact()
				}
				var want []cells.Cell
				for p := range cells.Walk(ref, cur) {
					want = append(want, cells.Cell{Lo: p.Lo, Hi: p.Hi, Ref: p.Ref, Cur: p.Cur})
					if last := want[len(want)-1]; last.Point() != p.Point {
						t.Fatalf("%+v is a point: %v", last, p.Point)
					}
				}
				at := 0
				for chunk := range cells.Chunks(ref, cur) {
					if len(chunk) == 0 {
						t.Fatal("an empty chunk")
					}
					for _, c := range chunk {
						if at >= len(want) || c != want[at] {
							t.Fatalf("cell %d of %d points is %+v, Walk has %v", at, size, c, want[at:min(at+1, len(want))])
						}
						at++
					}
				}
				if at != len(want) {
					t.Fatalf("%d cells of %d points, Walk has %d", at, size, len(want))
				}
				for range cells.Chunks(ref, cur) {
					break
				}
			}
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	rng := rand.New(rand.NewPCG(4, 2))
	points := make([]float64, 2000)
	for i := range points {
		points[i] = float64(i)
	}
	space, _ := cells.NewNumeric(points)
	ref, cur := cells.NewCounts(space), cells.NewCounts(space)
	for i := range 10000 {
		ref.AddNumber(float64(i % 2000))
		cur.AddNumber(2000 * rng.Float64())
	}
	ref.Compact()
	b.Run("Walk", func(b *testing.B) {
		for b.Loop() {
			var n uint64
			for p := range cells.Walk(ref, cur) {
				n += p.Cur
			}
		}
	})
	b.Run("Chunks", func(b *testing.B) {
		for b.Loop() {
			var n uint64
			for chunk := range cells.Chunks(ref, cur) {
				for i := range chunk {
					n += chunk[i].Cur
				}
			}
		}
	})
}
