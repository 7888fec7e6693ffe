package analyze_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// file writes a file and returns its path.
func file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func options(ref, cur string) analyze.Options {
	return analyze.Options{Reference: ref, Current: cur, Config: detectors.Default(), Kinds: map[string]string{}}
}

func compare(t testing.TB, o analyze.Options) *analyze.Report {
	t.Helper()
	r, err := analyze.Analyze(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(t testing.TB, r *analyze.Report, name string) analyze.Feature {
	t.Helper()
	for _, f := range r.Features {
		if f.Feature.Feature == name {
			return f
		}
	}
	t.Fatalf("there is no feature %q", name)
	return analyze.Feature{}
}

// column writes a CSV file of one numeric column.
func column(values ...any) string {
	var b strings.Builder
	b.WriteString("x\n")
	for _, v := range values {
		fmt.Fprintln(&b, v)
	}
	return b.String()
}

func repeat(n int, row func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(row(i))
	}
	return b.String()
}

// whole checks what holds for every report: its JSON fits the schema, and has no number that is none.
func whole(t testing.TB, r *analyze.Report) {
	t.Helper()
	var doc bytes.Buffer
	if err := r.WriteJSON(&doc); err != nil {
		t.Fatalf("a report that is no JSON: %v", err)
	}
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testenv.Root(t), "docs", "schema", "analyze.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(&doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("the document does not fit the schema: %v", err)
	}
	for _, f := range r.Features {
		for name, s := range f.Statistics {
			if (s.Value == nil || s.PValue == nil) && s.Reason == "" {
				t.Errorf("%s of %s is null without a reason", name, f.Feature.Feature)
			}
		}
	}
	for _, write := range []func(io.Writer) error{
		r.WriteHTML, func(w io.Writer) error { return r.WriteTable(w, true) }, func(w io.Writer) error { return r.WriteTable(w, false) },
	} {
		var page bytes.Buffer
		if err := write(&page); err != nil || strings.Contains(page.String(), "NaN") {
			t.Errorf("a page with NaN, or %v", err)
		}
	}
}

// The verdicts, statistics and bins are those that the daemon has: a reference frozen from the same rows, and the current
// rows counted over its cells. What the cells enclose contains what analyze says.
func TestJudgesAsTheDaemonDoes(t *testing.T) {
	data := testenv.Shared(t, "data", "wine-quality", "wine.csv.gz")
	for _, kinds := range []map[string]string{{}, {"quality": "categorical", "color": "ignore"}} {
		o := options(data, file(t, "cur.csv", wineRows(t, "red")))
		o.Kinds = kinds
		got := compare(t, o)
		whole(t, got)
		builder := reference.NewBuilder(reference.Options{Name: "wine", Source: "wine.csv.gz", Kinds: map[string]cells.Kind{}})
		if _, ok := kinds["quality"]; ok {
			builder = reference.NewBuilder(reference.Options{Name: "wine", Source: "wine.csv.gz", Kinds: map[string]cells.Kind{"quality": cells.Categorical}})
		}
		each(t, o.Reference, func(e *rows.Reader) error {
			ev, err := e.Next()
			if err == nil {
				err = builder.Add(ev)
			}
			return err
		})
		frozen, err := builder.Build()
		if err != nil {
			t.Fatal(err)
		}
		if len(kinds) == 0 && got.Reference.Fingerprint != frozen.Fingerprint() {
			t.Error("the fingerprint is not that of the reference created from the same rows")
		}
		var want []result.Feature
		for _, f := range got.Features {
			if f.Kind == analyze.KindIgnored {
				continue
			}
			r, ok := frozen.Find(f.Role, f.Feature.Feature)
			if !ok {
				t.Fatalf("the reference has no %s", f.Feature.Feature)
			}
			counts := cells.NewCounts(r.Space)
			each(t, o.Current, func(e *rows.Reader) error {
				ev, err := e.Next()
				if err != nil {
					return err
				}
				for _, v := range ev.Features {
					if string(v.Name) != r.Name {
						continue
					}
					if r.Space.Kind() == cells.Categorical {
						text, _ := v.AppendCategory(nil)
						counts.AddCategory(text)
					} else {
						counts.AddNumber(v.Num)
					}
				}
				return nil
			})
			want = append(want, detectors.Evaluate(r, counts, o.Config))
		}
		verdict, share, reasons := detectors.Judge(want, o.Config)
		if got.Verdict != verdict || *got.DriftShare != *share || cmp.Diff(reasons, got.Reasons) != "" {
			t.Errorf("verdict %s, %v, %q; the daemon's is %s, %v, %q", got.Verdict, *got.DriftShare, got.Reasons, verdict, *share, reasons)
		}
		for _, w := range want {
			f := find(t, got, w.Feature)
			if f.Verdict != w.Verdict || cmp.Diff(w.Bins, f.Bins) != "" || cmp.Diff(w.Reasons, f.Reasons) != "" {
				t.Errorf("%s: %s %q, the daemon says %s %q", w.Feature, f.Verdict, f.Reasons, w.Verdict, w.Reasons)
			}
			for name, s := range w.Statistics {
				g := f.Statistics[name]
				switch {
				case s.Lower != nil && (*g.Value < *s.Lower-1e-9*math.Abs(*s.Lower) || *g.Value > *s.Upper+1e-9*math.Abs(*s.Upper)):
					t.Errorf("%s of %s is %v, outside of the daemon's [%v, %v]", name, w.Feature, *g.Value, *s.Lower, *s.Upper)
				case s.Lower == nil && s.Value != nil && *s.Value != *g.Value && math.Abs(*s.Value-*g.Value) > 1e-6*math.Abs(*s.Value):
					t.Errorf("%s of %s is %v, the daemon's %v", name, w.Feature, *g.Value, *s.Value)
				}
			}
		}
	}
}

