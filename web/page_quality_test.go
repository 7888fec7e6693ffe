package web_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/browsertest"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// said returns what is said of window i of the model `credit` at a maturity: 100 predictions, so many labels.
func said(i int, maturity int64, final bool, labels uint64, auc float64) result.Quality {
	key := result.Key{Model: "credit", Version: "*", Segment: "*"}
	w := result.Window{Start: int64(i) * hour, End: int64(i+1) * hour, Size: hour}
	q := result.Quality{ //nolint:exhaustruct // what the page shows
		Schema: 1, Type: "quality", ResultID: result.QualityID(key, w, hour, "sha256:aa", maturity), Key: key, Window: w, Maturity: maturity, Final: final,
		Ref: &result.ReferenceID{Name: "jan", Fingerprint: "sha256:aa"}, Task: "binary", Mode: "full", Rate: 1, Predictions: 100, Labels: labels,
		Coverage: new(float64(labels) / 100), Flawed: map[string]uint64{script: 3}, Unusable: map[string]uint64{}, Reasons: []string{script},
		Metrics: []result.Metric{
			{Name: "accuracy", N: labels, Value: new(0.75), Lower: new(0.5), Upper: new(0.875)},
			{Name: "roc_auc", N: labels, Value: &auc, Lower: new(auc - 0.125), Upper: new(auc + 0.0625)},
			{Name: "mcc", N: labels, Reason: "labels or predictions are of one class only"},
		},
		Reference: []result.Metric{{Name: "roc_auc", N: 500, Value: new(0.9375), Lower: new(0.9), Upper: new(0.95)}},
		Change:    []result.Metric{{Name: "roc_auc", N: labels, Value: new(-0.1875), Lower: new(-0.3), Upper: new(-0.0625)}},
		Confusion: &result.Confusion{Classes: []string{"no", script}, Matrix: [][]uint64{{41, 9}, {7, 33}}},
		Estimate: &result.Estimate{
			Predictions: 100, Left: 2, Calibration: "isotonic", Assumptions: []string{},
			Metrics: []result.Metric{{Name: "roc_auc", N: 98, Value: new(0.625), Lower: new(0.5625), Upper: new(0.6875)}},
		},
	}
	if labels > 0 {
		q.DelayP50, q.DelayP95 = new(float64(90*60_000)), new(float64(54*hour))
		return q
	}
	for i := range q.Metrics {
		q.Metrics[i] = result.Metric{Name: q.Metrics[i].Name, Reason: "no labelled prediction"}
	}
	q.Change, q.Confusion.Matrix = nil, [][]uint64{{0, 0}, {0, 0}}
	return q
}

func writeQuality(tb testing.TB, s *store.Store, docs ...result.Quality) {
	tb.Helper()
	for _, q := range docs {
		data, err := json.Marshal(q)
		if err != nil {
			tb.Fatal(err)
		}
		if err := s.Write(tb.Context(), []store.Document{{ID: q.ResultID, Data: data}}); err != nil {
			tb.Fatal(err)
		}
	}
}

// qualities: window 1 is final, 2 and 3 may still get labels, 4 has none yet; window 0 was never judged so.
func qualities() []result.Quality {
	return []result.Quality{
		said(1, 0, false, 0, 0), said(1, 24*hour, true, 90, 0.875), said(2, 0, false, 0, 0), said(2, hour, false, 60, 0.8125), said(3, 0, false, 0, 0), said(3, hour, false, 40, 0.75),
		said(4, 0, false, 0, 0),
	}
}

// drawn is the part of the data block that charts of quality are drawn from.
type drawn struct {
	Quality *struct {
		Metric        string
		Value         []*float64 `json:"value"`
		Lower         []*float64 `json:"lower"`
		EstimateLower []*float64 `json:"estimate_lower"`
		Estimate      []*float64 `json:"estimate"`
		Baseline      []*float64 `json:"baseline"`
		Coverage      []*float64 `json:"coverage"`
		DelayP95      []*float64 `json:"delay_p95_h"`
	} `json:"quality"`
}

