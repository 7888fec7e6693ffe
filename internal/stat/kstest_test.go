package stat

import (
	"fmt"
	"math"
	"math/big"
	"testing"
)

// near tells whether got equals want within a relative or an absolute tolerance.
func near(got, want, rel, abs float64) bool {
	return got == want || math.Abs(got-want) <= abs || math.Abs(got-want) <= rel*math.Abs(want)
}

// oracleCDF is P(D_n < d) carried with 200 bits: the multinomial form of the band recursion, with nothing approximated.
func oracleCDF(n int, d *big.Rat) float64 {
	const prec = 200
	bigN := new(big.Rat).SetInt64(int64(n))
	nd := new(big.Rat).Mul(bigN, d)
	type change struct {
		at    *big.Rat
		lower bool
	}
	var changes []change
	for i := int64(0); ; i++ {
		at := new(big.Rat).Add(new(big.Rat).SetInt64(i), nd)
		if at.Cmp(bigN) >= 0 {
			break
		}
		changes = append(changes, change{at, true})
	}
	upper := 0 // ⌊nd⌋
	for new(big.Rat).SetInt64(int64(upper+1)).Cmp(nd) <= 0 {
		upper++
	}
	for i := int64(upper + 1); ; i++ {
		at := new(big.Rat).Sub(new(big.Rat).SetInt64(i), nd)
		if at.Cmp(bigN) >= 0 {
			break
		}
		changes = append(changes, change{at, false})
	}
	for i := range changes { // insertion sort: short lists, exact comparison
		for j := i; j > 0 && changes[j].at.Cmp(changes[j-1].at) < 0; j-- {
			changes[j], changes[j-1] = changes[j-1], changes[j]
		}
	}
	newFloat := func() *big.Float { return new(big.Float).SetPrec(prec) }
	v := make([]*big.Float, n+1)
	v[0] = newFloat().SetInt64(1)
	lower, now := 0, new(big.Rat)
	step := func(to *big.Rat, lo, hi int) {
		delta := newFloat().SetRat(new(big.Rat).Sub(to, now))
		next := make([]*big.Float, n+1)
		for from, p := range v {
			if p == nil {
				continue
			}
			w := newFloat().Set(p) // p Δ^k/k!
			for j := from; j <= min(hi, n); j++ {
				if j >= lo {
					if next[j] == nil {
						next[j] = newFloat()
					}
					next[j].Add(next[j], w)
				}
				w.Mul(w, delta)
				w.Quo(w, newFloat().SetInt64(int64(j-from+1)))
			}
		}
		v, now = next, to
	}
	for _, c := range changes {
		lo := lower
		if c.lower {
			lo++
		}
		step(c.at, lo, upper)
		if c.lower {
			lower++
		} else {
			upper++
		}
	}
	step(bigN, n, n)
	if v[n] == nil {
		return 0
	}
	r := v[n]
	for i := 1; i <= n; i++ { // n!/n^n
		r.Mul(r, newFloat().SetInt64(int64(i)))
		r.Quo(r, newFloat().SetInt64(int64(n)))
	}
	f, _ := r.Float64()
	return f
}

func TestKSOneSampleAgainstExactRecursion(t *testing.T) {
	// The oracle is exact; cancellation in 1-CDF leaves it about 1e-15 absolute, so p is compared where it is above 1e-7.
	for _, n := range []int{1, 2, 3, 10, 50, 140, 141, 200} {
		for _, z := range []float64{0.3, 0.6, 0.868, 0.87, 1.2, 1.48, 1.49, 1.99, 2.01, 2.5} {
			d := z / math.Sqrt(float64(n))
			if d >= 1 {
				continue
			}
			t.Run(fmt.Sprintf("n=%d/z=%v", n, z), func(t *testing.T) {
				want := 1 - oracleCDF(n, new(big.Rat).SetFloat64(d))
				got := KSOneSampleSF(float64(n), d)
				if rel, abs := oneSampleTolerance(n, d); !near(got, want, rel, abs) {
					t.Errorf("KSOneSampleSF(%d, %v) = %.12g, exact %.12g", n, d, got, want)
				}
			})
		}
	}
}

