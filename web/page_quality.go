package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// qualityPart is what the page shows of how right a model's predictions were. Nil: nothing was said of it.
type qualityPart struct {
	Doc     *result.Quality   // of the newest window that has labels, else of the newest one with predictions
	Waiting *result.Quality   // of a newer window that has predictions and no label yet; nil: none
	Shown   qualityRow        // of Doc, of the metric that is drawn
	Ahead   *qualityRow       // of Waiting
	Name    string            // of the metric that is drawn
	Names   []string          // that can be drawn
	Metrics []metricRow       // of Doc
	Classes bool              // some of them are of one class
	Cells   []confusionRow    // of Doc
	Notes   []string          // what Doc counted beside its metrics
	Rows    []qualityRow      // the newest windows, for the table
	Drawn   qualityData       // on the windows of the page
	docs    []*result.Quality // newest first
}

// qualityRow is one window, with the metric that is drawn.
type qualityRow struct {
	*result.Quality

	Metric   result.Metric  // of the labels
	Estimate *result.Metric // without labels; nil where it is not estimated
	Baseline *result.Metric // of the reference; nil without one
}

// metricRow is one measure of a window, from labels, beside its estimate and the reference's.
type metricRow struct {
	result.Metric

	Estimate, Baseline, Change *result.Metric
	Significant                bool // the interval of the change does not hold 0
}

// confusionRow is one class of labels, with what was predicted instead.
type confusionRow struct {
	Class string
	Cells []uint64
}

// qualityData is what the page's scripts draw; its arrays are parallel to those of the windows.
type qualityData struct {
	Metric        string     `json:"metric"`
	Value         []*float64 `json:"value"`
	Lower         []*float64 `json:"lower"`
	Upper         []*float64 `json:"upper"`
	Estimate      []*float64 `json:"estimate"`
	EstimateLower []*float64 `json:"estimate_lower"` // where labels may still come
	EstimateUpper []*float64 `json:"estimate_upper"`
	Baseline      []*float64 `json:"baseline"`
	Coverage      []*float64 `json:"coverage"`
	DelayP50      []*float64 `json:"delay_p50_h"`
	DelayP95      []*float64 `json:"delay_p95_h"`
}

// mainMetric is what is drawn of a task unless another one is chosen.
func mainMetric(task string) string {
	switch task {
	case "binary":
		return "roc_auc"
	case "multiclass":
		return "macro_f1"
	}
	return "mae"
}

// metricOf returns a metric of all classes by name, nil where there is none.
func metricOf(of []result.Metric, name, class string) *result.Metric {
	if i := slices.IndexFunc(of, func(m result.Metric) bool { return m.Name == name && m.Class == class }); i >= 0 {
		return &of[i]
	}
	return nil
}

// qualityDocs reads what was last said of the quality of a series' windows, newest first; none where nobody said anything.
func (s *Server) qualityDocs(r *http.Request, sel selection) ([]*result.Quality, error) {
	list, err := s.o.Reader.Quality(r.Context(), history.QualityQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: sel.To}, Page: history.Page{Limit: sel.Windows, Cursor: ""}, Maturity: nil,
	})
	if err != nil {
		return nil, err
	}
	docs := make([]*result.Quality, len(list.Documents))
	for i, data := range list.Documents {
		docs[i] = new(result.Quality)
		if err := json.Unmarshal(data, docs[i]); err != nil {
			return nil, fmt.Errorf("reading a stored quality: %w", err)
		}
	}
	return docs, nil
}

// modelQuality returns the part of a model's page about quality, with one metric over the windows that the page shows, newest first.
func (s *Server) modelQuality(r *http.Request, sel selection, name string, windows []result.Summary) (*qualityPart, error) {
	docs, err := s.qualityDocs(r, sel)
	if err != nil {
		return nil, err
	}
	with := func(labels uint64) func(*result.Quality) bool {
		return func(q *result.Quality) bool { return q.Predictions > 0 && q.Labels >= labels }
	}
	at, newest := slices.IndexFunc(docs, with(1)), slices.IndexFunc(docs, with(0))
	if newest < 0 {
		return nil, nil //nolint:nilnil // nothing was said of it
	}
	if at < 0 {
		at = newest
	}
	p := &qualityPart{ //nolint:exhaustruct // filled in below
		Doc: docs[at], Name: name, Names: metricNames(docs[at]), docs: docs,
	}
	switch {
	case name == "":
		p.Name = mainMetric(p.Doc.Task)
	case !slices.Contains(p.Names, name):
		return nil, &history.QueryError{Field: "metric", Detail: fmt.Sprintf("must be one of %s, got %q", strings.Join(p.Names, ", "), name)}
	}
	p.Shown = qualityRowOf(p.Doc, p.Name)
	if newest < at {
		ahead := qualityRowOf(docs[newest], p.Name)
		p.Waiting, p.Ahead = docs[newest], &ahead
	}
	p.Metrics, p.Notes = metricRows(p.Doc), qualityNotes(p.Doc)
	if c := p.Doc.Confusion; c != nil {
		for i, class := range c.Classes {
			p.Cells = append(p.Cells, confusionRow{Class: class, Cells: c.Matrix[i]})
		}
	}
	p.Classes = slices.ContainsFunc(p.Doc.Metrics, func(m result.Metric) bool { return m.Class != "" })
	for _, q := range docs[:min(len(docs), tableWindows)] {
		p.Rows = append(p.Rows, qualityRowOf(q, p.Name))
	}
	p.draw(windows)
	return p, nil
}

