package reference

import (
	"slices"

	"github.com/driftd/driftd/cells"
)

// Over returns a reference of other rows over the same cells: what a rolling reference is at one moment. counts are those of the
// features in their order, and are kept. Its deciles are the cut points at or next above the order statistics, the largest point
// where these lie beyond; what is distinct is known up to the cells, and what was seen once is not known.
func (r *Reference) Over(name string, start, end int64, rows uint64, latency *cells.Histogram, counts []*cells.Counts) *Reference {
	out := &Reference{
		Name: name, Model: r.Model, Source: r.Source, Start: start, End: end, Rows: rows, Resolution: r.Resolution,
		Features: make([]Feature, len(r.Features)), Latency: latency, Errors: nil, Pane: 0, Panes: nil, Dimensions: nil, Quality: nil,
	}
	for i := range r.Features {
		f := &r.Features[i]
		over := Feature{
			Name: f.Name, Role: f.Role, Space: f.Space, Counts: counts[i], Deciles: nil, Distinct: 0, Singletons: 0, panes: nil,
		}
		for range cells.Walk(counts[i], counts[i]) {
			over.Distinct++
		}
		if f.Space.Kind() == cells.Numeric {
			over.Deciles = decilesOver(counts[i])
		}
		out.Features[i] = over
	}
	return out
}

// decilesOver returns the nine deciles of counts as cut points: of the order statistics at ⌊k(n-1)/10⌋.
func decilesOver(c *cells.Counts) []float64 {
	points := c.Space().Points()
	if c.N() == 0 || len(points) == 0 {
		return nil
	}
	out := make([]float64, 0, 9)
	var before uint64 // values below the cell
	tenths, rest := (c.N()-1)/10, (c.N()-1)%10
	for p := range cells.Walk(c, c) {
		for k := uint64(len(out)) + 1; k <= 9 && k*tenths+k*rest/10 < before+p.Ref; k++ {
			at, _ := slices.BinarySearch(points, p.Hi)
			out = append(out, points[min(at, len(points)-1)])
		}
		before += p.Ref
	}
	return out
}
