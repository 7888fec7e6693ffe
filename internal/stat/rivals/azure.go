package rivals

import "math"

func azure() Convention {
	return Convention{
		Name: Azure, Source: "azureml-assets 4b41f8c, assets/model_monitoring/components (not installable: Spark; written from its source)",
		Rule:  "Wasserstein over the reference's standard deviation (n - 1) > 0.5 for numbers, Jensen-Shannon distance (base 2) > 0.5 for categories (the example specification; a user sets them)",
		Model: "an alert a column, so any column's is the model's",
		Known: "a row with one missing value is dropped for every column (not followed here: each column has its own rows); thresholds know no sample size",
		Share: 0, numbers: azureNumbers, prepare: each(azureDecide),
	}
}

const azureUnion = "bins are equal widths over both samples together: one far outlier hides a shift"

// azureLargestKS is the number of rows from which Azure refuses the Kolmogorov-Smirnov test.
const azureLargestKS = 10_000

// azureTable has ceil(log2 n + 1) equal widths over both samples, n the smaller one; for categories, their union.
func azureTable(f *Feature) (ref, cur []uint64) {
	if f.Categorical {
		return f.union()
	}
	lo, hi := f.Ref.ends()
	lo2, hi2 := f.Cur.ends()
	lo, hi = min(lo, lo2), max(hi, hi2)
	if lo == hi {
		return []uint64{f.Ref.N()}, []uint64{f.Cur.N()}
	}
	bins := int(math.Ceil(math.Log2(float64(min(f.Ref.N(), f.Cur.N()))) + 1))
	edges := make([]float64, bins+1)
	width := (hi - lo) / float64(bins)
	edges[0] = lo
	for i := 1; i <= bins; i++ {
		edges[i] = lo + float64(float64(i)*width)
	}
	edges[bins] = max(edges[bins], hi)
	return f.Ref.histogram(edges), f.Cur.histogram(edges)
}

func azurePSI(ref, cur []uint64) float64 {
	b := float64(len(ref))
	m, n := float64(total(ref))+b, float64(total(cur))+b
	p, q := make([]float64, len(ref)), make([]float64, len(ref))
	for i := range ref {
		p[i], q[i] = float64(ref[i]+1)/m, float64(cur[i]+1)/n
	}
	return psi(p, q)
}

func azureNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "psi"}, {Name: "js"}}
	}
	r, c := azureTable(f)
	js := math.Sqrt(jsDivergence(shares(r, float64(total(r))), shares(c, float64(total(c)))) / math.Ln2)
	if f.Categorical {
		out := []Number{number("psi", azurePSI(r, c), "one is added to every category: with many of them the number says more about that than about drift"), number("js", js, "")}
		if x, p, ok := goodnessOfFit(f); ok {
			out = append(out, withP("chi2", x, p, "goodness of fit: the reference's own chance is left out, and a value that only the window has makes p 0"))
		}
		return out
	}
	out := []Number{number("psi", azurePSI(r, c), azureUnion), number("js", js, azureUnion), number("wasserstein_normed", azureWasserstein(f), "")}
	if max(f.Ref.N(), f.Cur.N()) >= azureLargestKS {
		return append(out, none("ks", "Azure refuses it for 10,000 rows and more"))
	}
	d := ksDistance(&f.Ref, &f.Cur)
	p := f.ksP(d)
	return append(out, withP("ks", d, p, ""))
}

func azureWasserstein(f *Feature) float64 {
	if f.Ref.N() < 2 {
		return math.NaN()
	}
	return wasserstein(&f.Ref, &f.Cur) / max(f.Ref.std(1), 0.001)
}

func azureDecide(f *Feature) Decision {
	if f.Categorical {
		r, c := f.union()
		js := math.Sqrt(jsDivergence(shares(r, float64(total(r))), shares(c, float64(total(c)))) / math.Ln2)
		return above("js", js, 0.5, true, "")
	}
	return above("wasserstein_normed", azureWasserstein(f), 0.5, true, "")
}
