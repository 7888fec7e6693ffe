package detectors_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// letters makes a categorical reference of the first k two-letter names with these probabilities.
func letters(t *testing.T, rng *rand.Rand, weights []float64, m int) (*reference.Feature, func(n int) *cells.Counts) {
	t.Helper()
	sums := make([]float64, len(weights))
	total := 0.0
	for i, w := range weights {
		total += w
		sums[i] = total
	}
	draw := func() string {
		i, _ := slices.BinarySearch(sums, total*rng.Float64())
		return fmt.Sprintf("c%05d", min(i, len(weights)-1))
	}
	seen := map[string]int{}
	values := make([]string, m)
	for i := range values {
		values[i] = draw()
		seen[values[i]]++
	}
	var tracked []string
	for name, k := range seen {
		if k >= reference.MinCategoryCount {
			tracked = append(tracked, name)
		}
	}
	slices.SortFunc(tracked, func(a, b string) int { return seen[b] - seen[a] })
	tracked = tracked[:min(len(tracked), reference.DefaultMaxCategories)]
	slices.Sort(tracked)
	f := detectortest.Categorical(t, tracked, values)
	return f, func(n int) *cells.Counts {
		c := cells.NewCounts(f.Space)
		for range n {
			c.AddCategory([]byte(draw()))
		}
		return c
	}
}

// At n_min chance alone reaches the warning threshold in one of 1,000 windows: seeded simulation of both samples, which knows nothing of the
// permutation null. The bound is the binomial's at 4 standard deviations, and twice the level for what the reference's own proportions hide.
func TestMinimumNAgainstSimulation(t *testing.T) {
	const runs = 4000
	rng := rand.New(rand.NewPCG(8, 8))
	zipf := make([]float64, 40)
	for i := range zipf {
		zipf[i] = 1 / float64(i+3)
	}
	for _, tc := range []struct {
		weights []float64
		m       int
	}{{[]float64{2, 8}, 1000}, {[]float64{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 2000}, {zipf, 5000}} {
		f, window := letters(t, rng, tc.weights, tc.m)
		plan := detectors.NewPlan(f, detectors.Default(), detectors.NoChunks("a test"), nil)
		n := int(plan.Evaluate(window(1)).NMin)
		reached := 0
		for range runs {
			if s := plan.Evaluate(window(n)).Statistics["psi_debiased"]; *s.Value >= detectors.Default().Warning {
				reached++
			}
		}
		t.Logf("%d categories, m %d: n_min %d, the threshold reached in %d of %d windows", len(tc.weights), tc.m, n, reached, runs)
		if most := 2*runs*0.001 + 4*math.Sqrt(runs*0.001); n == 0 || float64(reached) > most {
			t.Errorf("%d categories, m %d: at n_min %d the threshold is reached in %d of %d windows", len(tc.weights), tc.m, n, reached, runs)
		}
	}
}

// Without drift no verdict, whatever the number of categories and the ratio of the sizes, from windows of ten thousandths of the reference to
// equal ones.
func TestNoVerdictWithoutDriftOnSparseTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, categories := range []int{5, 300, 50_000} {
		for _, m := range []int{1000, 100_000} {
			weights := make([]float64, categories)
			for i := range weights {
				weights[i] = 1 / float64(i+1)
			}
			f, window := letters(t, rng, weights, m)
			plan := detectors.NewPlan(f, detectors.Default(), detectors.NoChunks("a test"), nil)
			for _, n := range []int{10, 100, 1000} {
				for range 20 {
					fs := []result.Feature{plan.Evaluate(window(n))}
					if v, _, _ := detectors.Judge(fs, detectors.Default()); v == result.Drift || v == result.Warning {
						t.Errorf("%d categories, m %d, n %d: %s, %q", categories, m, n, v, fs[0].Reasons)
					}
				}
			}
		}
	}
}

