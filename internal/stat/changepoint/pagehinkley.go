package changepoint

import (
	"fmt"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Mode says which changes a detector looks for.
type Mode string

// The modes.
const (
	ModeUp   Mode = "up"
	ModeDown Mode = "down"
	ModeBoth Mode = "both"
)

// PageHinkleyParams are the parameters of a PageHinkley.
type PageHinkleyParams struct {
	MinInstances int     // values before the first alarm is possible
	Delta        float64 // what is no change, in the unit of the series: ≥ 0
	Threshold    float64 // of the cumulated deviation, in the unit of the series times values: > 0
	Alpha        float64 // how much of the cumulated deviation is left after a value, in (0, 1]: the smaller, the more a slow decay is forgotten
	Mode         Mode
}

// DefaultPageHinkley are the parameters of river. They are of the unit of the series: for a rate, 50 is hundreds of windows.
func DefaultPageHinkley() PageHinkleyParams {
	return PageHinkleyParams{MinInstances: 30, Delta: 0.005, Threshold: 50, Alpha: 0.9999, Mode: ModeBoth}
}

// Validate says which parameter is impossible, or nil.
func (p PageHinkleyParams) Validate() error {
	switch {
	case p.MinInstances < 1 || p.MinInstances > maxParameter:
		return impossible("min_instances", p.MinInstances, "1 to 1048576")
	case !(p.Delta >= 0) || !Accepts(p.Delta):
		return impossible("delta", p.Delta, "0 or above")
	case !(p.Threshold > 0) || !Accepts(p.Threshold):
		return impossible("threshold", p.Threshold, "above 0")
	case !(p.Alpha > 0 && p.Alpha <= 1):
		return impossible("alpha", p.Alpha, "above 0 and at most 1")
	case p.Mode != ModeUp && p.Mode != ModeDown && p.Mode != ModeBoth:
		return impossible("mode", fmt.Sprintf("%q", p.Mode), "up, down or both")
	}
	return nil
}

// PageHinkley sums how far values are from their running mean, and tells a change when the sum has gone too far from its extreme.
//
// Formula: mean += (x-mean)/n; d = x - mean; up = α·up + d - δ; down = α·down + d + δ; a change up where up - min(up) > λ, down where
// max(down) - down > λ, from MinInstances values on. Unit: that of the series. Direction: as told. Assumptions: δ is about half of the
// change that matters; the noise is small against λ. Special cases: the first value is the level. Cost: constant. After a change the state is
// thrown away before the next value.
// Reference: E. S. Page, Continuous inspection schemes, 1954; D. V. Hinkley, 1971; the variant of river since 0.15.
type PageHinkley struct {
	params         PageHinkleyParams
	n              uint64
	mean, up, down float64
	least, most    float64 // of up and down so far
	leastAt        uint64  // n at which they were
	mostAt         uint64
	change         Change // by the last value
}

// NewPageHinkley returns a detector that has seen nothing.
func NewPageHinkley(p PageHinkleyParams) (*PageHinkley, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return freshPageHinkley(p), nil
}

func freshPageHinkley(p PageHinkleyParams) *PageHinkley {
	return &PageHinkley{params: p, n: 0, mean: 0, up: 0, down: 0, least: 0, most: 0, leastAt: 0, mostAt: 0, change: None}
}

// Age implements Detector: the values since the sum turned.
func (d *PageHinkley) Age() uint64 {
	if d.change == Down {
		return max(1, d.n-d.mostAt)
	}
	return max(1, d.n-d.leastAt)
}

// Add implements Detector.
func (d *PageHinkley) Add(x float64) Change {
	if !Accepts(x) {
		return None
	}
	if d.change != None {
		*d = *freshPageHinkley(d.params)
	}
	x += 0 // no negative zero
	d.n++
	d.mean += (x - d.mean) / float64(d.n)
	off := x - d.mean
	d.up = float64(d.params.Alpha*d.up) + off - d.params.Delta
	d.down = float64(d.params.Alpha*d.down) + off + d.params.Delta
	if d.n == 1 || d.up < d.least {
		d.least, d.leastAt = d.up, d.n
	}
	if d.n == 1 || d.down > d.most {
		d.most, d.mostAt = d.down, d.n
	}
	switch p := &d.params; {
	case d.n < uint64(p.MinInstances):
	case p.Mode != ModeDown && d.up-d.least > p.Threshold:
		d.change = Up
	case p.Mode != ModeUp && d.most-d.down > p.Threshold:
		d.change = Down
	}
	return d.change
}

// AppendBinary implements Detector.
func (d *PageHinkley) AppendBinary(b []byte) []byte {
	b = appendHeader(b, d.change != None)
	b = append(b, byte(d.change))
	for _, n := range []uint64{d.n, d.leastAt, d.mostAt} {
		b = wire.AppendUvarint(b, n)
	}
	for _, x := range []float64{d.mean, d.up, d.down, d.least, d.most} {
		b = appendFloat(b, x)
	}
	return b
}

// Decode implements Detector.
func (d *PageHinkley) Decode(b []byte) (rest []byte, err error) {
	r := wire.NewReader(b)
	n := freshPageHinkley(d.params)
	changed := header(r)
	n.change = readChange(r, changed)
	n.n, n.leastAt, n.mostAt = r.Uvarint(), r.Uvarint(), r.Uvarint()
	for _, x := range []*float64{&n.mean, &n.up, &n.down, &n.least, &n.most} {
		*x = r.Finite()
	}
	if n.leastAt > n.n || n.mostAt > n.n {
		r.Fail("an extreme after the last value")
	}
	if err := r.Err(); err != nil {
		return b, fmt.Errorf("reading Page-Hinkley: %w", err)
	}
	*d = *n
	return r.Rest(), nil
}

func readChange(r *wire.Reader, changed bool) Change {
	c := Change(r.Byte())
	if c > Down || (c != None) != changed {
		r.Fail("a change of kind %d", c)
	}
	return c
}
