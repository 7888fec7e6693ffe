package detectors_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// numbers reads values from bytes: two bytes are a small integer, or one divided by 8, so that ties and neighbours are common; a prefix
// of 0xff takes the next eight bytes as they are, so that every magnitude is.
func numbers(raw []byte) []float64 {
	var xs []float64
	for len(raw) >= 2 {
		x := float64(int8(raw[0])) / []float64{1, 8, 64}[raw[1]%3]
		if raw[0] == 0xff && len(raw) >= 10 {
			x = math.Float64frombits(binary.LittleEndian.Uint64(raw[2:]))
			raw = raw[8:]
		}
		raw = raw[2:]
		if x-x == 0 {
			xs = append(xs, x+0)
		}
	}
	return xs
}

// FuzzEnclosed takes any two samples and any resolution. What is computed over cells is well formed and encloses what sorting both samples
// gives, to the rounding of its sums.
func FuzzEnclosed(f *testing.F) {
	f.Add([]byte("reference values with ties, ties, ties"), []byte("current values, fewer"), uint16(5))
	f.Add([]byte{1, 0, 1, 0, 1, 0, 9, 1}, []byte{1, 0}, uint16(2000))
	f.Add(append([]byte{0xff, 0}, binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e308))...), []byte{3, 3, 200, 7}, uint16(1))
	f.Fuzz(func(t *testing.T, rawRef, rawCur []byte, resolution uint16) {
		if len(rawRef)+len(rawCur) > 1<<12 {
			return
		}
		ref, cur := numbers(rawRef), numbers(rawCur)
		slices.Sort(ref)
		frozen, err := reference.FreezeNumeric(result.RoleFeature, "x", ref, 1+int(resolution)%3000)
		if err != nil {
			t.Fatal(err)
		}
		counts := cells.NewCounts(frozen.Space)
		detectortest.AddNumbers(counts, cur)
		got := detectors.Evaluate(frozen, counts, everything()).Statistics
		if len(ref) == 0 || len(cur) == 0 {
			for name, s := range got {
				detectortest.WellFormed(t, name, s)
			}
			return
		}
		for name, want := range rawNumbers(t, ref, cur) {
			if math.IsInf(want.Value, 0) || got[name].Value == nil {
				detectortest.WellFormed(t, name, got[name])
				continue // beyond all numbers on one of both ways
			}
			encloses(t, fmt.Sprintf("%s (%d against %d)", name, len(cur), len(ref)), got[name], want)
		}
	})
}
