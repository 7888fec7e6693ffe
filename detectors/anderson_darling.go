package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// andersonDarling is the two-sample Anderson-Darling statistic: like cramer_von_mises with more weight on the tails (H₀ of its p-value:
// both samples come from one distribution, continuous or not).
//
// Formula: the k-sample statistic of Scholz and Stephens for k = 2 in the mid-rank form, standardised: (A² - 1)/σ with
// A² = (N-1)/N · nm Σ l·d²/(B(N-B) - Nl/4) over the distinct values of both sides, l values equal to it, B its mid-rank, and d = F - G
// halfway between before and behind it. Range from about -1.3, larger is further apart.
// p-value: interpolated between the published points, clipped to [0.001, 0.25]: 0.001 means at most that. Where there are
// few distinct values it is too small (TestErrorRatesWithoutDrift). Minimum: 4 values together.
// Special cases: either side empty, fewer than 4 values, or all in one place: null. Ties: mid-ranks, at points.
// Bounds: where every reference value is a cut point, only ties among the window's values inside one gap are not known, and the value holds
// them distinct. Above the resolution the order inside gaps is not known either; the value lets d be linear there. p is that of Lower.
// Cost: a part of the sweep over the cells, with a division for each value: more than all other statistics together, so it is
// computed on request.
// Reference: F. W. Scholz, M. A. Stephens, K-sample Anderson-Darling tests, J. Am. Stat. Assoc. 82, 1987.
func andersonDarling() Spec {
	return Spec{
		Name: "anderson_darling", Kinds: numericOnly(), Doc: "docs/statistics.md#anderson_darling", Rate: NotARate, sums: sumWeighted,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			if in.M()+in.N() < 4 {
				return null("needs 4 values on both sides together")
			}
			if in.sweep.places < 2 {
				return null("all values are in one place")
			}
			scale := (in.sweep.all() - 1) / in.sweep.all() * in.sweep.whole
			lower, v, upper := in.sweep.weighted.bounds()
			least, p, _, _ := stat.AndersonDarling(lower*scale, in.M(), in.N())
			estimate, _, _, _ := stat.AndersonDarling(v*scale, in.M(), in.N())
			most, _, _, _ := stat.AndersonDarling(upper*scale, in.M(), in.N())
			return enclosed(least, estimate, most, &p, "")
		},
	}
}

// weighCell adds a cell of any size.
func (s *sweep) weighCell(p *cells.Cell) {
	c := weighed{rank: float64(s.r + s.c), l: float64(p.Ref + p.Cur), before: s.d, after: s.difference(s.r+p.Ref, s.c+p.Cur) * s.inv} //nolint:exhaustruct // below
	if c.mixed = p.Ref > 0 && p.Cur > 0; c.mixed {
		c.bottom, c.top = s.difference(s.r, s.c+p.Cur)*s.inv, s.difference(s.r+p.Ref, s.c)*s.inv
	}
	s.weighOne(&c, p.Point())
}

// weigh adds the next cells between the points.
func (s *sweep) weigh(d int64, ref, cur []uint32) {
	n, m := int64(s.n), int64(s.m)
	c := weighed{rank: float64(s.r + s.c), after: float64(d) * s.inv} //nolint:exhaustruct // below
	for k := range ref {
		r, own := uint64(ref[k]), uint64(cur[k])
		if r|own == 0 {
			continue
		}
		low, high := d-int64(own)*m, d+int64(r)*n
		d += high - d + low - d
		c.l, c.before, c.after = float64(r+own), c.after, float64(d)*s.inv
		c.mixed, c.bottom, c.top = r > 0 && own > 0, float64(low)*s.inv, float64(high)*s.inv
		s.weighOne(&c, k%2 == 0)
		c.rank += c.l
	}
}

// weighed is a cell of l values, of ranks rank+1 to rank+l. d goes from before to after, and is within [bottom, top] where both sides have values
// and their order is not known either.
type weighed struct {
	rank, l       float64
	before, after float64
	bottom, top   float64
	mixed         bool
}

func (s *sweep) weighOne(c *weighed, point bool) {
	s.places = min(s.places+1, 2)
	all := s.all()
	switch {
	case c.l >= all: // the only one: there is no statistic
	case point:
		d, b := (c.before+c.after)/2, c.rank+c.l/2
		s.weighted.known += c.l * d * d / (float64(b*(all-b)) - all*c.l/4)
	case c.l == 1: // no ties, no order: known
		d, b := (c.before+c.after)/2, c.rank+0.5
		s.weighted.known += d * d / (float64(b*(all-b)) - all/4)
	default:
		s.weighted.add(c.gapSquares(all))
	}
}

