package detectors

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/driftd/driftd/cells"
)

// The judged table. A bin that expects a handful of values says little about drift and makes chance unpredictable, so the bins of
// the table for people are pooled before a verdict is taken, by the reference and the window's size only: what the window
// looks like must not choose the test it is put to.

// What pooling aims at.
const (
	minExpected = 5  // values that a judged bin expects in the window
	maxJudged   = 20 // judged bins of a categorical feature, beside `other`
)

// expects reports whether a bin of r of the reference's m values expects minExpected of the window's n: r·n/m ≥ 5, in integers.
func expects(r, n, m uint64) bool {
	return !multiply(r, n).less(multiply(minExpected, m))
}

// poolOrdered groups the bins of a numeric feature, in order and all of them with values in the reference: it returns how many of them are
// in each group. A bin that expects too little is joined by its right neighbours until together they expect enough; what is left at
// the end joins the last group. There are two groups at least, however few values they expect: one says nothing.
func poolOrdered(ref []uint64, n uint64) []int {
	m := total(ref)
	var groups []int
	var sum uint64
	size := 0
	for _, r := range ref {
		sum, size = sum+r, size+1
		if expects(sum, n, m) {
			groups, sum, size = append(groups, size), 0, 0
		}
	}
	switch last := len(groups) - 1; {
	case size == 0 && len(groups) > 1, len(ref) < 2:
		if size > 0 {
			groups = append(groups, size)
		}
		return groups
	case len(groups) > 1:
		groups[last] += size
		return groups
	}
	// Two halves, as equal as they get.
	best, least := 1, m
	sum = 0
	for i, r := range ref[:len(ref)-1] {
		if sum += r; max(sum, m-sum) < least {
			best, least = i+1, max(sum, m-sum)
		}
	}
	return []int{best, len(ref) - best}
}

// poolCategories chooses the tracked categories that are judged on their own: those that expect enough, the most frequent ones; the rest is
// pooled with the reference's `other`, and with the least frequent ones of the chosen until it expects enough as well, but for the
// last. It returns the chosen ones, most frequent first. all are the counts of the tracked categories, none of them 0.
func poolCategories(all []uint64, other, n uint64) []int {
	m := total(all) + other
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(all[b], all[a]) })
	own := min(len(order), maxJudged)
	for own > 1 && !expects(all[order[own-1]], n, m) {
		own--
	}
	rest := other
	for _, i := range order[own:] {
		rest += all[i]
	}
	for own > 1 && rest > 0 && !expects(rest, n, m) {
		own--
		rest += all[order[own]]
	}
	return order[:own]
}

func total(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

// poolReference is the judged table of the reference alone, for a window of n values: without `other` where the reference has none.
func poolReference(t refTable, n uint64) []uint64 {
	if !t.categorical {
		out := make([]uint64, 0, len(t.bins))
		rest := t.bins
		for _, size := range poolOrdered(t.bins, n) {
			out = append(out, total(rest[:size]))
			rest = rest[size:]
		}
		return out
	}
	own := poolCategories(t.bins, t.other, n)
	out := make([]uint64, 0, len(own)+1)
	rest := total(t.bins) + t.other
	for _, i := range own {
		out = append(out, t.bins[i])
		rest -= t.bins[i]
	}
	if rest > 0 {
		out = append(out, rest)
	}
	return out
}

// refTable is the bins of a reference that have values.
type refTable struct {
	categorical bool
	bins        []uint64 // in order; of a categorical feature without other
	other       uint64
}

func newRefTable(in *Input) refTable {
	t := refTable{categorical: in.Ref.Space().Kind() == cells.Categorical, bins: make([]uint64, 0, len(in.RefBins)), other: 0}
	for i, r := range in.RefBins {
		switch {
		case r == 0:
		case i == in.otherBin:
			t.other = r
		default:
			t.bins = append(t.bins, r)
		}
	}
	return t
}

// judgedTable pools both sides. Bins in which the reference has no values are one more bin, the unseen, where the window has some.
func (in *Input) judgedTable() (ref, cur []uint64) {
	t := newRefTable(in)
	if len(t.bins) == 0 && t.other == 0 {
		return nil, nil
	}
	at := make([]int, 0, len(t.bins)) // where the judged bin of each of t.bins is
	judged := 0
	n := in.N()
	if t.categorical {
		own := poolCategories(t.bins, t.other, n)
		judged = len(own)
		at = at[:len(t.bins)]
		for i := range at {
			at[i] = judged
		}
		for k, i := range own {
			at[i] = k
		}
	} else {
		for _, size := range poolOrdered(t.bins, n) {
			for range size {
				at = append(at, judged)
			}
			judged++
		}
	}
	ref, cur = make([]uint64, judged+2), make([]uint64, judged+2)
	next := 0
	for i, r := range in.RefBins {
		k := judged + 1 // unseen
		switch {
		case r == 0:
		case i == in.otherBin:
			k = judged
		default:
			k = at[next]
			next++
		}
		ref[k] += r
		cur[k] += in.CurBins[i]
	}
	keep := 0
	for k := range ref {
		if ref[k] > 0 || cur[k] > 0 {
			ref[keep], cur[keep] = ref[k], cur[k]
			keep++
		}
	}
	return ref[:keep], cur[:keep]
}

// urnOf is what each judged bin of the reference holds together with a window of n values in the same proportions: integers that add up to
// m + n, the largest remainders rounded up.
func urnOf(ref []uint64, n uint64) []uint64 {
	m := total(ref)
	out := make([]uint64, len(ref))
	remainder := make([]uint64, len(ref))
	order := make([]int, len(ref))
	var sum uint64
	for i, r := range ref {
		hi, lo := bits.Mul64(r, n)
		q, rest := bits.Div64(hi, lo, m) // r ≤ m, so that the quotient is at most n
		out[i], remainder[i], order[i] = r+q, rest, i
		sum += q
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(remainder[b], remainder[a]) })
	for _, i := range order[:n-sum] {
		out[i]++
	}
	return out
}
