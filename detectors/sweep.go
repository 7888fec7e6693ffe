package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
)

// smallPairs bounds n·m for differences in plain 64-bit integers.
const smallPairs = 1 << 62

// sweep is what one walk over the cells of a numeric feature says: the bins, the medians, and everything that the rank
// statistics and the distances between distribution functions are made of.
//
// F is the reference's distribution function, G the window's, and d = F - G. At the ends of every cell both are known exactly. At a
// point all values are equal. What is inside a gap is only known to lie there: for each sum there is a known part, and
// the bounds and the estimate of the rest, which holds that both sides spread evenly over the gap, so that d is linear there.
//
// Everything is a function of the counts alone, computed in the order of the cells: windows that were merged in any order, or
// from which panes were subtracted, give the same bits.
type sweep struct {
	m, n  uint64  // sizes of the reference and the window
	whole float64 // n·m
	inv   float64 // 1/whole
	small bool    // n·m fits an int64 with room

	table                binner
	refMiddle, curMiddle middle

	r, c uint64  // values up to here
	d    float64 // F - G here

	most, mostInside float64  // max |nm·d| at the ends of cells, and the most that it could be inside
	pairs            product  // 2·Σ (window's values below, plus half of those equal) over the reference's values
	pairsInside      product  // Σ r·c over the gaps: pairs of unknown order
	ties             float64  // Σ t³ - t over the points
	squares          interval // Σ d² over all values

	at       float64  // the end of the last cell
	begun    bool     // at is set
	area     float64  // ∫ |d| dx where it is known
	signed   float64  // ∫ d dx where it is known
	positive interval // ∫ max(d, 0) dx inside gaps
	negative interval // ∫ max(-d, 0) dx inside gaps
	energy   interval // ∫ d² dx
}

// interval is a sum of which one part is known and the rest enclosed.
type interval struct{ known, lower, estimate, upper float64 }

func (i *interval) add(lower, estimate, upper float64) {
	i.lower += lower
	i.estimate += estimate
	i.upper += upper
}

// bounds returns the sum's lower bound, estimate and upper bound.
func (i *interval) bounds() (lower, estimate, upper float64) {
	return i.known + i.lower, i.known + i.estimate, i.known + i.upper
}

// newSweep walks the cells. edges are those of the bins.
func newSweep(ref, cur *cells.Counts, edges []edge) *sweep {
	s := &sweep{
		m: ref.N(), n: cur.N(), whole: float64(ref.N()) * float64(cur.N()),
		table: binner{edges: edges, bins: nil, current: 0, next: 0, until: 0},
	}
	s.inv = 1 / s.whole
	s.small = s.whole < smallPairs
	s.refMiddle.n, s.curMiddle.n = s.m, s.n
	for chunk := range cells.Chunks(ref, cur) {
		s.table.scan(chunk)
		s.medians(chunk)
		if s.m > 0 && s.n > 0 {
			s.scan(chunk)
		}
	}
	return s
}

// medians looks for the middles in the next cells, one by one only where one of them must be.
func (s *sweep) medians(chunk []cells.Cell) {
	if s.refMiddle.found && s.curMiddle.found {
		return
	}
	var r, c uint64
	for i := range chunk {
		r += chunk[i].Ref
		c += chunk[i].Cur
	}
	if s.refMiddle.passes(r) {
		for i := range chunk {
			s.refMiddle.add(&chunk[i], chunk[i].Ref)
		}
	}
	if s.curMiddle.passes(c) {
		for i := range chunk {
			s.curMiddle.add(&chunk[i], chunk[i].Cur)
		}
	}
}

// scan takes the next cells.
func (s *sweep) scan(chunk []cells.Cell) {
	for i := range chunk {
		p := &chunk[i]
		if s.begun { // d is constant from the end of the last cell
			area := span(s.d, s.at, p.Lo)
			s.signed += area
			s.area += math.Abs(area)
			s.energy.known += math.Abs(area * s.d)
		}
		s.begun, s.at = true, p.Hi
		if p.Lo == p.Hi {
			s.point(p)
		} else {
			s.gap(p)
		}
	}
}

// difference returns nm·(F - G) after r values of the reference and c of the window, an integer: nothing cancels.
func (s *sweep) difference(r, c uint64) float64 {
	if s.small {
		return float64(int64(r*s.n - c*s.m)) // both products are below 2^62
	}
	d, negative := multiply(r, s.n).minus(multiply(c, s.m))
	if negative {
		return -d.float()
	}
	return d.float()
}

// point takes a cell whose values are all equal.
func (s *sweep) point(p *cells.Cell) {
	if p.Ref > 0 {
		s.pairs = s.pairs.plus(multiply(p.Ref, 2*s.c+p.Cur))
	}
	s.r += p.Ref
	s.c += p.Cur
	diff := s.difference(s.r, s.c)
	s.most = max(s.most, math.Abs(diff))
	d := diff * s.inv
	s.d = d
	equal := float64(p.Ref + p.Cur)
	s.squares.known += equal * d * d
	s.ties += equal * (float64(equal*equal) - 1)
}

// span is height·(hi - lo), where that difference overflows as well.
func span(height, lo, hi float64) float64 {
	w := hi - lo
	if w > math.MaxFloat64 {
		return float64(height*hi) - float64(height*lo)
	}
	return height * w
}

