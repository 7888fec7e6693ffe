package rivals

import (
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/stat"
)

// The conventions.
const (
	Evidently = "evidently"
	NannyML   = "nannyml"
	Azure     = "azure"
	Scouter   = "scouter"
	TFDV      = "tfdv"
	Popmon    = "popmon"
)

// Names returns the conventions.
func Names() []string { return []string{Evidently, NannyML, Azure, Scouter, TFDV, Popmon} }

// Chunks is into how many parts of equally many rows, in their order, a reference is cut for the rules that learn from its parts; where
// it does not divide the rows, what is left over is a part as well.
const Chunks = 10

// Sample is a numeric sample: distinct finite values in increasing order, and how often each occurs (at least once).
type Sample struct {
	Values []float64
	Counts []uint64
}

// Of counts sorted finite values.
func Of(sorted []float64) Sample {
	var s Sample
	for i, x := range sorted {
		if i == 0 || x != s.Values[len(s.Values)-1] {
			s.Values, s.Counts = append(s.Values, x), append(s.Counts, 0)
		}
		s.Counts[len(s.Counts)-1]++
	}
	return s
}

// N is the number of values.
func (s *Sample) N() uint64 { return total(s.Counts) }

// Feature is one column: numeric with Ref and Cur, or categorical with RefTable and CurTable, counts over the union of the categories
// of both sides and of the chunks, in one order.
type Feature struct {
	Categorical        bool
	Ref, Cur           Sample
	RefTable, CurTable []uint64

	// The reference in parts of consecutive rows, see Chunks, for rules that learn their threshold; empty where the order is not known.
	RefChunks   []Sample
	TableChunks [][]uint64

	// Quick takes the limiting distribution of Kolmogorov-Smirnov where SciPy counts paths: for simulations of many windows.
	Quick bool
}

// ksP is the p-value of ks_2samp.
func (f *Feature) ksP(d float64) float64 {
	convention := stat.KSSciPy
	if f.Quick {
		convention = stat.KSDefault
	}
	p, _ := stat.KSPValue(d, f.Ref.N(), f.Cur.N(), convention)
	return p
}

// Number is one of the tool's numbers.
type Number struct {
	Name  string  // as in docs/statistics.md
	Value float64 // where OK
	OK    bool
	P     float64 // where HasP
	HasP  bool
	Why   string // why it does not exist, where not OK
	Known string // what is known to be wrong with it; may be empty
}

// Decision is what the tool's default rule says of one feature.
type Decision struct {
	Statistic string  // the name of the number it is taken by
	Value     float64 // that number, or its p-value
	IsP       bool    // Value is a p-value: drift is below the threshold
	Threshold float64
	Drift     bool
	OK        bool   // false: the rule decides nothing, and Why says why
	Why       string // also what is known to be wrong with the rule
}

// Convention is a tool's rules.
type Convention struct {
	Name    string
	Source  string // tool and version that it is written from
	Rule    string // the default rule of a feature, in words
	Model   string // the default rule of all features together, in words
	Known   string // what is known to be wrong with the rule
	Share   float64
	numbers func(*Feature) []Number

	// prepare looks at the reference once; what it returns decides on the window that is in the feature when it is called.
	prepare func(*Feature) func() Decision
}

// Find returns a convention.
func Find(name string) (Convention, error) {
	for _, c := range conventions() {
		if c.Name == name {
			return c, nil
		}
	}
	return Convention{}, fmt.Errorf("no convention is named %q", name)
}

func conventions() []Convention {
	return []Convention{evidently(), nannyML(), azure(), scouter(), tfdv(), popmon()}
}

// Numbers returns the tool's numbers of a feature, in the order of its documentation.
func (c *Convention) Numbers(f *Feature) []Number {
	numbers := c.numbers(f)
	for i := range numbers {
		n := &numbers[i]
		switch {
		case f.empty():
			n.OK, n.Why = false, "a side has no values"
			n.HasP = false
		case n.OK && math.IsInf(n.Value, 1) && n.HasP:
			n.OK, n.Why = false, "it is infinite: something occurs in the window only, or in the reference only"
		case n.OK && (math.IsNaN(n.Value) || math.IsInf(n.Value, 0)):
			n.OK, n.HasP, n.Why = false, false, "the number overflows"
		}
		n.HasP = n.HasP && !math.IsNaN(n.P)
	}
	return numbers
}