// One rare category more or less is not in the judged table: the tail is pooled by the reference and n.
func TestTailIsPooled(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	weights := slices.Concat(slices.Repeat([]float64{40}, 10), slices.Repeat([]float64{0.1}, 300))
	f, window := letters(t, rng, weights, 100_000)
	got := detectors.Evaluate(f, window(400), detectors.Default())
	if got.NMin == 0 || got.NMin > 350 {
		t.Errorf("n_min %d for ten categories of 9 %% and a tail of 7 %%", got.NMin)
	}
	if len(got.Bins) < 100 {
		t.Errorf("the table for people has %d bins", len(got.Bins))
	}
}

func TestGates(t *testing.T) {
	ref := normals(1, 5000, 0)
	f := detectortest.Numeric(t, ref, len(ref))
	for _, gate := range detectors.Gates() {
		cfg := detectors.Default()
		cfg.Gate, cfg.Threshold = gate, detectors.ThresholdFixed
		for _, tc := range []struct {
			shift float64
			want  result.Verdict
		}{{0, result.Stable}, {-2, result.Drift}} {
			if gate == "chi2" { // grows with n: a threshold that only a large change reaches
				cfg.Warning, cfg.Drift = 100, 200
			}
			c := cells.NewCounts(f.Space)
			detectortest.AddNumbers(c, normals(2, 5000, tc.shift))
			fs := []result.Feature{detectors.Evaluate(f, c, cfg)}
			v, _, _ := detectors.Judge(fs, cfg)
			if v != tc.want || fs[0].Thresholds.Statistic != gate || !strings.HasPrefix(fs[0].Reasons[0], gate+" ") {
				t.Errorf("%s, shift %v: %s, want %s: %+v %q", gate, tc.shift, v, tc.want, fs[0].Thresholds, fs[0].Reasons)
			}
			if (fs[0].QValue == nil) != fs[0].Thresholds.EffectOnly {
				t.Errorf("%s: q %v, effect only: %v", gate, fs[0].QValue, fs[0].Thresholds.EffectOnly)
			}
		}
	}
	// A gate that a kind has not got falls back.
	cfg := detectors.Default()
	cfg.Gate = "ks"
	c := detectortest.Categorical(t, []string{"a", "b"}, slices.Repeat([]string{"a", "b"}, 500))
	if got := detectors.Evaluate(c, c.Counts, cfg).Thresholds.Statistic; got != detectors.DefaultGate {
		t.Errorf("categories are judged by %s", got)
	}
}

func TestWeights(t *testing.T) {
	ref, same, moved := normals(1, 5000, 0), normals(2, 1000, 0), normals(3, 1000, 1)
	for _, tc := range []struct {
		weight float64 // of the one that drifts; two others are stable, of weight 1
		share  float64
		want   result.Verdict
	}{{1, 1.0 / 3, result.Warning}, {2, 0.5, result.Drift}, {0, 0, result.Warning}} {
		fs := []result.Feature{
			feature(t, "a", result.RoleFeature, ref, moved, 0), feature(t, "b", result.RoleFeature, ref, same, 0), feature(t, "c", result.RoleFeature, ref, same, 0),
		}
		fs[0].Weight = tc.weight
		if v, share, _ := detectors.Judge(fs, detectors.Default()); v != tc.want || *share != tc.share {
			t.Errorf("weight %v: %s with share %v, want %s with %v", tc.weight, v, *share, tc.want, tc.share)
		}
	}
}

