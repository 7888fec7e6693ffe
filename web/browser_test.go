package web_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/driftd/driftd/internal/browsertest"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// hostile returns a name that would run a script if any part of the page took it for markup.
func hostile(i int) string {
	return fmt.Sprintf(`f%03d</script><script>window.__pwned=1</script><img src=x onerror="window.__pwned=2">'`, i)
}

// wide returns a store with so many hourly windows of so many features, each with ten bins.
func wide(tb testing.TB, windows, features int, name func(int) string) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), filepath.Join(tb.TempDir(), "wide.db"), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	bins := make([]result.Bin, 10)
	for i := range bins {
		bins[i] = result.Bin{Label: fmt.Sprintf("(%d, %d]", i, i+1), Reference: 1000, Current: uint64(80 + 4*i)}
	}
	verdicts := []result.Verdict{result.Stable, result.Stable, result.Stable, result.Warning, result.Stable, result.Insufficient, result.Drift}
	key := result.Key{Model: "wide", Version: "*", Segment: "*"}
	var docs []store.Document
	for w := range windows {
		win := result.Window{Start: int64(w+1) * hour, End: int64(w+2) * hour, Size: hour}
		id := result.ID(key, win, hour, "sha256:aa", 0)
		sum := result.Summary{
			Schema: 1, Type: "summary", ResultID: id, Key: key, Window: win, Complete: true, Ref: &result.ReferenceID{Name: "jan", Fingerprint: "sha256:aa"},
			Counts: result.Counts{Events: uint64(900 + w%50)}, Features: features, Parts: 1, DriftShare: new(0.1), Verdict: verdicts[w%7], Reasons: []string{hostile(w)},
			Latency: result.Latency{
				Quantiles: map[string]*float64{"0.5": new(10.0), "0.95": new(20 + math.Sin(float64(w)/20)), "0.99": new(40.0)},
				Reference: map[string]*float64{"0.5": new(11.0), "0.95": new(21.0), "0.99": new(42.0)},
				Ratio:     map[string]result.Stat{"0.95": {Value: new(1.05), Lower: new(0.9), Upper: new(1.2)}},
				Slower:    result.Stat{Value: new(0.52), Lower: new(0.5), Upper: new(0.54), PValue: new(0.1)},
			},
			ThroughputRatio: result.Stat{Value: new(0.98), Lower: new(0.9), Upper: new(1.1)},
			ErrorRate:       result.Stat{Value: new(0.0), Lower: new(0.0), Upper: new(0.01)},
		}
		doc := result.FeatureDoc{Schema: 1, Type: "features", ResultID: id, Key: key, Window: win}
		for f := range features {
			v := math.Abs(math.Sin(float64(w*(f+3))/17)) / 3
			stat := func(v float64) result.Stat { return result.Stat{Value: &v, PValue: &v} }
			doc.Features = append(doc.Features, result.Feature{
				Feature: name(f), Role: result.RoleFeature, Kind: "numeric", Verdict: verdicts[(w/9+f)%7], Bins: bins, Reasons: []string{"psi_debiased of " + name(f)},
				Statistics: map[string]result.Stat{
					"psi": stat(v), "psi_debiased": stat(v), "ks": stat(v / 2), "js": stat(v), "kl": stat(v), "kl_reverse": stat(v), "missing_rate": stat(v / 10),
				},
				Reference: result.Side{Count: 10000, Mean: new(5.0), Median: new(5.0)}, Current: result.Side{Count: 980, Mean: new(5 + v), Median: new(5 + v/2)},
				QValue: &v, NMin: 191, Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25, Q: 0.01},
			})
		}
		for part, v := range []any{sum, doc} {
			b, err := json.Marshal(v)
			if err != nil {
				tb.Fatal(err)
			}
			docs = append(docs, store.Document{ID: id + map[int]string{0: "", 1: ".0"}[part], Data: b})
		}
		if len(docs) >= 100 || w == windows-1 {
			if err := s.Write(tb.Context(), docs); err != nil {
				tb.Fatal(err)
			}
			docs = nil
		}
	}
	return s
}

