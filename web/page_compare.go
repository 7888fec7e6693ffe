package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// comparePage is what templates/compare.html shows: two versions of a model, A and B, side by side.
type comparePage struct {
	selection
	choices
	A, B     *side
	Count    int // windows, as chosen
	Choices  []int
	Common   int         // windows in which both had events
	Together bool        // the windows that are compared are the same one
	Errors   [2]*float64 // B's error rate less A's, its interval at 95 %; of the windows in common
	Latency  []latencyRow
	Metrics  []compareMetric
	Features []compareFeature
	Why      string // features are not compared
	Rows     []compareRow
	ModelURL string
	Data     compareData
}

// side is one of the two versions.
type side struct {
	Version       string
	URL           string          // its own page
	Window        *result.Summary // that is compared
	Quality       *result.Quality // that is compared
	Events        uint64          // of the windows in common, of all where there is none
	Failed        uint64
	Lower, Upper  *float64 // interval of the error rate at 95 %
	windows       []result.Summary
	qualityOf     map[int64]*result.Quality // by start of the window
	latestQuality int64
}

// latencyRow is one quantile of both.
type latencyRow struct {
	Quantile      string
	A, B, Ratio   *float64
	ARatio, BOver result.Stat // over the reference, at 99.9 %
}

// compareMetric is one measure of quality of both, and how much B has more.
type compareMetric struct {
	Name, Class string
	A, B        *result.Metric // nil: it was not measured
	Difference  *result.Metric // nil where a side is missing
	Significant bool
}

// compareFeature is one feature of both. PSI is psi_debiased of B's values against A's, over the reference's bins.
type compareFeature struct {
	Feature string
	Role    result.Role
	A, B    *result.Feature
	PSI     *float64
	URL     string // B's page of it
}

// compareRow is a window of either.
type compareRow struct {
	Start int64
	A, B  *result.Summary
	Ratio *float64 // of p95
}

// compareData is what the page's scripts draw: parallel arrays, oldest window first.
type compareData struct {
	Kind        string       `json:"kind"`
	Size        int64        `json:"size_ms"`
	Start       []int64      `json:"start_ms"`
	Names       [2]string    `json:"names"`
	Metric      string       `json:"metric"` // of quality; empty: there is none
	Sides       [2]sideData  `json:"sides"`
	Annotations []Annotation `json:"annotations"`
}

type sideData struct {
	Events []*float64 `json:"events"`
	Errors []*float64 `json:"errors"` // % of the events
	P95    []*float64 `json:"p95"`
	Value  []*float64 `json:"value"`
	Lower  []*float64 `json:"lower"`
	Upper  []*float64 `json:"upper"`
}

func compareView() view {
	return view{template: "compare.html", params: []string{"a", "b", "segment", "size", "windows", "to"}, make: (*Server).comparePage}
}

// compareURL leads to two versions side by side; without names the page chooses.
func (s selection) compareURL() string {
	q := s.query()
	q.Del("version")
	return withQuery("/models/"+url.PathEscape(s.Model)+"/compare", q)
}

func (s *Server) comparePage(r *http.Request, p params) (*frame, error) {
	sel, detail, c, err := s.choose(r, p)
	if err != nil {
		return nil, err
	}
	data := comparePage{selection: sel, choices: c, Count: sel.Windows, Choices: c.Windows} //nolint:exhaustruct // filled in below
	a, b := candidates(sel, detail.Latest)
	if v, ok := p["a"]; ok {
		a = v
	}
	if v, ok := p["b"]; ok {
		b = v
	}
	if a == "" || b == "" || a == b {
		return nil, &history.QueryError{Field: "a", Detail: fmt.Sprintf("and `b` must be two versions of the model, got %q and %q", a, b)}
	}
	if data.A, err = s.side(r, sel, a); err != nil {
		return nil, err
	}
	if data.B, err = s.side(r, sel, b); err != nil {
		return nil, err
	}
	link := sel
	link.To = 0
	data.ModelURL = link.URL()
	data.pair()
	data.totals()
	data.compareLatency()
	data.compareQuality()
	if err := s.compareFeatures(r, &data); err != nil {
		return nil, err
	}
	data.draw()
	if n := len(data.Data.Start); n > 0 {
		data.Data.Annotations = s.annotations(sel.Model, data.Data.Start[0], data.Data.Start[n-1]+sel.Size)
	}
	return &frame{
		Title: sel.Model + ": " + a + " and " + b, Section: "models", Version: "", Firing: "", Self: nil, Poll: "/api/v1/models/" + url.PathEscape(sel.Model), Main: data,
	}, nil
}