// gap takes a cell whose values lie between its ends, nobody knows where.
func (s *sweep) gap(p *cells.Cell) {
	before := s.d
	r, c := s.r, s.c
	s.r += p.Ref
	s.c += p.Cur
	diff := s.difference(s.r, s.c)
	s.most = max(s.most, math.Abs(diff))
	after := diff * s.inv
	s.d = after
	if p.Ref == 0 || p.Cur == 0 {
		s.pairs = s.pairs.plus(multiply(p.Ref, 2*c))
		s.oneSided(p, before, after)
		return
	}
	// d lies between what it is after all of the window's values of the gap and none of the reference's, and the reverse.
	low, high := s.difference(r, s.c), s.difference(s.r, c)
	s.mostInside = max(s.mostInside, math.Abs(low), math.Abs(high))
	s.pairs = s.pairs.plus(multiply(p.Ref, 2*c))
	s.pairsInside = s.pairsInside.plus(multiply(p.Ref, p.Cur))
	bottom, top := low*s.inv, high*s.inv
	count := float64(p.Ref + p.Cur)
	lower, upper := squareRange(bottom, top)
	s.squares.add(count*lower, evenSquares(before, after, count), count*upper)
	s.enclose(p, before, after, bottom, top)
}

// oneSided takes a gap with values of one side only, in which d is monotone.
func (s *sweep) oneSided(p *cells.Cell, before, after float64) {
	if p.Ref+p.Cur == 1 {
		s.squares.known += after * after
	} else {
		s.squares.add(monotoneSquares(before, after, float64(p.Ref+p.Cur)))
	}
	w := p.Hi - p.Lo
	if (before < 0) != (after < 0) || w > math.MaxFloat64 {
		s.enclose(p, before, after, min(before, after), max(before, after))
		return
	}
	// The common case: d keeps its sign.
	part := &s.positive
	a, b := before, after
	if a < 0 || b < 0 {
		part, a, b = &s.negative, -a, -b
	}
	least, most := a, b
	if least > most {
		least, most = b, a
	}
	part.add(least*w, (a+b)/2*w, most*w)
	s.energy.add(least*least*w, (float64(a*a)+float64(a*b)+float64(b*b))/3*w, most*most*w)
}

// enclose integrates over a gap in which d goes from before to after and stays within [bottom, top].
func (s *sweep) enclose(p *cells.Cell, before, after, bottom, top float64) {
	lo, hi := p.Lo, p.Hi
	up, down := 0.0, 0.0 // of the straight line
	switch {
	case before >= 0 && after >= 0:
		up = (before + after) / 2
	case before <= 0 && after <= 0:
		down = -(before + after) / 2
	case before > 0:
		up, down = before*before/(before-after)/2, after*after/(before-after)/2
	default:
		up, down = after*after/(after-before)/2, before*before/(after-before)/2
	}
	s.positive.add(span(max(bottom, 0), lo, hi), span(up, lo, hi), span(max(top, 0), lo, hi))
	s.negative.add(span(max(-top, 0), lo, hi), span(down, lo, hi), span(max(-bottom, 0), lo, hi))
	lower, upper := squareRange(bottom, top)
	line := (float64(before*before) + float64(before*after) + float64(after*after)) / 3
	s.energy.add(span(lower, lo, hi), span(line, lo, hi), span(upper, lo, hi))
}

// squareRange returns the least and the largest square of a number in [bottom, top].
func squareRange(bottom, top float64) (least, most float64) {
	a, b := bottom*bottom, top*top
	if bottom > 0 || top < 0 {
		least = min(a, b)
	}
	return least, max(a, b)
}

// evenSquares is Σ d² over count values at which d goes in equal steps from before, exclusive, to after, inclusive.
func evenSquares(before, after, count float64) float64 {
	step := (after - before) / count
	return squaresOf(before, step, 1, count)
}

// squaresOf is Σ (start + step·k)² for k = from … to, by the mean and the spread of its terms: nothing cancels.
func squaresOf(start, step, from, to float64) float64 {
	count := to - from + 1
	if count <= 0 {
		return 0
	}
	mean := start + step*(from+to)/2
	return count * (float64(mean*mean) + step*step*(float64(count*count)-1)/12)
}

// monotoneSquares encloses Σ d² over count values of one side in a gap, by which d goes from before to after. They are distinct or
// equal to each other, nobody knows: d at a value is d behind the last one equal to it. The estimate holds them distinct, which is exact
// for continuous features.
func monotoneSquares(before, after, count float64) (lower, estimate, upper float64) {
	estimate = evenSquares(before, after, count)
	flat := count * after * after // all are equal
	switch {
	case before >= 0 && after >= 0, before <= 0 && after <= 0:
		return min(estimate, flat), estimate, max(estimate, flat) // |d| is monotone: ties move all terms one way
	}
	// d crosses zero behind k0 steps. Before it, a tie may bring d to zero, or beyond it up to after; behind it, only further.
	step := (after - before) / count
	k0 := min(max(math.Floor(math.Abs(before/step)), 0), count)
	k1 := min(max(math.Floor((math.Abs(before)-math.Abs(after))/math.Abs(step)), 0), count) // |d| > |after| up to here
	lower = squaresOf(before, step, k0+1, count)
	upper = squaresOf(before, step, 1, k1) + (count-k1)*after*after
	return min(lower, estimate), estimate, max(upper, estimate)
}

// ks returns the bounds of the Kolmogorov-Smirnov distance.
func (s *sweep) ks() (lower, upper float64) {
	lower = min(s.most/s.whole, 1)
	return lower, max(lower, min(s.mostInside/s.whole, 1))
}

// parts returns the integrals of the positive and of the negative part of d.
func (s *sweep) parts() (positive, negative interval) {
	positive, negative = s.positive, s.negative
	positive.known = max((s.area+s.signed)/2, 0)
	negative.known = max((s.area-s.signed)/2, 0)
	return positive, negative
}

// all is the number of values of both sides.
func (s *sweep) all() float64 { return float64(s.m + s.n) }
