package detectors_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// The gate of another tool decides as that tool does, of a number that the gaps between cells leave uncertain by little; the expected
// decision is that of package rivals, which is compared with the tools themselves (bench/conventions).
func TestConventionOfAnotherToolDecidesAsItDoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 1))
	draw := func(n int, shift float64) []float64 {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = rng.NormFloat64() + shift
		}
		slices.Sort(xs)
		return xs
	}
	ref := draw(1_500, 0)
	numeric, err := reference.FreezeNumeric(result.RoleFeature, "x", ref, 4_000)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{"a": 900, "b": 600}
	categorical, err := reference.FreezeCategorical(result.RoleFeature, "c", reference.Categories{Counts: counts}, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{detectors.ConventionEvidently, detectors.ConventionAzure} {
		c, err := rivals.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		cfg := detectors.Default()
		cfg.Convention = name
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		judge := func(f *reference.Feature, cur *cells.Counts, want rivals.Decision, scale float64) {
			t.Helper()
			fs := []result.Feature{detectors.Evaluate(f, cur, cfg)}
			detectors.Judge(fs, cfg)
			got := fs[0]
			value, threshold := got.Statistics[got.Thresholds.Statistic].Value, got.Thresholds.Drift*scale
			if value == nil || math.Abs(*value*scale-want.Value) > 0.02*want.Value+1e-9 || math.Abs(threshold-want.Threshold) > 1e-12 {
				t.Errorf("%s, %s: %v at %v, want %v at %v", name, f.Name, value, got.Thresholds.Drift, want.Value, want.Threshold)
			}
			if (got.Verdict == result.Drift) != want.Drift {
				t.Errorf("%s, %s: verdict %s (%s), the tool says drift: %v", name, f.Name, got.Verdict, strings.Join(got.Reasons, "; "), want.Drift)
			}
		}
		for _, shift := range []float64{0, 0.08, 0.2, 0.45, 0.7} {
			xs := draw(4_000, shift)
			cur := cells.NewCounts(numeric.Space)
			cur.AddSorted(xs)
			judge(numeric, cur, c.Decide(&rivals.Feature{Ref: rivals.Of(ref), Cur: rivals.Of(xs)}), 1)
		}
		for _, a := range []uint64{1_200, 1_000, 800, 100, 0} {
			cur := cells.NewCounts(categorical.Space)
			cur.AddCategories([]byte("a"), a)
			cur.AddCategories([]byte("b"), 2_000-a)
			scale := 1.0
			if name == detectors.ConventionEvidently {
				scale = math.Sqrt(math.Ln2) // nats
			}
			in := &rivals.Feature{Categorical: true, RefTable: []uint64{900, 600}, CurTable: []uint64{a, 2_000 - a}}
			judge(categorical, cur, c.Decide(in), scale)
		}
	}
}

// The conventions that counts cannot give are refused with the reason and what to do.
func TestConventionsThatNeedRowsAreRefused(t *testing.T) {
	for _, name := range rivals.Names() {
		cfg := detectors.Default()
		cfg.Convention = name
		err := cfg.Validate()
		if name == detectors.ConventionEvidently || name == detectors.ConventionAzure {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "driftd analyze --convention "+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
