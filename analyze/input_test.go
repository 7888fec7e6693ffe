package analyze_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// Bad input gives a verdict with reasons, never a NaN and never a panic.
func TestOddInput(t *testing.T) {
	good := column() + repeat(500, func(i int) string { return fmt.Sprintln(i % 97) })
	categories := "x\n" + repeat(600, func(i int) string { return fmt.Sprintf("c%d\n", i%7) })
	tests := map[string]struct {
		ref, cur string
		verdict  result.Verdict
		reason   string // in a reason of the column
	}{
		"constants":             {column() + strings.Repeat("6\n", 500), column() + strings.Repeat("6\n", 400), result.Stable, "psi_debiased"},
		"constant, moved":       {column() + strings.Repeat("6\n", 500), column() + strings.Repeat("5\n", 400), result.Drift, "psi_debiased"},
		"one row":               {column(1), column(1), result.Insufficient, "the reference has 1 values"},
		"no current rows":       {good, column(), result.Insufficient, "has 0"},
		"no reference rows":     {column(), good, result.Insufficient, "the reference has no values"},
		"no rows at all":        {column(), column(), result.Insufficient, "the reference has no values"},
		"all missing":           {good, column() + strings.Repeat("\n", 500), result.Drift, "missing_rate"},
		"all missing on both":   {column() + strings.Repeat("\n", 500), column() + strings.Repeat("\n", 500), result.Insufficient, "the reference has no values"},
		"all infinite":          {good, column() + strings.Repeat("Infinity\n-inf\n", 250), result.Drift, "inf_rate"},
		"nothing but":           {column() + strings.Repeat("NaN\n", 500), good, result.Insufficient, "the reference has no values"},
		"huge":                  {column() + strings.Repeat("1e308\n-1e308\n", 250), column() + strings.Repeat("1e308\n-1e308\n1.7e308\n", 200), result.Drift, "psi_debiased"},
		"denormals":             {column() + repeat(500, func(i int) string { return fmt.Sprintln(5e-324 * float64(i%40)) }), good, result.Drift, "psi_debiased"},
		"too large for a float": {good, column() + strings.Repeat("1e999\n", 500), result.Drift, "invalid_rate"},
		"numbers become texts":  {good, column() + strings.Repeat("n/a\n", 500), result.Drift, "invalid_rate"},
		"texts become numbers":  {categories, good, result.Drift, "other_rate"},
		"unseen categories":     {categories, "x\n" + repeat(600, func(i int) string { return fmt.Sprintf("d%d\n", i%7) }), result.Drift, "other_rate"},
		"same categories":       {categories, categories, result.Stable, "psi_debiased"},
		"all different texts":   {"x\n" + repeat(600, func(i int) string { return fmt.Sprintf("id%d\n", i) }), "x\n" + repeat(600, func(i int) string { return fmt.Sprintf("new%d\n", i) }), result.Stable, "psi_debiased"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, convention := range []string{"default", "scipy"} {
				o := options(file(t, "ref.csv", tt.ref), file(t, "cur.csv", tt.cur))
				o.Convention = convention
				r := compare(t, o)
				whole(t, r)
				f := find(t, r, "x")
				if r.Verdict != tt.verdict || !strings.Contains(strings.Join(f.Reasons, "\n"), tt.reason) {
					t.Errorf("%s: verdict %s, reasons %q; want %s with %q", convention, r.Verdict, f.Reasons, tt.verdict, tt.reason)
				}
			}
		})
	}
}

