package compare_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/internal/stat/sequential"
	"github.com/driftd/driftd/result"
)

const hour = 3_600_000

func config() compare.Config {
	return compare.Config{
		Name: "next", Mode: compare.Canary, Baseline: "1", Candidate: "2", Window: hour, Share: 0, Alpha: 0.05, Guards: compare.Guards(),
		ErrorMargin: 0.02, LatencyMargin: 1.2, Quantile: 0.9, QualityMetric: compare.Accuracy, QualityMargin: 0.03, MinEvents: 500, MinWindows: 3, MaxWindows: 0,
		MinAnswered: 0.95, MinAgreement: 0, Tolerance: 0,
	}
}

// version is how a version answers.
type version struct {
	events  int
	errors  float64
	latency float64 // median, milliseconds; log-normal, σ = 0.6
	wrong   float64
}

func (v version) side(rng *rand.Rand) compare.Side {
	out := compare.Side{Events: uint64(v.events), Errors: 0, Latency: cells.NewHistogram()}
	for range v.events {
		if rng.Float64() < v.errors {
			out.Errors++
		}
		out.Latency.Add(v.latency * math.Exp(0.6*rng.NormFloat64()))
	}
	return out
}

func (v version) truth(rng *rand.Rand) compare.Truth {
	out := compare.Truth{Labels: uint64(v.events), Wrong: sequential.Arm{Successes: 0, Trials: uint64(v.events)}} //nolint:exhaustruct // a classification
	for range v.events {
		if rng.Float64() < v.wrong {
			out.Wrong.Successes++
		}
	}
	return out
}

func at(w int) compare.At {
	return compare.At{Model: "m", Window: result.Window{Start: int64(w) * hour, End: int64(w+1) * hour, Size: hour}, Every: hour, Ref: nil, Fingerprint: ""}
}

func window(w int, a, b compare.Side) *compare.Window {
	return &compare.Window{At: at(w), Complete: true, Baseline: a, Candidate: b} //nolint:exhaustruct // no features
}

// play compares two versions over windows, with the quality of each a window later, and returns the first window and reason of each verdict, -1 for none.
func play(rng *rand.Rand, c *compare.Config, a, b version, windows int) (first map[result.Decision]int, last *result.Comparison) {
	first = map[result.Decision]int{}
	s := &compare.State{}
	note := func(w int, doc *result.Comparison) {
		if _, ok := first[doc.Verdict]; !ok {
			first[doc.Verdict] = w
		}
		last = doc
	}
	for w := range windows {
		var doc *result.Comparison
		s, doc = s.Step(c, window(w, a.side(rng), b.side(rng)))
		note(w, doc)
		if c.Guarded(compare.Quality) {
			s, doc = s.Mature(c, &compare.Matured{At: at(w), Maturity: hour, Baseline: a.truth(rng), Candidate: b.truth(rng), Difference: nil})
			note(w, doc)
		}
	}
	return first, last
}

// share plays comparisons and returns how many ever rolled back and promoted.
func share(seed uint64, c compare.Config, a, b version, runs, windows int) (rolled, promoted int) {
	rng := rand.New(rand.NewPCG(seed, 7))
	for range runs {
		first, _ := play(rng, &c, a, b, windows)
		if _, ok := first[result.RollBack]; ok {
			rolled++
		}
		if _, ok := first[result.Promote]; ok {
			promoted++
		}
	}
	return rolled, promoted
}

