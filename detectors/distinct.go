package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/result"
)

// distinct is how many distinct values or categories the window has, as far as the cells can tell.
//
// Formula: Lower and the value count the cells that the window has values in; Upper counts every value inside a gap, and in other, as
// one of its own. Lower = Upper where all values are at points or in tracked categories. A count of distinct values that is
// kept beside the cells would merge but could not be subtracted; this one follows from the counts, so that windows can slide.
// Baseline is the reference's number. It has no p-value: it grows with n, and is to be read beside the count.
// Special cases: either side empty: null. Cost: one pass over the cells.
func distinct() Spec {
	return Spec{
		Name: "distinct", Kinds: bothKinds(), Doc: "docs/statistics.md#distinct", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			var least, most uint64
			categorical := in.Cur.Space().Kind() == cells.Categorical
			for p := range cells.Walk(in.Cur, in.Cur) {
				least++
				if p.Point || (categorical && !p.Other) {
					most++
				} else {
					most += p.Cur
				}
			}
			s := enclosed(float64(least), float64(least), float64(most), nil, "distinct has no p-value")
			baseline := float64(in.Distinct)
			s.Baseline = &baseline
			return s
		},
	}
}
