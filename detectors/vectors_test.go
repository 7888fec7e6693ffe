package detectors_test

import (
	"math"
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// vectorConfig is the convention of the vectors.
func vectorConfig(bins string) detectors.Config {
	c := detectors.Default()
	c.Statistics = []string{detectors.AllStatistics}
	c.Bins, c.Smoothing, c.Epsilon, c.ChiSquareMinExpected = bins, detectors.SmoothingFloor, 1e-4, 0
	c.Convention = detectors.ConventionSciPy
	return c
}

func checkValue(t *testing.T, what string, got result.Stat, want *float64, abs float64) {
	t.Helper()
	if got.Value == nil && got.Reason == "" {
		t.Errorf("%s is null without a reason", what)
	}
	vectortest.Value(t, what, got.Value, want, abs)
}

func checkStatistic(t *testing.T, what string, got result.Stat, want *vectortest.Stat) {
	t.Helper()
	if want == nil {
		checkValue(t, what, got, nil, vectortest.StatAbs)
		return
	}
	checkValue(t, what, got, &want.Stat, vectortest.StatAbs)
	vectortest.P(t, what+" p", got.PValue, want.P)
}

// onValues are the expected statistics on values, by our names, with their tolerance.
func onValues(v *vectortest.Vector) map[string]vectortest.Stat {
	out := map[string]vectortest.Stat{}
	put := func(name string, value, p float64) { out[name] = vectortest.Stat{Stat: value, P: p} }
	s := v.Stats
	if s.Wasserstein != nil {
		put("wasserstein", *s.Wasserstein, math.NaN())
	}
	if normed := v.ExactNormed(); normed != nil {
		put("wasserstein_normed", *normed, math.NaN())
	}
	if s.Energy != nil {
		put("energy", *s.Energy, math.NaN())
	}
	if s.CramerVonMises != nil {
		put("cramer_von_mises", s.CramerVonMises.T, s.CramerVonMises.P)
	}
	if s.AndersonDarling != nil {
		put("anderson_darling", s.AndersonDarling.Stat, s.AndersonDarling.P)
	}
	if s.MannWhitney != nil {
		put("mann_whitney", s.MannWhitney.U, s.MannWhitney.P)
	}
	return out
}

// Expected values: SciPy 1.10.1 on the raw values, by ../shared/vectors/drift_numeric.jsonl. Ours go through cells: over all values
// of both sides, where every statistic is exact; over the reference's values, as the daemon counts them; and over few of them, where
// bounds must enclose the truth.
func TestNumericVectors(t *testing.T) {
	vectortest.Each(t, "drift_numeric.jsonl", func(t *testing.T, v *vectortest.Vector) {
		ref, cur := v.Reference.Finite(t), v.Current.Numbers(t)
		over := func(resolution int, edges []float64) (*reference.Feature, *cells.Counts) {
			f := detectortest.NumericOver(t, ref, resolution, edges)
			c := cells.NewCounts(f.Space)
			detectortest.AddNumbers(c, cur)
			return f, c
		}
		f, c := over(len(ref)+1, nil)
		if c.N() != v.Stats.NCur || c.Missing != v.Stats.MissingCur || c.Inf != v.Stats.InfCur || f.Counts.N() != v.Stats.NRef {
			t.Fatalf("counted %d, %d missing, %d infinite, %d in the reference", c.N(), c.Missing, c.Inf, f.Counts.N())
		}
		merged := detectors.Evaluate(f, c, vectorConfig(detectors.BinsQuantile10))
		splitConfig := vectorConfig(detectors.BinsQuantile10Split)
		splitConfig.Statistics = []string{"psi"}
		split := detectors.Evaluate(f, c, splitConfig)
		checkTable(t, v, f, merged, split)
		checkKS(t, v, f, c, merged.Statistics["ks"])
		checkEnclosed(t, v, "over the reference's values", merged)

		cfg := vectorConfig(detectors.BinsQuantile10)
		cfg.Convention = detectors.ConventionDefault // scipy's p of ks is checked above, and slow
		thin, few := over(12, nil)
		checkEnclosed(t, v, "over 12 values", detectors.Evaluate(thin, few, cfg))

		whole, all := over(len(ref)+1, v.Current.Finite(t))
		checkOnValues(t, v, f.Distinct, detectors.Evaluate(whole, all, cfg).Statistics)
	})
}

func checkKS(t *testing.T, v *vectortest.Vector, f *reference.Feature, c *cells.Counts, ks result.Stat) {
	t.Helper()
	if v.Stats.KS == nil {
		checkValue(t, "ks", ks, nil, vectortest.StatAbs)
		return
	}
	checkValue(t, "ks", ks, &v.Stats.KS.D, vectortest.StatAbs)
	if ks.Upper == nil || *ks.Upper != *ks.Value || *ks.Lower != *ks.Value {
		t.Errorf("every reference value is a cut point, but ks lies in [%v, %v]", ks.Lower, ks.Upper)
	}
	vectortest.P(t, "ks p, scipy", ks.PValue, *v.Stats.KS.Auto)
	want := v.Stats.KS.Asymptotic // the default convention
	if v.Stats.NRef*v.Stats.NCur <= 10000 {
		want = v.Stats.KS.Exact
	}
	vectortest.P(t, "ks p", detectors.Evaluate(f, c, detectors.Default()).Statistics["ks"].PValue, *want)
}

// checkOnValues: where every value of both sides is a cut point, nothing is left to bound.
func checkOnValues(t *testing.T, v *vectortest.Vector, distinct uint64, got map[string]result.Stat) {
	t.Helper()
	wanted := onValues(v)
	for _, name := range []string{
		"wasserstein", "wasserstein_normed", "energy", "cramer_von_mises", "anderson_darling", "mann_whitney",
	} {
		want, ok := wanted[name]
		if !ok {
			checkValue(t, name, got[name], nil, 0)
			continue
		}
		checkValue(t, name, got[name], &want.Stat, v.Abs())
		if s := got[name]; s.Lower == nil || *s.Lower != *s.Upper {
			t.Errorf("%s is in [%v, %v] although every value is a cut point", name, s.Lower, s.Upper)
		}
		if !math.IsNaN(want.P) {
			vectortest.P(t, name+" p", got[name].PValue, want.P)
		}
	}
	shift := got["mean_shift"]
	_, rounded := vectortest.WelchIsRounding(v)
	switch {
	case rounded: // TestVectors of package twosample says why
	case v.Stats.Welch != nil && shift.Value != nil:
		vectortest.P(t, "mean_shift p", shift.PValue, v.Stats.Welch.P)
		if (*shift.Value > 0) != (v.Stats.Welch.T < 0) && *shift.Value != 0 {
			t.Errorf("mean_shift %v, but t of reference - current is %v", *shift.Value, v.Stats.Welch.T)
		}
	case shift.PValue != nil:
		t.Errorf("mean_shift has p %v, want none", *shift.PValue)
	}
	if s := v.Stats; s.Ref.Std != nil && s.Cur.Std != nil && distinct > 1 && !rounded && v.Abs() == vectortest.StatAbs {
		ratio := *s.Cur.Std / *s.Ref.Std
		checkValue(t, "std_ratio", got["std_ratio"], &ratio, vectortest.StatAbs)
	}
}

// checkEnclosed: whatever the cells hide is within the bounds.
func checkEnclosed(t *testing.T, v *vectortest.Vector, what string, got result.Feature) {
	t.Helper()
	for name, want := range onValues(v) {
		s := got.Statistics[name]
		detectortest.WellFormed(t, name, s)
		if s.Value == nil || s.Lower == nil {
			t.Errorf("%s, %s: null (%s), want %v", name, what, s.Reason, want.Stat)
			continue
		}
		slack := max(v.Abs(), 1e-12*math.Abs(want.Stat))
		if name == "mann_whitney" {
			slack = 0 // integers
		}
		if want.Stat < *s.Lower-slack || want.Stat > *s.Upper+slack {
			t.Errorf("%s, %s: in [%v, %v], truly %v", name, what, *s.Lower, *s.Upper, want.Stat)
		}
		if !math.IsNaN(want.P) && *s.PValue < want.P*(1-1e-6)-1e-12 {
			t.Errorf("%s, %s: p %v, truly %v: bounds may only make it larger", name, what, *s.PValue, want.P)
		}
	}
}

// checkTable compares the table of bins and what is computed from it, in the merged and the split form.
func checkTable(t *testing.T, v *vectortest.Vector, f *reference.Feature, merged, split result.Feature) {
	t.Helper()
	if v.Stats.Bins == nil || v.Stats.Bins.Skip {
		return
	}
	var wantRef, wantCur, gotRef, gotCur []uint64
	for i := range v.Stats.Bins.Ref {
		if v.Stats.Bins.Ref[i]+v.Stats.Bins.Cur[i] > 0 { // ours are without the bins that are empty on both sides
			wantRef, wantCur = append(wantRef, v.Stats.Bins.Ref[i]), append(wantCur, v.Stats.Bins.Cur[i])
		}
	}
	for _, b := range merged.Bins {
		gotRef, gotCur = append(gotRef, b.Reference), append(gotCur, b.Current)
	}
	if !slices.Equal(gotRef, wantRef) || !slices.Equal(gotCur, wantCur) {
		t.Errorf("bins %v of deciles %v, want %v and %v", merged.Bins, f.Deciles, wantRef, wantCur)
	}
	checkValue(t, "psi", merged.Statistics["psi"], v.Stats.PSI, vectortest.StatAbs)
	checkValue(t, "psi, split", split.Statistics["psi"], v.Stats.PSISplit, vectortest.StatAbs)
	checkValue(t, "kl", merged.Statistics["kl"], v.Stats.KL, vectortest.StatAbs)
	checkValue(t, "kl_reverse", merged.Statistics["kl_reverse"], v.Stats.KLReverse, vectortest.StatAbs)
	checkValue(t, "js", merged.Statistics["js"], v.Stats.JS, vectortest.RootAbs)
	checkStatistic(t, "chi2", merged.Statistics["chi2"], v.Stats.Chi2)
	checkValue(t, "hellinger", merged.Statistics["hellinger"], v.Stats.Hellinger, vectortest.RootAbs)
	checkValue(t, "total_variation", merged.Statistics["total_variation"], v.Stats.TotalVariation, vectortest.StatAbs)
	checkValue(t, "l_infinity", merged.Statistics["l_infinity"], v.Stats.LInfinity, vectortest.StatAbs)
}

// Expected values: SciPy 1.10.1, by ../shared/vectors/drift_categorical.jsonl. The vectors compare over the union of both samples'
// categories, so all of them are tracked here.
func TestCategoricalVectors(t *testing.T) {
	vectortest.Each(t, "drift_categorical.jsonl", func(t *testing.T, v *vectortest.Vector) {
		texts := func(in vectortest.Sample) (values []string, missing uint64) {
			for _, s := range in {
				if s == nil {
					missing++
				} else {
					values = append(values, *s)
				}
			}
			return values, missing
		}
		ref, _ := texts(v.Reference)
		cur, missing := texts(v.Current)
		union := slices.Concat(ref, cur)
		slices.Sort(union)
		f := detectortest.Categorical(t, slices.Compact(union), ref)
		c := cells.NewCounts(f.Space)
		detectortest.AddCategories(c, cur)
		if c.N() != v.Stats.NCur || missing != v.Stats.MissingCur || f.Counts.N() != v.Stats.NRef {
			t.Fatalf("counted %d, %d missing, %d in the reference", c.N(), missing, f.Counts.N())
		}
		got := detectors.Evaluate(f, c, vectorConfig(detectors.BinsAuto)).Statistics
		checkValue(t, "psi", got["psi"], v.Stats.CatPSI, vectortest.StatAbs)
		checkValue(t, "kl", got["kl"], v.Stats.CatKL, vectortest.StatAbs)
		checkValue(t, "kl_reverse", got["kl_reverse"], v.Stats.CatKLReverse, vectortest.StatAbs)
		checkValue(t, "js", got["js"], v.Stats.CatJS, vectortest.RootAbs)
		checkStatistic(t, "chi2", got["chi2"], v.Stats.CatChi2)
		checkValue(t, "hellinger", got["hellinger"], v.Stats.CatHellinger, vectortest.RootAbs)
		checkValue(t, "total_variation", got["total_variation"], v.Stats.CatTotalVariation, vectortest.StatAbs)
		checkValue(t, "l_infinity", got["l_infinity"], v.Stats.CatLInfinity, vectortest.StatAbs)
		if _, ok := got["ks"]; ok {
			t.Error("a categorical feature has a ks")
		}
	})
}