// Known truths, read at every window: a candidate within its margins is rolled back in at most alpha of all comparisons, one that is as much worse as a
// margin allows is promoted in at most alpha, a clearly worse one is rolled back and never promoted, a better one promoted.
func TestKnownTruths(t *testing.T) {
	t.Parallel()
	const runs, windows = 100, 40
	base := version{events: 300, errors: 0.02, latency: 20, wrong: 0.2}
	small := base
	small.events = 60
	bound := 0.05*runs + 3.09*math.Sqrt(0.05*0.95*runs) // chance gives more to one seed of 1,000
	for _, c := range []struct {
		name                  string
		change                func(v *version)
		mostRolled, mostFine  float64
		leastRolled, leastFor int
	}{
		{"equal", func(*version) {}, bound, runs, 0, 60},
		{"better", func(v *version) { v.errors, v.latency, v.wrong = 0.005, 12, 0.1 }, 0, runs, 0, runs},
		{"errors at the margin", func(v *version) { v.errors += 0.02 }, bound, bound, 0, 0},
		{"latency at the margin", func(v *version) { v.latency *= 1.2 }, bound, bound, 0, 0},
		{"wrong at the margin", func(v *version) { v.wrong += 0.03 }, bound, bound, 0, 0},
		{"many errors", func(v *version) { v.errors = 0.15 }, runs, 0, runs, 0},
		{"slow", func(v *version) { v.latency = 50 }, runs, 0, runs, 0},
		{"often wrong", func(v *version) { v.wrong = 0.4 }, runs, 0, runs, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			worse := small
			c.change(&worse)
			rolled, promoted := share(1, config(), base, worse, runs, windows)
			t.Logf("of %d: %d rolled back, %d promoted", runs, rolled, promoted)
			if float64(rolled) > c.mostRolled || float64(promoted) > c.mostFine || rolled < c.leastRolled || promoted < c.leastFor {
				t.Errorf("want at most %.0f and %.0f, at least %d and %d", c.mostRolled, c.mostFine, c.leastRolled, c.leastFor)
			}
		})
	}
}

// A state that was stored and read after every window says the same as one that was not.
func TestStateSurvives(t *testing.T) {
	c := config()
	c.Share = 0.5
	rng := rand.New(rand.NewPCG(3, 3))
	v := version{events: 40, errors: 0.1, latency: 20, wrong: 0.2}
	calm, stored := &compare.State{}, &compare.State{}
	for w := range 10 {
		next := window(w, v.side(rng), v.side(rng))
		next.Pairs = compare.NewPairs(2)
		next.Pairs.Baseline, next.Pairs.Candidate = 2, 1
		next.Pairs.Add(compare.Answer{Class: 1, Score: 0.7, HasScore: true}, compare.Answer{Class: rng.IntN(2), Score: 0.1, HasScore: true}, 0.2)
		m := &compare.Matured{At: at(w), Maturity: hour, Baseline: v.truth(rng), Candidate: v.truth(rng), Difference: nil}
		for _, step := range []func(s *compare.State) (*compare.State, *result.Comparison){
			func(s *compare.State) (*compare.State, *result.Comparison) { return s.Step(&c, next) },
			func(s *compare.State) (*compare.State, *result.Comparison) { return s.Mature(&c, m) },
		} {
			var want, got *result.Comparison
			calm, want = step(calm)
			before, err := json.Marshal(stored)
			if err != nil {
				t.Fatal(err)
			}
			stored = &compare.State{}
			if w > 0 { // there is nothing to read before
				if err := json.Unmarshal(before, stored); err != nil {
					t.Fatal(err)
				}
			}
			if w == 0 && want.Quality != nil {
				stored = calm // begun
				continue
			}
			stored, got = step(stored)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("window %d (-want +got):\n%s", w, diff)
			}
		}
	}
	data, err := json.Marshal(calm)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > 8192 {
		t.Errorf("a state has %d bytes", len(data))
	}
	for i := range data { // whatever is cut off or changed is an error or another state, and no panic
		broken := slices.Clone(data)
		broken[i] ^= 0x15
		_ = json.Unmarshal(broken, &compare.State{})
		_ = json.Unmarshal(data[:i], &compare.State{})
	}
}

