package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/internal/browsertest"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// duel is what a version did in window i.
type duel struct {
	version         string
	i               int
	events, errors  uint64
	p95             float64
	age, odd        []uint64 // bins
	accuracy, about float64  // of 100 labels, within ± about; 0: no labels
	reference       string
}

func (d duel) write(tb testing.TB, s *store.Store) {
	tb.Helper()
	key := result.Key{Model: "credit", Version: d.version, Segment: "*"}
	w := result.Window{Start: int64(d.i) * hour, End: int64(d.i+1) * hour, Size: hour}
	ref := &result.ReferenceID{Name: "jan", Fingerprint: d.reference}
	id := result.ID(key, w, hour, d.reference, 0)
	bins := func(counts []uint64) []result.Bin {
		out := make([]result.Bin, len(counts))
		for i, n := range counts {
			out[i] = result.Bin{Label: string(rune('a' + i)), Reference: 100, Current: n}
		}
		return out
	}
	feature := func(name string, counts []uint64) result.Feature {
		return result.Feature{ //nolint:exhaustruct // what the page shows
			Feature: name, Role: result.RoleFeature, Kind: "categorical", Verdict: result.Stable, Bins: bins(counts), Reasons: []string{}, Statistics: map[string]result.Stat{},
			Current: result.Side{Count: 100},
		}
	}
	docs := map[string]any{
		id: result.Summary{
			Schema: 1, Type: "summary", ResultID: id, Key: key, Window: w, Complete: true, Ref: ref, Counts: result.Counts{Events: d.events}, Errors: d.errors, Features: 2, Parts: 1,
			Verdict: result.Stable, DriftShare: new(0.0), Reasons: []string{}, Latency: result.Latency{Quantiles: map[string]*float64{"0.95": &d.p95}},
		},
		id + ".0": result.FeatureDoc{
			Schema: 1, Type: "features", ResultID: id, Key: key, Window: w, Ref: ref, Features: []result.Feature{feature("age", d.age), feature(odd, d.odd)},
		},
	}
	if d.accuracy > 0 {
		q := result.QualityID(key, w, hour, d.reference, hour)
		docs[q] = result.Quality{ //nolint:exhaustruct // what the page shows
			Schema: 1, Type: "quality", ResultID: q, Key: key, Window: w, Maturity: hour, Final: true, Ref: ref, Task: "multiclass", Mode: "full", Predictions: 125, Labels: 100, Coverage: new(0.8),
			Metrics: []result.Metric{
				{Name: "accuracy", N: 100, Value: &d.accuracy, Lower: new(d.accuracy - d.about), Upper: new(d.accuracy + d.about)},
				{Name: "macro_f1", N: 100, Value: new(0.5), Lower: new(0.25), Upper: new(0.75)},
				{Name: "recall", Class: script, N: 0, Reason: "no label is of the class"},
			},
		}
	}
	for name, doc := range docs {
		data, err := json.Marshal(doc)
		if err != nil {
			tb.Fatal(err)
		}
		if err := s.Write(tb.Context(), []store.Document{{ID: name, Data: data}}); err != nil {
			tb.Fatal(err)
		}
	}
}

// duels: versions 1 and <2> had events together in windows 1 and 2, and each alone before and after. Labels came for window 1 of both.
func duels(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), filepath.Join(tb.TempDir(), "results.db"), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Close() })
	same, moved := []uint64{10, 30, 60}, []uint64{30, 30, 40}
	for _, d := range []duel{
		{"*", 1, 300, 0, 10, same, same, 0, 0, "sha256:aa"},
		{"*", 2, 300, 0, 10, same, same, 0, 0, "sha256:aa"},
		{"1", 0, 1000, 9, 10, same, same, 0, 0, "sha256:aa"},
		{"1", 1, 30, 18, 20, same, same, 0.5, 0.1, "sha256:aa"},
		{"1", 2, 50, 30, 40, same, same, 0, 0, "sha256:aa"},
		{"<2>", 1, 40, 36, 30, moved, same, 0.7, 0.1, "sha256:aa"},
		{"<2>", 2, 30, 20, 50, same, moved, 0, 0, "sha256:aa"},
		{"<2>", 3, 7, 7, 60, moved, moved, 0, 0, "sha256:aa"},
		{"3", 5, 5, 0, 60, moved, moved, 0, 0, "sha256:bb"},
	} {
		d.write(tb, s)
	}
	return s
}

