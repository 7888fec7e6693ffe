package event

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
)

// exactPowers are the powers of ten that float64 holds exactly.
var exactPowers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// integerPowers are the powers of ten that 64 bits hold.
var integerPowers = [...]uint64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// number reads the number at i into v: the literal as written and the nearest float64 (ties to even). Integers beyond
// 2^53 are rounded like every other number. A literal beyond the largest float64 refuses the record.
//
// A literal of at most 19 digits whose digits make an integer below 2^53 and whose power of ten is at most 10^±22 is the
// quotient or product of two exact float64s, so one division or multiplication rounds it rightly (W. D. Clinger, How to
// Read Floating Point Numbers Accurately, 1990). The 16 and 17 digits that most writers print for a float64 take one
// division of 128 by 64 bits instead. Everything else goes to strconv.
func (d *Decoder) number(i int, v *Value) int {
	b := d.msg
	if x, next := shortNumber(b, i); next > 0 {
		*v = Value{Kind: ValueNumber, Num: x, Str: b[i:next:next]}
		return next
	}
	start, negative := i, b[i] == '-'
	if negative {
		i++
	}
	digits := i
	mantissa, i := readDigits(b, i, 0)
	count := i - digits
	if count == 0 {
		if _, n := nonFinite(b[start:]); n > 0 {
			return d.bare(start, v)
		}
		return d.unexpected(i, "a digit after '-'")
	}
	if count > 1 && b[digits] == '0' {
		return d.fail(digits+1, RejectMalformed, "a number must not start with 0")
	}
	exponent := 0
	if i < len(b) && b[i] == '.' {
		i++
		fraction := i
		mantissa, i = readDigits(b, i, mantissa)
		if i == fraction {
			return d.unexpected(i, "a digit after the decimal point")
		}
		exponent = fraction - i
		count += i - fraction
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		var e int
		if e, i = d.exponent(i + 1); i < 0 {
			return i
		}
		exponent += e
	}
	*v = Value{Kind: ValueNumber, Str: b[start:i:i]}
	if count <= 19 && mantissa < 1<<53 && -22 <= exponent && exponent <= 22 {
		x := float64(mantissa)
		if exponent < 0 {
			x /= exactPowers[-exponent]
		} else {
			x *= exactPowers[exponent]
		}
		if negative {
			x = -x
		}
		v.Num = x
		return i
	}
	if count <= 19 && mantissa != 0 && -19 <= exponent && exponent <= 0 {
		v.Num = quotient(mantissa, -exponent)
		if negative {
			v.Num = -v.Num
		}
		return i
	}
	x, err := strconv.ParseFloat(string(b[start:i]), 64)
	if err != nil {
		d.soft(start, RejectMalformed, "a number is beyond the range of float64 (about 1.8e308)")
		x = math.Copysign(math.MaxFloat64, x)
	}
	v.Num = x
	return i
}

// readDigits goes on with a mantissa by the digits from i on. It may wrap beyond 19 digits.
func readDigits(b []byte, i int, mantissa uint64) (m uint64, next int) {
	for len(b)-i >= 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if leadingDigits(w) < 8 {
			break
		}
		mantissa = mantissa*1e8 + digitsValue(w, 8)
		i += 8
	}
	for i < len(b) && b[i]-'0' <= 9 {
		mantissa = mantissa*10 + uint64(b[i]-'0')
		i++
	}
	return mantissa, i
}

// shortNumber reads the number at i where it is of the commonest form and the message goes on for a while: up to seven digits, or that many
// before and after a point, and no exponent. next is 0 where it is not, which is for Decoder.number to judge. It looks at eight
// bytes at once, because a loop over the digits ends where no processor can foresee it.
func shortNumber(b []byte, i int) (x float64, next int) {
	const longest = 1 + 7 + 1 + 8 + 1
	if len(b)-i < longest {
		return 0, 0
	}
	negative := b[i] == '-'
	if negative {
		i++
	}
	w := binary.LittleEndian.Uint64(b[i:])
	n := leadingDigits(w)
	if n == 0 || n == 8 || n > 1 && b[i] == '0' {
		return 0, 0
	}
	mantissa := digitsValue(w, n)
	i += n
	x = float64(mantissa)
	if b[i] == '.' {
		w = binary.LittleEndian.Uint64(b[i+1:])
		if n = leadingDigits(w); n == 0 || n == 8 {
			return 0, 0
		}
		i += 1 + n
		x = float64(mantissa*integerPowers[n]+digitsValue(w, n)) / exactPowers[n]
	}
	if b[i]|0x20 == 'e' {
		return 0, 0
	}
	if negative {
		x = -x
	}
	return x, i
}

