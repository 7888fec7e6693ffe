package rivals

import (
	"math"

	"github.com/driftd/driftd/internal/stat"
)

const (
	scouterEpsilon = 1e-10
	scouterAlpha   = 0.05
)

func scouter() Convention {
	return Convention{
		Name: Scouter, Source: "Scouter (scouter-ml) 0.25, crates/scouter_drift/src/psi, crates/scouter_types/src/psi/alert.rs",
		Rule:  "PSI over the reference's deciles or categories ≥ χ²₀.₉₅(B - 1)/n, n the window's size",
		Model: "an alert a feature, so any feature's is the model's",
		Known: "the threshold leaves the reference's own size out (it should be χ²₀.₉₅(B - 1)(1/n + 1/m)), and holds for one feature: 5 % of the windows without drift alarm even with an endless reference; " +
			"at large n any difference alarms, however small",
		Share: 0, numbers: scouterNumbers, prepare: scouterPrepare,
	}
}

// ScouterDeciles are the edges of Scouter's ten bins.
func ScouterDeciles(ref *Sample) []float64 {
	n := ref.N()
	edges := make([]float64, 9)
	for k := range edges {
		// R-7 as Scouter computes it, with its rounding: between equal values an edge may come out beside them.
		p := float64(k+1) / 10
		at := float64(float64(n)*p) + (1 - p)
		j := math.Floor(at)
		h := at - j
		first := uint64(max(j-1, 0))
		edges[k] = float64((1-h)*ref.order(first)) + float64(h*ref.order(min(first+1, n-1)))
	}
	return edges
}

// rightClosed counts in (-∞, e₁], (e₁, e₂] …; equal edges make empty bins.
func (s *Sample) rightClosed(edges []float64) []uint64 {
	counts := make([]uint64, len(edges)+1)
	b := 0
	for i, x := range s.Values {
		for b < len(edges) && x > edges[b] {
			b++
		}
		counts[b] += s.Counts[i]
	}
	return counts
}

// scouterTable returns how to count a window in the reference's bins.
func scouterTable(f *Feature) func() (ref, cur []uint64, unseen bool) {
	if !f.Categorical {
		edges := ScouterDeciles(&f.Ref)
		ref := f.Ref.rightClosed(edges)
		return func() ([]uint64, []uint64, bool) { return ref, f.Cur.rightClosed(edges), false }
	}
	return func() (ref, cur []uint64, unseen bool) {
		for i, r := range f.RefTable {
			if r > 0 {
				ref, cur = append(ref, r), append(cur, f.CurTable[i])
			} else if f.CurTable[i] > 0 {
				unseen = true
			}
		}
		return ref, cur, unseen
	}
}

func scouterPSI(ref, cur []uint64) float64 {
	p, q := shares(ref, float64(total(ref))), shares(cur, float64(total(cur)))
	for i := range p {
		p[i] += scouterEpsilon
		q[i] += scouterEpsilon
	}
	return psi(p, q)
}

func scouterNumbers(f *Feature) []Number {
	if f.empty() {
		return []Number{{Name: "psi"}}
	}
	ref, cur, unseen := scouterTable(f)()
	if total(cur) == 0 {
		return []Number{none("psi", "the window has none of the reference's categories, and Scouter drops the others")}
	}
	known := "an empty bin counts as 10⁻¹⁰: one lost category adds some twenty times its share"
	if !f.Categorical {
		known += "; an edge between equal values can come out one rounding beside them, which moves all of those values to another bin"
	}
	if unseen {
		known += "; values in categories that the reference does not have are dropped, as Scouter's client does: it does not see them"
	}
	return []Number{number("psi", scouterPSI(ref, cur), known)}
}

func scouterPrepare(f *Feature) func() Decision {
	table := scouterTable(f)
	return func() Decision {
		ref, cur, unseen := table()
		n := total(cur)
		if n == 0 || len(ref) < 2 {
			return Decision{Why: "the window has none of the reference's categories, or the reference has one bin"}
		}
		why := ""
		if unseen {
			why = "values in categories that the reference does not have are dropped"
		}
		return above("psi", scouterPSI(ref, cur), ScouterThreshold(len(ref), n), false, why)
	}
}

// ScouterThreshold is the alert threshold of a window of n values in `bins` bins.
func ScouterThreshold(bins int, n uint64) float64 {
	return stat.ChiSquareQuantile(scouterAlpha, bins-1) / math.Max(float64(n), 1)
}
