package picture

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Chart is what a picture shows.
type Chart struct {
	Title     string // one line
	Text      string // another
	Reference string // its name; empty: it has none
	Bars      Bars   // without labels: there are none
	Line      Line
}

// Bars are two distributions, or two sets of quantiles, over the same labels.
type Bars struct {
	Name, Unit         string
	Labels             []string
	Reference, Current []float64
}

// Line is a number over time.
type Line struct {
	Name               string
	Points             []Point // in the order of time
	Threshold, Warning float64 // NaN or 0: none
	Start, End         int64   // the window that the picture is about, Unix milliseconds
	Since              int64   // when the incident began
}

// Point is the number of one window. NaN: there is none.
type Point struct {
	Time  int64
	Value float64
}

// The size of a picture: what a chat shows beside a message without making the letters unreadable.
const (
	width, height = 1000, 440 // pixels
	resolution    = 96        // dots per inch
	maxTitle      = 110
	maxLabel      = 14
)

// palette of the picture: grey for what was, red for what is, and apart from each other also for eyes that tell no red from green.
func grey() color.Color   { return color.NRGBA{R: 150, G: 165, B: 182, A: 255} }
func red() color.Color    { return color.NRGBA{R: 200, G: 40, B: 60, A: 255} }
func orange() color.Color { return color.NRGBA{R: 235, G: 150, B: 20, A: 255} }
func dark() color.Color   { return color.NRGBA{R: 35, G: 45, B: 60, A: 255} }
func rose() color.Color   { return color.NRGBA{R: 200, G: 40, B: 60, A: 30} }

// PNG draws the chart.
func (c *Chart) PNG() ([]byte, error) {
	px := func(n float64) vg.Length { return vg.Length(n) * vg.Inch / resolution }
	img := vgimg.NewWith(vgimg.UseWH(px(width), px(height)), vgimg.UseDPI(resolution), vgimg.UseBackgroundColor(color.White))
	all := draw.New(img)
	heading(all, c.Title, c.Text)
	body := draw.Crop(all, px(12), -px(16), px(10), -px(64))
	if len(c.Bars.Labels) > 0 {
		bars, err := c.Bars.plot(strings.TrimSpace("reference " + short(c.Reference, 24)))
		if err != nil {
			return nil, err
		}
		bars.Draw(draw.Crop(body, 0, -px(width*0.5), 0, 0))
		body = draw.Crop(body, px(width*0.5), 0, 0, 0)
	}
	line, err := c.Line.plot()
	if err != nil {
		return nil, err
	}
	line.Draw(body)
	var out bytes.Buffer
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(&out); err != nil {
		return nil, fmt.Errorf("encoding the picture: %w", err)
	}
	return out.Bytes(), nil
}

// heading writes the two lines above the picture.
func heading(c draw.Canvas, title, under string) {
	style := func(size vg.Length, weight bool) draw.TextStyle {
		f := font.From(plot.DefaultFont, size)
		f.Variant = "Sans"
		if weight {
			f.Weight = 600
		}
		return draw.TextStyle{Color: dark(), Font: f, Rotation: 0, XAlign: draw.XLeft, YAlign: draw.YTop, Handler: plot.DefaultTextHandler}
	}
	at := vg.Point{X: c.Min.X + 10, Y: c.Max.Y - 8}
	c.FillText(style(14, true), at, short(title, maxTitle))
	at.Y -= 20
	c.FillText(style(11, false), at, short(under, maxTitle+30))
}

// panel is an empty plot in the style of both.
func panel(title string) *plot.Plot {
	p := plot.New()
	for _, s := range []*text.Style{&p.Title.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.Legend.TextStyle} {
		s.Font.Variant, s.Font.Size, s.Color = "Sans", vg.Points(9), dark()
	}
	p.Title.Text, p.Title.TextStyle.Font.Size, p.Title.Padding = short(title, 60), vg.Points(11), vg.Points(6)
	p.Legend.Top, p.Legend.Padding, p.Legend.ThumbnailWidth = true, vg.Points(2.5), vg.Points(16)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.NRGBA{R: 225, G: 230, B: 236, A: 255}
	p.Add(grid)
	return p
}

