// Package picture draws what an incident is about: the two distributions beside each other, and the statistic over time with its
// threshold. The data are those of the stored results, by the questions of package history.
package picture

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// Reader answers what windows said; its errors are those of package history.
type Reader interface {
	Window(ctx context.Context, model, resultID string) (*history.Window, error)
	Windows(ctx context.Context, q history.WindowsQuery) (*history.Windows, error)
	FeatureSeries(ctx context.Context, q history.FeatureQuery) (*history.FeatureSeries, error)
	LabelReader
}

// LabelReader answers what was said of windows at maturities.
type LabelReader interface {
	Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error)
	Fairness(ctx context.Context, q history.FairnessQuery) (*history.Quality, error)
}

// ErrNotYet says that the result of the transition is not, or not whole, in the store: it may come.
var ErrNotYet = errors.New("the result is not in the store")

const (
	maxWindows    = 60 // of the line over time
	maxDimensions = 8  // of a model's segments
	maxBars       = 16 // of a distribution: those that moved most, when there are more
)

// Draw returns a PNG of what a transition is about; nil without an error: there is nothing to draw of its kind.
func Draw(ctx context.Context, r Reader, t *result.Transition) ([]byte, error) {
	c, err := Gather(ctx, r, t)
	if c == nil || err != nil {
		return nil, err
	}
	return c.PNG()
}

// Gather reads what there is to draw of a transition; nil without an error: nothing.
func Gather(ctx context.Context, r Reader, t *result.Transition) (*Chart, error) {
	if t.ResultID == "" || t.Key.Model == "" {
		return nil, nil //nolint:nilnil // there is nothing to draw of it
	}
	c := &Chart{
		Title: t.Title, Text: strings.Join(t.Reasons[:min(2, len(t.Reasons))], "; "), Bars: Bars{}, //nolint:exhaustruct // filled below
		Line: Line{Name: t.Unit, Points: nil, Threshold: t.Threshold, Start: t.Window.Start, End: t.Window.End, Since: t.Since},
	}
	if t.Reference != nil {
		c.Reference = t.Reference.Name
	}
	if t.Kind == "quality" || t.Kind == "label_coverage" {
		err := c.quality(ctx, r, t)
		return c, err
	}
	if t.Kind == "fairness" {
		err := c.fairness(ctx, r, t)
		return c, err
	}
	sum, features, err := read(ctx, r, t)
	if err != nil {
		return nil, err
	}
	if t.Feature != "" {
		err := c.feature(ctx, r, t, features)
		return c, err
	}
	value := c.model(t, sum)
	if value == nil {
		return nil, nil //nolint:nilnil // nothing of this kind
	}
	err = c.over(ctx, r, t, value)
	return c, err
}

// read returns the result of a transition, whole.
func read(ctx context.Context, r Reader, t *result.Transition) (*result.Summary, []result.Feature, error) {
	w, err := r.Window(ctx, t.Key.Model, t.ResultID)
	if _, ok := errors.AsType[*history.NotFoundError](err); ok {
		return nil, nil, ErrNotYet
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the result: %w", err)
	}
	if w.Stored < w.Parts {
		return nil, nil, ErrNotYet
	}
	var sum result.Summary
	if err := json.Unmarshal(w.Summary, &sum); err != nil {
		return nil, nil, fmt.Errorf("reading the result: %w", err)
	}
	var features []result.Feature
	for _, data := range w.Features {
		var f result.Feature
		if err := json.Unmarshal(data, &f); err != nil {
			return nil, nil, fmt.Errorf("reading the result: %w", err)
		}
		features = append(features, f)
	}
	return &sum, features, nil
}

// series selects the windows up to that of the transition.
func series(t *result.Transition) (history.Series, history.Range) {
	return history.Series{Model: t.Key.Model, Version: t.Key.Version, Segment: t.Key.Segment, Size: t.Window.Size},
		history.Range{From: 0, To: t.Window.Start + 1}
}

// feature fills in the distributions and the statistic of the feature with the largest effect.
func (c *Chart) feature(ctx context.Context, r Reader, t *result.Transition, features []result.Feature) error {
	i := slices.IndexFunc(features, func(f result.Feature) bool { return f.Feature == t.Feature && f.Role == t.Role })
	if i < 0 {
		return ErrNotYet
	}
	f := &features[i]
	statistic := strings.TrimPrefix(t.Unit, "rise of ")
	base := 0.0 // of a rate, which is judged by its rise
	if statistic != t.Unit {
		if s := f.Statistics[statistic]; s.Baseline != nil {
			base = *s.Baseline
		}
	}
	if _, ok := f.Statistics[statistic]; !ok { // the rule counts features: show the one with the largest effect
		statistic, c.Line.Threshold = f.Thresholds.Statistic, f.Thresholds.Drift
		c.Line.Warning = f.Thresholds.Warning
	} else {
		c.Line.Threshold = base + t.Threshold
		if statistic == f.Thresholds.Statistic {
			c.Line.Warning = f.Thresholds.Warning
		}
	}
	c.Line.Name = statistic + " of " + f.Feature
	c.Bars = distribution(f, strings.HasPrefix(statistic, "missing"))
	s, span := series(t)
	answer, err := r.FeatureSeries(ctx, history.FeatureQuery{
		Series: s, Range: span, Page: history.Page{Limit: maxWindows, Cursor: ""}, Feature: t.Feature, Role: t.Role,
	})
	if err != nil {
		return fmt.Errorf("reading the windows before: %w", err)
	}
	for _, p := range slices.Backward(answer.Points) { // newest first
		c.Line.add(p.Window, p.Statistics[statistic].Value)
	}
	return nil
}