func dataBlock(t *testing.T, body string, into any) {
	t.Helper()
	m := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(body)
	if m == nil {
		t.Fatal("the page has no data")
	}
	if err := json.Unmarshal([]byte(m[1]), into); err != nil {
		t.Fatal(err)
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The page shows of each window what was said last, of the newest one with labels the numbers, and of a newer one without any its estimate.
// The expected texts are those of the documents above.
func TestQualityOnThePage(t *testing.T) {
	s := filled(t)
	writeQuality(t, s, qualities()...)
	server := start(t, web.Options{Reader: s})
	r := get(t, server, "/models/credit")
	for _, want := range []string{
		`<data id="quality-value" value="0.75">0.75</data> <span class="dim">95 %: 0.625 to 0.8125</span>`, `<data id="quality-estimate" value="0.625">0.625</data>`,
		`<data id="quality-coverage" value="0.4">40` + "\u202f" + `%</data> <span class="dim">40 labels of 100 predictions`, "1.5\u202fh <span class=\"dim\">95 % within 2.25\u202fd",
		`<time datetime="1970-01-01T03:00Z">1970-01-01T03:00Z</time> <span class="dim">1h after its end</span>`, "0.9375 <span class=\"dim\">(0.9 to 0.95)",
		"No label has come yet for the window that starts at <time datetime=\"1970-01-01T04:00Z\">", "Its roc_auc is estimated at 0.625 <span class=\"dim\">(0.5625 to 0.6875)</span>.",
		"-0.1875 <span class=\"dim\">(-0.3 to -0.0625)</span> more than chance", "labels or predictions are of one class only", "3 predictions that nothing can be said of: &lt;/script&gt;",
		"2 predictions without a probability are not in the estimate", "predicted &lt;/script&gt;", `<td class="n">7</td><td class="n">33</td>`, "1d after its end, final", "with its result",
		`<option selected>roc_auc</option>`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	isSafe(t, "quality", r.body)
	var data drawn
	dataBlock(t, r.body, &data)
	// Windows 0 to 4; the band of the estimate is drawn where labels may come.
	for name, got := range map[string]any{
		"[null,0.875,0.8125,0.75,null]": data.Quality.Value, "[null,0.75,0.6875,0.625,null]": data.Quality.Lower, "[null,0.625,0.625,0.625,0.625]": data.Quality.Estimate,
		"[null,null,0.5625,0.5625,0.5625]": data.Quality.EstimateLower, "[null,0.9375,0.9375,0.9375,0.9375]": data.Quality.Baseline, "[null,0.9,0.6,0.4,0]": data.Quality.Coverage,
		"[null,54,54,54,null]": data.Quality.DelayP95,
	} {
		if text := encoded(t, got); text != name {
			t.Errorf("drawn is %s, want %s", text, name)
		}
	}
	accuracy := get(t, server, "/models/credit?metric=accuracy")
	dataBlock(t, accuracy.body, &data)
	if text := encoded(t, data.Quality.Value); text != "[null,0.75,0.75,0.75,null]" || !strings.Contains(accuracy.body, `95 %: 0.5 to 0.875`) {
		t.Errorf("the accuracy is %s", text)
	}
	if r := get(t, server, "/models/credit?metric=beauty"); r.status != http.StatusBadRequest || !strings.Contains(r.body, "accuracy, roc_auc, mcc") {
		t.Errorf("a metric that is none: %d", r.status)
	}
}

// Without a word about quality the page has no part of it; where no label ever came, what is estimated is all there is.
func TestPageWithoutLabels(t *testing.T) {
	s := filled(t)
	server := start(t, web.Options{Reader: s})
	r := get(t, server, "/models/credit")
	var data drawn
	dataBlock(t, r.body, &data)
	if data.Quality != nil || strings.Contains(r.body, "quality-title") {
		t.Error("the page tells of a quality that nobody told of")
	}
	writeQuality(t, s, said(3, 0, false, 0, 0), said(4, 0, false, 0, 0))
	r = get(t, server, "/models/credit")
	for _, want := range []string{`<data id="quality-value" value="">–</data> <span class="dim">no labelled prediction`, `<data id="quality-estimate" value="0.625">`, "0 labels of 100 predictions"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("without a label the page has no %q", want)
		}
	}
}

// A page that was open before the first label came draws the quality by itself; each chart says in its legend what the documents say, and
// the interval is a band.
func TestQualityInTheBrowser(t *testing.T) {
	b := browsertest.New(t)
	s := filled(t)
	server := start(t, web.Options{Reader: s})
	b.Open("http://" + server.Addr() + "/models/credit")
	b.Until("the page is live", `document.getElementById("live-state").textContent === "live"`)
	b.Until("the charts are drawn", `document.querySelectorAll("[data-chart] canvas").length === 2`)
	writeQuality(t, s, qualities()...)
	if err := s.Write(t.Context(), documents(t, 5)); err != nil { // what the page follows
		t.Fatal(err)
	}
	b.Until("the charts of quality are drawn", `document.querySelectorAll("[data-chart] canvas").length === 5`)
	if m := b.Texts(`select[name=metric] option`); strings.Join(m, " ") != "accuracy roc_auc mcc" {
		t.Errorf("metrics to choose from: %q", m)
	}
	for chart, want := range map[string]string{
		"quality":  "1970-01-01T02:00Z 0.8125 0.875 0.6875 0.625 0.6875 0.5625 0.9375",
		"coverage": "1970-01-01T02:00Z 60 %", "delay": "1970-01-01T02:00Z 1.5 h 54 h",
	} {
		var got string
		b.Eval(`(() => { const c = document.querySelector("[data-chart=`+chart+`]"), over = c.querySelector(".u-over"); c.scrollIntoView({block: "center"});
			const r = over.getBoundingClientRect(), x = r.left + r.width * 2 / 5, y = r.top + r.height / 2;
			over.dispatchEvent(new MouseEvent("mousemove", {clientX: x, clientY: y, bubbles: true}));
			return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done([...c.querySelectorAll(".u-value")].map((e) => e.textContent).join(" "))))); })()`, &got)
		if got != want {
			t.Errorf("%s at the third of six windows says %q, want %q", chart, got, want)
		}
	}
	// A column of pixels beside window 2 crosses the band of the interval: a run of one pale blue.
	var band struct{ Length, Red, Blue int }
	b.Eval(`(() => { const c = document.querySelector("[data-chart=quality] canvas"), r = document.querySelector("[data-chart=quality] .u-over").getBoundingClientRect();
		const scale = c.width / c.clientWidth, x = (r.left - c.getBoundingClientRect().left + r.width * 2 / 5 + 9) * scale;
		const p = c.getContext("2d").getImageData(x, 0, 1, c.height).data, best = {Length: 0, Red: 0, Blue: 0};
		for (let i = 0, length = 0, before = ""; i < p.length; i += 4) {
			const at = p.slice(i, i + 4).join();
			length = at === before ? length + 1 : 1;
			before = at;
			if (p[i + 3] > 0 && p[i] < p[i + 2] - 20 && length > best.Length) Object.assign(best, {Length: length, Red: p[i], Blue: p[i + 2]});
		}
		return best; })()`, &band)
	if band.Length < 5 {
		t.Errorf("no band is drawn: %+v", band)
	}
	b.Clean("the quality")
}
