package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/rivals"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// kind is a distribution of a feature: a grid of values or categories with probabilities, and how it is shifted.
type kind struct {
	name   string
	values []float64 // numeric; nil: categorical
	p      []float64
	shift  func(by float64) []float64 // the probabilities after a shift of that size
}

// quantileGrid is a continuous distribution as 500 values: 400 equally likely ones between the 1st and the 99th percentile, 50 that get
// geometrically rarer on either side, down to one in a million.
func quantileGrid(quantile func(u float64) float64) (values, p []float64) {
	edges := make([]float64, 0, 501)
	for i := range 50 {
		edges = append(edges, 1e-6*math.Pow(1e4, float64(i)/50))
	}
	for i := range 401 {
		edges = append(edges, 0.01+0.98*float64(i)/400)
	}
	for i := range 50 {
		edges = append(edges, 1-1e-6*math.Pow(1e4, float64(49-i)/50))
	}
	last := 0.0
	for i, u := range append(edges, 1) {
		middle := (last + u) / 2
		if i == 0 {
			middle = u / 2
		}
		values, p = append(values, quantile(middle)), append(p, u-last)
		last = u
	}
	return values, p
}

func normalQuantile(u float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*u) }

// moved are the probabilities of the grid after the whole distribution moved by a distance.
func moved(values, p []float64, cdf func(x float64) float64, by float64) []float64 {
	out := make([]float64, len(p))
	last := 0.0
	for i := range values {
		u := 1.0
		if i+1 < len(values) {
			u = cdf((values[i]+values[i+1])/2 - by)
		}
		out[i] = max(u-last, 0)
		last = u
	}
	return out
}

func kinds() []kind {
	nv, np := quantileGrid(normalQuantile)
	normalCDF := func(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }
	lv, lp := quantileGrid(func(u float64) float64 { return math.Exp(1.5 * normalQuantile(u)) })
	logCDF := func(x float64) float64 { return normalCDF(math.Log(max(x, 1e-300)) / 1.5) }
	logMoved := func(by float64) []float64 { // by a factor
		out, last := make([]float64, len(lp)), 0.0
		for i := range lv {
			u := 1.0
			if i+1 < len(lv) {
				u = logCDF(math.Sqrt(lv[i]*lv[i+1]) * math.Exp(-by))
			}
			out[i], last = max(u-last, 0), u
		}
		return out
	}
	dv, dp := make([]float64, 0, 8), make([]float64, 0, 8)
	for i := range 8 { // 0 to 7, Poisson with mean 2 as far as it goes
		g, _ := math.Lgamma(float64(i) + 1)
		dv, dp = append(dv, float64(i)), append(dp, math.Exp(-2+float64(i)*math.Ln2-g))
	}
	scale(dp)
	out := make([]kind, 0, 8)
	out = append(out, []kind{
		{"continuous (normal)", nv, np, func(by float64) []float64 { return moved(nv, np, normalCDF, by) }},
		{"discrete (counts 0 to 7)", dv, dp, tilt(dp)},
		{"heavy-tailed (log-normal, σ 1.5)", lv, lp, logMoved},
	}...)
	for _, k := range []int{5, 50, 500, 5_000, 50_000} {
		p := make([]float64, k)
		for i := range p {
			p[i] = 1 / float64(i+1)
		}
		scale(p)
		out = append(out, kind{fmt.Sprintf("categorical, %d (Zipf)", k), nil, p, tilt(p)})
	}
	return out
}

func scale(p []float64) {
	s := 0.0
	for _, x := range p {
		s += x
	}
	for i := range p {
		p[i] /= s
	}
}

// tilt makes every other probability larger and the rest smaller.
func tilt(p []float64) func(by float64) []float64 {
	return func(by float64) []float64 {
		out := make([]float64, len(p))
		for i, x := range p {
			out[i] = x * math.Exp(by*float64(1-2*(i%2)))
		}
		scale(out)
		return out
	}
}

// feature is a frozen reference of m values and what each tool keeps of it.
type feature struct {
	*kind
	null, now *distribution
	ref       *reference.Feature
	plan      *detectors.Plan
	names     [][]byte // of categories

	group []int                    // numeric: which unit a grid value counts in
	units [][]*cells.Counts        // numeric: by group, 2^j values each
	in    rivals.Feature           // numeric: Ref; categorical: RefTable, and the chunks
	rules []func() rivals.Decision // on the window in in.Cur or in.CurTable

	counts []uint64
	cur    rivals.Sample
}

// largestUnit is the power of two up to which units are kept: windows of up to 2^21 values.
const largestUnit = 20

