package detectors

import (
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
)

// What a change looks like, in words. A guess is put as a question: the numbers show a pattern, and only people know why.

// When a pattern counts as one.
const (
	clearlyMoved = 0.1  // a factor or a shift in spreads below this has no name
	frequent     = 0.02 // a category of which it is told that it is gone
	goneExpects  = 10   // and that expects so many values
	piledUp      = 0.1  // rise of the share of one value
)

// explain says what happened to the distribution of a feature.
func explain(in *Input) []string {
	if in.Problem != "" {
		return nil
	}
	if in.Ref.Space().Kind() == cells.Categorical {
		return explainCategories(in)
	}
	least, okLeast := in.Cur.Min()
	most, okMost := in.Cur.Max()
	if okLeast && okMost && least == most && in.Distinct > 1 {
		return []string{fmt.Sprintf("all %d values are %s: a constant", in.N(), short(least))}
	}
	if at, before, after := largestPile(in); after-before >= piledUp {
		return []string{fmt.Sprintf("%s are exactly %s, were %s: a default value?", percent(after), short(at), percent(before))}
	}
	if s := explainQuantiles(in); s != "" {
		return []string{s}
	}
	return nil
}

// largestPile is the single value whose share rose most.
func largestPile(in *Input) (at, before, after float64) {
	m, n := float64(in.M()), float64(in.N())
	for chunk := range cells.Chunks(in.Ref, in.Cur) {
		for i := range chunk {
			p := &chunk[i]
			if r, c := float64(p.Ref)/m, float64(p.Cur)/n; p.Point() && c-r > after-before {
				at, before, after = p.Lo, r, c
			}
		}
	}
	return at, before, after
}

// explainQuantiles names a multiplication, a shift, or both, of all values: the deciles of the window are those of the reference after it, as
// nearly as chance lets them be.
func explainQuantiles(in *Input) string {
	now, then := in.Cur.Quantiles(deciles(0, 0)...), in.around()
	if !now[0].OK || !then.deciles[0].OK {
		return ""
	}
	var ref, cur []float64
	for k := range now {
		ref, cur = append(ref, then.deciles[k].Value), append(cur, now[k].Value)
	}
	spread := ref[8] - ref[0]
	if distinct := len(slices.Compact(slices.Clone(ref))); distinct < 5 || !(spread > 0) {
		return ""
	}
	medians := fmt.Sprintf("median %s → %s", digits(ref[4], 4), digits(cur[4], 4))
	var factors, differences []float64
	for i := range ref {
		if math.Abs(ref[i]) > 0.05*spread { // near 0 a quotient says nothing
			factors = append(factors, cur[i]/ref[i])
		}
		differences = append(differences, cur[i]-ref[i])
	}
	if f := middleOf(factors); f > 0 && math.Abs(f-1) >= clearlyMoved && then.maps(cur, f, 0) {
		return fmt.Sprintf("%s, every quantile × %s: a change of unit?", medians, digits(f, 3))
	}
	if d := middleOf(differences); math.Abs(d) >= clearlyMoved*spread && then.maps(cur, 1, d) {
		return fmt.Sprintf("%s, every quantile %s: a shift", medians, signed(d))
	}
	if a, b := line(ref, cur); a > 0 && math.Abs(a-1) >= clearlyMoved && then.maps(cur, a, b) {
		return fmt.Sprintf("%s, every quantile × %s %s: a change of unit?", medians, digits(a, 3), signed(b))
	}
	return ""
}

// deciles are the ranks 0.1 to 0.9, each moved by a multiple of its reach: three standard deviations of chance at this scale, and half a per cent
// for rounding.
func deciles(reaches, scale float64) []float64 {
	out := make([]float64, 0, 9)
	for k := 1; k <= 9; k++ {
		q := float64(k) / 10
		reach := 3*math.Sqrt(q*(1-q)*scale) + 0.005
		out = append(out, min(max(q+reaches*reach, 0), 1))
	}
	return out
}

