// Package fairness compares what a binary classifier does to groups of people: how often it selects them, and how often it is right about
// those who should be selected and those who should not. It works on counts, so that it merges as everything else.
package fairness

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/stat"
)

// Group is the counts of one group. N and Selected are about all rows with a prediction; the other four about those with a label too.
type Group struct {
	Name           string
	N, Selected    uint64
	TP, FP, FN, TN uint64
}

// Merge adds what another group counted.
func (g *Group) Merge(o *Group) {
	g.N, g.Selected = g.N+o.N, g.Selected+o.Selected
	g.TP, g.FP, g.FN, g.TN = g.TP+o.TP, g.FP+o.FP, g.FN+o.FN, g.TN+o.TN
}

// Add counts one prediction, and its label where there is one.
func (g *Group) Add(selected, labelled, positive bool) {
	g.N++
	if selected {
		g.Selected++
	}
	switch {
	case !labelled:
	case selected && positive:
		g.TP++
	case selected:
		g.FP++
	case positive:
		g.FN++
	default:
		g.TN++
	}
}

// Rates returns the rates of the group at a level of confidence.
func (g *Group) Rates(level float64) Rates {
	labelled := g.TP + g.FP + g.FN + g.TN
	of := func(k, n uint64) count { return count{g.Name, k, n, 0} }
	return Rates{
		Name: g.Name, N: g.N, Labelled: labelled,
		SelectionRate: of(g.Selected, g.N).rate(level, "no prediction"), TPR: of(g.TP, g.TP+g.FN).rate(level, "no positive label"),
		FPR: of(g.FP, g.FP+g.TN).rate(level, "no negative label"), Accuracy: of(g.TP+g.TN, labelled).rate(level, "no label"),
	}
}

// Rates are the rates of one group with Wilson's intervals. A rate of nobody does not exist.
type Rates struct {
	Name          string
	N, Labelled   uint64
	SelectionRate stat.Estimate // P(ŷ = 1)
	TPR           stat.Estimate // P(ŷ = 1 | y = 1)
	FPR           stat.Estimate // P(ŷ = 1 | y = 0)
	Accuracy      stat.Estimate // P(ŷ = y)
}

// Gap is the distance of the groups that are furthest apart.
//
// The interval is simultaneous over all pairs of groups, so that it holds for the pair that was picked because it is the widest: its
// lower end is above 0 only where some pair differs beyond chance, however many groups there are and however small they are. Judge a
// difference by its lower end and a ratio by its upper end; the value alone is large in any small group.
type Gap struct {
	stat.Estimate

	Low, High string   // the groups with the smallest and the largest rate; the first by name among equals
	Left      []string // groups that are too small for it, in the order of their names
}

// Report is what groups say about each other.
type Report struct {
	Groups []Rates // in the order of their names

	DemographicParityDifference Gap // largest selection rate - smallest
	DemographicParityRatio      Gap // smallest selection rate / largest; no p-value: that of the difference is its own
	EqualOpportunityDifference  Gap // largest TPR - smallest
	EqualizedOddsDifference     Gap // the larger of the differences of TPR and of FPR
	FalsePositiveRateDifference Gap // largest FPR - smallest
	AccuracyDifference          Gap
}

