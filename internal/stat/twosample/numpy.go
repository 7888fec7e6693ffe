package twosample

import "math"

// MomentsNumPy returns the mean and the standard deviation (divisor n - ddof) as numpy.mean and numpy.std compute them: summed pairwise
// in the order of the values, the deviations taken about the rounded mean. ok is false where one of them does not exist: at most
// ddof values, or an overflow.
func MomentsNumPy(values []float64, ddof int) (mean, std float64, ok bool) {
	if len(values) <= ddof {
		return 0, 0, false
	}
	mean = pairwise(values, func(x float64) float64 { return x }) / float64(len(values))
	squares := pairwise(values, func(x float64) float64 { return float64((x - mean) * (x - mean)) })
	std = math.Sqrt(squares / float64(len(values)-ddof))
	return mean, std, finite(mean) && finite(std)
}
