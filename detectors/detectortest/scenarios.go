package detectortest

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
)

// configs returns the default and every other convention.
func configs() []detectors.Config {
	other := detectors.Default()
	other.Bins, other.Smoothing = detectors.BinsQuantile10Split, detectors.SmoothingFloor
	other.Convention, other.ChiSquareMinExpected = detectors.ConventionSciPy, 0
	merged := other
	merged.Bins = detectors.BinsQuantile10
	return []detectors.Config{detectors.Default(), other, merged}
}

// scenarios returns features of every kind and of odd shapes, each with a sample that differs from its reference.
func scenarios(tb testing.TB) []scenario {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int, f func() float64) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = f()
		}
		return out
	}
	normal := func() float64 { return rng.NormFloat64() }
	integers := func() float64 { return float64(rng.IntN(7)) }
	few := []float64{0, 1, -1e300}

	out := []scenario{
		numeric(tb, "continuous", draw(300, normal), draw(120, func() float64 { return rng.NormFloat64() + 0.5 }), math.MaxInt, few),
		numeric(tb, "thinned", draw(300, normal), draw(120, func() float64 { return rng.NormFloat64() * 2 }), 12, few),
		numeric(tb, "ties", draw(300, integers), draw(200, func() float64 { return float64(rng.IntN(12)) / 2 }), math.MaxInt, few),
		numeric(tb, "constant", draw(50, func() float64 { return 3 }), draw(60, integers), math.MaxInt, few),
		numeric(tb, "huge", draw(80, func() float64 { return rng.NormFloat64() * 1e300 }), draw(40, normal), math.MaxInt, few),
		numeric(tb, "never seen", nil, draw(40, normal), math.MaxInt, few),
	}
	letters := func(n, of int) []string {
		s := make([]string, n)
		for i := range s {
			s[i] = strconv.Itoa(rng.IntN(of))
		}
		return s
	}
	return append(
		out,
		categorical(tb, "categories", []string{"0", "1", "2", "3"}, letters(300, 5), letters(100, 7)),
		categorical(tb, "many categories", letterRange(60), letters(400, 60), letters(90, 90)),
		categorical(tb, "only other", nil, letters(30, 3), letters(30, 4)),
	)
}

func letterRange(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}

func numeric(tb testing.TB, name string, ref, cur []float64, resolution int, few []float64) scenario {
	tb.Helper()
	sc := scenario{name: name, feature: Numeric(tb, ref, resolution)}
	sc.same = func(c *cells.Counts) { AddNumbers(c, ref); odd(c, 4, 2, 1) }
	odd(sc.feature.Counts, 4, 2, 1)
	for _, x := range cur {
		sc.parts = append(sc.parts, func(c *cells.Counts) { c.AddNumber(x) })
	}
	sc.parts = append(sc.parts, func(c *cells.Counts) { odd(c, 7, 0, 3) })
	sc.few = append(sc.few, func(*cells.Counts) {}, func(c *cells.Counts) { odd(c, 1, 0, 0) }, func(c *cells.Counts) { odd(c, 0, 1, 1) })
	for _, x := range few {
		sc.few = append(sc.few, func(c *cells.Counts) { c.AddNumber(x) })
	}
	return sc
}

func categorical(tb testing.TB, name string, categories, ref, cur []string) scenario {
	tb.Helper()
	sc := scenario{name: name, feature: Categorical(tb, categories, ref)}
	sc.same = func(c *cells.Counts) { AddCategories(c, ref); odd(c, 4, 2, 0) }
	odd(sc.feature.Counts, 4, 2, 0)
	for _, v := range cur {
		sc.parts = append(sc.parts, func(c *cells.Counts) { c.AddCategory([]byte(v)) })
	}
	sc.parts = append(sc.parts, func(c *cells.Counts) { odd(c, 7, 0, 0) })
	sc.few = append(sc.few, func(*cells.Counts) {}, func(c *cells.Counts) { odd(c, 1, 0, 0) })
	for _, v := range []string{"0", "never"} {
		sc.few = append(sc.few, func(c *cells.Counts) { c.AddCategory([]byte(v)) })
	}
	return sc
}

// odd adds values that are in no distribution.
func odd(c *cells.Counts, missing, invalid, inf int) {
	for range missing {
		c.AddMissing()
	}
	for range invalid {
		c.AddInvalid()
	}
	for range inf {
		c.AddInf()
	}
}
