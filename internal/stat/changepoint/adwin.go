package changepoint

import (
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/exact/wire"
)

// ADWINParams are the parameters of an ADWIN.
type ADWINParams struct {
	Delta        float64 // about the share of false alarms, of all looks at a series without a change: in (0, 1)
	Clock        int     // look for a change every so many values
	MaxBuckets   int     // of one size: more cost memory and see smaller steps
	MinWindow    int     // values that a side of a cut holds at least
	Grace        int     // values before the first look
	ResetOnDrift bool    // forget everything at a change; else drop the old level only, as the original algorithm
}

// DefaultADWIN are the parameters of the original and of river.
func DefaultADWIN() ADWINParams {
	return ADWINParams{Delta: 0.002, Clock: 32, MaxBuckets: 5, MinWindow: 5, Grace: 10, ResetOnDrift: true}
}

// maxParameter bounds counts of values in parameters.
const maxParameter = 1 << 20

// Validate says which parameter is impossible, or nil.
func (p ADWINParams) Validate() error {
	switch {
	case !(p.Delta > 0 && p.Delta < 1):
		return impossible("delta", p.Delta, "above 0 and below 1")
	case p.Clock < 1 || p.Clock > maxParameter:
		return impossible("clock", p.Clock, "1 to 1048576")
	case p.MaxBuckets < 1 || p.MaxBuckets > 64:
		return impossible("max_buckets", p.MaxBuckets, "1 to 64")
	case p.MinWindow < 1 || p.MinWindow > maxParameter:
		return impossible("min_window", p.MinWindow, "1 to 1048576")
	case p.Grace < 0 || p.Grace > maxParameter:
		return impossible("grace", p.Grace, "0 to 1048576")
	}
	return nil
}

// bucket summarises values that follow one another: 2^i of them in row i.
type bucket struct{ sum, m2 float64 }

// ADWIN keeps a window of the newest values that could all be of one level, in exponential buckets, and tells a change when two parts of it
// differ by more than chance.
//
// H₀: the values of the window have one mean. Formula: a cut into n₀ older and n₁ newer values is a change where their means differ by more
// than ε = sqrt(2m·v·L) + ⅔·L·m, v the variance of the window, m = 1/(n₀-w+1) + 1/(n₁-w+1) with w = MinWindow, L = ln(2 ln W/Delta); cuts are
// tried at the ends of buckets. Then the oldest buckets go until no cut is left. Unit: that of the series. Direction: up, the newer part is
// higher. Assumptions: independent values; a season or autocorrelation is a change to it. Minimum: Grace + 1 values, in practice some hundred.
// Special cases: a series without any spread has no change. Cost: amortised constant a value, MaxBuckets·log₂ W a look; about
// 16·MaxBuckets·log₂(W/MaxBuckets) bytes.
// Reference: A. Bifet, R. Gavaldà, Learning from time-changing data with adaptive windowing, SDM 2007; the variant of river since 0.24.
type ADWIN struct {
	params    ADWINParams
	rows      [][]bucket // row i: buckets of 2^i values, oldest first
	width     uint64
	total, m2 float64
	tick      uint64
	changed   bool // by the last value
}

// NewADWIN returns a detector that has seen nothing.
func NewADWIN(p ADWINParams) (*ADWIN, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &ADWIN{params: p, rows: nil, width: 0, total: 0, m2: 0, tick: 0, changed: false}, nil
}

// Width is the number of values in the window.
func (a *ADWIN) Width() uint64 { return a.width }

// Mean is the mean of the window; false for an empty one.
func (a *ADWIN) Mean() (float64, bool) {
	if a.width == 0 {
		return 0, false
	}
	return a.total / float64(a.width), true
}

// Age implements Detector: what is left of the window is the new level.
func (a *ADWIN) Age() uint64 { return a.width }

// Add implements Detector.
func (a *ADWIN) Add(x float64) Change {
	if !Accepts(x) {
		return None
	}
	if a.changed && a.params.ResetOnDrift {
		*a = ADWIN{params: a.params, rows: nil, width: 0, total: 0, m2: 0, tick: 0, changed: false}
	}
	a.changed = false
	a.insert(x + 0)
	a.tick++
	if a.tick%uint64(a.params.Clock) != 0 || a.width <= uint64(a.params.Grace) {
		return None
	}
	change := None
	for {
		c := a.cut()
		if c == None {
			break
		}
		change, a.changed = c, true
		a.drop()
	}
	return change
}

