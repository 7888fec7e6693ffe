package sequential

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/internal/exact/wire"
)

// The moment against its sum in rational arithmetic, term by term.
func TestMomentAgainstTheSum(t *testing.T) {
	for _, c := range [][4]uint64{
		{2, 10, 3, 12}, {0, 10, 3, 12}, {10, 10, 0, 12}, {1, 1, 0, 1}, {120, 400, 3, 7}, {3, 1000, 9, 800}, {799, 800, 790, 800}, {10, 20, 1000, 2000},
	} {
		a, b := Arm{c[0], c[1]}, Arm{c[2], c[3]}
		u := newUrn(a, b)
		for _, i := range []int{0, 1, 17, 39, 41, 60, 80} {
			odds := new(big.Float).SetPrec(200).SetFloat64(math.Exp(theta(i)))
			sum, power, at := new(big.Float).SetPrec(200), big.NewFloat(1).SetPrec(200), uint64(0)
			for x := uint64(u.lo); x <= uint64(u.hi); x++ {
				for ; at < x; at++ {
					power.Mul(power, odds)
				}
				ways := new(big.Int).Mul(binomial(b.Trials, x), binomial(a.Trials, a.Successes+b.Successes-x))
				sum.Add(sum, new(big.Float).SetPrec(200).Mul(new(big.Float).SetPrec(200).SetInt(ways), power))
			}
			sum.Quo(sum, new(big.Float).SetPrec(200).SetInt(binomial(a.Trials+b.Trials, a.Successes+b.Successes)))
			mantissa := new(big.Float)
			exponent := sum.MantExp(mantissa)
			m, _ := mantissa.Float64()
			want := math.Log(m) + float64(exponent)*math.Ln2
			// Lgamma of some thousands is good to 10⁻¹¹.
			if got := u.logMoment(theta(i)); math.Abs(got-want) > 1e-10*max(1, math.Abs(want)) {
				t.Errorf("%v and %v: the logarithm of the moment at %v is %.15g, want %.15g", a, b, theta(i), got, want)
			}
		}
	}
}

func binomial(n, k uint64) *big.Int { return new(big.Int).Binomial(int64(n), int64(k)) }

// Under H₀ the mixture is 1 on average, whatever the window's rate is: over all outcomes of two windows with different rates and sizes, each
// with its probability. Ville's inequality, on which the error rests, needs no more.
func TestEvidenceIsAMartingale(t *testing.T) {
	type sized struct {
		n, m uint64
		p    float64
	}
	first, second := sized{3, 5, 0.3}, sized{4, 2, 0.8}
	each := func(w sized, f func(a, b Arm, p float64)) {
		for x := range w.n + 1 {
			for y := range w.m + 1 {
				ways, _ := new(big.Float).SetInt(new(big.Int).Mul(binomial(w.n, x), binomial(w.m, y))).Float64()
				f(Arm{x, w.n}, Arm{y, w.m}, ways*math.Pow(w.p, float64(x+y))*math.Pow(1-w.p, float64(w.n+w.m-x-y)))
			}
		}
	}
	mean, all := 0.0, 0.0
	each(first, func(a1, b1 Arm, p1 float64) {
		each(second, func(a2, b2 Arm, p2 float64) {
			var s Proportions
			s.Add(a1, b1)
			s.Add(a2, b2)
			mean += p1 * p2 * math.Exp(s.mixture())
			all += p1 * p2
		})
	})
	if math.Abs(mean-1) > 1e-12 || math.Abs(all-1) > 1e-12 {
		t.Errorf("the mean of the mixture is %.15g over a probability of %.15g, want 1", mean, all)
	}
}

// atMost is the largest number of errors of n at a rate that one of 1,000 seeds exceeds, by the normal approximation.
func atMost(n int, rate float64) int {
	return int(math.Ceil(rate*float64(n) + 3.09*math.Sqrt(rate*(1-rate)*float64(n))))
}

