package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
)

// smallPairs bounds n·m for differences in plain 64-bit integers.
const smallPairs = 1 << 62

// sums are families of numbers that a walk over the cells adds up.
type sums uint8

const (
	sumDistances sums = 1 << iota // ks and the Wasserstein distance
	sumPairs                      // mann_whitney
	sumSquares                    // cramer_von_mises
	sumEnergy                     // energy
	sumWeighted                   // anderson_darling
	sumMeans                      // the difference of the means, which is none of the cells

	everySum = sumDistances | sumPairs | sumSquares | sumEnergy | sumWeighted | sumMeans
)

// sweep is what one walk over the cells of a numeric feature says: the counts of the bins, the median, and everything that the wanted rank
// statistics and distances between distribution functions are made of.
//
// F is the reference's distribution function, G the window's, and d = F - G. At the ends of every cell both are known exactly. At a
// point all values are equal. What is inside a gap is only known to lie there: for each sum there is a known part, and
// the bounds and the estimate of the rest, which holds that both sides spread evenly over the gap, so that d is linear there.
//
// Everything is a function of the counts alone, computed in the order of the cells: windows that were merged in any order, or
// from which panes were subtracted, give the same bits.
//
// There are two ways: cell by cell (cell), for those beyond the points and for numbers that are too large for the other one, and by blocks of the
// cells between the points (block), where differences are 64-bit integers and only the wanted families are computed.
type sweep struct {
	want   sums
	m, n   uint64  // sizes of the reference and the window
	whole  float64 // n·m
	inv    float64 // 1/whole
	small  bool    // n·m fits an int64 with room
	points []float64

	bins   []uint64 // the window's counts
	middle middle   // the window's

	r, c uint64  // values up to here
	d    float64 // F - G here

	most, mostInside float64  // max |nm·d| at the ends of cells, and the most that it could be inside
	pairs            product  // 2·Σ (window's values below, plus half of those equal) over the reference's values
	pairsInside      product  // Σ r·c over the gaps: pairs of unknown order
	ties             float64  // Σ t³ - t over the points
	squares          interval // Σ d² over all values

	at       float64  // the end of the last cell
	begun    bool     // at is set
	open     bool     // a gap holds values: distances are enclosed only
	area     float64  // ∫ |d| dx where it is known
	signed   float64  // ∫ d dx where it is known
	positive interval // ∫ max(d, 0) dx inside gaps
	negative interval // ∫ max(-d, 0) dx inside gaps
	energy   interval // ∫ d² dx
	up, down interval // what blocks add to positive and negative, times nm; the estimates times 2nm

	weighted interval // Σ l·d²/(B(N-B) - Nl/4), see gapSquares
	places   int      // cells that hold values, counted up to 2
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

// newSweep walks the cells.
func newSweep(b *basis, cur *cells.Counts, want sums) *sweep {
	s := emptySweep(b, cur, want)
	s.walk(b, cur, s.plain())
	return s
}

func emptySweep(b *basis, cur *cells.Counts, want sums) *sweep {
	ref := b.f.Counts
	s := &sweep{ //nolint:exhaustruct // nothing is summed yet
		want: want, m: ref.N(), n: cur.N(), whole: float64(ref.N()) * float64(cur.N()), points: b.f.Space.Points(), bins: make([]uint64, len(b.bins)),
	}
	s.inv = 1 / s.whole
	s.small = s.whole < smallPairs
	s.middle.n = s.n
	s.want &^= sumMeans
	if s.m == 0 || s.n == 0 {
		s.want = 0
	}
	return s
}

// walk takes the cells between the points by blocks, or one by one.
func (s *sweep) walk(b *basis, cur *cells.Counts, blocks bool) {
	below, above := cells.Outer(b.f.Counts, cur)
	blocks = blocks && s.want != 0
	s.outer(below, 0, blocks)
	s.dense(b, cur, blocks)
	s.outer(above, len(s.bins)-1, blocks)
	if s.want != 0 && !blocks {
		for chunk := range cells.Chunks(b.f.Counts, cur) {
			for i := range chunk {
				s.cell(&chunk[i])
			}
		}
	}
	if blocks {
		s.positive.add(s.up.lower*s.inv, s.up.estimate*s.inv/2, s.up.upper*s.inv)
		s.negative.add(s.down.lower*s.inv, s.down.estimate*s.inv/2, s.down.upper*s.inv)
	}
}

// plain reports whether the cells between the points can be taken by blocks: counts fit 32 bits, and nothing overflows.
func (s *sweep) plain() bool {
	if !s.small || max(s.m, s.n) > math.MaxUint32 {
		return false
	}
	return len(s.points) == 0 || 4*s.whole*(s.points[len(s.points)-1]-s.points[0]) <= math.MaxFloat64
}

// outer takes cells beyond the points, which are in one bin.
func (s *sweep) outer(beyond []cells.Cell, bin int, sum bool) {
	for i := range beyond {
		p := &beyond[i]
		s.middle.add(p, p.Cur)
		if len(s.bins) > 0 {
			s.bins[bin] += p.Cur
		}
		if sum {
			s.cell(p)
		}
	}
}

// blockSize is how many cells are looked at together: they stay in the first level cache. It is even, so that a block begins with a point.
const blockSize = 256

// dense takes the cells between the points; sum says whether more than the bins and the median is wanted of them.
func (s *sweep) dense(b *basis, cur *cells.Counts, sum bool) {
	to := cur.Dense()
	if s.n > math.MaxUint32 {
		var counts [blockSize]uint64
		for first, bin := 0, 0; ; first += blockSize {
			n := to.Read(counts[:])
			if n == 0 {
				return
			}
			var values uint64
			values, bin = countBins(b.bins, s.bins, bin, first, counts[:n])
			seekMiddle(s, first, counts[:n], values)
		}
	}
	var refs, curs [blockSize]uint32
	from := b.f.Counts.Dense()
	for first, bin := 0, 0; ; first += blockSize {
		counts := to.Narrow(curs[:])
		if len(counts) == 0 {
			return
		}
		var values uint64
		values, bin = countBins(b.bins, s.bins, bin, first, counts)
		seekMiddle(s, first, counts, values)
		if sum {
			s.block(s.points[first/2:], from.Narrow(refs[:len(counts)]), counts)
			s.r += b.blocks[first/blockSize]
			s.c += values
			s.d = s.difference(s.r, s.c) * s.inv
		}
	}
}

// seekMiddle looks for the median among the next cells between the points, one by one only where it must be.
func seekMiddle[T uint32 | uint64](s *sweep, first int, cur []T, values uint64) {
	if !s.middle.passes(values) {
		return
	}
	for i, n := range cur {
		s.middle.add(&cells.Cell{Lo: s.points[(first+i)/2], Hi: s.points[(first+i+1)/2], Ref: 0, Cur: uint64(n)}, uint64(n))
	}
}

// block takes the next cells between the points, of which the first is points[0].
func (s *sweep) block(points []float64, ref, cur []uint32) {
	s.upTo(points[0])
	s.at = points[len(ref)/2]
	d := int64(s.r*s.n - s.c*s.m)
	if s.want&sumDistances != 0 {
		s.distances(d, points, ref, cur)
	}
	if s.want&(sumPairs|sumSquares) != 0 {
		s.ranks(d, ref, cur)
	}
	if s.want&sumEnergy != 0 {
		s.energies(d, points, ref, cur)
	}
	if s.want&sumWeighted != 0 {
		s.weigh(d, ref, cur)
	}
}

// distances sums what ks and the Wasserstein distance are made of. In a gap nm·d is at least low, after all of the window's values and none of the
// reference's, and at most high; where it holds no values both are what it is at its ends.
func (s *sweep) distances(d int64, points []float64, ref, cur []uint32) {
	n, m := int64(s.n), int64(s.m)
	var highest, lowest, highestInside, lowestInside int64
	var held uint32
	var up, down interval // kept in registers: nothing points to them
	cur = cur[:len(ref)]
	points = points[:len(ref)/2+1]
	lo := points[0]
	for k := 1; k < len(ref); k += 2 {
		d += int64(ref[k-1])*n - int64(cur[k-1])*m
		before := d
		held |= ref[k] | cur[k]
		low, high := d-int64(cur[k])*m, d+int64(ref[k])*n
		d = low + high - before
		highest, lowest = max(highest, before, d), min(lowest, before, d)
		highestInside, lowestInside = max(highestInside, high), min(lowestInside, low)
		hi := points[k/2+1]
		w := hi - lo
		lo = hi
		switch {
		case low >= 0:
			up.lower += float64(low) * w
			up.estimate += float64(before+d) * w
			up.upper += float64(high) * w
		case high <= 0:
			down.lower += float64(-high) * w
			down.estimate += float64(-before-d) * w
			down.upper += float64(-low) * w
		default:
			above, below := crossing(before, d)
			up.estimate += above * w
			up.upper += float64(high) * w
			down.estimate += below * w
			down.upper += float64(-low) * w
		}
	}
	if len(ref)%2 == 1 { // a point at the end
		d += int64(ref[len(ref)-1])*n - int64(cur[len(ref)-1])*m
		highest, lowest = max(highest, d), min(lowest, d)
	}
	s.up.add(up.lower, up.estimate, up.upper)
	s.down.add(down.lower, down.estimate, down.upper)
	s.open = s.open || held != 0
	s.most = max(s.most, float64(max(highest, -lowest)))
	s.mostInside = max(s.mostInside, float64(max(highestInside, -lowestInside)))
}

// crossing returns twice the means of the positive and of the negative part of a straight line.
func crossing(before, after int64) (above, below float64) {
	b, a := float64(before), float64(after)
	switch {
	case before >= 0 && after >= 0:
		return b + a, 0
	case before <= 0 && after <= 0:
		return 0, -b - a
	case before > 0:
		return b * b / (b - a), a * a / (b - a)
	}
	return a * a / (a - b), b * b / (a - b)
}

// ranks sums what mann_whitney and cramer_von_mises are made of.
func (s *sweep) ranks(d int64, ref, cur []uint32) {
	n, m := int64(s.n), int64(s.m)
	c := s.c
	var pairs, inside uint64 // at most 2nm
	after := float64(d) * s.inv
	for k := range ref {
		r, own := uint64(ref[k]), uint64(cur[k])
		before := after
		low, high := d-int64(own)*m, d+int64(r)*n
		d += high - d + low - d
		after = float64(d) * s.inv
		if k%2 == 0 {
			pairs += r * (2*c + own)
			equal := float64(r + own)
			s.squares.known += equal * after * after
			s.ties += equal * (float64(equal*equal) - 1)
		} else {
			pairs += r * 2 * c
			inside += r * own
			s.squared(r, own, before, after, float64(low)*s.inv, float64(high)*s.inv)
		}
		c += own
	}
	s.pairs = s.pairs.plus(product{0, pairs})
	s.pairsInside = s.pairsInside.plus(product{0, inside})
}

// squared adds the squares of d at the values of a gap.
func (s *sweep) squared(r, c uint64, before, after, bottom, top float64) {
	switch count := float64(r + c); {
	case count == 0:
	case count == 1:
		s.squares.known += after * after
	case r == 0 || c == 0:
		s.squares.add(monotoneSquares(before, after, count))
	default:
		lower, upper := squareRange(bottom, top)
		s.squares.add(count*lower, evenSquares(before, after, count), count*upper)
	}
}

// energies sums what energy is made of.
func (s *sweep) energies(d int64, points []float64, ref, cur []uint32) {
	n, m := int64(s.n), int64(s.m)
	for k := 1; k < len(ref); k += 2 {
		d += int64(ref[k-1])*n - int64(cur[k-1])*m
		before := float64(d) * s.inv
		low, high := d-int64(cur[k])*m, d+int64(ref[k])*n
		d += high - d + low - d
		after := float64(d) * s.inv
		w := points[k/2+1] - points[k/2]
		lower, upper := squareRange(float64(low)*s.inv, float64(high)*s.inv)
		line := (float64(before*before) + float64(before*after) + float64(after*after)) / 3
		s.energy.add(lower*w, line*w, upper*w)
	}
}

// upTo takes what lies between the last cell and the next one, where d is constant.
func (s *sweep) upTo(lo float64) {
	if s.begun {
		area := span(s.d, s.at, lo)
		s.signed += area
		s.area += math.Abs(area)
		s.energy.known += math.Abs(area * s.d)
	}
	s.begun = true
}

// cell takes the next cell, of any kind and size.
func (s *sweep) cell(p *cells.Cell) {
	s.upTo(p.Lo)
	s.at = p.Hi
	if s.want&sumWeighted != 0 {
		s.weighCell(p)
	}
	if p.Point() {
		s.point(p)
	} else {
		s.gap(p)
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
	s.open = true
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
	s.squared(p.Ref, p.Cur, before, after, bottom, top)
	s.enclose(p, before, after, bottom, top)
}

// oneSided takes a gap with values of one side only, in which d is monotone.
func (s *sweep) oneSided(p *cells.Cell, before, after float64) {
	s.squared(p.Ref, p.Cur, before, after, min(before, after), max(before, after))
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