// A reference whose days differ by half a standard deviation: a day like them is no drift with auto, and is without.
func TestAutoLearnsNaturalVariation(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	const days, perDay = 28, 600
	var all []float64
	chunks := make([][]float64, days)
	for d := range chunks {
		mean := 0.6 * rng.NormFloat64()
		for range perDay {
			chunks[d] = append(chunks[d], mean+rng.NormFloat64())
		}
		all = append(all, chunks[d]...)
	}
	f := detectortest.Numeric(t, all, len(all))
	counted := detectors.Chunks{}
	for _, values := range chunks {
		c := cells.NewCounts(f.Space)
		detectortest.AddNumbers(c, values)
		counted.Counts = append(counted.Counts, c)
	}
	judge := func(chunks detectors.Chunks, mean float64) result.Feature {
		c := cells.NewCounts(f.Space)
		detectortest.AddNumbers(c, normals(9, perDay, mean))
		return judged(detectors.NewPlan(f, detectors.Default(), chunks, nil).Evaluate(c))
	}
	few := detectors.Chunks{Counts: counted.Counts[:9]}
	if got := judge(few, 0.9); got.Verdict != result.Drift || !strings.Contains(got.Thresholds.Auto, "auto is off: the reference has 9 chunks") {
		t.Errorf("9 chunks: %s, %q", got.Verdict, got.Thresholds.Auto)
	}
	if got := judge(counted, 0.9); got.Verdict != result.Stable || !(got.Thresholds.Warning > 0.1) || !strings.Contains(got.Thresholds.Auto, "28 chunks") {
		t.Errorf("a day like the others: %s, %+v", got.Verdict, got.Thresholds)
	}
	if got := judge(counted, 5); got.Verdict != result.Drift {
		t.Errorf("a day like no other: %s, %+v", got.Verdict, got.Thresholds)
	}
}

func TestSmallWindowsAndOddReferences(t *testing.T) {
	ref := normals(1, 5000, 0)
	five, one := feature(t, "a", result.RoleFeature, ref, nil, 5), feature(t, "a", result.RoleFeature, ref, nil, 1)
	if got := judged(five); got.Verdict != result.Drift || !strings.Contains(got.Reasons[0], "no event has a value") {
		t.Errorf("five of five missing: %s, %q", got.Verdict, got.Reasons)
	}
	if got := judged(one); got.Verdict != result.Insufficient || !strings.HasPrefix(got.Reasons[0], "needs ") {
		t.Errorf("one of one missing: %s, %q", got.Verdict, got.Reasons)
	}
	if got := judged(feature(t, "a", result.RoleFeature, ref, []float64{1e9}, 0)); got.Verdict != result.Insufficient {
		t.Errorf("a window of one event: %s, %q", got.Verdict, got.Reasons)
	}
	constant := slices.Repeat([]float64{7}, 5000)
	if got := judged(feature(t, "a", result.RoleFeature, constant, constant[:500], 0)); got.Verdict != result.Stable {
		t.Errorf("a constant: %s, %q", got.Verdict, got.Reasons)
	}
	if got := judged(feature(t, "a", result.RoleFeature, constant, normals(3, 500, 7), 0)); got.Verdict != result.Drift {
		t.Errorf("a constant that varies: %s, %q", got.Verdict, got.Reasons)
	}
	if got := judged(feature(t, "a", result.RoleFeature, ref[:300], normals(4, 100_000, 0), 0)); got.Verdict != result.Stable {
		t.Errorf("a reference smaller than the window: %s, %q", got.Verdict, got.Reasons)
	}
}

// Of a thousand features ten drift: these are found, and the model is quiet because of the other 990 only in its verdict.
func TestTenOfAThousand(t *testing.T) {
	memo := detectors.NewMemo()
	ref := normals(1, 5000, 0)
	f := detectortest.Numeric(t, ref, len(ref))
	plan := detectors.NewPlan(f, detectors.Default(), detectors.NoChunks("a test"), memo)
	fs := make([]result.Feature, 0, 1000)
	for i := range 1000 {
		mean := 0.0
		if i%100 == 0 {
			mean = 0.7
		}
		c := cells.NewCounts(f.Space)
		detectortest.AddNumbers(c, normals(uint64(100+i), 400, mean))
		fs = append(fs, plan.Evaluate(c))
	}
	v, share, reasons := detectors.Judge(fs, detectors.Default())
	if v != result.Warning || *share != 0.01 {
		t.Errorf("%s with share %v: %q", v, *share, reasons)
	}
	for i := range fs {
		if drifts := fs[i].Verdict == result.Drift; drifts != (i%100 == 0) {
			t.Errorf("feature %d: %s, %q", i, fs[i].Verdict, fs[i].Reasons)
		}
	}
}
