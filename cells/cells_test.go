package cells_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
)

func numeric(t testing.TB, points ...float64) *cells.Space {
	t.Helper()
	s, err := cells.NewNumeric(points)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func categorical(t testing.TB, names ...string) *cells.Space {
	t.Helper()
	s, err := cells.NewCategorical(names)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func countNumbers(s *cells.Space, xs ...float64) *cells.Counts {
	c := cells.NewCounts(s)
	for _, x := range xs {
		c.AddNumber(x)
	}
	return c
}

func encode(c *cells.Counts) []byte { return c.AppendBinary(nil) }

// walked lists the pairs of c with nothing on the other side.
func walked(c *cells.Counts) []string {
	var out []string
	for p := range cells.Walk(cells.NewCounts(c.Space()), c) {
		switch {
		case c.Space().Kind() == cells.Categorical && p.Other:
			out = append(out, fmt.Sprintf("other:%d", p.Cur))
		case c.Space().Kind() == cells.Categorical:
			out = append(out, fmt.Sprintf("%s:%d", p.Category, p.Cur))
		case p.Point:
			out = append(out, fmt.Sprintf("%v:%d", p.Lo, p.Cur))
		default:
			out = append(out, fmt.Sprintf("(%v,%v):%d", p.Lo, p.Hi, p.Cur))
		}
	}
	return out
}

func TestWalkNumeric(t *testing.T) {
	c := countNumbers(numeric(t, -1, 0, 2),
		math.Copysign(0, -1), 0, -1, -1.01, -1.9, -100, 2, 2.01, 2.2, 1.5, 1, -0.5, 1e300, math.NaN(), math.Inf(1), math.Inf(-1))
	// 4 mantissa bits: 16 cells to a power of two. -1.9 is in (-1.9375, -1.875), 2.01 in (2, 2.125), -100 = -1.5625·2^6 is the
	// inner end of (-1.625·2^6, -1.5625·2^6), and 1e300 = 1.49…·2^996 is in a coarse cell: biased exponents 2016 to 2031.
	want := []string{
		"(-104,-100):1", "(-1.9375,-1.875):1", "(-1.0625,-1):1", "-1:1", "(-1,0):1", "0:2", "(0,2):2", "2:1",
		"(2,2.125):1", "(2.125,2.25):1", fmt.Sprintf("(%v,%v):1", math.Ldexp(1, 2016-1023), math.Ldexp(1, 2032-1023)),
	}
	if got := walked(c); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c.Missing != 1 || c.Inf != 2 || c.N() != 13 {
		t.Errorf("missing %d, inf %d, n %d, want 1, 2, 13", c.Missing, c.Inf, c.N())
	}
	if below, above := c.OutOfRange(); below != 3 || above != 3 {
		t.Errorf("out of range %d below, %d above, want 3, 3", below, above)
	}
	lo, okLo := c.Min()
	hi, okHi := c.Max()
	if lo != -100 || hi != 1e300 || !okLo || !okHi {
		t.Errorf("range %v %t, %v %t, want -100, 1e300", lo, okLo, hi, okHi)
	}
}

// Every value lies in the one cell that Walk reports for it; outer cells are narrower than 1/16 of the value.
func TestEveryValueInItsCell(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var points []float64
		for range r.IntN(20) {
			points = append(points, drawn(r))
		}
		slices.Sort(points)
		points = slices.Compact(points)
		s := numeric(t, points...)
		for range 50 {
			x := drawn(r)
			if n := len(points); n > 0 && r.IntN(3) == 0 {
				x = points[r.IntN(n)]
			}
			c := countNumbers(s, x)
			cellCount := 0
			for p := range cells.Walk(c, c) {
				cellCount++
				_, isPoint := slices.BinarySearch(s.Points(), x)
				if p.Ref != 1 || p.Cur != 1 || p.Point != isPoint || x < p.Lo || x > p.Hi {
					t.Fatalf("points %v: %v is in %+v", s.Points(), x, p)
				}
				outer := len(points) == 0 || x < points[0] || x > points[len(points)-1]
				if outer && math.Abs(x) > 0x1p-63 && math.Abs(x) < 0x1p64 && (p.Hi-p.Lo)/2 > math.Abs(x)/16 {
					t.Fatalf("%v is in an outer cell as wide as (%v, %v)", x, p.Lo, p.Hi)
				}
			}
			if cellCount != 1 {
				t.Fatalf("%v is in %d cells", x, cellCount)
			}
		}
	}
}

// drawn returns a finite float of any kind, never -0.
func drawn(r *rand.Rand) float64 {
	switch r.IntN(4) {
	case 0:
		if x := math.Float64frombits(r.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x + 0
		}
		return math.MaxFloat64
	case 1:
		return float64(r.IntN(7) - 3)
	case 2:
		return math.Copysign(math.SmallestNonzeroFloat64, r.Float64()-0.5)
	}
	return r.NormFloat64() * 10
}

func TestCategories(t *testing.T) {
	c := cells.NewCounts(categorical(t, "DE", "", "AT"))
	for _, v := range []string{"DE", "FR", "", "DE", "de", "AT"} {
		c.AddCategory([]byte(v))
	}
	c.AddInvalid()
	c.AddMissing()
	want := []string{":1", "AT:1", "DE:2", "other:2"}
	if got := walked(c); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if c.Other() != 2 || c.N() != 6 || c.Invalid != 1 || c.Missing != 1 {
		t.Errorf("other %d, n %d, invalid %d, missing %d, want 2, 6, 1, 1", c.Other(), c.N(), c.Invalid, c.Missing)
	}
	if _, ok := c.Min(); ok {
		t.Error("categories have a minimum")
	}
}

func TestSpaceErrors(t *testing.T) {
	for name, points := range map[string][]float64{
		"nan": {math.NaN()}, "inf": {1, math.Inf(1)}, "decreasing": {2, 1}, "equal": {1, 1}, "two zeros": {math.Copysign(0, -1), 0},
	} {
		if _, err := cells.NewNumeric(points); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := cells.NewCategorical([]string{"b", "a", "b"}); err == nil {
		t.Error("a category twice: no error")
	}
	if _, err := cells.NewCategorical([]string{string(make([]byte, cells.MaxCategoryName+1))}); err == nil {
		t.Error("a long category: no error")
	}
}

func TestSpaceRoundTrip(t *testing.T) {
	for _, s := range []*cells.Space{numeric(t), numeric(t, -1, 0, 1e300), categorical(t), categorical(t, "b", "", "a")} {
		b := s.AppendBinary(nil)
		got, rest, err := cells.DecodeSpace(append(slices.Clone(b), 1))
		if err != nil || len(rest) != 1 || !got.Equal(s) || !bytes.Equal(got.AppendBinary(nil), b) {
			t.Errorf("%x: got %+v, rest %x, %v", b, got, rest, err)
		}
		for i := range b {
			if _, _, err := cells.DecodeSpace(b[:i]); err == nil {
				t.Errorf("%x cut at %d: no error", b, i)
			}
		}
	}
}

func TestDifferentCells(t *testing.T) {
	a, b := countNumbers(numeric(t, 1), 1), countNumbers(numeric(t, 1, 2), 1)
	if err := a.Merge(b); !errors.Is(err, cells.ErrDifferentCells) {
		t.Errorf("Merge: %v, want ErrDifferentCells", err)
	}
	if err := a.Subtract(b); !errors.Is(err, cells.ErrDifferentCells) {
		t.Errorf("Subtract: %v, want ErrDifferentCells", err)
	}
	if err := a.Merge(countNumbers(numeric(t, 1), 1)); err != nil {
		t.Errorf("equal cells built twice: %v", err)
	}
}

// random fills counts over s with n values.
func random(r *rand.Rand, s *cells.Space, n int) *cells.Counts {
	c := cells.NewCounts(s)
	for range n {
		switch k := r.IntN(20); {
		case k == 0:
			c.AddMissing()
		case k == 1:
			c.AddInvalid()
		case s.Kind() == cells.Categorical:
			c.AddCategory([]byte{byte('a' + r.IntN(8))})
		case k == 2:
			c.AddNumber(math.Inf(1))
		case k < 6:
			c.AddNumber(drawn(r))
		default:
			c.AddNumber(float64(r.IntN(41)-20) / 2)
		}
	}
	return c
}

// Whatever the order, the split, the form (empty, dense, packed) and the detour through other counts: the same bytes.
func TestAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 300 {
		s := numeric(t, -5, -1, 0, 0.5, 3, 7)
		if r.IntN(2) == 0 {
			s = categorical(t, "a", "c", "d", "e")
		}
		var parts []*cells.Counts
		batch, tree := cells.NewCounts(s), cells.NewCounts(s)
		for range 1 + r.IntN(5) {
			p := random(r, s, r.IntN(60))
			parts = append(parts, p)
			if err := batch.Merge(p); err != nil {
				t.Fatal(err)
			}
		}
		want := encode(batch)
		foreign := random(r, s, r.IntN(60))
		for _, i := range r.Perm(len(parts)) {
			p := parts[i].Clone()
			if r.IntN(2) == 0 {
				p.Compact()
			}
			if r.IntN(2) == 0 {
				tree.Compact()
			}
			if err := tree.Merge(p); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(encode(p), encode(parts[i])) {
				t.Fatal("Merge changed its argument")
			}
		}
		if got := encode(tree); !bytes.Equal(got, want) {
			t.Fatalf("merged in another order: %x, want %x", got, want)
		}
		if err := errors.Join(tree.Merge(foreign), tree.Subtract(foreign)); err != nil {
			t.Fatal(err)
		}
		tree.RestoreRange(parts...)
		if got := encode(tree); !bytes.Equal(got, want) {
			t.Fatalf("foreign counts in and out: %x, want %x", got, want)
		}
		if len(want) > batch.MaxEncodedLen() {
			t.Fatalf("encoded %d bytes, MaxEncodedLen %d", len(want), batch.MaxEncodedLen())
		}
		back, rest, err := cells.DecodeCounts(s, append(slices.Clone(want), 9))
		if err != nil || len(rest) != 1 || !bytes.Equal(encode(back), want) || back.N() != batch.N() {
			t.Fatalf("decoding: %v, rest %x", err, rest)
		}
		if err := back.Subtract(back); err != nil || !bytes.Equal(encode(back), encode(cells.NewCounts(s))) {
			t.Fatalf("counts minus themselves: %v, %x", err, encode(back))
		}
	}
}

func TestSubtractWhatWasNeverAdded(t *testing.T) {
	s := numeric(t, 1, 2)
	c := countNumbers(s, 1, 2, 9)
	before := encode(c)
	for _, o := range []*cells.Counts{countNumbers(s, 1, 1), countNumbers(s, 8), countNumbers(s, math.NaN()), countNumbers(s, -1)} {
		if err := c.Subtract(o); !errors.Is(err, cells.ErrNotContained) {
			t.Errorf("err = %v, want ErrNotContained", err)
		}
	}
	if !bytes.Equal(encode(c), before) {
		t.Error("a failed Subtract changed the counts")
	}
}

func TestRangeAfterSubtract(t *testing.T) {
	s := numeric(t, 1, 2)
	a, b := countNumbers(s, 1, 5), countNumbers(s, -3, 2)
	sum := a.Clone()
	if err := errors.Join(sum.Merge(b), sum.Subtract(a)); err != nil {
		t.Fatal(err)
	}
	if _, ok := sum.Min(); ok {
		t.Error("the minimum is known after Subtract")
	}
	sum.RestoreRange(cells.NewCounts(s), b)
	if lo, ok := sum.Min(); lo != -3 || !ok {
		t.Errorf("minimum %v, %t, want -3", lo, ok)
	}
}

// A cell beyond 32 bits moves the counts to 64 bits, and nothing else shows it. 2^33 comes from doubling.
func TestCellBeyond32Bits(t *testing.T) {
	s := numeric(t, 1, 2, 3)
	c := countNumbers(s, 1, 2)
	for range 33 {
		if err := c.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
	c.AddNumber(1)
	want := []string{"1:8589934593", "2:8589934592"}
	if got := walked(c); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if sum, ok := c.Sum.Float64(); sum != 3*(1<<33)+1 || !ok {
		t.Errorf("sum %v, %t", sum, ok)
	}
	b := encode(c)
	c.Compact()
	back, _, err := cells.DecodeCounts(s, b)
	if err != nil || !bytes.Equal(encode(c), b) || !slices.Equal(walked(back), want) {
		t.Errorf("round trip: %v, %v", err, walked(back))
	}
	for range 31 {
		err = c.Merge(c)
	}
	if !errors.Is(err, cells.ErrTooMany) {
		t.Errorf("2^65 values: %v, want ErrTooMany", err)
	}
}

// One value at a time across the edge of 32 bits.
func TestIncrementAcross32Bits(t *testing.T) {
	s := numeric(t, 1)
	c := countNumbers(s, 1)
	for range 31 {
		if err := c.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
	almost := c.Clone()
	if err := errors.Join(almost.Subtract(countNumbers(s, 1)), c.Merge(almost)); err != nil {
		t.Fatal(err)
	}
	for range 3 { // 2^32-1, 2^32, 2^32+1
		c.AddNumber(1)
	}
	if got := walked(c); !slices.Equal(got, []string{"1:4294967298"}) || c.N() != 4294967298 {
		t.Errorf("got %v, n %d, want 2^32+2", got, c.N())
	}
}

// At most 5 bytes a non-zero cell with the counts of a pane, never more than dense.
func TestEncodedLength(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	points := make([]float64, 10_000)
	for i := range points {
		points[i] = float64(i)
	}
	s := numeric(t, points...)
	empty := len(encode(cells.NewCounts(s)))
	for _, n := range []int{1, 10, 1000, 100_000, 1_000_000} {
		c := cells.NewCounts(s)
		for range n {
			c.AddNumber(math.Floor(r.Float64()*19_998) / 2)
		}
		nonzero := 0
		for range cells.Walk(c, c) {
			nonzero++
		}
		const head = 100 // sums and range
		got := len(encode(c)) - empty
		if limit := head + min(5*nonzero, 4*(2*len(points)-1)); got > limit {
			t.Errorf("%d values in %d cells take %d bytes, limit %d", n, nonzero, got, limit)
		}
		t.Logf("%d values: %.2f bytes a non-zero cell", n, float64(got)/float64(nonzero))
	}
}

// Type 7 quantiles of values that are all points are exact: expected values by the definition h = q(n-1).
func TestQuantile(t *testing.T) {
	s := numeric(t, 1, 2, 4, 8)
	c := countNumbers(s, 1, 1, 2, 4, 8, 8)
	for q, want := range map[float64]float64{0: 1, 0.2: 1, 0.3: 1.5, 0.5: 3, 0.75: 7, 1: 8} {
		v, lo, hi, ok := c.Quantile(q)
		if !ok || math.Abs(v-want) > 1e-12 || lo != v || hi != v {
			t.Errorf("q %v: %v [%v, %v] %t, want %v", q, v, lo, hi, ok, want)
		}
	}
	c = countNumbers(s, 5, 6, 7)
	if v, lo, hi, ok := c.Quantile(0.5); v != 6 || lo != 5 || hi != 7 || !ok {
		t.Errorf("in a gap: %v [%v, %v] %t, want 6 [5, 7]", v, lo, hi, ok)
	}
	c = countNumbers(s, 100, 1000)
	if v, lo, hi, ok := c.Quantile(1); !ok || lo > 1000 || hi < 1000 || math.Abs(v-1000) > 1000./32 {
		t.Errorf("beyond the points: %v [%v, %v] %t", v, lo, hi, ok)
	}
	for _, q := range []float64{-0.1, 1.1, math.NaN()} {
		if _, _, _, ok := c.Quantile(q); ok {
			t.Errorf("q %v has a quantile", q)
		}
	}
	if _, _, _, ok := cells.NewCounts(s).Quantile(0.5); ok {
		t.Error("no values have a quantile")
	}
}

func TestDecodeRefuses(t *testing.T) {
	s := numeric(t, 1, 2)
	good := encode(countNumbers(s, 1, 1.5, 2, -9, 9, math.NaN()))
	for i := range good {
		if _, _, err := cells.DecodeCounts(s, good[:i]); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("cut at %d: %v, want ErrCorrupt", i, err)
		}
	}
	if _, _, err := cells.DecodeCounts(numeric(t, -10, 1, 2), good); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("outer cells inside the points: %v, want ErrCorrupt", err)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	c := countNumbers(numeric(t, 1, 2, 3), 1, 99)
	k := cells.NewCounts(categorical(t, "a"))
	v := []byte("a")
	k.AddCategory(v)
	if n := testing.AllocsPerRun(100, func() { c.AddNumber(2.5); c.AddNumber(99); k.AddCategory(v) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A feature fed with random bits: every outer cell is in use, and the encoding stays below the bound.
func TestRandomBits(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	s := numeric(t, 1, 1.01)
	c := cells.NewCounts(s)
	for range 1_000_000 {
		c.AddNumber(math.Float64frombits(r.Uint64()))
		c.AddNumber(r.NormFloat64() * 1e6)
	}
	for range 15 {
		if err := c.Merge(c); err != nil {
			t.Fatal(err)
		}
	}
	if got, limit := len(encode(c)), s.MaxEncodedLen(); got > limit || limit > 32<<10 {
		t.Errorf("encoded %d bytes, bound %d, want it below 32 KiB", got, limit)
	}
}

func FuzzDecodeCounts(f *testing.F) {
	spaces := []*cells.Space{numeric(f), numeric(f, -1, 0, 2.5, 100), categorical(f, "a", "b"), categorical(f)}
	r := rand.New(rand.NewPCG(5, 5))
	for i, s := range spaces {
		f.Add(byte(i), encode(random(r, s, 50)))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		s := spaces[int(which)%len(spaces)]
		c, rest, err := cells.DecodeCounts(s, b)
		if err != nil {
			return
		}
		used := b[:len(b)-len(rest)]
		if got := encode(c); !bytes.Equal(got, used) {
			t.Fatalf("decoded %x, encodes as %x", used, got)
		}
		if len(used) > c.MaxEncodedLen() && c.N() < 1<<32 {
			t.Fatalf("encoded %d bytes, MaxEncodedLen %d", len(used), c.MaxEncodedLen())
		}
		c.Quantile(0.5)
		unpacked := cells.NewCounts(s)
		if err := unpacked.Merge(c); err != nil {
			t.Fatal(err)
		}
		if got := encode(unpacked); !bytes.Equal(got, used) {
			t.Fatalf("unpacked encodes as %x, want %x", got, used)
		}
		if err := c.Subtract(unpacked); err != nil || c.N() != 0 {
			t.Fatalf("subtracting itself: %v, %d left", err, c.N())
		}
	})
}

func FuzzDecodeSpace(f *testing.F) {
	f.Add(numeric(f, -1, 0, 2.5).AppendBinary(nil))
	f.Add(categorical(f, "", "b").AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := cells.DecodeSpace(b)
		if err != nil {
			return
		}
		if got := s.AppendBinary(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Fatalf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
		}
	})
}

func BenchmarkAddNumber(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 6))
	xs := make([]float64, 4096)
	for i := range xs {
		xs[i] = r.NormFloat64()
	}
	for _, m := range []int{100, 1000, 10_000} {
		points := make([]float64, m)
		for i := range points {
			points[i] = r.NormFloat64()
		}
		slices.Sort(points)
		b.Run(fmt.Sprintf("m=%d", m), func(b *testing.B) {
			c := cells.NewCounts(numeric(b, slices.Compact(points)...))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.AddNumber(xs[i&4095])
			}
		})
	}
}

