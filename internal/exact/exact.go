// Package exact sums float64 values without rounding: a sum is the same bits in any order, split in any way, merged in any
// tree, with terms taken out again; it is rounded once, when read. It is a leaf of pure arithmetic.
package exact

import (
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/driftd/driftd/internal/exact/wire"
)

const (
	chunkBits = 32
	// bias makes every bit position non-negative: the lowest bit of a square is 2^-2148, the lowest chunk is 2^-2176.
	bias = 68 * chunkBits
	// maxChunks bounds what Decode accepts: squares of the largest float64 end below 2^2048, and 2^64 of them below 2^2112.
	maxChunks = (bias + 2112 + chunkBits) / chunkBits
	// maxPending terms of at most 2^32 in magnitude are added to a chunk before carries are propagated; twice as many
	// (after a Merge) still fit an int64.
	maxPending = 1 << 29
)

// Sum is an exact sum of finite float64 values and of their squares: a superaccumulator in the manner of the small one of
// R. M. Neal, "Fast exact summation using small and large superaccumulators", 2015 (arXiv:1505.05571), with chunks of 32 bits
// in int64 whose carries are propagated at a bounded number of terms. Unlike there only the chunks in use are kept, a
// window of some three to eight, and it reaches far enough for exact squares.
//
// The zero value is an empty sum. A Sum must not be copied by assignment once it is used; use Clone. Adding costs no
// allocation while the magnitudes stay within the window in use.
type Sum struct {
	base    int     // index of chunks[0]: chunk i weighs 2^(32·(base+i) - bias)
	chunks  []int64 // each at most (pending+1)·2^32 in magnitude
	pending int     // terms since the last propagation of carries
	marks   int64   // terms that were not finite
}

// Add adds x. A NaN or an infinity is no number to sum: it is only marked, and the sum has no value until Subtract has taken
// as many marks out again.
func (s *Sum) Add(x float64) {
	m, exp, ok := split(x)
	if !ok {
		s.marks++
		return
	}
	if m != 0 {
		s.addShifted(0, m, exp, math.Signbit(x))
	}
}

// AddSquare adds x² exactly: the square of the 53-bit significand in 128 bits, never rounded, also where x*x would overflow
// or vanish. A NaN or an infinity is marked as by Add.
func (s *Sum) AddSquare(x float64) {
	m, exp, ok := split(x)
	if !ok {
		s.marks++
		return
	}
	if m != 0 {
		hi, lo := bits.Mul64(m, m)
		s.addShifted(hi, lo, 2*exp, false)
	}
}

// AddBoth is sum.Add(x) and squares.AddSquare(x), and takes the direct way where neither window must be widened nor a carry be propagated:
// nearly always.
func AddBoth(sum, squares *Sum, x float64) {
	m, exp, ok := split(x)
	if p := uint(exp + bias); ok && m != 0 {
		q := uint(2*exp + bias)
		i, j := int(p/chunkBits)-sum.base, int(q/chunkBits)-squares.base
		if i >= 0 && i+3 <= len(sum.chunks) && j >= 0 && j+5 <= len(squares.chunks) && sum.pending < maxPending-1 && squares.pending < maxPending-1 {
			const mask = 1<<chunkBits - 1
			sign := int64(math.Float64bits(x)) >> 63 // 0 or -1: (v ^ sign) - sign is ±v
			shift := p % chunkBits
			w0, w1 := m<<shift, m>>(64-shift)
			c := (*[3]int64)(sum.chunks[i:])
			c[0] += (int64(w0&mask) ^ sign) - sign
			c[1] += (int64(w0>>chunkBits) ^ sign) - sign
			c[2] += (int64(w1) ^ sign) - sign
			shift = q % chunkBits
			hi, lo := bits.Mul64(m, m)
			w0, w1 = lo<<shift, hi<<shift|lo>>(64-shift)
			d := (*[5]int64)(squares.chunks[j:])
			d[0] += int64(w0 & mask)
			d[1] += int64(w0 >> chunkBits)
			d[2] += int64(w1 & mask)
			d[3] += int64(w1 >> chunkBits)
			d[4] += int64(hi >> (64 - shift))
			sum.pending++
			squares.pending++
			return
		}
	}
	sum.Add(x)
	squares.AddSquare(x)
}

