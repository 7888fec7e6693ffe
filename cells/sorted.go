package cells

import (
	"slices"

	"github.com/driftd/driftd/internal/exact"
)

// AddSorted counts the values xs of a numeric feature, which must be finite and in increasing order; a zero among them may
// have either sign. It is AddNumber for each, to the bit, but the cells are found by one merge.
func (c *Counts) AddSorted(xs []float64) {
	if len(xs) == 0 {
		return
	}
	first, last := xs[0]+0, xs[len(xs)-1]+0 // -0 + 0 is 0
	if c.n == 0 {
		c.min, c.max, c.rangeUnknown = first, last, false
	} else {
		c.min, c.max = min(c.min, first), max(c.max, last)
	}
	c.n += uint64(len(xs))
	exact.AddAll(&c.Sum, &c.SumSquares, xs)
	points := c.space.points
	if len(points) == 0 {
		c.above = addRuns(c.above, xs)
		return
	}
	below := lowerBound(xs, points[0])
	c.below = addRuns(c.below, xs[:below])
	xs = xs[below:]
	for i, p := range points {
		if len(xs) == 0 {
			return
		}
		if i > 0 {
			if n := lowerBound(xs, p); n > 0 {
				c.cells.add(2*i-1, uint64(n))
				xs = xs[n:]
			}
		}
		n := 0
		for n < len(xs) && xs[n] == p {
			n++
		}
		if n > 0 {
			c.cells.add(2*i, uint64(n))
			xs = xs[n:]
		}
	}
	c.above = addRuns(c.above, xs)
}

// addRuns counts sorted values in outer cells.
func addRuns(cells []outerCell, xs []float64) []outerCell {
	for len(xs) > 0 {
		key, n := outerKey(xs[0]+0), 1
		for n < len(xs) && outerKey(xs[n]+0) == key {
			n++
		}
		cells = addOuter(cells, key, uint64(n))
		xs = xs[n:]
	}
	return cells
}

// lowerBound returns the number of values below p, by doubling steps: the answer is mostly near the start.
func lowerBound(xs []float64, p float64) int {
	step := 1
	for step < len(xs) && xs[step] < p {
		step *= 2
	}
	from := step / 2
	to := min(step+1, len(xs))
	n, _ := slices.BinarySearch(xs[from:to], p)
	return from + n
}
