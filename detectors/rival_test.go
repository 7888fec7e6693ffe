package detectors_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// hours returns a reference of rows in the order of their times, so many in each of ten hours, and its feature x.
func hours(t *testing.T, values []string, resolution int, change ...func(*reference.Options)) (*reference.Reference, *reference.Feature) {
	t.Helper()
	const hour = 3_600_000
	o := reference.Options{Name: "r", Model: "m", Resolution: resolution, Pane: hour} //nolint:exhaustruct // the defaults are meant
	for _, f := range change {
		f(&o)
	}
	b := reference.NewBuilder(o)
	d := event.NewDecoder(event.DefaultLimits())
	for i, x := range values {
		d.Reset(fmt.Appendf(nil, `{"model":"m","ts":%d,"features":{"x":%s}}`, 1_800_000_000_000+i*10*hour/len(values), x))
		for d.Next() {
			ev, rejected := d.Event()
			if rejected != nil {
				t.Fatal(rejected)
			}
			if err := b.Add(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ref, &ref.Features[0]
}

// ruling is what the gate of another tool says of a window, and what the tool says of the same rows.
type ruling struct {
	result.Feature
	value, threshold float64 // the tool's, in driftd's unit
	drift            bool
}

func judgedBy(t *testing.T, tool string, ref *reference.Reference, f *reference.Feature, cur *cells.Counts, rows *rivals.Feature) ruling {
	t.Helper()
	cfg := detectors.Default()
	cfg.Convention = tool
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	plan := detectors.NewPlan(f, cfg, detectors.ChunksFor(ref, f, 3_600_000, cfg), nil)
	fs := []result.Feature{plan.Evaluate(cur)}
	detectors.Judge(fs, cfg)
	rule, err := rivals.Find(tool)
	if err != nil {
		t.Fatal(err)
	}
	d := rule.Decide(rows)
	if !d.OK {
		t.Fatalf("%s decides nothing: %s", tool, d.Why)
	}
	if d.Statistic == "js_divergence" {
		d.Value, d.Threshold = math.Sqrt(d.Value), math.Sqrt(d.Threshold)
	}
	return ruling{Feature: fs[0], value: d.Value, threshold: d.Threshold, drift: d.Drift}
}

// check wants the number within a distance, the threshold of the tool (what is equal to it is no drift), and its decision.
func (j ruling) check(t *testing.T, what string, off float64) {
	t.Helper()
	s := j.Statistics[j.Thresholds.Statistic]
	if s.Value == nil || math.Abs(*s.Value-j.value) > off || j.Thresholds.Drift != math.Nextafter(j.threshold, math.Inf(1)) {
		t.Errorf("%s: %v from %v on, want %v above %v", what, s, j.Thresholds.Drift, j.value, j.threshold)
	}
	if (j.Verdict == result.Drift) != j.drift {
		t.Errorf("%s: verdict %s (%s), the tool says drift: %v", what, j.Verdict, strings.Join(j.Reasons, "; "), j.drift)
	}
}

func numberRows(ref, cur []float64) *rivals.Feature {
	sorted := func(xs []float64) rivals.Sample { return rivals.Of(slices.Sorted(slices.Values(xs))) }
	in := &rivals.Feature{Ref: sorted(ref), Cur: sorted(cur)}
	for part := range slices.Chunk(ref, len(ref)/rivals.Chunks) {
		in.RefChunks = append(in.RefChunks, sorted(part))
	}
	return in
}

func texts(xs []float64) []string {
	out := make([]string, len(xs))
	for i, x := range xs {
		out[i] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return out
}

// Where every value of the window is one of the reference, no gap holds any: the number is that of the rows, to the bit. The tools decide
// both ways here.
func TestRivalGateIsExactWithoutGaps(t *testing.T) {
	for _, tool := range []string{detectors.ConventionNannyML, detectors.ConventionTFDV, detectors.ConventionPopmon} {
		rng := rand.New(rand.NewPCG(8, 1))
		ref := make([]float64, 2_000)
		for i := range ref {
			ref[i] = float64(rng.IntN(60)) / 8
		}
		r, f := hours(t, texts(ref), 100)
		decisions := map[bool]int{}
		for _, from := range []int{0, 3, 20, 40} {
			cur := make([]float64, 1_500)
			for i := range cur {
				cur[i] = float64(min(59, max(rng.IntN(60), from))) / 8
			}
			counts := cells.NewCounts(f.Space)
			counts.AddSorted(slices.Sorted(slices.Values(cur)))
			j := judgedBy(t, tool, r, f, counts, numberRows(ref, cur))
			j.check(t, fmt.Sprintf("%s from %d", tool, from), 0)
			decisions[j.drift]++
		}
		if len(decisions) != 2 {
			t.Errorf("%s decides one way only: %v", tool, decisions)
		}
	}
}

// Values inside gaps are spread over them. The bound: a bin's share is off by at most what is in the two gaps of its edges; with n cells of
// equal mass that is about 2/n, of which the distance moves by less than its root. Ends that no cell has are known by themselves.
func TestRivalGateSpreadsGaps(t *testing.T) {
	for _, tool := range []string{detectors.ConventionNannyML, detectors.ConventionTFDV} {
		rng := rand.New(rand.NewPCG(8, 2))
		draw := func(n int, shift float64) []float64 {
			xs := make([]float64, n)
			for i := range xs {
				xs[i] = rng.NormFloat64() + shift
			}
			return xs
		}
		ref := draw(4_000, 0)
		r, f := hours(t, texts(ref), 5_000)
		for _, shift := range []float64{0, 0.1, 0.3, 1, 3} {
			cur := draw(3_000, shift)
			counts := cells.NewCounts(f.Space)
			counts.AddSorted(slices.Sorted(slices.Values(cur)))
			judgedBy(t, tool, r, f, counts, numberRows(ref, cur)).check(t, fmt.Sprintf("%s by %v", tool, shift), 0.002)
		}
	}
}

// With NannyML's edges among the cut points its number is exact whatever the resolution.
func TestNannyMLWithItsEdges(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 3))
	draw := func(n int, shift float64) []float64 {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = math.Exp(rng.NormFloat64()) + shift
		}
		return xs
	}
	ref := draw(4_000, 0)
	r, f := hours(t, texts(ref), 100, func(o *reference.Options) { o.NannyMLEdges = true })
	_, plain := hours(t, texts(ref), 100)
	if more := len(f.Space.Points()) - len(plain.Space.Points()); more < 10 || more > 40 {
		t.Errorf("%d cut points more", more)
	}
	for _, shift := range []float64{-0.5, 0, 0.02, 0.3, 3} {
		cur := draw(3_000, shift)
		counts := cells.NewCounts(f.Space)
		counts.AddSorted(slices.Sorted(slices.Values(cur)))
		judgedBy(t, detectors.ConventionNannyML, r, f, counts, numberRows(ref, cur)).check(t, fmt.Sprint("by ", shift), 0)
	}
}

// Categories are exact where the reference tracks them; new ones are one.
func TestRivalGateOfCategories(t *testing.T) {
	for _, tool := range []string{detectors.ConventionNannyML, detectors.ConventionTFDV, detectors.ConventionPopmon} {
		const kinds = 6
		ref := make([]string, 1_200)
		for i := range ref {
			ref[i] = strconv.Quote(string(rune('a' + i*i%kinds)))
		}
		r, f := hours(t, ref, 100)
		for _, window := range [][]uint64{{500, 300, 0, 200, 300, 0, 0}, {20, 300, 0, 200, 900, 0, 0}, {400, 300, 0, 200, 300, 0, 900}} {
			cur := cells.NewCounts(f.Space)
			in := &rivals.Feature{Categorical: true, RefTable: make([]uint64, kinds+1), CurTable: window}
			for i, n := range window {
				cur.AddCategories([]byte(string(rune('a'+i))), n)
			}
			for i := range rivals.Chunks {
				table := make([]uint64, kinds+1)
				for k := range len(ref) / rivals.Chunks {
					at := i*len(ref)/rivals.Chunks + k
					table[at*at%kinds]++
					in.RefTable[at*at%kinds]++
				}
				in.TableChunks = append(in.TableChunks, table)
			}
			judgedBy(t, tool, r, f, cur, in).check(t, fmt.Sprint(tool, window), 1e-15)
		}
	}
}

// NannyML and popmon learn from ten parts of the reference. Where there are none, the reason says why; where panes are many, they are joined to ten that
// have all of them.
func TestNannyMLParts(t *testing.T) {
	values := make([]float64, 700)
	for i := range values {
		values[i] = float64(i % 10)
	}
	r, f := hours(t, texts(values), 100)
	few := *r
	few.Panes = r.Panes[:9]
	for _, tool := range []string{detectors.ConventionNannyML, detectors.ConventionPopmon} {
		cfg := detectors.Default()
		cfg.Convention = tool
		for why, of := range map[string]*reference.Reference{"have no times": {}, "fewer panes than ten": &few} {
			fs := []result.Feature{detectors.NewPlan(f, cfg, detectors.ChunksFor(of, f, 1, cfg), nil).Evaluate(f.Counts)}
			detectors.Judge(fs, cfg)
			if got := fs[0]; got.Verdict != result.Insufficient || !strings.Contains(strings.Join(got.Reasons, ""), why) {
				t.Errorf("%s: verdict %s: %v, want it to say %q", tool, got.Verdict, got.Reasons, why)
			}
		}
	}
	b := reference.NewBuilder(reference.Options{Name: "r", Model: "m", Pane: 60_000}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for i := range 690 { // 23 minutes with 30 rows each
		d.Reset(fmt.Appendf(nil, `{"model":"m","ts":%d,"features":{"x":%d}}`, 1_800_000_000_000+i*2_000, i%10))
		for d.Next() {
			ev, _ := d.Event()
			if err := b.Add(ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	many, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	parts := detectors.PartsOf(many, &many.Features[0])
	var rows []uint64
	for _, c := range parts.Counts {
		rows = append(rows, c.N())
	}
	// Pane i goes to the part ⌊(i + 1/2)·10/23⌋: counted in Python.
	if want := []uint64{60, 90, 60, 60, 60, 90, 60, 60, 90, 60}; !slices.Equal(rows, want) {
		t.Errorf("parts of %v rows (%s), want %v", rows, parts.Reason, want)
	}
}

// A feature that never changes has the distance 0 and the limit 0: that is no drift.
func TestNannyMLOfAConstant(t *testing.T) {
	ref := slices.Repeat([]float64{7}, 500)
	r, f := hours(t, texts(ref), 100)
	judgedBy(t, detectors.ConventionNannyML, r, f, f.Counts, numberRows(ref, ref)).check(t, "constant", 0)
}

// The number of popmon's rule is the worst light in standard deviations, also where the p-value has no digits left in 1 - p, and where it is
// no double any more. Expected: p = erfc(√(χ²/2)) with one degree of freedom, and the z with erfc(z/√2)/2 = min(p, 1 - p), by bisection in Python.
func TestPopmonCountsStandardDeviations(t *testing.T) {
	rule, err := rivals.Find(rivals.Popmon)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cur   []uint64
		score float64
	}{
		{[]uint64{500, 500}, 38.5}, // p is 1: popmon's lights look at both ends
		{[]uint64{510, 490}, 0.07054182239994053},
		{[]uint64{600, 400}, 6.200625404573364},
		{[]uint64{990, 10}, 30.891095167145604},
		{[]uint64{200_000, 0}, 38.5}, // p is 0
	} {
		d := rule.Decide(&rivals.Feature{Categorical: true, RefTable: []uint64{100_000, 100_000}, CurTable: c.cur})
		if !d.OK || math.Abs(d.Value-c.score) > 1e-9*c.score || d.Drift != (d.Value > 7) || d.Threshold != 7 {
			t.Errorf("%v: %+v, want %v", c.cur, d, c.score)
		}
	}
}

// Values inside gaps are spread over them, which moves a mean by at most the width of a gap, and a bin's share by what is in the gaps of its edges.
func TestPopmonSpreadsGaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 4))
	draw := func(n int, shift float64) []float64 {
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = rng.NormFloat64() + shift
		}
		return xs
	}
	ref := draw(4_000, 0)
	r, f := hours(t, texts(ref), 5_000)
	for _, shift := range []float64{0, 0.1, 0.3, 1, 3} {
		cur := draw(3_000, shift)
		counts := cells.NewCounts(f.Space)
		counts.AddSorted(slices.Sorted(slices.Values(cur)))
		j := judgedBy(t, detectors.ConventionPopmon, r, f, counts, numberRows(ref, cur))
		j.check(t, fmt.Sprint("by ", shift), 0.05*j.value)
	}
}

// A category that the reference does not have is a red light from one value on.
func TestPopmonSeesANewCategory(t *testing.T) {
	ref := slices.Concat(slices.Repeat([]string{`"a"`}, 600), slices.Repeat([]string{`"b"`}, 400))
	_, f := hours(t, ref, 100)
	cfg := detectors.Default()
	cfg.Convention = detectors.ConventionPopmon
	for _, c := range []struct {
		fresh uint64
		want  result.Verdict
	}{{0, result.Stable}, {1, result.Drift}} {
		cur := cells.NewCounts(f.Space)
		cur.AddCategories([]byte("a"), 1_210)
		cur.AddCategories([]byte("b"), 790)
		cur.AddCategories([]byte("c"), c.fresh)
		fs := []result.Feature{detectors.NewPlan(f, cfg, detectors.NoChunks("there are none"), nil).Evaluate(cur)} // categories need none
		detectors.Judge(fs, cfg)
		value, _, ok := fs[0].Gate()
		if fs[0].Verdict != c.want || !ok || (value == 38.5) != (c.fresh > 0) || fs[0].Thresholds.Statistic != "popmon" {
			t.Errorf("%d new: %s by %v: %v", c.fresh, fs[0].Verdict, value, fs[0].Reasons)
		}
	}
}
