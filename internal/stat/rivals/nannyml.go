package rivals

import (
	"math"
	"slices"

	"github.com/driftd/driftd/internal/stat"
)

// NannyML estimates distances of so many and more reference values.
const (
	nannyLarge = 10_000
	nannySigma = 3
)

func nannyML() Convention {
	return Convention{
		Name: NannyML, Source: "NannyML 0.13, nannyml/drift/univariate/methods.py, thresholds.py, chunk.py",
		Rule:  "Jensen-Shannon distance (base 2) above the mean and 3 standard deviations of ten chunks of the reference against the whole reference",
		Model: "an alert a column; nothing sums them up, so any column's is the model's",
		Known: "the chunks are part of the reference that they are compared with, and as large as a tenth of it whatever the window's size: a smaller window alarms by chance; " +
			"a number of rows that ten does not divide makes an eleventh chunk of at most nine rows, or some more, which widens the limits; no correction for the number of columns; options of computation_params are silently ignored",
		Share: 0, numbers: nannyNumbers, prepare: nannyPrepare,
	}
}

// NannyBins is what NannyML keeps of a numeric reference.
type NannyBins struct {
	edges []float64 // of equal widths by Doane's rule
	ref   []float64 // shares
}

// FitNanny freezes the bins of a numeric reference.
func FitNanny(ref *Sample) NannyBins {
	edges := doane(ref)
	return NannyBins{edges: edges, ref: shares(ref.histogram(edges), float64(ref.N()))}
}

// Edges returns the edges of the bins.
func (b *NannyBins) Edges() []float64 { return b.edges }

// doane are NumPy's edges by its rule `doane`.
func doane(s *Sample) []float64 {
	lo, hi := s.ends()
	n := float64(s.N())
	width := 0.0
	if mean, sigma := s.mean(), s.std(0); n > 2 && sigma > 0 {
		sg1 := math.Sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))
		g1 := 0.0
		for i, x := range s.Values {
			t := (x - mean) / sigma
			g1 += float64(s.Counts[i]) * t * t * t
		}
		width = (hi - lo) / (1 + math.Log2(n) + math.Log2(1+math.Abs(g1/n)/sg1))
	}
	return equalWidth(lo, hi, width)
}

// shares are those of a sample in the bins, with what is in none of them behind.
func (b *NannyBins) shares(s *Sample) (ref, cur []float64) {
	return withRest(b.ref, shares(s.histogram(b.edges), float64(s.N())))
}

func withRest(ref, cur []float64) (r, c []float64) {
	if rest := 1 - sum(cur); rest > 0 {
		return append(slices.Clip(ref), 0), append(cur, rest)
	}
	return ref, cur
}

// JS is NannyML's Jensen-Shannon distance of a sample.
func (b *NannyBins) JS(s *Sample) float64 {
	return math.Sqrt(jsDivergence(b.shares(s)) / math.Ln2)
}

// NannyTableJS is that of a table of categories.
func NannyTableJS(ref, cur []uint64) float64 {
	return math.Sqrt(jsDivergence(nannyTable(ref, cur)) / math.Ln2)
}

func nannyTable(ref, cur []uint64) (r, c []float64) {
	n := float64(total(cur))
	m := float64(total(ref))
	for i, k := range ref {
		if k > 0 {
			r, c = append(r, float64(k)/m), append(c, float64(cur[i])/n)
		}
	}
	return withRest(r, c)
}

// NannyLimit is the threshold that NannyML takes from the numbers of the reference's chunks.
func NannyLimit(chunks []float64) float64 {
	mean, std := meanStd(chunks)
	return mean + nannySigma*std
}

func nannyShares(f *Feature) (ref, cur []float64) {
	if f.Categorical {
		return nannyTable(f.RefTable, f.CurTable)
	}
	b := FitNanny(&f.Ref)
	return b.shares(&f.Cur)
}

func nannyNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "js"}}
	}
	r, c := nannyShares(f)
	h := 0.0
	for i := range r {
		h += (math.Sqrt(r[i]) - math.Sqrt(c[i])) * (math.Sqrt(r[i]) - math.Sqrt(c[i]))
	}
	out := []Number{number("js", math.Sqrt(jsDivergence(r, c)/math.Ln2), ""), number("hellinger", math.Sqrt(h/2), "")}
	if !f.Categorical {
		if f.Ref.N() >= nannyLarge {
			why := "from 10,000 reference values on NannyML estimates it from bins; the docs say quantiles, the code takes equal widths"
			return append(out, none("ks", why), none("wasserstein", why))
		}
		d := ksDistance(&f.Ref, &f.Cur)
		p := f.ksP(d)
		return append(out, withP("ks", d, p, ""), number("wasserstein", wasserstein(&f.Ref, &f.Cur), "in the feature's unit"))
	}
	linf, _ := stat.LInfinity(f.RefTable, f.CurTable)
	out = append(out, number("l_infinity", linf, ""))
	if x, p, ok := contingency(f.union()); ok {
		out = append(out, withP("chi2", x, p, "alerts at p < 0.05 whatever threshold is asked for"))
	}
	return out
}

// contingency is scipy.stats.chi2_contingency: with Yates' correction where there are two categories.
func contingency(ref, cur []uint64) (x, p float64, ok bool) {
	m, n := float64(total(ref)), float64(total(cur))
	if len(ref) < 2 {
		return 0, 1, m > 0 && n > 0
	}
	for i := range ref {
		both := float64(ref[i] + cur[i])
		for _, side := range []struct{ got, size float64 }{{float64(ref[i]), m}, {float64(cur[i]), n}} {
			e := both * side.size / (m + n)
			d := math.Abs(side.got - e)
			if len(ref) == 2 {
				d -= min(0.5, d)
			}
			x += d * d / e
		}
	}
	return x, stat.ChiSquareSF(x, len(ref)-1), m > 0 && n > 0
}

func nannyPrepare(f *Feature) func() Decision {
	var chunks []float64
	var value func() float64
	if f.Categorical {
		for _, c := range f.TableChunks {
			if total(c) > 0 {
				chunks = append(chunks, NannyTableJS(f.RefTable, c))
			}
		}
		value = func() float64 { return NannyTableJS(f.RefTable, f.CurTable) }
	} else {
		b := FitNanny(&f.Ref)
		for i := range f.RefChunks {
			if len(f.RefChunks[i].Values) > 0 {
				chunks = append(chunks, b.JS(&f.RefChunks[i]))
			}
		}
		value = func() float64 { return b.JS(&f.Cur) }
	}
	return func() Decision {
		if len(chunks) == 0 {
			return Decision{Why: "the threshold comes from ten chunks of the reference's rows, which are not known here"}
		}
		return above("js", value(), NannyLimit(chunks), true, "")
	}
}
