package detectors_test

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Tolerances of vectors/README.md, section 1.
const (
	statRel, statAbs = 1e-9, 1e-12
	rootAbs          = 2e-8 // js near 0 is the root of a difference
	pRel, pAbs       = 1e-6, 1e-12
	pTiny            = 1e-280 // two p-values below count as equal
)

// input is one side of a vector: an array, or a column of a data set.
type input struct {
	values []*string // nil is missing
}

func (in *input) UnmarshalJSON(data []byte) error {
	var column struct {
		File   string            `json:"file"`
		Column string            `json:"column"`
		Where  map[string]string `json:"where"`
		Rows   []int             `json:"rows"`
	}
	if len(data) > 0 && data[0] == '{' {
		if err := json.Unmarshal(data, &column); err != nil {
			return err
		}
		all, err := readColumn(column.File, column.Column, column.Where)
		if err != nil {
			return err
		}
		if column.Rows != nil {
			all = all[column.Rows[0]:column.Rows[1]]
		}
		in.values = all
		return nil
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	for _, r := range raw {
		switch s := string(r); {
		case s == "null":
			in.values = append(in.values, nil)
		case s[0] == '"':
			var text string
			if err := json.Unmarshal(r, &text); err != nil {
				return err
			}
			in.values = append(in.values, &text)
		default:
			in.values = append(in.values, &s)
		}
	}
	return nil
}

// sharedRoot is the folder that holds data/ and vectors/; set by the test that reads them.
var sharedRoot string

var files = map[string][][]string{} // rows by file, header first

func readColumn(file, column string, where map[string]string) ([]*string, error) {
	rows, ok := files[file]
	if !ok {
		f, err := os.Open(sharedRoot + "/" + file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		if rows, err = csv.NewReader(z).ReadAll(); err != nil {
			return nil, err
		}
		files[file] = rows
	}
	at := slices.Index(rows[0], column)
	if at < 0 {
		return nil, fmt.Errorf("%s has no column %q", file, column)
	}
	var out []*string
next:
	for _, row := range rows[1:] {
		for name, want := range where {
			if row[slices.Index(rows[0], name)] != want {
				continue next
			}
		}
		if row[at] == "" {
			out = append(out, nil)
		} else {
			out = append(out, &row[at])
		}
	}
	return out, nil
}

// numbers returns the finite values of an input, and adds all of them to counts.
func (in input) numbers(t *testing.T) []float64 {
	t.Helper()
	out := make([]float64, 0, len(in.values))
	for _, v := range in.values {
		if v == nil {
			out = append(out, math.NaN())
			continue
		}
		x, err := strconv.ParseFloat(*v, 64) // reads NaN and ±Infinity as well
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

func finite(values []float64) []float64 {
	return slices.DeleteFunc(slices.Clone(values), func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) })
}

type expectedStat struct {
	Stat float64 `json:"stat"`
	P    float64 `json:"p"`
}

type vector struct {
	Name      string `json:"name"`
	Reference input  `json:"reference"`
	Current   input  `json:"current"`
	Stats     struct {
		NRef       uint64 `json:"n_ref"`
		NCur       uint64 `json:"n_cur"`
		MissingCur uint64 `json:"n_missing_cur"`
		InfCur     uint64 `json:"n_inf_cur"`

		PSI      *float64      `json:"psi_quantile10_eps1e-4"`
		PSISplit *float64      `json:"psi_quantile10_split_eps1e-4"`
		KL       *float64      `json:"kl_cur_ref_quantile10_eps1e-4"`
		KLRev    *float64      `json:"kl_ref_cur_quantile10_eps1e-4"`
		JS       *float64      `json:"js_distance_base2_quantile10"`
		Chi2     *expectedStat `json:"chi2_quantile10"`
		Bins     *struct {
			Ref  []uint64 `json:"ref_counts"`
			Cur  []uint64 `json:"cur_counts"`
			Skip bool     `json:"ulp_sensitive"`
		} `json:"bins_quantile10"`
		KS *struct {
			D          float64  `json:"d"`
			Exact      *float64 `json:"p_exact"`
			Asymptotic *float64 `json:"p_scipy_asymp"`
			Auto       *float64 `json:"p_scipy_auto"`
		} `json:"ks"`

		CatPSI   *float64      `json:"psi_eps1e-4"`
		CatKL    *float64      `json:"kl_cur_ref_eps1e-4"`
		CatKLRev *float64      `json:"kl_ref_cur_eps1e-4"`
		CatJS    *float64      `json:"js_distance_base2"`
		CatChi2  *expectedStat `json:"chi2"`
	} `json:"stats"`
}

func eachVector(t *testing.T, file string, check func(t *testing.T, v *vector)) {
	t.Helper()
	testenv.Shared(t, "data")
	sharedRoot = testenv.Shared(t)
	f, err := os.Open(testenv.Shared(t, "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		t.Run(v.Name, func(t *testing.T) { check(t, &v) })
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// vectorConfig is the convention of the vectors.
func vectorConfig(bins string) detectors.Config {
	c := detectors.Default()
	c.Bins, c.Smoothing, c.Epsilon, c.ChiSquareMinExpected = bins, detectors.SmoothingFloor, 1e-4, 0
	c.Convention = detectors.ConventionSciPy
	return c
}

func checkValue(t *testing.T, what string, got result.Stat, want *float64, abs float64) {
	t.Helper()
	switch {
	case want == nil && got.Value != nil:
		t.Errorf("%s = %v, want null", what, *got.Value)
	case want == nil && got.Reason == "":
		t.Errorf("%s is null without a reason", what)
	case want != nil && got.Value == nil:
		t.Errorf("%s is null (%s), want %v", what, got.Reason, *want)
	case want != nil && math.Abs(*got.Value-*want) > max(abs, statRel*math.Abs(*want)):
		t.Errorf("%s = %.17g, want %.17g", what, *got.Value, *want)
	}
}

func checkP(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	switch {
	case got == nil:
		t.Errorf("%s is null, want %v", what, want)
	case *got >= 0 && *got < pTiny && want < pTiny:
	case math.Abs(*got-want) > max(pAbs, pRel*math.Abs(want)):
		t.Errorf("%s = %.17g, want %.17g", what, *got, want)
	}
}

func checkStatistic(t *testing.T, what string, got result.Stat, want *expectedStat) {
	t.Helper()
	if want == nil {
		checkValue(t, what, got, nil, statAbs)
		return
	}
	checkValue(t, what, got, &want.Stat, statAbs)
	checkP(t, what+" p", got.PValue, want.P)
}

// Expected values: SciPy 1.10.1 on the raw values, by ../shared/vectors/drift_numeric.jsonl. Ours go through cells.
func TestNumericVectors(t *testing.T) {
	eachVector(t, "drift_numeric.jsonl", func(t *testing.T, v *vector) {
		ref, cur := v.Reference.numbers(t), v.Current.numbers(t)
		f := detectortest.Numeric(t, finite(ref), len(ref)+1)
		c := cells.NewCounts(f.Space)
		detectortest.AddNumbers(c, cur)
		if c.N() != v.Stats.NCur || c.Missing != v.Stats.MissingCur || c.Inf != v.Stats.InfCur || f.Counts.N() != v.Stats.NRef {
			t.Fatalf("counted %d, %d missing, %d infinite, %d in the reference", c.N(), c.Missing, c.Inf, f.Counts.N())
		}
		merged := detectors.Evaluate(f, c, vectorConfig(detectors.BinsQuantile10))
		split := detectors.Evaluate(f, c, vectorConfig(detectors.BinsQuantile10Split))
		checkTable(t, v, f, merged, split)

		ks := merged.Statistics["ks"]
		if v.Stats.KS == nil {
			checkValue(t, "ks", ks, nil, statAbs)
			return
		}
		checkValue(t, "ks", ks, &v.Stats.KS.D, statAbs)
		if ks.Upper == nil || *ks.Upper != *ks.Value || *ks.Lower != *ks.Value {
			t.Errorf("every reference value is a cut point, but ks lies in [%v, %v]", ks.Lower, ks.Upper)
		}
		checkP(t, "ks p, scipy", ks.PValue, *v.Stats.KS.Auto)
		want := v.Stats.KS.Asymptotic // the default convention
		if v.Stats.NRef*v.Stats.NCur <= 10000 {
			want = v.Stats.KS.Exact
		}
		checkP(t, "ks p", detectors.Evaluate(f, c, detectors.Default()).Statistics["ks"].PValue, *want)
	})
}

// checkTable compares the table of bins and what is computed from it, in the merged and the split form.
func checkTable(t *testing.T, v *vector, f *reference.Feature, merged, split result.Feature) {
	t.Helper()
	if v.Stats.Bins == nil || v.Stats.Bins.Skip {
		return
	}
	var wantRef, wantCur, gotRef, gotCur []uint64
	for i := range v.Stats.Bins.Ref {
		if v.Stats.Bins.Ref[i]+v.Stats.Bins.Cur[i] > 0 { // ours are without the bins that are empty on both sides
			wantRef, wantCur = append(wantRef, v.Stats.Bins.Ref[i]), append(wantCur, v.Stats.Bins.Cur[i])
		}
	}
	for _, b := range merged.Bins {
		gotRef, gotCur = append(gotRef, b.Reference), append(gotCur, b.Current)
	}
	if !slices.Equal(gotRef, wantRef) || !slices.Equal(gotCur, wantCur) {
		t.Errorf("bins %v of deciles %v, want %v and %v", merged.Bins, f.Deciles, wantRef, wantCur)
	}
	checkValue(t, "psi", merged.Statistics["psi"], v.Stats.PSI, statAbs)
	checkValue(t, "psi, split", split.Statistics["psi"], v.Stats.PSISplit, statAbs)
	checkValue(t, "kl", merged.Statistics["kl"], v.Stats.KL, statAbs)
	checkValue(t, "kl_reverse", merged.Statistics["kl_reverse"], v.Stats.KLRev, statAbs)
	checkValue(t, "js", merged.Statistics["js"], v.Stats.JS, rootAbs)
	checkStatistic(t, "chi2", merged.Statistics["chi2"], v.Stats.Chi2)
}

// Expected values: SciPy 1.10.1, by ../shared/vectors/drift_categorical.jsonl. The vectors compare over the union of both samples'
// categories, so all of them are tracked here.
func TestCategoricalVectors(t *testing.T) {
	eachVector(t, "drift_categorical.jsonl", func(t *testing.T, v *vector) {
		texts := func(in input) (values []string, missing uint64) {
			for _, s := range in.values {
				if s == nil {
					missing++
				} else {
					values = append(values, *s)
				}
			}
			return values, missing
		}
		ref, _ := texts(v.Reference)
		cur, missing := texts(v.Current)
		union := slices.Concat(ref, cur)
		slices.Sort(union)
		f := detectortest.Categorical(t, slices.Compact(union), ref)
		c := cells.NewCounts(f.Space)
		detectortest.AddCategories(c, cur)
		if c.N() != v.Stats.NCur || missing != v.Stats.MissingCur || f.Counts.N() != v.Stats.NRef {
			t.Fatalf("counted %d, %d missing, %d in the reference", c.N(), missing, f.Counts.N())
		}
		got := detectors.Evaluate(f, c, vectorConfig(detectors.BinsAuto)).Statistics
		checkValue(t, "psi", got["psi"], v.Stats.CatPSI, statAbs)
		checkValue(t, "kl", got["kl"], v.Stats.CatKL, statAbs)
		checkValue(t, "kl_reverse", got["kl_reverse"], v.Stats.CatKLRev, statAbs)
		checkValue(t, "js", got["js"], v.Stats.CatJS, rootAbs)
		checkStatistic(t, "chi2", got["chi2"], v.Stats.CatChi2)
		if _, ok := got["ks"]; ok {
			t.Error("a categorical feature has a ks")
		}
	})
}