// around is the reference's deciles, and what it has a little below and above them.
type around struct{ below, deciles, above []cells.Quantile }

func (in *Input) around() around {
	all := in.Ref.Quantiles(slices.Concat(deciles(-1, in.scale()), deciles(0, 0), deciles(1, in.scale()))...)
	return around{below: all[:9], deciles: all[9:18], above: all[18:]}
}

// maps reports whether factor·x + shift turns the reference's deciles into these: each lies between what the reference has a little below and above
// the rank.
func (a *around) maps(cur []float64, factor, shift float64) bool {
	for i, c := range cur {
		lo, hi := a.below[i].Value, a.above[i].Value
		if c < float64(factor*lo)+shift || c > float64(factor*hi)+shift {
			return false
		}
	}
	return true
}

// line is the least-squares line through the quantiles.
func line(x, y []float64) (slope, level float64) {
	var mx, my, xy, xx float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	slope = xy / xx
	return slope, my - float64(slope*mx)
}

// middleOf is the middle value, 0 of none.
func middleOf(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func signed(x float64) string {
	if x < 0 {
		return "- " + digits(-x, 3)
	}
	return "+ " + digits(x, 3)
}

// explainCategories names categories that are gone, new, alone or swapped.
func explainCategories(in *Input) []string {
	m, n := float64(in.M()), float64(in.N())
	var out []string
	if in.otherBin >= 0 {
		before, after := float64(in.RefBins[in.otherBin])/m, float64(in.CurBins[in.otherBin])/n
		switch {
		case after >= 0.9 && before < 0.1:
			return []string{fmt.Sprintf("%s are of no known category, were %s: another encoding?", percent(after), percent(before))}
		case after-before >= frequent:
			out = append(out, fmt.Sprintf("%s are of no known category, were %s", percent(after), percent(before)))
		}
	}
	gone, alone := 0, ""
	for i, b := range in.Bins {
		before := float64(b.Reference) / m
		switch {
		case i == in.otherBin:
		case b.Current == in.N() && b.Reference < in.M():
			alone = fmt.Sprintf("all %d values are %s, were %s: a constant", in.N(), b.Label, percent(before))
		case b.Current == 0 && before >= frequent && before*n >= goneExpects:
			if gone++; gone <= shownBins {
				out = append(out, fmt.Sprintf("%s missing, was %s", b.Label, percent(before)))
			}
		}
	}
	if alone != "" {
		return []string{alone}
	}
	if gone > shownBins {
		out = append(out, fmt.Sprintf("%d more categories missing", gone-shownBins))
	}
	if s := swapped(in, m, n); s != "" {
		out = append(out, s)
	}
	return out
}

// swapped names the pair of categories that have each other's share, where chance would not do it: five standard deviations apart, and each
// within three of the other's.
func swapped(in *Input, m, n float64) string {
	moved := make([]int, 0, len(in.Bins))
	for i, b := range in.Bins {
		r, c := float64(b.Reference)/m, float64(b.Current)/n
		if i != in.otherBin && math.Abs(c-r) > 5*math.Sqrt(max(r, c)/n) {
			moved = append(moved, i)
		}
	}
	for k, i := range moved {
		for _, j := range moved[k+1:] {
			a, b := in.Bins[i], in.Bins[j]
			near := func(r, c uint64) bool {
				p, q := float64(r)/m, float64(c)/n
				return math.Abs(p-q) <= 3*math.Sqrt(max(p, q)*(1/n+1/m))
			}
			if near(a.Reference, b.Current) && near(b.Reference, a.Current) {
				return fmt.Sprintf("%s and %s look swapped: %s and %s were %s and %s", a.Label, b.Label,
					percent(float64(a.Current)/n), percent(float64(b.Current)/n), percent(float64(a.Reference)/m), percent(float64(b.Reference)/m))
			}
		}
	}
	return ""
}