// By hand: errors of windows 1 and 2 are 48 of 80 and 56 of 70, of which R. G. Newcombe (1998, example a, method 10) has the interval 0.0524 to
// 0.3339. Accuracies 0.5 and 0.7 ± 0.1 differ by 0.2 ± √0.02. psi of (10, 30, 60) and (30, 30, 40) with pseudo-counts is 0.2913, less
// (3-1)(1/100+1/100).
func TestCompare(t *testing.T) {
	server := start(t, web.Options{Reader: duels(t)})
	r := get(t, server, "/models/credit/compare?a=1&b=%3C2%3E")
	for _, want := range []string{
		"Both had events in 2 of the windows shown", `<data id="events-a" value="80">80</data>`, `<data id="events-b" value="70">70</data>`, "<td class=\"n\">48</td><td class=\"n\">56</td>",
		"5.2\u202f% to 33.4\u202f%", `<data class="ratio" value="1.25">1.25</data>`, `0.2 <span class="dim">(0.05858 to 0.3414)</span> more than chance`,
		"no label is of the class", "coverage 80\u202f%", "B: &lt;2&gt;</a>",
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	isSafe(t, "compare", r.body)
	var rows []string
	for _, m := range regexp.MustCompile(`(?s)data-feature="([^"]*)".*?class="psi" value="([^"]*)">([^<]*)`).FindAllStringSubmatch(r.body, -1) {
		rows = append(rows, m[1][:3]+" "+m[3])
	}
	// In window 2 the odd one moved: the values of age are the same, so that chance is all that is taken off.
	if want := []string{"a/b 0.2513", "age -0.04"}; !slices.Equal(rows, want) {
		t.Errorf("features %q, want %q", rows, want)
	}
	var data struct {
		Start []int64 `json:"start_ms"`
		Names []string
		Sides []struct{ Events, Errors, P95, Value []*float64 }
	}
	dataBlock(t, r.body, &data)
	got := encoded(t, []any{data.Start, data.Names, data.Sides[0].Events, data.Sides[1].Events, data.Sides[1].Errors, data.Sides[0].P95, data.Sides[1].Value})
	if want := `[[0,3600000,7200000,10800000],["1","\u003c2\u003e"],[1000,30,50,null],[null,40,30,7],[null,90,66.66666666666667,100],[10,20,40,null],[null,0.5,null,null]]`; got != want {
		t.Errorf("drawn is %s, want %s", got, want)
	}
}

// Without names the two versions that had windows last are taken; without a window in common the page says so, and says why features of different
// references are not compared.
func TestCompareWithoutCommonWindows(t *testing.T) {
	server := start(t, web.Options{Reader: duels(t)})
	r := get(t, server, "/models/credit/compare")
	for _, want := range []string{"credit: 3 and &lt;2&gt;", "In no window that is shown did both have events", "judged against different references", "1970-01-01T05:00Z", "1970-01-01T03:00Z"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(r.body, "5.2") || strings.Contains(r.body, "quality-title") {
		t.Error("different windows are compared as if they were one")
	}
	if page := get(t, server, "/models/credit"); !strings.Contains(page.body, `href="/models/credit/compare?size=1h"`) {
		t.Error("the page of the model does not lead to it")
	}
	for query, want := range map[string]int{"?a=1&b=1": http.StatusBadRequest, "?a=1&b=9": http.StatusNotFound, "?a=1&b=3&segment=x%3Dy": http.StatusNotFound, "?version=1": http.StatusBadRequest} {
		if r := get(t, server, "/models/credit/compare"+query); r.status != want {
			t.Errorf("%s: %d, want %d", query, r.status, want)
		}
	}
	if r := get(t, start(t, web.Options{}), "/models/credit/compare"); r.status != http.StatusBadRequest || !strings.Contains(r.body, "two versions") {
		t.Errorf("a model without versions: %d", r.status)
	}
}

// The page of a model tells the newest verdict of each comparison with its reasons, and leads to both versions.
func TestVerdictsOnThePage(t *testing.T) {
	s := filled(t)
	for _, d := range []historytest.Document{historytest.Verdict(t, "canary<x>", 0, 1, 0), historytest.Verdict(t, "canary<x>", 1, 2, 0)} {
		if err := s.Write(t.Context(), []store.Document{{ID: d.ID, Data: d.Data}}); err != nil {
			t.Fatal(err)
		}
	}
	page := get(t, start(t, web.Options{Reader: s}), "/models/credit").body
	for _, want := range []string{
		`<strong>promote</strong> <a href="/models/credit/compare?a=1&amp;b=2&amp;size=1h">canary&lt;x&gt;: 2 against 1</a>`, "2 windows</span>", "<li>error_rate: not worse</li>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if n := strings.Count(page, "data-compare="); n != 1 {
		t.Errorf("%d verdicts are shown, want the newest", n)
	}
	isSafe(t, "verdicts", page)
}

// The charts of both are drawn, and another version is another address.
func TestCompareInTheBrowser(t *testing.T) {
	b := browsertest.New(t)
	server := start(t, web.Options{Reader: duels(t)})
	b.Open("http://" + server.Addr() + "/models/credit/compare?a=1&b=" + url.QueryEscape("<2>"))
	b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 4`)
	if labels := b.Texts("[data-chart=compare_value] .u-label"); strings.Join(labels, " ") != "window 1 to from <2> to from" {
		t.Errorf("lines of quality: %q", labels)
	}
	b.Clean("two versions")
	b.Eval(`document.querySelector("select[name=b]").value = "3"; document.querySelector("select[name=b]").dispatchEvent(new Event("change", {bubbles: true})); true`, new(bool))
	b.Until("the other version is shown", `document.querySelector("h1")?.textContent === "credit: 1 and 3" && document.querySelectorAll("[data-chart] canvas").length === 3`)
	b.Clean("two other versions")
}
