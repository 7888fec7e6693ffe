package analyze

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/driftd/driftd/result"
)

// What the pages for people share: the order of features, and how numbers and names are written.

// byHarm returns the features by how bad they are: verdict first, then the size of the effect, then the name.
func byHarm(features []Feature) []*Feature {
	order := make([]*Feature, len(features))
	for i := range features {
		order[i] = &features[i]
	}
	slices.SortStableFunc(order, func(a, b *Feature) int {
		return cmp.Or(cmp.Compare(severity(b), severity(a)), cmp.Compare(effect(b), effect(a)), cmp.Compare(a.Feature.Feature, b.Feature.Feature))
	})
	return order
}

func severity(f *Feature) int {
	switch {
	case f.Kind == KindIgnored:
		return -1
	case f.Verdict == result.Drift:
		return 3
	case f.Verdict == result.Warning:
		return 2
	case f.Verdict == result.Stable:
		return 1
	}
	return 0
}

// effect is how large the effect is that the verdict was taken by.
func effect(f *Feature) float64 {
	for _, name := range []string{"psi_debiased", "psi"} {
		if v := f.Statistics[name].Value; v != nil {
			return *v
		}
	}
	return math.Inf(-1)
}

// oneLine replaces what could make a terminal do something else than show text.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// shorten cuts a text to n runes.
func shorten(s string, n int) string {
	runes := []rune(oneLine(s))
	if len(runes) <= n {
		return string(runes)
	}
	return string(runes[:n-1]) + "…"
}

// number writes a number for people: four digits, no exponent where that is readable.
func number(x *float64) string {
	if x == nil {
		return "–"
	}
	a := math.Abs(*x)
	switch {
	case *x == 0:
		return "0"
	case a >= 1e-3 && a < 1e15:
		decimals := max(3-int(math.Floor(math.Log10(a))), 0)
		s := strconv.FormatFloat(*x, 'f', decimals, 64)
		if strings.Contains(s, ".") {
			s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
		}
		return s
	}
	return strconv.FormatFloat(*x, 'g', 3, 64)
}

// probability writes a p-value.
func probability(p *float64) string {
	switch {
	case p == nil:
		return "–"
	case *p == 0:
		return "< 1e-300"
	case *p >= 0.001:
		return strconv.FormatFloat(*p, 'f', 3, 64)
	}
	return strconv.FormatFloat(*p, 'e', 1, 64)
}

// percent writes a share.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

// grouped writes a number with a comma every three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// rowsOf is how many rows a side was read from.
func rowsOf(s result.Side) uint64 { return s.Count + s.Missing + s.Invalid + s.Inf }

// bars are the heights to draw a feature by, each side as shares of its own: of a numeric feature over equal widths, of a
// categorical one by category, at most n of them. rest is how many of these stand for several categories together, none or the last: they say
// nothing about a shape.
func (f *Feature) bars(n int) (labels []string, ref, cur []float64, rest int) {
	share := func(counts []uint64) []float64 {
		var total uint64
		for _, c := range counts {
			total += c
		}
		out := make([]float64, len(counts))
		for i, c := range counts {
			if total > 0 {
				out[i] = float64(c) / float64(total)
			}
		}
		return out
	}
	if f.Shape != nil {
		return nil, share(f.Shape.Reference), share(f.Shape.Current), 0
	}
	bins := slices.Clone(f.Bins)
	size := func(b result.Bin) float64 {
		r := float64(b.Reference) / float64(max(f.Reference.Count, 1))
		return max(r, float64(b.Current)/float64(max(f.Current.Count, 1)))
	}
	if len(bins) > n { // the largest, and the rest as one
		slices.SortStableFunc(bins, func(a, b result.Bin) int { return cmp.Compare(size(b), size(a)) })
		others := result.Bin{Label: strconv.Itoa(len(bins)-n+1) + " more", Reference: 0, Current: 0}
		for _, b := range bins[n-1:] {
			others.Reference += b.Reference
			others.Current += b.Current
		}
		bins, rest = append(bins[:n-1], others), 1
	}
	var r, c []uint64
	for _, b := range bins {
		labels, r, c = append(labels, b.Label), append(r, b.Reference), append(c, b.Current)
	}
	return labels, share(r), share(c), rest
}
