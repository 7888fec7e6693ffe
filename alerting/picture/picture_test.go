package picture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting/picture"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

const hour = int64(3_600_000)

var key = result.Key{Model: "m", Version: "*", Segment: "*"}

// window writes the result of an hour, and returns its id.
func window(tb testing.TB, s *store.Store, i int64, change func(*result.Summary, *result.Feature)) string {
	tb.Helper()
	w := result.Window{Start: i * hour, End: (i + 1) * hour, Size: hour}
	ref := &result.ReferenceID{Name: "january", Fingerprint: "sha256:0a"}
	id := result.ID(key, w, w.Size, ref.Fingerprint, 0)
	f := result.Feature{
		Feature: "age", Role: result.RoleFeature, Kind: "numeric", Verdict: result.Stable, Reference: result.Side{Count: 100}, Current: result.Side{Count: 40, Missing: 10},
		Statistics: map[string]result.Stat{"psi_debiased": {Value: new(0.01 * float64(i))}, "missing_rate": {Value: new(0.2), Baseline: new(0.05)}},
		Bins:       []result.Bin{{Label: "≤ 1", Reference: 75, Current: 10}, {Label: "> 1", Reference: 25, Current: 30}},
		Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25}, Reasons: []string{},
	}
	sum := result.Summary{
		Schema: 1, Type: "summary", ResultID: id, Key: key, Window: w, Complete: true, Ref: ref, Features: 1, Parts: 1, Verdict: result.Stable, Reasons: []string{},
		Counts: result.Counts{Events: uint64(100 + i)}, Errors: uint64(i), DriftShare: new(0.5),
		Latency: result.Latency{
			Quantiles: map[string]*float64{"0.5": new(10.0), "0.95": new(30.0)}, Reference: map[string]*float64{"0.5": new(5.0), "0.95": new(12.0)},
			Ratio: map[string]result.Stat{"0.5": {Value: new(2.0)}, "0.95": {Value: new(2.5)}},
		},
	}
	if change != nil {
		change(&sum, &f)
	}
	doc := result.FeatureDoc{Schema: 1, Type: "features", ResultID: id, Key: key, Window: w, Ref: ref, Features: []result.Feature{f}}
	var docs []store.Document
	for name, v := range map[string]any{id: sum, id + ".0": doc} {
		data, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		docs = append(docs, store.Document{ID: name, Data: data})
	}
	if err := s.Write(tb.Context(), docs); err != nil {
		tb.Fatal(err)
	}
	return id
}

func open(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), filepath.Join(tb.TempDir(), "store.db"), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// about is the incident of window 3 of 5: what came later does not belong into its picture.
func about(id, kind, unit string, value, threshold float64) *result.Transition {
	return &result.Transition{
		ID: "t", Incident: "i", Kind: kind, Key: key, To: result.Firing, Window: result.Window{Start: 3 * hour, End: 4 * hour, Size: hour}, ResultID: id, Since: 2 * hour,
		Value: value, Threshold: threshold, Unit: unit, Title: "m: it drifts", Reasons: []string{"because"}, Reference: &result.ReferenceID{Name: "january", Fingerprint: "sha256:0a"},
	}
}

func points(values ...float64) []picture.Point {
	var out []picture.Point
	for i, v := range values {
		out = append(out, picture.Point{Time: int64(i)*hour + hour/2, Value: v})
	}
	return out
}