// Assess compares groups at a level of confidence, such as 0.95; they must have different names. A rate of fewer than least cases is
// given and not compared; with 0 or 1 every rate is.
//
// Formulas: differences are the largest rate less the smallest, over the groups in which the rate exists; the ratio is the smallest by
// the largest; equalised odds is the larger of two differences. Intervals: of a difference the largest ends of Newcombe's intervals of
// all k(k-1)/2 pairs at the Bonferroni level 1 - (1 - level)/pairs; of the ratio the box of Wilson's intervals of all groups at level
// 1 - (1 - level)/k; of equalised odds as of both differences at half the error. p-value: the smallest one of all pairs
// (stat.TwoProportions), times their number; H₀: all groups have one rate. All of them are conservative.
// Special cases: a rate that exists in fewer than two groups leaves no gap; a largest rate of 0 leaves no ratio; equalised odds needs
// both of its differences. Cost: quadratic in the number of groups.
// Reference: M. Hardt, E. Price, N. Srebro, Equality of opportunity in supervised learning, 2016; S. Barocas, M. Hardt, A. Narayanan,
// Fairness and Machine Learning, 2023; the definitions of Fairlearn.
func Assess(groups []Group, level float64, least uint64) Report {
	groups = slices.SortedFunc(slices.Values(groups), func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	counted := func(of func(g *Group) (k, n uint64)) []count {
		out := make([]count, len(groups))
		for i := range groups {
			k, n := of(&groups[i])
			out[i] = count{groups[i].Name, k, n, least}
		}
		return out
	}
	selection := counted(func(g *Group) (k, n uint64) { return g.Selected, g.N })
	tpr := counted(func(g *Group) (k, n uint64) { return g.TP, g.TP + g.FN })
	fpr := counted(func(g *Group) (k, n uint64) { return g.FP, g.FP + g.TN })
	accuracy := counted(func(g *Group) (k, n uint64) { return g.TP + g.TN, g.TP + g.FP + g.FN + g.TN })
	var report Report
	for i := range groups {
		report.Groups = append(report.Groups, groups[i].Rates(level))
	}
	report.DemographicParityDifference = difference(selection, level, "predictions")
	report.DemographicParityRatio = ratio(selection, level)
	report.EqualOpportunityDifference = difference(tpr, level, "positive labels")
	report.AccuracyDifference = difference(accuracy, level, "labels")
	report.FalsePositiveRateDifference = difference(fpr, level, "negative labels")
	half := 1 - (1-level)/2
	report.EqualizedOddsDifference = larger(difference(tpr, half, "positive labels"), difference(fpr, half, "negative labels"))
	return report
}

// count is k of n in one group, which is compared if n is least or more.
type count struct {
	name  string
	k, n  uint64
	least uint64
}

func (c count) value() float64 { return float64(c.k) / float64(c.n) }

func (c count) rate(level float64, why string) stat.Estimate {
	i, ok := stat.Wilson(c.k, c.n, level)
	if !ok {
		return stat.Missing(why + " in this group")
	}
	v := c.value()
	return stat.Estimate{Value: &v, Lower: &i.Lower, Upper: &i.Upper, PValue: nil, Reason: ""}
}

// defined returns the groups in which a rate exists of enough cases, those with the smallest and the largest, and the others.
func defined(all []count) (some []count, low, high count, left []string) {
	for _, c := range all {
		if c.n < max(c.least, 1) {
			left = append(left, c.name)
		} else {
			some = append(some, c)
		}
	}
	if len(some) == 0 {
		return nil, count{}, count{}, left
	}
	order := func(a, b count) int { return cmp.Compare(a.value(), b.value()) }
	return some, slices.MinFunc(some, order), slices.MaxFunc(some, order), left
}

// none is a gap that does not exist, for fewer than two groups have enough of something.
func none(all []count, what string, left []string) Gap {
	why := "fewer than two groups have " + what
	if len(all) > 0 && all[0].least > 1 {
		why = fmt.Sprintf("fewer than two groups have %d %s", all[0].least, what)
	}
	return Gap{Estimate: stat.Missing(why), Low: "", High: "", Left: left}
}

func difference(all []count, level float64, what string) Gap {
	some, low, high, left := defined(all)
	if len(some) < 2 {
		return none(all, what, left)
	}
	pairs := float64(len(some)) * float64(len(some)-1) / 2
	each := 1 - (1-level)/pairs
	lower, upper, p := 0.0, 0.0, 1.0
	for i, a := range some {
		for _, b := range some[i+1:] {
			if a.value() > b.value() {
				a, b = b, a
			}
			// Both have events, so both exist.
			between, _ := stat.Newcombe(a.k, a.n, b.k, b.n, each)
			chance, _ := stat.TwoProportions(a.k, a.n, b.k, b.n)
			// The distance is |difference|: it is at most the end that is further from 0.
			lower, upper, p = max(lower, between.Lower), max(upper, between.Upper, -between.Lower), min(p, chance)
		}
	}
	v := high.value() - low.value()
	p = min(1, p*pairs)
	return Gap{Estimate: stat.Estimate{Value: &v, Lower: &lower, Upper: &upper, PValue: &p, Reason: ""}, Low: low.name, High: high.name, Left: left}
}

func ratio(all []count, level float64) Gap {
	some, low, high, left := defined(all)
	switch {
	case len(some) < 2:
		return none(all, "predictions", left)
	case high.k == 0:
		return Gap{Estimate: stat.Missing("nobody was selected"), Low: low.name, High: high.name, Left: left}
	}
	each := 1 - (1-level)/float64(len(some))
	lower, upper := math.Inf(1), 1.0
	for i, a := range some {
		box, _ := stat.Wilson(a.k, a.n, each)
		for j, b := range some {
			if i != j {
				other, _ := stat.Wilson(b.k, b.n, each)
				// other.Upper is above 0, other.Lower may be 0: then the quotient is unbounded, and 1 stays.
				lower = min(lower, box.Lower/other.Upper)
				if other.Lower > 0 {
					upper = min(upper, box.Upper/other.Lower)
				}
			}
		}
	}
	v := low.value() / high.value()
	lower = min(lower, 1)
	return Gap{Estimate: stat.Estimate{Value: &v, Lower: &lower, Upper: &upper, PValue: nil, Reason: ""}, Low: low.name, High: high.name, Left: left}
}

// larger returns the larger of two gaps, both at half the error, with an interval and a p-value of both together.
func larger(a, b Gap) Gap {
	for _, g := range []Gap{a, b} {
		if g.Value == nil {
			return Gap{Estimate: stat.Missing(g.Reason), Low: "", High: "", Left: g.Left}
		}
	}
	lower, upper := max(*a.Lower, *b.Lower), max(*a.Upper, *b.Upper)
	p := min(1, 2*min(*a.PValue, *b.PValue))
	out := a
	if *b.Value > *a.Value {
		out = b
	}
	out.Lower, out.Upper, out.PValue = &lower, &upper, &p
	out.Left = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Left, b.Left))))
	return out
}