// A model of 200 features over 1,000 windows is drawn quickly, stays quick while it is scrolled, and can be walked by keyboard
// to its farthest corner.
func TestWideModelInTheBrowser(t *testing.T) {
	windows, last := 1000, "1970-02-11T16:00Z"
	if raced {
		windows, last = 60, "1970-01-03T12:00Z"
	}
	b := browsertest.New(t)
	s := start(t, web.Options{Reader: wide(t, windows, 200, func(i int) string { return fmt.Sprintf("feature_%03d", i) })})
	b.Open("http://" + s.Addr() + "/models/wide?windows=1000")
	b.Until("the heat map is drawn", fmt.Sprintf(`document.querySelector('[data-drawn="%dx200"]')`, windows))
	b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 2`)
	var at struct {
		Answer, Paint, Heat, Scroll, Rows, Links float64
	}
	b.Eval(`(async () => {
		const box = document.querySelector("[data-heat]"), frame = () => new Promise((r) => requestAnimationFrame(() => r(performance.now())));
		let worst = 0, before = await frame();
		for (let i = 0; i < 40; i++) { box.scrollLeft -= 97; box.scrollTop += 61; const now = await frame(); worst = Math.max(worst, now - before); before = now; }
		return {Answer: performance.getEntriesByType("navigation")[0].responseEnd, Paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
			Heat: performance.getEntriesByName("driftd:heat")[0].startTime, Scroll: worst, Rows: document.querySelectorAll(".features tbody tr").length, Links: document.querySelectorAll(".heat-labels a").length};
	})()`, &at)
	t.Logf("200 features × %d windows, from the request on: answer %.0f ms, first paint %.0f ms, heat map %.0f ms; longest frame while scrolling %.0f ms",
		windows, at.Answer, at.Paint, at.Heat, at.Scroll)
	if at.Rows != 200 || at.Links != 200 {
		t.Errorf("%v rows and %v labels, want 200", at.Rows, at.Links)
	}
	if at.Heat > 10_000 { // some seconds on a loaded machine; the figures above are for people
		t.Errorf("the heat map took %.0f ms", at.Heat)
	}
	b.Run(chromedp.Focus(".heat-cursor", chromedp.ByQuery), chromedp.KeyEvent(kb.Home, chromedp.KeyModifiers(2)))
	if text := b.Text(".heat-readout"); !strings.HasPrefix(text, "feature_000, window 1970-01-01T01:00Z") {
		t.Errorf("the first corner is %q", text)
	}
	b.Run(chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(2)))
	if text := b.Text(".heat-readout"); !strings.HasPrefix(text, "feature_199, window "+last) {
		t.Errorf("the last corner is %q", text)
	}
	var seen bool
	b.Eval(`(() => { const c = document.querySelector(".heat-cursor").getBoundingClientRect(), x = document.querySelector("[data-heat]").getBoundingClientRect();
		return c.left >= x.left && c.right <= x.right + 1 && c.top >= x.top && c.bottom <= x.bottom + 1; })()`, &seen)
	if !seen {
		t.Error("the cell at the keyboard is out of sight")
	}
	b.Clean("the wide model")
}

// Names of features, reasons and annotations are text, whatever is in them.
func TestHostileNamesInTheBrowser(t *testing.T) {
	b := browsertest.New(t)
	s := start(t, web.Options{Reader: wide(t, 12, 3, hostile), Annotations: func(string) []web.Annotation {
		return []web.Annotation{{Start: 2 * hour, End: 3 * hour, Text: hostile(7)}}
	}})
	base := "http://" + s.Addr()
	for _, path := range []string{"/", "/models/wide", "/models/wide/features/" + url.PathEscape(hostile(1)), "/alerts?model=" + url.QueryEscape(hostile(2))} {
		r := get(t, s, path)
		if strings.HasPrefix(path, "/alerts") {
			if r.status != http.StatusOK && r.status != http.StatusNotFound {
				t.Errorf("%s: %d", path, r.status)
			}
			continue
		}
		b.Open(base + path)
		if path != "/" {
			b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length >= 2`)
		}
		if path == "/models/wide" {
			b.Until("the heat map is drawn", `document.querySelector('[data-drawn="12x3"]')`)
			var labels []string
			b.Eval(`[...document.querySelectorAll(".heat-labels a")].map((e) => e.textContent)`, &labels)
			if len(labels) != 3 || labels[1] != hostile(1) {
				t.Errorf("the labels are %q", labels)
			}
		}
		var bad int
		b.Eval(`(window.__pwned ?? 0) + document.querySelectorAll("main img, main script:not([type='application/json'])").length`, &bad)
		if bad != 0 {
			t.Errorf("%s took a name for markup", path)
		}
		b.Clean(path)
	}
	b.Open(base + "/models/wide")
	b.Follow(chromedp.Click(".heat-labels a:nth-child(2)", chromedp.ByQuery))
	if h := b.Text("h1"); h != hostile(1) {
		t.Errorf("the link of a hostile name leads to %q", h)
	}
	b.Clean("the page of a hostile name")
}