// Read at every window, no more than alpha of all comparisons without a difference ever call one; with rates that move over the day and
// unequal traffic that moves too, where a comparison of the totals would call nearly all of them. Seeded; `make bench-sequential` measures more.
func TestProportionsErrorWhenReadAtEveryWindow(t *testing.T) {
	const alpha, windows = 0.05, 40
	runs := 800
	if testing.Short() {
		runs = 150
	}
	rng := rand.New(rand.NewPCG(41, 42))
	called, pooled := 0, 0
	for range runs {
		var s Proportions
		decided := false
		for w := range windows {
			p := 0.1 + 0.08*math.Sin(float64(w)/3)
			s.Add(draw(rng, 40+uint64(w%7)*20, p), draw(rng, 40+uint64(40*(1+math.Sin(float64(w)/3))), p))
			decided = decided || s.Read(alpha).Decision != Undecided
		}
		if decided {
			called++
		}
		if d := s.Read(alpha); *d.RateB-*d.RateA > 0.01 {
			pooled++
		}
	}
	t.Logf("%d of %d comparisons call a difference at %v; in %d the totals differ by 0.01", called, runs, alpha, pooled)
	if called > atMost(runs, alpha) {
		t.Errorf("%d of %d comparisons without a difference call one, want at most %v", called, runs, alpha)
	}
	if pooled < runs/2 {
		t.Errorf("only in %d of %d comparisons the totals differ: the test is too easy", pooled, runs)
	}
}

func draw(rng *rand.Rand, n uint64, p float64) Arm {
	out := Arm{0, n}
	for range n {
		if rng.Float64() < p {
			out.Successes++
		}
	}
	return out
}

// A difference is found, in its direction, and the confidence sequence holds the truth after every window in at least 1 - alpha of all runs:
// 0.10 against 0.15, a log odds ratio of 0.4626.
func TestProportionsFindADifference(t *testing.T) {
	const alpha, windows = 0.05, 30
	runs := 200
	if testing.Short() {
		runs = 50
	}
	truth := math.Log(0.15/0.85) - math.Log(0.10/0.90)
	rng := rand.New(rand.NewPCG(43, 44))
	found, missed := 0, 0
	for range runs {
		var s Proportions
		held := true
		for range windows {
			s.Add(draw(rng, 100, 0.10), draw(rng, 100, 0.15))
			r := s.Read(alpha)
			held = held && (r.Effect.Lower == nil || *r.Effect.Lower < truth) && (r.Effect.Upper == nil || *r.Effect.Upper > truth)
			if r.Decision == ALarger {
				t.Fatal("the smaller side is called the larger one")
			}
			if (r.Decision == BLarger) != (r.Effect.Lower != nil && *r.Effect.Lower >= 0) {
				t.Fatalf("the decision %v and the interval above %v", r.Decision, *r.Effect.Lower)
			}
		}
		if s.Read(alpha).Decision == BLarger {
			found++
		}
		if !held {
			missed++
		}
	}
	t.Logf("found in %d of %d, the truth was outside once in %d", found, runs, missed)
	if found < runs*8/10 {
		t.Errorf("the difference is found in %d of %d runs", found, runs)
	}
	if missed > atMost(runs, alpha) {
		t.Errorf("the truth is outside of the confidence sequence in %d of %d runs", missed, runs)
	}
}

// The same for means of skewed values, exponential ones, whose mean moves over the day.
func TestMeansErrorWhenReadAtEveryWindow(t *testing.T) {
	const alpha, runs, windows = 0.05, 1000, 100
	for _, c := range []struct {
		factor float64
		most   int
		least  int
	}{{1, atMost(runs, alpha), 0}, {1.25, runs, runs * 8 / 10}} {
		rng := rand.New(rand.NewPCG(45, 46))
		called := 0
		for range runs {
			s := NewMeans(2000)
			decided := Undecided
			for w := range windows {
				mean := 3 + math.Sin(float64(w)/5)
				s.Add(sample(rng, 20, mean), sample(rng, 35, mean*c.factor))
				if d := s.Read(alpha).Decision; d != Undecided {
					decided = d
				}
			}
			if decided != Undecided {
				called++
			}
			if c.factor > 1 && decided == ALarger {
				t.Error("the smaller side is called the larger one")
			}
		}
		t.Logf("B's mean times %v: %d of %d comparisons call a difference", c.factor, called, runs)
		if called > c.most || called < c.least {
			t.Errorf("B's mean times %v: %d of %d comparisons call a difference, want %d to %d", c.factor, called, runs, c.least, c.most)
		}
	}
}

