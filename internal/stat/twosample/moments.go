package twosample

import (
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// Moments returns mean and variance (divisor n - 1) of values in any order, in two passes, so that an offset of the values does not
// matter. ok is false where one of them does not exist: fewer than 2 values, or an overflow.
//
// Reference: T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample variance, 1983 (the corrected two-pass form).
func Moments(values []float64) (mean, variance float64, ok bool) {
	if len(values) < 2 {
		return 0, 0, false
	}
	shift := values[len(values)/2]
	offset, variance := moments(values, shift)
	mean = shift + offset
	return mean, variance, finite(mean) && finite(variance)
}

// moments returns the mean less shift, and the variance.
func moments(values []float64, shift float64) (offset, variance float64) {
	n := float64(len(values))
	var first, rest, squares blocks
	for _, x := range values {
		first.add(x - shift)
	}
	near := first.total() / n
	for _, x := range values {
		d := (x - shift) - near
		rest.add(d)
		squares.add(d * d)
	}
	r := rest.total()
	return near + r/n, max(squares.total()-float64(r*r/n), 0) / (n - 1)
}

func finite(x float64) bool { return !math.IsInf(x, 0) && !math.IsNaN(x) }

// Welch is Welch's t-test of mean(ref) - mean(cur) on raw values in any order, see stat.Welch. The difference of the means is taken
// before either is rounded: where the values' spread is near the last digit of their mean it is right, and WelchSciPy is not.
func Welch(ref, cur []float64) (t, df, p float64, ok bool) {
	if len(ref) < 2 || len(cur) < 2 {
		return 0, 0, 0, false
	}
	shift := ref[len(ref)/2]
	m1, v1 := moments(ref, shift)
	m2, v2 := moments(cur, shift)
	return stat.Welch(uint64(len(ref)), m1, v1, uint64(len(cur)), m2, v2)
}

// WelchSciPy is Welch's t-test as scipy.stats.ttest_ind(equal_var=False) computes it: the same as Welch but for rounding. Means are
// summed pairwise as NumPy does, in the order of the values, and rounded before they are subtracted, and variances are
// taken about the rounded means. Give the values as they stand in the file, not sorted.
func WelchSciPy(ref, cur []float64) (t, df, p float64, ok bool) {
	if len(ref) < 2 || len(cur) < 2 {
		return 0, 0, 0, false
	}
	m1, v1 := numpyMoments(ref)
	m2, v2 := numpyMoments(cur)
	return stat.Welch(uint64(len(ref)), m1, v1, uint64(len(cur)), m2, v2)
}

func numpyMoments(values []float64) (mean, variance float64) {
	n := float64(len(values))
	mean = pairwise(values, func(x float64) float64 { return x }) / n
	squares := pairwise(values, func(x float64) float64 { return float64((x - mean) * (x - mean)) })
	return mean, squares / n * (n / (n - 1))
}

// pairwise sums f of values in the order of NumPy's add.reduce over contiguous float64: halves down to 128 values, each of these by eight
// running sums (numpy/core/src/umath/loops_utils.h.src, pairwise_sum).
func pairwise(values []float64, f func(float64) float64) float64 {
	n := len(values)
	switch {
	case n < 8:
		sum := 0.0
		for _, x := range values {
			sum += f(x)
		}
		return sum
	case n <= 128:
		var r [8]float64
		for k := range r {
			r[k] = f(values[k])
		}
		i := 8
		for ; i < n-n%8; i += 8 {
			for k := range r {
				r[k] += f(values[i+k])
			}
		}
		sum := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
		for ; i < n; i++ {
			sum += f(values[i])
		}
		return sum
	}
	half := n / 2
	half -= half % 8
	return pairwise(values[:half], f) + pairwise(values[half:], f)
}
