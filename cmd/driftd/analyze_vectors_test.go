package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// goldenVector is one line of the shared vectors, see their README.
type goldenVector struct {
	Name      string          `json:"name"`
	Reference json.RawMessage `json:"reference"`
	Current   json.RawMessage `json:"current"`
	Stats     map[string]any  `json:"stats"`
}

// analyzed is what the test reads of the JSON document.
type analyzed struct {
	Reference, Current struct{ Rows int }
	Features           []struct {
		Feature            string
		Kind               string
		Reference, Current map[string]any
		Statistics         map[string]struct {
			Value  *float64
			PValue *float64 `json:"p_value"`
		}
		Bins []struct {
			Label              string
			Reference, Current float64
		}
	}
}

// Every golden vector of drift passes through the public command, written as CSV and as NDJSON, with the tolerances of the
// vectors' README.
func TestAnalyzeGoldenVectors(t *testing.T) {
	for _, kind := range []string{"numeric", "categorical"} {
		for _, format := range []string{"csv", "ndjson"} {
			t.Run(kind+" "+format, func(t *testing.T) {
				vectors := readVectors(t, "drift_"+kind+".jsonl")
				passed, keys := 0, 0
				for i, v := range vectors {
					if testing.Short() && i%8 != 0 { // the race detector needs the paths, not the numbers
						continue
					}
					ok := t.Run(v.Name, func(t *testing.T) { keys += checkVector(t, v, kind, format) })
					if ok {
						passed++
					}
				}
				t.Logf("%d of %d vectors pass, %d numbers compared", passed, len(vectors), keys)
				if want := map[string]int{"numeric": 96, "categorical": 37}[kind]; len(vectors) != want {
					t.Errorf("%d vectors, want %d", len(vectors), want)
				}
			})
		}
	}
}

