package detectors

import (
	"math/bits"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// ks is the two-sample Kolmogorov-Smirnov distance: the largest difference of the two distribution functions, on values, not
// on bins (H₀ of its p-value: both samples come from one continuous distribution).
//
// Formula: sup |F - G|. Range [0, 1]. Lower and Upper always enclose it: at the ends of cells both functions are known exactly,
// and the largest difference there is Lower and the value. Only inside a gap that holds values of both sides could the true
// distance be larger: at most max(|F+f-G|, |G+g-F|) with f and g their masses. Where every reference value is a cut point
// there is no such gap and Lower = Upper.
// p-value: two-sided, of Lower; exact while n·m ≤ 10,000, else the one-sample exact distribution at round(nm/(n+m)), see
// stat.KSPValue. Ties make it conservative.
// Special cases: either side empty: null; constant sides: 0 or 1.
// Cost: one pass over the cells, all in 128-bit integers: merged counts give the same bits in any order.
// Reference: N. Smirnov, Table for estimating the goodness of fit of empirical distributions, 1948; limits.md, section 5.
func ks() Spec {
	return Spec{
		Name: "ks", Kinds: []cells.Kind{cells.Numeric}, Doc: "docs/statistics.md#ks", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.M() == 0 || in.N() == 0 {
				return null(in.Problem)
			}
			lower, upper := ksBounds(in)
			convention := stat.KSDefault
			if in.Config.Convention == ConventionSciPy {
				convention = stat.KSSciPy
			}
			p, _ := stat.KSPValue(lower, in.M(), in.N(), convention)
			s := valueP(lower, p)
			s.Lower, s.Upper = &lower, &upper
			return s
		},
	}
}

// ksBounds walks the cells once. Differences of the distribution functions are kept as |r·n - c·m|, an exact integer.
func ksBounds(in Input) (lower, upper float64) {
	var r, c uint64 // values up to here
	var most, mostInside product
	for p := range cells.Walk(in.Ref, in.Cur) {
		if !p.Point && p.Ref > 0 && p.Cur > 0 {
			mostInside = mostInside.max(crossDifference(r+p.Ref, in.N(), c, in.M()))
			mostInside = mostInside.max(crossDifference(r, in.N(), c+p.Cur, in.M()))
		}
		r += p.Ref
		c += p.Cur
		most = most.max(crossDifference(r, in.N(), c, in.M()))
	}
	whole := float64(in.N()) * float64(in.M())
	lower = min(most.float()/whole, 1)
	return lower, max(lower, min(mostInside.float()/whole, 1))
}

// product is a 128-bit unsigned integer.
type product struct{ hi, lo uint64 }

// crossDifference returns |a·b - c·d|.
func crossDifference(a, b, c, d uint64) product {
	var x, y product
	x.hi, x.lo = bits.Mul64(a, b)
	y.hi, y.lo = bits.Mul64(c, d)
	if x.less(y) {
		x, y = y, x
	}
	lo, borrow := bits.Sub64(x.lo, y.lo, 0)
	hi, _ := bits.Sub64(x.hi, y.hi, borrow)
	return product{hi, lo}
}

func (p product) less(q product) bool { return p.hi < q.hi || (p.hi == q.hi && p.lo < q.lo) }

func (p product) max(q product) product {
	if p.less(q) {
		return q
	}
	return p
}

func (p product) float() float64 { return float64(float64(p.hi)*0x1p64) + float64(p.lo) }
