package stat

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// ChiSquareSF is P(X > x) of the χ² distribution with dof degrees of freedom: the regularised upper incomplete gamma
// function Q(dof/2, x/2). Relative precision holds into the far tail (below 1e-300 it is 0).
//
// Special cases: dof 0 is the distribution that is always 0, so the result is 1 at x ≤ 0 and 0 above; x ≤ 0 gives 1.
func ChiSquareSF(x float64, dof int) float64 {
	switch {
	case x <= 0:
		return 1
	case dof <= 0 || math.IsInf(x, 1):
		return 0
	}
	return mathext.GammaIncRegComp(float64(dof)/2, x/2)
}

// ChiSquareQuantile is the x with P(X > x) = upper, the upper quantile of the χ² distribution with dof degrees of freedom.
//
// Special cases: dof 0 gives 0. upper must lie in (0, 1).
func ChiSquareQuantile(upper float64, dof int) float64 {
	if dof <= 0 {
		return 0
	}
	return 2 * mathext.GammaIncRegCompInv(float64(dof)/2, upper)
}

// ChiSquareResult is the outcome of Pearson's test.
type ChiSquareResult struct {
	Statistic float64
	PValue    float64
	DoF       int // columns - 1
	Pooled    int // columns that were pooled into one because they expected too little
}

// ChiSquare tests whether two count vectors over the same bins come from one distribution: Pearson's χ² on the 2×k table.
//
// H₀: both samples have the same bin probabilities. Formula: Σ (o-e)²/e over the table without Yates' correction, which
// for two rows is nm Σ (c/n - r/m)²/(c+r); columns that are empty on both sides are left out; dof = columns - 1.
// Columns in which a cell expects less than minExpected are pooled into one column; 0 pools nothing (drift-numeric/1).
// Range [0, ∞), large means different. Approximation: the χ² distribution, good where most cells expect 5 or more.
// Special cases: one column gives statistic 0, p 1, dof 0; false if either side is empty, or if pooling leaves one
// column of several, which says nothing about the data.
// Reference: K. Pearson, On the criterion …, 1900; W. G. Cochran, The χ² test of goodness of fit, 1952 (small expectations).
func ChiSquare(ref, cur []uint64, minExpected float64) (ChiSquareResult, bool) {
	m, n := float64(Total(ref)), float64(Total(cur))
	if m == 0 || n == 0 {
		return ChiSquareResult{}, false
	}
	small := min(m, n) / (m + n) // the share of a column that its smaller cell expects
	var (
		sum            float64
		columns        int
		pooledR        uint64
		pooledC        uint64
		pooled         int
		addToStatistic = func(r, c float64) {
			d := c/n - r/m
			sum += float64(d * d / (r + c))
			columns++
		}
	)
	for i := range ref {
		r, c := float64(ref[i]), float64(cur[i])
		switch {
		case r == 0 && c == 0:
		case small*(r+c) < minExpected:
			pooledR += ref[i]
			pooledC += cur[i]
			pooled++
		default:
			addToStatistic(r, c)
		}
	}
	if pooled > 0 {
		addToStatistic(float64(pooledR), float64(pooledC))
	}
	if columns == 1 && pooled > 1 {
		return ChiSquareResult{}, false
	}
	res := ChiSquareResult{Statistic: float64(m * n * sum), PValue: 1, DoF: columns - 1, Pooled: pooled}
	if res.DoF > 0 {
		res.PValue = ChiSquareSF(res.Statistic, res.DoF)
	} else {
		res.Statistic = 0
	}
	return res, true
}
