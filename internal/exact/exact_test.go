package exact_test

import (
	"bytes"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/exact/wire"
)

// oraclePrecision holds any sum of these tests exactly: from 2^-2148 to 2^2048 and 64 bits for the number of terms.
const oraclePrecision = 4400

// oracle is the dumb exact sum: math/big with enough precision that no addition rounds.
func oracle(xs []float64, square bool) *big.Float {
	s := new(big.Float).SetPrec(oraclePrecision)
	for _, x := range xs {
		f := new(big.Float).SetPrec(oraclePrecision).SetFloat64(x)
		if square {
			f.Mul(f, f)
		}
		s.Add(s, f)
	}
	return s
}

func sumOf(xs []float64) *exact.Sum {
	var s exact.Sum
	for _, x := range xs {
		s.Add(x)
	}
	return &s
}

// values draws floats of all kinds: any bit pattern, subnormals, large cancelling pairs, decimals.
func values(r *rand.Rand, n int) []float64 {
	out := make([]float64, 0, n)
	for len(out) < n {
		switch r.IntN(6) {
		case 0:
			if x := math.Float64frombits(r.Uint64()); !math.IsNaN(x) && !math.IsInf(x, 0) {
				out = append(out, x)
			}
		case 1:
			out = append(out, math.Float64frombits(r.Uint64()&(1<<52-1)|uint64(r.IntN(2))<<63))
		case 2:
			x := math.Ldexp(r.Float64(), r.IntN(2000)-1000)
			out = append(out, x, -x)
		case 3:
			out = append(out, math.Round(r.NormFloat64()*1000)/100)
		case 4:
			out = append(out, float64(r.IntN(3)-1))
		case 5:
			out = append(out, math.Copysign(math.MaxFloat64, r.Float64()-0.5), math.SmallestNonzeroFloat64)
		}
	}
	return out[:n]
}

func TestSumEqualsBigFloat(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		xs := values(r, 1+r.IntN(200))
		want, _ := oracle(xs, false).Float64()
		got, ok := sumOf(xs).Float64()
		if ok != !math.IsInf(want, 0) || (ok && got != want) {
			t.Fatalf("sum of %v = %v, %t, want %v", xs, got, ok, want)
		}
		var sq exact.Sum
		for _, x := range xs {
			sq.AddSquare(x)
		}
		want, _ = oracle(xs, true).Float64()
		got, ok = sq.Float64()
		if ok != !math.IsInf(want, 0) || (ok && got != want) {
			t.Fatalf("sum of squares of %v = %v, %t, want %v", xs, got, ok, want)
		}
	}
}

// Any order, any split into parts, any tree of merges, with foreign terms put in and taken out: the same bytes.
func TestAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		xs, foreign := values(r, 1+r.IntN(100)), sumOf(values(r, r.IntN(50)))
		want := sumOf(xs).AppendBinary(nil)
		r.Shuffle(len(xs), func(i, j int) { xs[i], xs[j] = xs[j], xs[i] })
		var parts []*exact.Sum
		for rest := xs; len(rest) > 0; {
			k := 1 + r.IntN(len(rest))
			parts, rest = append(parts, sumOf(rest[:k])), rest[k:]
		}
		parts[0].Merge(foreign)
		for len(parts) > 1 {
			i := r.IntN(len(parts) - 1)
			parts[i].Merge(parts[i+1])
			parts = slices.Delete(parts, i+1, i+2)
		}
		parts[0].Subtract(foreign)
		if got := parts[0].AppendBinary(nil); !bytes.Equal(got, want) {
			t.Fatalf("bytes depend on the way: %x, want %x", got, want)
		}
		var back exact.Sum
		rest, err := back.Decode(append(slices.Clone(want), 7))
		if err != nil || !bytes.Equal(rest, []byte{7}) || !bytes.Equal(back.AppendBinary(nil), want) {
			t.Fatalf("decoding %x: %v, rest %x", want, err, rest)
		}
		if len(want) > exact.MaxEncodedLen {
			t.Fatalf("encoded %d bytes, MaxEncodedLen %d", len(want), exact.MaxEncodedLen)
		}
		back.Subtract(parts[0])
		if !back.IsZero() {
			t.Fatal("a sum minus itself is not zero")
		}
	}
}

