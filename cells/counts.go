package cells

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/exact"
)

// Errors of the algebra of counts.
var (
	// ErrDifferentCells: the two sides do not share one set of cells; counts over different references are never added.
	ErrDifferentCells = errors.New("the two sides have different cells")
	// ErrNotContained: what is to be subtracted was never added.
	ErrNotContained = errors.New("a count would become negative: what is subtracted was never added")
	// ErrTooMany: a count would not fit 64 bits.
	ErrTooMany = errors.New("a count does not fit 64 bits")
)

// outerCell is a cell beyond the points that holds values.
type outerCell struct {
	key int // outerKey
	n   uint64
}

// Counts is what one feature's values were in a pane or a window: a count for each cell of its Space, what is in no cell, and
// for numbers their exact sums. Counts over the same cells can be added and subtracted in any order. It is not safe for
// concurrent use. AddNumber is for numeric features, AddCategory for categorical ones.
type Counts struct {
	Missing uint64 // null, NaN or absent
	Inf     uint64 // infinities of either sign
	Invalid uint64 // values of a wrong type

	Sum        exact.Sum // of the counted numbers
	SumSquares exact.Sum // of their squares

	space *Space
	n     uint64
	cells vector
	below []outerCell // by key
	above []outerCell // by key

	rangeUnknown bool // after Subtract: the extremes may have been among what was taken out
	min, max     float64
}

// NewCounts returns empty counts over the cells of s. Memory for the cells is taken with the first value.
func NewCounts(s *Space) *Counts {
	return &Counts{space: s, cells: vector{size: s.size()}}
}

// Space returns the cells that are counted over.
func (c *Counts) Space() *Space { return c.space }

// N returns the number of values in the distribution: all that are not missing, infinite or invalid.
func (c *Counts) N() uint64 { return c.n }

// AddNumber counts the value x of a numeric feature. NaN counts as missing, an infinity as such. -0 is 0.
func (c *Counts) AddNumber(x float64) {
	switch {
	case math.IsNaN(x):
		c.Missing++
		return
	case math.IsInf(x, 0):
		c.Inf++
		return
	case x == 0:
		x = 0 // -0
	}
	switch i := c.space.locate(x); i {
	case placeBelow:
		c.below = addOuter(c.below, outerKey(x), 1)
	case placeAbove:
		c.above = addOuter(c.above, outerKey(x), 1)
	default:
		c.cells.inc(i)
	}
	if c.n == 0 {
		c.min, c.max, c.rangeUnknown = x, x, false
	} else {
		c.min, c.max = min(c.min, x), max(c.max, x)
	}
	c.n++
	exact.AddBoth(&c.Sum, &c.SumSquares, x)
}

// AddCategories counts n values v of a categorical feature. The caller sees to it that the counts fit 64 bits.
func (c *Counts) AddCategories(v []byte, n uint64) {
	if n == 0 {
		return
	}
	c.cells.add(c.space.category(v), n)
	c.n += n
}

// AddCategory counts the value v of a categorical feature, compared byte for byte; one that is not tracked is `other`.
// v is not kept.
func (c *Counts) AddCategory(v []byte) {
	c.cells.inc(c.space.category(v))
	c.n++
}

// AddOther counts n values of a categorical feature that are in no tracked category.
func (c *Counts) AddOther(n uint64) {
	c.cells.add(len(c.space.categories), n)
	c.n += n
}

// AddMissing counts a null or an absent value.
func (c *Counts) AddMissing() { c.Missing++ }

// AddInvalid counts a value that the feature's kind cannot take.
func (c *Counts) AddInvalid() { c.Invalid++ }

// AddInf counts an infinity, for decoders that know it by another name.
func (c *Counts) AddInf() { c.Inf++ }

// Min returns the smallest value. It returns false where there is none, and after Subtract until RestoreRange.
func (c *Counts) Min() (float64, bool) { return c.min, c.rangeKnown() }

// Max returns the largest value, or false as Min does.
func (c *Counts) Max() (float64, bool) { return c.max, c.rangeKnown() }

func (c *Counts) rangeKnown() bool { return c.space.kind == Numeric && c.n > 0 && !c.rangeUnknown }

// OutOfRange returns how many values lay below the first and above the last point. Without points it returns zeros: there
// is no range to be out of.
func (c *Counts) OutOfRange() (below, above uint64) {
	if len(c.space.points) == 0 {
		return 0, 0
	}
	for _, o := range c.below {
		below += o.n
	}
	for _, o := range c.above {
		above += o.n
	}
	return below, above
}

// Other returns the count of the categories that are not tracked; 0 for a numeric feature.
func (c *Counts) Other() uint64 {
	var other uint64
	if c.space.kind == Categorical {
		for v := c.cells.cursor(); ; {
			i, n, ok := v.next()
			if !ok {
				break
			}
			if i == len(c.space.categories) {
				other = n
			}
		}
	}
	return other
}

