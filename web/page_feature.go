package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// featurePage is what templates/feature.html shows.
type featurePage struct {
	selection
	choices
	Name        string
	Role        result.Role
	Doc         *result.Feature      // of the chosen window; nil without one
	Point       history.FeatureState // the same window
	Points      []history.FeatureState
	Total       int
	Older       string // the address of the window before, empty without one
	Newer       string
	Latest      string
	Model       string
	ModelURL    string
	Bins        []binRow
	Stats       []statRow
	Stat        string   // the statistic of the first chart
	StatNames   []string // those that can be chosen
	Pick        []pick
	Annotations []Annotation
	Data        featureData
}

// binRow is one bin with both shares; widths are of 1,000.
type binRow struct {
	result.Bin
	Reference, Current           string
	ReferenceWidth, CurrentWidth int
	Moved                        float64 // percentage points
}

type statRow struct {
	Name string
	result.Stat
	Rate bool
	Gate bool
}

// pick is one window of the window picker.
type pick struct {
	Value, Label string
	Selected     bool
}

// featureData is what the page's script draws: parallel arrays, oldest window first.
type featureData struct {
	Kind        string                `json:"kind"`
	Size        int64                 `json:"size_ms"`
	Start       []int64               `json:"start_ms"`
	Verdict     []result.Verdict      `json:"verdict"`
	Stat        string                `json:"stat"`
	Values      []*float64            `json:"values"`
	Lines       []chartLine           `json:"lines"`
	Rates       map[string][]*float64 `json:"rates"`
	Mean        []*float64            `json:"mean"`
	Median      []*float64            `json:"median"`
	RefMean     *float64              `json:"reference_mean"`
	RefMedian   *float64              `json:"reference_median"`
	Chosen      int64                 `json:"chosen_ms"`
	Numeric     bool                  `json:"numeric"`
	Annotations []Annotation          `json:"annotations"`
	Path        string                `json:"path"` // of this page; the window is added to the query
	Query       string                `json:"query"`
}

// chartLine is a horizontal line of a chart.
type chartLine struct {
	Label string  `json:"label"` // warning, drift, baseline
	Value float64 `json:"value"`
}

func featureView() view {
	return view{
		template: "feature.html", params: []string{"role", "version", "segment", "size", "windows", "window", "stat"},
		make: (*Server).featurePage,
	}
}

func (s *Server) featurePage(r *http.Request, p params) (*frame, error) {
	sel, _, c, err := s.choose(r, p)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("feature")
	chosen, err := p.time("window")
	if err != nil {
		return nil, err
	}
	q := history.FeatureQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: 0}, Page: history.Page{Limit: sel.Windows, Cursor: ""},
		Feature: name, Role: result.Role(p["role"]),
	}
	series, err := s.featureSeries(r, &q, chosen, sel.Size)
	if err != nil {
		return nil, err
	}
	data := featurePage{ // the rest is filled below
		selection: sel, choices: c, Name: name, Role: series.Role, Points: series.Points, Total: len(series.Points), Model: sel.Model, ModelURL: sel.URL(),
	}
	at := 0
	if chosen != 0 {
		at = slices.IndexFunc(series.Points, func(st history.FeatureState) bool { return st.Window.Start == chosen })
		if at < 0 {
			return nil, &history.NotFoundError{What: "window", Name: iso(chosen)}
		}
	}
	if len(series.Points) > 0 {
		data.Point = series.Points[at]
		if data.Doc, err = s.featureDoc(r, q, series, at); err != nil {
			return nil, err
		}
		describe(&data, p["stat"])
		s.featureCharts(&data, q)
		data.neighbours(q, at, p["stat"])
	}
	data.Points = data.Points[:min(len(data.Points), tableWindows)]
	title := name + " · " + sel.Model
	return &frame{Title: title, Section: "models", Version: "", Firing: "", Self: nil, Poll: "/api/v1/models/" + url.PathEscape(sel.Model), Main: data}, nil
}

// featureSeries reads the newest windows, or those around the chosen one where it is older than they.
func (s *Server) featureSeries(r *http.Request, q *history.FeatureQuery, chosen, size int64) (*history.FeatureSeries, error) {
	series, err := s.o.Reader.FeatureSeries(r.Context(), *q)
	if err != nil || chosen == 0 || len(series.Points) == 0 || chosen >= series.Points[len(series.Points)-1].Window.Start {
		return series, err
	}
	q.To = chosen + size*int64(max(1, q.Limit/2))
	return s.o.Reader.FeatureSeries(r.Context(), *q)
}

// featureDoc returns the whole document of one point.
func (s *Server) featureDoc(r *http.Request, q history.FeatureQuery, series *history.FeatureSeries, at int) (*result.Feature, error) {
	data := series.Latest
	if at > 0 {
		q.From, q.To = series.Points[at].Window.Start, series.Points[at].Window.Start+1
		q.Page = history.Page{Limit: 1, Cursor: ""}
		one, err := s.o.Reader.FeatureSeries(r.Context(), q)
		if err != nil {
			return nil, err
		}
		data = one.Latest
	}
	var f result.Feature
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("reading a stored feature: %w", err)
	}
	return &f, nil
}