func TestRounding(t *testing.T) {
	tests := map[string]struct {
		in   []float64
		want float64
		ok   bool
	}{
		"empty":            {nil, 0, true},
		"tie to even down": {[]float64{1 << 53, 1}, 1 << 53, true},
		"tie to even up":   {[]float64{1 << 53, 2, 1}, 1<<53 + 4, true},
		"sticky bit":       {[]float64{1 << 53, 1, 5e-324}, 1<<53 + 2, true},
		"cancel":           {[]float64{1e308, 1e308, 1, -1e308, -1e308}, 1, true},
		"overflow":         {[]float64{math.MaxFloat64, math.MaxFloat64}, 0, false},
		"subnormal":        {[]float64{5e-324, 5e-324, 5e-324}, 1.5e-323, true},
		"negative zero":    {[]float64{math.Copysign(0, -1)}, 0, true},
		"negative":         {[]float64{-1, -1 << 40, 0.5}, -(1<<40 + 0.5), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := sumOf(tt.in).Float64()
			if got != tt.want || ok != tt.ok || math.Signbit(got) != math.Signbit(tt.want) {
				t.Errorf("got %v, %t, want %v, %t", got, ok, tt.want, tt.ok)
			}
		})
	}
}

func TestMarksAreAlgebra(t *testing.T) {
	s, nan := sumOf([]float64{1, 2}), sumOf([]float64{math.NaN(), 4, math.Inf(-1)})
	nan.AddSquare(math.Inf(1))
	s.Merge(nan)
	if _, ok := s.Float64(); ok {
		t.Error("a sum with terms that are not finite has a value")
	}
	if s.IsZero() {
		t.Error("a marked sum is zero")
	}
	s.Subtract(nan)
	if got, ok := s.Float64(); got != 3 || !ok {
		t.Errorf("after taking them out: %v, %t, want 3", got, ok)
	}
}

// The carries must be propagated in time: more terms than a chunk could hold, made by doubling.
func TestManyTerms(t *testing.T) {
	s := sumOf([]float64{-math.MaxFloat64, math.Pi})
	for range 60 {
		s.Merge(s)
	}
	s.Add(0.1)
	if _, ok := s.Float64(); ok {
		t.Error("2^60 times the largest float has a float64")
	}
	half := sumOf([]float64{-math.MaxFloat64})
	for range 60 {
		half.Merge(half)
	}
	s.Subtract(half)
	got, ok := s.Float64()
	exactly := new(big.Float).SetPrec(oraclePrecision).SetFloat64(math.Pi)
	exactly.SetMantExp(exactly, 60)
	exactly.Add(exactly, big.NewFloat(0.1))
	if wantF, _ := exactly.Float64(); got != wantF || !ok {
		t.Errorf("got %v, %t, want %v", got, ok, wantF)
	}
}

func TestMeanVariance(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		n := 2 + r.IntN(60)
		xs := make([]float64, n)
		offset := math.Ldexp(1, r.IntN(60))
		var s, q exact.Sum
		for i := range xs {
			xs[i] = offset + r.NormFloat64()
			s.Add(xs[i])
			q.AddSquare(xs[i])
		}
		// The definition, two passes in rationals: Σ(x - mean)²/(n-1).
		mean, variance := new(big.Rat), new(big.Rat)
		for _, x := range xs {
			mean.Add(mean, new(big.Rat).SetFloat64(x))
		}
		mean.Quo(mean, big.NewRat(int64(n), 1))
		for _, x := range xs {
			d := new(big.Rat).SetFloat64(x)
			d.Sub(d, mean)
			variance.Add(variance, d.Mul(d, d))
		}
		variance.Quo(variance, big.NewRat(int64(n-1), 1))
		wantMean, _ := mean.Float64()
		wantVar, _ := variance.Float64()
		gotMean, gotVar, ok := exact.MeanVariance(&s, &q, uint64(n), 1)
		if !ok || gotMean != wantMean || gotVar != wantVar {
			t.Fatalf("n %d: got %v, %v, %t, want %v, %v", n, gotMean, gotVar, ok, wantMean, wantVar)
		}
	}
}

func TestAllEqual(t *testing.T) {
	for _, tt := range []struct {
		xs   []float64
		want bool
	}{
		{nil, true},
		{[]float64{0.1}, true},
		{[]float64{0.1, 0.1, 0.1}, true},
		{[]float64{-7e300, -7e300}, true},
		{[]float64{0, 0}, true},
		{[]float64{0.1, math.Nextafter(0.1, 1)}, false},
		{[]float64{5e-324, 0}, false},
		{[]float64{1, -1}, false},
		{[]float64{1e-200, 2e-200}, false},
	} {
		var s, q exact.Sum
		for _, x := range tt.xs {
			s.Add(x)
			q.AddSquare(x)
		}
		if got := exact.AllEqual(&s, &q, uint64(len(tt.xs))); got != tt.want {
			t.Errorf("%v: all equal %t, want %t", tt.xs, got, tt.want)
		}
	}
}