func (b *Bars) plot(reference string) (*plot.Plot, error) {
	p := panel(b.Name)
	p.Y.Label.Text, p.Y.Min = b.Unit, 0
	n := float64(len(b.Labels))
	thick := vg.Points(min(14, 290/(2.6*n)))
	for i, side := range []struct {
		name   string
		values []float64
		fill   color.Color
	}{{reference, b.Reference, grey()}, {"this window", b.Current, red()}} {
		bars, err := plotter.NewBarChart(plotter.Values(side.values), thick)
		if err != nil {
			return nil, fmt.Errorf("drawing a distribution: %w", err)
		}
		bars.Color, bars.LineStyle.Width, bars.Offset = side.fill, 0, thick*vg.Length(float64(i)-0.5)
		p.Add(bars)
		p.Legend.Add(side.name, bars)
	}
	labels := make([]string, 0, len(b.Labels))
	for _, l := range b.Labels {
		labels = append(labels, short(l, maxLabel))
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -0.6, n-0.4
	p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/5, draw.XRight, draw.YCenter
	p.Y.Max = 1.15 * max(1e-9, slices.Max(b.Reference), slices.Max(b.Current)) // room for the legend
	p.Legend.Left = slices.Index(b.Current, slices.Max(b.Current)) > len(b.Current)/2
	return p, nil
}

func (l *Line) plot() (*plot.Plot, error) {
	p := panel(l.Name)
	start, end, top := float64(l.Start)/1000, float64(l.End)/1000, 0.0
	first := start
	var runs []plotter.XYs
	var run plotter.XYs
	for _, pt := range l.Points {
		if math.IsNaN(pt.Value) || math.IsInf(pt.Value, 0) {
			if run != nil {
				runs = append(runs, run)
			}
			run = nil
			continue
		}
		x := float64(pt.Time) / 1000
		run = append(run, plotter.XY{X: x, Y: pt.Value})
		first, top = min(first, x), max(top, pt.Value)
	}
	if run != nil {
		runs = append(runs, run)
	}
	span := max(end-first, end-start)
	p.X.Min, p.X.Max = min(first, start)-0.02*span, end+0.02*span
	for _, level := range []float64{l.Threshold, l.Warning} {
		if level > 0 {
			top = max(top, level)
		}
	}
	p.Y.Min, p.Y.Max = 0, max(1e-9, top*1.25)
	for _, r := range runs {
		p.Y.Min = min(p.Y.Min, slices.MinFunc(r, func(a, b plotter.XY) int { return cmp.Compare(a.Y, b.Y) }).Y)
	}
	// The incident, and in it the window.
	since := max(float64(l.Since)/1000, p.X.Min)
	for i, from := range []float64{since, start} {
		area, err := plotter.NewPolygon(plotter.XYs{{X: from, Y: p.Y.Min}, {X: end, Y: p.Y.Min}, {X: end, Y: p.Y.Max}, {X: from, Y: p.Y.Max}})
		if err != nil {
			return nil, fmt.Errorf("drawing the window: %w", err)
		}
		area.Color, area.Width = rose(), 0
		p.Add(area)
		if i == 1 {
			p.Legend.Add("this window", area)
		}
	}
	for _, level := range []struct {
		name  string
		value float64
		color color.Color
	}{{"threshold", l.Threshold, red()}, {"warning", l.Warning, orange()}} {
		if math.IsNaN(level.value) || level.value <= 0 || level.name == "warning" && level.value >= l.Threshold {
			continue
		}
		at, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: level.value}, {X: p.X.Max, Y: level.value}})
		if err != nil {
			return nil, fmt.Errorf("drawing a threshold: %w", err)
		}
		at.Color, at.Width, at.Dashes = level.color, vg.Points(1.5), []vg.Length{vg.Points(5), vg.Points(3)}
		p.Add(at)
		p.Legend.Add(fmt.Sprintf("%s %.3g", level.name, level.value), at)
	}
	for _, r := range runs {
		line, points, err := plotter.NewLinePoints(r)
		if err != nil {
			return nil, fmt.Errorf("drawing a line: %w", err)
		}
		line.Color, line.Width = dark(), vg.Points(1.5)
		points.GlyphStyle = draw.GlyphStyle{Color: dark(), Radius: vg.Points(2), Shape: draw.CircleGlyph{}}
		p.Add(line, points)
	}
	p.Legend.Left = true
	const moment = "2006-01-02 15:04"
	p.X.Label.Text = fmt.Sprintf("this window: %s to %s UTC", time.UnixMilli(l.Start).UTC().Format(moment), time.UnixMilli(l.End).UTC().Format(moment))
	p.X.Tick.Marker = days(span)
	return p, nil
}

// days are ticks at full days, hours or minutes (UTC), about six of them.
func days(span float64) plot.Ticker {
	return plot.TickerFunc(func(from, to float64) []plot.Tick {
		step, format := 60.0, "15:04"
		for _, s := range []float64{60, 300, 900, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 14 * 86400, 30 * 86400, 90 * 86400, 365 * 86400} {
			fits := 7.0
			if s < 86400 && span > 86400 {
				fits = 4 // with longer labels
			}
			if step = s; span/s <= fits {
				break
			}
		}
		switch {
		case step >= 30*86400:
			format = "2006-01-02"
		case step >= 86400:
			format = "Jan 2"
		case span > 86400:
			format = "Jan 2 15:04"
		}
		var out []plot.Tick
		for x := math.Ceil(from/step) * step; x <= to; x += step {
			out = append(out, plot.Tick{Value: x, Label: time.Unix(int64(x), 0).UTC().Format(format)})
		}
		return out
	})
}

// short cuts a text to n characters of one line.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
