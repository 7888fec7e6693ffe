package ab_test

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/ab"
	"github.com/driftd/driftd/internal/stat/vectortest"
)

// Expected values: statsmodels 0.13.5 and SciPy 1.10.1, by ../shared/vectors/ab.jsonl.
func TestProportionsAgainstVectors(t *testing.T) {
	type vector struct {
		XA    uint64 `json:"x_a"`
		NA    uint64 `json:"n_a"`
		XB    uint64 `json:"x_b"`
		NB    uint64 `json:"n_b"`
		Stats struct {
			RateA      *float64    `json:"rate_a"`
			RateB      *float64    `json:"rate_b"`
			Difference *float64    `json:"diff_b_minus_a"`
			Z          *float64    `json:"z_pooled"`
			PZ         *float64    `json:"p_z_pooled"`
			ChiSquare  *float64    `json:"chi2"`
			PChiSquare *float64    `json:"p_chi2"`
			Yates      *float64    `json:"chi2_yates"`
			PYates     *float64    `json:"p_chi2_yates"`
			PFisher    *float64    `json:"p_fisher"`
			Wald       *[2]float64 `json:"wald95"`
			Newcombe   *[2]float64 `json:"newcombe95"`
		} `json:"stats"`
	}
	vectortest.EachOf(t, "ab.jsonl", "ab-proportions", func(t *testing.T, v *vector) {
		got, want := ab.CompareProportions(ab.Arm{Successes: v.XA, Trials: v.NA}, ab.Arm{Successes: v.XB, Trials: v.NB}, 0.95), &v.Stats
		vectortest.Value(t, "rate of A", got.RateA, want.RateA, vectortest.StatAbs)
		vectortest.Value(t, "rate of B", got.RateB, want.RateB, vectortest.StatAbs)
		vectortest.Value(t, "difference", got.Difference.Value, want.Difference, vectortest.StatAbs)
		if (got.Difference.Value == nil) != (got.Difference.Reason != "") {
			t.Errorf("the reason %q of the difference %v", got.Difference.Reason, got.Difference.Value)
		}
		vectortest.Value(t, "z", got.Z, want.Z, vectortest.StatAbs)
		p(t, "p of z", got.PZ, want.PZ)
		vectortest.Value(t, "χ²", got.ChiSquare, want.ChiSquare, vectortest.StatAbs)
		p(t, "p of χ²", got.PChiSquare, want.PChiSquare)
		vectortest.Value(t, "Yates", got.Yates, want.Yates, vectortest.StatAbs)
		p(t, "p of Yates", got.PYates, want.PYates)
		p(t, "Fisher", got.PFisher, want.PFisher)
		interval(t, "Newcombe", stat.Interval{Lower: value(got.Difference.Lower), Upper: value(got.Difference.Upper)}, want.Newcombe)
		if got.Wald != nil {
			interval(t, "Wald", *got.Wald, want.Wald)
		} else if want.Wald != nil {
			t.Errorf("Wald is undefined, want %v", *want.Wald)
		}
	})
}

func TestMeansAgainstVectors(t *testing.T) {
	type vector struct {
		A, B  vectortest.Sample
		Stats struct {
			NA    uint64   `json:"n_a"`
			NB    uint64   `json:"n_b"`
			MeanA *float64 `json:"mean_a"`
			MeanB *float64 `json:"mean_b"`
			Welch *struct {
				T  float64 `json:"t"`
				DF float64 `json:"df"`
				P  float64 `json:"p"`
			} `json:"welch_t_b_minus_a"`
			Interval *[2]float64 `json:"diff_ci95_welch"`
		} `json:"stats"`
	}
	vectortest.EachOf(t, "ab.jsonl", "ab-means", func(t *testing.T, v *vector) {
		a, b := moments(t, v.A.Finite(t)), moments(t, v.B.Finite(t))
		if a.Count != v.Stats.NA || b.Count != v.Stats.NB {
			t.Fatalf("%d and %d values, want %d and %d", a.Count, b.Count, v.Stats.NA, v.Stats.NB)
		}
		got := ab.CompareMeans(a, b, 0.95)
		var want *float64
		if v.Stats.MeanA != nil && v.Stats.MeanB != nil {
			d := *v.Stats.MeanB - *v.Stats.MeanA
			want = &d
		}
		vectortest.Value(t, "difference", got.Difference.Value, want, vectortest.StatAbs)
		if v.Stats.Welch == nil {
			if got.T != nil || got.Difference.PValue != nil || got.Difference.Lower != nil || got.Difference.Reason == "" {
				t.Errorf("Welch exists (%+v), or its absence has no reason", got)
			}
			return
		}
		vectortest.Value(t, "t", got.T, &v.Stats.Welch.T, vectortest.StatAbs)
		vectortest.Value(t, "df", got.DF, &v.Stats.Welch.DF, vectortest.StatAbs)
		vectortest.P(t, "p", got.Difference.PValue, v.Stats.Welch.P)
		interval(t, "Welch", stat.Interval{Lower: value(got.Difference.Lower), Upper: value(got.Difference.Upper)}, v.Stats.Interval)
	})
}