func TestMeanVarianceUndefined(t *testing.T) {
	var s, q, none exact.Sum
	for _, x := range []float64{1e300, -1e300} {
		s.Add(x)
		q.AddSquare(x)
	}
	if m, ok := exact.Mean(&s, 2); m != 0 || !ok {
		t.Errorf("mean of ±1e300 = %v, %t, want 0", m, ok)
	}
	if _, _, ok := exact.MeanVariance(&s, &q, 2, 1); ok {
		t.Error("the variance of ±1e300 overflows, but is reported")
	}
	if _, _, ok := exact.MeanVariance(&none, &none, 1, 1); ok {
		t.Error("one value has a sample variance")
	}
	if _, ok := exact.Mean(&none, 0); ok {
		t.Error("no value has a mean")
	}
	if _, _, ok := exact.MeanVariance(sumOf([]float64{5}), &none, 3, 0); ok {
		t.Error("a negative variance is reported")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := sumOf([]float64{-1.5, 1e300}).AppendBinary(nil)
	tests := map[string][]byte{
		"empty":         nil,
		"cut":           good[:len(good)-1],
		"negative zero": {0, 1},
		"zero digit":    {0, 2, 5, 0, 0, 0, 0},
		"index too big": {0, 2, 0xff, 0x01, 1, 0, 0, 0},
		"wrapped index": {0, 4, 5, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 0, 0, 0},
		"digits":        {0, 0xff, 0xff, 3},
	}
	for name, b := range tests {
		t.Run(name, func(t *testing.T) {
			s := sumOf([]float64{9})
			if _, err := s.Decode(b); !errors.Is(err, wire.ErrCorrupt) {
				t.Errorf("err = %v, want ErrCorrupt", err)
			}
			if got, _ := s.Float64(); got != 9 {
				t.Errorf("a failed Decode changed the sum to %v", got)
			}
		})
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	s := sumOf([]float64{1e-9, 1e9})
	if n := testing.AllocsPerRun(100, func() { s.Add(123.456) }); n != 0 {
		t.Errorf("%v allocations an Add, want 0", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(sumOf([]float64{-1.5, 1e300, 5e-324}).AppendBinary(nil))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var s exact.Sum
		rest, err := s.Decode(b)
		if err != nil {
			return
		}
		if got := s.AppendBinary(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Errorf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
		}
		s.Float64()
	})
}

func BenchmarkAdd(b *testing.B) {
	var s exact.Sum
	xs := make([]float64, 1024)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range xs {
		xs[i] = r.NormFloat64()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(xs[i&1023])
	}
}

func BenchmarkAddBoth(b *testing.B) {
	var s, q exact.Sum
	xs := make([]float64, 1024)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range xs {
		xs[i] = r.NormFloat64()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		exact.AddBoth(&s, &q, xs[i&1023])
	}
}

func BenchmarkAddSquare(b *testing.B) {
	var s exact.Sum
	b.ReportAllocs()
	for b.Loop() {
		s.AddSquare(123.456)
	}
}

// The difference of two means against rational arithmetic, also where it is a tiny part of them or below the normal numbers.
func TestMeanDifference(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 300 {
		a, b := values(r, 1+r.IntN(30)), values(r, 1+r.IntN(30))
		if i%3 == 0 {
			a, b = []float64{1e16, 1, 2}, []float64{1e16, 1, 1 + float64(i)}
		}
		if i%3 == 1 {
			a, b = []float64{5e-324, 1e-323}, []float64{5e-324, 5e-324, float64(i) * 5e-324}
		}
		want := new(big.Rat)
		for _, side := range [][]float64{a, b} {
			mean := new(big.Rat)
			for _, x := range side {
				mean.Add(mean, new(big.Rat).SetFloat64(x))
			}
			want.Sub(mean.Quo(mean, big.NewRat(int64(len(side)), 1)), want)
		}
		want.Neg(want)
		nearest, _ := want.Float64()
		got, ok := exact.MeanDifference(sumOf(a), uint64(len(a)), sumOf(b), uint64(len(b)))
		if ok == math.IsInf(nearest, 0) || (ok && got != nearest) {
			t.Fatalf("mean(%v) - mean(%v) = %v (%v), want %v", a, b, got, ok, nearest)
		}
	}
	if _, ok := exact.MeanDifference(sumOf(nil), 0, sumOf([]float64{1}), 1); ok {
		t.Error("there is no mean of nothing")
	}
}