// What may be wrong with a comparison, and what is said of it.
func TestHolds(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	v := version{events: 1000, errors: 0.01, latency: 20, wrong: 0.1}
	none := compare.Side{Events: 0, Errors: 0, Latency: cells.NewHistogram()}
	of := func(n int) compare.Side {
		x := v
		x.events = n
		return x.side(rng)
	}
	type pair struct{ a, b compare.Side }
	many := func(n int, a, b func() compare.Side) (out []pair) {
		for range n {
			out = append(out, pair{a(), b()})
		}
		return out
	}
	full, nothing := func() compare.Side { return of(1000) }, func() compare.Side { return none }
	for _, c := range []struct {
		name    string
		change  func(c *compare.Config)
		windows []pair
		want    string
		verdict result.Decision
	}{
		{"nobody", nil, many(2, nothing, nothing), "no_events: ", result.Hold},
		{"a candidate that never came", nil, many(2, full, nothing), `no_candidate: version "2" has not had an event since 1970-01-01T00:00:00Z`, result.Hold},
		{"no baseline", nil, many(2, nothing, full), "no_baseline: ", result.Hold},
		{"one after the other", nil, append(many(2, full, nothing), many(2, nothing, full)...), "apart: ", result.Hold},
		{
			"a version that appears for a minute", nil, append(many(1, full, func() compare.Side { return of(7) }), many(4, full, nothing)...),
			`few_windows: both had events in 1 windows, min_windows is 3`, result.Hold,
		},
		{"gone", nil, append(many(9, full, full), many(1, full, nothing)...), `gone: version "2" had no events in the last window`, result.Hold},
		{"few", nil, many(9, full, func() compare.Side { return of(20) }), `few_events: "2" has had 180 events in these windows, min_events is 500`, result.Hold},
		{
			"unequal traffic", func(c *compare.Config) { c.Share = 0.5 }, many(9, full, func() compare.Side { return of(800) }),
			`sample_ratio_mismatch: "2" has 44.44 % of the traffic and should have 50 %`, result.Hold,
		},
		{"as configured", func(c *compare.Config) { c.Share = 0.1 }, many(12, func() compare.Side { return of(1800) }, func() compare.Side { return of(200) }), "error_rate: ", result.Promote},
		{"nothing wrong", nil, many(9, full, full), "error_rate: ", result.Promote},
		{
			"undecided for long", func(c *compare.Config) { c.ErrorMargin, c.MaxWindows = 0, 4 }, many(5, full, full),
			"max_windows: 5 windows have not decided", result.Hold,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := config()
			of.Guards = []string{compare.ErrorRate, compare.Latency}
			if c.change != nil {
				c.change(&of)
			}
			if err := of.Validate(); err != nil {
				t.Fatal(err)
			}
			s, doc := &compare.State{}, (*result.Comparison)(nil)
			for w, p := range c.windows {
				s, doc = s.Step(&of, window(w, p.a, p.b))
			}
			if doc.Verdict != c.verdict || !strings.Contains(fmt.Sprint(doc.Reasons), c.want) {
				t.Errorf("%s for %q, want %s for %q", doc.Verdict, doc.Reasons, c.verdict, c.want)
			}
		})
	}
}

// A few requests are enough where nearly all of them fail, and what was shown is not taken back until another version is compared.
func TestRollBackIsQuickAndStays(t *testing.T) {
	c := config()
	c.Guards = []string{compare.ErrorRate}
	good := func(n uint64) compare.Side { return compare.Side{Events: n, Errors: 0, Latency: nil} }
	s, doc := (&compare.State{}).Step(&c, window(0, good(1000), compare.Side{Events: 10, Errors: 8, Latency: nil}))
	if doc.Verdict != result.RollBack || !strings.HasPrefix(doc.Reasons[0], "error_rate: worse by more than 0.02: errors 0 % and 80 %") {
		t.Fatalf("8 errors of 10 against none of 1,000: %s, %q", doc.Verdict, doc.Reasons)
	}
	for w := range 50 {
		s, doc = s.Step(&c, window(1+w, good(1000), good(1000)))
	}
	if doc.Verdict != result.RollBack {
		t.Errorf("taken back: %q", doc.Reasons)
	}
	c.Candidate = "3"
	if _, doc = s.Step(&c, window(60, good(1000), good(1000))); doc.Verdict != result.Hold || doc.Windows != 1 || doc.Since != 60*hour || doc.Reading != 52 {
		t.Errorf("another version: %s, %+v", doc.Verdict, doc)
	}
}

