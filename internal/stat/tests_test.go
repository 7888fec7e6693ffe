package stat

import (
	"math"
	"testing"
)

// Expected values: the upper tail of the limiting distribution of ω², Anderson and Darling 1952, table 1 (0.10, 0.05, 0.01, 0.001 of
// the tabulated points, which are rounded), and by the leading term of Smirnov's expansion in the far tail.
func TestCramerVonMisesTail(t *testing.T) {
	for z, want := range map[float64]float64{0.34730: 0.10, 0.46136: 0.05, 0.74346: 0.01, 1.16786: 0.001} {
		if got := CramerVonMisesSF(z); !near(got, want, 1e-4, 0) {
			t.Errorf("P(ω² > %v) = %v, tabulated %v", z, got, want)
		}
	}
	// Laplace's method at u = π: (2/π)·exp(-zπ²/2)/π/sqrt(z)·sqrt(π)·…; the ratio of two tails is all that is asked of it here.
	for _, z := range []float64{20, 60, 130} {
		ratio := math.Log(CramerVonMisesSF(z)/CramerVonMisesSF(z+1)) - math.Pi*math.Pi/2 - math.Log((z+1)/z)/2
		if math.Abs(ratio) > 0.2/(z*z) {
			t.Errorf("the tail at %v falls by exp(π²/2)·sqrt((z+1)/z)·exp(%v)", z, ratio)
		}
	}
	last := 1.0
	for z := 0.0; z < 5; z += 0.004 {
		p := CramerVonMisesSF(z)
		if !(p <= last+1e-14 && p >= 0) {
			t.Fatalf("P(ω² > %v) = %v after %v", z, p, last)
		}
		last = p
	}
	if CramerVonMisesSF(1e9) != 0 || CramerVonMisesSF(-1) != 1 {
		t.Error("the ends of the distribution")
	}
}

// The fit of the p-value is repeated in float64 from the table of Scholz and Stephens 1987, by the normal equations about the mean.
func TestAndersonDarlingFit(t *testing.T) {
	critical := []float64{0.325, 1.226, 1.961, 2.718, 3.752, 4.592, 6.546} // b0 + b1 + b2 of table 2
	levels := []float64{0.25, 0.1, 0.05, 0.025, 0.01, 0.005, 0.001}
	// The residuals of a least squares fit are orthogonal to 1, x and x².
	for power := range 3 {
		sum, size := 0.0, 0.0
		for i, x := range critical {
			p, capped := andersonDarlingP(x)
			if capped != 0 {
				t.Fatalf("%v is capped", x)
			}
			r := (math.Log(p) - math.Log(levels[i])) * math.Pow(x, float64(power))
			sum += r
			size += math.Abs(r)
		}
		if math.Abs(sum) > 1e-11*size {
			t.Errorf("the residuals are not orthogonal to x^%d: %v of %v", power, sum, size)
		}
	}
	if p, capped := andersonDarlingP(7); p != 0.001 || capped != -1 {
		t.Errorf("beyond the table: %v, %d", p, capped)
	}
}

func TestHarmonicAgainstSums(t *testing.T) {
	for _, n := range []uint64{1, 2, 99, 100, 101, 102, 5000} {
		h, squares := harmonic(n)
		wantH, wantS := 0.0, 0.0
		for i := n; i >= 1; i-- {
			wantH += 1 / float64(i)
			wantS += 1 / float64(i) / float64(i)
		}
		if !near(h, wantH, 1e-14, 0) || !near(squares, wantS, 1e-14, 0) {
			t.Errorf("harmonic(%d) = %v, %v, summed %v, %v", n, h, squares, wantH, wantS)
		}
	}
	// g as SciPy's anderson_ksamp sums it, against the closed form.
	for _, n := range []int{4, 7, 50, 400} {
		want := 0.0
		for i := 1; i <= n-2; i++ {
			for j := i + 1; j <= n-1; j++ {
				want += 1 / (float64(n-i) * float64(j))
			}
		}
		h, squares := harmonic(uint64(n - 1))
		if got := squares - 2*h/float64(n); !near(got, want, 1e-13, 0) {
			t.Errorf("g(%d) = %v, summed %v", n, got, want)
		}
	}
}

func TestWelchIsUndefined(t *testing.T) {
	for _, c := range [][6]float64{{1, 0, 0, 5, 0, 1}, {5, 1, 0, 5, 2, 0}, {5, 0, math.Inf(1), 5, 0, 1}, {5, 0, math.NaN(), 5, 0, 1}} {
		if _, _, _, ok := Welch(uint64(c[0]), c[1], c[2], uint64(c[3]), c[4], c[5]); ok {
			t.Errorf("Welch of %v exists", c)
		}
	}
	// Variances whose squares overflow: t = 1e100/sqrt(2e200/5), the same as for variances of 1 and a difference of 1.
	t1, df1, p1, _ := Welch(5, 1e100, 1e200, 5, 0, 1e200)
	t2, df2, p2, _ := Welch(5, 1, 1, 5, 0, 1)
	if !near(t1, t2, 1e-14, 0) || df1 != df2 || !near(p1, p2, 1e-13, 0) || df2 != 8 {
		t.Errorf("scaled: %v %v %v, %v %v %v", t1, df1, p1, t2, df2, p2)
	}
	// Student's closed form for two degrees of freedom: P(|T| > t) = 1 - t/sqrt(2+t²).
	for _, x := range []float64{0.1, 1, 5} {
		if got, want := StudentTwoSided(x, 2), 1-x/math.Sqrt(2+x*x); !near(got, want, 1e-12, 0) {
			t.Errorf("P(|T| > %v) = %v, want %v", x, got, want)
		}
	}
}

func BenchmarkCramerVonMisesSF(b *testing.B) {
	for b.Loop() {
		CramerVonMisesSF(0.2)
	}
}
