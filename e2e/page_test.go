package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/internal/browsertest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

const (
	demoModel = "/models/flight-delay"
	demoAPI   = "/api/v1" + demoModel
	// kilometresDay is a day on which the demo injects distances in kilometres.
	kilometresDay = int64(983836800000) // date -u -d 2001-03-06 +%s
)

// demonstration is a running `driftd demo`, whose page is looked at.
type demonstration struct {
	tb   testing.TB
	url  string
	done chan struct{} // closed when the summary is printed
}

// startDemo runs the demo, so many times as fast as its data's time; 0 is as fast as possible.
func startDemo(tb testing.TB, speed int) *demonstration {
	tb.Helper()
	cmd := exec.Command(binary(tb), "demo", "--speed", strconv.Itoa(speed), "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(tb.TempDir(), "demo"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	d := &demonstration{tb: tb, url: "", done: make(chan struct{})}
	address, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(out); s.Scan(); {
			if at, ok := strings.CutPrefix(s.Text(), "page "); ok {
				address <- strings.TrimSuffix(strings.TrimSpace(at), "/")
			}
			if strings.HasPrefix(s.Text(), "The page stays") {
				close(d.done)
			}
		}
		close(address)
	}()
	tb.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			tb.Error(err)
		}
		<-read
		if err := cmd.Wait(); err != nil {
			tb.Errorf("the demo: %v", err)
		}
	})
	if d.url = <-address; d.url == "" {
		tb.Fatal("the demo ended before it had a page")
	}
	return d
}

// get reads the API, which every number on the page is compared with.
func (d *demonstration) get(path string, into any) {
	d.tb.Helper()
	req, err := http.NewRequestWithContext(d.tb.Context(), http.MethodGet, d.url+path, nil)
	if err != nil {
		d.tb.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer res.Body.Close()
	answer := struct {
		Data any `json:"data"`
	}{into}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != http.StatusOK {
		d.tb.Fatalf("GET %s: %d %v", path, res.StatusCode, err)
	}
}

// heatAnswer is the API's heat map.
type heatAnswer struct {
	Windows  []history.HeatWindow `json:"windows"`
	Features []heatLine           `json:"features"`
}

type heatLine struct {
	Feature  string     `json:"feature"`
	Verdicts string     `json:"verdicts"`
	PSI      []*float64 `json:"psi_debiased"`
}

// TestPage looks at the page of the demo in Chromium: first while data flows, then view by view.
func TestPage(t *testing.T) {
	b := browsertest.New(t)
	d := startDemo(t, 800_000) // five months in about 16 seconds
	t.Run("live", func(t *testing.T) { followsTheData(t, b, d) })
	<-d.done
	t.Run("models", func(t *testing.T) { modelsView(t, b, d) })
	t.Run("model", func(t *testing.T) { modelView(t, b, d) })
	t.Run("heat", func(t *testing.T) { heatView(t, b, d) })
	t.Run("charts", func(t *testing.T) { chartsView(t, b, d) })
	t.Run("feature", func(t *testing.T) { featureView(t, b, d) })
	t.Run("alerts", func(t *testing.T) { alertsView(t, b, d) })
	t.Run("keyboard", func(t *testing.T) { keyboard(t, b, d) })
	t.Run("schemes", func(t *testing.T) { schemes(t, b, d) })
	t.Run("phone", func(t *testing.T) { phone(t, b, d) })
	t.Run("errors", func(t *testing.T) { errorPages(t, b, d) })
}

// followsTheData: the page shows newer windows while it stays the same document, with the focus and the open table kept.
func followsTheData(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url)
	b.Until("the model appears by itself", `document.querySelector('tbody[data-model="flight-delay"]')`)
	b.Open(d.url + demoModel)
	b.Until("the heat map is drawn", `document.querySelector("[data-drawn]")`)
	b.Eval(`window.__same = true; document.querySelector("[data-keep=windows-table]").open = true;
		document.querySelector("[data-keep=windows-table] .scroll").focus(); window.__first = document.querySelector("[data-drawn]").dataset.drawn; true`, new(bool))
	b.Until("more windows are drawn", `document.querySelector("[data-drawn]").dataset.drawn !== window.__first`)
	var kept bool
	b.Eval(`window.__same && document.querySelector("[data-keep=windows-table]").open && document.activeElement.closest("[data-live=windows]") !== null`, &kept)
	if !kept {
		t.Error("the page was loaded again, or lost its focus or its open table")
	}
	b.Run(chromedp.Click("#live-toggle", chromedp.ByQuery))
	if text := b.Text("#live-state"); text != "paused" {
		t.Errorf("after Pause the page says %q", text)
	}
	b.Clean("the live page")
}