// newFeature draws a reference in ten chunks and freezes it as every tool does.
func newFeature(rng *rand.Rand, k *kind, null *distribution, name string, m uint64) (*feature, error) {
	f := &feature{kind: k, null: null, now: null, counts: make([]uint64, len(k.p))}
	all := make([]uint64, len(k.p))
	chunks := make([][]uint64, 0, rivals.Chunks)
	for range rivals.Chunks {
		c := make([]uint64, len(k.p))
		null.draw(rng, m/rivals.Chunks, c)
		for i, n := range c {
			all[i] += n
		}
		chunks = append(chunks, c)
	}
	if k.values == nil {
		seen := map[string]uint64{}
		for i, n := range all {
			label := fmt.Sprintf("c%05d", i)
			f.names = append(f.names, []byte(label))
			if n > 0 {
				seen[label] = n
			}
		}
		var err error
		if f.ref, err = reference.FreezeCategorical(result.RoleFeature, name, reference.Categories{Counts: seen}, reference.DefaultMaxCategories); err != nil {
			return nil, err
		}
		f.in = rivals.Feature{Categorical: true, RefTable: all, TableChunks: chunks, Quick: true}
		return f, nil
	}
	sorted := make([]float64, 0, m)
	for i, n := range all {
		sorted = append(sorted, slices.Repeat([]float64{k.values[i]}, int(n))...)
	}
	var err error
	// Verdicts look at the bins, whose edges are always cut points; few other points make a window cheap.
	if f.ref, err = reference.FreezeNumeric(result.RoleFeature, name, sorted, 10); err != nil {
		return nil, err
	}
	f.in = rivals.Feature{Ref: sampleOf(k.values, all, nil), Quick: true}
	for _, c := range chunks {
		f.in.RefChunks = append(f.in.RefChunks, sampleOf(k.values, c, nil))
	}
	err = f.makeUnits(sorted[0], sorted[len(sorted)-1])
	return f, err
}

// makeUnits finds which grid values no verdict can tell apart, and counts 1, 2, 4, … values of each such group.
func (f *feature) makeUnits(least, most float64) error {
	type key struct {
		below  int
		at     bool
		beyond bool
	}
	groups := map[key]int{}
	for i, x := range f.values {
		at, equal := slices.BinarySearch(f.ref.Deciles, x)
		k := key{at, equal, x < least || x > most}
		if len(f.values) <= 40 {
			k = key{below: i}
		}
		g, ok := groups[k]
		if !ok {
			g = len(groups)
			groups[k] = g
			unit := cells.NewCounts(f.ref.Space)
			unit.AddNumber(x)
			units := []*cells.Counts{unit}
			for range largestUnit {
				unit = unit.Clone()
				if err := unit.Merge(units[len(units)-1]); err != nil {
					return err
				}
				units = append(units, unit)
			}
			f.units = append(f.units, units)
		}
		f.group = append(f.group, g)
	}
	return nil
}

func sampleOf(values []float64, counts []uint64, into *rivals.Sample) rivals.Sample {
	var s rivals.Sample
	if into != nil {
		s = rivals.Sample{Values: into.Values[:0], Counts: into.Counts[:0]}
	}
	for i, n := range counts {
		if n > 0 {
			s.Values, s.Counts = append(s.Values, values[i]), append(s.Counts, n)
		}
	}
	return s
}

// window draws n values and returns them as driftd counts them; the rivals see them in f.in.
func (f *feature) window(rng *rand.Rand, from *distribution, n uint64) (*cells.Counts, error) {
	from.draw(rng, n, f.counts)
	c := cells.NewCounts(f.ref.Space)
	if f.values == nil {
		for i, k := range f.counts {
			if k > 0 {
				c.AddCategories(f.names[i], k)
			}
		}
		f.in.CurTable = f.counts
		return c, nil
	}
	var of [64]uint64
	for i, k := range f.counts {
		of[f.group[i]] += k
	}
	for g, k := range of[:len(f.units)] {
		for j := 0; k > 0; j, k = j+1, k>>1 {
			if k&1 == 1 {
				if err := c.Merge(f.units[g][j]); err != nil {
					return nil, err
				}
			}
		}
	}
	f.cur = sampleOf(f.values, f.counts, &f.cur)
	f.in.Cur = f.cur
	return c, nil
}

// shifted is the distribution after a shift of that size.
func (k *kind) shifted(psi float64) *distribution { return newDistribution(k.shift(k.size(psi))) }

// size solves for the shift whose population stability index over the reference's bins is psi: deciles of a numeric feature, the
// categories of a categorical one.
func (k *kind) size(psi float64) float64 {
	lo, hi := 0.0, 1.0
	for k.psi(k.shift(hi)) < psi {
		hi *= 2
	}
	for range 60 {
		if mid := (lo + hi) / 2; k.psi(k.shift(mid)) < psi {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}

func (k *kind) psi(q []float64) float64 {
	bins := len(k.p)
	of := func(i int, _ float64) int { return i }
	if k.values != nil && bins > 40 {
		bins = 10
		of = func(_ int, u float64) int { return min(int(10*u), 9) }
	}
	a, b := make([]float64, bins), make([]float64, bins)
	u := 0.0
	for i, x := range k.p {
		at := of(i, u+x/2)
		a[at] += x
		b[at] += q[i]
		u += x
	}
	s := 0.0
	for i := range a {
		if a[i] > 0 && b[i] > 0 {
			s += (a[i] - b[i]) * math.Log(a[i]/b[i])
		}
	}
	return s
}
