package detectors

import (
	"fmt"
	"math"
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

// binner counts both sides in bins while the cells are walked in order; the bins advance with them.
type binner struct {
	edges   []edge
	bins    []result.Bin
	current int // the bin that the last cell fell into: 2·k before edge k, 2·k+1 at edge k if it is a bin of its own
	next    int // the first edge that is not yet passed

	until float64 // what begins below this is in the last bin as well
}

// scan takes the next cells.
func (b *binner) scan(chunk []cells.Cell) {
	for i := range chunk {
		if p := &chunk[i]; b.bins == nil || !(p.Lo < b.until) {
			b.add(p)
			switch {
			case b.next == len(b.edges):
				b.until = math.Inf(1)
			case b.current == 2*b.next:
				b.until = b.edges[b.next].at
			default:
				b.until = math.Inf(-1)
			}
		} else {
			last := &b.bins[len(b.bins)-1]
			last.Reference += p.Ref
			last.Current += p.Cur
		}
	}
}

func (b *binner) add(p *cells.Cell) {
	point := p.Point()
	// A point belongs before an edge that is ≥ it, the values of a gap before one that is > its lower end.
	for b.next < len(b.edges) && (b.edges[b.next].at < p.Lo || (!point && b.edges[b.next].at <= p.Lo)) {
		b.next++
	}
	bin := 2 * b.next
	if point && b.next < len(b.edges) && b.edges[b.next].own && b.edges[b.next].at == p.Lo {
		bin++
	}
	if bin != b.current || b.bins == nil {
		b.bins = append(b.bins, result.Bin{Label: binLabel(b.edges, bin), Reference: 0, Current: 0})
		b.current = bin
	}
	last := &b.bins[len(b.bins)-1]
	last.Reference += p.Ref
	last.Current += p.Cur
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