// newest is the newest window with events, as the API has it.
func (d *demonstration) newest() result.Summary {
	d.tb.Helper()
	var windows []result.Summary
	d.get(demoAPI+"/windows?limit=10", &windows)
	return windows[slices.IndexFunc(windows, func(w result.Summary) bool { return w.Counts.Events > 0 })]
}

func modelsView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url)
	w := d.newest()
	row := `tbody[data-model="flight-delay"] `
	same(t, "events", b.Texts(row + "data.events")[0], strconv.FormatUint(w.Counts.Events, 10))
	same(t, "verdict", b.Text(row+".verdict"), string(w.Verdict))
	var firing []result.Transition
	d.get("/api/v1/alerts?state=firing", &firing)
	badges := "" // twice: beside the model, and in the navigation
	if len(firing) > 0 {
		badges = fmt.Sprintf("%d firing", len(firing))
	}
	same(t, "firing", strings.Join(b.Texts(row+".badge"), ""), badges)
	same(t, "firing in the navigation", strings.Join(b.Texts("nav .badge"), ""), badges)
	same(t, "windows of the strip", len(b.Texts(row+".strip rect")), 60)
	b.Clean("the models")
	b.Follow(chromedp.Click(row+"th a", chromedp.ByQuery))
	same(t, "title", b.Text("h1"), "flight-delay")
	b.Clean("the model after a click")
}

func modelView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url + demoModel)
	w := d.newest()
	var shown struct {
		Events, Share, P95, Version string
		Features                    map[string]string
		Windows                     map[string]string
	}
	b.Eval(`({Events: document.querySelector("#events").value, Share: document.querySelector("#drift-share").value, P95: document.querySelector("#p95").value,
		Features: Object.fromEntries([...document.querySelectorAll(".features tr[data-feature]")].map((r) => [r.dataset.feature, r.querySelector(".psi").value])),
		Windows: Object.fromEntries([...document.querySelectorAll(".windows tr[data-result]")].map((r) => [r.dataset.result, r.querySelector(".events").value + " " + r.querySelector(".p95").value]))})`, &shown)
	same(t, "events", shown.Events, strconv.FormatUint(w.Counts.Events, 10))
	same(t, "drift share", shown.Share, text(w.DriftShare))
	same(t, "p95", shown.P95, text(w.Latency.Quantiles["0.95"]))
	var whole struct {
		Features []result.Feature `json:"features"`
	}
	d.get(demoAPI+"/windows/"+w.ResultID, &whole)
	same(t, "features", len(shown.Features), len(whole.Features))
	for _, f := range whole.Features {
		same(t, "psi_debiased of "+f.Feature, shown.Features[f.Feature], text(f.Statistics["psi_debiased"].Value))
	}
	var windows []result.Summary
	d.get(demoAPI+"/windows?limit=60", &windows)
	same(t, "rows of windows", len(shown.Windows), len(windows))
	for _, w := range windows {
		same(t, "window", shown.Windows[w.ResultID], fmt.Sprintf("%d %s", w.Counts.Events, text(w.Latency.Quantiles["0.95"])))
	}
	same(t, "annotations", len(b.Texts(".annotations li")), 3)
	// Another version is another address, and has other windows.
	b.Follow(chromedp.SetValue(`select[name=version]`, "2", chromedp.ByQuery), chromedp.Submit("form.selectors", chromedp.ByQuery))
	// Choosing submits the form, and so does the test: whichever answers last is the page, a moment after the first one loaded.
	b.Until("the windows of version 2 are shown", `new URLSearchParams(location.search).get("version") === "2" && document.querySelector(".windows tr[data-result] .events")`)
	var at string
	b.Run(chromedp.Location(&at))
	if u, err := url.Parse(at); err != nil || u.Query().Get("version") != "2" {
		t.Errorf("the version is not in the address %s: %v", at, err)
	}
	var second []result.Summary
	d.get(demoAPI+"/windows?version=2&limit=1", &second)
	same(t, "rows of version 2", b.Texts(".windows tr[data-result] .events")[0], strconv.FormatUint(second[0].Counts.Events, 10))
	b.Clean("the model")
}

