package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// basis is what of the inputs of one feature follows from its reference and the configuration alone: a plan makes it once for all windows.
type basis struct {
	f       *reference.Feature
	side    result.Side // the reference's
	bins    []fixedBin  // of a numeric feature
	problem string      // why it has none
	blocks  []uint64    // the reference's values in each block of cells between the points

	moments moments // the reference's
	std     float64 // with divisor m; 0 where it is 0 or does not exist
}

// moments are of one side.
type moments struct {
	variance float64 // with divisor count - 1
	spread   bool    // it exists
}

func newBasis(f *reference.Feature, cfg Config) *basis {
	b := &basis{f: f, side: result.Side{}, bins: nil, problem: "", blocks: nil, moments: moments{}, std: 0} //nolint:exhaustruct // below
	b.side, b.moments.variance, b.moments.spread = reference.DescribeVariance(f.Counts)
	if f.Space.Kind() != cells.Numeric {
		return b
	}
	edges, problem := binEdges(f, cfg.Bins)
	if b.problem = problem; problem == "" {
		b.bins = fixedBins(f.Space.Points(), edges)
	}
	s := newSweep(b, f.Counts, 0)
	for i, n := range s.bins {
		b.bins[i].ref = n
	}
	var counts [blockSize]uint64
	for d := f.Counts.Dense(); ; {
		n := d.Read(counts[:])
		if n == 0 {
			break
		}
		b.blocks = append(b.blocks, sumOf(counts[:n]))
	}
	b.side.Median = s.middle.value(f.Counts)
	if _, v, ok := exact.MeanVariance(&f.Counts.Sum, &f.Counts.SumSquares, f.Counts.N(), 0); ok && v > 0 {
		b.std = math.Sqrt(v)
	}
	return b
}

// table is the bins that are not empty on both sides.
func (b *basis) table(cur []uint64) []result.Bin {
	bins := make([]result.Bin, 0, len(b.bins))
	for i := range b.bins {
		if f := &b.bins[i]; f.ref > 0 || cur[i] > 0 {
			bins = append(bins, result.Bin{Label: f.label, Reference: f.ref, Current: cur[i]})
		}
	}
	return bins
}
