package cells

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// locatePlain is locate as one would write it.
func locatePlain(points []float64, x float64) int {
	i := sort.SearchFloat64s(points, x)
	switch {
	case i == len(points):
		return placeAbove
	case points[i] == x:
		return 2 * i
	case i == 0:
		return placeBelow
	}
	return 2*i - 1
}

// pointSets are points that are spread in every way that a table could take badly.
func pointSets() map[string][]float64 {
	rng := rand.New(rand.NewPCG(5, 6))
	draw := func(n int, f func() float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f() + 0
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	const tiny = math.SmallestNonzeroFloat64
	cluster := draw(1000, func() float64 { return 1 + rng.Float64()*1e-9 })
	return map[string][]float64{
		"none": nil, "one": {3}, "zero": {0}, "two": {-1, 1}, "integers": draw(500, func() float64 { return float64(rng.IntN(60)) }),
		"normal": draw(1000, rng.NormFloat64), "lognormal": draw(1000, func() float64 { return math.Exp(3 * rng.NormFloat64()) }),
		"pareto": draw(1000, func() float64 { return 1 / (1 - rng.Float64()) }), "negative": draw(300, func() float64 { return -rng.ExpFloat64() }),
		"any bits":  draw(2000, func() float64 { return finite(rng.Uint64()) }),
		"whole":     {-math.MaxFloat64, -1, 0, 1, math.MaxFloat64},
		"subnormal": {-3 * tiny, -tiny, 0, tiny, 2 * tiny, 7 * tiny}, "neighbours": {1, math.Nextafter(1, 2), math.Nextafter(math.Nextafter(1, 2), 2)},
		"crowded": append(append([]float64{-1e300}, cluster...), 1e300), "10,000": draw(10_000, rng.NormFloat64),
		"70,000": draw(70_000, rng.NormFloat64), "70,000 lognormal": draw(70_000, func() float64 { return math.Exp(3 * rng.NormFloat64()) }),
	}
}

// finite turns any bits into a finite number.
func finite(u uint64) float64 {
	x := math.Float64frombits(u)
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return float64(u)
	}
	return x + 0 // not -0
}

func TestLocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for name, points := range pointSets() {
		s, err := NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		check := func(x float64) {
			if x += 0; math.IsInf(x, 0) { // not -0
				return
			}
			if got, want := s.locate(x), locatePlain(points, x); got != want {
				t.Fatalf("%s: %v (%x) is in cell %d, want %d", name, x, math.Float64bits(x), got, want)
			}
		}
		for i, p := range points {
			check(p)
			check(math.Nextafter(p, math.Inf(1)))
			check(math.Nextafter(p, math.Inf(-1)))
			if i > 0 {
				check(points[i-1]/2 + p/2)
			}
		}
		for range 20_000 {
			check(finite(rng.Uint64()))
			check(rng.NormFloat64())
			if n := len(points); n > 1 {
				check(points[0] + rng.Float64()*(points[n-1]/2-points[0]/2)*2)
			}
		}
		if size, most := 2*len(s.table.narrow)+4*len(s.table.wide), bytesPerPoint*len(points)+4; size > most {
			t.Errorf("%s: the table has %d bytes, at most %d", name, size, most)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(uint64(0), uint64(1), uint64(2), uint64(0))
	f.Add(math.Float64bits(-1e308), math.Float64bits(0), math.Float64bits(1e308), math.Float64bits(3))
	f.Fuzz(func(t *testing.T, a, b, c, x uint64) {
		points := []float64{finite(a), finite(b), finite(c)}
		for range 3 { // neighbours of them, so that buckets are crowded
			for _, p := range points {
				if q := math.Nextafter(p, math.Inf(1)); !math.IsInf(q, 0) {
					points = append(points, q+0)
				}
			}
		}
		slices.Sort(points)
		points = slices.Compact(points)
		s, err := NewNumeric(points)
		if err != nil {
			t.Fatal(err)
		}
		values := append(slices.Clone(points), finite(x), points[0]/2+points[len(points)-1]/2)
		for _, v := range values {
			if got, want := s.locate(v+0), locatePlain(points, v+0); got != want {
				t.Fatalf("points %v: %v is in cell %d, want %d", points, v, got, want)
			}
		}
	})
}

// BenchmarkLocate is the cell of a value and its count, without the sums: of values like the points, and of the worst ones.
func BenchmarkLocate(b *testing.B) {
	rng := rand.New(rand.NewPCG(9, 10))
	sets := pointSets()
	for _, name := range []string{"normal", "lognormal", "pareto", "10,000", "crowded"} {
		points := sets[name]
		near := make([]float64, 4096)
		for i := range near {
			k := rng.IntN(len(points) - 1)
			near[i] = points[k] + rng.Float64()*(points[k+1]-points[k]) + 0
		}
		worst := slices.Repeat([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, -1e308, 1e308, points[len(points)/2], 1e-300}, 512)
		rng.Shuffle(len(worst), func(i, k int) { worst[i], worst[k] = worst[k], worst[i] })
		for _, set := range []struct {
			name string
			xs   []float64
		}{{"alike", near}, {"adversarial", worst}} {
			b.Run(fmt.Sprintf("%s/m=%d/%s", name, len(points), set.name), func(b *testing.B) {
				s, err := NewNumeric(points)
				if err != nil {
					b.Fatal(err)
				}
				c := NewCounts(s)
				c.cells.expand()
				for i := 0; b.Loop(); i++ {
					countOnly(c, set.xs[i&4095])
				}
			})
		}
	}
}

// countOnly is AddNumber without the sums and the range.
func countOnly(c *Counts, x float64) {
	switch {
	case math.IsNaN(x):
		c.Missing++
	case math.IsInf(x, 0):
		c.Inf++
	default:
		if at := c.space.locate(x); at >= 0 {
			c.cells.inc(at)
		}
	}
}
