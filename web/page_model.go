package web

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// Tables beside charts hold the newest rows only; the API has the others.
const (
	tableWindows    = 60
	heatTable       = 12
	modelsIncidents = 10
)

// modelPage is what templates/model.html shows.
type modelPage struct {
	selection
	choices
	Detail      *history.ModelDetail
	Newest      *result.Summary // of the windows shown, with events if one has them; nil without one
	Empty       int64           // start of a newer window without events; 0: none
	Windows     []result.Summary
	Total       int // windows shown in the charts
	Count       int // as chosen
	Choices     []int
	Older       string
	Latest      string // the address without `to`
	Heat        *heatTablePage
	Features    []featureRow
	VersionRows []partRow // side by side, of the segment shown
	Parts       []partRow // segments of the version shown, the furthest moved first
	Compare     string    // the address of the versions side by side; empty: there are fewer than two
	Quality     *qualityPart
	Verdicts    []verdictRow // the newest of each comparison of versions
	Incidents   []incident
	Alerts      string
	Annotations []Annotation
	Data        modelData
}

// modelData is what the page's scripts draw: parallel arrays, oldest window first.
type modelData struct {
	Kind        string              `json:"kind"`
	Size        int64               `json:"size_ms"`
	Start       []int64             `json:"start_ms"`
	Events      []uint64            `json:"events"`
	Errors      []uint64            `json:"errors"`
	P50         []*float64          `json:"p50"`
	P95         []*float64          `json:"p95"`
	P99         []*float64          `json:"p99"`
	Reference   map[string]*float64 `json:"reference_ms"`
	Annotations []Annotation        `json:"annotations"`
	Quality     *qualityData        `json:"quality"`       // null: nothing was said of it
	Heat        string              `json:"heat"`          // the address of the matrix
	Feature     string              `json:"feature_path"`  // the address of a feature's page is this path, its name,
	Query       string              `json:"feature_query"` // and this query, with role and window added
}

// heatTablePage is the newest part of the heat map as a table.
type heatTablePage struct {
	Windows []history.HeatWindow
	Rows    []heatRow
}

type heatRow struct {
	Feature string
	Role    result.Role
	URL     string
	Cells   []heatCell
}

type heatCell struct {
	Verdict result.Verdict
	PSI     *float64
	URL     string
}

// featureRow is what a window said of a feature.
type featureRow struct {
	Feature result.Feature
	URL     string
	PSI, KS *float64
	Missing *float64
}

// partRow is what the newest window of a version or a segment said.
type partRow struct {
	history.State

	Name  string
	URL   string
	Shown bool // it is what the page shows
}

// maxParts bounds the rows of a table of parts; the selectors and the API have the others.
const maxParts = 100

// parts lists the versions of the selected segment by name, and the segments of the selected version: by verdict, then by the share of
// features that drifted, then by size.
func parts(sel selection, latest []history.State) (versions, segments []partRow) {
	for i := range latest {
		st := &latest[i]
		if st.Window.Size != sel.Size {
			continue
		}
		link := sel
		link.To, link.Version, link.Segment = 0, st.Version, st.Segment
		row := partRow{State: *st, Name: "", URL: link.URL(), Shown: st.Version == sel.Version && st.Segment == sel.Segment}
		if st.Segment == sel.Segment {
			row.Name = st.Version
			versions = append(versions, row)
		}
		if st.Version == sel.Version {
			row.Name = st.Segment
			segments = append(segments, row)
		}
	}
	slices.SortStableFunc(segments, func(a, b partRow) int {
		return cmp.Or(cmp.Compare(barHeight(b.Verdict), barHeight(a.Verdict)), cmp.Compare(value(b.DriftShare), value(a.DriftShare)),
			cmp.Compare(b.Events, a.Events))
	})
	return several(versions), several(segments)
}

// several leaves out a table that would say nothing: there is only one part.
func several(rows []partRow) []partRow {
	if len(rows) < 2 {
		return nil
	}
	return rows[:min(len(rows), maxParts)]
}

func modelView() view {
	return view{
		template: "model.html", params: []string{"version", "segment", "size", "windows", "to", "metric"}, make: (*Server).modelPage,
	}
}

func (s *Server) modelPage(r *http.Request, p params) (*frame, error) {
	sel, detail, c, err := s.choose(r, p)
	if err != nil {
		return nil, err
	}
	data := modelPage{selection: sel, choices: c, Detail: detail, Count: sel.Windows, Choices: c.Windows}
	if err := s.modelWindows(r, &data, p["metric"]); err != nil {
		return nil, err
	}
	if data.Heat, err = s.heatTable(r, sel); err != nil {
		return nil, err
	}
	if data.Features, err = s.featureRows(r, sel, data.Newest); err != nil {
		return nil, err
	}
	data.VersionRows, data.Parts = parts(sel, detail.Latest)
	if data.Verdicts, err = s.verdictRows(r, sel); err != nil {
		return nil, err
	}
	if a, b := candidates(sel, detail.Latest); a != "" && b != "" {
		link := sel
		link.To = 0
		data.Compare = link.compareURL()
	}
	page := history.Page{Limit: modelsIncidents, Cursor: ""}
	data.Incidents, _, err = s.incidents(r, history.AlertsQuery{Page: page, Model: sel.Model, State: "", Incident: ""}, sel)
	if err != nil {
		return nil, err
	}
	data.Alerts = withQuery("/alerts", url.Values{"model": {sel.Model}})
	return &frame{
		Title: sel.Model, Section: "models", Version: "", Firing: "", Self: nil, Poll: "/api/v1/models/" + url.PathEscape(sel.Model), Main: data,
	}, nil
}

