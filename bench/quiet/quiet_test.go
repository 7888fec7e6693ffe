package main

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/stat"
)

// Counts drawn by the sampler fit the distribution that they are drawn from, by Pearson's χ² at every size that takes another way
// through it, and binomial draws have the mean and the variance n·p and n·p·q.
func TestDrawsFollowTheDistribution(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	p := make([]float64, 40)
	for i := range p {
		p[i] = 1 / float64(i+3)
	}
	scale(p)
	d := newDistribution(p)
	for _, n := range []uint64{30, 500, 20_000, 3_000_000} {
		sum, counts := make([]uint64, len(p)), make([]uint64, len(p))
		for range 400 {
			d.draw(rng, n, counts)
			for i, c := range counts {
				sum[i] += c
			}
		}
		x := 0.0
		for i, c := range sum {
			e := 400 * float64(n) * p[i]
			x += (float64(c) - e) * (float64(c) - e) / e
		}
		if pv := stat.ChiSquareSF(x, len(p)-1); pv < 1e-4 {
			t.Errorf("n = %d: χ² is %.1f, p %.2g", n, x, pv)
		}
	}
	for _, c := range []struct {
		n uint64
		p float64
	}{{20, 0.3}, {1_000, 0.004}, {1_000, 0.4}, {1_000_000, 0.93}} {
		const draws = 20_000
		sum, squares := 0.0, 0.0
		mean := float64(c.n) * c.p
		for range draws {
			x := float64(binomial(rng, c.n, c.p)) - mean
			sum += x
			squares += x * x
		}
		variance := mean * (1 - c.p)
		if z := sum / math.Sqrt(draws*variance); math.Abs(z) > 4.5 {
			t.Errorf("binomial(%d, %v): the mean is %.1f standard errors off", c.n, c.p, z)
		}
		if ratio := squares / draws / variance; math.Abs(ratio-1) > 0.06 { // its own deviation is about 0.01
			t.Errorf("binomial(%d, %v): the variance is %.3f times what it should be", c.n, c.p, ratio)
		}
	}
}

// A shift is as large as it says, for every kind.
func TestShiftsHaveTheirSize(t *testing.T) {
	for _, k := range kinds() {
		for _, psi := range shifts() {
			if got := k.psi(k.shifted(psi).p); math.Abs(got-psi) > 1e-6 {
				t.Errorf("%s: the PSI is %v, want %v", k.name, got, psi)
			}
		}
	}
}

// What falls short fails: a false alarm too many, and a quiet rival that is quicker.
func TestMustFails(t *testing.T) {
	b := newBench()
	alarms := func(of map[int]int) []int {
		out := make([]int, len(b.rules))
		for i, n := range of {
			out[i] = n
		}
		return out
	}
	rival := len(b.rules) - 1
	for name, c := range map[string]struct {
		r    report
		want string
	}{
		"well":  {report{Quiet: []quietRow{{N: 100, Windows: 4_800, Alarms: alarms(map[int]int{flagDrift: 2})}}}, ""},
		"noisy": {report{Quiet: []quietRow{{N: 100, Windows: 2_400, Alarms: alarms(map[int]int{flagDrift: 2})}}}, "2 false alarms in 2400 windows"},
		"late": {report{Real: []realRow{{
			Set: "x", Shuffled: tally{2_400, alarms(map[int]int{rival: 24})}, Delay: alarms(map[int]int{flagDrift: 3, rival: 2}),
		}}}, "delay 3, the best quiet rival's 2"},
		"a noisy rival does not count": {report{Real: []realRow{{
			Set: "x", Shuffled: tally{2_400, alarms(map[int]int{rival: 25})}, Delay: alarms(map[int]int{flagDrift: 3, rival: 2}),
		}}}, ""},
	} {
		var out strings.Builder
		if err := b.must(&c.r, &out); (err != nil) != (c.want != "") || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// Neighbouring rows of a series have the correlation that is asked for, rows far apart none, and the values are standard normal throughout. The standard
// error of a correlation of 200,000 such rows is below 0.003, that of their mean below 0.01 (Bartlett's formula at 0.9).
func TestSeriesHaveTheirCorrelation(t *testing.T) {
	for _, phi := range []float64{0.5, 0.9} {
		rows := autoregressive(rand.New(rand.NewPCG(5, 9)), phi, 200_000, 2)
		lagged := func(lag, a, b int) float64 {
			s := 0.0
			for i := lag; i < len(rows); i++ {
				s += rows[i-lag][a] * rows[i][b]
			}
			return s / float64(len(rows)-lag)
		}
		mean := 0.0
		for _, x := range rows {
			mean += x[0] / float64(len(rows))
		}
		for what, c := range map[string]struct{ got, want float64 }{
			"mean": {mean, 0}, "variance": {lagged(0, 0, 0), 1}, "lag 1": {lagged(1, 0, 0), phi}, "lag 2": {lagged(2, 0, 0), phi * phi},
			"lag 200": {lagged(200, 0, 0), 0}, "of two features": {lagged(0, 0, 1), 0},
		} {
			if math.Abs(c.got-c.want) > 0.04 {
				t.Errorf("lag-1 correlation %g, %s: %.4f, want %.4f", phi, what, c.got, c.want)
			}
		}
	}
}

// A series that alarms fails nothing: its windows are not exchangeable.
func TestSeriesAreNotHeldAgainstDriftd(t *testing.T) {
	b := newBench()
	noisy := kindRow{N: 1_000, Windows: 2_400, Alarms: make([]int, len(b.rules))}
	noisy.Alarms[flagDrift] = 100
	for _, exempt := range []bool{true, false} {
		noisy.NotExchangeable = exempt
		var out strings.Builder
		r := report{Quiet: []quietRow{{N: 100, Windows: 2_400, Alarms: make([]int, len(b.rules))}}, Kinds: []kindRow{noisy}}
		if err := b.must(&r, &out); (err == nil) != exempt {
			t.Errorf("not exchangeable %v: %v\n%s", exempt, err, out.String())
		}
	}
}
