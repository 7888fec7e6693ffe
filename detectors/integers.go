package detectors

import "math/bits"

// product is a 128-bit unsigned integer: the product of two counts, or a sum of such.
type product struct{ hi, lo uint64 }

func multiply(a, b uint64) product {
	hi, lo := bits.Mul64(a, b)
	return product{hi, lo}
}

func (p product) plus(q product) product {
	lo, carry := bits.Add64(p.lo, q.lo, 0)
	hi, _ := bits.Add64(p.hi, q.hi, carry)
	return product{hi, lo}
}

// minus returns |p - q| and whether q is the larger.
func (p product) minus(q product) (difference product, negative bool) {
	if negative = p.less(q); negative {
		p, q = q, p
	}
	lo, borrow := bits.Sub64(p.lo, q.lo, 0)
	hi, _ := bits.Sub64(p.hi, q.hi, borrow)
	return product{hi, lo}, negative
}

func (p product) less(q product) bool { return p.hi < q.hi || (p.hi == q.hi && p.lo < q.lo) }

func (p product) float() float64 { return float64(float64(p.hi)*0x1p64) + float64(p.lo) }
