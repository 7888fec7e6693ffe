package main

import (
	"bytes"
	"fmt"
	"html"
	"math"

	"github.com/driftd/driftd/result"
)

// Sizes of the drawing, in its own units.
const (
	width, panelHeight       = 860, 230
	left, right, top, bottom = 60, 20, 46, 34
	legendHeight             = 30
)

// svg draws the figure: per window the estimate with its band, and what the labels say with its confidence interval. The same figures
// give the same bytes.
func (f figure) svg() []byte {
	var b bytes.Buffer
	height := legendHeight + panelHeight*len(f.panels)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintln(&b, `<rect x="60" y="10" width="22" height="12" fill="#9ecae1"/><line x1="60" y1="16" x2="82" y2="16" stroke="#08519c" stroke-width="2"/>`)
	fmt.Fprintln(&b, `<text x="88" y="20">estimated without labels, with its 95 % band</text>`)
	fmt.Fprintln(&b, `<line x1="391" y1="8" x2="391" y2="24" stroke="#a63603"/><circle cx="391" cy="16" r="3" fill="#a63603"/>`)
	fmt.Fprintln(&b, `<text x="400" y="20">what the labels said later, with its 95 % confidence interval</text>`)
	for i, p := range f.panels {
		fmt.Fprintf(&b, `<g transform="translate(0 %d)">`+"\n", legendHeight+i*panelHeight)
		p.draw(&b)
		fmt.Fprintln(&b, "</g>")
	}
	fmt.Fprintln(&b, "</svg>")
	return b.Bytes()
}

func (p panel) draw(b *bytes.Buffer) {
	lowest, highest, last := 1.0, 0.0, 1
	for _, w := range p.points {
		lowest = min(lowest, *w.estimated.Lower, *w.realised.Lower)
		highest = max(highest, *w.estimated.Upper, *w.realised.Upper)
		last = max(last, w.window)
	}
	step := 0.02
	for _, s := range []float64{0.05, 0.1} {
		if (highest-lowest)/step > 8 {
			step = s
		}
	}
	from, to := math.Floor(lowest/step), math.Ceil(highest/step)
	x := func(window int) float64 {
		return left + float64(width-left-right)*(float64(window)+0.5)/float64(last+1)
	}
	y := func(v float64) float64 {
		return top + (panelHeight-top-bottom)*(to*step-v)/((to-from)*step)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" font-weight="bold">%s: %s</text>`+"\n", left, top-14, p.metric, html.EscapeString(p.title))
	for k := from; k <= to; k++ {
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`, left, y(k*step), width-right, y(k*step))
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%.2f</text>`+"\n", left-6, y(k*step)+4, k*step)
	}
	for w := 0; w <= last; w += 5 {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(w), panelHeight-bottom+16, w+1)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end" fill="#555">%s</text>`+"\n", width-right, panelHeight-4, html.EscapeString(p.axis))
	p.path(b, x, y, `fill="#9ecae1" fill-opacity="0.6"`, func(m result.Metric) float64 { return *m.Upper }, func(m result.Metric) float64 { return *m.Lower })
	p.path(b, x, y, `fill="none" stroke="#08519c" stroke-width="2"`, func(m result.Metric) float64 { return *m.Value }, nil)
	for _, w := range p.points {
		r := w.realised
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#a63603"/>`, x(w.window), y(*r.Lower), x(w.window), y(*r.Upper))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3" fill="#a63603"/>`+"\n", x(w.window), y(*r.Value))
	}
}

// path draws a line through a number of each estimate, or the area between two.
func (p panel) path(b *bytes.Buffer, x func(int) float64, y func(float64) float64, style string, upper, lower func(result.Metric) float64) {
	fmt.Fprintf(b, `<path %s d="`, style)
	for i, w := range p.points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(b, "%s%.1f %.1f", command, x(w.window), y(upper(w.estimated)))
	}
	if lower != nil {
		for i := range p.points {
			w := p.points[len(p.points)-1-i]
			fmt.Fprintf(b, "L%.1f %.1f", x(w.window), y(lower(w.estimated)))
		}
		fmt.Fprint(b, "Z")
	}
	fmt.Fprintln(b, `"/>`)
}
