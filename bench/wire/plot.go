package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is a picture of lines for docs/images.
type chart struct {
	title, x, y string
	log         bool // both axes
	lines       []line
}

type line struct {
	name   string
	xs, ys []float64
}

const (
	chartWidth  = 7 * vg.Inch
	chartHeight = 3.4 * vg.Inch
)

// colours are of lines that lie side by side, and apart from each other also for eyes that tell no red from green.
func colours() []color.Color {
	return []color.Color{
		color.NRGBA{R: 31, G: 119, B: 180, A: 255},
		color.NRGBA{R: 235, G: 150, B: 20, A: 255},
		color.NRGBA{R: 120, G: 60, B: 150, A: 255},
		color.NRGBA{R: 110, G: 120, B: 130, A: 255},
	}
}

func (c *chart) save(path string) error {
	p := plot.New()
	for _, s := range []*text.Style{&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.Legend.TextStyle} {
		s.Font.Variant, s.Font.Size = "Sans", vg.Points(9)
	}
	p.Title.Text, p.Title.TextStyle.Font.Size, p.Title.Padding = c.title, vg.Points(11), vg.Points(6)
	p.X.Label.Text, p.Y.Label.Text = c.x, c.y
	p.Legend.Padding = vg.Points(2.5) // at the right, below, where no line is
	p.Add(plotter.NewGrid())
	for i, l := range c.lines {
		points := make(plotter.XYs, len(l.xs))
		for k := range points {
			points[k].X, points[k].Y = l.xs[k], l.ys[k]
		}
		drawn, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("drawing %s: %w", path, err)
		}
		drawn.Color, drawn.Width = colours()[i%len(colours())], vg.Points(1.5)
		dots.Color, dots.Shape, dots.Radius = drawn.Color, draw.CircleGlyph{}, vg.Points(2)
		p.Add(drawn, dots)
		if len(c.lines) > 1 {
			p.Legend.Add(l.name, drawn)
		}
	}
	p.Y.Min = 0
	if c.log {
		p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
		p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
		p.Y.Min = 0.1
	}
	canvas := vgsvg.New(chartWidth, chartHeight)
	p.Draw(draw.New(canvas))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return fmt.Errorf("drawing %s: %w", path, err)
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}
