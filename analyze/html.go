package analyze

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/result"
)

//go:embed report.html
var reportTemplate string

// WriteHTML writes the report as one page that needs nothing else: no script, no font, no network. Names and values of the
// data are text to it, whatever they hold.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"grouped": grouped, "number": number, "probability": probability, "words": verdictWords, "percent": percent, "rows": rowsOf,
	}).Parse(reportTemplate)
	if err != nil {
		return fmt.Errorf("writing the analysis: %w", err)
	}
	page := htmlPage{Report: r, Features: cards(r.Features, r.Convention), Segments: nil}
	for i := range r.Segments {
		s := &r.Segments[i]
		page.Segments = append(page.Segments, htmlSegment{SegmentReport: s, Features: cards(s.Features, r.Convention)})
	}
	if err := t.Execute(w, page); err != nil {
		return fmt.Errorf("writing the analysis: %w", err)
	}
	return nil
}

type htmlPage struct {
	*Report

	Features []htmlCard
	Segments []htmlSegment
}

type htmlSegment struct {
	*SegmentReport

	Features []htmlCard
}

// htmlCard is a feature as the page shows it.
type htmlCard struct {
	*Feature

	Name       string
	Plain      string // what happened, without statistics
	Ignored    bool
	Plot       *htmlPlot
	Rows       []htmlStatistic
	Prediction bool
	Low, High  string // the ends of a numeric plot
}

type htmlStatistic struct {
	Name string
	result.Stat
}

// htmlPlot is a plot of two series of bars side by side, in a view box of 100 by 40 units.
type htmlPlot struct {
	Bars   []htmlBar
	Labels []htmlLabel
	Top    string // the share that the highest bar stands for
}

type htmlBar struct {
	X, Y, Width, Height string
	Class               string
	Title               string
}

type htmlLabel struct{ Text, Reference, Current string }

func cards(features []Feature, convention string) []htmlCard {
	order := byHarm(features)
	out := make([]htmlCard, 0, len(order))
	for _, f := range order {
		c := htmlCard{
			Feature: f, Name: f.Feature.Feature, Plain: "", Ignored: f.Kind == KindIgnored, Plot: nil, Rows: nil, Prediction: f.Role == result.RolePrediction,
			Low: "", High: "",
		}
		if !c.Ignored {
			c.Plot, c.Plain = plot(f), plain(f)
			for _, name := range orderedNames(f, convention) {
				c.Rows = append(c.Rows, htmlStatistic{Name: name, Stat: f.Statistics[name]})
			}
			if f.Shape != nil {
				c.Low, c.High = number(&f.Shape.Low), number(&f.Shape.High)
			}
		}
		out = append(out, c)
	}
	return out
}

// orderedNames returns the names of a feature's statistics as the documentation orders them, further ones behind.
func orderedNames(f *Feature, convention string) []string {
	var names []string
	if convention == detectors.ConventionDefault {
		for _, s := range detectors.Builtin() {
			if _, ok := f.Statistics[s.Name]; ok {
				names = append(names, s.Name)
			}
		}
	}
	var rest []string
	for name := range f.Statistics {
		if !slices.Contains(names, name) {
			rest = append(rest, name)
		}
	}
	slices.Sort(rest)
	return append(names, rest...)
}

const (
	plotHeight = 40.0
	plotWidth  = 100.0
	plotBars   = 12 // categories
)

// plot draws both sides as shares, on one scale.
func plot(f *Feature) *htmlPlot {
	labels, ref, cur, rest := f.bars(plotBars)
	drawn, most := len(ref)-rest, 0.0
	for i := range drawn {
		most = max(most, ref[i], cur[i])
	}
	if most == 0 {
		return nil
	}
	p := &htmlPlot{Bars: nil, Labels: nil, Top: share(most)}
	step := plotWidth / float64(drawn)
	unit := func(x float64) string { return fmt.Sprintf("%.2f", x) }
	for i := range ref {
		where := ""
		switch {
		case labels != nil:
			where = labels[i] + ": "
			text := labels[i]
			if text == result.Other {
				text = "other (new or rare)"
			}
			p.Labels = append(p.Labels, htmlLabel{Text: text, Reference: fmt.Sprintf("%.1f %%", 100*ref[i]), Current: fmt.Sprintf("%.1f %%", 100*cur[i])})
		case f.Shape != nil:
			width := (f.Shape.High - f.Shape.Low) / shapeBins
			lo, hi := f.Shape.Low+float64(i)*width, f.Shape.Low+float64(i+1)*width
			where = number(&lo) + " to " + number(&hi) + ": "
		}
		if i >= drawn {
			continue // in the table only
		}
		title := fmt.Sprintf("%sreference %.1f %%, current %.1f %%", where, 100*ref[i], 100*cur[i])
		for k, part := range []float64{ref[i], cur[i]} {
			height := plotHeight * part / most
			p.Bars = append(p.Bars, htmlBar{
				X: unit(step * (float64(i) + 0.08 + 0.42*float64(k))), Y: unit(plotHeight - height), Width: unit(step * 0.42), Height: unit(height),
				Class: []string{"ref", "cur"}[k], Title: title,
			})
		}
	}
	return p
}

// verdictWords says a verdict in a sentence.
func verdictWords(v result.Verdict) string {
	switch v {
	case result.Drift:
		return "The data has changed."
	case result.Warning:
		return "Some of the data is changing."
	case result.Stable:
		return "The data looks as it did."
	case result.Insufficient:
	}
	return "There is not enough data to tell."
}
