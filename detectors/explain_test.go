package detectors_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/result"
)

// judged evaluates and judges one feature alone, by the defaults.
func judged(fs ...result.Feature) result.Feature {
	detectors.Judge(fs, detectors.Default())
	return fs[0]
}

func numeric(t *testing.T, ref, cur []float64) result.Feature {
	t.Helper()
	f := detectortest.Numeric(t, ref, len(ref))
	c := cells.NewCounts(f.Space)
	detectortest.AddNumbers(c, cur)
	return judged(detectors.Evaluate(f, c, detectors.Default()))
}

// drawn returns n values, seeded.
func drawn(seed uint64, n int, draw func(*rand.Rand) float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 3))
	out := make([]float64, n)
	for i := range out {
		out[i] = draw(rng)
	}
	return out
}

// What was done to the window is known; the reason must say it.
func TestReasonsNameTheNumericChange(t *testing.T) {
	miles := func(r *rand.Rand) float64 { return float64(50 + int(1500*r.Float64()*r.Float64())) }
	celsius := func(r *rand.Rand) float64 { return 15 + 8*r.NormFloat64() }
	ref := drawn(1, 5000, miles)
	for _, tc := range []struct {
		name     string
		ref, cur []float64
		want     string
	}{
		{"kilometres", ref, drawn(2, 2000, func(r *rand.Rand) float64 { return 1.609 * miles(r) }), "every quantile × 1.6"},
		{"metres", ref, drawn(3, 2000, func(r *rand.Rand) float64 { return 1609 * miles(r) }), "every quantile × 16"},
		{"shift", ref, drawn(4, 2000, func(r *rand.Rand) float64 { return 400 + miles(r) }), "a shift"},
		{
			"fahrenheit", drawn(5, 5000, celsius), drawn(6, 5000, func(r *rand.Rand) float64 { return 1.8*celsius(r) + 32 }),
			"+ 32",
		},
		{"constant", ref, drawn(7, 2000, func(*rand.Rand) float64 { return 300 }), "all 2000 values are 300: a constant"},
		{"default value", ref, drawn(8, 2000, func(r *rand.Rand) float64 {
			if r.IntN(2) == 0 {
				return 50
			}
			return miles(r)
		}), "are exactly 50, were"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := numeric(t, tc.ref, tc.cur)
			if all := strings.Join(f.Reasons, "\n"); f.Verdict != result.Drift || !strings.Contains(all, tc.want) {
				t.Errorf("verdict %s, reasons %q; want drift and %q", f.Verdict, f.Reasons, tc.want)
			}
		})
	}
}

// categories makes a categorical feature of counts and judges a window of counts.
func categories(t *testing.T, ref, cur map[string]int) result.Feature {
	t.Helper()
	var names, values []string
	for _, name := range slices.Sorted(maps.Keys(ref)) {
		names = append(names, name)
		values = append(values, slices.Repeat([]string{name}, ref[name])...)
	}
	f := detectortest.Categorical(t, names, values)
	c := cells.NewCounts(f.Space)
	for name, n := range cur {
		for range n {
			if name == "" {
				c.AddMissing()
			} else {
				c.AddCategory([]byte(name))
			}
		}
	}
	return judged(detectors.Evaluate(f, c, detectors.Default()))
}

func TestReasonsNameTheCategories(t *testing.T) {
	ref := map[string]int{"ATL": 4000, "ORD": 2500, "DEN": 2000, "LAX": 1000, "SFO": 500}
	for _, tc := range []struct {
		name string
		cur  map[string]int
		want string
	}{
		{"gone", map[string]int{"ATL": 533, "DEN": 267, "LAX": 133, "SFO": 67}, "ORD missing, was 25.0 %"},
		{"null", map[string]int{"ATL": 400, "": 250, "DEN": 200, "LAX": 100, "SFO": 50}, "ORD missing, was 25.0 %"},
		{"new", map[string]int{"ATL": 320, "ORD": 200, "DEN": 160, "LAX": 80, "SFO": 40, "JFK": 200}, "20.0 % are of no known category, were 0.0 %"},
		{"swapped", map[string]int{"ATL": 100, "ORD": 250, "DEN": 200, "LAX": 400, "SFO": 50}, "ATL and LAX look swapped: 10.0 % and 40.0 % were 40.0 % and 10.0 %"},
		{"constant", map[string]int{"ATL": 1000}, "all 1000 values are ATL, were 40.0 %: a constant"},
		{"encoding", map[string]int{"atl": 400, "ord": 250, "den": 200, "lax": 150}, "another encoding?"},
		{"nulls", map[string]int{"": 1000}, "no event has a value"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := categories(t, ref, tc.cur)
			if all := strings.Join(f.Reasons, "\n"); f.Verdict != result.Drift || !strings.Contains(all, tc.want) {
				t.Errorf("verdict %s, reasons %q; want drift and %q", f.Verdict, f.Reasons, tc.want)
			}
		})
	}
}

func TestInvalidValuesLookLikeAnotherEncoding(t *testing.T) {
	f := detectortest.Numeric(t, drawn(1, 5000, func(r *rand.Rand) float64 { return float64(r.IntN(2)) }), 100)
	c := cells.NewCounts(f.Space)
	for range 500 { // "true" and "false" for 1 and 0
		c.AddInvalid()
	}
	got := judged(detectors.Evaluate(f, c, detectors.Default()))
	if got.Verdict != result.Drift || !strings.Contains(fmt.Sprint(got.Reasons), "another encoding?") {
		t.Errorf("verdict %s, reasons %q", got.Verdict, got.Reasons)
	}
}