// Cohen's kappa of the table (20, 5; 10, 15) is 0.4: p_o = 35/50, p_e = (25·30 + 25·20)/50² = 0.5 (computed by hand). The parts of a table add.
func TestKappa(t *testing.T) {
	c := config()
	c.Mode, c.Share, c.Guards = compare.Shadow, 0, []string{compare.ErrorRate}
	parts := [2]*compare.Pairs{compare.NewPairs(2), compare.NewPairs(2)}
	i := 0
	for cell, n := range map[[2]int]int{{0, 0}: 20, {0, 1}: 5, {1, 0}: 10, {1, 1}: 15} {
		for range n {
			i++
			parts[i%2].Add(compare.Answer{Class: cell[0], Score: 0, HasScore: false}, compare.Answer{Class: cell[1], Score: 0, HasScore: false}, 0)
		}
	}
	parts[0].Merge(parts[1])
	parts[0].Baseline, parts[0].Candidate, parts[0].Matched = 50, 50, 50
	w := window(0, compare.Side{Events: 50, Errors: 0, Latency: nil}, compare.Side{Events: 50, Errors: 0, Latency: nil})
	w.Pairs, w.Classes = parts[0], []string{"yes", "no"}
	c.MinAgreement = 0.8
	_, doc := (&compare.State{}).Step(&c, w)
	got := doc.Shadow.Total
	if got.Kappa.Value == nil || math.Abs(*got.Kappa.Value-0.4) > 1e-15 || *got.Agreed.Value != 0.7 || !cmp.Equal(got.Matrix, [][]uint64{{20, 5}, {10, 15}}) {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(fmt.Sprint(doc.Reasons), "disagree: the versions agree on 70 % of 50 requests, min_agreement is 80 %") {
		t.Errorf("%q", doc.Reasons)
	}
	data := parts[0].AppendBinary(nil)
	back, rest, err := compare.DecodePairs(append(data, 7))
	if err != nil || len(rest) != 1 || !cmp.Equal(back.AppendBinary(nil), data) {
		t.Errorf("read back: %v, %d bytes left", err, len(rest))
	}
}

// A regression is guarded by its mean absolute error, the margin being a share of the baseline's.
func TestMeanAbsoluteError(t *testing.T) {
	c := config()
	c.Guards, c.QualityMetric, c.QualityMargin = []string{compare.Quality}, compare.MAE, 0.1
	for name, x := range map[string]struct {
		mean float64
		want result.GuardState
	}{"worse": {1.5, result.GuardWorse}, "not worse": {1.0, result.GuardNotWorse}, "better": {0.7, result.GuardBetter}} {
		s, doc := &compare.State{}, (*result.Comparison)(nil)
		for w := range 20 {
			s, doc = s.Mature(&c, &compare.Matured{
				At: at(w), Maturity: hour, Difference: nil,
				Baseline:  compare.Truth{Labels: 400, Wrong: sequential.Arm{}, Off: sequential.Moments{Count: 400, Mean: 1, Variance: 0.5}},      //nolint:exhaustruct // no classes
				Candidate: compare.Truth{Labels: 400, Wrong: sequential.Arm{}, Off: sequential.Moments{Count: 400, Mean: x.mean, Variance: 0.5}}, //nolint:exhaustruct // no classes
			})
		}
		if g := doc.Guards[0]; g.State != x.want || math.Abs(*g.Candidate-x.mean) > 1e-12 || g.N != 8000 {
			t.Errorf("%s: %+v", name, g)
		}
	}
}