// quality fills in a metric, or the label coverage, of the windows at the maturity at which they were judged.
func (c *Chart) quality(ctx context.Context, r Reader, t *result.Transition) error {
	s, span := series(t)
	answer, err := r.Quality(ctx, history.QualityQuery{Series: s, Range: span, Page: history.Page{Limit: maxWindows, Cursor: ""}, Maturity: &t.Maturity})
	if _, ok := errors.AsType[*history.NotFoundError](err); ok {
		return ErrNotYet
	}
	if err != nil {
		return fmt.Errorf("reading the quality of the windows: %w", err)
	}
	c.Line.Name = "label coverage"
	if t.Kind == "quality" {
		if c.Line.Name = t.Metric; t.Maturity == 0 {
			c.Line.Name += ", estimated without labels"
		}
	}
	relative := strings.Contains(t.Unit, " of ")
	if relative {
		c.Line.Threshold = math.NaN()
	}
	found := false
	for _, data := range slices.Backward(answer.Documents) { // newest first
		var q result.Quality
		if err := json.Unmarshal(data, &q); err != nil {
			return fmt.Errorf("reading the quality of the windows: %w", err)
		}
		c.Line.add(q.Window, measured(t, &q))
		if q.ResultID != t.ResultID {
			continue
		}
		found = true
		if then := metric(q.Reference, t.Metric); relative && then != nil {
			if share := 1 - t.Threshold; strings.HasPrefix(t.Unit, "drop") {
				c.Line.Threshold = *then * share
			} else {
				c.Line.Threshold = *then * (2 - share)
			}
		}
	}
	if !found {
		return ErrNotYet
	}
	return nil
}

// fairness fills in a measure of the windows at the maturity at which they were judged, of the dimension that the transition is about.
func (c *Chart) fairness(ctx context.Context, r Reader, t *result.Transition) error {
	s, span := series(t)
	q := history.QualityQuery{Series: s, Range: span, Page: history.Page{Limit: maxWindows * maxDimensions, Cursor: ""}, Maturity: &t.Maturity}
	answer, err := r.Fairness(ctx, history.FairnessQuery{QualityQuery: q, Dimension: ""})
	if _, ok := errors.AsType[*history.NotFoundError](err); ok {
		return ErrNotYet
	}
	if err != nil {
		return fmt.Errorf("reading the fairness of the windows: %w", err)
	}
	docs := make([]result.Fairness, len(answer.Documents))
	for i, data := range answer.Documents {
		if err := json.Unmarshal(data, &docs[i]); err != nil {
			return fmt.Errorf("reading the fairness of the windows: %w", err)
		}
	}
	about := slices.IndexFunc(docs, func(f result.Fairness) bool { return f.ResultID == t.ResultID })
	if about < 0 {
		return ErrNotYet
	}
	c.Line.Name = t.Metric + " of " + docs[about].Dimension
	for _, f := range slices.Backward(docs) { // newest first
		if f.Dimension != docs[about].Dimension {
			continue
		}
		if i := slices.IndexFunc(f.Gaps, func(g result.FairnessGap) bool { return g.Metric == t.Metric }); i >= 0 {
			c.Line.add(f.Window, f.Gaps[i].Value)
		}
	}
	return nil
}

// measured is what an incident about quality looks at in a window.
func measured(t *result.Transition, q *result.Quality) *float64 {
	switch {
	case t.Kind == "label_coverage":
		return q.Coverage
	case t.Maturity > 0:
		return metric(q.Metrics, t.Metric)
	case q.Estimate != nil:
		return metric(q.Estimate.Metrics, t.Metric)
	}
	return nil
}

func metric(all []result.Metric, name string) *float64 {
	if i := slices.IndexFunc(all, func(m result.Metric) bool { return m.Name == name && m.Class == "" }); i >= 0 {
		return all[i].Value
	}
	return nil
}

