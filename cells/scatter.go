package cells

import "github.com/driftd/driftd/internal/exact"

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
	points := c.space.points
	if len(points) <= tabled {
		for _, x := range xs {
			x += 0
			lo, hi = min(lo, x), max(hi, x)
			switch i := c.space.locate(x); i {
			case placeBelow:
				c.below = addOuter(c.below, outerKey(x), 1)
			case placeAbove:
				c.above = addOuter(c.above, outerKey(x), 1)
			default:
				c.cells.inc(i)
			}
		}
		xs = nil
	}
	for len(xs) > 0 {
		var block [searched]float64
		n := copy(block[:], xs)
		xs = xs[n:]
		below := lowerBounds(points, &block)
		for k, x := range block[:n] {
			x += 0
			lo, hi = min(lo, x), max(hi, x)
			switch i := int(below[k]); {
			case i == len(points):
				c.above = addOuter(c.above, outerKey(x), 1)
			case points[i] == x:
				c.cells.inc(2 * i)
			case i == 0:
				c.below = addOuter(c.below, outerKey(x), 1)
			default:
				c.cells.inc(2*i - 1)
			}
		}
	}
	c.min, c.max = lo, hi
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
