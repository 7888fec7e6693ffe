// Package changepoint finds when the level of a series changed, one value at a time: for metrics that decay so slowly that every window
// stays under its threshold. Its detectors are state machines without a clock: the same values in the same order give the same state, bit
// for bit on one architecture, and a state that was encoded and decoded again goes on as if nothing had happened.
//
// Which one: ADWIN needs no idea of the level and its size (a level for false alarms instead), but hundreds of values; CUSUM is the quickest
// for a shift of a known size, in standard deviations of a level that it learns; PageHinkley is between the two, in the unit of the series.
// docs/statistics.md says how they compare.
package changepoint

import (
	"errors"
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Change is what a value told.
type Change int

// The changes.
const (
	None Change = iota // nothing
	Up                 // the level rose
	Down               // the level fell
)

// MaxValue is the largest absolute value that a detector takes, so that no sum of squares overflows.
const MaxValue = 1e100

// Accepts reports whether x is a value of a series: a number of at most MaxValue. What is not is no update.
func Accepts(x float64) bool { return math.Abs(x) <= MaxValue }

// A Detector looks at the values of one series in their order. It is not safe for concurrent use.
type Detector interface {
	// Add takes the next value and says whether the level has changed. A value that is not accepted changes nothing.
	Add(x float64) Change
	// Age says, right after a change was told, how many values ago the new level began, as far as the detector can tell: at least 1.
	Age() uint64
	// AppendBinary appends the canonical encoding of the state, without the parameters.
	AppendBinary(b []byte) []byte
	// Decode takes over a state that AppendBinary wrote for a detector with the same parameters, and returns what follows it. On an error,
	// which wraps wire.ErrCorrupt, the state is unchanged.
	Decode(b []byte) (rest []byte, err error)
}

// ErrParameter is wrapped by what Validate returns.
var ErrParameter = errors.New("impossible parameter")

func impossible(name string, got any, want string) error {
	return fmt.Errorf("%w: %s must be %s, got %v", ErrParameter, name, want, got)
}

// version begins every state. A later version reads those before it.
const version = 1

// header reads the version and whether a change was told by the last value.
func header(r *wire.Reader) (changed bool) {
	if v := r.Byte(); v != version {
		r.Fail("version %d of a state, want %d", v, version)
	}
	flag := r.Byte()
	if flag > 1 {
		r.Fail("a flag of %d", flag)
	}
	return flag == 1
}

func appendHeader(b []byte, changed bool) []byte {
	if changed {
		return append(b, version, 1)
	}
	return append(b, version, 0)
}

// appendFloat appends x; a negative zero, which means nothing here, as zero.
func appendFloat(b []byte, x float64) []byte { return wire.AppendFloat(b, x+0) }
