package exact

import (
	"math"
	"math/bits"
)

// Scatter adds up many values in any order: the significands of each sign and exponent on their own, and these to a Sum at the end. It
// holds 128 KiB, to be used again. The zero value is ready.
type Scatter struct {
	terms [1 << 12]term // by sign and exponent
	used  []uint16      // those that are not zero
}

// term is the sum of significands and of their squares, 128 bits each.
type term struct{ m0, m1, q0, q1 uint64 }

// AddAll is the same as Add and AddSquare for each of xs, to the bit.
func (s *Scatter) AddAll(sum, squares *Sum, xs []float64) {
	for len(xs) > maxRun {
		s.run(sum, squares, xs[:maxRun])
		xs = xs[maxRun:]
	}
	s.run(sum, squares, xs)
}

func (s *Scatter) run(sum, squares *Sum, xs []float64) {
	const (
		head     = 52 // sign and exponent stand above
		mantissa = 1<<head - 1
		special  = 1<<11 - 1 // the exponent of infinities and NaN, and 0 that of denormals
	)
	for _, x := range xs {
		u := math.Float64bits(x)
		key := u >> head
		m := u & mantissa
		switch key & special {
		case special:
			sum.marks++
			squares.marks++
			continue
		case 0:
			if m == 0 {
				continue
			}
		default:
			m |= 1 << head
		}
		t := &s.terms[key]
		if t.m0|t.m1 == 0 {
			s.used = append(s.used, uint16(key))
		}
		hi, lo := bits.Mul64(m, m)
		var carry uint64
		t.m0, carry = bits.Add64(t.m0, m, 0)
		t.m1 += carry
		t.q0, carry = bits.Add64(t.q0, lo, 0)
		t.q1, _ = bits.Add64(t.q1, hi, carry)
	}
	for _, key := range s.used {
		t := &s.terms[key]
		exp := max(int(key&special), 1) - 1075
		sum.addWord(t.m0, exp, key>>11 != 0)
		sum.addWord(t.m1, exp+64, key>>11 != 0)
		squares.addWord(t.q0, 2*exp, false)
		squares.addWord(t.q1, 2*exp+64, false)
		*t = term{m0: 0, m1: 0, q0: 0, q1: 0}
	}
	s.used = s.used[:0]
}