func (a *ADWIN) insert(x float64) {
	if len(a.rows) == 0 {
		a.rows = append(a.rows, nil)
	}
	a.rows[0] = append(a.rows[0], bucket{x, 0})
	a.width++
	if a.width > 1 {
		w := float64(a.width)
		d := x - a.total/(w-1)
		a.m2 += float64(float64((w-1)*d)*d) / w
	}
	a.total += x
	for i := 0; i < len(a.rows) && len(a.rows[i]) > a.params.MaxBuckets; i++ {
		if i+1 == len(a.rows) {
			a.rows = append(a.rows, nil)
		}
		n := math.Ldexp(1, i)
		b, c := a.rows[i][0], a.rows[i][1]
		d := b.sum/n - c.sum/n
		a.rows[i+1] = append(a.rows[i+1], bucket{b.sum + c.sum, b.m2 + c.m2 + float64(n/2*float64(d*d))})
		a.rows[i] = append(a.rows[i][:0], a.rows[i][2:]...)
	}
}

// cut looks for a place where older and newer values differ, from the oldest bucket on, and never inside of the newest bucket.
func (a *ADWIN) cut() Change {
	w := float64(a.width)
	if a.width < 2 {
		return None
	}
	least := float64(a.params.MinWindow)
	l := math.Log(2 * math.Log(w) / a.params.Delta)
	variance := max(a.m2, 0) / w
	var n0, s0 float64
	for i, row := range slices.Backward(a.rows) {
		for _, b := range row {
			n0 += math.Ldexp(1, i)
			s0 += b.sum
			n1 := w - n0
			if n1 <= 0 {
				return None // this was the newest one
			}
			if n0 < least || n1 < least {
				continue
			}
			m := 1/(n0-least+1) + 1/(n1-least+1)
			e := math.Sqrt(2*m*variance*l) + float64(2.0/3*l*m)
			older, newer := s0/n0, (a.total-s0)/n1
			if math.Abs(older-newer) > e {
				if newer > older {
					return Up
				}
				return Down
			}
		}
	}
	return None
}

// drop forgets the oldest bucket.
func (a *ADWIN) drop() {
	last := len(a.rows) - 1
	b, n := a.rows[last][0], math.Ldexp(1, last)
	a.rows[last] = append(a.rows[last][:0], a.rows[last][1:]...)
	for len(a.rows) > 0 && len(a.rows[len(a.rows)-1]) == 0 {
		a.rows = a.rows[:len(a.rows)-1]
	}
	a.width -= uint64(1) << last
	a.total -= b.sum
	w := float64(a.width) // above 0: a cut leaves newer values
	d := b.sum/n - a.total/w
	a.m2 -= b.m2 + float64(float64(n*w)*float64(d*d))/(n+w)
}

// AppendBinary implements Detector.
func (a *ADWIN) AppendBinary(b []byte) []byte {
	b = appendHeader(b, a.changed)
	b = wire.AppendUvarint(b, a.tick)
	b = appendFloat(appendFloat(b, a.total), a.m2)
	b = wire.AppendUvarint(b, uint64(len(a.rows)))
	for _, row := range a.rows {
		b = wire.AppendUvarint(b, uint64(len(row)))
		for _, c := range row {
			b = appendFloat(appendFloat(b, c.sum), c.m2)
		}
	}
	return b
}

// maxRows bounds the rows of a state: 2^48 values.
const maxRows = 48

// Decode implements Detector.
func (a *ADWIN) Decode(b []byte) (rest []byte, err error) {
	r := wire.NewReader(b)
	n := ADWIN{params: a.params, rows: nil, width: 0, total: 0, m2: 0, tick: 0, changed: header(r)}
	n.tick, n.total, n.m2 = r.Uvarint(), r.Finite(), r.Finite()
	size := r.Count(1)
	if size > maxRows {
		r.Fail("%d rows of buckets", size)
	}
	for i := 0; i < size && r.Err() == nil; i++ {
		count := r.Count(16)
		if count > n.params.MaxBuckets || count == 0 && i == size-1 {
			r.Fail("%d buckets in row %d, at most %d are possible", count, i, n.params.MaxBuckets)
			break
		}
		row := make([]bucket, 0, count)
		for range count {
			row = append(row, bucket{r.Finite(), r.Finite()})
		}
		n.rows = append(n.rows, row)
		n.width += uint64(count) << i
	}
	if n.width > n.tick && r.Err() == nil {
		r.Fail("%d values in a window after %d", n.width, n.tick)
	}
	if err := r.Err(); err != nil {
		return b, fmt.Errorf("reading ADWIN: %w", err)
	}
	*a = n
	return r.Rest(), nil
}
