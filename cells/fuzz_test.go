package cells_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
)

// FuzzMerge counts any float64 values, cut into three parts anywhere. Whatever the parts hold: every tree and order of merges, one value
// after the other or all at once, has the same canonical bytes as no parts at all; what was merged can be taken out again.
func FuzzMerge(f *testing.F) {
	seed := func(values ...float64) []byte {
		var b []byte
		for _, x := range values {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
		}
		return b
	}
	f.Add(seed(1, 2, 2.5, -1, 1e308, 1e308, 5e-324, math.Copysign(0, -1), math.NaN(), math.Inf(1)), byte(3), byte(7))
	f.Add(seed(-1, -1, 0, 100, 100, 2.5), byte(0), byte(6))
	f.Fuzz(func(t *testing.T, raw []byte, first, second byte) {
		var xs []float64
		for ; len(raw) >= 8; raw = raw[8:] {
			xs = append(xs, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		i := min(int(first), len(xs))
		j := min(i+int(second), len(xs))
		for _, s := range []*cells.Space{numeric(t, -1, 0, 2.5, 100), numeric(t)} {
			whole := countNumbers(s, xs...)
			want := encode(whole)
			together := cells.NewCounts(s)
			together.AddNumbers(xs, &exact.Scatter{})
			a, b, c := countNumbers(s, xs[:i]...), countNumbers(s, xs[i:j]...), countNumbers(s, xs[j:]...)
			merge := func(into *cells.Counts, parts ...*cells.Counts) *cells.Counts {
				into = into.Clone()
				for _, p := range parts {
					if err := into.Merge(p); err != nil {
						t.Fatal(err)
					}
				}
				return into
			}
			for name, got := range map[string]*cells.Counts{
				"all at once": together, "(a b) c": merge(merge(a, b), c), "a (b c)": merge(a, merge(b, c)), "c (b a)": merge(c, merge(b, a)),
				"empty c a b": merge(cells.NewCounts(s), c, a, b),
			} {
				if !bytes.Equal(encode(got), want) {
					t.Fatalf("%s encodes as %x, want %x", name, encode(got), want)
				}
			}
			left := merge(whole)
			if err := left.Subtract(b); err != nil {
				t.Fatal(err)
			}
			left.RestoreRange(a, c)
			if want := encode(merge(a, c)); !bytes.Equal(encode(left), want) {
				t.Fatalf("without b it encodes as %x, want %x", encode(left), want)
			}
			back, rest, err := cells.DecodeCounts(s, want)
			if err != nil || len(rest) > 0 || !bytes.Equal(encode(back), want) {
				t.Fatalf("decoding %x: %v, rest %x, encodes as %x", want, err, rest, encode(back))
			}
		}
	})
}

// The sums of values that are far apart, which no run of AddAll has, are the same bits in any order.
func TestScatteredSums(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	xs := make([]float64, 5000)
	for i := range xs {
		xs[i] = drawn(r)
	}
	s := numeric(t, -1, 0, 1)
	want := encode(countNumbers(s, xs...))
	scratch := exact.Scatter{}
	for range 5 {
		r.Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
		c := cells.NewCounts(s)
		c.AddNumbers(xs[:1234], &scratch)
		c.AddNumbers(xs[1234:], &scratch)
		if !bytes.Equal(encode(c), want) {
			t.Fatal("another order, other bytes")
		}
	}
}