func TestGather(t *testing.T) {
	s := open(t)
	var id string
	for i := range int64(5) {
		if got := window(t, s, i, nil); i == 3 {
			id = got
		}
	}
	feature := func(kind, unit string, value, threshold float64) *result.Transition {
		tr := about(id, kind, unit, value, threshold)
		tr.Feature, tr.Role = "age", result.RoleFeature
		return tr
	}
	ages := picture.Bars{Name: "age", Unit: "share, %", Labels: []string{"≤ 1", "> 1", "missing"}, Reference: []float64{75, 25, 0}, Current: []float64{20, 60, 20}} // of 100 and of 50 events
	quantiles := picture.Bars{Name: "latency", Unit: "ms", Labels: []string{"p50", "p95"}, Reference: []float64{5, 12}, Current: []float64{10, 30}}
	line := func(name string, threshold, warning float64, values ...float64) picture.Line {
		return picture.Line{Name: name, Points: points(values...), Threshold: threshold, Warning: warning, Start: 3 * hour, End: 4 * hour, Since: 2 * hour}
	}
	for name, test := range map[string]struct {
		about *result.Transition
		bars  picture.Bars
		line  picture.Line
	}{
		"drift of a feature":   {feature("feature_drift", "psi_debiased", 0.03, 0.02), ages, line("psi_debiased of age", 0.02, 0.1, 0, 0.01, 0.02, 0.03)},
		"rise of a rate":       {feature("missing_values", "rise of missing_rate", 0.15, 0.02), ages, line("missing_rate of age", 0.07, 0, 0.2, 0.2, 0.2, 0.2)},
		"many features":        {feature("drift_share", "share of features", 0.5, 0.5), ages, line("psi_debiased of age", 0.25, 0.1, 0, 0.01, 0.02, 0.03)},
		"latency":              {about(id, "latency", "ratio to the reference", 2, 1.25), quantiles, line("latency p50, ratio to the reference", 1.25, 0, 2, 2, 2, 2)},
		"latency over a bound": {about(id, "latency_bound", "ms", 30, 20), quantiles, line("latency p95, ms", 20, 0, 30, 30, 30, 30)},
		"errors":               {about(id, "error_rate", "share of events", 0.1, 0.01), picture.Bars{}, line("failed, share of events", 0.01, 0, 0, 1.0/101, 2.0/102, 3.0/103)},
		"fewer events":         {about(id, "throughput_drop", "drop of the events", 1, 0.9), picture.Bars{}, line("events in a window", math.NaN(), 0, 100, 101, 102, 103)},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := picture.Gather(t.Context(), s, test.about)
			if err != nil {
				t.Fatal(err)
			}
			want := &picture.Chart{Title: "m: it drifts", Text: "because", Reference: "january", Bars: test.bars, Line: test.line}
			near := cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-12 })
			if diff := cmp.Diff(want, got, near); diff != "" {
				t.Errorf("chart (-want +got):\n%s", diff)
			}
			data, err := picture.Draw(t.Context(), s, test.about)
			if err != nil {
				t.Fatal(err)
			}
			readable(t, data)
		})
	}
	for name, tr := range map[string]*result.Transition{
		"of driftd itself": {ResultID: "", Kind: "driftd"}, "without a picture": about(id, "loss", "messages", 1, 1),
	} {
		if data, err := picture.Draw(t.Context(), s, tr); data != nil || err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	if _, err := picture.Draw(t.Context(), s, about(strings.Repeat("0b", 16), "latency", "", 1, 1)); !errors.Is(err, picture.ErrNotYet) {
		t.Errorf("a result that is not stored: %v", err)
	}
}

// judged writes the quality of an hour at a maturity, and returns its id.
func judged(tb testing.TB, s *store.Store, i, maturity int64) string {
	tb.Helper()
	w := result.Window{Start: i * hour, End: (i + 1) * hour, Size: hour}
	value := 0.9 - 0.1*float64(i) - float64(maturity)/float64(100*hour)
	q := result.Quality{
		Schema: 1, Type: "quality", ResultID: result.QualityID(key, w, w.Size, "", maturity), Key: key, Window: w, Maturity: maturity, Coverage: new(0.5),
		Metrics: []result.Metric{{Name: "accuracy", Value: &value}}, Reference: []result.Metric{{Name: "accuracy", Value: new(0.8)}},
		Estimate: &result.Estimate{Metrics: []result.Metric{{Name: "accuracy", Value: new(0.7)}}},
	}
	data, err := json.Marshal(q)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Write(tb.Context(), []store.Document{{ID: q.ResultID, Data: data}}); err != nil {
		tb.Fatal(err)
	}
	return q.ResultID
}

