package detectors

import (
	"strconv"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// chiSquare is Pearson's test on the table of both counts (H₀: both samples have the same bin probabilities).
//
// Formula: Σ (o-e)²/e, no Yates correction, bins that expect less than Config.ChiSquareMinExpected on either side pooled, see
// stat.ChiSquare. Range [0, ∞). p-value: χ² with columns - 1 degrees of freedom.
// Special cases: either side empty, or every bin expects too little: null; one bin: 0 with p 1.
// Cost: one pass over the bins.
// Reference: K. Pearson, 1900; W. G. Cochran, The χ² test of goodness of fit, 1952.
func chiSquare() Spec {
	return Spec{
		Name: "chi2", Kinds: bothKinds(), Doc: "docs/statistics.md#chi2", Rate: NotARate,
		Compute: func(in Input) result.Stat {
			if in.Problem != "" {
				return null(in.Problem)
			}
			res, ok := stat.ChiSquare(in.RefBins, in.CurBins, in.Config.ChiSquareMinExpected)
			if !ok {
				least := strconv.FormatFloat(in.Config.ChiSquareMinExpected, 'g', -1, 64)
				return null("too few values: every bin expects less than " + least + " on one side")
			}
			return valueP(res.Statistic, res.PValue)
		},
	}
}
