package exact

import (
	"math"
	"math/bits"
)

// maxRun bounds how many significands are added up before they go to a Sum: their squares stay below 2^128.
const maxRun = 1 << 20

// AddAll adds xs to sum and their squares to squares: the same as Add and AddSquare for each, several times faster where
// neighbours have the same sign and exponent, as sorted values mostly do.
func AddAll(sum, squares *Sum, xs []float64) {
	for i := 0; i < len(xs); {
		const head = 52 // sign and exponent stand above
		u := math.Float64bits(xs[i])
		key := u >> head
		first, exp, ok := split(xs[i])
		if !ok {
			sum.marks++
			squares.marks++
			i++
			continue
		}
		implied := first &^ (1<<head - 1)
		var m0, m1, q0, q1, carry uint64
		end := min(len(xs), i+maxRun)
		for ; i < end; i++ {
			u := math.Float64bits(xs[i])
			if u>>head != key {
				break
			}
			m := u&(1<<head-1) | implied
			m0, carry = bits.Add64(m0, m, 0)
			m1 += carry
			hi, lo := bits.Mul64(m, m)
			q0, carry = bits.Add64(q0, lo, 0)
			q1, _ = bits.Add64(q1, hi, carry)
		}
		negative := key>>11 != 0
		sum.addWord(m0, exp, negative)
		sum.addWord(m1, exp+64, negative)
		squares.addWord(q0, 2*exp, false)
		squares.addWord(q1, 2*exp+64, false)
	}
}

// addWord adds ±m·2^exp.
func (s *Sum) addWord(m uint64, exp int, negative bool) {
	if m != 0 {
		s.addShifted(0, m, exp, negative)
	}
}