// candidates are the two versions that had windows last, in the order of their names; empty where there are fewer.
func candidates(sel selection, latest []history.State) (a, b string) {
	var all []history.State
	for i := range latest {
		if st := &latest[i]; st.Version != result.All && st.Segment == sel.Segment && st.Window.Size == sel.Size {
			all = append(all, *st)
		}
	}
	slices.SortStableFunc(all, func(x, y history.State) int {
		return cmp.Or(cmp.Compare(y.Window.Start, x.Window.Start), cmp.Compare(y.Version, x.Version))
	})
	if len(all) < 2 {
		return "", ""
	}
	return min(all[0].Version, all[1].Version), max(all[0].Version, all[1].Version)
}

// side reads what is stored of a version.
func (s *Server) side(r *http.Request, sel selection, version string) (*side, error) {
	sel.Version = version
	link := sel
	link.To = 0
	out := &side{Version: version, URL: link.URL(), qualityOf: map[int64]*result.Quality{}} //nolint:exhaustruct // filled in below
	list, err := s.o.Reader.Windows(r.Context(), history.WindowsQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: sel.To}, Page: history.Page{Limit: sel.Windows, Cursor: ""},
	})
	if err != nil {
		return nil, err
	}
	if out.windows, err = summaries(list); err != nil {
		return nil, err
	}
	docs, err := s.qualityDocs(r, sel)
	if err != nil {
		return nil, err
	}
	for _, q := range docs {
		if q.Labels > 0 {
			out.qualityOf[q.Window.Start] = q
			out.latestQuality = max(out.latestQuality, q.Window.Start)
		}
	}
	return out, nil
}

// pair lists the windows of both, newest first, and chooses those that are compared: the newest in which both had events, else the
// newest of each that had any. Of quality it is the newest in which both had labels.
func (d *comparePage) pair() {
	rows := map[int64]*compareRow{}
	for i, s := range []*side{d.A, d.B} {
		for j := range s.windows {
			w := &s.windows[j]
			if w.Counts.Events == 0 {
				continue
			}
			row := rows[w.Window.Start]
			if row == nil {
				row = &compareRow{Start: w.Window.Start, A: nil, B: nil, Ratio: nil}
				rows[w.Window.Start] = row
			}
			at := &row.A
			if i == 1 {
				at = &row.B
			}
			if *at == nil {
				*at = w
			}
		}
	}
	for _, row := range rows {
		d.Rows = append(d.Rows, *row)
	}
	slices.SortFunc(d.Rows, func(x, y compareRow) int { return cmp.Compare(y.Start, x.Start) })
	for i := range d.Rows {
		row := &d.Rows[i]
		if row.A == nil || row.B == nil {
			continue
		}
		row.Ratio = over(row.B.Latency.Quantiles["0.95"], row.A.Latency.Quantiles["0.95"])
		if d.Common++; d.Common == 1 {
			d.A.Window, d.B.Window, d.Together = row.A, row.B, true
		}
	}
	if !d.Together {
		for _, s := range []*side{d.A, d.B} {
			if n := newest(s.windows); n < len(s.windows) {
				s.Window = &s.windows[n]
			}
		}
	}
	both := int64(-1)
	for start := range d.A.qualityOf {
		if d.B.qualityOf[start] != nil {
			both = max(both, start)
		}
	}
	if both >= 0 {
		d.A.Quality, d.B.Quality = d.A.qualityOf[both], d.B.qualityOf[both]
	} else {
		d.A.Quality, d.B.Quality = d.A.qualityOf[d.A.latestQuality], d.B.qualityOf[d.B.latestQuality]
	}
}