// Counts that outgrow 16 and 32 bits, or shrink back, by whatever way, are what plain addition says, and have the bytes of counts that came about by
// another way.
func TestCountsOutgrowTheirBits(t *testing.T) {
	space := categorical(t, "a", "b", "c")
	for _, limit := range []uint64{1 << 16, 1 << 32, 1 << 33} {
		for _, n := range []uint64{limit - 2, limit - 1, limit, limit + 1} {
			for _, more := range []uint64{1, 2, 3, limit} {
				for _, packed := range []bool{false, true} {
					name := fmt.Sprintf("%d and %d, packed: %v", n, more, packed)
					one := func(a, b uint64) *cells.Counts {
						c := cells.NewCounts(space)
						c.AddCategories([]byte("a"), a)
						c.AddCategories([]byte("b"), b)
						if packed {
							c.Compact()
						}
						return c
					}
					check := func(how string, c *cells.Counts, a, b uint64) {
						t.Helper()
						var got []uint64
						for p := range cells.Walk(c, c) {
							got = append(got, p.Cur)
						}
						if want := []uint64{a, b}; !slices.Equal(got, want) || c.N() != a+b {
							t.Errorf("%s: %s: %d of %v, want %v", name, how, c.N(), got, want)
						}
						if got, want := encode(c), encode(one(a, b)); !bytes.Equal(got, want) {
							t.Errorf("%s: %s: the bytes are %x, those of a new one %x", name, how, got, want)
						}
					}
					merged := one(n, 5)
					if err := merged.Merge(one(more, 7)); err != nil {
						t.Fatal(err)
					}
					check("merged", merged, n+more, 12)
					if err := merged.Subtract(one(n, 5)); err != nil {
						t.Fatal(err)
					}
					check("subtracted", merged, more, 7)
					twice := one(n, more)
					if err := twice.Merge(twice); err != nil {
						t.Fatal(err)
					}
					check("merged with itself", twice, 2*n, 2*more)
					counted := one(n, 5)
					clone := counted.Clone()
					for range 3 {
						counted.AddCategory([]byte("a"))
					}
					check("counted", counted, n+3, 5)
					check("the clone", clone, n, 5)
				}
			}
		}
	}
}

// Packed counts that are so large in every cell that they are packed as an array are added as others are.
func TestMergeOfPackedArray(t *testing.T) {
	const n = 1 << 28
	packed, into := cells.NewCounts(categorical(t, "a", "b", "c")), cells.NewCounts(categorical(t, "a", "b", "c"))
	for _, name := range []string{"a", "b", "c", "other"} {
		packed.AddCategories([]byte(name), n)
		into.AddCategory([]byte(name))
	}
	packed.Compact()
	if err := into.Merge(packed); err != nil {
		t.Fatal(err)
	}
	for p := range cells.Walk(into, packed) {
		if p.Ref != n+1 || p.Cur != n {
			t.Errorf("%+v, want %d and %d", p, n+1, n)
		}
	}
	if into.N() != 4*(n+1) {
		t.Errorf("%d values, want %d", into.N(), 4*(n+1))
	}
}
