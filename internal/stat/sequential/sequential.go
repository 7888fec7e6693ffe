// Package sequential compares two versions window by window, and may be read after every window: the chance that it ever calls a difference
// where there is none is at most alpha, however often it is looked at and whenever one stops. A test of fixed size that is looked at 100 times
// at 5 % calls one in about 40 % of all cases.
//
// Both tests compare the sides within each window, so that a rate or a mean which moves over the day for both sides alike is no difference,
// whatever share of the traffic each side had. Their states are sums: constant in size, canonical when encoded.
package sequential

import (
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// Decision is what a reading says.
type Decision string

// The decisions.
const (
	Undecided Decision = "undecided" // there may be no difference; more windows may tell
	ALarger   Decision = "a_larger"
	BLarger   Decision = "b_larger"
)

// Reading is what the windows so far say.
type Reading struct {
	// Effect of B against A: log odds ratio (Proportions) or difference of means (Means). Lower and Upper, which are not in the interval
	// themselves, bound a confidence sequence: with probability 1 - alpha it holds the truth after every window. Nil ends are unbounded. PValue is
	// valid at any time. The effect is taken as the same in all windows.
	Effect   stat.Estimate
	Decision Decision // Undecided while 0 is in the confidence sequence

	Windows uint64   // in which both sides had events
	A, B    uint64   // events of each side in those windows
	RateA   *float64 // Proportions: of those events
	RateB   *float64

	// Difference is RateB - RateA with each window compared with itself (weights of Mantel and Haenszel); nil for Means, whose effect it is.
	Difference *float64
}

// decide reads an e-value's logarithm: 1/alpha or more is a decision.
func decide(evidence, alpha float64, up bool) (p float64, d Decision) {
	p = min(1, math.Exp(-evidence))
	switch {
	case !(p <= alpha):
		return p, Undecided
	case up:
		return p, BLarger
	}
	return p, ALarger
}

// weight is that of a window with these numbers of events: nm/(n+m), of the variance of a difference.
func weight(n, m float64) float64 { return n / (n + m) * m }

// version begins every state. A later version reads those before it.
const version = 1
