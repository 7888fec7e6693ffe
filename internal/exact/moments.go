package exact

import (
	"math"
	"math/big"
)

// Mean returns sum/n rounded once. It returns false for n = 0, and where values that were not finite are in the sum.
func Mean(sum *Sum, n uint64) (float64, bool) {
	if n == 0 {
		return 0, false
	}
	if mean, ok := fastMean(sum, n); ok {
		return mean, true
	}
	return meanOf(sum, n)
}

// meanOf is Mean of sums of any size.
func meanOf(sum *Sum, n uint64) (float64, bool) {
	v, exp := sum.integer()
	return quotient(v, exp, new(big.Int).SetUint64(n), sum.marks == 0)
}

// MeanDifference returns a/n - b/m, the difference of the means of n and of m values, rounded once: where it is small beside the
// means, nothing is lost. It returns false for n or m of 0, on overflow, and where values that were not finite are in a sum.
func MeanDifference(a *Sum, n uint64, b *Sum, m uint64) (float64, bool) {
	if n == 0 || m == 0 {
		return 0, false
	}
	if d, ok := fastMeanDifference(a, n, b, m); ok {
		return d, true
	}
	return meanDifferenceOf(a, n, b, m)
}

// meanDifferenceOf is MeanDifference of sums of any size.
func meanDifferenceOf(a *Sum, n uint64, b *Sum, m uint64) (float64, bool) {
	bigN, bigM := new(big.Int).SetUint64(n), new(big.Int).SetUint64(m)
	x, xExp := a.integer()
	y, yExp := b.integer()
	exp := min(xExp, yExp)
	x.Mul(x.Lsh(x, uint(xExp-exp)), bigM)
	y.Mul(y.Lsh(y, uint(yExp-exp)), bigN)
	return quotient(x.Sub(x, y), exp, bigN.Mul(bigN, bigM), a.marks == 0 && b.marks == 0)
}

// MeanVariance returns the mean and the variance of n values from their exact sum and sum of squares:
//
//	mean = S/n      variance = (n·Q - S²) / (n·(n - ddof))
//
// in integers, each rounded once to the nearest float64: there is no cancellation, whatever the values' offset. ddof is 0 for the
// population's variance, 1 for the sample's. It returns false, and zeros, where one of them does not exist: n ≤ ddof, an
// overflow (the variance of ±1e300), values that were not finite, or sums that no n values have.
func MeanVariance(sum, sumSquares *Sum, n uint64, ddof int) (mean, variance float64, ok bool) {
	if ddof < 0 || n == 0 || n <= uint64(ddof) {
		return 0, 0, false
	}
	if mean, ok = Mean(sum, n); !ok {
		return 0, 0, false
	}
	if variance, ok = fastVariance(sum, sumSquares, n, ddof); !ok {
		variance, ok = varianceOf(sum, sumSquares, n, ddof)
	}
	if !ok {
		return 0, 0, false
	}
	return mean, variance, true
}

// varianceOf is the variance of MeanVariance of sums of any size.
func varianceOf(sum, sumSquares *Sum, n uint64, ddof int) (float64, bool) {
	bigN := new(big.Int).SetUint64(n)
	s, sExp := sum.integer()
	q, qExp := sumSquares.integer()
	s.Mul(s, s)
	sExp *= 2
	q.Mul(q, bigN)
	exp := min(sExp, qExp)
	s.Lsh(s, uint(sExp-exp))
	q.Lsh(q, uint(qExp-exp))
	q.Sub(q, s)
	if q.Sign() < 0 {
		return 0, false
	}
	den := new(big.Int).SetUint64(n - uint64(ddof))
	return quotient(q, exp, den.Mul(den, bigN), sumSquares.marks == 0)
}

// AllEqual reports whether n values of that sum and sum of squares are all equal: n·Q = S², in integers.
func AllEqual(sum, sumSquares *Sum, n uint64) bool {
	s, sExp := sum.integer()
	q, qExp := sumSquares.integer()
	s.Mul(s, s)
	q.Mul(q, new(big.Int).SetUint64(n))
	exp := min(2*sExp, qExp)
	return s.Lsh(s, uint(2*sExp-exp)).Cmp(q.Lsh(q, uint(qExp-exp))) == 0
}

// quotient returns num·2^exp/den rounded once to the nearest float64, false on overflow or when defined is false.
func quotient(num *big.Int, exp int, den *big.Int, defined bool) (float64, bool) {
	if !defined {
		return 0, false
	}
	if num.Sign() == 0 {
		return 0, true
	}
	// The quotient of two integers to 53 bits is rounded once, and shifting it is exact but for subnormal numbers.
	q := new(big.Float).SetPrec(53).Quo(new(big.Float).SetInt(num), new(big.Float).SetInt(den))
	if at := q.MantExp(nil) + exp; at > -1021 && at <= 1024 {
		f, _ := q.SetMantExp(q, exp).Float64()
		return f, true
	}
	num = new(big.Int).Set(num)
	den = new(big.Int).Set(den)
	if exp >= 0 {
		num.Lsh(num, uint(exp))
	} else {
		den.Lsh(den, uint(-exp))
	}
	f, _ := new(big.Rat).SetFrac(num, den).Float64() // nearest even, subnormals included
	if math.IsInf(f, 0) {
		return 0, false
	}
	if f == 0 {
		f = 0 // no negative zero
	}
	return f, true
}
