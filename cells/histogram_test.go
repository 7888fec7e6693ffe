package cells_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
)

func histogram(xs ...float64) *cells.Histogram {
	h := cells.NewHistogram()
	for _, x := range xs {
		h.Add(x)
	}
	return h
}

func latencies(r *rand.Rand, n int) []float64 {
	xs := make([]float64, n)
	for i := range xs {
		xs[i] = math.Exp(3 * r.NormFloat64())
		if r.IntN(20) == 0 {
			xs[i] = 0
		}
	}
	return xs
}

func TestHistogramAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		a, b, foreign := latencies(r, r.IntN(100)), latencies(r, r.IntN(100)), histogram(latencies(r, r.IntN(20))...)
		want := histogram(slices.Concat(a, b)...).AppendBinary(nil)
		ha, hb := histogram(a...), histogram(b...)
		got := hb.Clone()
		if err := errors.Join(got.Merge(foreign), got.Merge(ha), got.Subtract(foreign)); err != nil {
			t.Fatal(err)
		}
		if _, ok := got.Max(); ok && foreign.Count() > 0 {
			t.Fatal("the maximum is known after Subtract")
		}
		got.RestoreMax(ha, hb)
		if b := got.AppendBinary(nil); !bytes.Equal(b, want) || len(b) > got.MaxEncodedLen() {
			t.Fatalf("got %x, want %x (at most %d bytes)", b, want, got.MaxEncodedLen())
		}
		back, rest, err := cells.DecodeHistogram(append(slices.Clone(want), 1))
		if err != nil || len(rest) != 1 || !bytes.Equal(back.AppendBinary(nil), want) || back.Count() != got.Count() {
			t.Fatalf("decoding: %v, rest %x", err, rest)
		}
	}
}

func TestHistogramEdges(t *testing.T) {
	h := cells.NewHistogram()
	for _, x := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if h.Add(x) {
			t.Errorf("%v was counted", x)
		}
	}
	if _, ok := h.Quantile(0.5); ok || h.Count() != 0 {
		t.Error("an empty histogram has a median")
	}
	for _, x := range []float64{0, 1e-7, 1e308, 5} {
		if !h.Add(x) {
			t.Errorf("%v was not counted", x)
		}
	}
	if v, ok := h.Quantile(0.3); v != 0 || !ok {
		t.Errorf("below the floor: %v, %t, want 0", v, ok)
	}
	if v, ok := h.Quantile(1); !ok || math.Abs(v/1e308-1) > cells.HistogramAccuracy {
		t.Errorf("the largest: %v, %t, want 1e308", v, ok)
	}
	if v, ok := h.Max(); v != 1e308 || !ok {
		t.Errorf("maximum %v, %t", v, ok)
	}
	if beyond := histogram(math.MaxFloat64); beyond.Count() != 1 {
		t.Error("the largest float was not counted")
	}
	if err := histogram(1).Subtract(h); !errors.Is(err, cells.ErrNotContained) {
		t.Errorf("Subtract: %v, want ErrNotContained", err)
	}
}

func TestHistogramDecodeRefuses(t *testing.T) {
	good := histogram(0, 1, 1, 1e3).AppendBinary(nil)
	for i := range good {
		if _, _, err := cells.DecodeHistogram(good[:i]); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("cut at %d: %v, want ErrCorrupt", i, err)
		}
	}
}

func FuzzDecodeHistogram(f *testing.F) {
	f.Add(histogram().AppendBinary(nil))
	f.Add(histogram(0, 1, 1, 1e3).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rest, err := cells.DecodeHistogram(b)
		if err != nil {
			return
		}
		if got := h.AppendBinary(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) || len(got) > h.MaxEncodedLen() {
			t.Fatalf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
		}
		h.Quantile(0.99)
	})
}

func BenchmarkHistogramAdd(b *testing.B) {
	xs := latencies(rand.New(rand.NewPCG(2, 2)), 4096)
	h := histogram(xs...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.Add(xs[i&4095])
	}
}

// CountAbove agrees with counting the values, but for those within the stated accuracy of the bound.
func TestHistogramCountAbove(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	h := cells.NewHistogram()
	values := []float64{0, 0, 1e-9, 1e-6, 1e9}
	for range 5000 {
		values = append(values, math.Exp(rng.NormFloat64()*3))
	}
	for _, v := range values {
		if !h.Add(v) {
			t.Fatalf("%v was refused", v)
		}
	}
	for _, bound := range []float64{0, 1e-7, 0.01, 0.5, 1, 20, 250, 1e4, 2e9} {
		var least, most uint64
		for _, v := range values {
			if v > bound*(1+2*cells.HistogramAccuracy) && v >= cells.HistogramFloor {
				least++
			}
			if v > bound*(1-2*cells.HistogramAccuracy) {
				most++
			}
		}
		if got := h.CountAbove(bound); got < least || got > most {
			t.Errorf("above %v: %d, want %d to %d", bound, got, least, most)
		}
	}
	if got := cells.NewHistogram().CountAbove(1); got != 0 {
		t.Errorf("an empty histogram: %d", got)
	}
	if got := h.CountAbove(math.Inf(1)); got != 0 {
		t.Errorf("above infinity: %d", got)
	}
}

// The pairs against all pairs of values: those of which one is more than a bucket's width above the other have a known order, and the
// others are at most counted as of one bucket. With every value in a bucket of its own, or the same one, nothing is uncertain.
func TestHistogramPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	for range 200 {
		a, b := latencies(r, r.IntN(60)), latencies(r, r.IntN(60))
		got := histogram(a...).Pairs(histogram(b...))
		longer, near := 0.0, 0.0
		for _, x := range a {
			for _, y := range b {
				if x > y {
					longer++
				}
				if x != y && math.Abs(x-y) <= 2.1*cells.HistogramAccuracy*max(x, y) {
					near++
				}
			}
		}
		if got.Longer > longer || got.Longer < longer-near || longer > got.Longer+got.Same {
			t.Fatalf("%v of %d pairs are longer and %v in one bucket; of the values %v are, %v are near each other", got.Longer, len(a)*len(b), got.Same, longer, near)
		}
	}
	// Values a factor of two apart: by hand, of {1, 2, 4, 4} and {0, 2, 2, 8} longer are 1>0, 2>0, 4>0, 4>0, 4>2 four times; equal are 2=2
	// twice. Groups of one value: 0 once, 1 once, 2 three times (24), 4 twice (6), 8 once.
	if got, want := histogram(1, 2, 4, 4).Pairs(histogram(0, 2, 2, 8)), (cells.Pairs{Longer: 8, Same: 2, Ties: 30}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for _, p := range []cells.Pairs{histogram().Pairs(histogram()), histogram(1, 2).Pairs(histogram()), histogram().Pairs(histogram(1, 2))} {
		if p.Longer != 0 || p.Same != 0 {
			t.Errorf("an empty side has pairs: %+v", p)
		}
	}
}