// An incident of quality shows its metric at the maturity at which windows were judged, against the bound or what of the reference's value is the bound.
func TestQualityPicture(t *testing.T) {
	s := open(t)
	ids := map[int64]string{}
	for i := range int64(5) {
		for _, maturity := range []int64{0, 2 * hour, 10 * hour} {
			if id := judged(t, s, i, maturity); i == 3 {
				ids[maturity] = id
			}
		}
	}
	quality := func(kind, unit string, maturity int64, threshold float64) *result.Transition {
		tr := about(ids[maturity], kind, unit, 0.5, threshold)
		tr.Metric, tr.Maturity = "accuracy", maturity
		return tr
	}
	for name, test := range map[string]struct {
		about     *result.Transition
		line      string
		threshold float64
		values    []float64
	}{
		"a bound":      {quality("quality", "accuracy", 2*hour, 0.65), "accuracy", 0.65, []float64{0.88, 0.78, 0.68, 0.58}},
		"a drop":       {quality("quality", "drop of accuracy", 10*hour, 0.1), "accuracy", 0.72, []float64{0.8, 0.7, 0.6, 0.5}},
		"an estimate":  {quality("quality", "accuracy", 0, 0.75), "accuracy, estimated without labels", 0.75, []float64{0.7, 0.7, 0.7, 0.7}},
		"the coverage": {quality("label_coverage", "label coverage", 2*hour, 0.6), "label coverage", 0.6, []float64{0.5, 0.5, 0.5, 0.5}},
	} {
		got, err := picture.Gather(t.Context(), s, test.about)
		if err != nil {
			t.Fatal(name, err)
		}
		near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
		want := picture.Line{Name: test.line, Points: points(test.values...), Threshold: test.threshold, Start: 3 * hour, End: 4 * hour, Since: 2 * hour}
		if diff := cmp.Diff(want, got.Line, near); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		data, err := picture.Draw(t.Context(), s, test.about)
		if err != nil {
			t.Fatal(name, err)
		}
		readable(t, data)
	}
	later := quality("quality", "accuracy", 2*hour, 0.65)
	later.ResultID = strings.Repeat("0b", 16)
	if _, err := picture.Gather(t.Context(), s, later); !errors.Is(err, picture.ErrNotYet) {
		t.Errorf("what is not stored: %v", err)
	}
}

// An incident of fairness shows its measure, of the dimension that it is about, at the maturity at which windows were judged.
func TestFairnessPicture(t *testing.T) {
	s := open(t)
	id := ""
	for i := range int64(5) {
		w := result.Window{Start: i * hour, End: (i + 1) * hour, Size: hour}
		for _, dimension := range []string{"age", "sex"} {
			for _, maturity := range []int64{0, 2 * hour} {
				value := 0.1 + 0.1*float64(i)
				if dimension == "age" || maturity == 0 {
					value = 0.9
				}
				f := result.Fairness{
					Schema: 1, Type: "fairness", ResultID: result.FairnessID(key, w, w.Size, "", maturity, dimension), Key: key, Window: w, Dimension: dimension,
					Maturity: maturity, Gaps: []result.FairnessGap{{Metric: result.AccuracyDifference, Value: &value}},
				}
				data, err := json.Marshal(f)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Write(t.Context(), []store.Document{{ID: f.ResultID, Data: data}}); err != nil {
					t.Fatal(err)
				}
				if i == 3 && dimension == "sex" && maturity > 0 {
					id = f.ResultID
				}
			}
		}
	}
	tr := about(id, "fairness", result.AccuracyDifference, 0.4, 0.25)
	tr.Metric, tr.Maturity = result.AccuracyDifference, 2*hour
	got, err := picture.Gather(t.Context(), s, tr)
	if err != nil {
		t.Fatal(err)
	}
	near := cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })
	want := picture.Line{Name: "accuracy_difference of sex", Points: points(0.1, 0.2, 0.3, 0.4), Threshold: 0.25, Start: 3 * hour, End: 4 * hour, Since: 2 * hour}
	if diff := cmp.Diff(want, got.Line, near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, err := picture.Draw(t.Context(), s, tr)
	if err != nil {
		t.Fatal(err)
	}
	readable(t, data)
}

