package detectors_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/result"
)

// normals draws n values around mean, seeded.
func normals(seed uint64, n int, mean float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 17))
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64() + mean
	}
	return out
}

// feature builds a named numeric feature and a window of it.
func feature(t *testing.T, name string, role result.Role, ref, cur []float64, missing int) result.Feature {
	t.Helper()
	f := detectortest.Numeric(t, ref, len(ref))
	f.Name, f.Role = name, role
	c := cells.NewCounts(f.Space)
	detectortest.AddNumbers(c, cur)
	for range missing {
		c.AddMissing()
	}
	return detectors.Evaluate(f, c, detectors.Default())
}

func TestJudge(t *testing.T) {
	ref, same := normals(1, 5000, 0), normals(2, 1000, 0)
	// A shift of δ standard deviations has a PSI near δ², the Jeffreys divergence of two normals, less what deciles hide.
	warn, drift, few := normals(3, 1000, 0.4), normals(4, 1000, 1), normals(5, 100, 1)
	const f, p = result.RoleFeature, result.RolePrediction
	tests := []struct {
		name     string
		features []result.Feature
		want     result.Verdict
		share    float64
		verdicts []result.Verdict
		reason   string // in the model's reasons
	}{
		{"nothing moved", []result.Feature{feature(t, "a", f, ref, same, 0)}, result.Stable, 0, []result.Verdict{result.Stable}, "none of 1"},
		{
			"one of two drifts",
			[]result.Feature{feature(t, "a", f, ref, drift, 0), feature(t, "b", f, ref, same, 0)},
			result.Drift, 0.5,
			[]result.Verdict{result.Drift, result.Stable},
			"1 of 2 judged features drift (50.0 % ≥ 50.0 %): a",
		},
		{
			"one of three drifts",
			[]result.Feature{feature(t, "a", f, ref, same, 0), feature(t, "b", f, ref, drift, 0), feature(t, "c", f, ref, same, 0)},
			result.Warning, 1.0 / 3,
			[]result.Verdict{result.Stable, result.Drift, result.Stable},
			"(33.3 % < 50.0 %): b",
		},
		{
			"a warning",
			[]result.Feature{feature(t, "a", f, ref, warn, 0), feature(t, "b", f, ref, same, 0)},
			result.Warning, 0,
			[]result.Verdict{result.Warning, result.Stable},
			"1 warn: a",
		},
		{
			"the prediction drifts",
			[]result.Feature{
				feature(t, "a", f, ref, same, 0), feature(t, "b", f, ref, same, 0), feature(t, "prediction", p, ref, drift, 0),
			},
			result.Drift, 0,
			[]result.Verdict{result.Stable, result.Stable, result.Drift},
			"the prediction drifts: prediction",
		},
		{
			"too few values",
			[]result.Feature{feature(t, "a", f, ref, few, 0)},
			result.Insufficient, -1,
			[]result.Verdict{result.Insufficient},
			"1 could not be judged: a",
		},
		{
			"all values are missing",
			[]result.Feature{feature(t, "a", f, ref, nil, 1000), feature(t, "b", f, ref, same, 0)},
			result.Drift, 0.5,
			[]result.Verdict{result.Drift, result.Stable},
			"1 of 2",
		},
		{
			"some values are missing",
			[]result.Feature{feature(t, "a", f, ref, same, 60), feature(t, "b", f, ref, same, 0)},
			result.Warning, 0,
			[]result.Verdict{result.Warning, result.Stable},
			"1 warn: a",
		},
		{"no features", nil, result.Insufficient, -1, nil, "there is no feature to judge"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			verdict, share, reasons := detectors.Judge(tc.features, detectors.Default())
			if verdict != tc.want {
				t.Errorf("verdict %s, want %s", verdict, tc.want)
			}
			if (share == nil) != (tc.share < 0) || (share != nil && *share != tc.share) {
				t.Errorf("share %v, want %v", share, tc.share)
			}
			if !strings.Contains(strings.Join(reasons, "\n"), tc.reason) {
				t.Errorf("reasons %q do not say %q", reasons, tc.reason)
			}
			var verdicts []result.Verdict
			for _, f := range tc.features {
				verdicts = append(verdicts, f.Verdict)
				if len(f.Reasons) == 0 {
					t.Errorf("%s is %s without a reason", f.Feature, f.Verdict)
				}
				if (f.QValue == nil) != (f.Current.Count < f.NMin) {
					t.Errorf("%s has %d values of %d, but q is %v", f.Feature, f.Current.Count, f.NMin, f.QValue)
				}
			}
			if diff := cmp.Diff(tc.verdicts, verdicts); diff != "" {
				t.Errorf("verdicts:\n%s", diff)
			}
			before, err := json.Marshal(tc.features)
			if err != nil {
				t.Fatal(err)
			}
			_, _, again := detectors.Judge(tc.features, detectors.Default())
			after, _ := json.Marshal(tc.features)
			if diff := cmp.Diff(string(before)+fmt.Sprint(reasons), string(after)+fmt.Sprint(again)); diff != "" {
				t.Errorf("a second call differs:\n%s", diff)
			}
		})
	}
}