func sample(rng *rand.Rand, n int, mean float64) Moments {
	xs, sum := make([]float64, n), 0.0
	for i := range xs {
		xs[i] = mean * rng.ExpFloat64()
		sum += xs[i]
	}
	out := Moments{Count: uint64(n), Mean: sum / float64(n), Variance: 0}
	for _, x := range xs {
		out.Variance += (x - out.Mean) * (x - out.Mean) / float64(n-1)
	}
	return out
}

// By hand: one window, h = 200·300/500 = 120, d = 2, v = 9/200 + 16/300; r with planned 1000.
func TestMeansByHand(t *testing.T) {
	s := NewMeans(1000)
	s.Add(Moments{200, 5, 9}, Moments{300, 7, 16})
	got := s.Read(0.05)
	l := -2 * math.Log(0.05)
	r := (l + math.Log(l+1)) / 500
	m, v := 120.0, 9.0/200+16.0/300
	variance := m * m * v
	e := math.Exp(240*240*r*m/(2*variance*(1+r*m))) / math.Sqrt(1+r*m)
	half := math.Sqrt(2*variance*(1+r*m)/(r*m)*math.Log(math.Sqrt(1+r*m)/0.05)) / m
	for _, c := range []struct {
		what      string
		got, want float64
	}{{"value", *got.Effect.Value, 2}, {"lower", *got.Effect.Lower, 2 - half}, {"upper", *got.Effect.Upper, 2 + half}, {"p", *got.Effect.PValue, 1 / e}} {
		if math.Abs(c.got-c.want) > 1e-12*max(1, math.Abs(c.want)) {
			t.Errorf("%s is %v, want %v", c.what, c.got, c.want)
		}
	}
	if got.Decision != BLarger || got.Windows != 1 || got.A != 200 || got.B != 300 {
		t.Errorf("got %+v", got)
	}
}

func TestWhatSaysNothing(t *testing.T) {
	var p Proportions
	p.Add(Arm{0, 0}, Arm{3, 5})
	if r := p.Read(0.05); r.Windows != 0 || r.Decision != Undecided || r.Effect.Reason == "" || r.RateA != nil {
		t.Errorf("an empty side gives %+v", r)
	}
	for range 1000 {
		p.Add(Arm{0, 50}, Arm{0, 50})
		p.Add(Arm{50, 50}, Arm{50, 50})
	}
	if r := p.Read(0.05); r.Windows != 2000 || r.Decision != Undecided || *r.Effect.PValue != 1 || r.Effect.Lower != nil || *r.Difference != 0 {
		t.Errorf("windows of none or all give %+v", r)
	}
	m := NewMeans(0)
	nan := math.NaN()
	for _, w := range [][2]Moments{
		{{1, 2, 0}, {500, 3, 1}},
		{{500, nan, 1}, {500, 3, 1}},
		{{500, 1, nan}, {500, 3, 1}},
		{{500, 1, math.Inf(1)}, {500, 3, 1}},
		{{500, -math.MaxFloat64, 1}, {500, math.MaxFloat64, 1}},
		{{0, 0, 0}, {0, 0, 0}},
	} {
		m.Add(w[0], w[1])
	}
	if r := m.Read(0.05); r.Windows != 0 || r.Effect.Reason == "" {
		t.Errorf("windows without moments give %+v", r)
	}
	m.Add(Moments{100, 1, 0}, Moments{100, 1, 0})
	if r := m.Read(0.05); r.Windows != 1 || r.Effect.Reason == "" || r.Decision != Undecided {
		t.Errorf("100 values a side give %+v", r)
	}
	m.Add(Moments{100, 1, 0}, Moments{100, 1, 0})
	if r := m.Read(0.05); r.Effect.Reason != "nothing varies" || r.Decision != Undecided {
		t.Errorf("constants give %+v", r)
	}
}

