package analyze

import (
	"context"
	"maps"
	"slices"
	"sort"
	"strconv"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/twosample"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// scipyFloor is the least proportion of a bin under --convention scipy.
const scipyFloor = 1e-4

// scipyNames are the statistics under --convention scipy, which is drift-numeric/1 and drift-categorical/1 of the golden vectors.
func scipyNames(kind cells.Kind) []string {
	names := []string{"psi", "kl", "kl_reverse", "js", "hellinger", "total_variation", "l_infinity", "chi2"}
	if kind == cells.Numeric {
		names = append(names, "psi_split", "ks", "wasserstein", "wasserstein_normed", "energy", "cramer_von_mises", "anderson_darling",
			"mann_whitney", "welch_t")
	}
	return names
}

// numericSciPy compares two samples of numbers by the conventions of SciPy. The verdict is that of the default convention.
func (w *worker) numericSciPy(ctx context.Context, f *feature, ref, cur *part, keep bool) (Feature, error) {
	// Before the values are sorted: NumPy's sums depend on their order.
	t, _, p, hasWelch := twosample.WelchSciPy(ref.numbers, cur.numbers)
	refMean, refStd := numpyMoments(ref.numbers)
	curMean, curStd := numpyMoments(cur.numbers)
	_, spread, hasSpread := twosample.MomentsNumPy(ref.numbers, 0)
	cellsOf, counts, err := w.frozenNumeric(f, ref, cur, keep)
	if err != nil {
		return Feature{}, err
	}
	if n := len(ref.numbers); n > 0 && ref.numbers[0] == ref.numbers[n-1] {
		spread = 0 // whatever rounding makes of it
	}
	judged, err := w.evaluate(ctx, f, cellsOf, counts, keep)
	if err != nil {
		return Feature{}, err
	}
	out := Feature{Feature: judged, Shape: sampleShape(ref.numbers, cur.numbers)}
	out.Reference.Mean, out.Reference.Std, out.Current.Mean, out.Current.Std = refMean, refStd, curMean, curStd
	out.Reference.Median, out.Current.Median = median(ref.numbers), median(cur.numbers)
	edges, refBins, curBins := decileTable(cellsOf, ref.numbers, cur.numbers)
	s := tableStatistics(refBins, curBins)
	_, splitRef, splitCur := splitTable(cellsOf, ref.numbers, cur.numbers)
	s["psi_split"] = existing(divergence(stat.PSI(splitRef, splitCur, stat.Smoothing{Floor: scipyFloor})))
	compared, err := twosample.Compare(ref.numbers, cur.numbers)
	if err != nil {
		return Feature{}, err //nolint:wrapcheck // it says what does not fit
	}
	for _, name := range scipyNames(cells.Numeric)[9:] {
		s[name] = null(problem(&out.Feature))
	}
	exactStatistics(s, &compared, spread, hasSpread, stat.KSSciPy)
	for name, st := range s {
		st.Lower, st.Upper = nil, nil
		s[name] = st
	}
	if hasWelch {
		s["welch_t"] = valueP(t, p)
	} else if len(ref.numbers) > 0 && len(cur.numbers) > 0 {
		s["welch_t"] = null("needs 2 values on each side, a variance, and no overflow")
	}
	w.show(&out, s, binsOf(edges, refBins, curBins))
	return out, nil
}

// numpyMoments returns mean and standard deviation (ddof 1), nil where one does not exist.
func numpyMoments(values []float64) (mean, std *float64) {
	if m, _, ok := twosample.MomentsNumPy(values, 0); ok || (len(values) > 0 && m-m == 0) {
		mean = &m
	}
	if _, s, ok := twosample.MomentsNumPy(values, 1); ok {
		std = &s
	}
	return mean, std
}

// categoricalSciPy compares two samples of categories over the union of both.
func (w *worker) categoricalSciPy(ctx context.Context, f *feature, ref, cur *part, keep bool) (Feature, error) {
	cellsOf, counts := w.frozenCategorical(f, ref, cur, keep)
	judged, err := w.evaluate(ctx, f, cellsOf, counts, keep)
	if err != nil {
		return Feature{}, err
	}
	out := Feature{Feature: judged, Shape: nil}
	refNames, curNames := ref.tally.names(), cur.tally.names()
	all := maps.Clone(refNames)
	maps.Copy(all, curNames)
	bins := make([]result.Bin, 0, len(all))
	refBins, curBins := make([]uint64, 0, len(all)), make([]uint64, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r, c := refNames[name], curNames[name]
		bins = append(bins, result.Bin{Label: name, Reference: r, Current: c})
		refBins, curBins = append(refBins, r), append(curBins, c)
	}
	w.show(&out, tableStatistics(refBins, curBins), bins)
	return out, nil
}

// show puts the statistics and bins of the convention in the place of those that judged. Where the verdict is taken from these, the
// judgement has to come first, so they wait until then.
func (w *worker) show(out *Feature, s map[string]result.Stat, bins []result.Bin) {
	out.shown = &shown{statistics: s, bins: bins}
}

// problem says why the statistics of a feature do not exist.
func problem(f *result.Feature) string {
	if f.Reference.Count == 0 {
		return "the reference has no values"
	}
	return "the window has no values"
}

// tableStatistics are the statistics of two vectors of counts.
func tableStatistics(ref, cur []uint64) map[string]result.Stat {
	floor := stat.Smoothing{Floor: scipyFloor}
	s := map[string]result.Stat{
		"psi":             divergence(stat.PSI(ref, cur, floor)),
		"kl":              divergence(stat.KL(ref, cur, floor)),
		"kl_reverse":      divergence(stat.KL(cur, ref, floor)),
		"js":              divergence(stat.JSDistance(ref, cur)),
		"hellinger":       divergence(stat.Hellinger(ref, cur)),
		"total_variation": divergence(stat.TotalVariation(ref, cur)),
		"l_infinity":      divergence(stat.LInfinity(ref, cur)),
		"chi2":            null("a side has no values"),
	}
	if res, ok := stat.ChiSquare(ref, cur, 0); ok {
		s["chi2"] = valueP(res.Statistic, res.PValue)
	}
	return s
}

func divergence(v float64, ok bool) result.Stat {
	if !ok {
		return null("a side has no values")
	}
	return existing(value(v, "has no p-value by this convention"))
}

// decileTable counts sorted samples in the bins of the reference's deciles, equal ones merged, right-closed.
func decileTable(f *reference.Feature, ref, cur []float64) (edges []float64, refBins, curBins []uint64) {
	if len(f.Deciles) == 0 {
		return nil, nil, nil
	}
	edges = slices.Compact(slices.Clone(f.Deciles))
	count := func(xs []float64) []uint64 {
		bins, before := make([]uint64, len(edges)+1), 0
		for i, e := range edges {
			at := sort.Search(len(xs), func(k int) bool { return xs[k] > e })
			bins[i], before = uint64(at-before), at
		}
		bins[len(edges)] = uint64(len(xs) - before)
		return bins
	}
	return edges, count(ref), count(cur)
}

// splitTable is decileTable where an edge that several deciles share is a bin of its own.
func splitTable(f *reference.Feature, ref, cur []float64) (edges []float64, refBins, curBins []uint64) {
	if len(f.Deciles) == 0 {
		return nil, nil, nil
	}
	edges = slices.Compact(slices.Clone(f.Deciles))
	count := func(xs []float64) []uint64 {
		var bins []uint64
		before := 0
		add := func(at int) {
			bins = append(bins, uint64(at-before))
			before = at
		}
		for _, e := range edges {
			first := slices.Index(f.Deciles, e)
			if first+1 < len(f.Deciles) && f.Deciles[first+1] == e {
				add(sort.Search(len(xs), func(k int) bool { return xs[k] >= e }))
			}
			add(sort.Search(len(xs), func(k int) bool { return xs[k] > e }))
		}
		add(len(xs))
		return bins
	}
	return edges, count(ref), count(cur)
}

// binsOf labels the bins of decileTable: `(-Infinity, 1.5]`, `(1.5, 2]`, `(2, Infinity)`.
func binsOf(edges []float64, ref, cur []uint64) []result.Bin {
	bins := make([]result.Bin, len(ref))
	short := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	for i := range ref {
		lo, hi := "-Infinity", "Infinity)"
		if i > 0 {
			lo = short(edges[i-1])
		}
		if i < len(edges) {
			hi = short(edges[i]) + "]"
		}
		bins[i] = result.Bin{Label: "(" + lo + ", " + hi, Reference: ref[i], Current: cur[i]}
	}
	return bins
}