// Decide applies the tool's default rule to a feature.
func (c *Convention) Decide(f *Feature) Decision {
	if f.empty() {
		return Decision{Why: "a side has no values"}
	}
	return c.Prepare(f)()
}

// Prepare is Decide for many windows against one reference, which must have values: each call decides on the window that f then holds.
func (c *Convention) Prepare(f *Feature) func() Decision {
	decide := c.prepare(f)
	return func() Decision {
		if f.empty() {
			return Decision{Why: "a side has no values"}
		}
		d := decide()
		if d.OK && (math.IsNaN(d.Value) || math.IsNaN(d.Threshold)) {
			d.OK, d.Drift, d.Why = false, false, "the number overflows"
		}
		return d
	}
}

// each is a rule that keeps nothing of the reference.
func each(decide func(*Feature) Decision) func(*Feature) func() Decision {
	return func(f *Feature) func() Decision { return func() Decision { return decide(f) } }
}

// Drifts says what the tool decides of a model of which `drifting` features of `judged` drift.
func (c *Convention) Drifts(drifting, judged int) bool {
	return drifting > 0 && float64(drifting) >= c.Share*float64(judged)
}

func (f *Feature) empty() bool {
	if f.Categorical {
		return total(f.RefTable) == 0 || total(f.CurTable) == 0
	}
	return len(f.Ref.Values) == 0 || len(f.Cur.Values) == 0
}

// distinct is the number of different values or categories on both sides together.
func (f *Feature) distinct() int {
	if f.Categorical {
		n := 0
		for i, r := range f.RefTable {
			if r+f.CurTable[i] > 0 {
				n++
			}
		}
		return n
	}
	ref, _ := f.union()
	return len(ref)
}

// union counts both sides over the values that occur on either.
func (f *Feature) union() (ref, cur []uint64) {
	if f.Categorical {
		for i, r := range f.RefTable {
			if r+f.CurTable[i] > 0 {
				ref, cur = append(ref, r), append(cur, f.CurTable[i])
			}
		}
		return ref, cur
	}
	merge(&f.Ref, &f.Cur, func(_ float64, r, c uint64) {
		ref, cur = append(ref, r), append(cur, c)
	})
	return ref, cur
}

// merge walks over the values of two samples together.
func merge(a, b *Sample, f func(x float64, a, b uint64)) {
	i, j := 0, 0
	for i < len(a.Values) || j < len(b.Values) {
		switch {
		case j == len(b.Values) || (i < len(a.Values) && a.Values[i] < b.Values[j]):
			f(a.Values[i], a.Counts[i], 0)
			i++
		case i == len(a.Values) || b.Values[j] < a.Values[i]:
			f(b.Values[j], 0, b.Counts[j])
			j++
		default:
			f(a.Values[i], a.Counts[i], b.Counts[j])
			i, j = i+1, j+1
		}
	}
}

func total(counts []uint64) uint64 {
	var n uint64
	for _, c := range counts {
		n += c
	}
	return n
}

func shares(counts []uint64, n float64) []float64 {
	p := make([]float64, len(counts))
	for i, c := range counts {
		p[i] = float64(c) / n
	}
	return p
}

func (s *Sample) ends() (lo, hi float64) { return s.Values[0], s.Values[len(s.Values)-1] }

// std is the standard deviation with divisor N - ddof.
func (s *Sample) std(ddof float64) float64 {
	n := float64(s.N())
	mean := s.mean()
	sum := 0.0
	for i, x := range s.Values {
		sum += float64(s.Counts[i]) * (x - mean) * (x - mean)
	}
	return math.Sqrt(sum / (n - ddof))
}

func (s *Sample) mean() float64 {
	sum := 0.0
	for i, x := range s.Values {
		sum += float64(s.Counts[i]) * x
	}
	return sum / float64(s.N())
}

// order returns the k-th smallest value, from 0.
func (s *Sample) order(k uint64) float64 {
	for i, c := range s.Counts {
		if k < c {
			return s.Values[i]
		}
		k -= c
	}
	return s.Values[len(s.Values)-1]
}

// quantile is NumPy's linear one (type 7).
func (s *Sample) quantile(q float64) float64 {
	h := q * float64(s.N()-1)
	i := math.Floor(h)
	a, b := s.order(uint64(i)), s.order(uint64(min(i+1, float64(s.N()-1))))
	t := h - i
	if t < 0.5 {
		return a + (b-a)*t
	}
	return b - (b-a)*(1-t)
}

