package cells

import "encoding/binary"

// Dense reads the counts of the dense cells of one feature in their order, the empty ones as well: for what looks at every cell of every
// window. Whatever form they are kept in, it says the same. Read takes counts of any size, Narrow is faster. The Counts must not change meanwhile.
type Dense struct {
	v      *vector
	packed []byte // what is left of the sparse form
	next   int    // the first cell that was not read
	sparse int    // the first cell behind the last count that was read from the sparse form
}

// Dense returns a reader of c's dense cells.
func (c *Counts) Dense() Dense {
	d := Dense{v: &c.cells, packed: nil, next: 0, sparse: 0}
	if p := c.cells.packed; len(p) > 0 && p[0] == formSparse {
		d.packed = packedCursor(c.cells.size, p).packed
	}
	return d
}

// Read fills into with the counts of the next cells, and returns how many there were.
func (d *Dense) Read(into []uint64) int {
	into = into[:min(len(into), d.v.size-d.next)]
	first := d.next
	d.next += len(into)
	switch v := d.v; {
	case v.short != nil:
		for i, n := range v.short[first:d.next] {
			into[i] = uint64(n)
		}
	case v.narrow != nil:
		for i, n := range v.narrow[first:d.next] {
			into[i] = uint64(n)
		}
	case v.wide != nil:
		copy(into, v.wide[first:])
	case v.packed == nil:
		clear(into)
	case v.packed[0] == formNarrow:
		for i := range into {
			into[i] = uint64(binary.LittleEndian.Uint32(v.packed[1+4*(first+i):]))
		}
	case v.packed[0] == formWide:
		for i := range into {
			into[i] = binary.LittleEndian.Uint64(v.packed[1+8*(first+i):])
		}
	default:
		readSparse(d, into, first)
	}
	return len(into)
}

// Narrow returns the counts of the next cells, at most len(scratch) of them: in scratch, or where they are kept, so that they are only to be
// read. It is for Counts whose N fits 32 bits, so that every count does.
func (d *Dense) Narrow(scratch []uint32) []uint32 {
	scratch = scratch[:min(len(scratch), d.v.size-d.next)]
	first := d.next
	d.next += len(scratch)
	switch v := d.v; {
	case v.short != nil:
		for i, n := range v.short[first:d.next] {
			scratch[i] = uint32(n)
		}
	case v.narrow != nil:
		return v.narrow[first:d.next]
	case v.wide != nil:
		for i := range scratch {
			scratch[i] = uint32(v.wide[first+i])
		}
	case v.packed == nil:
		clear(scratch)
	case v.packed[0] == formNarrow:
		for i := range scratch {
			scratch[i] = binary.LittleEndian.Uint32(v.packed[1+4*(first+i):])
		}
	case v.packed[0] == formWide:
		for i := range scratch {
			scratch[i] = uint32(binary.LittleEndian.Uint64(v.packed[1+8*(first+i):]))
		}
	default:
		readSparse(d, scratch, first)
	}
	return scratch
}

// readSparse reads the sparse form; first is the cell of into[0].
func readSparse[T uint32 | uint64](d *Dense, into []T, first int) {
	clear(into)
	p, i, cell := d.packed, 0, d.sparse-first
	for i < len(p) {
		head := p[i]
		gap, low, next := int(head>>4), uint64(head&nibble), i+1
		if gap == nibble {
			more, n := binary.Uvarint(p[next:])
			gap, next = gap+int(more), next+n
		}
		if low == nibble {
			more, n := binary.Uvarint(p[next:])
			low, next = low+more, next+n
		}
		at := cell + gap
		if at >= len(into) {
			break // it is read again with the next cells
		}
		into[at] = T(low + 1)
		cell, i = at+1, next
	}
	d.packed, d.sparse = p[i:], cell+first
}

// Outer returns the cells beyond the points of a numeric feature in which either side has values, in their order, as Walk has them: those
// below the first point and those above the last.
func Outer(ref, cur *Counts) (below, above []Cell) {
	if ref.space.kind != Numeric || !ref.space.Equal(cur.space) {
		panic("BUG: outer cells of counts of different cells, or of categories")
	}
	gather := func(into *[]Cell) func(Pair) bool {
		return func(p Pair) bool {
			*into = append(*into, Cell{Lo: p.Lo, Hi: p.Hi, Ref: p.Ref, Cur: p.Cur})
			return true
		}
	}
	points := ref.space.points
	walkOuter(ref.below, cur.below, endsBelow(points), gather(&below))
	walkOuter(ref.above, cur.above, endsAbove(points), gather(&above))
	return below, above
}

// endsBelow clips the ends of cells below the first point there, endsAbove those above the last.
func endsBelow(points []float64) func(lo, hi float64) (float64, float64) {
	return func(lo, hi float64) (float64, float64) {
		if len(points) > 0 {
			hi = min(hi, points[0])
		}
		return lo, hi
	}
}

func endsAbove(points []float64) func(lo, hi float64) (float64, float64) {
	return func(lo, hi float64) (float64, float64) {
		if len(points) > 0 {
			lo = max(lo, points[len(points)-1])
		}
		return lo, hi
	}
}
