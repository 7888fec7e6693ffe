package stat

import (
	"bufio"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/internal/testenv"
)

func TestDivergencesByHand(t *testing.T) {
	// ref (1, 3), cur (3, 1): r = (¼, ¾), c = (¾, ¼).
	ref, cur := []uint64{1, 3, 0}, []uint64{3, 1, 0}
	// Floor: PSI = ½ ln 3 + ½ ln 3 = ln 3, KL = ¾ ln 3 - ¼ ln 3 = ½ ln 3.
	psi, _ := PSI(ref, cur, Smoothing{Floor: 1e-9})
	kl, _ := KL(ref, cur, Smoothing{Floor: 1e-9})
	if !near(psi, math.Log(3), 1e-14, 0) || !near(kl, math.Log(3)/2, 1e-14, 0) {
		t.Errorf("floor: psi %v, kl %v; want ln 3 = %v and half of it", psi, kl, math.Log(3))
	}
	// Pseudo-counts: B = 2, α = 1, p = ½: r' = (1.5/5, 3.5/5), c' mirrored: PSI = 2·0.4·ln(7/3), KL = 0.4·ln(7/3).
	psi, _ = PSI(ref, cur, Smoothing{})
	kl, _ = KL(ref, cur, Smoothing{})
	if want := 0.4 * math.Log(7.0/3); !near(psi, 2*want, 1e-14, 0) || !near(kl, want, 1e-14, 0) {
		t.Errorf("pseudo-counts: psi %v, kl %v; want %v and %v", psi, kl, 2*want, want)
	}
	// Disjoint samples are at Jensen-Shannon distance 1.
	if js, _ := JSDistance([]uint64{5, 0}, []uint64{0, 9}); js != 1 {
		t.Errorf("js of disjoint counts = %v, want 1", js)
	}
}

func TestEmptySidesAreUndefined(t *testing.T) {
	full, empty := []uint64{3, 4}, []uint64{0, 0}
	for _, pair := range [][2][]uint64{{full, empty}, {empty, full}, {empty, empty}, {nil, nil}} {
		_, okPSI := PSI(pair[0], pair[1], Smoothing{})
		_, okKL := KL(pair[0], pair[1], Smoothing{Floor: 1e-4})
		_, okJS := JSDistance(pair[0], pair[1])
		_, okChi := ChiSquare(pair[0], pair[1], 1)
		if okPSI || okKL || okJS || okChi {
			t.Errorf("%v: psi %v, kl %v, js %v, chi2 %v exist", pair, okPSI, okKL, okJS, okChi)
		}
	}
}

func TestChiSquarePoolsSmallExpectations(t *testing.T) {
	// n = m = 100. Columns 3 and 4 expect 0.5 and 1 on both sides: only the one below 1 is pooled, alone, which changes nothing.
	ref, cur := []uint64{60, 39, 1, 0}, []uint64{40, 58, 0, 2}
	unpooled, _ := ChiSquare(ref, cur, 0)
	same, _ := ChiSquare(ref, cur, 1)
	if !near(same.Statistic, unpooled.Statistic, 1e-14, 0) || same.DoF != 3 || same.Pooled != 1 {
		t.Errorf("one small column: %+v, unpooled %+v", same, unpooled)
	}
	// With a limit of 2 both are: the column (1, 2) is left, χ² = 200·… by (c/n-r/m)²·nm/(c+r) = 20²/100 + 19²/97 + 1/3.
	pooled, _ := ChiSquare(ref, cur, 2)
	if want := 400.0/100 + 361.0/97 + 1.0/3; !near(pooled.Statistic, want, 1e-13, 0) || pooled.DoF != 2 || pooled.Pooled != 2 {
		t.Errorf("two small columns: %+v, want statistic %v, 2 degrees of freedom", pooled, want)
	}
	if res, ok := ChiSquare([]uint64{1, 0, 1}, []uint64{0, 1, 0}, 5); ok {
		t.Errorf("everything pooled: %+v, want undefined", res)
	}
}

func TestChiSquareQuantileTable(t *testing.T) {
	// Upper 0.1 % points: R 4.2, qchisq(0.999, df), to all printed digits.
	for dof, want := range map[int]float64{1: 10.82757, 2: 13.81551, 9: 27.87716, 19: 43.82020, 40: 73.40196, 100: 149.4493} {
		if got := ChiSquareQuantile(0.001, dof); !near(got, want, 1e-6, 0) {
			t.Errorf("ChiSquareQuantile(0.001, %d) = %v, want %v", dof, got, want)
		}
	}
	// dof 2 has a closed form: -2 ln upper; it also bounds the far tail of the survival function.
	for _, upper := range []float64{0.5, 1e-3, 1e-30, 1e-290} {
		if got := ChiSquareSF(-2*math.Log(upper), 2); !near(got, upper, 1e-11, 0) {
			t.Errorf("ChiSquareSF at the %g point of dof 2 = %v", upper, got)
		}
	}
	if got := ChiSquareSF(3, 0); got != 0 {
		t.Errorf("ChiSquareSF(3, 0) = %v, want 0", got)
	}
}

