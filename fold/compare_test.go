package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

func comparison() compare.Config {
	return compare.Config{
		Name: "next", Mode: compare.AB, Baseline: "1", Candidate: "2", Window: day, Share: 0, Alpha: 0.05,
		Guards: []string{compare.ErrorRate, compare.Latency, compare.Quality}, ErrorMargin: 0.01, LatencyMargin: 1.5, Quantile: 0.95,
		QualityMetric: compare.Accuracy, QualityMargin: 0.02, MinEvents: 1000, MinWindows: 3, MaxWindows: 0, MinAnswered: 0.95, MinAgreement: 0, Tolerance: 0.01,
	}
}

// verdicts returns the verdicts among documents, in their order.
func verdicts(t *testing.T, docs []result.Doc) []result.Comparison {
	t.Helper()
	var out []result.Comparison
	for _, d := range docs {
		if d.Kind != result.KindVerdict {
			if bytes.Contains(d.Data, []byte(`"type":"verdict"`)) {
				t.Fatalf("a verdict of the kind %s", d.Kind)
			}
			continue
		}
		var c result.Comparison
		if err := json.Unmarshal(d.Data, &c); err != nil {
			t.Fatal(err)
		}
		if c.ResultID != d.ID {
			t.Fatalf("verdict %s as document %s", c.ResultID, d.ID)
		}
		out = append(out, c)
	}
	return out
}

// comparisons are two of the versions of labelStream.
func comparisons() []compare.Config {
	ab, shadow := comparison(), comparison()
	ab.Name, ab.Baseline, ab.Candidate, ab.Window, ab.MinEvents, ab.Share = "ab", "v0", "v1", 60*minute, 10, 0.5
	shadow.Name, shadow.Mode, shadow.Baseline, shadow.Candidate, shadow.Window, shadow.MinEvents = "shadow", compare.Shadow, "v1", "v0", 60*minute, 10
	return []compare.Config{ab, shadow}
}

// pairsIn counts the requests that both versions answered, as the verdicts say.
func pairsIn(t *testing.T, docs []result.Doc) (n int) {
	t.Helper()
	for _, v := range verdicts(t, docs) {
		if v.Shadow != nil {
			n += int(v.Shadow.Window.Both)
		}
	}
	return n
}

// elec2Verdicts reads the real log with a comparison of its two versions and returns what is said of them.
func elec2Verdicts(t *testing.T, c compare.Config) []result.Comparison {
	t.Helper()
	lines := elec2test.Lines(t)
	ref := elec2Reference(t, lines, reference.DefaultResolution)
	hour := int64(3_600_000)
	counting := elec2Counting(ref.Fingerprint())
	m := counting.Models[elec2test.Model]
	m.Rules = nil
	m.Labels = &fold.Labels{
		Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 7 * day, MaxPending: 1_000_000, Maturities: []int64{hour, 48 * hour}},
		Task: "binary", Threshold: 0.5,
	}
	m.Compare = []compare.Config{c}
	counting.Models[elec2test.Model] = m
	if err := counting.Validate(); err != nil {
		t.Fatal(err)
	}
	msgs := messages(lines, false)
	end := event.Control{Kind: event.ControlMarker, Watermark: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli()} //nolint:exhaustruct // of all
	msgs = append(msgs, fold.Message{Seq: uint64(len(lines) + 1), Subject: "driftd.control.0", Time: msgs[len(msgs)-1].Time, Data: end.Encode(), Retry: ""})
	return verdicts(t, run(t, counting, find(ref), msgs, undisturbed()).docs)
}

