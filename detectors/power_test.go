package detectors_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// evaluate is detectors.Evaluate where many references are alike: n_min is computed once for each kind.
func evaluate(f *reference.Feature, c *cells.Counts, cfg detectors.Config, memo *detectors.Memo) result.Feature {
	return detectors.NewPlan(f, cfg, detectors.NoChunks("a test"), memo).Evaluate(c)
}

// simulate draws runs references of m and windows of n values and returns what every statistic said. resolution is that of the
// references.
func simulate(t *testing.T, runs, m, n, resolution int, from, to shape) (p, values map[string][]float64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(m), uint64(n)))
	p, values = map[string][]float64{}, map[string][]float64{}
	memo, cfg := detectors.NewMemo(), everything()
	cfg.Gate = "ks" // whose n_min takes no time: every table of a discrete shape is another
	for range runs {
		f := detectortest.Numeric(t, sample(rng, from, m), resolution)
		c := cells.NewCounts(f.Space)
		detectortest.AddNumbers(c, sample(rng, to, n))
		for name, s := range evaluate(f, c, cfg, memo).Statistics {
			if s.PValue != nil {
				p[name] = append(p[name], *s.PValue)
			}
			if s.Value != nil {
				values[name] = append(values[name], *s.Value)
			}
		}
	}
	return p, values
}

// tested are the statistics whose p-values docs/statistics.md gives the error rates of.
func tested() []string {
	return []string{"psi", "chi2", "ks", "cramer_von_mises", "anderson_darling", "mann_whitney", "mean_shift"}
}

func atMost(p []float64, level float64) (k int) {
	for _, x := range p {
		if x <= level {
			k++
		}
	}
	return k
}

// Without drift no p-value is below a level more often than the level says, but for the binomial's chance of 1 in 10,000; where the
// values are continuous and the reference is not thinned, not much less often either. The numbers are those of docs/statistics.md.
func TestErrorRatesWithoutDrift(t *testing.T) {
	const runs, m, n = 1000, 2000, 500
	tied := map[string]bool{"few integers": true, "zero inflated": true}
	for _, tc := range []struct {
		shape      shape
		resolution int
	}{
		{shapes()[0], 2000}, {shapes()[0], 100}, {shapes()[2], 2000}, {shapes()[3], 2000}, {shapes()[4], 2000}, {shapes()[5], 2000},
	} {
		p, values := simulate(t, runs, m, n, tc.resolution, tc.shape, tc.shape)
		for _, name := range tested() {
			for _, level := range []float64{0.05, 0.01} {
				k, sd := float64(atMost(p[name], level)), math.Sqrt(runs*level*(1-level))
				exact := tc.resolution == m && tc.shape.name == "normal" && name != "ks" // of which p is conservative
				limit := runs*level + 3.9*sd
				if tied[tc.shape.name] && (name == "cramer_von_mises" || name == "anderson_darling") {
					limit = 5 * runs * level // docs/statistics.md warns of these p-values
				}
				if k > limit || (exact && k < runs*level-3.9*sd) {
					t.Errorf("%s of %s at resolution %d: p ≤ %v in %v of %d runs", name, tc.shape.name, tc.resolution, level, k, runs)
				}
			}
			t.Logf("%-14s %5d %-17s p ≤ 0.05: %.3f, p ≤ 0.01: %.3f", tc.shape.name, tc.resolution, name,
				float64(atMost(p[name], 0.05))/runs, float64(atMost(p[name], 0.01))/runs)
		}
		for _, name := range []string{
			"psi", "js", "hellinger", "total_variation", "l_infinity", "kl", "ks", "wasserstein_normed", "energy", "std_ratio",
		} {
			v := values[name]
			slices.Sort(v)
			t.Logf("%-14s %5d %-17s median %.4f, 99 %%: %.4f", tc.shape.name, tc.resolution, name, v[len(v)/2], v[len(v)*99/100])
		}
	}
}

// What sees what: how often p ≤ 0.01 under changes of different kinds, each of them worth reporting. It pins the statements of
// docs/statistics.md on which statistic to prefer, not the exact numbers.
func TestPower(t *testing.T) {
	const runs, m, n = 300, 2000, 500
	changes := []shape{
		{"shift 0.2 sd", func(r *rand.Rand) float64 { return r.NormFloat64() + 0.2 }},
		{"spread ×1.25", func(r *rand.Rand) float64 { return 1.25 * r.NormFloat64() }},
		{"2 % at 6 sd", func(r *rand.Rand) float64 {
			if r.IntN(50) == 0 {
				return 6 + r.NormFloat64()/10
			}
			return r.NormFloat64()
		}},
		{"7 % at one value", func(r *rand.Rand) float64 {
			if r.IntN(14) == 0 {
				return 0.3
			}
			return r.NormFloat64()
		}},
		{"half ±0.8 sd", func(r *rand.Rand) float64 {
			x := 0.6 * r.NormFloat64()
			if r.IntN(2) == 0 {
				return x + 0.8
			}
			return x - 0.8
		}},
	}
	power := map[string]map[string]float64{}
	for _, change := range changes {
		p, _ := simulate(t, runs, m, n, m, shapes()[0], change)
		power[change.name] = map[string]float64{}
		for _, name := range tested() {
			power[change.name][name] = float64(atMost(p[name], 0.01)) / runs
			t.Logf("%-16s %-17s %.2f", change.name, name, power[change.name][name])
		}
	}
	sees := func(change, better, worse string) {
		if a, b := power[change][better], power[change][worse]; !(a > b) {
			t.Errorf("%s: %s sees it in %v of the windows, %s in %v", change, better, a, worse, b)
		}
	}
	sees("shift 0.2 sd", "mean_shift", "psi")
	sees("shift 0.2 sd", "mann_whitney", "ks")
	sees("spread ×1.25", "anderson_darling", "ks")
	sees("spread ×1.25", "psi", "mann_whitney")
	sees("2 % at 6 sd", "mean_shift", "ks")
	sees("7 % at one value", "psi", "mann_whitney")
	sees("half ±0.8 sd", "psi", "mean_shift")
}