// oneSampleTolerance is the stated precision of the method that KSOneSampleSF takes at n, d.
func oneSampleTolerance(n int, d float64) (rel, abs float64) {
	fn := float64(n)
	switch nd2 := fn * d * d; {
	case n <= 140:
		return 1e-9, 1e-13 // exact, but for rounding
	case nd2 >= 2.2:
		return 2e-6, 1e-13 // twice the one-sided tail: exp(-6n·d²) relative
	default:
		return 1e-11, pelzGoodRemainder(fn)
	}
}

// pelzGoodRemainder bounds what the expansion leaves out: a term of order n^-2 whose coefficient was seen below 0.05.
func pelzGoodRemainder(n float64) float64 { return 0.06 / (n * n) }

func TestKSOneSampleMethodsAgree(t *testing.T) {
	// Each pair of methods shares no code; the tolerances are the stated precision of the weaker one.
	for _, n := range []int{20, 60, 140} {
		for _, z := range []float64{0.5, 0.7, 0.9, 1.2, 1.8} {
			d := z / math.Sqrt(float64(n))
			if a, b := durbinMatrixCDF(n, d), pomeranzCDF(n, d); !near(a, b, 1e-11, 0) {
				t.Errorf("n %d, d %v: matrix %.15g, Pomeranz %.15g", n, d, a, b)
			}
		}
	}
	for _, n := range []int{1000, 5000, 20000} {
		for _, z := range []float64{0.5, 0.7, 0.9, 1.2} {
			d := z / math.Sqrt(float64(n))
			if n == 20000 && z > 0.7 {
				continue // the matrix would have more than 200 rows
			}
			if a, b := durbinMatrixCDF(n, d), pelzGoodCDF(float64(n), d); !near(a, b, 0, pelzGoodRemainder(float64(n))) {
				t.Errorf("n %d, d %v: matrix %.15g, Pelz-Good %.15g", n, d, a, b)
			}
		}
	}
}

func TestSmirnovStrideEqualsFullSum(t *testing.T) {
	for _, n := range []float64{600, 1500, 20000, 300000} {
		for _, nd2 := range []float64{2.2, 3, 10, 50, 300} {
			d := math.Sqrt(nd2 / n)
			if full, fast := smirnovSum(n, d, 1), SmirnovSF(n, d); !near(fast, full, 1e-10, 0) {
				t.Errorf("n %v, n·d² %v: every term %.15g, stride %.15g", n, nd2, full, fast)
			}
		}
	}
}

func TestSmirnovClosedForms(t *testing.T) {
	// n = 1: P(D⁺ ≥ d) = 1-d. n = 2: (1-d)² + d(1-d)·… = 1 - d² - … by hand: for d ≥ ½ only j = 0: (1-d)²;
	// for d < ½ j = 1 adds d·2·(d+½)^0·(½-d).
	tests := []struct{ n, d, want float64 }{
		{1, 0.25, 0.75},
		{1, 0.9, 0.1},
		{2, 0.75, 0.0625},
		{2, 0.25, 0.5625 + 0.25*2*0.25},
		{3, 0, 1},
		{3, 1, 0},
	}
	for _, tc := range tests {
		if got := SmirnovSF(tc.n, tc.d); !near(got, tc.want, 1e-13, 0) {
			t.Errorf("SmirnovSF(%v, %v) = %v, want %v", tc.n, tc.d, got, tc.want)
		}
	}
}

