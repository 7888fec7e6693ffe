package detectors

import (
	"math"
	"slices"

	"github.com/driftd/driftd/internal/stat"
)

const (
	nullTail = 0.001   // the probability above the null quantile that n_min keeps below the warning threshold
	endlessN = 1 << 40 // a window that adds nothing to the chance that the reference brings
	plainN   = 2000    // values that every bin expects from which the null is χ² for any purpose
)

// nullLaw is what chance does to a gate: the exact distribution of an additive statistic, and where the warning lies in it.
type nullLaw struct {
	// term returns what a bin with t values in both samples, c of them in the window, adds.
	term func(n, m float64, bins int) func(t, c uint64) float64
	// at is the value of the sum at the gate's threshold.
	at func(threshold, n, m float64, bins int) float64
	// psi is the psi_debiased that the threshold is about as large as: where the search begins.
	psi func(threshold float64) float64
}

// psiLaw is that of psi_debiased.
func psiLaw(s stat.Smoothing) nullLaw {
	return nullLaw{
		term: func(n, m float64, bins int) func(t, c uint64) float64 {
			return func(t, c uint64) float64 { return stat.PSITerm(float64(t-c), float64(c), m, n, bins, s) }
		},
		at: func(threshold, n, m float64, bins int) float64 {
			return threshold + float64(float64(bins-1)*(1/n+1/m))
		},
		psi: func(threshold float64) float64 { return threshold },
	}
}

// holds reports whether the gate reaches the threshold in at most nullTail of the windows of n values without drift: ref is the judged
// table of the reference. The null is that of stat.Urn, with the reference's proportions; where every bin expects thousands of values it is
// the scaled χ², from which it then differs by less than it costs to know.
func (l nullLaw) holds(ref []uint64, n uint64, threshold float64) bool {
	return chiSquareTail(max(len(ref), 2), n, total(ref), l.psi(threshold)) < nullTail*nullTail || l.tail(ref, n, threshold) <= nullTail
}

func (l nullLaw) tail(ref []uint64, n uint64, threshold float64) float64 {
	m := total(ref)
	bins := len(ref)
	least := slices.Min(ref)
	if expected := float64(least) * min(float64(n)/float64(m), 1); expected >= plainN {
		return chiSquareTail(bins, n, m, l.psi(threshold))
	}
	u := stat.NewUrn(urnOf(ref, n), n)
	return u.Tail(l.term(float64(n), float64(m), bins), l.at(threshold, float64(n), float64(m), bins))
}

// chiSquareTail is the scaled χ² approximation of the tail of psi_debiased.
func chiSquareTail(bins int, n, m uint64, threshold float64) float64 {
	return stat.ChiSquareSF(threshold/(1/float64(n)+1/float64(m))+float64(bins-1), bins-1)
}

// chiSquareN is the n from which the approximation holds, and false where it never does.
func chiSquareN(bins int, m, threshold float64) (float64, bool) {
	dof := bins - 1
	k := stat.ChiSquareQuantile(nullTail, dof) - float64(dof)
	if rest := threshold/k - 1/m; rest > 0 {
		return 1 / rest, true
	}
	return 0, false
}

// least is the smallest n from which on the law holds for this judged table, 0 where it never does. It is found between a window that
// is too small and one that is large enough: the tail falls with n but for the steps of the statistic, which only two or three
// bins show, and there every n is looked at.
func (l nullLaw) least(ref []uint64, threshold float64) uint64 {
	bins := len(ref)
	if bins < 2 { // the unseen is the second
		return chiSquareLeast(2, total(ref), l.psi(threshold))
	}
	if !l.holds(ref, endlessN, threshold) {
		return 0
	}
	m := float64(total(ref))
	guess, ok := chiSquareN(bins, m, l.psi(threshold))
	if !ok || !(guess < endlessN/4) {
		guess = 4 * m
	}
	known := map[uint64]float64{}
	tail := func(n uint64) float64 {
		p, ok := known[n]
		if !ok {
			p = l.tail(ref, n, threshold)
			known[n] = p
		}
		return p
	}
	lo, hi := uint64(0), uint64(endlessN) // lo is too small, hi is enough
	for n := min(uint64(guess)+1, endlessN-1); hi-lo > 1; {
		p := tail(n)
		step := 1.0
		if p <= nullTail {
			hi, step = n, -1
		} else {
			lo = n
		}
		// The tail is about a power of 1/n + 1/m: where it would be nullTail, and one further, to close in from both sides.
		scale := (1/float64(n) + 1/m) * math.Pow(nullTail/max(p, 1e-9), 0.12)
		next := math.Floor(1/(scale-1/m)) + step
		if !(next > float64(lo) && next < float64(hi)) { // or next is negative: no n is enough by this estimate
			next = math.Floor(float64(lo) + float64(hi-lo)/2)
			if hi > 4*lo {
				next = 2 * float64(lo)
			}
		}
		n = min(max(uint64(next), lo+1), hi-1)
	}
	if bins > 3 || hi > 20*plainN {
		return hi
	}
	for n := hi + hi/4 + 10; n > hi; n-- {
		if tail(n) > nullTail {
			return n + 1
		}
	}
	return hi
}

// minimumN is n_min of a reference: the smallest n from which on a window's judged table (its bins depend on n) reaches the
// threshold by chance in at most nullTail of all windows. 0: none is enough.
func (l nullLaw) minimumN(t refTable, threshold float64) uint64 {
	for above := uint64(endlessN); ; {
		ref := poolReference(t, above)
		// The smallest n with the same bins.
		lo, hi := uint64(0), above
		for hi-lo > 1 {
			if mid := lo + (hi-lo)/2; slices.Equal(poolReference(t, mid), ref) {
				hi = mid
			} else {
				lo = mid
			}
		}
		if hi > 1 && l.clearly(ref, hi, threshold) {
			above = hi - 1
			continue
		}
		n := l.least(ref, threshold)
		switch {
		case n == 0 && above == endlessN:
			return 0
		case n == 0 || n > above: // more bins were better than fewer
			return above + 1
		case n >= hi || hi == 1:
			return n
		}
		above = hi - 1
	}
}

// clearly reports that the law holds at n without looking closely: the approximation says so by a wide margin. It errs by less than a factor
// of two at this level where bins expect five.
func (l nullLaw) clearly(ref []uint64, n uint64, threshold float64) bool {
	return chiSquareTail(max(len(ref), 2), n, total(ref), l.psi(threshold)) < nullTail/20
}

// referenceNeeds is about how large a reference with so many bins must be for n_min to exist: by the symmetry of psi, what a window needs against
// an endless reference.
func referenceNeeds(bins int, warning float64) uint64 {
	return chiSquareLeast(min(max(bins, 2), maxJudged+1), endlessN, warning)
}

// chiSquareLeast is the smallest n from which on the approximation holds, 0 where it never does.
func chiSquareLeast(bins int, m uint64, threshold float64) uint64 {
	n, ok := chiSquareN(bins, float64(m), threshold)
	if !ok || !(n < endlessN) {
		return 0
	}
	return uint64(math.Floor(n)) + 1
}
