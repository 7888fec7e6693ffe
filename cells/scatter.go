package cells

import (
	"math"
	"math/bits"

	"github.com/driftd/driftd/internal/exact"
)

const (
	// searched is how many values are looked for side by side: enough that none waits for the memory of another.
	searched = 32
	// tabled is how many points may be for their table to be in the caches, where it is faster.
	tabled = 1 << 14
)

// AddNumbers is AddNumber for each of xs, to the bit, faster where there are many. scratch is only used during the call.
func (c *Counts) AddNumbers(xs []float64, scratch *exact.Scatter) {
	for len(xs) > 0 {
		finite := 0
		for finite < len(xs) && xs[finite]-xs[finite] == 0 {
			finite++
		}
		c.addFinite(xs[:finite])
		scratch.AddAll(&c.Sum, &c.SumSquares, xs[:finite])
		for xs = xs[finite:]; len(xs) > 0 && xs[0]-xs[0] != 0; xs = xs[1:] {
			c.AddNumber(xs[0])
		}
	}
}

// addFinite counts finite values in cells, without their sums.
func (c *Counts) addFinite(xs []float64) {
	if len(xs) == 0 {
		return
	}
	if c.n == 0 {
		c.min, c.max, c.rangeUnknown = xs[0]+0, xs[0]+0, false // -0 + 0 is 0
	}
	lo, hi := c.min, c.max
	c.n += uint64(len(xs))
	var block [searched]float64
	var at [searched]int32
	for len(xs) > 0 {
		n := copy(block[:], xs)
		xs = xs[n:]
		for k, x := range block[:n] {
			x += 0
			block[k] = x
			if x < lo {
				lo = x
			}
			if x > hi {
				hi = x
			}
		}
		c.space.locateAll(&block, n, &at)
		short := c.cells.short
		for k, i := range at[:n] {
			if uint(i) < uint(len(short)) && short[i] != math.MaxUint16 {
				short[i]++
				continue
			}
			switch {
			case i >= 0:
				c.cells.inc(int(i))
			case i == placeBelow:
				c.below = addOuter(c.below, outerKey(block[k]), 1)
			default:
				c.above = addOuter(c.above, outerKey(block[k]), 1)
			}
			short = c.cells.short // it may have been outgrown
		}
	}
	c.min, c.max = lo, hi
}

// locateAll is locate for each of the first n of xs. What is done for all of them before the next step waits for no memory but its own.
func (s *Space) locateAll(xs *[searched]float64, n int, at *[searched]int32) {
	d, t := s.points, &s.table
	if len(d) < 2 || len(d) > tabled {
		s.searchAll(xs, n, at)
		return
	}
	first, last := d[0], d[len(d)-1]
	var buckets [searched]uint32
	if t.byBits {
		for k, x := range xs[:n] {
			b, _ := bits.Mul64(ordinal(min(max(x, first), last))-t.base, t.factor)
			buckets[k] = uint32(b)
		}
	} else {
		lo, scale := t.lo, t.scale
		for k, x := range xs[:n] {
			if x < first {
				x = first
			}
			if x > last {
				x = last
			}
			buckets[k] = uint32(int64((x - lo) * scale))
		}
	}
	starts := t.narrow // so few points fit
	for k, x := range xs[:n] {
		switch {
		case x < first:
			at[k] = placeBelow
			continue
		case x > last:
			at[k] = placeAbove
			continue
		}
		b := uint(buckets[k])
		i, end := int(starts[b]), int(starts[b+1])
		if end-i > glance {
			i = searchPoints(d, i, end, x)
		} else {
			p := (*[glance]float64)(d[i : i+glance : i+glance])
			i += boolToInt(p[0] < x) + boolToInt(p[1] < x) + boolToInt(p[2] < x) + boolToInt(p[3] < x)
		}
		at[k] = int32(2*i - boolToInt(d[i] != x))
	}
}

// searchAll is locateAll by searching all points.
func (s *Space) searchAll(xs *[searched]float64, n int, at *[searched]int32) {
	points := s.points
	below := lowerBounds(points, xs)
	for k, x := range xs[:n] {
		switch i := int(below[k]); {
		case i == len(points):
			at[k] = placeAbove
		case points[i] == x:
			at[k] = int32(2 * i)
		case i == 0:
			at[k] = placeBelow
		default:
			at[k] = int32(2*i - 1)
		}
	}
}

// lowerBounds returns the number of points below each of xs: the search of locate, one step of all of them after the other.
func lowerBounds(points []float64, xs *[searched]float64) (base [searched]int32) {
	n := len(points)
	if n == 0 {
		return base
	}
	for n > 1 {
		half := n >> 1
		at := points[half-1:]
		for k, x := range xs {
			base[k] += int32(half & -boolToInt(at[base[k]] < x))
		}
		n -= half
	}
	for k, x := range xs {
		base[k] += int32(boolToInt(points[base[k]] < x))
	}
	return base
}
