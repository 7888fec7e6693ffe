package cells

import (
	"fmt"

	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/exact/wire"
)

// States of minimum and maximum in the encoding.
const (
	rangeNone = iota // no values
	rangeKnown
	rangeUnknown
)

// AppendBinary appends the canonical form of c: equal counts have equal bytes, whatever form they are held in and however
// they came about. The Space is not in it, and neither is a version: the container says both.
func (c *Counts) AppendBinary(b []byte) []byte { return c.cells.appendBinary(c.appendHead(b)) }

// appendHead appends all but the cells.
func (c *Counts) appendHead(b []byte) []byte {
	b = wire.AppendUvarint(b, c.Missing)
	b = wire.AppendUvarint(b, c.Inf)
	b = wire.AppendUvarint(b, c.Invalid)
	if c.space.kind == Numeric {
		switch {
		case c.n == 0:
			b = append(b, rangeNone)
		case c.rangeUnknown:
			b = append(b, rangeUnknown)
		default:
			b = wire.AppendFloat(append(b, rangeKnown), c.min)
			b = wire.AppendFloat(b, c.max)
		}
		b = c.Sum.AppendBinary(b)
		b = c.SumSquares.AppendBinary(b)
		b = appendOuter(b, c.below)
		b = appendOuter(b, c.above)
	}
	return b
}

// MaxEncodedLen is an upper bound of what AppendBinary appends for any counts over s, whatever they counted, as long as no
// cell holds 2^32 values: for cutting panes into messages by ranges of features, before anything is counted.
func (s *Space) MaxEncodedLen() int {
	n := 3*10 + 1 + 4*s.size()
	if s.kind == Numeric {
		// A cell that is split by the points is on both sides. A gap needs a second byte only where it skips 128 keys.
		const outer = (2*outerPerSign+1)*(1+5) + 2*3 + 2*(2*0x8000/128)
		n += 1 + 2*8 + 2*exact.MaxEncodedLen + outer
	}
	return n
}

// MaxEncodedLen is that of the Space: it does not depend on what was counted.
func (c *Counts) MaxEncodedLen() int { return c.space.MaxEncodedLen() }

const minOuterKey = ^maxOuterKey

func appendOuter(b []byte, cells []outerCell) []byte {
	b = wire.AppendUvarint(b, uint64(len(cells)))
	next := minOuterKey
	for _, o := range cells {
		b = wire.AppendUvarint(b, uint64(o.key-next))
		b = wire.AppendUvarint(b, o.n)
		next = o.key + 1
	}
	return b
}

// DecodeCounts reads the counts over s at the start of b and returns what follows them. Bytes that AppendBinary does not
// write are an error that wraps wire.ErrCorrupt.
func DecodeCounts(s *Space, b []byte) (c *Counts, rest []byte, err error) {
	r := wire.NewReader(b)
	c = NewCounts(s)
	c.Missing, c.Inf, c.Invalid = r.Uvarint(), r.Uvarint(), r.Uvarint()
	state := byte(rangeNone)
	if s.kind == Numeric {
		state = c.decodeNumeric(r)
	}
	if r.Err() == nil {
		var n uint64
		c.cells, n = decodeVector(r, s.size())
		if c.n += n; c.n < n {
			r.Fail("the counts do not fit 64 bits")
		}
	}
	if s.kind == Numeric && (state == rangeNone) != (c.n == 0) {
		r.Fail("a range of kind %d for %d values", state, c.n)
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading counts: %w", err)
	}
	return c, r.Rest(), nil
}

// decodeNumeric reads range, sums and outer cells, and returns the state of the range.
func (c *Counts) decodeNumeric(r *wire.Reader) byte {
	state := r.Byte()
	switch state {
	case rangeNone:
	case rangeKnown:
		c.min, c.max = r.Finite(), r.Finite()
		if c.min > c.max {
			r.Fail("a minimum of %v above the maximum %v", c.min, c.max)
		}
	case rangeUnknown:
		c.rangeUnknown = true
	default:
		r.Fail("unknown kind of range %d", state)
	}
	if r.Err() != nil {
		return state
	}
	if rest, err := c.Sum.Decode(r.Rest()); err != nil {
		r.Fail("sum: %v", err)
	} else {
		r.Bytes(len(r.Rest()) - len(rest))
	}
	if rest, err := c.SumSquares.Decode(r.Rest()); err != nil {
		r.Fail("sum of squares: %v", err)
	} else {
		r.Bytes(len(r.Rest()) - len(rest))
	}
	c.below = c.decodeOuter(r, placeBelow)
	c.above = c.decodeOuter(r, placeAbove)
	return state
}

// decodeOuter reads the outer cells of one side, each of which must hold values on that side of the points.
func (c *Counts) decodeOuter(r *wire.Reader, place int) []outerCell {
	count := r.Count(2)
	if count == 0 {
		return nil
	}
	cells := make([]outerCell, 0, count)
	next := minOuterKey
	for range count {
		gap, n := r.Uvarint(), r.Uvarint()
		if r.Err() == nil && (n == 0 || gap > uint64(maxOuterKey-next)) {
			r.Fail("outer cell %d after %d with count %d", gap, next, n)
		}
		if r.Err() != nil {
			return nil
		}
		key := next + int(gap)
		if !validOuterKey(key) || !c.space.reachable(key, place) {
			r.Fail("outer cell %d does not exist on this side of the points", key)
		}
		if c.n += n; c.n < n {
			r.Fail("the counts do not fit 64 bits")
		}
		cells = append(cells, outerCell{key: key, n: n})
		next = key + 1
	}
	return cells
}

// reachable reports whether outer cell key holds values on the given side of the points.
func (s *Space) reachable(key, place int) bool {
	lo, hi := outerBounds(key)
	switch {
	case len(s.points) == 0:
		return place == placeAbove
	case place == placeBelow:
		return lo < s.points[0]
	}
	return hi > s.points[len(s.points)-1]
}
