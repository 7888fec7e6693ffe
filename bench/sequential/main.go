// Command sequential measures what reading a comparison of two versions at every window costs: how often the sequential tests call a
// difference where there is none, beside a test of fixed size that is looked at as often, and how many events more they need to see one. It
// also measures the change detectors: false alarms, and how soon they see a step and a slow decay. Everything is simulated from a seed, but
// for real latencies. It fails where a sequential test errs more often than it says. See `make bench-sequential`.
package main

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/sequential"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/sequential:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	quick := flag.Bool("quick", false, "a tenth of the runs: seconds instead of a minute")
	seed := flag.Uint64("seed", 1, "of the simulation")
	data := flag.String("data", filepath.Join("..", "shared", "data"), "folder of the data sets; without local-latency its rows are left out")
	flag.Parse()
	runs := 2000
	if *quick {
		runs = 200
	}
	err := errors.Join(
		proportionErrors(out, *seed, runs),
		meanErrors(out, *seed, runs, *data),
	)
	powers(out, *seed, runs)
	changes(out, *seed, runs)
	return err
}

const windows = 100

// tooMany says that an error rate is above alpha beyond what chance gives one seed of 1,000.
func tooMany(what string, called, runs int, alpha float64) error {
	if most := alpha*float64(runs) + 3.09*math.Sqrt(alpha*(1-alpha)*float64(runs)); float64(called) > most {
		return fmt.Errorf("%s: %d of %d comparisons without a difference call one at %v, at most %.0f may", what, called, runs, alpha, most)
	}
	return nil
}

func share(k, n int) string { return strconv.FormatFloat(float64(k)/float64(n), 'f', 4, 64) }

