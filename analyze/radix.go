package analyze

import (
	"math"
	"slices"
)

const (
	radixBits   = 11
	radixSize   = 1 << radixBits
	radixPasses = 6 // 6·11 bits hold the 64 of a float64
	// radixLeast is the number of values from which counting digits beats comparing.
	radixLeast = 1 << 10
)

// sortFloats sorts finite values in increasing order: by digits of 11 bits from the lowest up (LSD radix sort), some 15 ns a value
// however many there are. scratch is grown as needed and returned for the next call. -0 sorts before 0.
func sortFloats(xs, scratch []float64) []float64 {
	if len(xs) < radixLeast {
		slices.Sort(xs)
		return scratch
	}
	scratch = slices.Grow(scratch[:0], len(xs))[:len(xs)]
	var counts [radixPasses][radixSize]uint32
	sorted, before := true, uint64(0)
	for _, x := range xs {
		k := sortKey(x)
		sorted = sorted && k >= before
		before = k
		for p := range counts {
			counts[p][k>>(p*radixBits)&(radixSize-1)]++
		}
	}
	if sorted {
		return scratch
	}
	from, to := xs, scratch
	for p := range counts {
		shift, c := p*radixBits, &counts[p]
		if c[sortKey(from[0])>>shift&(radixSize-1)] == uint32(len(xs)) {
			continue // the digit is the same in all values
		}
		at := uint32(0)
		for d, n := range c {
			c[d], at = at, at+n
		}
		for _, x := range from {
			d := sortKey(x) >> shift & (radixSize - 1)
			to[c[d]] = x
			c[d]++
		}
		from, to = to, from
	}
	if &from[0] != &xs[0] {
		copy(xs, from)
	}
	return scratch
}

// sortKey maps a float64 to an unsigned integer of the same order.
func sortKey(x float64) uint64 {
	u := math.Float64bits(x)
	return u ^ (uint64(int64(u)>>63) | 1<<63)
}
