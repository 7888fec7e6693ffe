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
// Cost: a walk of its own over the cells, and two rational functions summed for each gap: several times all other statistics together,
// so it is computed on request.
// Reference: F. W. Scholz, M. A. Stephens, K-sample Anderson-Darling tests, J. Am. Stat. Assoc. 82, 1987.
func andersonDarling() Spec {
	return Spec{
		Name: "anderson_darling", Kinds: numericOnly(), Doc: "docs/statistics.md#anderson_darling", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			if in.M()+in.N() < 4 {
				return null("needs 4 values on both sides together")
			}
			sum, places := weightedSquares(in)
			if places < 2 {
				return null("all values are in one place")
			}
			scale := (in.sweep.all() - 1) / in.sweep.all() * in.sweep.whole
			lower, v, upper := sum.bounds()
			least, p, _, _ := stat.AndersonDarling(lower*scale, in.M(), in.N())
			estimate, _, _, _ := stat.AndersonDarling(v*scale, in.M(), in.N())
			most, _, _, _ := stat.AndersonDarling(upper*scale, in.M(), in.N())
			return enclosed(least, estimate, most, &p, "")
		},
	}
}

// weightedSquares is Σ l·d²/(B(N-B) - Nl/4), and the number of cells that hold values, counted up to 2.
func weightedSquares(in Input) (sum interval, places int) {
	s := in.sweep
	all := s.all()
	var r, c uint64
	before := 0.0
	for chunk := range cells.Chunks(in.Ref, in.Cur) {
		for i := range chunk {
			p := &chunk[i]
			places = min(places+1, 2)
			rank := float64(r + c) // values before this cell
			l := float64(p.Ref + p.Cur)
			r0, c0 := r, c
			r += p.Ref
			c += p.Cur
			after := s.difference(r, c) * s.inv
			switch {
			case p.Point():
				d, b := (before+after)/2, rank+l/2
				sum.known += l * d * d / (float64(b*(all-b)) - all*l/4)
			case l >= all:
				return sum, 1
			default:
				mixed := p.Ref > 0 && p.Cur > 0
				bottom, top := 0.0, 0.0
				if mixed {
					bottom, top = s.difference(r0, c)*s.inv, s.difference(r, c0)*s.inv
				}
				sum.add(gapSquares(rank, l, all, before, after, bottom, top, mixed))
			}
			before = after
		}
	}
	return sum, places
}

// gapSquares encloses the sum over l values of a gap, of ranks rank+1 to rank+l, whose ties are not known. d goes from before to after,
// and is within [bottom, top] where both sides have values and their order is not known either.
//
// A group of l values equal to each other with mid-rank B has the term l·d²/Q, Q = B(N-B) - Nl/4. With Q₀ = B(N-B) - N/4, the largest that
// Q can be, d²/Q₀ is convex in B along the line of d, and 1/Q₀ is convex. So by Jensen's inequality the sum is at least its value at the
// middle of the gap. On the other side Q ≥ B(N-B)(1-ρ) with ρ = NL/(4B̄(N-B̄)) for the L values of the gap with the middle B̄, and by convexity
// splitting a group into single values only makes Σ d²/(B(N-B)) larger.
func gapSquares(rank, l, all, before, after, bottom, top float64, mixed bool) (lower, estimate, upper float64) {
	if l == 1 { // no ties, no order: known
		d, b := (before+after)/2, rank+0.5
		lower = d * d / (float64(b*(all-b)) - all/4)
		return lower, lower, lower
	}
	line := rational{value: before, slope: (after - before) / l, from: rank, all: all, less: all / 4}
	estimate = line.sum(l)
	line.less = 0
	middle := rank + l/2
	product := middle * (all - middle)
	slack := 1 / (1 - min(all*l/(4*product), 1)) // +Inf where the gap holds everything
	if !mixed {
		d := (before + after) / 2
		return l * d * d / (product - all/4), estimate, slack * line.sum(l)
	}
	least, most := squareRange(bottom, top)
	one := rational{value: 1, slope: 0, from: rank, all: all, less: 0}
	return l * least / (product - all/4), estimate, slack * most * one.sum(l)
}

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
	const far = 64 // how near to a pole single terms are added
	lo, hi := f.from, f.from+count
	if count < 3*far {
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