// heatView reads the verdict of every cell from the pixels of the canvas and compares with the API; then it opens a cell by
// the pointer and one by the keyboard.
func heatView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url + demoModel)
	var heat heatAnswer
	d.get(demoAPI+"/heat?limit=200", &heat)
	b.Until("the heat map is drawn", fmt.Sprintf(`document.querySelector('[data-drawn="%dx%d"]')`, len(heat.Windows), len(heat.Features)))
	var drawn []string
	b.Eval(`(() => {
		const box = document.querySelector("[data-heat]"), canvas = box.querySelector("canvas"), plane = box.querySelector(".heat-plane"), g = canvas.getContext("2d");
		const rows = box.querySelectorAll(".heat-labels a").length, columns = +box.dataset.drawn.split("x")[0], cell = plane.clientWidth / columns;
		const probe = document.createElement("i"), colors = {};
		document.body.append(probe);
		for (const [letter, name] of [["d", "drift"], ["w", "warning"], ["s", "stable"], ["i", "insufficient"]]) {
			probe.style.color = "var(--" + name + "-fill)";
			colors[getComputedStyle(probe).color.match(/\d+/g).slice(0, 3).join()] = letter;
		}
		probe.remove();
		const ratio = canvas.width / canvas.clientWidth, pixels = g.getImageData(0, 0, canvas.width, canvas.height).data;
		const pixel = (x, y) => { const at = 4 * (Math.floor(y * ratio) * canvas.width + Math.floor(x * ratio)); return [...pixels.slice(at, at + 3)].join(); };
		return [...Array(rows)].map((_, r) => [...Array(columns)].map((_, c) =>
			colors[pixel(c * cell + cell / 2 - box.scrollLeft, 24 + r * 20 + 17)] ?? "?").join(""));
	})()`, &drawn)
	for i, f := range heat.Features {
		same(t, "cells of "+f.Feature, drawn[i], f.Verdicts)
	}
	row := slices.IndexFunc(heat.Features, func(f heatLine) bool { return f.Feature == "distance_miles" })
	column := slices.IndexFunc(heat.Windows, func(w history.HeatWindow) bool { return w.Window.Start == kilometresDay })
	if row < 0 || column < 0 || heat.Features[row].Verdicts[column] != 'd' {
		t.Fatalf("no drift of distance_miles at %d in %v", kilometresDay, heat.Features)
	}
	var at struct{ X, Y float64 }
	b.Eval(fmt.Sprintf(`(() => { const p = document.querySelector(".heat-plane"), r = p.getBoundingClientRect(), cell = p.clientWidth / %d;
		p.scrollIntoView({block: "center"}); const q = p.getBoundingClientRect(); return {X: q.left + (%d + .5) * cell, Y: q.top + 24 + (%d + .5) * 20}; })()`, len(heat.Windows), column, row), &at)
	b.Run(chromedp.MouseEvent("mouseMoved", at.X, at.Y))
	psi, events := *heat.Features[row].PSI[column], heat.Windows[column].Events
	want := fmt.Sprintf("distance_miles, window 2001-03-06T00:00Z to 2001-03-07T00:00Z: drift, psi_debiased %s, %d events", strconv.FormatFloat(psi, 'g', 4, 64), events)
	same(t, "what the pointer shows", b.Text(".heat-readout"), want)
	b.Follow(chromedp.MouseClickXY(at.X, at.Y))
	same(t, "the feature", b.Text("h1"), "distance_miles")
	same(t, "the window", b.Text(".cards time"), "2001-03-06T00:00Z")
	b.Clean("the heat map")

	b.Open(d.url + demoModel)
	b.Until("the heat map is drawn", `document.querySelector("[data-drawn]")`)
	b.Run(chromedp.Focus(".heat-cursor", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowDown+kb.ArrowDown+kb.Home))
	for range column {
		b.Run(chromedp.KeyEvent(kb.ArrowRight))
	}
	same(t, "what the keyboard shows", b.Text(".heat-readout"), want)
	var label string
	b.Eval(`document.querySelector(".heat-cursor").getAttribute("aria-label")`, &label)
	same(t, "the label for screen readers", label, want)
	b.Follow(chromedp.KeyEvent(kb.Enter))
	same(t, "the window by keyboard", b.Text(".cards time"), "2001-03-06T00:00Z")
	b.Clean("the heat map by keyboard")
}