// gapSquares encloses the sum over the values of a gap, whose ties are not known.
//
// A group of l values equal to each other with mid-rank B has the term l·d²/Q, Q = B(N-B) - Nl/4. With Q₀ = B(N-B) - N/4, the largest that
// Q can be, d²/Q₀ is convex in B along the line of d, and 1/Q₀ is convex. So by Jensen's inequality the sum is at least its value at the
// middle of the gap. On the other side Q ≥ B(N-B)(1-ρ) with ρ = NL/(4B̄(N-B̄)) for the L values of the gap with the middle B̄, and by convexity
// splitting a group into single values only makes Σ d²/(B(N-B)) larger.
func (c *weighed) gapSquares(all float64) (lower, estimate, upper float64) {
	slope := (c.after - c.before) / c.l
	var plain, one float64 // Σ d²/(B(N-B)) and Σ 1/(B(N-B))
	if c.l < shortSum {
		for k := 0.5; k < c.l; k++ {
			u, x := c.before+slope*k, c.rank+k
			product := x * (all - x)
			less := product - all/4
			both := 1 / (product * less) // the one division does for both
			estimate += u * u * (both * product)
			plain += u * u * (both * less)
			one += both * less
		}
	} else {
		line := rational{value: c.before, slope: slope, from: c.rank, all: all, less: all / 4}
		estimate = line.sum(c.l)
		line.less = 0
		plain = line.sum(c.l)
		one = rational{value: 1, slope: 0, from: c.rank, all: all, less: 0}.sum(c.l)
	}
	middle := c.rank + c.l/2
	product := middle * (all - middle)
	slack := 1 / (1 - min(all*c.l/(4*product), 1)) // +Inf where the gap holds everything
	if !c.mixed {
		d := (c.before + c.after) / 2
		return c.l * d * d / (product - all/4), estimate, slack * plain
	}
	least, most := squareRange(c.bottom, c.top)
	return c.l * least / (product - all/4), estimate, slack * most * one
}

// shortSum is how many terms are added one by one.
const shortSum = 3 * farFromPole

// farFromPole is how near to a pole single terms are added.
const farFromPole = 64

// rational is f(B) = (value + slope·(B - from))² / (B(all-B) - less), a function without poles inside (0, all) but near its ends.
type rational struct{ value, slope, from, all, less float64 }

func (f rational) at(x float64) float64 {
	u := f.value + f.slope*(x-f.from)
	return u * u / (float64(x*(f.all-x)) - f.less)
}

// derivatives returns f' and f”' at x, by the series of the quotient.
func (f rational) derivatives(x float64) (first, third float64) {
	u := f.value + f.slope*(x-f.from)
	n0, n1, n2 := u*u, 2*u*f.slope, f.slope*f.slope
	q0, q1 := float64(x*(f.all-x))-f.less, f.all-2*x // and -1 for the square
	c0 := n0 / q0
	c1 := (n1 - q1*c0) / q0
	c2 := (n2 - q1*c1 + c0) / q0
	c3 := (c1 - q1*c2) / q0
	return c1, 6 * c3
}

// sum returns Σ f(from + k - ½) for k = 1 … count: term by term near the poles and for short sums, else by the midpoint form of
// Euler and Maclaurin, whose next term is below 1e-11 of the sum at this distance from the poles.
func (f rational) sum(count float64) float64 {
	const far = farFromPole
	lo, hi := f.from, f.from+count
	if count < shortSum {
		return f.terms(lo, hi)
	}
	left := min(max(lo, far), hi)          // from here on far from the pole at 0
	right := max(min(hi, f.all-far), left) // up to here far from the pole at all
	if right-left < 2*far {
		left, right = hi, hi
	}
	left, right = lo+math.Floor(left-lo), lo+math.Floor(right-lo) // whole terms
	total := f.terms(lo, left) + f.terms(right, hi)
	if right > left {
		d1, t1 := f.derivatives(left)
		d2, t2 := f.derivatives(right)
		total += f.integral(left, right) - (d2-d1)/24 + 7*(t2-t1)/5760
	}
	return total
}

func (f rational) terms(lo, hi float64) float64 {
	sum := 0.0
	for x := lo + 0.5; x < hi; x++ {
		sum += f.at(x)
	}
	return sum
}

// integral is by Gauss and Legendre on panels no longer than their distance from the poles: a relative error below 1e-12.
func (f rational) integral(lo, hi float64) float64 {
	nodes := [4]float64{0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363}
	weights := [4]float64{0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763}
	sum := 0.0
	for lo < hi {
		length := min(hi-lo, lo, (f.all-lo)/2)
		if hi-lo-length < 1 {
			length = hi - lo
		}
		center, half := lo+length/2, length/2
		for i, x := range nodes {
			sum += float64(half * weights[i] * (f.at(center-half*x) + f.at(center+half*x)))
		}
		lo += length
	}
	return sum
}
