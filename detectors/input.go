package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Input is everything that a statistic of one feature may look at: two counts over the same cells, and a table of bins, each
// a union of cells. It is built once per feature and window.
type Input struct {
	Ref, Cur   *cells.Counts // never nil, over the same cells
	Singletons uint64        // categories that the reference saw once: the Good-Turing estimate of what it did not see
	Distinct   uint64        // distinct values or categories of the reference
	Config     Config

	Bins    []result.Bin // the table for people: every bin that is not empty on both sides
	RefBins []uint64     // the counts of Bins
	CurBins []uint64

	JudgedRef []uint64 // the judged table: Bins pooled until each expects enough values
	JudgedCur []uint64
	otherBin  int // which of Bins is the categories that are not tracked; -1: none

	basis   *basis
	side    result.Side // the window's
	moments moments     // the window's
	moved   float64     // the window's mean less the reference's, with sumMeans
	movedOK bool        // it exists
	sweep   *sweep      // of a numeric feature: what one walk over the cells says

	// Problem says why no statistic of the distribution exists; empty: they do.
	Problem string
}

// NewInput compares the counts of a window with a feature of the reference. It keeps both and changes neither.
func NewInput(f *reference.Feature, cur *cells.Counts, cfg Config) Input {
	return newBasis(f, cfg).input(cur, cfg, everySum)
}

// input compares the counts of a window, and sums up what is wanted of their cells.
func (b *basis) input(cur *cells.Counts, cfg Config, want sums) Input {
	f := b.f
	in := Input{
		Ref: f.Counts, Cur: cur, Singletons: f.Singletons, Config: cfg, Distinct: f.Distinct, Bins: nil, RefBins: nil, CurBins: nil, JudgedRef: nil,
		JudgedCur: nil, otherBin: -1, basis: b, side: result.Side{}, moments: moments{}, moved: 0, movedOK: false, sweep: nil, Problem: "", //nolint:exhaustruct // below
	}
	if !f.Counts.Space().Equal(cur.Space()) {
		in.Cur = cells.NewCounts(f.Counts.Space())
		in.side = reference.Describe(in.Cur)
		in.Problem = "the window was counted over other cells than the reference's: count it again over these"
		return in
	}
	in.side, in.moments.variance, in.moments.spread = reference.DescribeVariance(cur)
	if want&sumMeans != 0 {
		in.moved, in.movedOK = exact.MeanDifference(&cur.Sum, in.N(), &f.Counts.Sum, in.M())
	}
	switch {
	case in.M() == 0:
		in.Problem = "the reference has no values"
	case in.N() == 0:
		in.Problem = "the window has no values"
	}
	if f.Space.Kind() == cells.Categorical {
		in.Bins, in.otherBin = categoryTable(f.Counts, cur)
	} else {
		if in.Problem == "" {
			in.Problem = b.problem
		}
		in.sweep = newSweep(b, cur, want)
		in.side.Median = in.sweep.middle.value(cur)
		if b.problem == "" {
			in.Bins = b.table(in.sweep.bins)
		}
	}
	in.RefBins, in.CurBins = make([]uint64, len(in.Bins)), make([]uint64, len(in.Bins))
	for i, b := range in.Bins {
		in.RefBins[i], in.CurBins[i] = b.Reference, b.Current
	}
	if in.Problem == "" {
		in.JudgedRef, in.JudgedCur = in.judgedTable()
	}
	return in
}

// judged is the input with the judged table in place of the one for people.
func (in Input) judged() Input {
	in.RefBins, in.CurBins = in.JudgedRef, in.JudgedCur
	return in
}

// empty says why statistics on values do not exist, where they do not: unlike those on bins they need no table.
func (in Input) empty() (reason string, ok bool) {
	if in.M() == 0 || in.N() == 0 {
		return in.Problem, true
	}
	return "", false
}

// N is the number of values in the window's distribution.
func (in Input) N() uint64 { return in.Cur.N() }

// M is the number of values in the reference's distribution.
func (in Input) M() uint64 { return in.Ref.N() }
