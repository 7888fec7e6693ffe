package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/internal/stat/changepoint"
)

// The series of changes: this many values of one level, then it moves.
const before, after = 500, 500

// changes measures the change detectors on series of windows' values with a standard deviation of one.
func changes(out io.Writer, seed uint64, runs int) {
	fmt.Fprintf(out, "Change detectors, %d series of %d values of one level and then %d values that moved: false alarms per 1,000 values of the level, and how\n"+
		"many values after the change they alarm (median; behind it the share that does)\n\n", runs, before, after)
	kinds := []struct {
		name string
		auto float64 // correlation of neighbours
		move func(i int) float64
	}{
		{"a step of 0.5", 0, func(int) float64 { return 0.5 }},
		{"of 1", 0, func(int) float64 { return 1 }},
		{"of 3", 0, func(int) float64 { return 3 }},
		{"a decay by 0.01 a value", 0, func(i int) float64 { return 0.01 * float64(i+1) }},
		{"a step of 1, neighbours correlated 0.3", 0.3, func(int) float64 { return 1 }},
	}
	detectors := []struct {
		name string
		make func() changepoint.Detector
	}{
		{"adwin", func() changepoint.Detector { return must(changepoint.NewADWIN(changepoint.DefaultADWIN())) }},
		{"adwin, clock 1", func() changepoint.Detector {
			p := changepoint.DefaultADWIN()
			p.Clock = 1
			return must(changepoint.NewADWIN(p))
		}},
		{"page-hinkley, δ 0.25, λ 20", func() changepoint.Detector {
			p := changepoint.DefaultPageHinkley()
			p.Delta, p.Threshold = 0.25, 20
			return must(changepoint.NewPageHinkley(p))
		}},
		{"cusum, learned from 100", func() changepoint.Detector { return must(changepoint.NewCUSUM(changepoint.DefaultCUSUM())) }},
		{"cusum, h 8", func() changepoint.Detector {
			p := changepoint.DefaultCUSUM()
			p.H = 8
			return must(changepoint.NewCUSUM(p))
		}},
	}
	fmt.Fprint(out, "| detector | false alarms | with correlation 0.3 |")
	for _, k := range kinds {
		fmt.Fprintf(out, " %s |", k.name)
	}
	fmt.Fprint(out, "\n|---|--:|--:|")
	for range kinds {
		fmt.Fprint(out, "--:|")
	}
	fmt.Fprintln(out)
	for _, d := range detectors {
		falses := map[bool]*[2]int{false: {}, true: {}} // alarms, values
		var cells strings.Builder
		for i, k := range kinds {
			rng := rand.New(rand.NewPCG(seed, uint64(200+i)))
			var delays []int
			for range runs {
				alarms, delay := series(rng, d.make(), k.auto, k.move)
				falses[k.auto > 0][0] += alarms
				falses[k.auto > 0][1] += before
				if delay > 0 {
					delays = append(delays, delay)
				}
			}
			slices.Sort(delays)
			median := "–"
			if len(delays) > 0 {
				median = strconv.Itoa(delays[len(delays)/2])
			}
			fmt.Fprintf(&cells, " %s (%.2f) |", median, float64(len(delays))/float64(runs))
		}
		fmt.Fprintf(out, "| %s | %.2f | %.2f |%s\n", d.name, perThousand(falses[false]), perThousand(falses[true]), cells.String())
	}
	fmt.Fprintln(out)
}

func perThousand(n *[2]int) float64 { return 1000 * float64(n[0]) / float64(n[1]) }

// series feeds a detector and returns the alarms before the change, and after how many values the first one behind it came; 0: none did.
func series(rng *rand.Rand, d changepoint.Detector, auto float64, move func(i int) float64) (falses, delay int) {
	x := rng.NormFloat64()
	for i := range before + after {
		x = auto*x + math.Sqrt(1-auto*auto)*rng.NormFloat64()
		value := x
		if i >= before {
			value += move(i - before)
		}
		switch c := d.Add(value); {
		case c == changepoint.None:
		case i < before:
			falses++
		default:
			return falses, i - before + 1
		}
	}
	return falses, 0
}

func must[D changepoint.Detector](d D, err error) changepoint.Detector {
	if err != nil {
		panic(err)
	}
	return d
}
