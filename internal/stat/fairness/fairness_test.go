package fairness_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/fairness"
	"github.com/driftd/driftd/internal/stat/vectortest"
)

// Expected values: plain definitions in Python, by ../shared/vectors/fairness.jsonl (README, section 7).
func TestAgainstVectors(t *testing.T) {
	type vector struct {
		Groups, Predictions, Labels vectortest.Sample
		Stats                       struct {
			N       uint64 `json:"n"`
			Dropped int    `json:"n_dropped"`
			Groups  map[string]struct {
				N         uint64   `json:"n"`
				Labelled  uint64   `json:"n_labelled"`
				Selection *float64 `json:"selection_rate"`
				TPR       *float64 `json:"tpr"`
				FPR       *float64 `json:"fpr"`
				Accuracy  *float64 `json:"accuracy"`
			} `json:"groups"`
			Parity      *float64 `json:"demographic_parity_difference"`
			Ratio       *float64 `json:"demographic_parity_ratio"`
			Opportunity *float64 `json:"equal_opportunity_difference"`
			Odds        *float64 `json:"equalized_odds_difference"`
			Accuracy    *float64 `json:"accuracy_difference"`
		} `json:"stats"`
	}
	vectortest.EachOf(t, "fairness.jsonl", "", func(t *testing.T, v *vector) {
		byName, dropped := map[string]*fairness.Group{}, 0
		for i, name := range v.Groups {
			if name == nil || v.Predictions[i] == nil {
				dropped++
				continue
			}
			if byName[*name] == nil {
				byName[*name] = &fairness.Group{Name: *name, N: 0, Selected: 0, TP: 0, FP: 0, FN: 0, TN: 0}
			}
			label := v.Labels[i]
			byName[*name].Add(*v.Predictions[i] == "1", label != nil, label != nil && *label == "1")
		}
		var groups []fairness.Group
		for _, g := range byName { // in any order: Assess sorts
			groups = append(groups, *g)
		}
		got := fairness.Assess(groups, 0.95, 0)
		if dropped != v.Stats.Dropped || len(got.Groups) != len(v.Stats.Groups) {
			t.Fatalf("%d rows dropped and %d groups, want %d and %d", dropped, len(got.Groups), v.Stats.Dropped, len(v.Stats.Groups))
		}
		for _, g := range got.Groups {
			want := v.Stats.Groups[g.Name]
			if g.N != want.N || g.Labelled != want.Labelled {
				t.Errorf("group %s has %d rows and %d labels, want %d and %d", g.Name, g.N, g.Labelled, want.N, want.Labelled)
			}
			check(t, g.Name+": selection rate", g.SelectionRate, want.Selection)
			check(t, g.Name+": TPR", g.TPR, want.TPR)
			check(t, g.Name+": FPR", g.FPR, want.FPR)
			check(t, g.Name+": accuracy", g.Accuracy, want.Accuracy)
		}
		check(t, "demographic parity difference", got.DemographicParityDifference.Estimate, v.Stats.Parity)
		check(t, "demographic parity ratio", got.DemographicParityRatio.Estimate, v.Stats.Ratio)
		check(t, "equal opportunity", got.EqualOpportunityDifference.Estimate, v.Stats.Opportunity)
		check(t, "equalised odds", got.EqualizedOddsDifference.Estimate, v.Stats.Odds)
		check(t, "accuracy", got.AccuracyDifference.Estimate, v.Stats.Accuracy)
	})
}

// check compares a value with the vector's, and holds what belongs to every estimate: a reason or an interval around the value.
func check(t *testing.T, what string, got stat.Estimate, want *float64) {
	t.Helper()
	vectortest.Value(t, what, got.Value, want, vectortest.StatAbs)
	switch {
	case got.Value == nil:
		if got.Reason == "" || got.Lower != nil || got.Upper != nil || got.PValue != nil {
			t.Errorf("%s does not exist, but its interval does or its reason does not: %+v", what, got)
		}
	case !(*got.Lower <= *got.Value && *got.Value <= *got.Upper):
		t.Errorf("%s = %v is outside of its interval [%v, %v]", what, *got.Value, *got.Lower, *got.Upper)
	}
}