// What cannot be read is an error that names the file, and the line where there is one.
func TestUnreadableInput(t *testing.T) {
	good := file(t, "good.csv", "x,y\n1,2\n")
	parquet, err := os.ReadFile(filepath.Join(testenv.Root(t), "rows", "testdata", "kinds.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	packed := zipped(t, strings.Repeat("x,y\n1,2\n", 100))
	tests := map[string]struct{ name, text, want string }{
		"ragged":           {"a.csv", "x,y\n1,2\n3\n", "a.csv:3: the row has another number of cells"},
		"open quote":       {"a.csv", "x,y\n1,\"2\n3,4\n", "a.csv:3: column"},
		"latin1":           {"a.csv", "x,y\n1,k\xe4se\n", `a.csv:2: column "y": not UTF-8`},
		"not JSON":         {"a.ndjson", "{\"x\":1}\n{\"x\":\n", "a.ndjson:2: malformed"},
		"bare NaN":         {"a.ndjson", `{"x":NaN}`, "a.ndjson:1: bare_nan"},
		"array":            {"a.json", `[{"x":1}]`, "write one object a line"},
		"flat after event": {"a.ndjson", `{"ts":1000,"features":{"x":1}}` + "\n" + `{"x":1}` + "\nnope", "a.ndjson:3: malformed"},
		"event after flat": {"a.ndjson", `{"x":1}` + "\n" + `{"features":{"x":1}}`, "a.ndjson:2: an event"},
		"cut Parquet":      {"a.parquet", string(parquet[:len(parquet)/2]), "a.parquet: not readable as Parquet; it may be cut off"},
		"cut zstd":         {"a.csv.zst", string(packed[:len(packed)-5]), "cut off or damaged"},
		"packed Parquet":   {"a.parquet.zst", string(zipped(t, string(parquet))), "unpack it"},
		"foreign reference": {
			"a.ref", reference.Magic + "\x07later", "a.ref: reading reference",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := file(t, tt.name, tt.text)
			_, err := analyze.Analyze(context.Background(), options(path, good))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), filepath.Dir(path)) {
				t.Errorf("err = %v, want one with the path and %q", err, tt.want)
			}
		})
	}
	if _, err := analyze.Analyze(context.Background(), options(good, filepath.Join(t.TempDir(), "none.csv"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}

// The formats say the same: the same rows give the same numbers.
func TestFormatsAgree(t *testing.T) {
	csv := "x,s\n" + repeat(300, func(i int) string { return fmt.Sprintf("%d.5,c%d\n", i%50, i%3) }) + ",\n"
	ndjson := repeat(300, func(i int) string { return fmt.Sprintf(`{"x":%d.5,"s":"c%d"}`+"\n", i%50, i%3) }) + `{"x":null}` + "\n"
	tsv := strings.ReplaceAll(csv, ",", "\t")
	var first []byte
	for _, path := range []string{
		file(t, "a.csv", csv), file(t, "a.tsv", tsv), file(t, "a.ndjson", ndjson), file(t, "a.csv.zst", string(zipped(t, csv))),
		file(t, "b.csv", "\xef\xbb\xbf"+strings.ReplaceAll(csv, "\n", "\r\n")),
	} {
		r := compare(t, options(path, file(t, "cur.csv", csv)))
		doc, err := json.Marshal(r.Features)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = doc
		}
		if !bytes.Equal(first, doc) {
			t.Errorf("%s gives other numbers", filepath.Base(path))
		}
	}
}

func FuzzAnalyze(f *testing.F) {
	f.Add("a.csv", "x,y\n1,a\n,b\n", "x,y\n2,a\n", true)
	f.Add("a.ndjson", `{"x":1e308,"y":[1]}`+"\n"+`{"x":"NaN"}`, `{"features":{"x":1}}`, false)
	f.Fuzz(func(t *testing.T, name, ref, cur string, scipy bool) {
		if strings.ContainsAny(name, "/\x00") || len(name) > 50 {
			return
		}
		o := options(file(t, "r"+name, ref), file(t, "c"+name, cur))
		if scipy {
			o.Convention = "scipy"
		}
		r, err := analyze.Analyze(context.Background(), o)
		if err != nil {
			if at := new(rows.Error); !errors.As(err, &at) && !errors.Is(err, reference.ErrNotReference) {
				t.Errorf("err = %#v", err)
			}
			return
		}
		whole(t, r)
	})
}