// totals adds events and errors of the windows in common up; where there is none, of all windows that are shown.
func (d *comparePage) totals() {
	for _, row := range d.Rows {
		if d.Common > 0 && (row.A == nil || row.B == nil) {
			continue
		}
		if row.A != nil {
			d.A.Events, d.A.Failed = d.A.Events+row.A.Counts.Events, d.A.Failed+row.A.Errors
		}
		if row.B != nil {
			d.B.Events, d.B.Failed = d.B.Events+row.B.Counts.Events, d.B.Failed+row.B.Errors
		}
	}
	for _, s := range []*side{d.A, d.B} {
		if i, ok := stat.Wilson(s.Failed, s.Events, 0.95); ok {
			s.Lower, s.Upper = &i.Lower, &i.Upper
		}
	}
	if i, ok := stat.Newcombe(d.A.Failed, d.A.Events, d.B.Failed, d.B.Events, 0.95); ok && d.Common > 0 {
		d.Errors = [2]*float64{&i.Lower, &i.Upper}
	}
}

func (d *comparePage) compareLatency() {
	if d.A.Window == nil || d.B.Window == nil {
		return
	}
	a, b := &d.A.Window.Latency, &d.B.Window.Latency
	for _, q := range []string{"0.5", "0.9", "0.95", "0.99", "0.999"} {
		d.Latency = append(d.Latency, latencyRow{
			Quantile: q, A: a.Quantiles[q], B: b.Quantiles[q], Ratio: over(b.Quantiles[q], a.Quantiles[q]), ARatio: a.Ratio[q], BOver: b.Ratio[q],
		})
	}
}

// over is a quotient, nil where there is none.
func over(x, y *float64) *float64 {
	if x == nil || y == nil || *y == 0 {
		return nil
	}
	ratio := *x / *y
	return &ratio
}

func (d *comparePage) compareQuality() {
	a, b := d.A.Quality, d.B.Quality
	if a == nil || b == nil || a.Task != b.Task {
		return
	}
	d.Data.Metric = mainMetric(a.Task)
	for _, m := range a.Metrics {
		row := compareMetric{Name: m.Name, Class: m.Class, A: &m, B: metricOf(b.Metrics, m.Name, m.Class), Difference: nil, Significant: false}
		if row.B != nil {
			difference := quality.Difference(*row.B, m)
			row.Difference, row.Significant = &difference, beyondZero(&difference)
		}
		d.Metrics = append(d.Metrics, row)
	}
}

// compareFeatures ranks the features by how far the two windows differ: counts over the same bins, those of the reference.
func (s *Server) compareFeatures(r *http.Request, d *comparePage) error {
	a, b := d.A.Window, d.B.Window
	switch {
	case a == nil || b == nil:
		d.Why = "a version has no window with events here"
		return nil
	case keyOf(result.Window{}, a.Ref) != keyOf(result.Window{}, b.Ref): //nolint:exhaustruct // the fingerprints alone
		d.Why = "the two windows were judged against different references, whose bins differ"
	}
	as, err := s.windowFeatures(r, d.Model, a.ResultID)
	if err != nil {
		return err
	}
	bs, err := s.windowFeatures(r, d.Model, b.ResultID)
	if err != nil {
		return err
	}
	link := d.selection
	link.Version = d.B.Version
	for i := range bs {
		f := &bs[i]
		row := compareFeature{Feature: f.Feature, Role: f.Role, A: nil, B: f, PSI: nil, URL: link.FeatureURL(f.Feature, f.Role, b.Window.Start)}
		if at := slices.IndexFunc(as, func(o result.Feature) bool { return o.Feature == f.Feature && o.Role == f.Role }); at >= 0 {
			row.A = &as[at]
			if d.Why == "" {
				row.PSI = psiOf(row.A.Bins, f.Bins)
			}
		}
		d.Features = append(d.Features, row)
	}
	slices.SortStableFunc(d.Features, func(x, y compareFeature) int {
		switch {
		case x.PSI == nil || y.PSI == nil:
			return cmp.Compare(boolInt(x.PSI == nil), boolInt(y.PSI == nil))
		default:
			return cmp.Compare(*y.PSI, *x.PSI)
		}
	})
	return nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Server) windowFeatures(r *http.Request, model, resultID string) ([]result.Feature, error) {
	w, err := s.o.Reader.Window(r.Context(), model, resultID)
	if err != nil {
		return nil, err
	}
	out := make([]result.Feature, len(w.Features))
	for i, data := range w.Features {
		if err := json.Unmarshal(data, &out[i]); err != nil {
			return nil, fmt.Errorf("reading a stored feature: %w", err)
		}
	}
	return out, nil
}

