package detectors_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// rawKS is the two-sample distance by sorting and merging raw values: the oracle of ks.
func rawKS(a, b []float64) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	most, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] == x {
			i++
		}
		for j < len(b) && b[j] == x {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	return most
}

// rawPSI is psi with a floor from raw values, by the definition of the split decile bins: the bin of a value is how many edges are
// below it, counted twice for an edge that several deciles share, once more where it equals such an edge.
func rawPSI(ref, cur []float64, eps float64) float64 {
	deciles := detectortest.Deciles(slices.Sorted(slices.Values(ref)))
	bin := func(x float64) int {
		b := 0
		for i, e := range deciles {
			if i > 0 && deciles[i-1] == e {
				continue
			}
			shared := i < len(deciles)-1 && deciles[i+1] == e
			if e < x {
				b += 2
			}
			if shared && e == x {
				b++
			}
		}
		return b
	}
	r, c := map[int]float64{}, map[int]float64{}
	for _, x := range ref {
		r[bin(x)] += 1 / float64(len(ref))
	}
	for _, x := range cur {
		c[bin(x)] += 1 / float64(len(cur))
	}
	sum := 0.0
	for b := range 20 {
		x, y := max(r[b], eps), max(c[b], eps)
		sum += (y - x) * math.Log(y/x)
	}
	return sum
}

// shape draws a sample.
type shape struct {
	name string
	draw func(rng *rand.Rand) float64
}

func shapes() []shape {
	return []shape{
		{"normal", func(r *rand.Rand) float64 { return r.NormFloat64() }},
		{"shifted", func(r *rand.Rand) float64 { return r.NormFloat64() + 0.7 }},
		{"heavy tail", func(r *rand.Rand) float64 { return math.Tan(math.Pi * (r.Float64() - 0.5)) }},
		{"integers", func(r *rand.Rand) float64 { return float64(r.IntN(40)) }},
		{"few integers", func(r *rand.Rand) float64 { return float64(r.IntN(4)) }},
		{"zero inflated", func(r *rand.Rand) float64 { return max(0, r.NormFloat64()-0.3) }},
		{"constant", func(*rand.Rand) float64 { return 2 }},
		{"tiny and huge", func(r *rand.Rand) float64 { return math.Ldexp(r.NormFloat64(), r.IntN(1800)-900) }},
	}
}

func sample(rng *rand.Rand, s shape, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = s.draw(rng)
	}
	return out
}

// built is a feature as the reference package builds it.
func built(t *testing.T, values []float64, resolution int) *reference.Feature {
	t.Helper()
	b := reference.NewBuilder(reference.Options{Name: "r", Model: "m", Resolution: resolution})
	for _, x := range values {
		v := event.Value{Kind: event.ValueNumber, Num: x}
		e := event.Event{Features: []event.Field{{Name: []byte("x"), Value: v}}}
		if err := b.Add(&e); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return &r.Features[0]
}

// Counting in any split over a built reference equals the definitions on raw values; thinned cells enclose the exact ks.
func TestStreamingEqualsRawValues(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 26))
	cfg := detectors.Default()
	cfg.Bins, cfg.Smoothing = detectors.BinsQuantile10Split, detectors.SmoothingFloor
	for _, from := range shapes() {
		for _, to := range shapes() {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				ref, cur := sample(rng, from, 1+rng.IntN(700)), sample(rng, to, 1+rng.IntN(500))
				exactKS, exactPSI := rawKS(ref, cur), rawPSI(ref, cur, cfg.Epsilon)
				for _, resolution := range []int{10000, 100, 10} {
					f := built(t, ref, resolution)
					at := rng.IntN(len(cur) + 1)
					left, right := cells.NewCounts(f.Space), cells.NewCounts(f.Space)
					detectortest.AddNumbers(left, cur[:at])
					detectortest.AddNumbers(right, cur[at:])
					if err := right.Merge(left); err != nil {
						t.Fatal(err)
					}
					all := detectors.Evaluate(f, right, cfg)
					got := all.Statistics
					if want, _, _, _ := right.Quantile(0.5); *all.Current.Median != want {
						t.Errorf("resolution %d: median %v, the cells say %v", resolution, *all.Current.Median, want)
					}
					outside := 0.0 // by comparison with the extremes
					for _, x := range cur {
						if x < slices.Min(ref) || x > slices.Max(ref) {
							outside++
						}
					}
					if v := *got["out_of_range_rate"].Value; v != outside/float64(len(cur)) {
						t.Errorf("resolution %d: out_of_range_rate %v, compared %v", resolution, v, outside/float64(len(cur)))
					}
					if v := *got["psi"].Value; math.Abs(v-exactPSI) > 1e-10*(1+exactPSI) {
						t.Errorf("resolution %d: psi %v, by definition %v", resolution, v, exactPSI)
					}
					ks := got["ks"]
					const ulp = 1e-15
					if *ks.Lower > exactKS+ulp || *ks.Upper < exactKS-ulp || *ks.Value != *ks.Lower {
						t.Errorf("resolution %d: ks in [%v, %v], sorted %v", resolution, *ks.Lower, *ks.Upper, exactKS)
					}
					if resolution == 10000 && *ks.Lower != *ks.Upper {
						t.Errorf("every value is a cut point, but ks is in [%v, %v]", *ks.Lower, *ks.Upper)
					}
				}
			})
		}
	}
}

