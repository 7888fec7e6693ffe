package detectors_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/internal/stat/twosample"
	"github.com/driftd/driftd/result"
)

// everything is the default configuration with every statistic.
func everything() detectors.Config {
	c := detectors.Default()
	c.Statistics = []string{detectors.AllStatistics}
	return c
}

// rawNumbers are the statistics on values by sorting and merging both samples, a way that shares nothing with cells.
func rawNumbers(t *testing.T, ref, cur []float64) map[string]twosample.Test {
	t.Helper()
	ref, cur = slices.Sorted(slices.Values(ref)), slices.Sorted(slices.Values(cur))
	c, err := twosample.Compare(ref, cur)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]twosample.Test{
		"ks":               {Value: c.KS.Value, P: math.NaN(), OK: c.KS.OK},
		"cramer_von_mises": c.CramerVonMises, "anderson_darling": c.AndersonDarling, "mann_whitney": c.MannWhitney,
		"wasserstein": {Value: c.Wasserstein.Value, P: math.NaN(), OK: c.Wasserstein.OK},
		"energy":      {Value: c.Energy.Value, P: math.NaN(), OK: c.Energy.OK},
		"distinct":    {Value: float64(len(slices.Compact(cur))), P: math.NaN(), OK: true},
	}
	return out
}

// The bounds of statistics over cells enclose what sorting both raw samples gives, for every pair of shapes, at full, thin and
// very thin references; and a p-value is never smaller than the true one.
func TestIntervalsEncloseRawValues(t *testing.T) {
	memo := detectors.NewMemo()
	rng := rand.New(rand.NewPCG(5, 5))
	for _, from := range shapes() {
		for _, to := range shapes() {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				for range 4 {
					ref, cur := sample(rng, from, 1+rng.IntN(600)), sample(rng, to, 1+rng.IntN(600))
					want := rawNumbers(t, ref, cur)
					for _, resolution := range []int{10000, 100, 10} {
						f := built(t, ref, resolution)
						c := cells.NewCounts(f.Space)
						detectortest.AddNumbers(c, cur)
						got := evaluate(f, c, everything(), memo).Statistics
						for name, w := range want {
							encloses(t, fmt.Sprintf("%s at resolution %d (%d against %d)", name, resolution, len(cur), len(ref)), got[name], w)
						}
					}
				}
			})
		}
	}
}

func encloses(t *testing.T, what string, got result.Stat, want twosample.Test) {
	t.Helper()
	detectortest.WellFormed(t, what, got)
	switch {
	case !want.OK:
		if got.Value != nil && got.PValue != nil {
			t.Errorf("%s = %v with p %v, raw values have none", what, *got.Value, *got.PValue)
		}
		return
	case got.Value == nil || got.Lower == nil:
		t.Errorf("%s is null (%s), raw values give %v", what, got.Reason, want.Value)
		return
	}
	slack := 1e-12 * (math.Abs(want.Value) + 1e-3)
	if want.Value < *got.Lower-slack || want.Value > *got.Upper+slack {
		t.Errorf("%s is in [%v, %v], raw values give %v", what, *got.Lower, *got.Upper, want.Value)
	}
	if got.PValue != nil && !math.IsNaN(want.P) && *got.PValue < want.P*(1-1e-9)-1e-12 {
		t.Errorf("%s has p %v, raw values give %v", what, *got.PValue, want.P)
	}
}

// While the reference's values fit the resolution and nothing is tied inside a gap, all rank statistics are exact: Lower and the value
// of ks and mann_whitney always, the values of cramer_von_mises and anderson_darling. The bounds of the distances are narrow.
func TestExactBelowTheResolution(t *testing.T) {
	memo := detectors.NewMemo()
	rng := rand.New(rand.NewPCG(8, 1))
	for _, to := range []shape{shapes()[0], shapes()[1], shapes()[2]} {
		t.Run(to.name, func(t *testing.T) {
			ref, cur := sample(rng, shapes()[0], 2000), sample(rng, to, 5000)
			f := built(t, ref, 2000)
			c := cells.NewCounts(f.Space)
			detectortest.AddNumbers(c, cur)
			got := evaluate(f, c, everything(), memo).Statistics
			want := rawNumbers(t, ref, cur)
			for _, name := range []string{"ks", "mann_whitney", "cramer_von_mises", "anderson_darling"} {
				if s, w := got[name], want[name].Value; math.Abs(*s.Value-w) > 1e-10*math.Abs(w) {
					t.Errorf("%s = %v, raw values give %v", name, *s.Value, w)
				}
			}
			for _, name := range []string{"ks", "mann_whitney"} {
				if s := got[name]; *s.Lower != *s.Upper {
					t.Errorf("%s is in [%v, %v]", name, *s.Lower, *s.Upper)
				}
			}
			for name, w := range want {
				s := got[name]
				t.Logf("%-17s %.9g in [%.9g, %.9g], truly %.9g", name, *s.Value, *s.Lower, *s.Upper, w.Value)
			}
		})
	}
}

// Any order, any split and any tree of merges, with panes added and taken out again, gives the same bits of every statistic.
func TestSameBitsInAnyTree(t *testing.T) {
	memo := detectors.NewMemo()
	rng := rand.New(rand.NewPCG(2, 9))
	for _, from := range shapes() {
		for _, resolution := range []int{10000, 20} {
			f := built(t, sample(rng, from, 400), resolution)
			values := sample(rng, shapes()[rng.IntN(len(shapes()))], 500)
			whole := cells.NewCounts(f.Space)
			detectortest.AddNumbers(whole, values)
			want := evaluate(f, whole, everything(), memo).Statistics
			for range 5 {
				rng.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
				got := tree(t, rng, f.Space, values)
				extra := cells.NewCounts(f.Space)
				detectortest.AddNumbers(extra, sample(rng, from, 50))
				if err := got.Merge(extra); err != nil {
					t.Fatal(err)
				}
				if err := got.Subtract(extra); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, evaluate(f, got, everything(), memo).Statistics); diff != "" {
					t.Fatalf("%s at resolution %d:\n%s", from.name, resolution, diff)
				}
			}
		}
	}
}

// tree counts values in a random binary tree of merges.
func tree(t *testing.T, rng *rand.Rand, space *cells.Space, values []float64) *cells.Counts {
	t.Helper()
	if len(values) < 20 {
		c := cells.NewCounts(space)
		detectortest.AddNumbers(c, values)
		if rng.IntN(2) == 0 {
			c.Compact()
		}
		return c
	}
	at := rng.IntN(len(values))
	left, right := tree(t, rng, space, values[:at]), tree(t, rng, space, values[at:])
	if err := left.Merge(right); err != nil {
		t.Fatal(err)
	}
	return left
}