// psiOf is psi_debiased of two windows over the bins that they share; nil where they share none.
func psiOf(a, b []result.Bin) *float64 {
	if len(a) != len(b) {
		return nil
	}
	x, y := make([]uint64, len(a)), make([]uint64, len(b))
	for i := range a {
		if a[i].Label != b[i].Label {
			return nil
		}
		x[i], y[i] = a[i].Current, b[i].Current
	}
	psi, ok := stat.PSI(x, y, stat.Smoothing{Floor: 0})
	if !ok {
		return nil
	}
	psi -= float64(stat.Occupied(x, y)-1) * (1/float64(stat.Total(x)) + 1/float64(stat.Total(y)))
	return &psi
}

// draw lays both on the windows of either, oldest first, and keeps the newest rows for the table.
func (d *comparePage) draw() {
	n := len(d.Rows)
	d.Data.Kind, d.Data.Size, d.Data.Names, d.Data.Annotations = "compare", d.Size, [2]string{d.A.Version, d.B.Version}, []Annotation{}
	d.Data.Start = make([]int64, n)
	for k, s := range []*side{d.A, d.B} {
		column := func() []*float64 { return make([]*float64, n) }
		out := sideData{Events: column(), Errors: column(), P95: column(), Value: column(), Lower: column(), Upper: column()}
		for i := range d.Rows {
			at, row := n-1-i, &d.Rows[i]
			d.Data.Start[at] = row.Start
			w := row.A
			if k == 1 {
				w = row.B
			}
			if w == nil {
				continue
			}
			out.Events[at], out.P95[at] = new(float64(w.Counts.Events)), w.Latency.Quantiles["0.95"]
			out.Errors[at] = new(100 * float64(w.Errors) / float64(w.Counts.Events))
			if q := s.qualityOf[row.Start]; q != nil {
				if m := metricOf(q.Metrics, d.Data.Metric, ""); m != nil {
					out.Value[at], out.Lower[at], out.Upper[at] = m.Value, m.Lower, m.Upper
				}
			}
		}
		d.Data.Sides[k] = out
	}
	d.Rows = d.Rows[:min(n, tableWindows)]
}

// verdictRow is the newest verdict of one comparison, with the page of its versions.
type verdictRow struct {
	result.Comparison

	URL string
}

// verdictRows lists the newest verdict of each comparison of a model.
func (s *Server) verdictRows(r *http.Request, sel selection) ([]verdictRow, error) {
	list, err := s.o.Reader.Verdicts(r.Context(), history.VerdictsQuery{Page: history.Page{Limit: 0, Cursor: ""}, Model: sel.Model, Compare: ""})
	if err != nil {
		return nil, err
	}
	rows := make([]verdictRow, len(list.Documents))
	for i, data := range list.Documents {
		if err := json.Unmarshal(data, &rows[i].Comparison); err != nil {
			return nil, fmt.Errorf("reading a stored verdict: %w", err)
		}
		q := url.Values{"a": {rows[i].Baseline}, "b": {rows[i].Candidate}, "size": {sizeName(rows[i].Window.Size)}}
		rows[i].URL = withQuery("/models/"+url.PathEscape(sel.Model)+"/compare", q)
	}
	return rows, nil
}