func TestKSTwoSampleEqualSizesByReflection(t *testing.T) {
	// Gnedenko and Korolyuk's closed form for n = m: P = 2 Σ_{k≥1} (-1)^(k-1) C(2n, n+kh)/C(2n, n), in big integers.
	for _, n := range []int64{1, 2, 7, 20, 100, 700} {
		for _, h := range []int64{1, 2, 3, 5, 20, 60, n} {
			if h > n {
				continue
			}
			sum := new(big.Int)
			for k := int64(1); k*h <= n; k++ {
				c := new(big.Int).Binomial(2*n, n+k*h)
				if k%2 == 0 {
					c.Neg(c)
				}
				sum.Add(sum, c)
			}
			want, _ := new(big.Rat).SetFrac(sum.Lsh(sum, 1), new(big.Int).Binomial(2*n, n)).Float64()
			got, err := KSTwoSampleSF(int(n), int(n), h)
			if err != nil || !near(got, want, 1e-11, 0) {
				t.Errorf("KSTwoSampleSF(%d, %d, %d) = %.15g, %v; want %.15g", n, n, h, got, err, want)
			}
		}
	}
}

func TestKSTwoSampleByEnumeration(t *testing.T) {
	// Every one of the C(n+m, n) orders of two small samples, counted.
	for _, s := range []struct{ n, m int }{{1, 1}, {1, 4}, {3, 2}, {4, 6}, {5, 7}, {6, 6}, {2, 9}} {
		lcm := s.n / gcd(s.n, s.m) * s.m
		for h := 1; h <= lcm; h++ {
			total, out := 0, 0
			for mask := range 1 << (s.n + s.m) {
				x, y, most := 0, 0, 0
				for i := range s.n + s.m {
					if mask>>i&1 == 1 {
						x++
					} else {
						y++
					}
					most = max(most, x*lcm/s.n-y*lcm/s.m, y*lcm/s.m-x*lcm/s.n)
				}
				if x != s.n {
					continue
				}
				total++
				if most >= h {
					out++
				}
			}
			want := float64(out) / float64(total)
			for _, order := range [][2]int{{s.n, s.m}, {s.m, s.n}} {
				got, err := KSTwoSampleSF(order[0], order[1], int64(h))
				if err != nil || !near(got, want, 1e-14, 0) {
					t.Errorf("KSTwoSampleSF(%d, %d, %d) = %v, %v; %d of %d orders", order[0], order[1], h, got, err, out, total)
				}
			}
		}
	}
}

func TestKSTwoSampleRefusesSizes(t *testing.T) {
	for _, s := range [][2]int{{0, 3}, {3, 0}, {MaxExactKS + 1, 2}, {-1, 2}} {
		if p, err := KSTwoSampleSF(s[0], s[1], 1); err == nil {
			t.Errorf("KSTwoSampleSF(%d, %d) = %v without an error", s[0], s[1], p)
		}
	}
	if _, ok := KSPValue(0.5, 0, 10, KSDefault); ok {
		t.Error("KSPValue of an empty sample claims to exist")
	}
}

func TestKSPValueIsMonotoneAndBounded(t *testing.T) {
	for _, s := range [][2]uint64{{1, 1}, {3, 7}, {100, 100}, {101, 100}, {150, 10000}, {300, 9408}, {1344, 9408}, {1e6, 1e6}, {1e12, 5e11}} {
		last := 1.0
		for d := 0.0; d <= 1; d += 1.0 / 512 {
			p, ok := KSPValue(d, s[0], s[1], KSDefault)
			if !ok || math.IsNaN(p) || p < 0 || p > last*(1+4e-6)+1e-12 {
				t.Fatalf("n %d, m %d, d %v: p %v after %v", s[0], s[1], d, p, last)
			}
			last = p
		}
	}
}

func BenchmarkKSPValue(b *testing.B) {
	for _, s := range []struct {
		n, m uint64
		d    float64
	}{
		{100, 100, 0.1},
		{120, 9408, 0.1},
		{1344, 9408, 0.02},
		{1344, 9408, 0.1},
		{1e5, 1e5, 0.0005},
		{1e5, 1e5, 0.002},
		{1e6, 1e6, 0.003},
		{1e9, 1e6, 0.003},
	} {
		b.Run(fmt.Sprintf("n=%d/m=%d/d=%v", s.n, s.m, s.d), func(b *testing.B) {
			for b.Loop() {
				KSPValue(s.d, s.n, s.m, KSDefault)
			}
		})
	}
}