// Version 2 of the real log was retrained: it is right more often (expected.json, `ab`: SciPy and plain implementations), answers slower, and its share of the
// traffic went from a tenth to a half. Labels come up to 36 hours late. What the verdict is depends on what is allowed.
func TestElec2Verdict(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		AB struct {
			From    time.Time
			Correct struct {
				NA    uint64  `json:"n_a"`
				NB    uint64  `json:"n_b"`
				RateA float64 `json:"rate_a"`
				RateB float64 `json:"rate_b"`
			}
		}
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	t.Run("slower by half is allowed", func(t *testing.T) {
		all := elec2Verdicts(t, comparison())
		last := all[len(all)-1]
		decided := time.Time{}
		for _, v := range all {
			begun := v.Window.End+v.Maturity > want.AB.From.UnixMilli()
			switch {
			case !begun && (v.Verdict != result.Hold || !strings.HasPrefix(v.Reasons[0], "no_candidate")):
				t.Errorf("%s before version 2 came, for %q", v.Verdict, v.Reasons)
			case v.Verdict == result.RollBack:
				t.Errorf("rolled back: %q", v.Reasons)
			case v.Verdict == result.Promote && decided.IsZero():
				decided = time.UnixMilli(v.Window.End + v.Maturity).UTC()
				t.Logf("promoted at %s: %q", decided, v.Reasons)
			}
		}
		if decided.IsZero() || decided.After(want.AB.From.Add(10*24*time.Hour)) {
			t.Errorf("promoted at %s", decided)
		}
		g, c := last.Guards[2], want.AB.Correct
		if g.Metric != compare.Accuracy || g.N != c.NA || g.M != c.NB || math.Abs(*g.Baseline-(1-c.RateA)) > 1e-12 || math.Abs(*g.Candidate-(1-c.RateB)) > 1e-12 {
			t.Errorf("wrong answers %v in %d, %v in %d; want %+v", *g.Baseline, g.N, *g.Candidate, g.M, c)
		}
		if g.State != result.GuardBetter || *g.Difference.PValue > 1e-4 || !strings.Contains(fmt.Sprint(last.Reasons), "gone") {
			t.Errorf("the last verdict is %s: %q, %+v", last.Verdict, last.Reasons, g)
		}
		for _, v := range all {
			if v.Now != nil && v.Windows > 2 && v.Now.Inputs != nil && (v.Now.Inputs.Compared == 0 || v.Now.Inputs.Differ > 0) {
				t.Errorf("%s: inputs of both versions are compared as %+v", time.UnixMilli(v.Window.Start).UTC(), v.Now.Inputs)
			}
		}
	})
	t.Run("slower by a twentieth", func(t *testing.T) {
		c := comparison()
		c.LatencyMargin, c.Quantile = 1.05, 0.5
		all := elec2Verdicts(t, c)
		i := slices.IndexFunc(all, func(v result.Comparison) bool { return v.Verdict == result.RollBack })
		if i < 0 || !strings.HasPrefix(all[i].Reasons[0], "latency: slower than 1.05 times") {
			t.Fatalf("not rolled back for its latency: %q", all[len(all)-1].Reasons)
		}
		for _, v := range all[i:] {
			if v.Verdict != result.RollBack {
				t.Errorf("taken back: %q", v.Reasons)
			}
		}
		t.Logf("rolled back after %d windows of both: %q", all[i].Windows, all[i].Reasons)
	})
	t.Run("a tenth of the traffic", func(t *testing.T) {
		c := comparison()
		c.Mode, c.Share = compare.Canary, 0.1
		for _, v := range elec2Verdicts(t, c) {
			if mismatch := v.Window.Start >= want.AB.From.Add(2*24*time.Hour).UnixMilli(); v.Split.Mismatch != mismatch && v.Maturity == 0 {
				t.Errorf("%s: the split of the traffic is %+v, a mismatch: %v", time.UnixMilli(v.Window.Start).UTC(), v.Split, mismatch)
			}
			if v.Verdict == result.Promote {
				t.Errorf("promoted on a wrong split: %q", v.Reasons)
			}
		}
	})
}

