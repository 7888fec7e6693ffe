package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// ks is the two-sample Kolmogorov-Smirnov distance: the largest difference of the two distribution functions, on values, not
// on bins (H₀ of its p-value: both samples come from one continuous distribution).
//
// Formula: sup |F - G|. Range [0, 1]. Lower and Upper always enclose it: at the ends of cells both functions are known exactly,
// and the largest difference there is Lower and the value. Only inside a gap that holds values of both sides could the true
// distance be larger: at most max(|F+f-G|, |G+g-F|) with f and g their masses. Where every reference value is a cut point
// there is no such gap and Lower = Upper.
// p-value: two-sided, of Lower; exact while n·m ≤ 10,000, else the one-sample exact distribution at round(nm/(n+m)), see
// stat.KSPValue. Ties make it conservative.
// Special cases: either side empty: null; constant sides: 0 or 1.
// Cost: a part of the sweep over the cells, in integers.
// Reference: N. Smirnov, Table for estimating the goodness of fit of empirical distributions, 1948; limits.md, section 5.
func ks() Spec {
	return Spec{
		Name: "ks", Kinds: []cells.Kind{cells.Numeric}, Doc: "docs/statistics.md#ks", Rate: NotARate, sums: sumDistances,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			lower, upper := in.sweep.ks()
			convention := stat.KSDefault
			if in.Config.Convention == ConventionSciPy {
				convention = stat.KSSciPy
			}
			p, _ := stat.KSPValue(lower, in.M(), in.N(), convention)
			s := valueP(lower, p)
			s.Lower, s.Upper = &lower, &upper
			return s
		},
	}
}