func readVectors(t *testing.T, name string) []goldenVector {
	t.Helper()
	f, err := os.Open(testenv.Shared(t, "vectors", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []goldenVector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var v goldenVector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return all
}

// vectorInput returns the values of an input: nil, a float64 (with NaN and infinities) or a string.
func vectorInput(t *testing.T, raw json.RawMessage, kind string) []any {
	t.Helper()
	var in []any
	if raw[0] == '{' {
		in = vectorColumn(t, raw)
	} else if err := json.Unmarshal(raw, &in); err != nil {
		t.Fatal(err)
	}
	for i, v := range in {
		s, text := v.(string)
		if !text || kind == "categorical" {
			continue
		}
		x, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		in[i] = x
	}
	return in
}

// vectorColumn reads a part of a column of a shared data set.
func vectorColumn(t *testing.T, raw json.RawMessage) []any {
	t.Helper()
	var from struct {
		File, Column string
		Where        map[string]string
		Rows         []int
	}
	if err := json.Unmarshal(raw, &from); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(testenv.Shared(t, from.File))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	var out []any
	for _, r := range records[1:] {
		keep := true
		for column, want := range from.Where {
			keep = keep && r[at[column]] == want
		}
		switch cell := r[at[from.Column]]; {
		case !keep:
		case cell == "":
			out = append(out, nil)
		default:
			out = append(out, cell)
		}
	}
	if from.Rows != nil {
		out = out[from.Rows[0]:from.Rows[1]]
	}
	return out
}

func writeVector(t *testing.T, path string, values []any) {
	t.Helper()
	var b bytes.Buffer
	flat := strings.HasSuffix(path, ".ndjson")
	if !flat {
		b.WriteString("x\n")
	}
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			if flat {
				b.WriteString(`{"x":null}`)
			}
		case float64:
			text := strconv.FormatFloat(v, 'g', -1, 64)
			text = strings.NewReplacer("+Inf", "Infinity", "-Inf", "-Infinity").Replace(text)
			switch {
			case flat && (math.IsNaN(v) || math.IsInf(v, 0)):
				fmt.Fprintf(&b, `{"x":%q}`, text)
			case flat:
				fmt.Fprintf(&b, `{"x":%s}`, text)
			default:
				b.WriteString(text)
			}
		case string:
			if flat {
				text, _ := json.Marshal(v)
				fmt.Fprintf(&b, `{"x":%s}`, text)
			} else {
				b.WriteString(`"` + strings.ReplaceAll(v, `"`, `""`) + `"`)
			}
		}
		b.WriteByte('\n')
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// runAnalyze runs the public command and reads its JSON.
func runAnalyze(t *testing.T, args ...string) analyzed {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), append([]string{"analyze", "--format", "json"}, args...), strings.NewReader(""), &stdout, &stderr, nil)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if text := stdout.String(); strings.Contains(text, "NaN") || strings.Contains(text, ": Inf") {
		t.Errorf("the document has a number that is none")
	}
	var got analyzed
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

var labelEdge = regexp.MustCompile(`, (.*)\]$`)

// checkVector compares every key of a vector, and returns how many numbers that were.
func checkVector(t *testing.T, v goldenVector, kind, format string) int {
	dir := t.TempDir()
	ref, cur := filepath.Join(dir, "reference."+format), filepath.Join(dir, "current."+format)
	writeVector(t, ref, vectorInput(t, v.Reference, kind))
	writeVector(t, cur, vectorInput(t, v.Current, kind))
	got := runAnalyze(t, "--reference", ref, "--current", cur, "--convention", "scipy", "--kind", "x="+kind)
	if len(got.Features) != 1 || got.Features[0].Feature != "x" || got.Features[0].Kind != kind {
		t.Fatalf("features %+v, want x, %s", got.Features, kind)
	}
	f := got.Features[0]
	c := comparer{t: t, compared: 0}
	statistic := func(name string) (value, p *float64) {
		s, ok := f.Statistics[name]
		if !ok {
			t.Errorf("there is no statistic %s", name)
		}
		return s.Value, s.PValue
	}
	list := func(x any, key string) []any {
		m, ok := x.(map[string]any)
		if !ok {
			return nil
		}
		l, _ := m[key].([]any)
		return l
	}
	part := func(x any, key string) any {
		if m, ok := x.(map[string]any); ok {
			return m[key]
		}
		return nil
	}
	empty := v.Stats["n_ref"] == 0.0 || v.Stats["n_cur"] == 0.0 // then the vectors have no bins, and driftd those of the other side
	for key, want := range v.Stats {
		key = strings.NewReplacer("_quantile10_eps1e-4", "", "_quantile10_split_eps1e-4", "_split", "_quantile10", "", "_eps1e-4", "").Replace(key)
		sensitive := part(v.Stats["bins_quantile10"], "ulp_sensitive") == true
		switch key {
		case "psi", "psi_split", "hellinger", "total_variation", "l_infinity":
			value, _ := statistic(key)
			least := 1e-12
			if key == "hellinger" {
				least = rootTolerance(want)
			}
			if !sensitive {
				c.number(key, value, want, 1e-9, least)
			}
		case "kl_cur_ref", "kl_ref_cur", "js_distance_base2":
			name := map[string]string{"kl_cur_ref": "kl", "kl_ref_cur": "kl_reverse", "js_distance_base2": "js"}[key]
			least := 1e-12
			if name == "js" {
				least = rootTolerance(want)
			}
			value, _ := statistic(name)
			if !sensitive {
				c.number(key, value, want, 1e-9, least)
			}
		case "chi2":
			value, p := statistic("chi2")
			if !sensitive {
				c.number("chi2", value, part(want, "stat"), 1e-9, 1e-12)
				c.probability("chi2 p", p, part(want, "p"))
			}
		case "ks":
			value, p := statistic("ks")
			c.number("ks", value, part(want, "d"), 1e-9, 1e-12)
			c.probability("ks p", p, part(want, "p_scipy_auto"))
		case "wasserstein", "wasserstein_over_ref_std", "energy":
			name := strings.Replace(key, "over_ref_std", "normed", 1)
			value, _ := statistic(name)
			least := 1e-12
			if v.Name == "denormals" && key != "wasserstein_over_ref_std" {
				least = 1e-300
			}
			c.number(name, value, want, 1e-9, least)
		case "cvm", "ad", "mwu", "welch_t":
			name := map[string]string{"cvm": "cramer_von_mises", "ad": "anderson_darling", "mwu": "mann_whitney", "welch_t": "welch_t"}[key]
			keys := map[string][2]string{"cvm": {"t", "p_asymp"}, "ad": {"stat", "p"}, "mwu": {"u_ref", "p_asymp"}, "welch_t": {"t", "p"}}[key]
			value, p := statistic(name)
			c.number(name, value, part(want, keys[0]), 1e-9, 1e-12)
			c.probability(name+" p", p, part(want, keys[1]))
		case "ref", "cur":
			side := f.Reference
			if key == "cur" {
				side = f.Current
			}
			for name, of := range map[string]string{"mean": "mean", "std": "std_sample", "min": "min", "max": "max"} {
				value, ok := side[name].(float64)
				got := &value
				if !ok {
					got = nil
				}
				c.number(key+" "+name, got, part(want, of), 1e-9, 1e-12)
			}
		case "n_ref", "n_cur", "n_missing_ref", "n_missing_cur", "n_inf_ref", "n_inf_cur":
			side := f.Reference
			if strings.HasSuffix(key, "_cur") {
				side = f.Current
			}
			of := "count"
			if strings.HasPrefix(key, "n_missing") {
				of = "missing"
			} else if strings.HasPrefix(key, "n_inf") {
				of = "inf"
			}
			c.exactly(key, side[of], want)
		case "bins":
			if empty {
				continue
			}
			refs, curs, edges := list(want, "ref_counts"), list(want, "cur_counts"), list(want, "edges")
			if len(f.Bins) != len(refs) {
				t.Errorf("%d bins, want %d", len(f.Bins), len(refs))
				continue
			}
			for i, b := range f.Bins {
				if !sensitive {
					c.exactly(fmt.Sprint("reference's bin ", i), b.Reference, refs[i])
					c.exactly(fmt.Sprint("current bin ", i), b.Current, curs[i])
				}
				if i < len(edges) {
					edge, err := strconv.ParseFloat(labelEdge.FindStringSubmatch(b.Label)[1], 64)
					if err != nil {
						t.Error(err)
					}
					c.number(fmt.Sprint("edge ", i), &edge, edges[i], 1e-12, 0)
				}
			}
		case "n_categories":
			if !empty {
				c.exactly(key, float64(len(f.Bins)), want)
			}
		case "n_unseen_in_ref", "n_vanished_in_cur", "unseen_in_ref", "vanished_in_cur":
			if empty {
				continue
			}
			var list []any
			for _, b := range f.Bins {
				if (strings.Contains(key, "unseen") && b.Reference == 0) || (strings.Contains(key, "vanished") && b.Current == 0) {
					list = append(list, b.Label)
				}
			}
			if strings.HasPrefix(key, "n_") {
				c.exactly(key, float64(len(list)), want)
				continue
			}
			c.exactly(key, fmt.Sprintf("%q", list[:min(50, len(list))]), fmt.Sprintf("%q", want))
		case "ties":
		default:
			t.Errorf("the vector has %q, which this test does not compare", key)
		}
	}
	return c.compared
}

// rootTolerance is the absolute tolerance of a root of a difference: wide near 0 only, where the difference has lost its digits.
func rootTolerance(want any) float64 {
	if w, ok := want.(float64); ok && w > 1e-3 {
		return 1e-12
	}
	return 2e-8
}

// comparer counts what it compares.
type comparer struct {
	t        *testing.T
	compared int
}

func (c *comparer) number(name string, got *float64, want any, relative, absolute float64) {
	c.t.Helper()
	c.compared++
	w, ok := want.(float64)
	switch {
	case !ok && got != nil:
		c.t.Errorf("%s = %v, want null", name, *got)
	case ok && got == nil:
		c.t.Errorf("%s is null, want %v", name, w)
	case ok && math.Abs(*got-w) > max(relative*math.Abs(w), absolute):
		c.t.Errorf("%s = %v, want %v", name, *got, w)
	}
}

func (c *comparer) probability(name string, got *float64, want any) {
	c.t.Helper()
	if w, ok := want.(float64); ok && got != nil && w < 1e-280 && *got < 1e-280 {
		c.compared++
		return
	}
	c.number(name, got, want, 1e-6, 1e-12)
}

func (c *comparer) exactly(name string, got, want any) {
	c.t.Helper()
	c.compared++
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("%s = %v, want %v", name, got, want)
	}
}