// A shadow that answers half of the requests, some of which the primary never saw, with what it says counted by a plain loop; no label ever comes.
func TestShadow(t *testing.T) {
	counting := labelled()
	c := comparisons()[1]
	c.Guards = []string{compare.ErrorRate}
	counting.Defaults.Compare = []compare.Config{c}
	if err := counting.Validate(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(4, 4))
	var msgs []fold.Message
	add := func(format string, args ...any) {
		msgs = append(msgs, fold.Message{Seq: uint64(len(msgs) + 1), Subject: "ml.events.m", Time: midnight + day + int64(len(msgs)), Data: fmt.Appendf(nil, format, args...), Retry: ""})
	}
	const n = 300
	var want result.Agreement
	var matrix [2][2]uint64
	var sum, squares float64
	var beyond int
	class := func(score float64) int {
		if score >= 0.5 {
			return 1
		}
		return 0
	}
	for i := range n {
		at := midnight + int64(i)*10_000 // all in one hour
		score := float64(rng.IntN(101)) / 100
		other := min(1, score+float64(rng.IntN(3))/128)
		switch {
		case i%50 == 0: // the shadow alone
			add(`{"id":"only%d","version":"v0","ts":%d,"prediction":%g}`, i, at, other)
			want.Candidate, want.OnlyCandidate = want.Candidate+1, want.OnlyCandidate+1
			continue
		case i%4 == 1: // the shadow first
			add(`{"id":"%d","version":"v0","ts":%d,"prediction":%g}`, i, at+5, other)
		}
		add(`{"id":"%d","version":"v1","ts":%d,"prediction":%g}`, i, at, score)
		if i%4 == 3 {
			add(`{"id":"%d","version":"v0","ts":%d,"prediction":%g}`, i, at+5, other)
			add(`{"id":"%d","version":"v0","ts":%d,"prediction":%g}`, i, at+5, other) // again: dropped
		}
		if want.Baseline++; i%2 == 0 {
			want.OnlyBaseline++
			continue
		}
		want.Both, want.Candidate = want.Both+1, want.Candidate+1
		matrix[class(score)][class(other)]++
		d := other - score
		sum, squares = sum+d, squares+d*d
		if math.Abs(d) > c.Tolerance {
			beyond++
		}
	}
	// The last request of the hour is answered by the shadow after the hour was said.
	add(`{"id":"z","version":"v1","ts":%d,"prediction":0.3}`, midnight+59*minute)
	want.Baseline, want.OnlyBaseline = want.Baseline+1, want.OnlyBaseline+1
	add(`{"id":"later","version":"v1","ts":%d,"prediction":0.3}`, midnight+130*minute)
	add(`{"id":"z","version":"v0","ts":%d,"prediction":0.3}`, midnight+59*minute)
	j := run(t, counting, nil, msgs, undisturbed())
	all := verdicts(t, j.docs)
	if len(all) == 0 {
		t.Fatal("no verdict")
	}
	v := all[0]
	got := v.Shadow.Window
	counts := func(a result.Agreement) [5]uint64 {
		return [5]uint64{a.Baseline, a.Candidate, a.Both, a.OnlyBaseline, a.OnlyCandidate}
	}
	if counts(got) != counts(want) || got.Matrix[0][0] != matrix[0][0] || got.Matrix[0][1] != matrix[0][1] || got.Matrix[1][0] != matrix[1][0] || got.Matrix[1][1] != matrix[1][1] {
		t.Errorf("%v and %v, want %v and %v", counts(got), got.Matrix, counts(want), matrix)
	}
	m := float64(want.Both)
	for _, x := range []struct {
		what      string
		got       result.Stat
		want, eps float64
	}{
		{"answered", result.Stat{Value: got.Answered}, m / float64(want.Baseline), 0}, //nolint:exhaustruct // a value
		{"agreed", got.Agreed, float64(matrix[0][0]+matrix[1][1]) / m, 0},
		{"mean", got.MeanDiff, sum / m, 1e-15},
		{"rms", got.RMSDiff, math.Sqrt(squares / m), 1e-15},
		{"beyond", got.BeyondTol, float64(beyond) / m, 0},
	} {
		if x.got.Value == nil || math.Abs(*x.got.Value-x.want) > x.eps {
			t.Errorf("%s is %v, want %v", x.what, show(x.got.Value), x.want)
		}
	}
	if v.Verdict != result.Hold || !strings.Contains(fmt.Sprint(v.Reasons), `shadow_answers: "v0" answers `) || beyond == 0 {
		t.Errorf("%s: %q", v.Verdict, v.Reasons)
	}
}

// What nobody meant: both names equal, no labels to match a shadow by, windows that there are not, quality without labels.
func TestCompareRefused(t *testing.T) {
	for want, change := range map[string]func(m *fold.ModelConfig, c *compare.Config){
		"is not compared with itself":                 func(_ *fold.ModelConfig, c *compare.Config) { c.Candidate = c.Baseline },
		"needs labels of the mode sample or full":     func(m *fold.ModelConfig, c *compare.Config) { m.Labels, c.Mode, c.Share = nil, compare.Shadow, 0 },
		"the model has no windows of 7 ms":            func(_ *fold.ModelConfig, c *compare.Config) { c.Window = 7 },
		"quality is guarded and the model has no":     func(m *fold.ModelConfig, _ *compare.Config) { m.Labels = nil },
		"mae is no metric of a binary task":           func(_ *fold.ModelConfig, c *compare.Config) { c.QualityMetric = compare.MAE },
		"at most 8 are possible":                      func(m *fold.ModelConfig, c *compare.Config) { m.Compare = slices.Repeat([]compare.Config{*c}, 9) },
		"must be in byte order of their names":        func(m *fold.ModelConfig, c *compare.Config) { m.Compare = []compare.Config{*c, *c} },
		"a share of 1, it must be between 0 and 1":    func(_ *fold.ModelConfig, c *compare.Config) { c.Share = 1 },
		"a margin of latency of 0.5, it is a ratio":   func(_ *fold.ModelConfig, c *compare.Config) { c.LatencyMargin = 0.5 },
		"max_windows 2 is less than min_windows 3":    func(_ *fold.ModelConfig, c *compare.Config) { c.MaxWindows = 2 },
		"alpha is NaN, it must be in [0.000001, 0.5]": func(_ *fold.ModelConfig, c *compare.Config) { c.Alpha = math.NaN() },
	} {
		counting := labelled()
		m := &counting.Defaults
		m.Compare = comparisons()[:1]
		change(m, &m.Compare[0])
		if err := counting.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
