package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// The rates say what happened to values that are not in the distribution, or not where the reference is. Each has the
// reference's rate as its baseline (H₀ of the p-value: both have the same rate).
//
// Formula: share of the rows. Range [0, 1]. p-value: two-sided two-proportion z-test where every cell of the table expects at
// least 5, else Fisher's exact test, see stat.TwoProportions.
// Special cases: no rows in the window: null; no rows in the reference: a value without p. Cost: constant, but for
// out_of_range_rate, which walks the cells.

// missingRate is the share of rows whose value is null, NaN or absent.
func missingRate() Spec {
	return observedRate("missing_rate", bothKinds(), func(c *cells.Counts) uint64 { return c.Missing })
}

// invalidRate is the share of rows whose value has a type that the feature cannot take.
func invalidRate() Spec {
	return observedRate("invalid_rate", bothKinds(), func(c *cells.Counts) uint64 { return c.Invalid })
}

// infRate is the share of rows whose value is infinite.
func infRate() Spec {
	return observedRate("inf_rate", []cells.Kind{cells.Numeric}, func(c *cells.Counts) uint64 { return c.Inf })
}

// observedRate is a share of all rows, compared with the same share of the reference.
func observedRate(name string, kinds []cells.Kind, count func(*cells.Counts) uint64) Spec {
	return Spec{
		Name: name, Kinds: kinds, Doc: "docs/statistics.md#rates", Rate: RateChange,
		Compute: func(in Input) result.Stat {
			return rate(count(in.Cur), rows(in.Cur), count(in.Ref), rows(in.Ref), "rows")
		},
	}
}

// otherRate is the share of values in no tracked category.
//
// The baseline is what the reference expects of itself, never 0 by construction: see expectedOther.
func otherRate() Spec {
	return Spec{
		Name: "other_rate", Kinds: []cells.Kind{cells.Categorical}, Doc: "docs/statistics.md#other_rate", Rate: RateRise,
		Compute: func(in Input) result.Stat {
			return rate(in.Cur.Other(), in.N(), expectedOther(in), in.M(), "values")
		},
	}
}

// expectedOther is how many of m new values would be in no tracked category without drift, by the Good-Turing estimate. Categories
// seen r times have the mass (r+1)·N_{r+1}/m, N_r being how many were seen r times; summed over those seen fewer than t times,
// which are the ones not tracked, that is their own share in the reference plus t·N_t/m. The second part matters: a category was
// left out because it came rarely in this reference, and comes more often in the next sample.
//
// t is reference.MinCategoryCount. Where nothing was left out the estimate is N₁/m, the mass of what the reference has not seen.
// Limit: where the number of tracked categories was bounded, t is not known and the second part is left out.
// Reference: I. J. Good, The population frequencies of species and the estimation of population parameters, 1953.
func expectedOther(in Input) uint64 {
	untracked := in.Ref.Other()
	var t, mass uint64 // the smallest tracked count, and t·N_t
	for p := range cells.Walk(in.Ref, in.Ref) {
		switch {
		case p.Other:
		case mass == 0 || p.Ref < t:
			t, mass = p.Ref, p.Ref
		case p.Ref == t:
			mass += t
		}
	}
	if t > reference.MinCategoryCount {
		mass = 0 // no category was near the limit
	}
	return min(max(untracked+mass, in.Singletons), in.M())
}

// outOfRangeRate is the share of values outside of the reference's minimum and maximum.
//
// The baseline is 2/(m+1), what a continuous distribution without drift shows on average: never 0, which is what the reference
// shows of itself by construction. Where the extremes are no cut points their gap counts as inside.
func outOfRangeRate() Spec {
	return Spec{
		Name: "out_of_range_rate", Kinds: []cells.Kind{cells.Numeric}, Doc: "docs/statistics.md#out_of_range_rate", Rate: RateRise,
		Compute: func(in Input) result.Stat {
			least, okMin := in.Ref.Min()
			most, okMax := in.Ref.Max()
			if !okMin || !okMax {
				return null("the reference has no range")
			}
			outside := beyond(in.Cur, least, most)
			return rate(outside, in.N(), min(2, in.M()+1), in.M()+1, "values")
		},
	}
}

// beyond counts the values below least and above most.
func beyond(c *cells.Counts, least, most float64) uint64 {
	if points := c.Space().Points(); len(points) > 0 && points[0] == least && points[len(points)-1] == most {
		below, above := c.OutOfRange() // the outer cells, without a walk
		return below + above
	}
	var outside uint64 // the reference has edges outside of its own range
	for p := range cells.Walk(c, c) {
		if (p.Point && (p.Lo < least || p.Lo > most)) || (!p.Point && (p.Hi <= least || p.Lo >= most)) {
			outside += p.Cur
		}
	}
	return outside
}

// rows is how many rows the counts saw, with or without a usable value.
func rows(c *cells.Counts) uint64 { return c.N() + c.Missing + c.Invalid + c.Inf }

// rate compares k of n in the window with k of n in the reference.
func rate(k, n, refK, refN uint64, of string) result.Stat {
	if n == 0 {
		return null("the window has no " + of)
	}
	v := float64(k) / float64(n)
	p, ok := stat.TwoProportions(refK, refN, k, n)
	if !ok {
		return value(v, "the reference has no "+of+" to compare with")
	}
	s := valueP(v, p)
	baseline := float64(refK) / float64(refN)
	s.Baseline = &baseline
	return s
}
