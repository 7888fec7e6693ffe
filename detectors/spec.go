package detectors

import (
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/result"
)

// Spec describes one statistic. Its name is the same in results, configuration, metrics and docs.
type Spec struct {
	Name  string
	Kinds []cells.Kind // the kinds of features that it is defined for
	Doc   string       // where it is explained, an anchor of docs/statistics.md

	// Rate says that the value is a rate which Judge compares with Stat.Baseline, and in which direction a change counts.
	Rate RateRule

	// Compute returns the statistic. It must not change or keep the input's counts, and it returns null with a reason
	// where the number does not exist.
	Compute func(Input) result.Stat

	sums sums // what it needs of the walk over the cells
}

// RateRule says whether and how a statistic is judged as a rate.
type RateRule uint8

// The rules.
const (
	NotARate   RateRule = iota
	RateChange          // a change in either direction counts
	RateRise            // only a rise counts: the baseline is an expectation, not an observation
)

// Builtin returns every statistic, in the order of their names in the docs. Adding one is one file and one line here.
func Builtin() []Spec {
	return []Spec{
		psi(),
		psiDebiased(),
		kl(),
		klReverse(),
		js(),
		hellinger(),
		totalVariation(),
		lInfinity(),
		chiSquare(),
		ks(),
		cramerVonMises(),
		andersonDarling(),
		mannWhitney(),
		wasserstein(),
		wassersteinNormed(),
		energy(),
		meanShift(),
		stdRatio(),
		distinct(),
		missingRate(),
		invalidRate(),
		infRate(),
		otherRate(),
		outOfRangeRate(),
	}
}

// Names returns every name that a feature's statistics may have: those of Builtin, and of rules that no statistic takes.
func Names() []string { return append(statisticNames(), ConventionPopmon) }

// AppliesTo reports whether the statistic is defined for features of the kind.
func (s Spec) AppliesTo(kind cells.Kind) bool { return slices.Contains(s.Kinds, kind) }

// bothKinds is for statistics of a table of bins, which do not care what the bins are.
func bothKinds() []cells.Kind { return []cells.Kind{cells.Numeric, cells.Categorical} }

// null is a statistic that does not exist, and why.
func null(reason string) result.Stat {
	return result.Stat{Value: nil, PValue: nil, Lower: nil, Upper: nil, Baseline: nil, Reason: reason}
}

// value is a statistic without a p-value, and why it has none.
func value(v float64, whyNoP string) result.Stat {
	return result.Stat{Value: &v, PValue: nil, Lower: nil, Upper: nil, Baseline: nil, Reason: whyNoP}
}

// valueP is a statistic with its p-value.
func valueP(v, p float64) result.Stat {
	return result.Stat{Value: &v, PValue: &p, Lower: nil, Upper: nil, Baseline: nil, Reason: ""}
}

// enclosed is a statistic that is known up to bounds, which are equal where it is known exactly; p may be nil, and whyNoP then says
// why. Where a number overflows there is none.
func enclosed(lower, v, upper float64, p *float64, whyNoP string) result.Stat {
	if math.IsInf(upper, 0) || math.IsInf(lower, 0) || math.IsNaN(lower+v+upper) {
		return null("the number overflows")
	}
	upper = max(upper, lower)
	v = min(max(v, lower), upper) // the estimate is within but for rounding
	return result.Stat{Value: &v, PValue: p, Lower: &lower, Upper: &upper, Baseline: nil, Reason: whyNoP}
}

// existing makes sure that a NaN or an infinity never leaves the package: it becomes null with a reason.
func existing(s result.Stat) result.Stat {
	for _, p := range []**float64{&s.Value, &s.PValue, &s.Lower, &s.Upper, &s.Baseline} {
		if *p != nil && (math.IsNaN(**p) || math.IsInf(**p, 0)) {
			*p = nil
			s.Reason = "the number overflows"
		}
	}
	return s
}