// leadingDigits returns how many of the eight bytes of w, the lowest first, are decimal digits before the first one that is not.
func leadingDigits(w uint64) int {
	const highs = 0x8080808080808080
	w ^= 0x3030303030303030
	// What is no digit has its high bit set after this. A carry reaches only what lies behind it.
	return bits.TrailingZeros64((w+0x7676767676767676|w)&highs) >> 3
}

// digitsValue returns the number that the first n bytes of w write, which are digits, 1 ≤ n ≤ 8: neighbours are joined, three times
// over (D. Lemire, Quickly parsing eight digits, 2018).
func digitsValue(w uint64, n int) uint64 {
	w = (w ^ 0x3030303030303030) << (64 - 8*uint(n)) // with zeros in front
	w = w * (10<<8 + 1) >> 8 & 0x00ff00ff00ff00ff
	w = w * (100<<16 + 1) >> 16 & 0x0000ffff0000ffff
	return w * (10000<<32 + 1) >> 32
}

// quotient returns m / 10^k, rounded once to the nearest float64 (ties to even), for m > 0 and 0 ≤ k ≤ 19.
func quotient(m uint64, k int) float64 {
	power := integerPowers[k]
	// Shift both to 64 bits, and the dividend by 64 more: the quotient of the two has 64 bits then, eleven of them and
	// the remainder for rounding. One shift less, where the quotient would have 65.
	up, down := bits.LeadingZeros64(m), bits.LeadingZeros64(power)
	high, low, exponent := m<<up, uint64(0), down-up-64
	power <<= down
	if high >= power {
		high, low, exponent = high>>1, high<<63, exponent+1
	}
	q, rest := bits.Div64(high, low, power)
	const spare, half = 11, 1 << 10
	mantissa, cut := q>>spare, q&(1<<spare-1)
	if cut > half || cut == half && (rest != 0 || mantissa&1 == 1) {
		mantissa++
	}
	// mantissa ≤ 2^53 and a power of two between 2^-117 and 2^11: the product is exact.
	return float64(mantissa) * math.Float64frombits(uint64(1023+exponent+spare)<<52)
}

// exponent reads the sign and digits of an exponent at i. It saturates far beyond the range of float64.
func (d *Decoder) exponent(i int) (e, next int) {
	b := d.msg
	negative := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		negative = b[i] == '-'
		i++
	}
	digits := i
	for i < len(b) && b[i]-'0' <= 9 {
		if e < 1<<30 {
			e = e*10 + int(b[i]-'0')
		}
		i++
	}
	if i == digits {
		return 0, d.unexpected(i, "a digit in the exponent")
	}
	if negative {
		e = -e
	}
	return e, i
}

// nonFinite reads the spelling of a number that JSON has not got at the start of b: an optional sign and nan, inf or
// infinity in any case, as Python, pandas, numpy, Jackson and protobuf write them. n is its length, 0 if there is none.
func nonFinite(b []byte) (x float64, n int) {
	sign := 1
	if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
		if b[0] == '-' {
			sign = -1
		}
		n = 1
	}
	switch rest := b[n:]; {
	case foldPrefix(rest, "infinity"):
		return math.Inf(sign), n + 8
	case foldPrefix(rest, "inf"):
		return math.Inf(sign), n + 3
	case foldPrefix(rest, "nan"):
		return math.NaN(), n + 3
	}
	return 0, 0
}

// foldPrefix reports whether b starts with the lower-case ASCII letters of word, in any case.
func foldPrefix(b []byte, word string) bool {
	if len(b) < len(word) {
		return false
	}
	for i := range len(word) {
		if b[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}
