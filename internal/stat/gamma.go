package stat

import "gonum.org/v1/gonum/mathext"

// GammaBound is the x with P(X > x) = upper of the gamma distribution with this mean and variance: shape mean²/variance, scale
// variance/mean, the fit by moments.
//
// Special cases: no variance gives the mean; a mean of 0 gives 0. upper must lie in (0, 1).
func GammaBound(mean, variance, upper float64) float64 {
	if !(variance > 0) || !(mean > 0) {
		return max(mean, 0)
	}
	return variance / mean * mathext.GammaIncRegCompInv(mean*mean/variance, upper)
}
