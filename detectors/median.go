package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
)

// middle finds the cells of the two middle order statistics of one side while the cells are walked.
type middle struct {
	n            uint64
	seen         uint64
	lower, upper cells.Cell // the cells of ranks (n-1)/2 and n/2
	found        bool
}

func (m *middle) add(p *cells.Cell, count uint64) {
	if m.found || count == 0 {
		return
	}
	before := m.seen
	m.seen += count
	if rank := (m.n - 1) / 2; before <= rank && rank < m.seen {
		m.lower = *p
	}
	if m.n/2 < m.seen {
		m.upper, m.found = *p, true
	}
}

// passes takes the next count values as a whole where no middle is among them; else it returns true, and they are to be added.
func (m *middle) passes(count uint64) bool {
	if m.found || m.n == 0 {
		return false
	}
	if m.seen+count > (m.n-1)/2 {
		return true
	}
	m.seen += count
	return false
}

// value is the median, as Counts.Quantile(0.5) estimates it: exact at points, the middle of a gap, which is clipped to the
// extremes where they are known. Nil without values.
func (m *middle) value(c *cells.Counts) *float64 {
	if m.n == 0 || !m.found {
		return nil
	}
	center := func(p cells.Cell) float64 {
		lo, hi := p.Lo, p.Hi
		if least, ok := c.Min(); ok && !p.Point() {
			lo = max(lo, least)
		}
		if most, ok := c.Max(); ok && !p.Point() {
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