func wineRows(t *testing.T, color string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("")
	header := []string{}
	each(t, testenv.Shared(t, "data", "wine-quality", "wine.csv.gz"), func(r *rows.Reader) error {
		e, err := r.Next()
		if err != nil {
			return err
		}
		line, keep := make([]string, 0, len(e.Features)), false
		first := len(header) == 0
		for _, f := range e.Features {
			if first {
				header = append(header, string(f.Name))
			}
			keep = keep || string(f.Str) == color
			line = append(line, string(f.Str))
		}
		if first {
			b.WriteString(strings.Join(header, ",") + "\n")
		}
		if keep {
			b.WriteString(strings.Join(line, ",") + "\n")
		}
		return nil
	})
	return b.String()
}

func each(t *testing.T, path string, next func(*rows.Reader) error) {
	t.Helper()
	r, err := rows.Open(path, rows.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		if err := next(r); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// Every column of either file is listed, and every one that --kind names.
func TestColumns(t *testing.T) {
	ref := file(t, "ref.csv", "a,ts,b,p\n"+strings.Repeat("1,2026-11-22,x,0.5\n", 30))
	cur := file(t, "cur.ndjson", repeat(30, func(int) string { return `{"a":1,"c":true,"p":0.25,"n":{"m":2}}` + "\n" }))
	o := options(ref, cur)
	o.Map = map[string]string{"prediction": "p"}
	o.Kinds = map[string]string{"b": "ignore", "named": "categorical"}
	r := compare(t, o)
	whole(t, r)
	type line struct{ Name, Role, Kind string }
	var got []line
	for _, f := range r.Features {
		got = append(got, line{f.Feature.Feature, string(f.Role), f.Kind})
	}
	want := []line{
		{"a", "feature", "numeric"},
		{"ts", "feature", "ignore"},
		{"b", "feature", "ignore"},
		{"prediction", "prediction", "numeric"},
		{"c", "feature", "numeric"},
		{"n.m", "feature", "numeric"},
		{"named", "feature", "categorical"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if s := find(t, r, "named").Statistics["psi"]; s.Value != nil || s.Reason == "" {
		t.Errorf("psi of a column that is nowhere: %+v", s)
	}
	if s := find(t, r, "c").Reference; s.Missing != 30 || s.Count != 0 {
		t.Errorf("a column that the reference has not: %+v, want 30 missing", s)
	}
}

// NDJSON of events gives their features and predictions; labels are no rows.
func TestEvents(t *testing.T) {
	events := `{"model":"m","id":"1","ts":1000,"label":1}` + "\n" + repeat(40, func(i int) string {
		return fmt.Sprintf(`{"model":"m","id":"%d","ts":1000,"latency_ms":3,"prediction":0.5,"features":{"x":%d,"s":"a"}}`+"\n", i, i)
	})
	r := compare(t, options(file(t, "a.ndjson", events), file(t, "b.ndjson", events)))
	whole(t, r)
	if r.Reference.Rows != 40 || len(r.Features) != 3 {
		t.Errorf("%d rows, %d features; want 40 and prediction, x, s", r.Reference.Rows, len(r.Features))
	}
	if !strings.Contains(strings.Join(r.Notes, "\n"), "1 labels left out") {
		t.Errorf("notes %q", r.Notes)
	}
}

// A saved reference gives the verdict of its rows, and encloses their statistics.
func TestSavedReference(t *testing.T) {
	rowsFile := file(t, "train.csv", column()+repeat(5000, func(i int) string { return fmt.Sprintln(float64(i*i%7919) / 3) }))
	cur := file(t, "cur.csv", "x,extra\n"+repeat(1000, func(i int) string { return fmt.Sprintf("%v,1\n", float64(i*i%7001)/2) }))
	b := reference.NewBuilder(reference.Options{Name: "train", Source: "train.csv"})
	each(t, rowsFile, func(r *rows.Reader) error {
		e, err := r.Next()
		if err == nil {
			err = b.Add(e)
		}
		return err
	})
	frozen, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	saved := file(t, "train.ref", string(frozen.Encode()))
	byRows, bySaved := compare(t, options(rowsFile, cur)), compare(t, options(saved, cur))
	whole(t, bySaved)
	a, s := find(t, byRows, "x"), find(t, bySaved, "x")
	if a.Verdict != s.Verdict || cmp.Diff(a.Bins, s.Bins) != "" || byRows.Reference.Fingerprint != bySaved.Reference.Fingerprint {
		t.Errorf("by rows %s, by the saved reference %s, or other bins or fingerprints", a.Verdict, s.Verdict)
	}
	if k := s.Statistics["ks"]; *k.Lower > *a.Statistics["ks"].Value || *k.Upper < *a.Statistics["ks"].Value || *k.Lower == *k.Upper {
		t.Errorf("ks in [%v, %v] by the saved reference, %v by rows", *k.Lower, *k.Upper, *a.Statistics["ks"].Value)
	}
	if f := find(t, bySaved, "extra"); f.Kind != analyze.KindIgnored || f.Reasons[0] != "the reference has no such column" {
		t.Errorf("a column that the reference has not: %+v", f)
	}
	o := options(saved, cur)
	o.Convention = "scipy"
	if _, err := analyze.Analyze(context.Background(), o); !errors.As(err, new(*analyze.UsageError)) {
		t.Errorf("scipy with a saved reference: %v, want a usage error", err)
	}
}

// Segments are compared like with like.
func TestSegments(t *testing.T) {
	rowsOf := func(shift int) string {
		return "region,x\n" + repeat(2000, func(i int) string {
			if i%2 == 0 {
				return fmt.Sprintf("eu,%d\n", i%61)
			}
			return fmt.Sprintf("us,%d\n", i%61+shift)
		}) + ",3\n"
	}
	o := options(file(t, "a.csv", rowsOf(0)), file(t, "b.csv", rowsOf(40)))
	o.SegmentBy = "region"
	r := compare(t, o)
	whole(t, r)
	got := map[string]result.Verdict{}
	for _, s := range r.Segments {
		for _, f := range s.Features {
			if f.Feature.Feature == "x" {
				got[s.Segment] = f.Verdict
			}
		}
	}
	want := map[string]result.Verdict{"region=eu": result.Stable, "region=us": result.Drift, "region=(missing)": result.Insufficient}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	whole := compare(t, options(o.Reference, o.Current))
	if diff := cmp.Diff(find(t, whole, "x").Statistics, find(t, r, "x").Statistics); diff != "" {
		t.Errorf("segments change the whole:\n%s", diff)
	}
	o.SegmentBy = "nowhere"
	if _, err := analyze.Analyze(context.Background(), o); !errors.As(err, new(*analyze.UsageError)) {
		t.Errorf("no such column: %v, want a usage error", err)
	}
}

// Hostile names and values are text on the page, and harmless on a terminal.
func TestHostileNames(t *testing.T) {
	const evil = `<script>alert(1)</script>"><img src=x onerror=alert(1)>`
	text := `"` + strings.ReplaceAll(evil, `"`, `""`) + "\x1b[2J\",s\n" + repeat(100, func(i int) string { return fmt.Sprintf("%d,\"%s\"\n", i, strings.ReplaceAll(evil, `"`, `""`)) }) //nolint:gocritic // JSON written by hand, hostile names and all
	path := file(t, "a.csv", text)
	r := compare(t, options(path, path))
	var page, table bytes.Buffer
	if err := errors.Join(r.WriteHTML(&page), r.WriteTable(&table, false)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<img", "\x1b"} {
		if strings.Contains(page.String(), bad) && bad != "\x1b" || strings.Contains(table.String(), "\x1b") {
			t.Errorf("%q came through", bad)
		}
	}
	for _, link := range []string{"http://", "https://", "src=\"", "@import"} {
		if strings.Contains(page.String(), link) {
			t.Errorf("the page needs more than itself: %s", link)
		}
	}
}