// proportionErrors compares two equal sides.
func proportionErrors(out io.Writer, seed uint64, runs int) error {
	fmt.Fprintf(out, "Share of %d comparisons without a difference that call one at any of %d windows (proportions)\n\n", runs, windows)
	fmt.Fprintln(out, "| events a window, A and B | rate | sequential, 0.05 | 0.01 | z-test of the totals at every window, 0.05 | at the end only |")
	fmt.Fprintln(out, "|---|---|--:|--:|--:|--:|")
	designs := []struct {
		n, m  int
		rate  float64
		moves bool // the rate over the day, and B's share of the traffic with it
	}{
		{10, 10, 0.5, false}, {100, 100, 0.01, false}, {100, 100, 0.1, false}, {100, 100, 0.5, false}, {900, 100, 0.05, false}, {100, 100, 0.1, true},
	}
	errs := make([]error, 0, 2*len(designs))
	for _, c := range designs {
		rng := rand.New(rand.NewPCG(seed, uint64(c.n*1000+c.m)))
		var five, one, looked, last int
		for range runs {
			var s sequential.Proportions
			var a, b sequential.Arm
			p5, p1, z, end := false, false, false, false
			for w := range windows {
				m, rate := c.m, c.rate
				if c.moves {
					swing := math.Sin(2 * math.Pi * float64(w) / 24)
					m, rate = int(float64(c.m)*(1+0.8*swing)), c.rate*(1+0.8*swing)
				}
				x, y := draw(rng, c.n, rate), draw(rng, m, rate)
				s.Add(x, y)
				a, b = plus(a, x), plus(b, y)
				r := s.Read(0.05)
				p5 = p5 || r.Decision != sequential.Undecided
				p1 = p1 || *r.Effect.PValue <= 0.01
				_, p, ok := stat.TwoProportionsZ(a.Successes, a.Trials, b.Successes, b.Trials)
				end = ok && p <= 0.05
				z = z || end
			}
			five, one, looked, last = five+count(p5), one+count(p1), looked+count(z), last+count(end)
		}
		name := fmt.Sprintf("%d, %d", c.n, c.m)
		rate := strconv.FormatFloat(c.rate, 'g', -1, 64)
		if c.moves {
			name, rate = fmt.Sprintf("%d, %d ± 80 %%", c.n, c.m), rate+" ± 80 %, both with the hour"
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s |\n", name, rate, share(five, runs), share(one, runs), share(looked, runs), share(last, runs))
		errs = append(errs, tooMany("proportions "+name, five, runs, 0.05), tooMany("proportions "+name, one, runs, 0.01))
	}
	fmt.Fprintln(out)
	return errors.Join(errs...)
}

func count(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func draw(rng *rand.Rand, n int, p float64) sequential.Arm {
	out := sequential.Arm{Successes: 0, Trials: uint64(n)}
	for range n {
		if rng.Float64() < p {
			out.Successes++
		}
	}
	return out
}

func plus(a, b sequential.Arm) sequential.Arm {
	return sequential.Arm{Successes: a.Successes + b.Successes, Trials: a.Trials + b.Trials}
}

// meanErrors compares the means of two equal sides.
func meanErrors(out io.Writer, seed uint64, runs int, data string) error {
	fmt.Fprintf(out, "The same for means\n\n")
	fmt.Fprintln(out, "| values | a window, A and B | sequential, 0.05 | 0.01 | Welch's test of the totals at every window, 0.05 |")
	fmt.Fprintln(out, "|---|---|--:|--:|--:|")
	kinds := []struct {
		name   string
		strict bool // the approximation must hold
		draw   func(rng *rand.Rand) float64
	}{
		{"normal", true, (*rand.Rand).NormFloat64},
		{"exponential", true, (*rand.Rand).ExpFloat64},
		{"log-normal, σ = 1", true, func(rng *rand.Rand) float64 { return math.Exp(rng.NormFloat64()) }},
		{"log-normal, σ = 2", false, func(rng *rand.Rand) float64 { return math.Exp(2 * rng.NormFloat64()) }},
	}
	latencies, err := readLatencies(filepath.Join(data, "local-latency", "requests.csv.gz"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if latencies != nil {
		kinds = append(kinds, struct {
			name   string
			strict bool
			draw   func(rng *rand.Rand) float64
		}{"real latencies (local-latency, baseline)", false, func(rng *rand.Rand) float64 { return latencies[rng.IntN(len(latencies))] }})
	}
	var errs []error
	for i, k := range kinds {
		for _, size := range [][2]int{{10, 10}, {90, 10}, {200, 200}} {
			rng := rand.New(rand.NewPCG(seed, uint64(i*1000+size[0]+size[1])))
			var five, one, looked int
			for range runs {
				s := sequential.NewMeans(5000)
				var a, b running
				p5, p1, t := false, false, false
				for range windows {
					x, y := moments(rng, size[0], k.draw), moments(rng, size[1], k.draw)
					s.Add(x, y)
					a.add(x)
					b.add(y)
					if r := s.Read(0.05); r.Effect.PValue != nil {
						p5 = p5 || r.Decision != sequential.Undecided
						p1 = p1 || *r.Effect.PValue <= 0.01
						_, _, p, ok := stat.Welch(a.n, a.mean, a.variance(), b.n, b.mean, b.variance())
						t = t || ok && p <= 0.05
					}
				}
				five, one, looked = five+count(p5), one+count(p1), looked+count(t)
			}
			fmt.Fprintf(out, "| %s | %d, %d | %s | %s | %s |\n", k.name, size[0], size[1], share(five, runs), share(one, runs), share(looked, runs))
			if k.strict {
				errs = append(errs, tooMany("means, "+k.name, five, runs, 0.05))
			}
		}
	}
	fmt.Fprintln(out)
	return errors.Join(errs...)
}

// running is the moments of all windows so far.
type running struct {
	n        uint64
	mean, m2 float64
}

func (r *running) add(m sequential.Moments) {
	n := r.n + m.Count
	d := m.Mean - r.mean
	r.m2 += m.Variance*float64(m.Count-1) + d*d*float64(r.n)*float64(m.Count)/float64(n)
	r.mean += d * float64(m.Count) / float64(n)
	r.n = n
}

func (r *running) variance() float64 { return r.m2 / float64(r.n-1) }

func moments(rng *rand.Rand, n int, draw func(rng *rand.Rand) float64) sequential.Moments {
	out := sequential.Moments{Count: uint64(n), Mean: 0, Variance: 0}
	m2 := 0.0
	for i := range n {
		x := draw(rng)
		d := x - out.Mean
		out.Mean += d / float64(i+1)
		m2 += d * (x - out.Mean)
	}
	out.Variance = m2 / float64(n-1)
	return out
}

func readLatencies(name string) ([]float64, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return nil, err
	}
	phase, latency := slices.Index(rows[0], "phase"), slices.Index(rows[0], "latency_ms")
	var out []float64
	for _, row := range rows[1:] {
		if row[phase] != "baseline" {
			continue
		}
		x, err := strconv.ParseFloat(row[latency], 64)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, nil
}

// powers compares the sequential test of proportions with a z-test at the size that gives it a power of 0.9.
func powers(out io.Writer, seed uint64, runs int) {
	fmt.Fprintf(out, "Power against a two-proportion z-test of fixed size N a side (power 0.9 at 0.05), %d comparisons of windows of N/20 events a side\n\n", runs/2)
	fmt.Fprintln(out, "| A, B | N | z-test at N | sequential by N/2 | by N | by 2 N | by 3 N | median events to a decision, of N |")
	fmt.Fprintln(out, "|---|--:|--:|--:|--:|--:|--:|--:|")
	for i, c := range [][2]float64{{0.01, 0.02}, {0.05, 0.065}, {0.10, 0.15}, {0.30, 0.35}, {0.80, 0.75}} {
		a, b := c[0], c[1]
		mean := (a + b) / 2
		n := math.Pow((1.959964*math.Sqrt(2*mean*(1-mean))+1.281552*math.Sqrt(a*(1-a)+b*(1-b)))/(b-a), 2)
		step := int(math.Ceil(n / 20))
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		fixed, by := 0, map[int]int{10: 0, 20: 0, 40: 0, 60: 0}
		when := make([]int, 0, runs/2)
		for range runs / 2 {
			var s sequential.Proportions
			var x, y sequential.Arm
			at := math.MaxInt
			for w := 1; w <= 60; w++ {
				u, v := draw(rng, step, a), draw(rng, step, b)
				s.Add(u, v)
				if at == math.MaxInt && s.Read(0.05).Decision != sequential.Undecided {
					at = w
				}
				x, y = plus(x, u), plus(y, v)
				if w == 20 {
					_, p, ok := stat.TwoProportionsZ(x.Successes, x.Trials, y.Successes, y.Trials)
					fixed += count(ok && p <= 0.05)
				}
			}
			when = append(when, at)
			for w := range by {
				by[w] += count(at <= w)
			}
		}
		slices.Sort(when)
		half := runs / 2
		fmt.Fprintf(out, "| %g, %g | %d | %.2f | %.2f | %.2f | %.2f | %.2f | %.2f |\n", a, b, 20*step, float64(fixed)/float64(half),
			float64(by[10])/float64(half), float64(by[20])/float64(half), float64(by[40])/float64(half), float64(by[60])/float64(half),
			float64(when[half/2])/20)
	}
	fmt.Fprintln(out)
}
