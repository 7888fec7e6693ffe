package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Input is everything that a statistic of one feature may look at: two counts over the same cells, and a table of bins, each
// a union of cells. It is built once per feature and window.
type Input struct {
	Ref, Cur   *cells.Counts // never nil, over the same cells
	Singletons uint64        // categories that the reference saw once: the Good-Turing estimate of what it did not see
	Config     Config

	Bins    []result.Bin // the table for people: every bin that is not empty on both sides
	RefBins []uint64     // the counts of Bins
	CurBins []uint64

	// Problem says why no statistic of the distribution exists; empty: they do.
	Problem string
}

// NewInput compares the counts of a window with a feature of the reference. It keeps both and changes neither.
func NewInput(f *reference.Feature, cur *cells.Counts, cfg Config) Input {
	in := Input{
		Ref: f.Counts, Cur: cur, Singletons: f.Singletons, Config: cfg,
		Bins: nil, RefBins: nil, CurBins: nil, Problem: "",
	}
	if !f.Counts.Space().Equal(cur.Space()) {
		in.Cur = cells.NewCounts(f.Counts.Space())
		in.Problem = "the window was counted over other cells than the reference's: count it again over these"
		return in
	}
	switch {
	case in.M() == 0:
		in.Problem = "the reference has no values"
	case in.N() == 0:
		in.Problem = "the window has no values"
	}
	bins, problem := binTable(f, cur, cfg.Bins)
	if in.Problem == "" {
		in.Problem = problem
	}
	in.Bins = bins
	for _, b := range bins {
		in.RefBins = append(in.RefBins, b.Reference)
		in.CurBins = append(in.CurBins, b.Current)
	}
	return in
}

// N is the number of values in the window's distribution.
func (in Input) N() uint64 { return in.Cur.N() }

// M is the number of values in the reference's distribution.
func (in Input) M() uint64 { return in.Ref.N() }
