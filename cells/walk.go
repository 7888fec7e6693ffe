package cells

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// Pair is one cell with the counts of both sides. For a numeric feature it is a point (Lo = Hi) or a gap; a gap's
// values lie between Lo and Hi, and the outer cells beside the first and the last point are clipped there.
type Pair struct {
	Point    bool
	Lo, Hi   float64
	Category string // of a categorical feature, where Other is false
	Other    bool   // the categories that are not tracked
	Ref, Cur uint64
}

// Walk yields the cells in which either side has values, in the order of values (of bytes for categories, `other` last). Both
// must be over equal cells: anything else is an error of the program and panics.
func Walk(ref, cur *Counts) iter.Seq[Pair] {
	if !ref.space.Equal(cur.space) {
		panic("BUG: walking over counts of different cells")
	}
	return func(yield func(Pair) bool) {
		s := ref.space
		if !walkOuter(ref.below, cur.below, endsBelow(s.points), yield) {
			return
		}
		if !walkDense(s, &ref.cells, &cur.cells, yield) {
			return
		}
		walkOuter(ref.above, cur.above, endsAbove(s.points), yield)
	}
}

func walkOuter(ref, cur []outerCell, ends func(lo, hi float64) (float64, float64), yield func(Pair) bool) bool {
	for len(ref) > 0 || len(cur) > 0 {
		var p Pair
		var key int
		if len(ref) > 0 && (len(cur) == 0 || ref[0].key <= cur[0].key) {
			key = ref[0].key
		} else {
			key = cur[0].key
		}
		if len(ref) > 0 && ref[0].key == key {
			p.Ref, ref = ref[0].n, ref[1:]
		}
		if len(cur) > 0 && cur[0].key == key {
			p.Cur, cur = cur[0].n, cur[1:]
		}
		p.Lo, p.Hi = ends(outerBounds(key))
		if !yield(p) {
			return false
		}
	}
	return true
}

func walkDense(s *Space, ref, cur *vector, yield func(Pair) bool) bool {
	rc, cc := ref.cursor(), cur.cursor()
	ri, rn, rok := rc.next()
	ci, cn, cok := cc.next()
	for rok || cok {
		i := ri
		if !rok || (cok && ci < ri) {
			i = ci
		}
		p := s.pair(i)
		if rok && ri == i {
			p.Ref = rn
			ri, rn, rok = rc.next()
		}
		if cok && ci == i {
			p.Cur = cn
			ci, cn, cok = cc.next()
		}
		if !yield(p) {
			return false
		}
	}
	return true
}

// pair describes dense cell i.
func (s *Space) pair(i int) Pair {
	switch {
	case s.kind == Numeric:
		lo, hi := s.bounds(i)
		return Pair{Point: i%2 == 0, Lo: lo, Hi: hi}
	case i == len(s.categories):
		return Pair{Other: true}
	}
	return Pair{Category: s.categories[i]}
}

// Quantile encloses the q-quantile of the counted values by linear interpolation of the order statistics (type 7 of Hyndman and
// Fan 1996, NumPy's default): with h = q(n-1) and i = floor(h) it lies between the i-th and the i+1-th value. Each of these is
// known exactly where its cell is a point, else to its cell, clipped to minimum and maximum where they are known: the
// quantile is in [lo, hi], and value is its estimate from the middles of the cells. It returns false for a feature without
// numbers and for a q outside [0, 1].
func (c *Counts) Quantile(q float64) (value, lo, hi float64, ok bool) {
	if c.n == 0 || c.space.kind != Numeric || !(q >= 0 && q <= 1) {
		return 0, 0, 0, false
	}
	h := q * float64(c.n-1)
	rank := min(uint64(math.Floor(h)), c.n-1)
	t := h - math.Floor(h)
	aLo, aHi := c.orderStatistic(rank)
	bLo, bHi := aLo, aHi
	if t > 0 && rank+1 < c.n {
		bLo, bHi = c.orderStatistic(rank + 1)
	}
	lo, hi = Interpolate(aLo, bLo, t), Interpolate(aHi, bHi, t)
	value = min(max(Interpolate(middle(aLo, aHi), middle(bLo, bHi), t), lo), hi)
	return value, lo, hi, true
}

// Quantile is a quantile as Counts.Quantile encloses it.
type Quantile struct {
	Value, Lo, Hi float64
	OK            bool
}

// Quantiles is Quantile for each of qs, in any order, by one walk over the cells.
func (c *Counts) Quantiles(qs ...float64) []Quantile {
	type statistic struct {
		rank   uint64
		lo, hi float64
	}
	out, ends := make([]Quantile, len(qs)), make([]statistic, 2*len(qs)) // two order statistics of each
	order := make([]int, 0, len(ends))
	for i, q := range qs {
		if out[i].OK = c.n > 0 && c.space.kind == Numeric && q >= 0 && q <= 1; out[i].OK {
			rank := min(uint64(math.Floor(q*float64(c.n-1))), c.n-1)
			ends[2*i].rank, ends[2*i+1].rank = rank, min(rank+1, c.n-1)
			order = append(order, 2*i, 2*i+1)
		}
	}
	if len(order) == 0 {
		return out
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(ends[a].rank, ends[b].rank) })
	var seen uint64
	next := 0
	for chunk := range Chunks(c, c) {
		for k := range chunk {
			for seen += chunk[k].Ref; next < len(order) && ends[order[next]].rank < seen; next++ {
				e := &ends[order[next]]
				e.lo, e.hi = c.clip(chunk[k].Lo, chunk[k].Hi)
			}
		}
		if next == len(order) {
			break
		}
	}
	for i, q := range qs {
		if !out[i].OK {
			continue
		}
		h := q * float64(c.n-1)
		a, b, t := ends[2*i], ends[2*i+1], h-math.Floor(h)
		if !(t > 0) {
			b = a
		}
		lo, hi := Interpolate(a.lo, b.lo, t), Interpolate(a.hi, b.hi, t)
		out[i].Value, out[i].Lo, out[i].Hi = min(max(Interpolate(middle(a.lo, a.hi), middle(b.lo, b.hi), t), lo), hi), lo, hi
	}
	return out
}

// Interpolate returns the point t of the way from a to b, evaluated as NumPy does: from the nearer end, so that it is monotone
// in t and exact at both ends. Each operation is rounded on its own, whatever the processor could fuse.
func Interpolate(a, b, t float64) float64 {
	d := b - a
	if math.IsInf(d, 0) {
		return float64(a*(1-t)) + float64(b*t)
	}
	if t >= 0.5 {
		return b - float64(d*(1-t))
	}
	return a + float64(d*t)
}

func middle(lo, hi float64) float64 { return lo/2 + hi/2 }

// orderStatistic encloses the value of 0-based rank k, k < n.
func (c *Counts) orderStatistic(k uint64) (lo, hi float64) {
	var seen uint64
	for p := range Walk(c, c) {
		if seen += p.Ref; k < seen {
			lo, hi = p.Lo, p.Hi
			break
		}
	}
	return c.clip(lo, hi)
}

// clip narrows the ends of a cell that holds values by the extremes, where they are known.
func (c *Counts) clip(lo, hi float64) (float64, float64) {
	if lo < hi && !c.rangeUnknown {
		return max(lo, c.min), min(hi, c.max)
	}
	return lo, hi
}
