package analyze_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/analyze"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// days writes rows of n days from a date on, every three minutes: a number whose mean is another one every day, and a category whose shares are.
func days(n int, from string, shift float64) string {
	start, err := time.Parse(time.DateOnly, from)
	if err != nil {
		panic(err)
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var b strings.Builder
	for d := range n {
		mean := shift + []float64{0, 0.9, -0.9, 0.5, -0.5}[d%5]
		for i := range 480 {
			at := start.AddDate(0, 0, d).Add(time.Duration(i) * 3 * time.Minute)
			c := "a"
			if random.Float64() < 0.5+0.2*mean {
				c = "b"
			}
			x := fmt.Sprint(mean + random.NormFloat64())
			if i%97 == 0 {
				x = "" // missing
			}
			fmt.Fprintf(&b, "%s,%s,%s\n", at.Format(time.RFC3339), x, c)
		}
	}
	return b.String()
}

const daysHeader = "ts,x,c\n"

// saved makes a reference of a file of rows, counted by panes of so many milliseconds.
func saved(t *testing.T, path string, pane int64) string {
	t.Helper()
	b := reference.NewBuilder(reference.Options{Name: "a", Source: "a.csv", Pane: pane})
	in, err := rows.Open(path, rows.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	for {
		e, err := in.Next()
		if err == io.EOF { //nolint:errorlint // it is not wrapped
			break
		}
		if err == nil {
			err = b.Add(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return file(t, "a.ref", string(r.Encode()))
}

// Rows with times and the reference that was saved of them teach the same thresholds: those of whole days, whether the length of the window is
// said or follows from the times. A row without a time and the hours of a day that is not whole are in no chunk.
func TestThresholdsLearnFromRows(t *testing.T) {
	ref := file(t, "a.csv", daysHeader+days(20, "2026-03-01", 0)+"2026-03-21T00:00:00Z,50,z\n,60,z\n")
	cur := file(t, "cur.csv", daysHeader+days(1, "2026-04-01", 0.9))
	frozen := saved(t, ref, reference.DefaultPane)
	fixed := options(ref, cur)
	fixed.Config.Threshold = detectors.ThresholdFixed
	before := compare(t, fixed)
	if f := find(t, before, "x"); f.Verdict != result.Drift || f.Thresholds.Auto != "" {
		t.Fatalf("with fixed thresholds %s, %q; the test needs a day that drifts", f.Verdict, f.Thresholds.Auto)
	}
	for _, name := range []string{"x", "c"} {
		for _, path := range []string{ref, frozen} {
			for _, window := range []int64{0, 24 * 60 * 60 * 1000} {
				o := options(path, cur)
				o.Window = window
				r := compare(t, o)
				whole(t, r)
				got, want := find(t, r, name).Thresholds, find(t, compare(t, options(ref, cur)), name).Thresholds
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: thresholds of another source differ (-rows +got):\n%s", name, diff)
				}
				if !strings.HasPrefix(got.Auto, "20 chunks of the reference reach") || !(got.Warning > 0.1) {
					t.Errorf("%s: warning %v, %q; want them raised by 20 chunks", name, got.Warning, got.Auto)
				}
				if v := find(t, r, name).Verdict; v != result.Stable {
					t.Errorf("%s: a day like those of the reference is %s", name, v)
				}
				told := strings.Contains(strings.Join(r.Notes, "\n"), "stretches of the reference of 24h, ")
				if told != (window == 0) {
					t.Errorf("window %d: notes %q", window, r.Notes)
				}
			}
		}
	}
}

// Where thresholds cannot learn, the configured ones stay, and the result says why.
func TestThresholdsThatCannotLearn(t *testing.T) {
	month, day := daysHeader+days(20, "2026-03-01", 0), daysHeader+days(1, "2026-04-01", 0)
	const hour = int64(60 * 60 * 1000)
	timeless := func(s string) string { return strings.ReplaceAll(strings.Replace(s, "ts,", "at,", 1), "T", " T") }
	for _, tt := range []struct {
		name, ref, cur string
		window, pane   int64 // pane 0: the rows themselves
		reason         string
	}{
		{"no times in the reference", timeless(month), day, 24 * hour, 0, "the reference's rows have no times"},
		{"a saved reference without panes", timeless(month), day, 24 * hour, hour, "the reference's rows have no times"},
		{"no times in the window", month, timeless(day), 0, 0, "the length of the window is not known: the current rows have no times"},
		{"a time that is none", month + "soon,1,a\n", day, 0, 0, "row 9601: the time \"soon\" cannot be read"},
		{"few chunks", month, day, 24 * 7 * hour, 0, "the reference has 2 chunks of the window's length, and needs 10"},
		{"few saved chunks", month, day, 24 * 7 * hour, hour, "the reference has 2 chunks of the window's length, and needs 10"},
		{"longer panes", month, day, 30 * 60 * 1000, hour, "the reference is counted by panes of 3600 s, which do not divide the window"},
		{"too many chunks", month, day, 1, 0, "the counts of 9600 chunks of the window's length do not fit in 64 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(file(t, "a.csv", tt.ref), file(t, "b.csv", tt.cur))
			if tt.pane > 0 {
				o.Reference = saved(t, o.Reference, tt.pane)
			}
			o.Window = tt.window
			r := compare(t, o)
			if f := find(t, r, "x"); f.Thresholds.Warning != 0.1 || !strings.Contains(f.Thresholds.Auto, "auto is off: ") || !strings.Contains(f.Thresholds.Auto, tt.reason) {
				t.Errorf("warning %v, %q; want 0.1 and %q", f.Thresholds.Warning, f.Thresholds.Auto, tt.reason)
			}
		})
	}
}

// The segments of an analysis are judged by the configured thresholds: the reference's chunks are those of all rows.
func TestSegmentsDoNotLearn(t *testing.T) {
	o := options(file(t, "a.csv", daysHeader+days(20, "2026-03-01", 0)), file(t, "b.csv", daysHeader+days(1, "2026-04-01", 0)))
	o.SegmentBy = "c"
	r := compare(t, o)
	if f := find(t, r, "x"); !strings.HasPrefix(f.Thresholds.Auto, "20 chunks") {
		t.Errorf("all rows: %q", f.Thresholds.Auto)
	}
	var f analyze.Feature
	for _, f = range r.Segments[0].Features {
		if f.Feature.Feature == "x" && (f.Thresholds.Warning != 0.1 || !strings.Contains(f.Thresholds.Auto, "segments are judged by the configured thresholds")) {
			t.Errorf("a segment: %v, %q", f.Thresholds.Warning, f.Thresholds.Auto)
		}
	}
}