// Odds beyond the grid have a decision and a reason, and no value.
func TestBeyondTheGrid(t *testing.T) {
	var s Proportions
	s.Add(Arm{1, 10_000_000}, Arm{9_000_000, 10_000_000})
	r := s.Read(1e-6)
	if r.Decision != BLarger || r.Effect.Value != nil || r.Effect.Upper != nil || r.Effect.Reason == "" || *r.Effect.PValue != 0 {
		t.Errorf("got %+v", r.Effect)
	}
}

// A state that is stored and read after every window goes on as one that is not, to the bit.
func TestStateSurvives(t *testing.T) {
	rng := rand.New(rand.NewPCG(47, 48))
	undisturbed, stored := &Proportions{}, (&Proportions{}).AppendBinary(nil) //nolint:exhaustruct // nothing seen
	means, storedMeans := NewMeans(500), NewMeans(500).AppendBinary(nil)
	for i := range 60 {
		a, b := draw(rng, uint64(i%5)*30, 0.2), draw(rng, 70, 0.3)
		s, rest, err := DecodeProportions(append(stored, 7))
		if err != nil || !bytes.Equal(rest, []byte{7}) {
			t.Fatalf("window %d: %v, and %v is left", i, err, rest)
		}
		s.Add(a, b)
		undisturbed.Add(a, b)
		if stored = s.AppendBinary(nil); !bytes.Equal(stored, undisturbed.AppendBinary(nil)) {
			t.Fatalf("window %d: the states differ", i)
		}
		if got, want := describe(s.Read(0.05)), describe(undisturbed.Read(0.05)); got != want {
			t.Fatalf("window %d: read %s, want %s", i, got, want)
		}
		m, rest, err := DecodeMeans(append(storedMeans, 7))
		if err != nil || !bytes.Equal(rest, []byte{7}) {
			t.Fatalf("window %d: %v, and %v is left", i, err, rest)
		}
		x, y := sample(rng, 2+i%9, 1), sample(rng, 50, 1.1)
		m.Add(x, y)
		means.Add(x, y)
		if storedMeans = m.AppendBinary(nil); !bytes.Equal(storedMeans, means.AppendBinary(nil)) {
			t.Fatalf("window %d: the states differ", i)
		}
	}
}

func describe(r Reading) string {
	at := func(x *float64) string {
		if x == nil {
			return "-"
		}
		return fmt.Sprint(*x)
	}
	return fmt.Sprint(at(r.Effect.Value), at(r.Effect.Lower), at(r.Effect.Upper), at(r.Effect.PValue), r.Decision, r.Windows, at(r.Difference))
}

// Whatever the bytes are, decoding gives an error or a state that works and encodes to the bytes that were read.
func FuzzDecode(f *testing.F) {
	var s Proportions
	m := NewMeans(100)
	f.Add(true, s.AppendBinary(nil))
	f.Add(false, m.AppendBinary(nil))
	s.Add(Arm{3, 10}, Arm{9, 20})
	m.Add(Moments{300, 1, 2}, Moments{400, 2, 3})
	f.Add(true, s.AppendBinary(nil))
	f.Add(false, m.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, proportions bool, data []byte) {
		var again, rest []byte
		var err error
		if proportions {
			var s *Proportions
			if s, rest, err = DecodeProportions(data); err == nil {
				again = s.AppendBinary(nil)
				s.Read(0.05)
				s.Add(Arm{1, 5}, Arm{2, 5})
			}
		} else {
			var m *Means
			if m, rest, err = DecodeMeans(data); err == nil {
				again = m.AppendBinary(nil)
				m.Read(0.05)
				m.Add(Moments{5, 1, 1}, Moments{5, 2, 1})
			}
		}
		switch {
		case err != nil && !errors.Is(err, wire.ErrCorrupt):
			t.Errorf("decoding gives %v", err)
		case err == nil && !bytes.Equal(again, data[:len(data)-len(rest)]):
			t.Errorf("%x is encoded as %x", data[:len(data)-len(rest)], again)
		}
	})
}

func BenchmarkProportionsAdd(b *testing.B) {
	for _, n := range []uint64{1_000, 100_000, 10_000_000} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var s Proportions
			for b.Loop() {
				s.Add(Arm{n / 20, n}, Arm{n / 18, n})
			}
		})
	}
}
