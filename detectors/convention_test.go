package detectors_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
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
	for _, name := range []string{detectors.ConventionEvidently, detectors.ConventionAzure, detectors.ConventionScouter} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, name)
			t.Run("numbers", g.numbers)
			t.Run("few values", g.fewValues)
			t.Run("two categories", g.twoCategories)
			t.Run("many categories", g.manyCategories)
		})
	}
}

// gate is the gate of a tool, and the tool's own rule.
type gate struct {
	name string
	rule rivals.Convention
	cfg  detectors.Config
}

func newGate(t *testing.T, name string) gate {
	t.Helper()
	g := gate{name: name, cfg: detectors.Default()}
	var err error
	if g.rule, err = rivals.Find(name); err != nil {
		t.Fatal(err)
	}
	g.cfg.Convention = name
	if err := g.cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return g
}

// agrees holds the verdict against the tool's, and its number and threshold as well; scale takes driftd's unit to the tool's, off is how far apart the
// numbers may be.
func (g gate) agrees(t *testing.T, f *reference.Feature, cur *cells.Counts, in *rivals.Feature, scale, off float64) {
	t.Helper()
	want := g.rule.Decide(in)
	fs := []result.Feature{detectors.Evaluate(f, cur, g.cfg)}
	detectors.Judge(fs, g.cfg)
	got := fs[0]
	value, threshold := got.Statistics[got.Thresholds.Statistic].Value, got.Thresholds.Drift*scale
	if value == nil || math.Abs(*value*scale-want.Value) > 0.02*want.Value+off || math.Abs(threshold-want.Threshold) > 1e-12 {
		t.Errorf("%s: %v at %v, want %v at %v", f.Name, value, got.Thresholds.Drift, want.Value, want.Threshold)
	}
	if (got.Verdict == result.Drift) != want.Drift {
		t.Errorf("%s: verdict %s (%s), the tool says drift: %v", f.Name, got.Verdict, strings.Join(got.Reasons, "; "), want.Drift)
	}
}

// js is the factor from bits to the unit of the tool's Jensen-Shannon distance.
func (g gate) js() float64 {
	if g.name == detectors.ConventionEvidently {
		return math.Sqrt(math.Ln2) // nats
	}
	return 1
}

func (g gate) numbers(t *testing.T) {
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
	f, err := reference.FreezeNumeric(result.RoleFeature, "x", ref, 4_000)
	if err != nil {
		t.Fatal(err)
	}
	off := 1e-9
	if g.name == detectors.ConventionScouter {
		off = 1e-3 // its edges are between two values where driftd's are at one of them: about 3 of 400 values are in another bin
	}
	for _, shift := range []float64{0, 0.08, 0.2, 0.45, 0.7} {
		xs := draw(4_000, shift)
		cur := cells.NewCounts(f.Space)
		cur.AddSorted(xs)
		g.agrees(t, f, cur, &rivals.Feature{Ref: rivals.Of(ref), Cur: rivals.Of(xs)}, 1, off)
	}
}

// A number of at most five distinct values is a category to Evidently.
func (g gate) fewValues(t *testing.T) {
	repeat := func(counts ...int) (xs []float64) {
		for x, n := range counts {
			xs = append(xs, slices.Repeat([]float64{float64(x)}, n)...)
		}
		return xs
	}
	ref := repeat(700, 500, 300)
	f, err := reference.FreezeNumeric(result.RoleFeature, "x", ref, 4_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, xs := range [][]float64{repeat(940, 660, 400), repeat(800, 700, 500), repeat(0, 1_000, 1_000)} {
		cur := cells.NewCounts(f.Space)
		cur.AddSorted(xs)
		g.agrees(t, f, cur, &rivals.Feature{Ref: rivals.Of(ref), Cur: rivals.Of(xs)}, g.js(), 1e-9)
	}
}

func (g gate) twoCategories(t *testing.T) {
	for _, a := range []uint64{1_200, 1_000, 800, 100, 0} {
		g.categories(t, []uint64{900, 600}, []uint64{a, 2_000 - a})
	}
}

// More categories than are judged on their own, of which the tools look at each; and one that the reference does not have.
func (g gate) manyCategories(t *testing.T) {
	ref, same, other := make([]uint64, 60), make([]uint64, 60), make([]uint64, 60)
	for i := range ref {
		ref[i] = uint64(3_000 / (i + 3))
		same[i], other[i] = ref[i]-uint64(i%2), ref[i]
		if i >= 20 { // a change among those that would be pooled
			other[i] = ref[i] * uint64(1+i%2) * 2 / 3
		}
	}
	g.categories(t, ref, same)
	g.categories(t, ref, other)
	g.categories(t, append(slices.Clone(ref), 0), append(slices.Clone(same), 40))
}

func (g gate) categories(t *testing.T, ref, window []uint64) {
	t.Helper()
	counts := map[string]uint64{}
	for i, n := range ref {
		if n > 0 {
			counts[strconv.Itoa(i)] = n
		}
	}
	f, err := reference.FreezeCategorical(result.RoleFeature, "c", reference.Categories{Counts: counts}, len(ref))
	if err != nil {
		t.Fatal(err)
	}
	cur := cells.NewCounts(f.Space)
	for i, n := range window {
		cur.AddCategories([]byte(strconv.Itoa(i)), n)
	}
	g.agrees(t, f, cur, &rivals.Feature{Categorical: true, RefTable: ref, CurTable: window}, g.js(), 1e-9)
}

// The rule of every tool that analyze knows can be the gate.
func TestEveryConventionIsAGate(t *testing.T) {
	for _, name := range rivals.Names() {
		cfg := detectors.Default()
		cfg.Convention = name
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
