package detectors

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// otherLabel names the bin of the categories that are not tracked.
const otherLabel = "other"

// edge is a boundary between bins. A right-closed edge ends a bin, (previous, at]; one of its own ends a bin before it,
// (previous, at), and is a bin itself, {at}.
type edge struct {
	at  float64
	own bool
}

// binEdges returns the edges of a numeric feature's bins. Every edge is a cut point, so that every bin is a union of cells; where
// one is not, there is no table but a problem.
func binEdges(f *reference.Feature, how string) (edges []edge, problem string) {
	edges = valueEdges(f, how)
	if edges == nil {
		edges = decileEdges(f.Deciles, how != BinsQuantile10)
	}
	for _, e := range edges {
		if _, ok := slices.BinarySearch(f.Space.Points(), e.at); !ok {
			return nil, fmt.Sprintf("the bin edge %s is not a cut point of the reference: create it again", short(e.at))
		}
	}
	return edges, ""
}

// categoryTable has a bin for each category that is not empty on both sides, in their order, and says which of them is `other`: -1
// where none is.
func categoryTable(ref, cur *cells.Counts) (bins []result.Bin, otherBin int) {
	otherBin = -1
	other := otherLabel
	if slices.Contains(ref.Space().Categories(), other) {
		other = "other (not tracked)"
	}
	for p := range cells.Walk(ref, cur) {
		label := p.Category
		if p.Other {
			label, otherBin = other, len(bins)
		}
		bins = append(bins, result.Bin{Label: label, Reference: p.Ref, Current: p.Cur})
	}
	return bins, otherBin
}

// valueEdges gives every reference value a bin of its own, where there are few enough of them and all are cut points; else nil.
func valueEdges(f *reference.Feature, how string) []edge {
	if how == BinsQuantile10 || how == BinsQuantile10Split || f.Distinct == 0 || f.Distinct > MaxValueBins {
		return nil
	}
	edges := make([]edge, 0, f.Distinct)
	for p := range cells.Walk(f.Counts, f.Counts) {
		if !p.Point {
			return nil // thinned: a value hides in a gap
		}
		edges = append(edges, edge{at: p.Lo, own: true})
	}
	return edges
}

// decileEdges makes an edge of every distinct decile; with split, one that several deciles share becomes a bin of its own.
func decileEdges(deciles []float64, split bool) []edge {
	edges := make([]edge, 0, len(deciles))
	for _, d := range deciles {
		if d == 0 {
			d = 0 // -0
		}
		if last := len(edges) - 1; last >= 0 && edges[last].at == d {
			edges[last].own = split
			continue
		}
		edges = append(edges, edge{at: d, own: false})
	}
	return edges
}

// fixedBin is one bin of a numeric feature: the cells between the points up to end, exclusive, that are in none before it. The outer bins
// hold the cells beyond the points as well.
type fixedBin struct {
	label string
	end   int
	ref   uint64 // the reference's values in it
}

// fixedBins are the bins between the edges, each of which is one of the points.
func fixedBins(points []float64, edges []edge) []fixedBin {
	bins := make([]fixedBin, 0, 2*len(edges)+1)
	for k, e := range edges {
		i, _ := slices.BinarySearch(points, e.at)
		if end := 2 * i; e.own {
			bins = append(bins, fixedBin{binLabel(edges, 2*k), end, 0}, fixedBin{binLabel(edges, 2*k+1), end + 1, 0})
		} else {
			bins = append(bins, fixedBin{binLabel(edges, 2*k), end + 1, 0})
		}
	}
	return append(bins, fixedBin{binLabel(edges, 2*len(edges)), 2 * len(points), 0})
}

// countBins adds the counts of the next cells between the points to those of the bins, of which into has one each. bin is the one that the cells before ended
// in, first the number of the first cell. It returns the sum of the counts, and the bin that they end in.
func countBins[T uint32 | uint64](bins []fixedBin, into []uint64, bin, first int, counts []T) (sum uint64, last int) {
	if len(bins) == 0 {
		return sumOf(counts), 0
	}
	for len(counts) > 0 {
		for bin < len(bins)-1 && bins[bin].end <= first {
			bin++
		}
		n := min(bins[bin].end-first, len(counts))
		values := sumOf(counts[:n])
		into[bin] += values
		sum += values
		first += n
		counts = counts[n:]
	}
	return sum, bin
}

// sumOf adds counts up, four at a time, which wait for each other less.
func sumOf[T uint32 | uint64](counts []T) uint64 {
	var a, b, c, d uint64
	for ; len(counts) >= 4; counts = counts[4:] {
		a += uint64(counts[0])
		b += uint64(counts[1])
		c += uint64(counts[2])
		d += uint64(counts[3])
	}
	for _, n := range counts {
		a += uint64(n)
	}
	return a + b + c + d
}

// binLabel names a bin for people: `≤ 4`, `< 4`, `(4, 9]`, `(4, 9)`, `= 9`, `> 12.5`, `any value`.
func binLabel(edges []edge, bin int) string {
	k := bin / 2
	switch {
	case len(edges) == 0:
		return "any value"
	case k == len(edges):
		return "> " + short(edges[k-1].at)
	case bin%2 == 1:
		return "= " + short(edges[k].at)
	case k == 0 && edges[k].own:
		return "< " + short(edges[k].at)
	case k == 0:
		return "≤ " + short(edges[k].at)
	}
	closing := "]"
	if edges[k].own {
		closing = ")"
	}
	return "(" + short(edges[k-1].at) + ", " + short(edges[k].at) + closing
}

// short is the shortest decimal form that reads back as x.
func short(x float64) string {
	if a := max(x, -x); a != 0 && (a < 1e-6 || a >= 1e15) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	return strconv.FormatFloat(x, 'f', -1, 64)
}