// metricNames lists the metrics that are not of one class among several, those from labels first.
func metricNames(q *result.Quality) []string {
	var names []string
	for _, m := range q.Metrics {
		if m.Class == "" {
			names = append(names, m.Name)
		}
	}
	return names
}

func qualityRowOf(q *result.Quality, name string) qualityRow {
	row := qualityRow{Quality: q, Metric: result.Metric{Name: name, Reason: "not measured"}, Estimate: nil, Baseline: metricOf(q.Reference, name, "")} //nolint:exhaustruct // null
	if m := metricOf(q.Metrics, name, ""); m != nil {
		row.Metric = *m
	}
	if q.Estimate != nil {
		row.Estimate = metricOf(q.Estimate.Metrics, name, "")
	}
	return row
}

func metricRows(q *result.Quality) []metricRow {
	rows := make([]metricRow, len(q.Metrics))
	for i, m := range q.Metrics {
		rows[i] = metricRow{Metric: m, Estimate: nil, Baseline: metricOf(q.Reference, m.Name, m.Class), Change: metricOf(q.Change, m.Name, m.Class), Significant: false}
		if q.Estimate != nil {
			rows[i].Estimate = metricOf(q.Estimate.Metrics, m.Name, m.Class)
		}
		if c := rows[i].Change; c != nil {
			rows[i].Significant = beyondZero(c)
		}
	}
	return rows
}

// beyondZero reports whether a difference is more than chance.
func beyondZero(m *result.Metric) bool {
	return m.Lower != nil && m.Upper != nil && (*m.Lower > 0 || *m.Upper < 0)
}

// qualityNotes says what a document counted beside its metrics.
func qualityNotes(q *result.Quality) []string {
	var notes []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{q.Corrected, "labels replaced an earlier one"},
		{q.Duplicate, "labels said again what was known"},
		{q.Unmatched, "labels have no prediction yet"},
		{q.Evicted, "predictions could not wait for their label"},
	} {
		if c.n > 0 {
			notes = append(notes, grouped(c.n)+" "+c.what)
		}
	}
	byCount := func(of map[string]uint64, what string) {
		names := make([]string, 0, len(of))
		for name := range of {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
		for _, name := range names {
			notes = append(notes, grouped(of[name])+" "+what+": "+name)
		}
	}
	byCount(q.Flawed, "predictions that nothing can be said of")
	byCount(q.Unusable, "labels that are in no metric")
	if e := q.Estimate; e != nil {
		notes = append(notes, "estimate: "+e.Calibration)
		if e.Left > 0 {
			notes = append(notes, grouped(e.Left)+" predictions without a probability are not in the estimate")
		}
	}
	return notes
}

// draw lays the documents on windows, newest first, oldest window first in what is drawn.
func (p *qualityPart) draw(windows []result.Summary) {
	n := len(windows)
	column := func() []*float64 { return make([]*float64, n) }
	d := qualityData{
		Metric: p.Name, Value: column(), Lower: column(), Upper: column(), Estimate: column(), EstimateLower: column(), EstimateUpper: column(), Baseline: column(),
		Coverage: column(), DelayP50: column(), DelayP95: column(),
	}
	of := map[windowKey]*result.Quality{}
	for _, q := range p.docs {
		of[keyOf(q.Window, q.Ref)] = q
	}
	for i := range windows {
		at, q := n-1-i, of[keyOf(windows[i].Window, windows[i].Ref)]
		if q == nil || q.Predictions == 0 {
			continue
		}
		row := qualityRowOf(q, p.Name)
		d.Value[at], d.Lower[at], d.Upper[at] = row.Metric.Value, row.Metric.Lower, row.Metric.Upper
		d.Coverage[at], d.DelayP50[at], d.DelayP95[at] = q.Coverage, hours(q.DelayP50), hours(q.DelayP95)
		if row.Estimate != nil {
			d.Estimate[at] = row.Estimate.Value
			if !q.Final {
				d.EstimateLower[at], d.EstimateUpper[at] = row.Estimate.Lower, row.Estimate.Upper
			}
		}
		if row.Baseline != nil {
			d.Baseline[at] = row.Baseline.Value
		}
	}
	p.Drawn = d
}

// windowKey names a window of a series: one that was judged against two references is there twice.
type windowKey struct {
	start, end  int64
	fingerprint string
}

func keyOf(w result.Window, ref *result.ReferenceID) windowKey {
	k := windowKey{start: w.Start, end: w.End, fingerprint: ""}
	if ref != nil {
		k.fingerprint = ref.Fingerprint
	}
	return k
}

// hours turns milliseconds into hours.
func hours(ms *float64) *float64 {
	if ms == nil {
		return nil
	}
	h := *ms / 3_600_000
	return &h
}
