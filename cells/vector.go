package cells

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/exact/wire"
)

// vector holds the counts of size cells in one of five forms: nothing (all zero), dense in 16 bits, in 32 or 64 once a cell outgrows
// these, or packed in its encoding. The form is never visible: equal counts have equal bytes.
type vector struct {
	size   int
	short  []uint16
	narrow []uint32
	wide   []uint64
	packed []byte
}

// The encoding is the shorter of the sparse and a dense form; the sparse one where they are as long.
//
//	sparse  0, the number n of non-zero cells, then for each: one byte with the number of zero cells before it in the high half
//	        and its count - 1 in the low half; a half of 15 is followed by what exceeds 15, as uvarint, gap first
//	dense   1 or 2, then size counts of 4 or 8 little-endian bytes; 8 where a count needs them
const (
	formSparse = iota
	formNarrow
	formWide
)

const nibble = 15

func (v *vector) inc(i int) {
	switch {
	case i < len(v.short) && v.short[i] != math.MaxUint16:
		v.short[i]++
	case i < len(v.narrow) && v.narrow[i] != math.MaxUint32:
		v.narrow[i]++
	default:
		v.add(i, 1)
	}
}

// add adds n to cell i. The caller has checked that the sum of all cells fits 64 bits.
func (v *vector) add(i int, n uint64) {
	v.expand()
	if v.short != nil {
		if sum := uint64(v.short[i]) + n; sum >= n && sum <= math.MaxUint16 {
			v.short[i] = uint16(sum)
			return
		}
		v.narrow, v.short = widened[uint32](v.short), nil
	}
	if v.narrow != nil {
		if sum := uint64(v.narrow[i]) + n; sum >= n && sum <= math.MaxUint32 {
			v.narrow[i] = uint32(sum)
			return
		}
		v.wide, v.narrow = widened[uint64](v.narrow), nil
	}
	v.wide[i] += n
}

// widened returns the counts in more bits.
func widened[To uint32 | uint64, From uint16 | uint32](counts []From) []To {
	wide := make([]To, len(counts))
	for i, n := range counts {
		wide[i] = To(n)
	}
	return wide
}

// merge adds the counts of o, which has as many cells; all of both are at most total together.
func (v *vector) merge(o *vector, total uint64) {
	if o.short == nil && o.narrow == nil && o.wide == nil && o.packed == nil {
		return
	}
	v.expand()
	if v.short != nil && total > math.MaxUint16 {
		v.narrow, v.short = widened[uint32](v.short), nil
	}
	switch { // where no count outgrows its bits, each is only added
	case v.short != nil:
		mergeInto(v.short, o)
	case v.narrow != nil && total <= math.MaxUint32:
		mergeInto(v.narrow, o)
	default:
		for c := o.cursor(); ; {
			i, n, ok := c.next()
			if !ok {
				return
			}
			v.add(i, n)
		}
	}
}

// mergeInto adds the counts of o to those of as many cells, none of which outgrows T.
func mergeInto[T uint16 | uint32](into []T, o *vector) {
	switch {
	case o.short != nil:
		addAll(into, o.short)
	case o.narrow != nil:
		addAll(into, o.narrow)
	case len(o.packed) > 0 && o.packed[0] == formSparse:
		addSparse(into, packedCursor(o.size, o.packed).packed)
	default:
		for c := o.cursor(); ; {
			i, n, ok := c.next()
			if !ok {
				return
			}
			into[i] += T(n)
		}
	}
}

func addAll[To, From uint16 | uint32](into []To, counts []From) {
	into = into[:len(counts)]
	for i, n := range counts {
		into[i] += To(n)
	}
}

// addSparse adds the counts of the sparse form's body.
func addSparse[T uint16 | uint32](into []T, p []byte) {
	for i, cell := 0, 0; i < len(p); cell++ {
		gap, low := int(p[i]>>4), uint64(p[i]&nibble)
		i++
		if gap == nibble {
			more, n := binary.Uvarint(p[i:])
			gap, i = gap+int(more), i+n
		}
		if low == nibble {
			more, n := binary.Uvarint(p[i:])
			low, i = low+more, i+n
		}
		cell += gap
		into[cell] += T(low + 1)
	}
}

