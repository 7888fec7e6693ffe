package detectors

import (
	"math"
	"testing"
)

// The closed sums of many ranks against their terms, near the poles and far from them.
func TestRationalSums(t *testing.T) {
	for _, f := range []rational{
		{value: 0.3, slope: -1e-5, from: 0, all: 1e5, less: 2.5e4},
		{value: 0.3, slope: -1e-5, from: 7, all: 1e5, less: 0},
		{value: -0.2, slope: 3e-6, from: 1e5 - 4e4, all: 1e5, less: 2.5e4},
		{value: 1, slope: 0, from: 4e4, all: 1e5, less: 0},
		{value: 1, slope: 0, from: 0, all: 1e5, less: 2.5e4},
	} {
		for _, count := range []float64{1, 2, 63, 64, 191, 192, 193, 300, 5000, 4e4} {
			got, want := f.sum(count), f.terms(f.from, f.from+count)
			if math.Abs(got/want-1) > 1e-10 {
				t.Errorf("%+v: %v terms sum to %v, one by one %v", f, count, got, want)
			}
		}
	}
}
