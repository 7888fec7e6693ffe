package cells

import "iter"

// Cell is one cell of a numeric feature with the counts of both sides: a point where Lo = Hi, else a gap as Pair describes it.
type Cell struct {
	Lo, Hi   float64
	Ref, Cur uint64
}

// Point reports whether all values of the cell are equal.
func (c *Cell) Point() bool { return c.Lo == c.Hi }

// chunkSize is how many cells are handed over at once: the buffer stays in the first level cache.
const chunkSize = 128

// Chunks yields the cells of a numeric feature in which either side has values, as Walk does and in the same order, many at a time:
// for what looks at every cell of every window. The slice is valid until the next one. Both sides must be over equal cells of a
// numeric feature: anything else is an error of the program and panics.
func Chunks(ref, cur *Counts) iter.Seq[[]Cell] {
	if ref.space.kind != Numeric || !ref.space.Equal(cur.space) {
		panic("BUG: chunks of counts of different cells, or of categories")
	}
	return func(yield func([]Cell) bool) {
		var buf [chunkSize]Cell
		k := chunker{buf: &buf, yield: yield}
		points := ref.space.points
		if !walkOuter(ref.below, cur.below, endsBelow(points), k.pair) {
			return
		}
		if !k.dense(points, &ref.cells, &cur.cells) {
			return
		}
		if walkOuter(ref.above, cur.above, endsAbove(points), k.pair) && k.n > 0 {
			yield(buf[:k.n])
		}
	}
}

// chunker gathers cells.
type chunker struct {
	buf   *[chunkSize]Cell
	n     int
	yield func([]Cell) bool
}

func (k *chunker) pair(p Pair) bool { return k.add(p.Lo, p.Hi, p.Ref, p.Cur) }

func (k *chunker) add(lo, hi float64, ref, cur uint64) bool {
	k.buf[k.n] = Cell{Lo: lo, Hi: hi, Ref: ref, Cur: cur}
	if k.n++; k.n < chunkSize {
		return true
	}
	k.n = 0
	return k.yield(k.buf[:])
}

// dense gathers the dense cells. The reference is most often packed and the window just summed: each of its counts between two cells of
// the reference is then looked at in place.
func (k *chunker) dense(points []float64, ref, cur *vector) bool {
	switch rc := ref.cursor(); {
	case cur.short != nil:
		return inPlace(k, points, rc, cur.short)
	case cur.narrow != nil:
		return inPlace(k, points, rc, cur.narrow)
	default:
		return k.sparse(points, rc, cur.cursor())
	}
}

func inPlace[T uint16 | uint32](k *chunker, points []float64, rc cursor, counts []T) bool {
	at := 0
	for {
		end, n, ok := rc.next()
		if !ok {
			end = len(counts)
		}
		for i, c := range counts[at:end] {
			if c != 0 && !k.add(points[(at+i)/2], points[(at+i+1)/2], 0, uint64(c)) {
				return false
			}
		}
		if !ok {
			return true
		}
		if !k.add(points[end/2], points[(end+1)/2], n, uint64(counts[end])) {
			return false
		}
		at = end + 1
	}
}

// sparse merges two cursors.
func (k *chunker) sparse(points []float64, rc, cc cursor) bool {
	ri, rn, rok := rc.next()
	ci, cn, cok := cc.next()
	for rok || cok {
		i := ri
		if !rok || (cok && ci < ri) {
			i = ci
		}
		var r, c uint64
		if rok && ri == i {
			r = rn
			ri, rn, rok = rc.next()
		}
		if cok && ci == i {
			c = cn
			ci, cn, cok = cc.next()
		}
		if !k.add(points[i/2], points[(i+1)/2], r, c) {
			return false
		}
	}
	return true
}