func TestProportionsAgainstVectors(t *testing.T) {
	// Expected values: statsmodels 0.13.5 and SciPy 1.10.1, by ../shared/vectors/ab.jsonl.
	f, err := os.Open(testenv.Shared(t, "vectors", "ab.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	checked := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var v struct {
			Name     string `json:"name"`
			Kind     string `json:"kind"`
			KA       uint64 `json:"x_a"`
			NA       uint64 `json:"n_a"`
			KB       uint64 `json:"x_b"`
			NB       uint64 `json:"n_b"`
			Expected struct {
				Z      *float64 `json:"z_pooled"`
				PZ     *float64 `json:"p_z_pooled"`
				Fisher *float64 `json:"p_fisher"`
			} `json:"stats"`
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			continue // other kinds of the file have other shapes
		}
		if v.Kind != "ab-proportions" {
			continue
		}
		checked++
		z, p, ok := TwoProportionsZ(v.KA, v.NA, v.KB, v.NB)
		checkStat(t, v.Name+": z", z, ok, v.Expected.Z, statAbs)
		if v.Expected.PZ != nil {
			checkP(t, v.Name+": p of z", p, *v.Expected.PZ)
		}
		if v.Expected.Fisher != nil {
			checkP(t, v.Name+": Fisher", FisherExact(v.KA, v.NA, v.KB, v.NB), *v.Expected.Fisher)
		}
	}
	if checked == 0 {
		t.Error("no vector of kind ab-proportions was read")
	}
}

func TestTwoProportionsInSmallWindows(t *testing.T) {
	// One odd value of 40 against none of 10,000: by hand 40/10040. The z-test would say 1e-56.
	p, ok := TwoProportions(0, 10000, 1, 40)
	if want := 40.0 / 10040; !ok || !near(p, want, 1e-12, 0) {
		t.Errorf("TwoProportions(0/10000, 1/40) = %v (%v), want %v", p, ok, want)
	}
	for _, c := range [][4]uint64{{0, 10, 0, 20}, {10, 10, 20, 20}, {0, 1, 0, 1}} {
		if p, ok := TwoProportions(c[0], c[1], c[2], c[3]); !ok || p != 1 {
			t.Errorf("TwoProportions(%v) = %v (%v), want 1", c, p, ok)
		}
	}
	if _, ok := TwoProportions(0, 0, 1, 2); ok {
		t.Error("TwoProportions of an empty sample exists")
	}
}

func TestFalseDiscoveryRates(t *testing.T) {
	// By hand: m = 5; sorted 0.01 0.02 0.03 0.04 0.5 → m·p/i = 0.05 0.05 0.05 0.05 0.5.
	p := []float64{0.04, 0.01, 0.5, 0.03, 0.02}
	before := slices.Clone(p)
	got := BenjaminiHochberg(p)
	want := []float64{0.05, 0.05, 0.5, 0.05, 0.05}
	for i := range want {
		if !near(got[i], want[i], 1e-15, 0) {
			t.Errorf("BenjaminiHochberg[%d] = %v, want %v", i, got[i], want[i])
		}
	}
	// Yekutieli multiplies by 1 + ½ + ⅓ + ¼ + ⅕ = 137/60.
	for i, q := range BenjaminiYekutieli(p) {
		if w := min(1, want[i]*137/60); !near(q, w, 1e-14, 0) {
			t.Errorf("BenjaminiYekutieli[%d] = %v, want %v", i, q, w)
		}
	}
	if diff := cmp.Diff(before, p); diff != "" {
		t.Errorf("the argument was changed:\n%s", diff)
	}
	if q := BenjaminiHochberg(nil); len(q) != 0 {
		t.Errorf("BenjaminiHochberg(nil) = %v", q)
	}
}

func TestFalseDiscoveryRatesAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	for range 200 {
		p := make([]float64, 1+rng.IntN(30))
		for i := range p {
			p[i] = math.Pow(rng.Float64(), 3)
		}
		got := BenjaminiHochberg(p)
		for i := range p {
			// The definition, quadratic: over every threshold at or above p[i], the least m·p/#{≤ p}.
			want := 1.0
			for _, at := range p {
				if at < p[i] {
					continue
				}
				count := 0
				for _, x := range p {
					if x <= at {
						count++
					}
				}
				want = min(want, at*float64(len(p))/float64(count))
			}
			if !near(got[i], want, 1e-14, 0) {
				t.Fatalf("q of %v in %v = %v, want %v", p[i], p, got[i], want)
			}
		}
	}
}
