package detectors

import (
	"math"

	"github.com/driftd/driftd/result"
)

// energy is the energy distance: like wasserstein, with large differences of the distribution functions weighing more and far tails less.
//
// Formula: sqrt(2 ∫ (F - G)² dx) = sqrt(2E|X-Y| - E|X-X'| - E|Y-Y'|). Unit: the root of the feature's. Range [0, ∞); a metric.
// It has no p-value.
// Special cases: either side empty, or an overflow: null.
// Bounds: Lower = Upper where the positions of all values are known; else each gap with values is enclosed by the least and the largest |F - G|
// that it can have, and the value lets F - G be linear there.
// Cost: a part of the sweep over the cells.
// Reference: G. J. Székely, M. L. Rizzo, Energy statistics: a class of statistics based on distances, 2013; scipy.stats.energy_distance.
func energy() Spec {
	return Spec{
		Name: "energy", Kinds: numericOnly(), Doc: "docs/statistics.md#energy", Rate: NotARate, sums: sumEnergy,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			lower, v, upper := in.sweep.energy.bounds()
			return enclosed(root2(lower), root2(v), root2(upper), nil, "energy has no p-value")
		},
	}
}

// root2 is sqrt(2x) without an overflow in between.
func root2(x float64) float64 { return math.Sqrt2 * math.Sqrt(x) }
