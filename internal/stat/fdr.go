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
	type ranked struct {
		p  float64
		at int
	}
	q := make([]float64, len(p))
	order := make([]ranked, 0, len(p))
	for i, x := range p {
		if q[i] = 1; x < 1 { // the others are last, and stay 1
			order = append(order, ranked{x, i})
		}
	}
	slices.SortFunc(order, func(a, b ranked) int { return cmp.Compare(a.p, b.p) }) // equal ones have one q in any order
	least := 1.0
	for rank := len(order); rank >= 1; rank-- {
		o := order[rank-1]
		least = min(least, o.p*float64(len(p))*factor/float64(rank))
		q[o.at] = least
	}
	return q
}
