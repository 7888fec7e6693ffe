package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
)

// middle finds the cells of the two middle order statistics of one side while the cells are walked.
type middle struct {
	n            uint64
	seen         uint64
	lower, upper cells.Pair // the cells of ranks (n-1)/2 and n/2
	found        bool
}

func (m *middle) add(p cells.Pair, count uint64) {
	if m.found || count == 0 {
		return
	}
	before := m.seen
	m.seen += count
	if rank := (m.n - 1) / 2; before <= rank && rank < m.seen {
		m.lower = p
	}
	if m.n/2 < m.seen {
		m.upper, m.found = p, true
	}
}

// value is the median, as Counts.Quantile(0.5) estimates it: exact at points, the middle of a gap, which is clipped to the
// extremes where they are known. Nil without values.
func (m *middle) value(c *cells.Counts) *float64 {
	if m.n == 0 || !m.found {
		return nil
	}
	center := func(p cells.Pair) float64 {
		lo, hi := p.Lo, p.Hi
		if least, ok := c.Min(); ok && !p.Point {
			lo = max(lo, least)
		}
		if most, ok := c.Max(); ok && !p.Point {
			hi = min(hi, most)
		}
		return lo/2 + hi/2
	}
	v := center(m.lower)
	if m.n%2 == 0 {
		v = cells.Interpolate(v, center(m.upper), 0.5)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

// medians returns the medians of both sides of a numeric feature by one walk over the cells, instead of one for each order
// statistic of each side.
func medians(ref, cur *cells.Counts) (r, c *float64) {
	if ref.Space().Kind() != cells.Numeric {
		return nil, nil
	}
	mr, mc := middle{n: ref.N()}, middle{n: cur.N()}
	for p := range cells.Walk(ref, cur) {
		mr.add(p, p.Ref)
		mc.add(p, p.Cur)
		if (mr.found || mr.n == 0) && (mc.found || mc.n == 0) {
			break
		}
	}
	return mr.value(ref), mc.value(cur)
}