// Merge adds everything that o counted, which stays as it is. On an error c is unchanged.
func (c *Counts) Merge(o *Counts) error {
	if !c.space.Equal(o.space) {
		return fmt.Errorf("merging counts: %w", ErrDifferentCells)
	}
	for _, p := range [][2]uint64{{c.n, o.n}, {c.Missing, o.Missing}, {c.Inf, o.Inf}, {c.Invalid, o.Invalid}} {
		if p[0]+p[1] < p[0] {
			return fmt.Errorf("merging counts: %w", ErrTooMany)
		}
	}
	switch {
	case o.n == 0:
	case c.n == 0:
		c.min, c.max, c.rangeUnknown = o.min, o.max, o.rangeUnknown
	default:
		c.min, c.max = min(c.min, o.min), max(c.max, o.max)
		c.rangeUnknown = c.rangeUnknown || o.rangeUnknown
	}
	if c.rangeUnknown {
		c.min, c.max = 0, 0
	}
	c.cells.merge(&o.cells, c.n+o.n)
	c.below, c.above = mergeOuter(c.below, o.below), mergeOuter(c.above, o.above)
	c.Sum.Merge(&o.Sum)
	c.SumSquares.Merge(&o.SumSquares)
	c.n, c.Missing, c.Inf, c.Invalid = c.n+o.n, c.Missing+o.Missing, c.Inf+o.Inf, c.Invalid+o.Invalid
	return nil
}

// Subtract takes everything that o counted out of c: it inverts Merge. o stays as it is. Minimum and maximum become unknown
// while values are left: whoever slides a window restores them from what is left in it, see RestoreRange. On an error c is
// unchanged.
func (c *Counts) Subtract(o *Counts) error {
	if !c.space.Equal(o.space) {
		return fmt.Errorf("subtracting counts: %w", ErrDifferentCells)
	}
	if !c.contains(o) {
		return fmt.Errorf("subtracting counts: %w", ErrNotContained)
	}
	if o.n > 0 {
		c.min, c.max, c.rangeUnknown = 0, 0, c.n > o.n
	}
	for v := o.cells.cursor(); ; {
		i, n, ok := v.next()
		if !ok {
			break
		}
		c.cells.sub(i, n)
	}
	c.below, c.above = subOuter(c.below, o.below), subOuter(c.above, o.above)
	c.Sum.Subtract(&o.Sum)
	c.SumSquares.Subtract(&o.SumSquares)
	c.n, c.Missing, c.Inf, c.Invalid = c.n-o.n, c.Missing-o.Missing, c.Inf-o.Inf, c.Invalid-o.Invalid
	return nil
}

// contains reports whether no count of o exceeds that of c.
func (c *Counts) contains(o *Counts) bool {
	if o.n > c.n || o.Missing > c.Missing || o.Inf > c.Inf || o.Invalid > c.Invalid {
		return false
	}
	for p := range Walk(c, o) {
		if p.Cur > p.Ref {
			return false
		}
	}
	return true
}

// RestoreRange sets minimum and maximum from the parts that make up c, the live panes of a window, after Subtract. They stay
// unknown where a part does not know its own.
func (c *Counts) RestoreRange(parts ...*Counts) {
	c.min, c.max, c.rangeUnknown = 0, 0, false
	first := true
	for _, p := range parts {
		switch {
		case p.n == 0:
		case p.rangeUnknown:
			c.min, c.max, c.rangeUnknown = 0, 0, true
			return
		case first:
			c.min, c.max, first = p.min, p.max, false
		default:
			c.min, c.max = min(c.min, p.min), max(c.max, p.max)
		}
	}
	c.rangeUnknown = first && c.n > 0
}

// Compact packs the cells into their encoding, which is what older panes are kept as. Everything still works; the next
// value, Merge or Subtract unpacks them.
func (c *Counts) Compact() { c.cells.compact() }

// Clone returns an independent copy over the same Space.
func (c *Counts) Clone() *Counts {
	return &Counts{
		Missing: c.Missing, Inf: c.Inf, Invalid: c.Invalid,
		Sum: c.Sum.Clone(), SumSquares: c.SumSquares.Clone(),
		space: c.space, n: c.n, cells: c.cells.clone(), below: slices.Clone(c.below), above: slices.Clone(c.above),
		rangeUnknown: c.rangeUnknown, min: c.min, max: c.max,
	}
}

func findOuter(cells []outerCell, key int) (int, bool) {
	return slices.BinarySearchFunc(cells, key, func(c outerCell, key int) int { return c.key - key })
}

func addOuter(cells []outerCell, key int, n uint64) []outerCell {
	i, ok := findOuter(cells, key)
	if ok {
		cells[i].n += n
		return cells
	}
	return slices.Insert(cells, i, outerCell{key: key, n: n})
}

func mergeOuter(into, from []outerCell) []outerCell {
	for _, o := range from {
		into = addOuter(into, o.key, o.n)
	}
	return into
}

// subOuter takes from out of into, which contains it. A cell that becomes empty goes: equal counts have equal bytes.
func subOuter(into, from []outerCell) []outerCell {
	if len(from) == 0 {
		return into
	}
	taken := slices.Clone(from) // from may be into itself
	for _, o := range taken {
		if i, ok := findOuter(into, o.key); ok {
			into[i].n -= o.n
		}
	}
	return slices.DeleteFunc(into, func(c outerCell) bool { return c.n == 0 })
}
