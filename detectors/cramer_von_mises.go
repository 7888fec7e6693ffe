package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// cramerVonMises is the two-sample Cramér-von Mises statistic: the mean square of the difference of the distribution functions over
// all values (H₀ of its p-value: both samples come from one continuous distribution).
//
// Formula: t = nm/N² Σ (F - G)² over the N values of both sides, with repetition; both functions right-continuous. Range [0, N/4],
// larger is further apart; about 1/6 without drift, whatever n and m.
// Assumptions of p: no ties; where many values are equal it is too small (TestErrorRatesWithoutDrift). Minimum: 2 values a side.
// Special cases: either side empty, or below 2: null. Ties: by the definition, at points; SciPy's rank form differs there.
// Bounds: where every reference value is a cut point Lower and Upper differ only by what ties among the window's values inside one
// gap could do, and the value holds them distinct; above the resolution also by the unknown order inside gaps, and the value is
// that of a straight line. p is that of Lower.
// Approximation: the limiting distribution with the finite-sample mean and variance of t, see stat.CramerVonMisesPValue.
// Cost: a part of the sweep over the cells; some microseconds for p.
// Reference: T. W. Anderson, On the distribution of the two-sample Cramér-von Mises criterion, 1962.
func cramerVonMises() Spec {
	return Spec{
		Name: "cramer_von_mises", Kinds: numericOnly(), Doc: "docs/statistics.md#cramer_von_mises", Rate: NotARate, sums: sumSquares,
		Compute: func(in Input) result.Stat {
			if reason, ok := in.empty(); ok {
				return null(reason)
			}
			if in.M() < 2 || in.N() < 2 {
				return null("needs 2 values on either side")
			}
			s := in.sweep
			scale := s.whole / s.all() / s.all()
			lower, estimate, upper := s.squares.bounds()
			p, _ := stat.CramerVonMisesPValue(lower*scale, in.M(), in.N())
			return enclosed(lower*scale, estimate*scale, upper*scale, &p, "")
		},
	}
}

// numericOnly is for statistics that need an order of the values.
func numericOnly() []cells.Kind { return []cells.Kind{cells.Numeric} }