// With two groups the gap is the difference of two proportions, with Newcombe's interval: the first line of method 10 in table II of
// Newcombe (1998), 56/70 against 48/80, at 95 %: 0.0524 to 0.3339.
func TestTwoGroupsAreNewcombes(t *testing.T) {
	got := fairness.Assess([]fairness.Group{
		{Name: "a", N: 80, Selected: 48, TP: 0, FP: 0, FN: 0, TN: 0},
		{Name: "b", N: 70, Selected: 56, TP: 0, FP: 0, FN: 0, TN: 0},
	}, 0.95, 0).DemographicParityDifference
	for _, c := range []struct{ got, want float64 }{{*got.Value, 0.2}, {*got.Lower, 0.0524}, {*got.Upper, 0.3339}} {
		if math.Abs(c.got-c.want) > 5e-5 {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if got.Low != "a" || got.High != "b" {
		t.Errorf("between %s and %s, want a and b", got.Low, got.High)
	}
}

// Under one rate for all groups the interval of the largest difference must begin above 0, and its p-value be at most 0.05, in at most
// 5 % of all samples: the picked pair pays for all pairs. 2,000 samples of twelve groups of 20 to 239 people, seeded; a fair 5 % is
// exceeded by 127 or more of 2,000 in one of 1,000 seeds.
func TestTheWidestPairPaysForAll(t *testing.T) {
	const runs, groups, most = 2000, 12, 127
	rng := rand.New(rand.NewPCG(11, 12))
	beyond, significant, wide, below := 0, 0, 0, 0
	for range runs {
		in := make([]fairness.Group, groups)
		for i := range in {
			in[i].Name = string(rune('a' + i))
			for range 20 * (1 + i) {
				in[i].Add(rng.Float64() < 0.3, true, rng.Float64() < 0.5)
			}
		}
		got := fairness.Assess(in, 0.95, 0)
		if *got.EqualizedOddsDifference.Lower > 0 {
			beyond++
		}
		if *got.EqualizedOddsDifference.PValue <= 0.05 {
			significant++
		}
		if *got.DemographicParityDifference.Value > 0.1 {
			wide++
		}
		if *got.DemographicParityRatio.Upper < 1 {
			below++
		}
	}
	t.Logf("of %d samples without a difference %d have a value above 0.1, %d an interval above 0, %d p ≤ 0.05, %d a ratio's interval below 1",
		runs, wide, beyond, significant, below)
	if beyond > most || significant > most || below > most {
		t.Errorf("%d, %d and %d of %d samples say that the groups differ, want at most %d", beyond, significant, below, runs, most)
	}
	if wide < runs/2 {
		t.Errorf("only %d samples have a difference above 0.1: the test is too easy", wide)
	}
}

// A real difference is found: 0.30 against 0.50 of 500 people each, among ten equal groups.
func TestADifferenceIsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	in := make([]fairness.Group, 10)
	for i := range in {
		in[i].Name = string(rune('a' + i))
		rate := 0.5
		if i == 3 {
			rate = 0.3
		}
		for range 500 {
			in[i].Add(rng.Float64() < rate, false, false)
		}
	}
	got := fairness.Assess(in, 0.999, 0).DemographicParityDifference
	if !(*got.Lower > 0 && *got.PValue < 0.001) || got.Low != "d" {
		t.Errorf("the difference of d is %v to %v with p %v, smallest %s", *got.Lower, *got.Upper, *got.PValue, got.Low)
	}
}

// Groups with too few cases are left out of a gap by its own denominator, and say so. Expected: by hand; FPR 4/8 against 1/10 is 0.4.
func TestSmallGroupsAreLeftOut(t *testing.T) {
	groups := []fairness.Group{
		{Name: "a", N: 20, Selected: 10, TP: 6, FP: 4, FN: 4, TN: 4},
		{Name: "b", N: 20, Selected: 2, TP: 1, FP: 1, FN: 1, TN: 9},
		{Name: "c", N: 4, Selected: 4, TP: 4, FP: 0, FN: 0, TN: 0},
	}
	got := fairness.Assess(groups, 0.95, 5)
	for _, tt := range []struct {
		name      string
		gap       fairness.Gap
		value     float64
		low, high string
		left      []string
	}{
		{"demographic parity", got.DemographicParityDifference, 0.4, "b", "a", []string{"c"}},
		{"FPR", got.FalsePositiveRateDifference, 0.4, "b", "a", []string{"c"}},
	} {
		if tt.gap.Value == nil || math.Abs(*tt.gap.Value-tt.value) > 1e-12 || tt.gap.Low != tt.low || tt.gap.High != tt.high || !slices.Equal(tt.gap.Left, tt.left) {
			t.Errorf("%s: %+v", tt.name, tt.gap)
		}
	}
	if gap := got.EqualOpportunityDifference; gap.Value != nil || gap.Reason != "fewer than two groups have 5 positive labels" || !slices.Equal(gap.Left, []string{"b", "c"}) {
		t.Errorf("equal opportunity: %+v", gap)
	}
	if rate := got.Groups[2].FPR; rate.Value != nil || rate.Reason != "no negative label in this group" {
		t.Errorf("a rate of nobody: %+v", rate)
	}
}
