package analyze

import (
	"context"
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/twosample"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// numeric compares two samples of numbers: judged over the cells as the daemon does, with the statistics that a merge of both
// samples knows exactly in the place of those that the cells can only enclose.
func (w *worker) numeric(ctx context.Context, f *feature, ref, cur *part, keep bool) (Feature, error) {
	cellsOf, counts, err := w.frozenNumeric(f, ref, cur, keep)
	if err != nil {
		return Feature{}, err
	}
	judged, err := w.evaluate(ctx, f, cellsOf, counts, keep)
	if err != nil {
		return Feature{}, err
	}
	out := Feature{Feature: judged, Shape: nil}
	if f.frozen != nil {
		out.Shape = cellShape(cellsOf, counts)
		return out, nil
	}
	out.Reference.Median, out.Current.Median = median(ref.numbers), median(cur.numbers)
	out.Shape = sampleShape(ref.numbers, cur.numbers)
	compared, err := twosample.Compare(ref.numbers, cur.numbers)
	if err != nil {
		return Feature{}, err //nolint:wrapcheck // it says what does not fit
	}
	_, variance, ok := exact.MeanVariance(&cellsOf.Counts.Sum, &cellsOf.Counts.SumSquares, cellsOf.Counts.N(), 0)
	exactStatistics(out.Statistics, &compared, math.Sqrt(variance), ok, stat.KSDefault)
	return out, nil
}

// exactStatistics replaces what the cells enclose by what the samples say. Lower and upper are then the value itself. spread is the
// reference's standard deviation (ddof 0), where it exists.
func exactStatistics(to map[string]result.Stat, c *twosample.Comparison, spread float64, hasSpread bool, convention stat.KSConvention) {
	if c.RefN == 0 || c.CurN == 0 {
		return // they are null, and say why
	}
	enclosed := func(s result.Stat) result.Stat {
		s.Lower, s.Upper = s.Value, s.Value
		return s
	}
	ks := null("the number overflows")
	if p, ok := stat.KSPValue(c.KS.Value, c.RefN, c.CurN, convention); ok && c.KS.OK {
		ks = valueP(c.KS.Value, p)
	}
	to["ks"] = enclosed(ks)
	to["cramer_von_mises"] = enclosed(test(c.CramerVonMises, "needs 2 values on each side"))
	to["anderson_darling"] = enclosed(test(c.AndersonDarling, "needs 4 values, and 2 different ones"))
	to["mann_whitney"] = enclosed(test(c.MannWhitney, "the number overflows"))
	to["energy"] = enclosed(distance(c.Energy, "energy"))
	w := distance(c.Wasserstein, "wasserstein")
	to["wasserstein"] = enclosed(w)
	to["wasserstein_normed"] = enclosed(normed(w, spread, hasSpread))
}

// normed divides a distance by a standard deviation.
func normed(s result.Stat, std float64, ok bool) result.Stat {
	if s.Value == nil {
		return s
	}
	switch v := *s.Value / std; {
	case ok && std == 0:
		return null("the reference is constant: its standard deviation is 0")
	case !ok, math.IsInf(v, 0), math.IsNaN(v):
		return null("the number overflows")
	default:
		return value(v, "wasserstein_normed has no p-value")
	}
}

// categorical compares two samples of categories.
func (w *worker) categorical(ctx context.Context, f *feature, ref, cur *part, keep bool) (Feature, error) {
	cellsOf, counts := w.frozenCategorical(f, ref, cur, keep)
	judged, err := w.evaluate(ctx, f, cellsOf, counts, keep)
	return Feature{Feature: judged, Shape: nil}, err
}

// median returns the median of sorted values.
func median(sorted []float64) *float64 {
	n := len(sorted)
	if n == 0 {
		return nil
	}
	m := sorted[n/2]
	if n%2 == 0 {
		m = cells.Interpolate(sorted[n/2-1], m, 0.5)
	}
	if math.IsInf(m, 0) || math.IsNaN(m) {
		return nil
	}
	return &m
}

func null(reason string) result.Stat { return result.Stat{Reason: reason} }

func value(v float64, whyNoP string) result.Stat { return result.Stat{Value: &v, Reason: whyNoP} }

func valueP(v, p float64) result.Stat { return existing(result.Stat{Value: &v, PValue: &p}) }

func test(t twosample.Test, why string) result.Stat {
	if !t.OK {
		return null(why)
	}
	return valueP(t.Value, t.P)
}

func distance(d twosample.Distance, name string) result.Stat {
	if !d.OK {
		return null("the number overflows")
	}
	return existing(value(d.Value, name+" has no p-value"))
}

// existing turns a number that does not exist into null.
func existing(s result.Stat) result.Stat {
	for _, p := range []**float64{&s.Value, &s.PValue} {
		if *p != nil && (math.IsNaN(**p) || math.IsInf(**p, 0)) {
			*p, s.Reason = nil, "the number overflows"
		}
	}
	return s
}

// shapeBins is the number of bins of a Shape.
const shapeBins = 24

// sampleShape draws sorted samples between the 1st and the 99th percentiles of both.
func sampleShape(ref, cur []float64) *Shape {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, xs := range [][]float64{ref, cur} {
		if n := len(xs); n > 0 {
			lo, hi = min(lo, xs[n/100]), max(hi, xs[n-1-n/100])
		}
	}
	if !(lo < hi) && len(ref)+len(cur) == 0 {
		return nil
	}
	s := newShape(lo, hi)
	s.Reference, s.Current = s.fill(ref), s.fill(cur)
	return s
}

func newShape(lo, hi float64) *Shape {
	if math.IsInf(hi-lo, 0) { // one of them is beyond half of all numbers
		lo, hi = max(lo, -math.MaxFloat64/4), min(hi, math.MaxFloat64/4)
	}
	return &Shape{Low: lo, High: hi, Reference: make([]uint64, shapeBins), Current: make([]uint64, shapeBins)}
}

// bin returns the bin of x.
func (s *Shape) bin(x float64) int {
	share := (x - s.Low) / (s.High - s.Low)
	if !(share > 0) { // also where Low is High
		return 0
	}
	return int(min(share*shapeBins, shapeBins-1))
}

func (s *Shape) fill(sorted []float64) []uint64 {
	out := make([]uint64, shapeBins)
	for _, x := range sorted {
		out[s.bin(x)]++
	}
	return out
}

// cellShape draws counts over cells: what is in a gap is at its middle.
func cellShape(f *reference.Feature, cur *cells.Counts) *Shape {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, c := range []*cells.Counts{f.Counts, cur} {
		if from, _, _, ok := c.Quantile(0.01); ok {
			lo = min(lo, from)
		}
		if to, _, _, ok := c.Quantile(0.99); ok {
			hi = max(hi, to)
		}
	}
	if math.IsInf(lo, 0) || math.IsInf(hi, 0) {
		return nil
	}
	s := newShape(lo, hi)
	for p := range cells.Walk(f.Counts, cur) {
		i := s.bin(p.Lo/2 + p.Hi/2)
		s.Reference[i] += p.Ref
		s.Current[i] += p.Cur
	}
	return s
}
