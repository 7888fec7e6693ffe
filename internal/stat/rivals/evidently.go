package rivals

import (
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// evidentlySmall is the reference size up to which Evidently takes p-values, and evidentlyFew the distinct values up to which a number
// is a category to it.
const (
	evidentlySmall = 1000
	evidentlyFew   = 5
	evidentlyBins  = 20
)

func evidently() Convention {
	return Convention{
		Name: Evidently, Source: "Evidently 0.7, src/evidently/legacy/calculations/stattests",
		Rule: "reference of at most 1,000 rows: p < 0.05 of Kolmogorov-Smirnov, or of χ² (z for two values) where both sides together have at most 5 values; " +
			"above: Wasserstein over the reference's standard deviation ≥ 0.1, or Jensen-Shannon distance (nats) ≥ 0.1 for categories and at most 5 values",
		Model: "drift when half of the columns drift",
		Known: "the window's size has no part in the choice of the test or its threshold: small windows without drift are far beyond 0.1 by chance alone; no correction for the number of columns",
		Share: 0.5, numbers: evidentlyNumbers, prepare: each(evidentlyDecide),
	}
}

const (
	evidentlyUnion = "bins are equal widths over both samples together: one far outlier hides a shift (the docstring says reference quantiles, the code has none)"
	evidentlyZero  = "an empty bin counts as 0.0001, or as a millionth of the smallest share: the answer depends on that choice"
)

// evidentlyTable is get_binned_data: equal widths over both samples where the reference has more than 20 distinct values, else a bin a
// value.
func evidentlyTable(f *Feature, fill bool) (ref, cur []float64) {
	var r, c []uint64
	if !f.Categorical && len(f.Ref.Values) > evidentlyBins {
		edges := sturges(&f.Ref, &f.Cur)
		r, c = f.Ref.histogram(edges), f.Cur.histogram(edges)
	} else {
		r, c = f.union()
	}
	ref, cur = shares(r, float64(total(r))), shares(c, float64(total(c)))
	if fill {
		fillZeros(ref)
		fillZeros(cur)
	}
	return ref, cur
}

// sturges are NumPy's edges by its rule `sturges` over both samples.
func sturges(a, b *Sample) []float64 {
	lo, hi := a.ends()
	lo2, hi2 := b.ends()
	lo, hi = min(lo, lo2), max(hi, hi2)
	return equalWidth(lo, hi, (hi-lo)/(math.Log2(float64(a.N()+b.N()))+1))
}

func fillZeros(p []float64) {
	least := math.Inf(1)
	for _, x := range p {
		if x > 0 {
			least = min(least, x)
		}
	}
	fill := 0.0001
	if least <= 0.0001 {
		fill = least / 1e6
	}
	for i, x := range p {
		if x == 0 {
			p[i] = fill
		}
	}
}

func evidentlyNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "psi"}, {Name: "kl"}, {Name: "js"}}
	}
	known := evidentlyZero
	if !f.Categorical {
		known = evidentlyUnion + "; " + evidentlyZero
	}
	r, c := evidentlyTable(f, true)
	raw, rawCur := evidentlyTable(f, false)
	out := []Number{number("psi", psi(r, c), known), number("kl", klOf(r, c), known)}
	js := number("js", math.Sqrt(jsDivergence(raw, rawCur)), "nats, so at most 0.83, not 1")
	if !f.Categorical {
		js.Known += "; " + evidentlyUnion
		d := ksDistance(&f.Ref, &f.Cur)
		p := f.ksP(d)
		out = append(out, js, number("wasserstein_normed", evidentlyWasserstein(f), ""), withP("ks", d, p, ""))
	} else {
		out = append(out, js)
	}
	if x, p, ok := goodnessOfFit(f); ok {
		out = append(out, withP("chi2", x, p, "goodness of fit: the reference's own chance is left out, and a value that only the window has makes p 0"))
	} else {
		out = append(out, none("chi2", "the reference has one value only"))
	}
	if f.distinct() <= 2 {
		z, p := twoValuesZ(f)
		out = append(out, withP("z", z, p, ""))
	}
	return out
}

// klOf is scipy.stats.entropy(p, q): both scaled to sum 1.
func klOf(p, q []float64) float64 {
	sp, sq := sum(p), sum(q)
	s := 0.0
	for i := range p {
		s += p[i] / sp * math.Log(p[i]/sp/(q[i]/sq))
	}
	return s
}

func evidentlyWasserstein(f *Feature) float64 {
	return wasserstein(&f.Ref, &f.Cur) / max(f.Ref.std(0), 0.001)
}

// goodnessOfFit is scipy.stats.chisquare of the window's counts against the reference's, scaled to the window's size.
func goodnessOfFit(f *Feature) (x, p float64, ok bool) {
	ref, cur := f.union()
	if len(ref) < 2 {
		return 0, 1, len(ref) == 1
	}
	scale := float64(total(cur)) / float64(total(ref))
	for i, r := range ref {
		e := float64(r) * scale
		if e == 0 {
			return math.Inf(1), 0, true
		}
		d := float64(cur[i]) - e
		x += d * d / e
	}
	return x, stat.ChiSquareSF(x, len(ref)-1), true
}

// twoValuesZ is Evidently's z-test of the share of the second of two values.
func twoValuesZ(f *Feature) (z, p float64) {
	ref, cur := f.union()
	if len(ref) < 2 {
		return 0, 1
	}
	if (ref[0] == 0 && cur[1] == 0) || (ref[1] == 0 && cur[0] == 0) {
		return math.Inf(1), 0
	}
	z, p, ok := stat.TwoProportionsZ(ref[1], total(ref), cur[1], total(cur))
	if !ok {
		return 0, 1
	}
	return z, p
}

func evidentlyDecide(f *Feature) Decision {
	n := total(f.RefTable)
	if !f.Categorical {
		n = f.Ref.N()
	}
	few := f.Categorical || f.distinct() <= evidentlyFew
	belowP := func(statistic string, p float64, known string) Decision {
		return Decision{Statistic: statistic, Value: p, IsP: true, Threshold: 0.05, Drift: p < 0.05, OK: true, Why: known}
	}
	switch {
	case n <= evidentlySmall && few && f.distinct() > 2:
		_, p, ok := goodnessOfFit(f)
		if !ok {
			return Decision{Why: "the reference has one value only"}
		}
		return belowP("chi2", p, "a value that only the window has makes p 0")
	case n <= evidentlySmall && few:
		_, p := twoValuesZ(f)
		return belowP("z", p, "")
	case n <= evidentlySmall:
		p := f.ksP(ksDistance(&f.Ref, &f.Cur))
		return belowP("ks", p, "")
	case few:
		r, c := evidentlyTable(f, false)
		return above("js", math.Sqrt(jsDivergence(r, c)), 0.1, false, "")
	default:
		return above("wasserstein_normed", evidentlyWasserstein(f), 0.1, false, "")
	}
}
