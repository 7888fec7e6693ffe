package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
)

// A series is a model of ten features whose neighbouring rows are alike: stationary, without drift, and not exchangeable. What the rules make of
// it is stated, and held against nothing.

const (
	seriesFeatures = 10
	seriesShift    = 0.25 // PSI-equivalent, of one feature of a window that drifts
	seriesQuiet    = 10   // windows of a series without drift
	seriesMoved    = 5    // windows after them, with it
)

// autoregressive draws the rows of independent standard normal features, each of which has the correlation phi with itself a row before.
func autoregressive(rng *rand.Rand, phi float64, rows, features int) [][]float64 {
	out := make([][]float64, rows)
	fresh := math.Sqrt(1 - phi*phi) // keeps the variance at 1 from the first row on
	for i := range out {
		out[i] = make([]float64, features)
		for k := range out[i] {
			if x := rng.NormFloat64(); i == 0 {
				out[i][k] = x
			} else {
				out[i][k] = phi*out[i-1][k] + fresh*x
			}
		}
	}
	return out
}

// seriesOf cuts one series into a reference of m rows and the windows of n rows after it. by is how far one feature moves in each of the last windows.
func seriesOf(rng *rand.Rand, phi float64, m, n int, by float64) *scenario {
	s := &scenario{set: fmt.Sprintf("series, %g", phi), from: seriesQuiet}
	for k := range seriesFeatures {
		s.head = append(s.head, fmt.Sprintf("x%d", k))
	}
	s.columns = s.head
	values := autoregressive(rng, phi, m+(seriesQuiet+seriesMoved)*n, seriesFeatures)
	rows := make([][]string, len(values))
	for i, x := range values {
		if w := (i - m) / n; i >= m && w >= seriesQuiet {
			x[w%seriesFeatures] += by
		}
		rows[i] = make([]string, len(x))
		for k := range x {
			rows[i][k] = strconv.FormatFloat(x[k], 'g', -1, 64)
		}
	}
	s.reference, s.windows = rows[:m], cut(rows[m:], n)
	return s
}

// byCorrelation measures series of two correlations, with many references: what one reference's stretch happens to look like is in all of its windows.
func byCorrelation(b *bench, o *options, r *report, out io.Writer) error {
	from := len(r.Kinds)
	const m = 10_000 // ten windows at least, which `threshold: auto` needs
	ns, many := []int{200, 500, 1_000}, 48
	if o.quick {
		ns, many = []int{1_000}, 12
	}
	by := b.kinds[0].size(seriesShift)
	for _, phi := range []float64{0.5, 0.9} {
		for _, n := range ns {
			row := kindRow{Kind: fmt.Sprintf("continuous, autocorrelated (lag 1: %g)", phi), N: uint64(n), NotExchangeable: true}
			row.Alarms, row.Power.Alarms = make([]int, len(b.rules)), make([]int, len(b.rules))
			for i := range many {
				s := seriesOf(rand.New(rand.NewPCG(o.seed, uint64(i)<<32|uint64(n))), phi, m, n, by)
				row.Windows += seriesQuiet
				row.Power.Windows += seriesMoved
				err := s.judge(b, s.windows, func(w, rule int) {
					if w < s.from {
						row.Alarms[rule]++
					} else {
						row.Power.Alarms[rule]++
					}
				}, nil)
				if err != nil {
					return fmt.Errorf("%s, n = %d: %w", row.Kind, n, err)
				}
			}
			r.Kinds = append(r.Kinds, row)
		}
	}
	b.printKinds(out, r.Kinds[from:])
	fmt.Fprintln(out, "\nThe windows and the reference are one series: they are not exchangeable, and no false alarm in them is held against a rule.")
	return nil
}