// split returns m and exp with |x| = m·2^exp, and false for NaN and infinities.
func split(x float64) (m uint64, exp int, ok bool) {
	u := math.Float64bits(x)
	exp = int(u>>52) & 0x7ff
	m = u & (1<<52 - 1)
	switch exp {
	case 0x7ff:
		return 0, 0, false
	case 0:
		return m, -1074, true
	}
	return m | 1<<52, exp - 1075, true
}

// addShifted adds ±(hi·2^64 + lo)·2^exp, hi < 2^42.
func (s *Sum) addShifted(hi, lo uint64, exp int, negative bool) {
	p := exp + bias
	k, shift := p/chunkBits, uint(p%chunkBits)
	w0 := lo << shift
	w1 := hi<<shift | lo>>(64-shift)
	w2 := hi >> (64 - shift)
	n := 3
	if hi != 0 {
		n = 5
	}
	s.reserve(k, n)
	c := s.chunks[k-s.base : k-s.base+n]
	const mask = 1<<chunkBits - 1
	if negative {
		c[0] -= int64(w0 & mask)
		c[1] -= int64(w0 >> chunkBits)
		c[2] -= int64(w1 & mask)
	} else {
		c[0] += int64(w0 & mask)
		c[1] += int64(w0 >> chunkBits)
		c[2] += int64(w1 & mask)
		if n == 5 { // squares only, and they are positive
			c[3] += int64(w1 >> chunkBits)
			c[4] += int64(w2)
		}
	}
	if s.pending++; s.pending >= maxPending {
		s.propagate()
	}
}

// reserve widens the window to hold the chunks k to k+n-1.
func (s *Sum) reserve(k, n int) {
	if len(s.chunks) == 0 {
		s.base, s.chunks = k, make([]int64, n)
		return
	}
	lo, hi := min(s.base, k), max(s.base+len(s.chunks), k+n)
	if hi-lo == len(s.chunks) {
		return
	}
	wide := make([]int64, hi-lo)
	copy(wide[s.base-lo:], s.chunks)
	s.base, s.chunks = lo, wide
}

// propagate carries, so that every chunk but the highest is in [0, 2^32) and the highest, which has the sign, in [-2^32, 2^32).
func (s *Sum) propagate() {
	s.pending = 0
	for i := 0; i < len(s.chunks); i++ {
		c := s.chunks[i]
		last := i == len(s.chunks)-1
		if last && c >= -1<<chunkBits && c < 1<<chunkBits {
			return
		}
		if last {
			s.chunks = append(s.chunks, 0)
		}
		s.chunks[i+1] += c >> chunkBits // an arithmetic shift: rounds down
		s.chunks[i] = c & (1<<chunkBits - 1)
	}
}

// Merge adds all terms of o, which stays as it is.
func (s *Sum) Merge(o *Sum) {
	s.marks += o.marks
	if len(o.chunks) == 0 {
		return
	}
	s.reserve(o.base, len(o.chunks))
	at := s.chunks[o.base-s.base:]
	for i, c := range o.chunks {
		at[i] += c
	}
	if s.pending += o.pending + 1; s.pending >= maxPending {
		s.propagate()
	}
}

// Subtract takes all terms of o out, which stays as it is. It inverts Merge to the bit.
func (s *Sum) Subtract(o *Sum) {
	s.marks -= o.marks
	if len(o.chunks) == 0 {
		return
	}
	s.reserve(o.base, len(o.chunks))
	at := s.chunks[o.base-s.base:]
	for i, c := range o.chunks {
		at[i] -= c
	}
	if s.pending += o.pending + 1; s.pending >= maxPending {
		s.propagate()
	}
}

// Clone returns an independent copy.
func (s *Sum) Clone() Sum {
	return Sum{base: s.base, chunks: slices.Clone(s.chunks), pending: s.pending, marks: s.marks}
}

