package cells_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
)

// Dense and Outer say what Walk says, for every form that counts are kept in and any number of cells at a time.
func TestDenseEqualsWalk(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 2))
	for _, size := range []int{0, 1, 2, 63, 300} {
		points := make([]float64, size)
		for i := range points {
			points[i] = float64(i)
		}
		space, err := cells.NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 3, 50, 20_000} {
			for _, doubled := range []int{0, 14, 40, -40} { // counts that need 16, 32 and 64 bits; negative: and no more
				times := max(doubled, -doubled)
				c := cells.NewCounts(space)
				for range n {
					c.AddNumber(float64(rng.IntN(4*size+8))/2 - float64(size)/2)
				}
				once := c.Clone()
				for range times {
					if err := c.Merge(c.Clone()); err != nil {
						t.Fatal(err)
					}
				}
				if doubled < 0 {
					most := c.Clone()
					if err := errors.Join(c.Merge(once), c.Subtract(most)); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					checkDense(t, rng, c, size)
					c.Compact()
				}
			}
		}
	}
}

func checkDense(t *testing.T, rng *rand.Rand, c *cells.Counts, size int) {
	t.Helper()
	want := make([]uint64, max(2*size-1, 0))
	var wantBelow, wantAbove []cells.Cell
	for p := range cells.Walk(c, c) {
		cell := cells.Cell{Lo: p.Lo, Hi: p.Hi, Ref: p.Ref, Cur: p.Cur}
		switch {
		case p.Point || (size > 0 && p.Lo >= 0 && p.Hi <= float64(size-1)):
			want[int(p.Lo+p.Hi)] = p.Cur // the points are 0, 1, 2, …
		case size > 0 && p.Hi <= 0:
			wantBelow = append(wantBelow, cell)
		default:
			wantAbove = append(wantAbove, cell)
		}
	}
	below, above := cells.Outer(c, c)
	if size > 0 && (!slices.Equal(below, wantBelow) || !slices.Equal(above, wantAbove)) {
		t.Errorf("%d points: beyond them are %v and %v, Walk has %v and %v", size, below, above, wantBelow, wantAbove)
	}
	if all := slices.Concat(below, above); size == 0 && !slices.Equal(all, slices.Concat(wantBelow, wantAbove)) {
		t.Errorf("without points there are %v, Walk has %v", all, wantAbove)
	}
	var got []uint64
	d := c.Dense()
	for {
		into := make([]uint64, 1+rng.IntN(200))
		n := d.Read(into)
		if n == 0 {
			break
		}
		got = append(got, into[:n]...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d points: %v, Walk has %v", size, got, want)
	}
	if c.N() > math.MaxUint32 {
		return
	}
	got, d = nil, c.Dense()
	for {
		counts := d.Narrow(make([]uint32, 1+rng.IntN(200)))
		if len(counts) == 0 {
			break
		}
		for _, n := range counts {
			got = append(got, uint64(n))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d points, by 32 bits: %v, Walk has %v", size, got, want)
	}
}

// Quantiles says what Quantile says of each.
func TestQuantilesEqualQuantile(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 3))
	for range 300 {
		points := make([]float64, rng.IntN(30))
		for i := range points {
			points[i] = float64(i)
		}
		space, err := cells.NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		c := cells.NewCounts(space)
		for range rng.IntN(60) {
			c.AddNumber(float64(rng.IntN(160))/4 - 5)
		}
		if once := c.Clone(); rng.IntN(4) == 0 { // without known extremes
			if err := errors.Join(c.Merge(once), c.Subtract(once)); err != nil {
				t.Fatal(err)
			}
		}
		qs := []float64{0.5, 0, 1, math.NaN(), -0.1, 1.1}
		for range 20 {
			qs = append(qs, rng.Float64())
		}
		for i, got := range c.Quantiles(qs...) {
			value, lo, hi, ok := c.Quantile(qs[i])
			if want := (cells.Quantile{Value: value, Lo: lo, Hi: hi, OK: ok}); got != want {
				t.Errorf("the quantile %v is %v, alone %v", qs[i], got, want)
			}
		}
	}
}