func TestValueBins(t *testing.T) {
	f := detectortest.Numeric(t, []float64{1, 1, 2, 5, 5, 5, 5, 5}, 100)
	c := cells.NewCounts(f.Space)
	detectortest.AddNumbers(c, []float64{-3, 1, 1.5, 1.6, 2, 3, 4.5, 5, 7, 8, 9})
	got := detectors.Evaluate(f, c, detectors.Default()).Bins
	want := []result.Bin{ // by hand: a bin a value, and the gaps that hold something
		{Label: "< 1", Reference: 0, Current: 1},
		{Label: "= 1", Reference: 2, Current: 1},
		{Label: "(1, 2)", Reference: 0, Current: 2},
		{Label: "= 2", Reference: 1, Current: 1},
		{Label: "(2, 5)", Reference: 0, Current: 2},
		{Label: "= 5", Reference: 5, Current: 1},
		{Label: "> 5", Reference: 0, Current: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bins:\n%s", diff)
	}
}

func TestDecileBins(t *testing.T) {
	// 1 … 21: the deciles are 3, 5, …, 19. Then fifty 19s: sorted positions 7k fall on 8, 15, then 19 seven times.
	var ref []float64
	for x := 1; x <= 21; x++ {
		ref = append(ref, float64(x))
	}
	f := detectortest.Numeric(t, ref, 100)
	got := detectors.Evaluate(f, f.Counts, detectors.Default()).Bins
	first, second := result.Bin{Label: "≤ 3", Reference: 3, Current: 3}, result.Bin{Label: "(3, 5]", Reference: 2, Current: 2}
	if len(got) != 10 || got[0] != first || got[1] != second || got[9] != (result.Bin{Label: "> 19", Reference: 2, Current: 2}) {
		t.Errorf("bins of 1 to 21: %v", got)
	}
	for range 50 {
		ref = append(ref, 19)
	}
	f = detectortest.Numeric(t, ref, 100)
	want := []result.Bin{
		{Label: "≤ 8", Reference: 8, Current: 8},
		{Label: "(8, 15]", Reference: 7, Current: 7},
		{Label: "(15, 19)", Reference: 3, Current: 3},
		{Label: "= 19", Reference: 51, Current: 51},
		{Label: "> 19", Reference: 2, Current: 2},
	}
	if diff := cmp.Diff(want, detectors.Evaluate(f, f.Counts, detectors.Default()).Bins); diff != "" {
		t.Errorf("bins with a heavy value:\n%s", diff)
	}
}

func TestCategoryBinsAndRates(t *testing.T) {
	f := detectortest.Categorical(t, []string{"b", "a"}, []string{"a", "a", "b", "x", "y", "y"})
	c := cells.NewCounts(f.Space)
	detectortest.AddCategories(c, []string{"b", "b", "z", "b"})
	c.AddMissing()
	got := detectors.Evaluate(f, c, detectors.Default())
	want := []result.Bin{
		{Label: "a", Reference: 2, Current: 0}, {Label: "b", Reference: 1, Current: 3}, {Label: "other", Reference: 3, Current: 1},
	}
	if diff := cmp.Diff(want, got.Bins); diff != "" {
		t.Errorf("bins:\n%s", diff)
	}
	// other: 1 of 4 against its own 3 and the one category seen once (t·N_t = 1) of 6; missing: 1 of 5 rows against none of 6.
	if s := got.Statistics["other_rate"]; *s.Value != 0.25 || *s.Baseline != 4.0/6 {
		t.Errorf("other_rate %v against %v, want 0.25 against 4/6", *s.Value, *s.Baseline)
	}
	if s := got.Statistics["missing_rate"]; *s.Value != 0.2 || *s.Baseline != 0 {
		t.Errorf("missing_rate %v against %v, want 0.2 against 0", *s.Value, *s.Baseline)
	}
	n := detectortest.Numeric(t, []float64{1, 2, 3, 4}, 10)
	w := cells.NewCounts(n.Space)
	detectortest.AddNumbers(w, []float64{0, 1, 4, 4.5, 1e300, 2.5})
	// Outside of [1, 4]: 0, 4.5 and 1e300, 3 of 6, against 2/(4+1).
	if s := detectors.Evaluate(n, w, detectors.Default()).Statistics["out_of_range_rate"]; *s.Value != 0.5 || *s.Baseline != 0.4 {
		t.Errorf("out_of_range_rate %v against %v, want 0.5 against 0.4", *s.Value, *s.Baseline)
	}
}

// Without drift the p-value of psi is below a level about as often as the level says, and no verdict is drift. The bound is the
// binomial's: a fair test leaves it once in about 10,000 runs; the seed is fixed.
func TestFalseAlarms(t *testing.T) {
	const runs = 400
	for _, tc := range []struct {
		n, m int
		to   shape
	}{{500, 2000, shapes()[0]}, {300, 3000, shapes()[3]}, {1000, 1000, shapes()[4]}} {
		t.Run(fmt.Sprintf("n=%d/m=%d/%s", tc.n, tc.m, tc.to.name), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(99, uint64(tc.n)))
			below := map[float64]int{0.05: 0, 0.01: 0}
			memo := detectors.NewMemo()
			for range runs {
				f := detectortest.Numeric(t, sample(rng, tc.to, tc.m), 40)
				c := cells.NewCounts(f.Space)
				detectortest.AddNumbers(c, sample(rng, tc.to, tc.n))
				fs := []result.Feature{evaluate(f, c, detectors.Default(), memo)}
				if v, _, _ := detectors.Judge(fs, detectors.Default()); v != result.Stable {
					t.Errorf("verdict %s without drift: %v", v, fs[0].Reasons)
				}
				for level := range below {
					if *fs[0].Statistics["psi"].PValue <= level {
						below[level]++
					}
				}
			}
			for level, k := range below {
				sd := math.Sqrt(runs * level * (1 - level))
				if got := float64(k); math.Abs(got-runs*level) > 3.9*sd {
					t.Errorf("p ≤ %v in %d of %d runs, expected %v ± %.1f", level, k, runs, runs*level, 3.9*sd)
				}
			}
			t.Logf("p ≤ 0.05: %d, p ≤ 0.01: %d of %d", below[0.05], below[0.01], runs)
		})
	}
}

func BenchmarkEvaluate(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, points := range []int{10, 1000, 2000, 10000} {
		f := detectortest.Numeric(b, sample(rng, shapes()[0], points), points)
		for _, to := range shapes()[:2] {
			c := cells.NewCounts(f.Space)
			detectortest.AddNumbers(c, sample(rng, to, 5000))
			for name, cfg := range map[string]detectors.Config{"default": detectors.Default(), "all": everything()} {
				plan := detectors.NewPlan(f, cfg, detectors.NoChunks("a benchmark"), nil)
				b.Run(fmt.Sprintf("points=%d/%s/%s", points, to.name, name), func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						plan.Evaluate(c)
					}
					doc, _ := json.Marshal(plan.Evaluate(c))
					b.ReportMetric(float64(len(doc)), "json-bytes")
				})
			}
		}
	}
}