// readable checks that a picture is one, of the size that is meant, small, and neither empty nor full.
func readable(t *testing.T, data []byte) {
	t.Helper()
	if len(data) > 200_000 {
		t.Errorf("%d bytes, want at most 200,000", len(data))
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	if b.Dx() != 1000 || b.Dy() != 440 {
		t.Errorf("%d × %d", b.Dx(), b.Dy())
	}
	const step = 5 // of pixels that are looked at, each way
	inked := 0
	for y := 0; y < b.Dy(); y += step {
		for x := 0; x < b.Dx(); x += step {
			if r, g, bl, _ := img.At(x, y).RGBA(); r != 0xffff || g != 0xffff || bl != 0xffff {
				inked++
			}
		}
	}
	if share := float64(inked*step*step) / float64(b.Dx()*b.Dy()); share < 0.02 || share > 0.8 {
		t.Errorf("%.1f %% of the picture is inked", 100*share)
	}
}

// Whatever the numbers and the names are, there is a picture.
func TestPictureOfAnything(t *testing.T) {
	nan := math.NaN()
	long := strings.Repeat("<!here> 😀 `x`\n", 100)
	for name, c := range map[string]picture.Chart{
		"nothing":       {},
		"one point":     {Line: picture.Line{Points: []picture.Point{{Time: 0, Value: 1}}, Start: 0, End: 1}},
		"gaps":          {Line: picture.Line{Points: []picture.Point{{0, nan}, {1, 1}, {2, nan}, {3, 2}, {4, nan}}, Start: 3, End: 4, Since: -5, Threshold: nan}},
		"infinite":      {Line: picture.Line{Points: []picture.Point{{0, math.Inf(1)}, {hour, -3}}, Start: 0, End: hour, Threshold: 1, Warning: 2}},
		"no values":     {Line: picture.Line{Name: "x", Start: 0, End: 100 * 365 * 24 * hour}},
		"long names":    {Title: long, Text: long, Reference: long, Line: picture.Line{Name: long, Start: 0, End: hour}},
		"an empty side": {Bars: picture.Bars{Labels: []string{long, "\xff"}, Reference: []float64{0, 0}, Current: []float64{0, 0}}, Line: picture.Line{Start: 0, End: hour}},
		"no length":     {Line: picture.Line{Points: []picture.Point{{5, 5}}, Start: 5, End: 5, Since: 5}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := c.PNG()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := png.Decode(bytes.NewReader(data)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Of many bins those are shown that moved most, in their order.
func TestManyBins(t *testing.T) {
	s := open(t)
	id := window(t, s, 3, func(_ *result.Summary, f *result.Feature) {
		f.Reference.Count, f.Current.Count, f.Current.Missing, f.Bins = 1000, 1000, 0, nil
		for i := range 100 {
			b := result.Bin{Label: fmt.Sprint("c", i), Reference: 10, Current: 10}
			if i%7 == 0 {
				b.Current = 20
			}
			f.Bins = append(f.Bins, b)
		}
	})
	tr := about(id, "feature_drift", "psi_debiased", 1, 1)
	tr.Feature, tr.Role = "age", result.RoleFeature
	c, err := picture.Gather(t.Context(), s, tr)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"c0", "c1", "c7", "c14", "c21", "c28", "c35", "c42", "c49", "c56", "c63", "c70", "c77", "c84", "c91", "c98"} // the multiples of 7, and the first of the others
	if diff := cmp.Diff(want, c.Bars.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
