package stat

import (
	"cmp"
	"slices"
)

// BenjaminiHochberg returns the q-value of every p-value: the smallest false discovery rate at which it is still a discovery.
//
// Formula: q_(i) = min_{j≥i} m·p_(j)/j over the m sorted p-values, at most 1. Order of the result: as the argument.
// Assumption: the p-values are independent or positively dependent; else BenjaminiYekutieli.
// Reference: Y. Benjamini, Y. Hochberg, Controlling the false discovery rate, J. R. Stat. Soc. B 57, 1995.
func BenjaminiHochberg(p []float64) []float64 { return stepUp(p, 1) }

// BenjaminiYekutieli is BenjaminiHochberg for p-values of any dependence: every q is larger by Σ 1/i, i = 1 … m.
//
// Reference: Y. Benjamini, D. Yekutieli, The control of the false discovery rate in multiple testing under dependency, 2001.
func BenjaminiYekutieli(p []float64) []float64 {
	harmonic := 0.0
	for i := len(p); i >= 1; i-- { // small terms first
		harmonic += 1 / float64(i)
	}
	return stepUp(p, harmonic)
}

func stepUp(p []float64, factor float64) []float64 {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	q := make([]float64, len(p))
	least := 1.0
	for rank := len(order); rank >= 1; rank-- {
		i := order[rank-1]
		least = min(least, p[i]*float64(len(p))*factor/float64(rank))
		q[i] = least
	}
	return q
}
