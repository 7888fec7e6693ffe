package event

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestNumberEqualsStrconv checks every path of number against strconv.ParseFloat, which rounds rightly: literals of all
// lengths and exponents, what writers print for random float64s, and halves between two neighbours.
func TestNumberEqualsStrconv(t *testing.T) {
	const seed1, seed2 = 20261122, 2
	rng := rand.New(rand.NewPCG(seed1, seed2))
	d := NewDecoder(DefaultLimits())
	check := func(s string) {
		t.Helper()
		want, err := strconv.ParseFloat(s, 64)
		d.Reset([]byte(s))
		var v Value
		next := d.value(0, &v, 1)
		if err != nil {
			if d.reject.Reason != RejectMalformed {
				t.Fatalf("%s: accepted as %v, strconv says %v", s, v.Num, err)
			}
			return
		}
		if next != len(s) || math.Float64bits(v.Num) != math.Float64bits(want) || string(v.Str) != s || v.Kind != ValueNumber {
			t.Fatalf("%s (seeds %d, %d): got %v (kind %d, literal %q, next %d), want %v",
				s, seed1, seed2, v.Num, v.Kind, v.Str, next, want)
		}
		// The way of short ones needs a message that goes on.
		if x, next := shortNumber([]byte(s+"}                 "), 0); next != 0 && (next != len(s) || math.Float64bits(x) != math.Float64bits(want)) {
			t.Fatalf("%s (seeds %d, %d): got %v and next %d by eight bytes at once, want %v", s, seed1, seed2, x, next, want)
		} else if n := len(strings.Trim(s, "-0123456789.")); next == 0 && n == 0 && len(s) < 8 {
			t.Fatalf("%s: not read by eight bytes at once", s)
		}
	}
	digits := func(n int) string {
		b := []byte{byte('1' + rng.IntN(9))}
		for len(b) < n {
			b = append(b, byte('0'+rng.IntN(10)))
		}
		return string(b)
	}
	n := 150_000
	if testing.Short() {
		n = 30_000
	}
	for range n {
		s := digits(1 + rng.IntN(22))
		switch rng.IntN(4) {
		case 0:
			cut := rng.IntN(len(s))
			s = "0." + strings.Repeat("0", rng.IntN(4)) + s[cut:]
		case 1, 2:
			cut := 1 + rng.IntN(len(s))
			if cut < len(s) {
				s = s[:cut] + "." + s[cut:]
			}
		}
		if rng.IntN(3) == 0 {
			s += fmt.Sprintf("e%+d", rng.IntN(640)-330)
		}
		if rng.IntN(2) == 0 {
			s = "-" + s
		}
		check(s)

		x := math.Float64frombits(rng.Uint64())
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			check(strconv.FormatFloat(x, 'e', -1, 64))
		}
		y := (rng.Float64() - 0.5) * math.Pow(10, float64(rng.IntN(24)-6))
		check(strconv.FormatFloat(y, 'f', -1, 64))
		check(strconv.FormatFloat(y, 'f', 1+rng.IntN(20), 64))
		check(strconv.FormatFloat(y, 'g', 17, 64))

		// k+½ at 2^53 is a tie between two neighbours; a digit behind it, or in front of it, breaks it.
		tie := uint64(1)<<53 + rng.Uint64N(1<<53)
		check(strconv.FormatUint(tie, 10) + ".5")
		check(strconv.FormatUint(2*tie+1, 10))
		check(strconv.FormatUint(tie/8, 10) + []string{".0625", ".1875", ".06250", ".06251", ".06249"}[rng.IntN(5)])
	}
	for _, s := range []string{
		"0", "-0", "0.0", "-0.0e5", "0e999999999999", "0.0000000000000000000000001", "9007199254740993", "1e22", "1e23", "1e-22", "1e-23",
		"9007199254740991e22", "9007199254740992e22", "9999999999999999999", "9.999999999999999999", "18446744073709551615",
		"1e308", "1.7976931348623157e308", "1.7976931348623159e308", "1e309", "1e400", "-1e400", "5e-324", "2e-324", "1e-999999999999",
		"1e99999999999999999999", "0.1", "123456789012345678901234567890", "0.100000000000000000000000000000",
		"10000000000000000e-19", "9007199254740993e-1", "9007199254740993e-19", "9999999999999999999e-19", "9007199254740993e-20",
	} {
		check(s)
	}
}
