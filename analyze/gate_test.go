package analyze_test

import (
	"compress/gzip"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/internal/testenv"
)

// employment writes the first rows of the employment data with their targets into one file.
func employment(tb testing.TB, n int) string {
	tb.Helper()
	read := func(name string) [][]string {
		f, err := os.Open(testenv.Shared(tb, "data/employment-ma/"+name))
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		unpacked, err := gzip.NewReader(f)
		if err != nil {
			tb.Fatal(err)
		}
		r := csv.NewReader(unpacked)
		var rows [][]string
		for range n + 1 {
			row, err := r.Read()
			if err != nil {
				tb.Fatal(err)
			}
			rows = append(rows, row)
		}
		return rows
	}
	predictions, targets := read("predictions.csv.gz"), read("targets.csv.gz")
	path := filepath.Join(tb.TempDir(), "employment.csv")
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := csv.NewWriter(f)
	at := slices.Index(targets[0], "employed")
	for i := range predictions {
		if err := w.Write(append(predictions[i], targets[i][at])); err != nil {
			tb.Fatal(err)
		}
	}
	if w.Flush(); w.Error() != nil {
		tb.Fatal(w.Error())
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
	return path
}

func held(tb testing.TB, o analyze.Options, g analyze.Gate) map[string]analyze.Check {
	tb.Helper()
	if err := g.Validate(); err != nil {
		tb.Fatal(err)
	}
	r, err := analyze.Analyze(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	checks, err := g.Check(tb.Context(), o, r)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string]analyze.Check{}
	for _, c := range checks {
		out[c.Name] = c
	}
	return out
}

// The numbers are those of the vectors employment-0 of classification.jsonl and employment-SEX of fairness.jsonl: accuracy and ROC AUC of the
// first 500 rows; of 12,000 rows the accuracies of the sexes differ by 0.0415, beyond chance, and their selection rates by 0.0014, which chance explains.
func TestGateOnEmployment(t *testing.T) {
	path := employment(t, 500)
	o := analyze.Options{Reference: path, Current: path, Map: map[string]string{"prediction.score": "predicted_probability", "prediction.label": "prediction", "label": "employed"}}
	got := held(t, o, analyze.Gate{Quality: map[string]analyze.Bound{"accuracy": analyze.Min(0.81), "roc_auc": analyze.Min(0.9)}})
	for name, want := range map[string]struct {
		value float64
		kept  bool
	}{"quality.accuracy": {0.812, true}, "quality.roc_auc": {0.8916917771797805, false}} {
		if c := got[name]; c.Value == nil || math.Abs(*c.Value-want.value) > 1e-12 || c.Kept != want.kept {
			t.Errorf("%s: %s, kept %v; want %v, kept %v", name, c, c.Kept, want.value, want.kept)
		}
	}
	o.Reference = employment(t, 12_000)
	o.Current = o.Reference
	got = held(t, o, analyze.Gate{Fairness: analyze.Fairness{By: "SEX", Metrics: map[string]analyze.Bound{
		"accuracy_difference": analyze.Max(0.02), "demographic_parity_difference": analyze.Max(0), "demographic_parity_ratio": analyze.Min(1),
	}}})
	for name, kept := range map[string]bool{"accuracy_difference": false, "demographic_parity_difference": true, "demographic_parity_ratio": true} {
		if c := got["fairness."+name]; c.Value == nil || c.Kept != kept {
			t.Errorf("%s: kept %v, want %v", c, c.Kept, kept)
		}
	}
	if c := got["fairness.accuracy_difference"]; !strings.Contains(c.String(), "between 2 and 1; the value itself is 0.04151") {
		t.Errorf("%s; want the groups and the value", c)
	}
}

// What does not exist is not kept.
func TestGateOnWhatDoesNotExist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(path, []byte("x,prediction,label,g\n"+strings.Repeat("1,0.9,1,a\n2,0.2,1,a\n", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	o := analyze.Options{Reference: path, Current: path}
	got := held(t, o, analyze.Gate{
		NoDrift: []string{"y", "x"}, Statistics: map[string]map[string]analyze.Bound{"x": {"psi": analyze.Max(0.1), "nonsense": analyze.Max(1)}},
		Quality:  map[string]analyze.Bound{"accuracy": analyze.Min(0.5), "roc_auc": analyze.Min(0.5)},
		Fairness: analyze.Fairness{By: "g", Metrics: map[string]analyze.Bound{"demographic_parity_difference": analyze.Max(1)}},
	})
	for name, kept := range map[string]bool{
		"no_drift.y": false, "no_drift.x": true, "statistics.x.psi": true, "statistics.x.nonsense": false, "quality.accuracy": true, "quality.roc_auc": false,
		"fairness.demographic_parity_difference": false,
	} {
		if c, ok := got[name]; !ok || c.Kept != kept {
			t.Errorf("%s: %s; kept %v, want %v", name, c, c.Kept, kept)
		}
	}
	bare := filepath.Join(t.TempDir(), "bare.csv")
	if err := os.WriteFile(bare, []byte("x\n1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := analyze.Gate{Quality: map[string]analyze.Bound{"accuracy": analyze.Min(0.5)}}
	if _, err := g.Check(t.Context(), analyze.Options{Current: bare}, nil); err == nil || !strings.Contains(err.Error(), "--map prediction=COLUMN") {
		t.Errorf("rows without predictions: %v; want what to do", err)
	}
}

func TestBadGates(t *testing.T) {
	for what, g := range map[string]analyze.Gate{
		"nothing":            {},
		"an unknown metric":  {Quality: map[string]analyze.Bound{"nonsense": analyze.Min(1)}},
		"groups without by":  {Fairness: analyze.Fairness{Metrics: map[string]analyze.Bound{"accuracy_difference": analyze.Max(1)}}},
		"by without metrics": {Fairness: analyze.Fairness{By: "g"}},
		"a threshold":        {DriftShare: analyze.Max(1), Threshold: 2},
	} {
		if g.Validate() == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	for _, text := range []string{"", "0.8", "min", "min x", "max NaN", "most 1"} {
		if err := new(analyze.Bound).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is a bound", text)
		}
	}
}