// distribution lays out both sides of a feature, in shares of all events.
func distribution(f *result.Feature, missing bool) Bars {
	b := Bars{Name: f.Feature, Unit: "share, %"} //nolint:exhaustruct // filled below
	total := func(s *result.Side) float64 { return max(1, float64(s.Count+s.Missing+s.Invalid+s.Inf)) }
	was, is := total(&f.Reference), total(&f.Current)
	add := func(label string, reference, current uint64) {
		b.Labels = append(b.Labels, label)
		b.Reference = append(b.Reference, 100*float64(reference)/was)
		b.Current = append(b.Current, 100*float64(current)/is)
	}
	bins := f.Bins
	if len(bins) > maxBars {
		bins = mostMoved(bins, was, is)
		b.Name = fmt.Sprintf("%s: the %d of %d bins that moved most", f.Feature, len(bins), len(f.Bins))
	}
	for _, bin := range bins {
		add(bin.Label, bin.Reference, bin.Current)
	}
	if missing || f.Reference.Missing+f.Current.Missing > 0 {
		add("missing", f.Reference.Missing, f.Current.Missing)
	}
	return b
}

// mostMoved keeps the bins whose share changed most, in their order.
func mostMoved(bins []result.Bin, was, is float64) []result.Bin {
	change := func(i int) float64 { return math.Abs(float64(bins[i].Reference)/was - float64(bins[i].Current)/is) }
	order := make([]int, len(bins))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(change(b), change(a)) })
	out := make([]result.Bin, 0, maxBars)
	for _, i := range slices.Sorted(slices.Values(order[:maxBars])) {
		out = append(out, bins[i])
	}
	return out
}

// model fills in what a result says of the whole model, and returns how to read the same of other windows; nil: nothing is drawn of
// this kind.
func (c *Chart) model(t *result.Transition, sum *result.Summary) func(*result.Summary) *float64 {
	count := func(s *result.Summary) *float64 { n := float64(s.Counts.Events); return &n }
	switch t.Kind {
	case "drift_share":
		c.Line.Name = "share of features that drifted"
		return func(s *result.Summary) *float64 { return s.DriftShare }
	case "latency", "latency_bound":
		q := quantile(t, sum)
		c.Bars = latency(&sum.Latency)
		c.Line.Name = "latency " + quantileName(q) + ", " + t.Unit
		if t.Kind == "latency_bound" {
			return func(s *result.Summary) *float64 { return s.Latency.Quantiles[q] }
		}
		return func(s *result.Summary) *float64 { return s.Latency.Ratio[q].Value }
	case "error_rate":
		c.Line.Name = "failed, share of events"
		return func(s *result.Summary) *float64 {
			if s.Counts.Events == 0 {
				return nil
			}
			rate := float64(s.Errors) / float64(s.Counts.Events)
			return &rate
		}
	case "throughput_drop", "no_data":
		c.Line.Name, c.Line.Threshold = "events in a window", math.NaN()
		return count
	}
	return nil
}

// quantile finds out which quantile an incident of latency is about: the one whose value it has.
func quantile(t *result.Transition, sum *result.Summary) string {
	for _, q := range slices.Sorted(maps.Keys(sum.Latency.Quantiles)) {
		value := sum.Latency.Quantiles[q]
		if t.Kind == "latency" {
			value = sum.Latency.Ratio[q].Value
		}
		if value != nil && *value == t.Value {
			return q
		}
	}
	return "0.95"
}

// quantileName writes a quantile as people say it: p95, p999.
func quantileName(q string) string {
	p := "p" + strings.TrimPrefix(q, "0.")
	if len(p) == 2 {
		p += "0"
	}
	return p
}

// latency lays out the quantiles of both sides.
func latency(l *result.Latency) Bars {
	b := Bars{Name: "latency", Unit: "ms"} //nolint:exhaustruct // filled below
	names := slices.SortedFunc(maps.Keys(l.Quantiles), func(x, y string) int {
		a, _ := strconv.ParseFloat(x, 64) // driftd's own keys
		c, _ := strconv.ParseFloat(y, 64)
		return cmp.Compare(a, c)
	})
	for _, q := range names {
		if is := l.Quantiles[q]; is != nil {
			was := l.Reference[q]
			b.Labels, b.Current = append(b.Labels, quantileName(q)), append(b.Current, *is)
			if was == nil {
				was = new(float64)
			}
			b.Reference = append(b.Reference, *was)
		}
	}
	return b
}

// over reads a number of the windows up to that of the transition.
func (c *Chart) over(ctx context.Context, r Reader, t *result.Transition, value func(*result.Summary) *float64) error {
	s, span := series(t)
	answer, err := r.Windows(ctx, history.WindowsQuery{Series: s, Range: span, Page: history.Page{Limit: maxWindows, Cursor: ""}})
	if err != nil {
		return fmt.Errorf("reading the windows before: %w", err)
	}
	for _, data := range slices.Backward(answer.Summaries) { // newest first
		var sum result.Summary
		if err := json.Unmarshal(data, &sum); err != nil {
			return fmt.Errorf("reading the windows before: %w", err)
		}
		c.Line.add(sum.Window, value(&sum))
	}
	return nil
}

// add puts a window's number at its middle; nil: there is a gap.
func (l *Line) add(w result.Window, value *float64) {
	p := Point{Time: w.Start + (w.End-w.Start)/2, Value: math.NaN()}
	if value != nil {
		p.Value = *value
	}
	l.Points = append(l.Points, p)
}