// histogram counts as numpy.histogram does with given edges: bins are left-closed, the last one closed, and what is outside is not
// counted.
func (s *Sample) histogram(edges []float64) []uint64 {
	counts := make([]uint64, len(edges)-1)
	last := len(counts) - 1
	b := 0
	for i, x := range s.Values {
		if x < edges[0] || x > edges[last+1] {
			continue
		}
		for b < last && x >= edges[b+1] {
			b++
		}
		counts[b] += s.Counts[i]
	}
	return counts
}

// linspace is numpy.linspace(lo, hi, bins+1).
func linspace(lo, hi float64, bins int) []float64 {
	edges := make([]float64, bins+1)
	step := (hi - lo) / float64(bins)
	for i := range edges {
		edges[i] = float64(float64(i)*step) + lo
	}
	edges[bins] = hi
	return edges
}

// equalWidth cuts the range of a sample as numpy.histogram_bin_edges does with a rule that gives a width.
func equalWidth(lo, hi, width float64) []float64 {
	bins := 1
	if w := math.Ceil((hi - lo) / width); width > 0 && w >= 1 && w < 1<<24 {
		bins = int(w)
	}
	if lo == hi {
		lo, hi = lo-0.5, hi+0.5
	}
	return linspace(lo, hi, bins)
}

// wasserstein is ∫ |F - G| dx.
func wasserstein(a, b *Sample) float64 {
	na, nb := float64(a.N()), float64(b.N())
	var sa, sb uint64
	sum, last := 0.0, math.NaN()
	merge(a, b, func(x float64, ca, cb uint64) {
		if sa+sb > 0 {
			sum += math.Abs(float64(sa)/na-float64(sb)/nb) * (x - last)
		}
		sa, sb, last = sa+ca, sb+cb, x
	})
	return sum
}

// ksDistance is sup |F - G|.
func ksDistance(a, b *Sample) float64 {
	na, nb := float64(a.N()), float64(b.N())
	var sa, sb uint64
	most := 0.0
	merge(a, b, func(_ float64, ca, cb uint64) {
		sa, sb = sa+ca, sb+cb
		most = max(most, math.Abs(float64(sa)/na-float64(sb)/nb))
	})
	return most
}

// jsDivergence is the Jensen-Shannon divergence in nats of two vectors, which are scaled to sum 1 as SciPy does.
func jsDivergence(p, q []float64) float64 {
	sp, sq := sum(p), sum(q)
	d := 0.0
	for i := range p {
		a, b := p[i]/sp, q[i]/sq
		m := (a + b) / 2
		if a > 0 {
			d += a * math.Log(a/m)
		}
		if b > 0 {
			d += b * math.Log(b/m)
		}
	}
	return max(d/2, 0)
}

func sum(xs []float64) float64 {
	s := 0.0
	for _, x := range xs {
		s += x
	}
	return s
}

// psi is Σ (p - q) ln(p/q).
func psi(p, q []float64) float64 {
	s := 0.0
	for i := range p {
		s += (p[i] - q[i]) * math.Log(p[i]/q[i])
	}
	return s
}

// meanStd is the mean and the standard deviation with divisor n.
func meanStd(xs []float64) (mean, std float64) {
	mean = sum(xs) / float64(len(xs))
	for _, x := range xs {
		std += (x - mean) * (x - mean)
	}
	return mean, math.Sqrt(std / float64(len(xs)))
}

// above is the decision that a number at or above (strictly above, where strict) a threshold is drift.
func above(statistic string, value, threshold float64, strict bool, known string) Decision {
	return Decision{
		Statistic: statistic, Value: value, Threshold: threshold, OK: true, Why: known,
		Drift: value > threshold || (!strict && value == threshold),
	}
}

func number(name string, value float64, known string) Number {
	return Number{Name: name, Value: value, OK: true, Known: known}
}

func withP(name string, value, p float64, known string) Number {
	return Number{Name: name, Value: value, OK: true, P: p, HasP: true, Known: known}
}

func none(name, why string) Number { return Number{Name: name, Why: why} }

// topCounts keeps the tfdvTop largest counts, by count and then by position.
func topCounts(counts []uint64) []uint64 {
	if len(counts) <= tfdvTop {
		return counts
	}
	order := make([]int, len(counts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case counts[a] > counts[b]:
			return -1
		case counts[a] < counts[b]:
			return 1
		}
		return 0
	})
	out := make([]uint64, len(counts))
	for _, i := range order[:tfdvTop] {
		out[i] = counts[i]
	}
	return out
}