// chartsView points at a chart and compares what its legend says with the API.
func chartsView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url + demoModel)
	said := func(w *result.Summary) *result.Quality {
		var one []result.Quality
		d.get(fmt.Sprintf("%s/quality?limit=1&from=%d&to=%d", demoAPI, w.Window.Start, w.Window.Start+1), &one)
		if len(one) != 1 || !one[0].Final || one[0].Metrics[7].Name != "roc_auc" || one[0].Estimate.Metrics[9].Name != "roc_auc" {
			t.Fatalf("the quality of %v is %+v, want its last with roc_auc", w.Window, one)
		}
		return &one[0]
	}
	hours := func(ms *float64) string { return digits(new(*ms/3_600_000)) + " h" }
	for chart, says := range map[string]func(w *result.Summary) []string{
		"volume": func(w *result.Summary) []string {
			return []string{strconv.FormatUint(w.Counts.Events, 10), strconv.FormatUint(w.Errors, 10)}
		},
		"latency": func(w *result.Summary) []string {
			var out []string
			for _, q := range []string{"0.5", "0.95", "0.99"} {
				out = append(out, digits(w.Latency.Quantiles[q])+" ms", digits(w.Latency.Reference[q])+" ms")
			}
			return out
		},
		"quality": func(w *result.Summary) []string { // the estimate of a final window has no band
			q := said(w)
			auc, estimate := q.Metrics[7], q.Estimate.Metrics[9]
			return []string{digits(auc.Value), digits(auc.Upper), digits(auc.Lower), digits(estimate.Value), "–", "–"}
		},
		"coverage": func(w *result.Summary) []string { return []string{digits(new(100**said(w).Coverage)) + " %"} },
		"delay":    func(w *result.Summary) []string { q := said(w); return []string{hours(q.DelayP50), hours(q.DelayP95)} },
	} {
		over := fmt.Sprintf("[data-chart=%s] .u-over", chart)
		b.Until(chart+" is drawn", fmt.Sprintf(`document.querySelector(%q)`, over))
		var at struct{ X, Y float64 }
		b.Eval(fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.scrollIntoView({block: "center"}); const r = e.getBoundingClientRect();
			return {X: r.left + r.width * .4, Y: r.top + r.height / 2}; })()`, over), &at)
		b.Run(chromedp.MouseEvent("mouseMoved", at.X, at.Y))
		var values []string
		b.Until(chart+" shows values", fmt.Sprintf(`document.querySelector("[data-chart=%s] .u-value").textContent.startsWith("2001-")`, chart))
		b.Eval(fmt.Sprintf(`[...document.querySelectorAll("[data-chart=%s] .u-value")].map((e) => e.textContent)`, chart), &values)
		var one []result.Summary
		start := strings.Replace(values[0], "T00:00Z", "T00:00:00Z", 1)
		d.get(demoAPI+"/windows?limit=1&from="+start+"&to="+strings.Replace(start, "T00:00:00Z", "T00:00:01Z", 1), &one)
		same(t, chart+" at "+values[0], strings.Join(values[1:], ", "), strings.Join(says(&one[0]), ", "))
	}
	b.Clean("the charts")
}

func featureView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	path := "/features/distance_miles"
	b.Open(d.url + demoModel + path + "?window=2001-03-06T00:00Z")
	var series struct {
		Latest result.Feature         `json:"latest"`
		Points []history.FeatureState `json:"points"`
	}
	d.get(demoAPI+path+"?limit=1&from=2001-03-06T00:00:00Z&to=2001-03-06T00:00:01Z", &series)
	f := series.Latest
	var shown struct {
		Reference, Current []string
		Stats              map[string]string
	}
	b.Eval(`({Reference: [...document.querySelectorAll(".bins data.reference")].map((e) => e.value), Current: [...document.querySelectorAll(".bins data.current")].map((e) => e.value),
		Stats: Object.fromEntries([...document.querySelectorAll(".stats tr[data-stat]")].map((r) => [r.dataset.stat, r.querySelector(".value").value]))})`, &shown)
	var reference, current []string
	widest, total := 0.0, float64(f.Current.Count)
	for _, bin := range f.Bins {
		reference, current = append(reference, strconv.FormatUint(bin.Reference, 10)), append(current, strconv.FormatUint(bin.Current, 10))
		widest = max(widest, float64(bin.Current)/total, float64(bin.Reference)/float64(f.Reference.Count))
	}
	same(t, "bins of the reference", strings.Join(shown.Reference, " "), strings.Join(reference, " "))
	same(t, "bins of the window", strings.Join(shown.Current, " "), strings.Join(current, " "))
	var widths []float64
	b.Eval(`[...document.querySelectorAll(".bins rect.current")].map((r) => r.getBoundingClientRect().width / r.ownerSVGElement.getBoundingClientRect().width)`, &widths)
	for i, bin := range f.Bins {
		if want := float64(bin.Current) / total / widest; math.Abs(widths[i]-want) > 0.01 {
			t.Errorf("the bar of %s is %.3f of the width, want %.3f", bin.Label, widths[i], want)
		}
	}
	same(t, "statistics", len(shown.Stats), len(f.Statistics))
	for name, s := range f.Statistics {
		same(t, name, shown.Stats[name], text(s.Value))
	}
	same(t, "reasons", strings.Join(b.Texts(".reasons li"), "; "), strings.Join(f.Reasons, "; "))
	same(t, "verdict", b.Text(".cards .verdict"), string(f.Verdict))
	for _, chart := range []string{"stat", "rates", "level"} {
		b.Until(chart+" is drawn", fmt.Sprintf(`document.querySelector("[data-chart=%s] canvas")`, chart))
	}
	same(t, "lines", strings.Join(b.Texts("[data-chart=stat] .u-label"), " "), "window psi_debiased warning drift")
	b.Follow(chromedp.Click("a[rel=next]", chromedp.ByQuery))
	same(t, "the next window", b.Text(".cards time"), "2001-03-07T00:00Z")
	b.Follow(chromedp.SetValue("select[name=stat]", "ks", chromedp.ByQuery), chromedp.Submit("form.selectors", chromedp.ByQuery))
	b.Until("the chosen statistic is drawn", `[...document.querySelectorAll("[data-chart=stat] .u-label")].some((e) => e.textContent === "ks")`)
	same(t, "the window stays", b.Text(".cards time"), "2001-03-07T00:00Z")
	// A click on the chart opens the window below the pointer.
	b.Run(chromedp.ScrollIntoView("[data-chart=stat]", chromedp.ByQuery))
	b.Follow(chromedp.Click("[data-chart=stat] .u-over", chromedp.ByQuery))
	if at := b.Text(".cards time"); at == "2001-03-07T00:00Z" || !strings.HasPrefix(at, "2001-04-1") {
		t.Errorf("a click into the middle of five months opened %s", at)
	}
	b.Clean("the feature")
}

func alertsView(t *testing.T, b *browsertest.Browser, d *demonstration) {
	b.Open(d.url + "/alerts")
	var all []result.Transition
	d.get("/api/v1/alerts", &all)
	if len(all) < 3 {
		t.Fatalf("%d incidents, and the demo injects three", len(all))
	}
	same(t, "incidents", len(b.Texts("article.incident")), len(all))
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(testenv.Root(t), "docs", "schema", "transition.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range all {
		article := fmt.Sprintf(`[data-incident=%q] `, in.Incident)
		same(t, "title", b.Text(article+"h3"), in.Title)
		var value string
		b.Eval(fmt.Sprintf(`document.querySelector(%q).value`, article+"data.value"), &value)
		same(t, "value", value, text(&in.Value))
		var steps []result.Transition
		d.get("/api/v1/alerts?incident="+in.Incident, &steps)
		var raw []any
		d.get("/api/v1/alerts?incident="+in.Incident, &raw)
		for _, step := range raw {
			if err := schema.Validate(step); err != nil {
				t.Errorf("a transition against docs/schema/transition.schema.json: %v", err)
			}
		}
		slices.Reverse(steps)
		lines := b.Texts(article + ".timeline li .change")
		same(t, "steps", len(lines), len(steps))
		for i, s := range steps {
			same(t, "step", lines[i], fmt.Sprintf("%s → %s", s.From, s.To))
		}
		same(t, "reasons", strings.Join(b.Texts(article+".reasons li"), "; "), strings.Join(in.Reasons, "; "))
	}
	b.Follow(chromedp.SetValue("select[name=state]", "firing", chromedp.ByQuery), chromedp.Submit("form.selectors", chromedp.ByQuery))
	var firing []result.Transition
	d.get("/api/v1/alerts?state=firing", &firing)
	same(t, "firing incidents", len(b.Texts("article.incident.firing")), len(firing))
	same(t, "incidents after the choice", len(b.Texts("article.incident")), len(firing))
	b.Open(d.url + "/alerts?state=resolved")
	b.Follow(chromedp.Click("article .timeline a", chromedp.ByQuery))
	if h := b.Text("h1"); h != "origin" && h != "distance_miles" {
		t.Errorf("a step led to %s", h)
	}
	b.Clean("the alerts")
}

func errorPages(t *testing.T, b *browsertest.Browser, d *demonstration) {
	var status int64
	var text string
	b.Open(d.url + "/") // the log of the browser names the 404 below, and nothing else
	b.Eval(`fetch("/models/nobody").then((r) => r.status)`, &status)
	b.Eval(`fetch("/models/nobody").then((r) => r.text()).then((t) => new DOMParser().parseFromString(t, "text/html").querySelector("main").textContent)`, &text)
	if status != http.StatusNotFound || !strings.Contains(text, `model "nobody" is not stored`) {
		t.Errorf("an unknown model: %d %s", status, text)
	}
}

// same compares what is shown with what is wanted.
func same[T comparable](tb testing.TB, what string, got, want T) {
	tb.Helper()
	if got != want {
		tb.Errorf("%s: the page shows %v, the API says %v", what, got, want)
	}
}

// text is how the page writes a number into the value of a <data> element: Go's shortest form, as html/template has it.
func text(v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}

// digits is how a legend writes a number: four significant digits.
func digits(v *float64) string {
	if v == nil {
		return "–"
	}
	return strconv.FormatFloat(mustParse(strconv.FormatFloat(*v, 'g', 4, 64)), 'f', -1, 64)
}

func mustParse(s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return x
}
