// Command cbpe compares what confidence-based performance estimation says without labels with what the labels say later, on real
// predictions of ../shared/data, and draws it for docs/statistics.md. For development only; see -h.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// resolution is how many cut points the reference's scores are thinned to: the default of a model.
const resolution = 2000

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cbpe", flag.ContinueOnError)
	data := flags.String("data", "../shared/data", "folder of the data sets")
	images := flags.String("images", "", "folder to write the drawings to; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	figures, err := compare(*data)
	if err != nil {
		return err
	}
	for _, f := range figures {
		for _, p := range f.panels {
			if _, err := fmt.Fprintln(out, p.report()); err != nil {
				return err
			}
		}
		if *images == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(*images, f.file), f.svg(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// figure is one drawing: panels below one another.
type figure struct {
	file   string
	panels []panel
}

// panel is one metric over windows.
type panel struct {
	title, axis string
	metric      string
	points      []point // windows that have both sides
}

// point is a window: what was estimated, and what its labels say.
type point struct {
	window              int
	estimated, realised result.Metric
}

// compare reads both data sets and makes the figures of the documentation.
func compare(dir string) ([]figure, error) {
	employed, err := employment(filepath.Join(dir, "employment-ma"))
	if err != nil {
		return nil, err
	}
	var reference, current []row
	for _, r := range employed {
		if r.year == 2015 {
			reference = append(reference, r)
		} else {
			current = append(current, r)
		}
	}
	byAge := slices.Clone(current)
	slices.SortStableFunc(byAge, func(a, b row) int { return cmp.Compare(a.age, b.age) })
	spec, err := freeze(reference)
	if err != nil {
		return nil, err
	}
	rowsOf2016, err := windows(spec, chunks(current, 2000))
	if err != nil {
		return nil, err
	}
	sorted, err := windows(spec, chunks(byAge, 2000))
	if err != nil {
		return nil, err
	}
	electricity, err := elec2(filepath.Join(dir, "serving-log-elec2"))
	if err != nil {
		return nil, err
	}
	days := make([][]row, 32)
	for _, r := range electricity {
		if r.day < 0 || r.day >= len(days) {
			return nil, fmt.Errorf("reading elec2: an event of day %d", r.day)
		}
		days[r.day] = append(days[r.day], r)
	}
	if len(days[31]) == 0 {
		days = days[:31]
	}
	elecSpec, err := freeze(slices.Concat(days[:7]...))
	if err != nil {
		return nil, err
	}
	byDay, err := windows(elecSpec, days[7:])
	if err != nil {
		return nil, err
	}
	return []figure{
		{"cbpe-employment.svg", []panel{
			rowsOf2016.panel("employment-ma 2016, as the rows come", "windows of 2,000 predictions", "accuracy"),
			sorted.panel("employment-ma 2016, sorted by age: inputs move, what they mean does not", "windows of 2,000 predictions", "accuracy"),
			sorted.panel("the same", "windows of 2,000 predictions", "roc_auc"),
		}},
		{"cbpe-elec2.svg", []panel{
			byDay.panel("elec2: the link from inputs to labels moves", "days after the reference week", "accuracy"),
		}},
	}, nil
}

// freeze makes the Spec of a reference.
func freeze(reference []row) (*quality.Spec, error) {
	c, err := quality.Build(quality.Default(quality.Binary), plain(reference), resolution)
	if err != nil {
		return nil, err
	}
	return c.Spec(), nil
}

func plain(rows []row) []quality.Row {
	out := make([]quality.Row, len(rows))
	for i, r := range rows {
		out[i] = r.Row
	}
	return out
}

// chunks cuts rows into windows of n; a shorter rest is left out.
func chunks(rows []row, n int) [][]row {
	var out [][]row
	for c := range slices.Chunk(rows, n) {
		if len(c) == n {
			out = append(out, c)
		}
	}
	return out
}

// series holds both sides of each window.
type series struct{ estimates, labels [][]result.Metric }

// windows counts each window over the reference's cells.
func windows(spec *quality.Spec, of [][]row) (series, error) {
	var s series
	for _, rows := range of {
		c := quality.NewCounts(spec)
		for _, r := range rows {
			c.AddPrediction(r.Prediction)
			if r.Label.Flaw != quality.FlawNoLabel {
				c.AddLabel(r.Prediction, r.Label)
			}
		}
		if c.Predictions() == 0 || c.Labels() == 0 {
			return s, errors.New("a window without predictions or labels")
		}
		s.estimates = append(s.estimates, quality.Estimate(c).Metrics)
		s.labels = append(s.labels, quality.Evaluate(c))
	}
	return s, nil
}

func (s series) panel(title, axis, metric string) panel {
	p := panel{title: title, axis: axis, metric: metric, points: nil}
	for i := range s.estimates {
		w := point{window: i, estimated: find(s.estimates[i], metric), realised: find(s.labels[i], metric)}
		if w.estimated.Value != nil && w.realised.Value != nil { // labels of one class have no area under a curve
			p.points = append(p.points, w)
		}
	}
	return p
}

func find(metrics []result.Metric, name string) result.Metric {
	return metrics[slices.IndexFunc(metrics, func(m result.Metric) bool { return m.Name == name })]
}

// summary is how an estimate did.
type summary struct {
	windows, inside int     // windows, and those whose labels ended up in the band
	off, largest    float64 // mean and largest distance of estimate and labels
	lowest, highest float64 // of what the labels said
	lowestEstimate  float64
	constant        float64 // mean distance of the labels to their own mean over all windows: what a constant would be off, at best
	correlation     float64 // of estimate and labels
}

func (p panel) summary() summary {
	s := summary{
		windows: len(p.points), inside: 0, off: 0, largest: 0, lowest: 1, highest: 0, lowestEstimate: 1, constant: 0, correlation: 0,
	}
	var meanE, meanR float64
	n := float64(len(p.points))
	for _, w := range p.points {
		e, r := *w.estimated.Value, *w.realised.Value
		meanE, meanR = meanE+e/n, meanR+r/n
		s.off += math.Abs(e-r) / n
		s.largest = max(s.largest, math.Abs(e-r))
		s.lowest, s.highest, s.lowestEstimate = min(s.lowest, r), max(s.highest, r), min(s.lowestEstimate, e)
		if *w.estimated.Lower <= r && r <= *w.estimated.Upper {
			s.inside++
		}
	}
	var ee, rr, er float64
	for _, w := range p.points {
		e, r := *w.estimated.Value-meanE, *w.realised.Value-meanR
		ee, rr, er = ee+e*e, rr+r*r, er+e*r
		s.constant += math.Abs(r) / n
	}
	s.correlation = er / math.Sqrt(ee*rr)
	return s
}

// report is the panel in a line.
func (p panel) report() string {
	s := p.summary()
	return fmt.Sprintf("%s, %s: %d of %d windows in the band; off by %.4f on average, %.4f at most; the labels say %.3f to %.3f, a constant would be "+
		"off by %.4f; correlation %.3f",
		p.title, p.metric, s.inside, s.windows, s.off, s.largest, s.lowest, s.highest, s.constant, s.correlation)
}
