package detectors

import (
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// nullTail is the probability above the null quantile that MinimumN keeps below the warning threshold.
const nullTail = 0.001

// MinimumN returns the smallest window of values for which a verdict makes sense: the least n for which the 99.9 % quantile of
// psi_debiased without drift, (χ²_{0.999}(bins-1) - (bins-1))·(1/n + 1/m), lies below the warning threshold. bins is the number of
// bins that the reference has values in, taken as at least 2; m is the size of the reference.
//
// It returns 0 where no n is enough because the reference itself is too small; MinimumReference says what it would need.
func MinimumN(bins int, m uint64, warning float64) uint64 {
	k := nullExcess(bins)
	if m == 0 || !(warning > 0) || k/float64(m) >= warning {
		return 0
	}
	enough := func(n float64) bool { return float64(k*(1/n+1/float64(m))) < warning }
	n := math.Floor(1/(warning/k-1/float64(m))) + 1
	if !(n < 1<<50) {
		return 0 // the reference only just fails: no window has that many values
	}
	for n > 1 && enough(n-1) { // the division above may be one off
		n--
	}
	for !enough(n) {
		n++
	}
	return uint64(n)
}

// MinimumReference returns the smallest reference for which MinimumN exists.
func MinimumReference(bins int, warning float64) uint64 {
	return uint64(math.Floor(nullExcess(bins)/warning)) + 1
}

func nullExcess(bins int) float64 {
	dof := max(bins, 2) - 1
	return stat.ChiSquareQuantile(nullTail, dof) - float64(dof)
}

// occupiedBins is how many bins the reference has values in.
func occupiedBins(refBins []uint64) int { return stat.Occupied(refBins, refBins) }
