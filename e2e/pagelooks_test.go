package e2e_test

import (
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/driftd/driftd/internal/browsertest"
)

var screenshots = flag.String("screenshots", "", "`DIR`: where TestScreenshots writes its pictures (default: a temporary directory)")

// views are the kinds of pages, of the demo.
func views() map[string]string {
	return map[string]string{
		"models": "/", "model": demoModel, "feature": demoModel + "/features/distance_miles?window=2001-03-06T00%3A00Z", "alerts": "/alerts",
		"compare": demoModel + "/compare",
	}
}

// settle waits until a view has drawn what it draws.
func settle(b *browsertest.Browser, view string) {
	switch view {
	case "model":
		b.Until("the heat map is drawn", `document.querySelector("[data-drawn]")`)
		b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 5`)
	case "compare":
		b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 4`)
	case "feature":
		b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 3`)
	}
}

// keyboard goes through the model's page with the Tab key alone: every link, selector and scrollable part is reached, each in
// sight and with a visible outline, and the first one skips the navigation.
func keyboard(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url + demoModel)
	settle(b, "model")
	var want []string
	b.Eval(`(() => { const stops = [...document.querySelectorAll("a[href], select, button, input, summary, [tabindex='0']")].filter((e) => e.checkVisibility() && !e.disabled);
		stops.forEach((e, i) => { e.dataset.stop = i; }); return stops.map((e) => e.dataset.stop); })()`, &want)
	seen := map[string]bool{}
	for i := range len(want) + 5 {
		b.Run(chromedp.KeyEvent(kb.Tab))
		var at struct {
			Stop, Class, Outline string
			Top, Bottom, Height  float64
		}
		b.Eval(`(() => { const e = document.activeElement, r = e.getBoundingClientRect(), s = getComputedStyle(e);
			return {Stop: e.dataset.stop ?? "", Class: e.className, Outline: s.outlineStyle + " " + s.outlineWidth, Top: r.top, Bottom: r.bottom, Height: innerHeight}; })()`, &at)
		if at.Stop == "" {
			continue // the browser's own window
		}
		if i == 0 && at.Class != "skip" {
			t.Errorf("the first stop is %q, not the link that skips the navigation", at.Class)
		}
		if strings.HasPrefix(at.Outline, "none") {
			t.Errorf("stop %s (%s) shows no focus", at.Stop, at.Class)
		}
		if at.Bottom < 0 || at.Top > at.Height {
			t.Errorf("stop %s (%s) is focused out of sight", at.Stop, at.Class)
		}
		seen[at.Stop] = true
	}
	for _, stop := range want {
		if !seen[stop] {
			var html string
			b.Eval(fmt.Sprintf(`document.querySelector("[data-stop='%s']").outerHTML.slice(0, 200)`, stop), &html)
			t.Errorf("the keyboard does not reach %s", html)
		}
	}
	b.Open(d.url + demoModel)
	b.Run(chromedp.KeyEvent(kb.Tab+kb.Enter), chromedp.KeyEvent(kb.Tab))
	var inside bool
	b.Eval(`document.querySelector("main").contains(document.activeElement)`, &inside)
	if !inside {
		t.Error("the skip link does not lead to the content")
	}
	b.Clean("the page by keyboard")
}

// contrast lists texts whose contrast with what is behind them is below WCAG's 4.5 (3 for large or bold-large text).
const contrast = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
	const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] === 1) return c; } return [255, 255, 255, 1]; };
	const bad = [];
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let n; (n = walk.nextNode());) {
		const e = n.parentElement;
		if (!n.textContent.trim() || !e.checkVisibility() || e.closest("script, .skip, .hide")) continue;
		const s = getComputedStyle(e), a = light(parse(s.color).slice(0, 3)), b = light(behind(e).slice(0, 3));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < (parseFloat(s.fontSize) >= 24 ? 3 : 4.5)) bad.push(n.textContent.trim().slice(0, 40) + " " + ratio.toFixed(2));
	}
	return bad;
})()`

// schemes looks at every view in light and dark: the background follows, the canvas too, and every text can be read.
func schemes(t *testing.T, b *browsertest.Browser, d *demonstration) {
	defer b.Scheme("light")
	corner := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		b.Scheme(scheme)
		for view, path := range views() {
			b.Open(d.url + path)
			settle(b, view)
			var background string
			b.Eval(`getComputedStyle(document.body).backgroundColor`, &background)
			if want := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]; background != want {
				t.Errorf("%s in %s has the background %s", view, scheme, background)
			}
			var bad []string
			b.Eval(contrast, &bad)
			if len(bad) > 0 {
				t.Errorf("%s in %s has texts of low contrast: %q", view, scheme, bad)
			}
			if view == "model" {
				var pixel []int
				b.Eval(`[...document.querySelector(".heat canvas").getContext("2d").getImageData(1, 1, 1, 1).data]`, &pixel)
				corner[scheme] = fmt.Sprint(pixel)
			}
			b.Clean(view + " in " + scheme)
		}
	}
	if corner["light"] == corner["dark"] {
		t.Errorf("the heat map is %s in both", corner["light"])
	}
}

// phone looks at every view at the width of a telephone: nothing but the scrollable parts is wider than the screen.
func phone(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Resize(390, 844)
	defer b.Resize(1280, 900)
	for view, path := range views() {
		b.Open(d.url + path)
		settle(b, view)
		var at struct {
			Page, Screen float64
			Wide         []string
		}
		b.Eval(`({Page: document.documentElement.scrollWidth, Screen: innerWidth, Wide: [...document.querySelectorAll("main *, header *")].filter((e) =>
			e.checkVisibility() && e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .heat, svg")).map((e) => e.outerHTML.slice(0, 80))})`, &at)
		if at.Page > at.Screen || at.Screen != 390 {
			t.Errorf("%s is %v wide on a screen of %v: %q", view, at.Page, at.Screen, at.Wide)
		}
		b.Clean(view + " on a telephone")
	}
}

// TestScreenshots takes the pictures of the documentation: `make screenshots`.
func TestScreenshots(t *testing.T) {
	dir := *screenshots
	if dir == "" {
		dir = t.TempDir()
	}
	b := browsertest.New(t)
	d := startDemo(t, 0)
	<-d.done
	all := views()
	for _, shot := range []struct {
		name, view, scheme string
		width, height      int64
		whole              bool // the whole page, not what the screen shows
	}{
		{"models", "models", "light", 1280, 400, false},
		{"model", "model", "light", 1280, 1080, false},
		{"feature", "feature", "light", 1280, 800, true},
		{"alerts", "alerts", "light", 1280, 800, true},
		{"compare", "compare", "light", 1280, 800, true},
		{"models-dark", "models", "dark", 1280, 400, false},
		{"model-dark", "model", "dark", 1280, 800, true},
		{"feature-dark", "feature", "dark", 1280, 800, true},
		{"alerts-dark", "alerts", "dark", 1280, 800, true},
		{"model-phone", "model", "light", 390, 844, true},
		{"feature-phone", "feature", "dark", 390, 844, true},
	} {
		b.Scheme(shot.scheme)
		b.Resize(shot.width, shot.height)
		b.Open(d.url + all[shot.view])
		settle(b, shot.view)
		b.Until("the page is live", `document.getElementById("live-state").textContent === "live"`)
		b.Screenshot(filepath.Join(dir, shot.name+".png"), shot.whole)
		b.Clean(shot.name)
	}
}