// modelWindows fills in the windows' summaries and what is drawn of them.
func (s *Server) modelWindows(r *http.Request, data *modelPage, metric string) error {
	list, err := s.o.Reader.Windows(r.Context(), history.WindowsQuery{
		Series: data.series(), Range: history.Range{From: 0, To: data.To}, Page: history.Page{Limit: data.selection.Windows, Cursor: ""},
	})
	if err != nil {
		return err
	}
	sums, err := summaries(list)
	if err != nil {
		return err
	}
	n := len(sums)
	d := modelData{
		Kind: "model", Size: data.Size, Start: make([]int64, n), Events: make([]uint64, n), Errors: make([]uint64, n),
		P50: make([]*float64, n), P95: make([]*float64, n), P99: make([]*float64, n), Reference: map[string]*float64{},
		Annotations: []Annotation{}, Quality: nil, Heat: "", Feature: "/models/" + url.PathEscape(data.Model) + "/features/", Query: "",
	}
	for i := range sums {
		at := n - 1 - i
		w := &sums[i]
		d.Start[at], d.Events[at], d.Errors[at] = w.Window.Start, w.Counts.Events, w.Errors
		d.P50[at], d.P95[at], d.P99[at] = w.Latency.Quantiles["0.5"], w.Latency.Quantiles["0.95"], w.Latency.Quantiles["0.99"]
	}
	if n > 0 {
		data.Newest = &sums[newest(sums)]
		if data.Newest != &sums[0] {
			data.Empty = sums[0].Window.Start
		}
		if sums[0].Latency.Reference != nil {
			d.Reference = sums[0].Latency.Reference
		}
		d.Annotations = s.annotations(data.Model, sums[n-1].Window.Start, sums[0].Window.End)
		if list.Next != "" {
			older := data.selection
			older.To = sums[n-1].Window.Start
			data.Older = older.URL()
		}
	}
	if data.Quality, err = s.modelQuality(r, data.selection, metric, sums); err != nil {
		return err
	}
	if data.Quality != nil {
		d.Quality = &data.Quality.Drawn
	}
	link := data.selection
	link.To = 0
	d.Query, data.Latest = link.query().Encode(), link.URL()
	more := url.Values{"limit": {strconv.Itoa(data.selection.Windows)}}
	d.Heat = data.API("/heat", more)
	data.Windows, data.Total, data.Annotations, data.Data = sums[:min(n, tableWindows)], n, d.Annotations, d
	return nil
}

func verdictOf(letter byte) result.Verdict {
	for _, v := range []result.Verdict{result.Drift, result.Warning, result.Stable, result.Insufficient} {
		if history.VerdictLetter(v) == letter {
			return v
		}
	}
	return ""
}

func (s *Server) heatTable(r *http.Request, sel selection) (*heatTablePage, error) {
	heat, err := s.o.Reader.Heat(r.Context(), history.WindowsQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: sel.To}, Page: history.Page{Limit: heatTable, Cursor: ""},
	})
	if err != nil {
		return nil, err
	}
	out := &heatTablePage{Windows: heat.Windows, Rows: make([]heatRow, len(heat.Features))}
	for i := range heat.Features {
		f := &heat.Features[i]
		row := heatRow{Feature: f.Feature, Role: f.Role, URL: sel.FeatureURL(f.Feature, f.Role, 0), Cells: make([]heatCell, len(heat.Windows))}
		for j := range heat.Windows {
			cell := heatCell{Verdict: verdictOf(f.Verdicts[j]), PSI: nil, URL: ""}
			if cell.Verdict != "" {
				cell.URL = sel.FeatureURL(f.Feature, f.Role, heat.Windows[j].Window.Start)
			}
			if v := f.PSI[j]; !math.IsNaN(v) {
				cell.PSI = &v
			}
			row.Cells[j] = cell
		}
		out.Rows[i] = row
	}
	return out, nil
}

// featureRows lists the features of a window, the worst first.
func (s *Server) featureRows(r *http.Request, sel selection, of *result.Summary) ([]featureRow, error) {
	if of == nil {
		return nil, nil
	}
	w, err := s.o.Reader.Window(r.Context(), sel.Model, of.ResultID)
	if err != nil {
		return nil, err
	}
	rows := make([]featureRow, len(w.Features))
	for i, data := range w.Features {
		f := &rows[i].Feature
		if err := json.Unmarshal(data, f); err != nil {
			return nil, fmt.Errorf("reading a stored feature: %w", err)
		}
		rows[i].URL = sel.FeatureURL(f.Feature, f.Role, of.Window.Start)
		rows[i].PSI, rows[i].KS, rows[i].Missing = f.Statistics["psi_debiased"].Value, f.Statistics["ks"].Value, f.Statistics["missing_rate"].Value
	}
	slices.SortStableFunc(rows, func(a, b featureRow) int {
		if by := barHeight(b.Feature.Verdict) - barHeight(a.Feature.Verdict); by != 0 {
			return by
		}
		switch x, y := value(a.PSI), value(b.PSI); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return rows, nil
}

func value(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}
