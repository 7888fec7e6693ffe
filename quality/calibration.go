package quality

import (
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Method says how scores become probabilities.
type Method uint8

// The methods of calibration.
const (
	Identity Method = iota + 1 // the scores are probabilities, and isotonic regression would not make them better ones
	Isotonic                   // isotonic regression of the reference's labels on its scores
)

// Calibration maps the scores of one class to probabilities. It is immutable.
type Calibration struct {
	Method Method
	X, Y   []float64 // the knots of Isotonic: X strictly increasing, Y in [0, 1] and not decreasing

	Rows uint64 // labelled rows of the reference
	// Error is the expected calibration error of the scores as they are, NaN where they are no probabilities; CrossFitted is the one
	// of isotonic regression on rows that it was not fitted on, NaN where there were too few.
	Error, CrossFitted float64
}

// Probability returns the probability that belongs to a finite score, false where there is none: a score outside [0, 1] that is
// not calibrated.
func (c *Calibration) Probability(score float64) (float64, bool) {
	if c == nil || c.Method != Isotonic {
		return score, score >= 0 && score <= 1
	}
	i, exact := slices.BinarySearch(c.X, score)
	switch {
	case exact:
		return c.Y[i], true
	case i == 0:
		return c.Y[0], true
	case i == len(c.X):
		return c.Y[i-1], true
	}
	x0, x1, y0, y1 := c.X[i-1], c.X[i], c.Y[i-1], c.Y[i]
	if y0 == y1 {
		return y0, true
	}
	share := (score/2 - x0/2) / (x1/2 - x0/2) // halves: the difference of two huge scores is finite
	return min(max(y0+float64((y1-y0)*share), y0), y1), true
}

func (c *Calibration) check() error {
	switch {
	case c.Method != Identity && c.Method != Isotonic:
		return fmt.Errorf("unknown method %d of calibration", c.Method)
	case len(c.X) != len(c.Y) || (c.Method == Isotonic) != (len(c.X) > 0) || len(c.X) > MaxKnots:
		return fmt.Errorf("a calibration with %d scores and %d probabilities", len(c.X), len(c.Y))
	}
	for i := range c.X {
		switch {
		case math.IsNaN(c.X[i]) || math.IsInf(c.X[i], 0) || (i > 0 && c.X[i] <= c.X[i-1]):
			return fmt.Errorf("score %d of a calibration (%v) is not finite or not above the one before", i, c.X[i])
		case !(c.Y[i] >= 0 && c.Y[i] <= 1) || (i > 0 && c.Y[i] < c.Y[i-1]):
			return fmt.Errorf("probability %d of a calibration (%v) is outside [0, 1] or below the one before", i, c.Y[i])
		}
	}
	for _, e := range []float64{c.Error, c.CrossFitted} {
		if !math.IsNaN(e) && !(e >= 0 && e <= 1) {
			return fmt.Errorf("a calibration error of %v", e)
		}
	}
	return nil
}

// clone also takes the sign off zeros.
func (c *Calibration) clone() Calibration {
	out := Calibration{Method: c.Method, Rows: c.Rows, Error: c.Error + 0, CrossFitted: c.CrossFitted + 0}
	for i := range c.X {
		out.X, out.Y = append(out.X, c.X[i]+0), append(out.Y, c.Y[i]+0)
	}
	return out
}

func (c *Calibration) appendBinary(b []byte) []byte {
	b = append(b, byte(c.Method))
	b = wire.AppendUvarint(b, c.Rows)
	for _, e := range []float64{c.Error, c.CrossFitted} {
		if math.IsNaN(e) {
			b = append(b, 0)
		} else {
			b = wire.AppendFloat(append(b, 1), e)
		}
	}
	b = wire.AppendUvarint(b, uint64(len(c.X)))
	for i := range c.X {
		b = wire.AppendFloat(wire.AppendFloat(b, c.X[i]), c.Y[i])
	}
	return b
}

func decodeCalibration(r *wire.Reader) Calibration {
	c := Calibration{Method: Method(r.Byte()), Rows: r.Uvarint()}
	for _, e := range []*float64{&c.Error, &c.CrossFitted} {
		switch r.Byte() {
		case 0:
			*e = math.NaN()
		case 1:
			*e = r.Finite()
		default:
			r.Fail("unknown form of a calibration error")
		}
	}
	n := r.Count(16)
	c.X, c.Y = make([]float64, n), make([]float64, n)
	for i := range n {
		c.X[i], c.Y[i] = r.Finite(), r.Finite()
	}
	if n == 0 {
		c.X, c.Y = nil, nil
	}
	return c
}