// digits returns the one sign-and-magnitude form of the sum: the magnitude's 32-bit digits from chunk index lo upwards,
// neither the lowest nor the highest of them 0; none for zero.
func (s *Sum) digits() (negative bool, lo int, digits []int64) {
	n := s.Clone()
	n.propagate()
	if k := len(n.chunks); k > 0 && n.chunks[k-1] < 0 {
		negative = true
		for i := range n.chunks {
			n.chunks[i] = -n.chunks[i]
		}
		n.propagate()
	}
	lo, digits = n.base, n.chunks
	for len(digits) > 0 && digits[0] == 0 {
		lo, digits = lo+1, digits[1:]
	}
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	return negative && len(digits) > 0, lo, digits
}

// IsZero reports whether the sum is exactly zero and unmarked.
func (s *Sum) IsZero() bool {
	_, _, d := s.digits()
	return s.marks == 0 && len(d) == 0
}

// integer returns the sum as v·2^exp.
func (s *Sum) integer() (v *big.Int, exp int) {
	negative, lo, digits := s.digits()
	v = new(big.Int)
	if len(digits) == 0 {
		return v, 0
	}
	buf := make([]byte, 0, 4*len(digits)) // big-endian
	for _, d := range slices.Backward(digits) {
		buf = append(buf, byte(d>>24), byte(d>>16), byte(d>>8), byte(d))
	}
	v.SetBytes(buf)
	if negative {
		v.Neg(v)
	}
	return v, lo*chunkBits - bias
}

// Float64 returns the sum rounded once, to the nearest float64, ties to even. It returns false, and 0, where that overflows
// or where terms that were not finite are in the sum.
func (s *Sum) Float64() (float64, bool) {
	v, exp := s.integer()
	return quotient(v, exp, big.NewInt(1), s.marks == 0)
}

// AppendBinary appends the canonical form: equal sums have equal bytes, however they came about. It has about five bytes
// for each 32 bits of magnitude that are not zero.
func (s *Sum) AppendBinary(b []byte) []byte {
	negative, lo, digits := s.digits()
	b = wire.AppendVarint(b, s.marks)
	nonzero := 0
	for _, d := range digits {
		if d != 0 {
			nonzero++
		}
	}
	head := uint64(nonzero) << 1
	if negative {
		head |= 1
	}
	b = wire.AppendUvarint(b, head)
	next := 0
	for i, d := range digits {
		if d == 0 {
			continue
		}
		b = wire.AppendUvarint(b, uint64(lo+i-next))
		b = append(b, byte(d), byte(d>>8), byte(d>>16), byte(d>>24))
		next = lo + i + 1
	}
	return b
}

// MaxEncodedLen is an upper bound of what AppendBinary appends: the marks, the head, and every digit in five bytes.
const MaxEncodedLen = 10 + 2 + 5*maxChunks + 1

// Decode replaces the sum by the one at the start of b and returns what follows it. On an error, which wraps
// wire.ErrCorrupt, the sum is left as it was.
func (s *Sum) Decode(b []byte) (rest []byte, err error) {
	r := wire.NewReader(b)
	n := Sum{marks: r.Varint()}
	head := r.Uvarint()
	if head>>1 > maxChunks {
		r.Fail("%d digits, at most %d are possible", head>>1, maxChunks)
	}
	if head == 1 {
		r.Fail("a negative zero")
	}
	next := uint64(0)
	for range head >> 1 {
		k := r.Uvarint()
		d := r.Uint32()
		if r.Err() == nil && (d == 0 || k >= maxChunks || next+k >= maxChunks) {
			r.Fail("digit %d at index %d+%d", d, next, k)
		}
		if r.Err() != nil {
			break
		}
		k += next
		n.reserve(int(k), 1)
		n.chunks[int(k)-n.base] = int64(d)
		next = k + 1
	}
	if err := r.Err(); err != nil {
		return b, err
	}
	if head&1 == 1 {
		for i := range n.chunks {
			n.chunks[i] = -n.chunks[i]
		}
	}
	*s = n
	return r.Rest(), nil
}
