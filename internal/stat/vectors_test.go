package stat

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// Tolerances of vectors/README.md section 1.
const (
	statRel, statAbs = 1e-9, 1e-12
	rootAbs          = 2e-8 // js near 0 is the root of a difference
	pRel, pAbs       = 1e-6, 1e-12
	pTiny            = 1e-280 // two p-values below count as equal
)

// vector is the part of a line of the golden vectors that the kernels can be checked with: counts and distances.
type vector struct {
	Name  string `json:"name"`
	Stats struct {
		NRef uint64 `json:"n_ref"`
		NCur uint64 `json:"n_cur"`
		Bins *struct {
			Ref  []uint64 `json:"ref_counts"`
			Cur  []uint64 `json:"cur_counts"`
			Skip bool     `json:"ulp_sensitive"`
		} `json:"bins_quantile10"`
		PSI   *float64 `json:"psi_quantile10_eps1e-4"`
		KL    *float64 `json:"kl_cur_ref_quantile10_eps1e-4"`
		KLRev *float64 `json:"kl_ref_cur_quantile10_eps1e-4"`
		JS    *float64 `json:"js_distance_base2_quantile10"`
		Chi2  *struct {
			Stat float64 `json:"stat"`
			P    float64 `json:"p"`
			DoF  int     `json:"dof"`
		} `json:"chi2_quantile10"`
		KS *struct {
			D          float64  `json:"d"`
			Exact      *float64 `json:"p_exact"`
			Kolmogorov *float64 `json:"p_kolmogorov"`
			Asymptotic *float64 `json:"p_scipy_asymp"`
			Auto       *float64 `json:"p_scipy_auto"`
		} `json:"ks"`
	} `json:"stats"`
}

func readVectors(t *testing.T, file string) []vector {
	t.Helper()
	f, err := os.Open(testenv.Shared(t, "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func checkStat(t *testing.T, what string, got float64, ok bool, want *float64, abs float64) {
	t.Helper()
	if want == nil {
		if ok {
			t.Errorf("%s = %v, want undefined", what, got)
		}
		return
	}
	if !ok || !near(got, *want, statRel, abs) {
		t.Errorf("%s = %.17g (%v), want %.17g", what, got, ok, *want)
	}
}

func checkP(t *testing.T, what string, got, want float64) {
	t.Helper()
	if (got < pTiny && want < pTiny && got >= 0) || near(got, want, pRel, pAbs) {
		return
	}
	t.Errorf("%s = %.17g, want %.17g (relative %.2g)", what, got, want, math.Abs(got-want)/want)
}

// Expected values: SciPy 1.10.1, by ../shared/vectors/drift_numeric.jsonl.
func TestKernelsAgainstVectors(t *testing.T) {
	for _, v := range readVectors(t, "drift_numeric.jsonl") {
		t.Run(v.Name, func(t *testing.T) {
			s := v.Stats
			if s.Bins != nil && !s.Bins.Skip {
				floor := Smoothing{Floor: 1e-4}
				psi, ok := PSI(s.Bins.Ref, s.Bins.Cur, floor)
				checkStat(t, "psi", psi, ok, s.PSI, statAbs)
				kl, ok := KL(s.Bins.Ref, s.Bins.Cur, floor)
				checkStat(t, "kl", kl, ok, s.KL, statAbs)
				rev, ok := KL(s.Bins.Cur, s.Bins.Ref, floor)
				checkStat(t, "kl reverse", rev, ok, s.KLRev, statAbs)
				js, ok := JSDistance(s.Bins.Ref, s.Bins.Cur)
				checkStat(t, "js", js, ok, s.JS, rootAbs)
				chi, ok := ChiSquare(s.Bins.Ref, s.Bins.Cur, 0)
				if s.Chi2 == nil {
					if ok {
						t.Errorf("chi2 = %+v, want undefined", chi)
					}
				} else {
					checkStat(t, "chi2", chi.Statistic, ok, &s.Chi2.Stat, statAbs)
					checkP(t, "chi2 p", chi.PValue, s.Chi2.P)
					if chi.DoF != s.Chi2.DoF {
						t.Errorf("chi2 dof = %d, want %d", chi.DoF, s.Chi2.DoF)
					}
				}
			}
			if s.KS == nil {
				return
			}
			n, m := float64(s.NRef), float64(s.NCur)
			if s.KS.Kolmogorov != nil {
				checkP(t, "ks p_kolmogorov", KolmogorovSF(s.KS.D*math.Sqrt(n*m/(n+m))), *s.KS.Kolmogorov)
			}
			if s.KS.Asymptotic != nil {
				checkP(t, "ks p_scipy_asymp", KSOneSampleSF(math.RoundToEven(n*m/(n+m)), s.KS.D), *s.KS.Asymptotic)
			}
			if s.KS.Auto != nil {
				got, ok := KSPValue(s.KS.D, s.NRef, s.NCur, KSSciPy)
				if !ok {
					t.Error("ks p_scipy_auto does not exist")
				}
				checkP(t, "ks p_scipy_auto", got, *s.KS.Auto)
			}
			// The default convention is the one or the other, by n·m.
			want := s.KS.Asymptotic
			if s.NRef*s.NCur <= 10000 {
				want = s.KS.Exact
			}
			if want != nil {
				got, _ := KSPValue(s.KS.D, s.NRef, s.NCur, KSDefault)
				checkP(t, "ks p by default", got, *want)
			}
		})
	}
}