// sub takes n from cell i, which has at least that.
func (v *vector) sub(i int, n uint64) {
	switch v.expand(); {
	case v.short != nil:
		v.short[i] -= uint16(n)
	case v.narrow != nil:
		v.narrow[i] -= uint32(n)
	default:
		v.wide[i] -= n
	}
}

// dense reports whether the counts are in a dense form.
func (v *vector) dense() bool { return v.short != nil || v.narrow != nil || v.wide != nil }

// expand makes the vector dense.
func (v *vector) expand() {
	if v.dense() {
		return
	}
	packed := v.packed
	if v.packed = nil; len(packed) == 0 {
		v.short = make([]uint16, v.size)
		return
	}
	switch packed[0] {
	case formNarrow:
		v.narrow = make([]uint32, v.size)
	case formWide:
		v.wide = make([]uint64, v.size)
	default:
		v.short = make([]uint16, v.size)
	}
	for c := packedCursor(v.size, packed); ; {
		i, n, ok := c.next()
		if !ok {
			return
		}
		v.add(i, n)
	}
}

// compact packs the vector.
func (v *vector) compact() {
	if !v.dense() {
		return
	}
	// Sized first: the packed form lives long, and append would keep up to twice of it.
	v.packed = v.appendBinary(make([]byte, 0, v.encodedLen()))
	v.short, v.narrow, v.wide = nil, nil, nil
}

func (v *vector) clone() vector {
	return vector{ // packed is never changed
		size: v.size, short: slices.Clone(v.short), narrow: slices.Clone(v.narrow), wide: slices.Clone(v.wide), packed: v.packed,
	}
}

// measure returns the length of the sparse form's body, the number of non-zero cells and whether a count needs 64 bits.
func (v *vector) measure() (body, nonzero int, wide bool) {
	next := 0
	for c := v.cursor(); ; {
		i, n, ok := c.next()
		if !ok {
			return body, nonzero, wide
		}
		body++
		if gap := i - next; gap >= nibble {
			body += wire.UvarintLen(uint64(gap - nibble))
		}
		if n > nibble {
			body += wire.UvarintLen(n - 1 - nibble)
		}
		nonzero++
		wide = wide || n > math.MaxUint32
		next = i + 1
	}
}

// choose returns the form with the shortest encoding and its length.
func (v *vector) choose() (form byte, length, nonzero int) {
	body, nonzero, wide := v.measure()
	length = 1 + wire.UvarintLen(uint64(nonzero)) + body
	form, dense := byte(formNarrow), 1+4*v.size
	if wide {
		form, dense = formWide, 1+8*v.size
	}
	if length <= dense {
		return formSparse, length, nonzero
	}
	return form, dense, nonzero
}

func (v *vector) encodedLen() int {
	if v.packed != nil {
		return len(v.packed)
	}
	_, n, _ := v.choose()
	return n
}

func (v *vector) appendBinary(b []byte) []byte {
	if v.packed != nil {
		return append(b, v.packed...)
	}
	form, length, nonzero := v.choose()
	b = append(slices.Grow(b, length), form)
	switch form {
	case formNarrow, formWide:
		next, width := 0, 4*int(form)
		for c := v.cursor(); ; {
			i, n, ok := c.next()
			if !ok {
				return append(b, make([]byte, (v.size-next)*width)...)
			}
			b = append(b, make([]byte, (i-next)*width)...)
			if form == formNarrow {
				b = binary.LittleEndian.AppendUint32(b, uint32(n))
			} else {
				b = binary.LittleEndian.AppendUint64(b, n)
			}
			next = i + 1
		}
	}
	b = wire.AppendUvarint(b, uint64(nonzero))
	next := 0
	for c := v.cursor(); ; {
		i, n, ok := c.next()
		if !ok {
			return b
		}
		gap, low := i-next, n-1
		b = append(b, byte(min(gap, nibble)<<4)|byte(min(low, nibble)))
		if gap >= nibble {
			b = wire.AppendUvarint(b, uint64(gap-nibble))
		}
		if low >= nibble {
			b = wire.AppendUvarint(b, low-nibble)
		}
		next = i + 1
	}
}

