package stat

import "math"

// Z95 is the two-sided 95 % quantile of the standard normal distribution (SciPy: norm.ppf(0.975)).
const Z95 = 1.959963984540054

// Within returns the part of the interval that lies in [least, most].
func (i Interval) Within(least, most float64) Interval {
	return Interval{min(max(i.Lower, least), most), max(min(i.Upper, most), least)}
}

// Mover is the 95 % interval of Σ wᵢ·vᵢ of independent estimates vᵢ with intervals of their own: the distances of each value to its ends
// are taken for what z standard errors are there.
//
// Formula: θ - √Σ dᵢ² and θ + √Σ uᵢ², with dᵢ = wᵢ(vᵢ - lᵢ), uᵢ = wᵢ(uᵢ - vᵢ), ends exchanged where wᵢ is negative.
// Reference: G. Y. Zou, A. Donner, Construction of confidence limits about effect measures: a general approach, 2008 (MOVER);
// with Wilson intervals and weights ±1 it is Newcombe's interval of a difference (1998).
func Mover(weights, values []float64, intervals []Interval) Interval {
	var theta, down, up float64
	for i, w := range weights {
		lower, upper := values[i]-intervals[i].Lower, intervals[i].Upper-values[i]
		if w < 0 {
			lower, upper = upper, lower
		}
		theta += w * values[i]
		down += w * w * lower * lower
		up += w * w * upper * upper
	}
	return Interval{theta - math.Sqrt(down), theta + math.Sqrt(up)}
}
