package exact

import (
	"math"
	"math/bits"
)

// room is how many 32-bit digits a fixed has: sums of values that are within some hundred powers of two of each other, and their squares.
const room = 40

const digit = 1<<chunkBits - 1

// fixed is ±Σ d[i]·2^(32·(lo+i)) for i < n: what a big.Int does for sums of any size, without memory of its own for those of usual size.
// Every operation reports whether there is room.
type fixed struct {
	negative bool
	lo, n    int
	d        [room]uint64 // below 2^32; 0 from n on
}

// set makes f the sum.
func (f *fixed) set(s *Sum) bool {
	*f = fixed{negative: false, lo: s.base, n: 0, d: [room]uint64{}}
	if len(s.chunks) >= room || s.marks != 0 {
		return false
	}
	carry := f.carry(s.chunks, 1)
	if carry < 0 {
		f.negative = true
		carry = f.carry(s.chunks, -1)
	}
	f.d[len(s.chunks)] = uint64(carry) // a chunk is at most 2^62
	f.n = len(s.chunks) + 1
	f.trim()
	return true
}

// carry takes the digits of sign·chunks and returns what is left over.
func (f *fixed) carry(chunks []int64, sign int64) int64 {
	var carry int64
	for i, c := range chunks {
		c = sign*c + carry
		f.d[i] = uint64(c) & digit
		carry = c >> chunkBits // an arithmetic shift: rounds down
	}
	return carry
}

func (f *fixed) trim() {
	for f.n > 0 && f.d[f.n-1] == 0 {
		f.n--
	}
}

// times multiplies f by k.
func (f *fixed) times(k uint64) bool {
	if f.n+2 > room {
		return false
	}
	var carry uint64
	for i, d := range f.d[:f.n] {
		hi, lo := bits.Mul64(d, k)
		lo, c := bits.Add64(lo, carry, 0)
		f.d[i] = lo & digit
		carry = (hi+c)<<chunkBits | lo>>chunkBits
	}
	f.d[f.n], f.d[f.n+1] = carry&digit, carry>>chunkBits
	f.n += 2
	f.trim()
	return true
}

// square makes f the square of s, which is another one.
func (f *fixed) square(s *fixed) bool {
	*f = fixed{negative: false, lo: 2 * s.lo, n: 2 * s.n, d: [room]uint64{}}
	if f.n > room {
		return false
	}
	for i, a := range s.d[:s.n] {
		var carry uint64
		for j, b := range s.d[:s.n] {
			t := a*b + f.d[i+j] + carry // at most 2^64 - 1
			f.d[i+j], carry = t&digit, t>>chunkBits
		}
		f.d[i+s.n] = carry
	}
	f.trim()
	return true
}

// minus takes g from f. Both keep their value but for the place of their lowest digit.
func (f *fixed) minus(g *fixed) bool {
	if !f.lower(g.lo) || !g.lower(f.lo) {
		return false
	}
	n := max(f.n, g.n)
	if f.negative != g.negative {
		if n == room {
			return false
		}
		var carry uint64
		for i := range n + 1 {
			t := f.d[i] + g.d[i] + carry
			f.d[i], carry = t&digit, t>>chunkBits
		}
		f.n = n + 1
		f.trim()
		return true
	}
	a, b := f, g
	if f.less(g) {
		a, b = g, f
		f.negative = !f.negative
	}
	var borrow uint64
	for i := range n {
		t := a.d[i] - b.d[i] - borrow
		f.d[i], borrow = t&digit, t>>63
	}
	f.n = n
	f.trim()
	return true
}

// lower makes room for digits from lo on.
func (f *fixed) lower(lo int) bool {
	by := f.lo - lo
	if by <= 0 {
		return true
	}
	if f.n+by > room {
		return false
	}
	copy(f.d[by:], f.d[:f.n])
	clear(f.d[:by])
	f.lo, f.n = lo, f.n+by
	return true
}

// less compares the magnitudes; both have the same lowest digit.
func (f *fixed) less(g *fixed) bool {
	if f.n != g.n {
		return f.n < g.n
	}
	for i := f.n - 1; i >= 0; i-- {
		if f.d[i] != g.d[i] {
			return f.d[i] < g.d[i]
		}
	}
	return false
}

// over returns f·2^exp/den rounded once to the nearest float64, ties to even; false where it is not a normal number (the caller then takes the
// general way).
func (f *fixed) over(den uint64, exp int) (float64, bool) {
	if f.n == 0 {
		return 0, true
	}
	// The upper 160 bits in five digits, of them the upper 128 with the highest bit set, and whether anything is below.
	var top [5]uint64
	for i := range min(f.n, 5) {
		top[i] = f.d[f.n-1-i]
	}
	rest := uint64(0)
	for _, d := range f.d[:max(f.n-5, 0)] {
		rest |= d
	}
	z := uint(bits.LeadingZeros64(top[0])) - chunkBits
	hi, lo := top[0]<<chunkBits|top[1], top[2]<<chunkBits|top[3]
	hi, lo = hi<<z|lo>>(64-z), lo<<z|top[4]>>(chunkBits-z)
	rest |= top[4] << z & digit
	rest |= lo & 1 // one bit less, so that the quotient fits
	lo, hi = lo>>1|hi<<63, hi>>1
	zd := bits.LeadingZeros64(den)
	q, r := bits.Div64(hi, lo, den<<zd)
	rest |= r
	at := chunkBits*(f.lo+f.n-4) - int(z) + 1 + zd + exp // f/den is q·2^at
	cut := 64 - bits.LeadingZeros64(q) - 53              // 10 or 11
	m, below, half := q>>cut, q&(1<<cut-1), uint64(1)<<(cut-1)
	if below > half || (below == half && (rest != 0 || m&1 == 1)) {
		m++
	}
	if at += cut; at < -1021 || at > 1023-53 {
		return 0, false
	}
	v := math.Ldexp(float64(m), at)
	if f.negative {
		v = -v
	}
	return v, true
}

// fastMean is Mean where there is room, and false where not or where there is none.
func fastMean(sum *Sum, n uint64) (float64, bool) {
	var f fixed
	if n == 0 || !f.set(sum) {
		return 0, false
	}
	return f.over(n, -bias)
}

// fastMeanDifference is MeanDifference where there is room.
func fastMeanDifference(a *Sum, n uint64, b *Sum, m uint64) (float64, bool) {
	var x, y fixed
	if hi, both := bits.Mul64(n, m); hi == 0 && both > 0 && x.set(a) && y.set(b) && x.times(m) && y.times(n) && x.minus(&y) {
		return x.over(both, -bias)
	}
	return 0, false
}

// fastVariance is the variance of MeanVariance where there is room.
func fastVariance(sum, squares *Sum, n uint64, ddof int) (float64, bool) {
	var s, s2, q fixed
	hi, den := bits.Mul64(n, n-uint64(ddof))
	if hi != 0 || den == 0 || !s.set(sum) || !q.set(squares) || !s2.square(&s) {
		return 0, false
	}
	s2.lo -= bias / chunkBits // its digits weigh 2^-2·bias, those of q 2^-bias
	if !q.times(n) || !q.minus(&s2) || q.negative {
		return 0, false
	}
	return q.over(den, -bias)
}
