package stat

import (
	"math"
	"slices"
)

// pomeranzCDF is P(D_n < d), exact: the probability that a Poisson process of rate n on [0,1] stays inside the band
// |N(t)/n - t| < d and ends in n, divided by the probability that it ends in n. The process is carried from one change of
// the band's integer limits to the next; all terms are positive. Meant for n ≤ 140, where nothing under- or overflows.
// Reference: J. Pomeranz, Exact cumulative distribution of the Kolmogorov-Smirnov statistic for small samples (Algorithm 487),
// 1974, in the Poisson form of A. Noé, 1972.
func pomeranzCDF(n int, d float64) float64 {
	fn := float64(n)
	nd := fn * d
	// In time τ = n·t the limits change at τ = i + nd (the lower one rises to i+1) and at τ = i - nd (the upper one to i).
	type change struct {
		at    float64
		lower bool
	}
	var changes []change
	for i := 0; float64(i)+nd < fn; i++ {
		changes = append(changes, change{at: float64(i) + nd, lower: true})
	}
	firstUpper := int(math.Floor(nd)) + 1
	for i := firstUpper; float64(i)-nd < fn; i++ {
		changes = append(changes, change{at: float64(i) - nd})
	}
	slices.SortStableFunc(changes, func(a, b change) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return 0
	})

	lower, upper := 0, firstUpper-1
	prob, next := make([]float64, n+2), make([]float64, n+2) // prob[j]: N = j and inside so far
	prob[0] = 1
	reached := 0 // no mass above it
	var weights []float64
	step := func(length float64, lo, hi int) {
		clear(next)
		hi = min(hi, n)
		weights = weights[:0] // Poisson weights of 0, 1, … arrivals; a step is at most 1 long, so that a few dozen matter
		w := math.Exp(-length)
		for k := 1.0; len(weights) <= n && w > 1e-25; k++ {
			weights = append(weights, w)
			w *= length / k
		}
		for from := 0; from <= reached; from++ {
			if prob[from] == 0 {
				continue
			}
			for to := max(from, lo); to <= min(hi, from+len(weights)-1); to++ {
				next[to] += float64(prob[from] * weights[to-from])
			}
		}
		prob, next = next, prob
		reached = hi
	}
	now := 0.0
	for _, c := range changes {
		lo := lower
		if c.lower {
			lo++
		}
		step(c.at-now, lo, upper) // the upper limit before the change, the lower limit after it
		now = c.at
		if c.lower {
			lower++
		} else {
			upper++
		}
	}
	step(fn-now, max(lower, n), n)
	// P(N(n) = n) = n^n e^-n / n!
	return clampProb(prob[n] * math.Exp(logFactorialOverPower(fn)+fn))
}
