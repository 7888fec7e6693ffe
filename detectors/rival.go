package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// The rules of NannyML, TFDV and popmon count in bins of equal widths. The rule itself is that of package rivals, which is compared with the
// tools; it is given values that the cells stand for. Those at cut points are what they are. Those inside a gap are spread evenly over
// it, so that a bin whose edge lies inside gets its part of them: its share is off by at most the share of the side's values in that gap.
// The least and the largest value are in their places where they are known. So the number is the tool's, to the bit, where no edge of a bin
// lies inside a gap that holds values.

// gapPlaces is in how many places the values of one gap are put at most.
const gapPlaces = 64

// parts is of how many parts of the reference NannyML and popmon learn.
const parts = rivals.Chunks

// asksRival reports whether the gate is a rule of package rivals.
func (c Config) asksRival() bool {
	return c.Convention == ConventionNannyML || c.Convention == ConventionTFDV || c.Convention == ConventionPopmon
}

// learns reports whether the rule for features of a kind looks at parts of the reference: popmon's at the mean and deviation of each.
func (c Config) learns(kind cells.Kind) bool {
	return c.Convention == ConventionNannyML || (c.Convention == ConventionPopmon && kind == cells.Numeric)
}

// rivalGate is another tool's rule over one reference. It is not safe for concurrent use.
type rivalGate struct {
	tool       string
	f          *reference.Feature
	categories map[string]int // places in a table; behind them the categories that are not tracked
	in         *rivals.Feature
	decide     func() rivals.Decision
}

func newRivalGate(f *reference.Feature, tool string, chunks Chunks) (*rivalGate, error) {
	rule, err := rivals.Find(tool)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says which convention
	}
	g := &rivalGate{tool: tool, f: f, categories: map[string]int{}, in: &rivals.Feature{}, decide: nil} //nolint:exhaustruct // filled below
	if g.in.Categorical = f.Space.Kind() == cells.Categorical; g.in.Categorical {
		for i, name := range f.Space.Categories() {
			g.categories[name] = i
		}
		g.in.RefTable = g.table(f.Counts)
	} else {
		g.in.Ref = sampleOf(f.Counts)
	}
	for _, c := range chunks.Counts {
		if g.in.Categorical {
			g.in.TableChunks = append(g.in.TableChunks, g.table(c))
		} else {
			g.in.RefChunks = append(g.in.RefChunks, sampleOf(c))
		}
	}
	g.decide = rule.Prepare(g.in)
	return g, nil
}

// table returns how often each category was seen, and last those that are not tracked.
func (g *rivalGate) table(c *cells.Counts) []uint64 {
	out := make([]uint64, len(g.categories)+1)
	for p := range cells.Walk(c, c) {
		if p.Other {
			out[len(g.categories)] = p.Cur
		} else {
			out[g.categories[p.Category]] = p.Cur
		}
	}
	return out
}

// judge returns the number that the rule looks at, and from where on it is drift.
func (g *rivalGate) judge(cur *cells.Counts) (s result.Stat, drift float64) {
	if g.in.Categorical {
		g.in.CurTable = g.table(cur)
	} else {
		g.in.Cur = sampleOf(cur)
	}
	d := g.decide()
	if !d.OK {
		return null(d.Why), 0
	}
	v, limit := d.Value, d.Threshold
	if d.Statistic == "js_divergence" { // js is its root
		v, limit = math.Sqrt(v), math.Sqrt(limit)
	}
	why := "has no p-value by the convention of " + g.tool
	if g.tool == ConventionPopmon {
		why = d.Statistic + " is the worst of popmon's lights, in standard deviations; it " + why
	}
	return value(v, why), math.Nextafter(limit, math.Inf(1)) // drift is strictly above
}

// sampleOf returns values that counts stand for, in their order.
func sampleOf(c *cells.Counts) rivals.Sample {
	var s rivals.Sample
	add := func(x float64, n uint64) {
		switch last := len(s.Values) - 1; {
		case n == 0:
		case last >= 0 && x <= s.Values[last]: // a gap that is too narrow for a number between its ends
			s.Counts[last] += n
		default:
			s.Values, s.Counts = append(s.Values, x), append(s.Counts, n)
		}
	}
	least, known := c.Min()
	most, _ := c.Max()
	for chunk := range cells.Chunks(c, c) {
		for i := range chunk {
			lo, hi, n := chunk[i].Lo, chunk[i].Hi, chunk[i].Cur
			if chunk[i].Point() {
				add(lo, n)
				continue
			}
			var atEnd uint64
			if known && n > 0 && least >= lo && least < hi {
				lo = least
				add(lo, 1)
				n--
			}
			if known && n > 0 && most > lo && most <= hi {
				hi = most
				atEnd = 1
				n--
			}
			places := min(n, gapPlaces)
			for j := range places {
				x := lo + (hi-lo)*(float64(2*j+1)/float64(2*places))
				add(x, n*(j+1)/places-n*j/places)
			}
			add(hi, atEnd)
		}
	}
	return s
}

// PartsOf cuts a feature of a reference into ten parts of about equally many rows, at the bounds of its panes: what NannyML and popmon learn of.
func PartsOf(ref *reference.Reference, f *reference.Feature) Chunks {
	if len(ref.Panes) < parts {
		why := "the reference's rows have no times"
		if len(ref.Panes) > 0 {
			why = "the reference has fewer panes than ten"
		}
		return NoChunks(why)
	}
	var total, before uint64
	for _, p := range ref.Panes {
		total += p.Rows
	}
	var out Chunks
	begin := ref.Panes[0].Start
	for i, p := range ref.Panes {
		before += p.Rows
		// A pane belongs to the part in which its middle row is; the last pane ends the last part.
		part := func(rows uint64) uint64 { return rows * parts / total }
		if i+1 < len(ref.Panes) && part(before-p.Rows/2) == part(before+ref.Panes[i+1].Rows/2) {
			continue
		}
		if c, ok := ref.In(begin, p.Start+ref.Pane); ok {
			out.Counts = append(out.Counts, f.ChunkCounts(c))
		}
		begin = p.Start + ref.Pane
	}
	if len(out.Counts) < parts {
		return NoChunks("a pane of the reference has so many of its rows that there are no ten parts of about equally many")
	}
	return out
}

// ChunksFor returns the parts of a reference that the judgement of windows of a length, in milliseconds, learns from.
func ChunksFor(ref *reference.Reference, f *reference.Feature, size int64, cfg Config) Chunks {
	switch {
	case cfg.learns(f.Space.Kind()):
		return PartsOf(ref, f)
	case cfg.Threshold == ThresholdAuto:
		return ChunksOf(ref, f, size)
	}
	return NoChunks("")
}