func TestSampleRatioAgainstVectors(t *testing.T) {
	type vector struct {
		Counts  []uint64
		Weights []float64
		Stats   struct {
			ChiSquare *float64 `json:"chi2"`
			P         *float64 `json:"p"`
			DoF       int      `json:"dof"`
		} `json:"stats"`
	}
	vectortest.EachOf(t, "ab.jsonl", "sample-ratio", func(t *testing.T, v *vector) {
		got, err := ab.SampleRatio(v.Counts, v.Weights)
		if err != nil {
			t.Fatal(err)
		}
		vectortest.Value(t, "χ²", got.ChiSquare, v.Stats.ChiSquare, vectortest.StatAbs)
		p(t, "p", got.PValue, v.Stats.P)
		if got.DoF != v.Stats.DoF || (got.ChiSquare == nil) != (got.Reason != "") {
			t.Errorf("%d degrees of freedom, reason %q; want %d", got.DoF, got.Reason, v.Stats.DoF)
		}
	})
}

func TestSampleRatioRefusesWeights(t *testing.T) {
	counts := []uint64{1, 2}
	for _, weights := range [][]float64{nil, {1}, {1, 0}, {1, -1}, {1, math.NaN()}, {1, math.Inf(1)}, {math.MaxFloat64, math.MaxFloat64}, {1, 1, 1}} {
		if got, err := ab.SampleRatio(counts, weights); !errors.Is(err, ab.ErrWeights) {
			t.Errorf("weights %v give %+v, %v", weights, got, err)
		}
	}
	if _, err := ab.SampleRatio([]uint64{3}, []float64{1}); !errors.Is(err, ab.ErrWeights) {
		t.Errorf("one count gives the error %v", err)
	}
}

func moments(t *testing.T, xs []float64) ab.Moments {
	t.Helper()
	var sum, squares exact.Sum
	for _, x := range xs {
		sum.Add(x)
		squares.AddSquare(x)
	}
	out := ab.Moments{Count: uint64(len(xs)), Mean: 0, Variance: 0}
	out.Mean, _ = exact.Mean(&sum, out.Count)
	if _, variance, ok := exact.MeanVariance(&sum, &squares, out.Count, 1); ok {
		out.Variance = variance
	}
	return out
}

func p(t *testing.T, what string, got, want *float64) {
	t.Helper()
	if want != nil {
		vectortest.P(t, what, got, *want)
	} else if got != nil {
		t.Errorf("%s = %v, want undefined", what, *got)
	}
}

func value(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}

func interval(t *testing.T, what string, got stat.Interval, want *[2]float64) {
	t.Helper()
	if want == nil {
		if ends := []float64{got.Lower, got.Upper}; !slices.ContainsFunc(ends, math.IsNaN) {
			t.Errorf("%s = %v, want undefined", what, got)
		}
		return
	}
	vectortest.Value(t, what+": lower end", &got.Lower, &want[0], vectortest.StatAbs)
	vectortest.Value(t, what+": upper end", &got.Upper, &want[1], vectortest.StatAbs)
}