// table is a feature of two values, judged with given counts: small enough for reasons that are checked by hand.
func table(t *testing.T, ref, cur [2]int) result.Feature {
	t.Helper()
	values := func(n [2]int) []float64 {
		var out []float64
		for v, k := range n {
			for range k {
				out = append(out, float64(10+v))
			}
		}
		return out
	}
	f := detectortest.Numeric(t, values(ref), 100)
	c := cells.NewCounts(f.Space)
	detectortest.AddNumbers(c, values(cur))
	fs := []result.Feature{detectors.Evaluate(f, c, detectors.Default())}
	detectors.Judge(fs, detectors.Default())
	return fs[0]
}

func TestReasons(t *testing.T) {
	// B = 2, α = 1, p = ½: c' = 800.5/1001, r' = 200.5/1001 mirrored: psi = 2·(600/1001)·ln(800.5/200.5) = 1.65975, less 2/1000.
	f := table(t, [2]int{200, 800}, [2]int{800, 200})
	want := []string{
		"psi_debiased 1.66 ≥ 0.25 with q ", "(n 1000, reference 1000)",
		"bin = 10: 20.0 % → 80.0 %", "bin = 11: 80.0 % → 20.0 %", "median 11 → 10",
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(f.Reasons, "\n"), w) {
			t.Errorf("reasons %q do not say %q", f.Reasons, w)
		}
	}
	bins := []result.Bin{{Label: "= 10", Reference: 200, Current: 800}, {Label: "= 11", Reference: 800, Current: 200}}
	if diff := cmp.Diff(bins, f.Bins); diff != "" {
		t.Errorf("bins:\n%s", diff)
	}
	// χ²_{0.999}(1) = 10.82757 (table), so (1/n + 1/m)·9.82757 < 0.1 is what χ² makes of it: with m = 1000 n > 1/(0.1/9.82757 - 0.001) = 109;
	// the exact law is close to it (TestMinimumNAgainstEnumeration).
	f = table(t, [2]int{200, 800}, [2]int{30, 30})
	if want := fmt.Sprintf("needs %d, has 60", f.NMin); f.NMin < 100 || f.NMin > 125 || f.Reasons[0] != want || f.Verdict != result.Insufficient {
		t.Errorf("n_min %d, %s, reasons: %q", f.NMin, f.Verdict, f.Reasons)
	}
	// A reference of m < 9.82757/0.1 = 98.3 is too small for any window.
	f = table(t, [2]int{20, 20}, [2]int{5000, 5000})
	if diff := cmp.Diff([]string{"the reference has 40 values; needs about 99 for a warning at 0.1"}, f.Reasons); diff != "" || f.NMin != 0 {
		t.Errorf("n_min %d, reasons:\n%s", f.NMin, diff)
	}
	f = table(t, [2]int{0, 0}, [2]int{500, 500})
	if diff := cmp.Diff([]string{"the reference has no values"}, f.Reasons); diff != "" || f.Verdict != result.Insufficient {
		t.Errorf("%s, reasons:\n%s", f.Verdict, diff)
	}
}

func TestJudgeUsesEveryFeaturesOwnThresholds(t *testing.T) {
	ref, cur := normals(1, 5000, 0), normals(4, 1000, 1)
	f := detectortest.Numeric(t, ref, len(ref))
	c := cells.NewCounts(f.Space)
	detectortest.AddNumbers(c, cur)
	lenient := detectors.Default()
	lenient.Warning, lenient.Drift = 5, 10
	fs := []result.Feature{detectors.Evaluate(f, c, detectors.Default()), detectors.Evaluate(f, c, lenient)}
	detectors.Judge(fs, detectors.Default())
	if fs[0].Verdict != result.Drift || fs[1].Verdict != result.Stable {
		t.Errorf("verdicts %s and %s, want drift and stable", fs[0].Verdict, fs[1].Verdict)
	}
}

func TestEvaluateOverOtherCells(t *testing.T) {
	f := detectortest.Numeric(t, []float64{1, 2, 3}, 10)
	other := detectortest.Numeric(t, []float64{1, 2, 4}, 10)
	got := detectors.Evaluate(f, other.Counts, detectors.Default())
	for name, s := range got.Statistics {
		detectortest.WellFormed(t, name, s)
		if s.Value != nil {
			t.Errorf("%s = %v over other cells", name, *s.Value)
		}
	}
	if got.Verdict != result.Insufficient {
		t.Errorf("verdict %s", got.Verdict)
	}
}

func TestEvaluateReportsAMissingCutPoint(t *testing.T) {
	f := detectortest.Numeric(t, normals(1, 500, 0), 500)
	broken := *f
	broken.Deciles = append([]float64{-0.123456}, f.Deciles[1:]...)
	got := detectors.Evaluate(&broken, f.Counts, detectors.Default())
	if s := got.Statistics["psi"]; s.Value != nil || !strings.Contains(s.Reason, "-0.123456 is not a cut point") {
		t.Errorf("psi = %+v", s)
	}
	if got.Statistics["ks"].Value == nil {
		t.Error("ks needs no bins, but is null")
	}
}
