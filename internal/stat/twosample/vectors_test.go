package twosample_test

import (
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/twosample"
	"github.com/driftd/driftd/internal/stat/vectortest"
)

func number(v float64, ok bool) *float64 {
	if !ok {
		return nil
	}
	return &v
}

// Expected values: SciPy 1.10.1 and plain definitions, by ../shared/vectors/drift_numeric.jsonl.
func TestVectors(t *testing.T) {
	vectortest.Each(t, "drift_numeric.jsonl", func(t *testing.T, v *vectortest.Vector) {
		ref, cur := v.Reference.Finite(t), v.Current.Finite(t)
		slices.Sort(ref)
		slices.Sort(cur)
		c, err := twosample.Compare(ref, cur)
		if err != nil {
			t.Fatal(err)
		}
		s := v.Stats
		if len(ref) > 0 && len(cur) > 0 && c.Ties != s.Ties {
			t.Errorf("ties %v, want %v", c.Ties, s.Ties)
		}
		if s.KS == nil {
			vectortest.Value(t, "ks", number(c.KS.Value, c.KS.OK), nil, 0)
		} else {
			vectortest.Value(t, "ks", number(c.KS.Value, c.KS.OK), &s.KS.D, vectortest.StatAbs)
		}
		vectortest.Value(t, "wasserstein", number(c.Wasserstein.Value, c.Wasserstein.OK), s.Wasserstein, v.Abs())
		_, std, ok := twosample.MomentsNumPy(v.Reference.Finite(t), 0)
		if ok && c.Wasserstein.OK && ref[0] < ref[len(ref)-1] && std > 0 {
			vectortest.Value(t, "wasserstein over std", number(c.Wasserstein.Value/std, true), s.WassersteinNormed, vectortest.StatAbs)
		} else {
			vectortest.Value(t, "wasserstein over std", nil, s.WassersteinNormed, 0)
		}
		vectortest.Value(t, "energy", number(c.Energy.Value, c.Energy.OK), s.Energy, v.Abs())

		if s.CramerVonMises == nil {
			vectortest.Value(t, "cramer_von_mises", number(0, c.CramerVonMises.OK), nil, 0)
		} else {
			vectortest.Value(t, "cramer_von_mises", number(c.CramerVonMises.Value, c.CramerVonMises.OK), &s.CramerVonMises.T, vectortest.StatAbs)
			vectortest.P(t, "cramer_von_mises p", &c.CramerVonMises.P, s.CramerVonMises.P)
		}
		if s.AndersonDarling == nil {
			vectortest.Value(t, "anderson_darling", number(0, c.AndersonDarling.OK), nil, 0)
		} else {
			vectortest.Value(t, "anderson_darling", number(c.AndersonDarling.Value, c.AndersonDarling.OK), &s.AndersonDarling.Stat, vectortest.StatAbs)
			vectortest.P(t, "anderson_darling p", &c.AndersonDarling.P, s.AndersonDarling.P)
		}
		if s.MannWhitney == nil {
			vectortest.Value(t, "mann_whitney", number(0, c.MannWhitney.OK), nil, 0)
		} else {
			vectortest.Value(t, "mann_whitney", number(c.MannWhitney.Value, c.MannWhitney.OK), &s.MannWhitney.U, vectortest.StatAbs)
			vectortest.P(t, "mann_whitney p", &c.MannWhitney.P, s.MannWhitney.P)
		}
		welch(t, v)
		if s.Bins != nil && !s.Bins.Skip {
			table(t, s)
		}
	})
}

// table checks the kernels over count tables.
func table(t *testing.T, s vectortest.Stats) {
	t.Helper()
	h, ok := stat.Hellinger(s.Bins.Ref, s.Bins.Cur)
	vectortest.Value(t, "hellinger", number(h, ok), s.Hellinger, vectortest.RootAbs)
	tv, ok := stat.TotalVariation(s.Bins.Ref, s.Bins.Cur)
	vectortest.Value(t, "total_variation", number(tv, ok), s.TotalVariation, vectortest.StatAbs)
	l, ok := stat.LInfinity(s.Bins.Ref, s.Bins.Cur)
	vectortest.Value(t, "l_infinity", number(l, ok), s.LInfinity, vectortest.StatAbs)
}

// welch checks the test of the means in SciPy's rounding against every vector, and ours against those in which it does not decide:
// vectortest.WelchIsRounding says where and why.
func welch(t *testing.T, v *vectortest.Vector) {
	t.Helper()
	check := func(what string, test func(ref, cur []float64) (t, df, p float64, ok bool)) {
		got, df, p, ok := test(v.Reference.Finite(t), v.Current.Finite(t))
		want := v.Stats.Welch
		if want == nil {
			vectortest.Value(t, what, number(got, ok), nil, 0)
			return
		}
		vectortest.Value(t, what, number(got, ok), &want.T, vectortest.StatAbs)
		vectortest.Value(t, what+" df", number(df, ok), &want.DF, vectortest.StatAbs)
		vectortest.P(t, what+" p", &p, want.P)
	}
	check("welch, scipy", twosample.WelchSciPy)
	exact, rounded := vectortest.WelchIsRounding(v)
	if !rounded {
		check("welch", twosample.Welch)
		return
	}
	got, _, _, ok := twosample.Welch(v.Reference.Finite(t), v.Current.Finite(t))
	vectortest.Value(t, "welch, exact", number(got, ok), &exact, 0)
}