// describe fills in what the chosen window said.
func describe(d *featurePage, stat string) {
	f := d.Doc
	var ref, cur uint64
	for _, b := range f.Bins {
		ref, cur = ref+b.Reference, cur+b.Current
	}
	largest := 0.0
	shares := make([][2]float64, len(f.Bins))
	for i, b := range f.Bins {
		shares[i] = [2]float64{ratio(b.Reference, ref), ratio(b.Current, cur)}
		largest = max(largest, shares[i][0], shares[i][1])
	}
	for i, b := range f.Bins {
		row := binRow{
			Bin: b, Reference: share(b.Reference, ref), Current: share(b.Current, cur), ReferenceWidth: 0, CurrentWidth: 0,
			Moved: 100 * (shares[i][1] - shares[i][0]),
		}
		if largest > 0 {
			row.ReferenceWidth, row.CurrentWidth = int(1000*shares[i][0]/largest), int(1000*shares[i][1]/largest)
		}
		d.Bins = append(d.Bins, row)
	}
	gate := f.Thresholds.Statistic
	for _, name := range slices.Sorted(maps.Keys(f.Statistics)) {
		d.Stats = append(d.Stats, statRow{Name: name, Stat: f.Statistics[name], Rate: isRate(name), Gate: name == gate})
	}
	d.StatNames = slices.Sorted(maps.Keys(d.Point.Statistics))
	d.Stat = gate
	if _, ok := d.Point.Statistics[stat]; ok {
		d.Stat = stat
	}
}

func ratio(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func isRate(name string) bool { return len(name) > 5 && name[len(name)-5:] == "_rate" }

// featureCharts fills in what is drawn over time.
func (s *Server) featureCharts(d *featurePage, q history.FeatureQuery) {
	n := len(d.Points)
	f := d.Doc
	c := featureData{
		Kind: "feature", Size: d.Size, Start: make([]int64, n), Verdict: make([]result.Verdict, n), Stat: d.Stat, Values: make([]*float64, n),
		Lines: lines(f, d.Stat), Rates: map[string][]*float64{}, Mean: make([]*float64, n), Median: make([]*float64, n),
		RefMean: f.Reference.Mean, RefMedian: f.Reference.Median, Chosen: d.Point.Window.Start, Numeric: f.Kind == "numeric",
		Annotations: s.annotations(d.Model, d.Points[n-1].Window.Start, d.Points[0].Window.End), Path: "", Query: "",
	}
	for i, p := range d.Points {
		at := n - 1 - i
		c.Start[at], c.Verdict[at], c.Values[at] = p.Window.Start, p.Verdict, p.Statistics[d.Stat].Value
		c.Mean[at], c.Median[at] = p.Current.Mean, p.Current.Median
		for name, st := range p.Statistics {
			if !isRate(name) {
				continue
			}
			if c.Rates[name] == nil {
				c.Rates[name] = make([]*float64, n)
			}
			c.Rates[name][at] = st.Value
		}
	}
	maps.DeleteFunc(c.Rates, func(_ string, v []*float64) bool {
		return !slices.ContainsFunc(v, func(x *float64) bool { return x != nil })
	})
	link := d.FeatureURL(q.Feature, d.Role, 0)
	u, err := url.Parse(link)
	if err == nil {
		values := u.Query()
		if d.Stat != f.Thresholds.Statistic {
			values.Set("stat", d.Stat)
		}
		c.Path, c.Query = u.EscapedPath(), values.Encode()
	}
	d.Annotations, d.Data = c.Annotations, c
}

// lines are the limits that a statistic was judged by.
func lines(f *result.Feature, stat string) []chartLine {
	t := f.Thresholds
	if stat == t.Statistic {
		return []chartLine{{"warning", t.Warning}, {"drift", t.Drift}}
	}
	if base := f.Statistics[stat].Baseline; isRate(stat) && base != nil {
		return []chartLine{{"reference", *base}, {"warning", *base + t.RateWarning}, {"drift", *base + t.RateDrift}}
	}
	return []chartLine{}
}

// neighbours fills in the links to the windows before and after, and the window picker.
func (d *featurePage) neighbours(q history.FeatureQuery, at int, stat string) {
	link := func(start int64) string {
		u := d.FeatureURL(q.Feature, d.Role, start)
		if stat == "" {
			return u
		}
		sep := "?"
		if parsed, err := url.Parse(u); err == nil && parsed.RawQuery != "" {
			sep = "&"
		}
		return u + sep + url.Values{"stat": {stat}}.Encode()
	}
	if at+1 < len(d.Points) {
		d.Older = link(d.Points[at+1].Window.Start)
	}
	if at > 0 {
		d.Newer = link(d.Points[at-1].Window.Start)
	}
	if at > 0 || q.To != 0 {
		d.Latest = link(0)
	}
	for i, p := range d.Points {
		d.Pick = append(d.Pick, pick{Value: iso(p.Window.Start), Label: iso(p.Window.Start) + " · " + string(p.Verdict), Selected: i == at})
	}
}