// decodeVector reads the vector of size cells at the start of r, whose counts sum to total, into the packed form.
func decodeVector(r *wire.Reader, size int) (v vector, total uint64) {
	start := r.Rest()
	offset := r.Offset()
	v.size = size
	form := r.Byte()
	count := func(n uint64) {
		if total+n < total {
			r.Fail("the counts do not fit 64 bits")
		}
		total += n
	}
	switch form {
	case formSparse:
		next := 0
		for range r.Count(1) {
			head := r.Byte()
			gap, low := uint64(head>>4), uint64(head&nibble)
			if gap == nibble {
				gap += min(r.Uvarint(), uint64(size))
			}
			if low == nibble {
				if low += r.Uvarint(); low < nibble || low == math.MaxUint64 {
					r.Fail("a count beyond 64 bits")
				}
			}
			if r.Err() == nil && gap >= uint64(size-next) {
				r.Fail("a cell beyond the last of %d", size)
			}
			if count(low + 1); r.Err() != nil {
				return vector{}, 0
			}
			next += int(gap) + 1
		}
	case formNarrow:
		for b := r.Bytes(4 * size); len(b) > 0; b = b[4:] {
			count(uint64(binary.LittleEndian.Uint32(b)))
		}
	case formWide:
		for b := r.Bytes(8 * size); len(b) > 0; b = b[8:] {
			count(binary.LittleEndian.Uint64(b))
		}
	default:
		r.Fail("unknown form %d of counts", form)
	}
	if r.Err() != nil {
		return vector{}, 0
	}
	v.packed = slices.Clone(start[:r.Offset()-offset])
	if best, _, _ := v.choose(); best != form {
		r.Fail("counts in form %d, the shortest is %d", form, best)
		return vector{}, 0
	}
	return v, total
}

// cursor walks the non-zero cells of a vector in order. The vector's cells already passed may be changed meanwhile.
type cursor struct {
	short  []uint16
	narrow []uint32
	wide   []uint64
	packed []byte
	form   byte
	i      int
}

func (v *vector) cursor() cursor {
	if v.packed != nil {
		return packedCursor(v.size, v.packed)
	}
	return cursor{short: v.short, narrow: v.narrow, wide: v.wide}
}

// packedCursor walks valid packed bytes.
func packedCursor(size int, packed []byte) cursor {
	c := cursor{packed: packed[1:], form: packed[0]}
	switch c.form {
	case formSparse:
		_, n := binary.Uvarint(c.packed)
		c.packed = c.packed[n:]
	case formNarrow, formWide:
	default:
		panic(fmt.Sprintf("BUG: packed counts of %d cells in form %d", size, c.form))
	}
	return c
}

// next returns the next non-zero cell and its count.
func (c *cursor) next() (i int, n uint64, ok bool) {
	switch {
	case c.short != nil:
		return nextOf(c.short, &c.i)
	case c.narrow != nil:
		return nextOf(c.narrow, &c.i)
	case c.wide != nil:
		return nextOf(c.wide, &c.i)
	case c.form == formSparse && len(c.packed) > 0:
		gap, low := int(c.packed[0]>>4), uint64(c.packed[0]&nibble)
		c.packed = c.packed[1:]
		if gap == nibble {
			gap += int(c.uvarint())
		}
		if low == nibble {
			low += c.uvarint()
		}
		c.i += gap + 1
		return c.i - 1, low + 1, true
	default:
		width := 4 * int(c.form)
		for ; len(c.packed) > 0; c.i++ {
			b := c.packed[:width]
			c.packed = c.packed[width:]
			if width == 4 {
				n = uint64(binary.LittleEndian.Uint32(b))
			} else {
				n = binary.LittleEndian.Uint64(b)
			}
			if n != 0 {
				c.i++
				return c.i - 1, n, true
			}
		}
	}
	return 0, 0, false
}

// nextOf returns the first count from *at on that is not 0, and leaves *at behind it.
func nextOf[T uint16 | uint32 | uint64](counts []T, at *int) (i int, n uint64, ok bool) {
	for i := *at; i < len(counts); i++ {
		if n := counts[i]; n != 0 {
			*at = i + 1
			return i, uint64(n), true
		}
	}
	*at = len(counts)
	return 0, 0, false
}

func (c *cursor) uvarint() uint64 {
	x, n := binary.Uvarint(c.packed)
	c.packed = c.packed[n:]
	return x
}
