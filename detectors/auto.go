package detectors

import (
	"fmt"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Natural variation: days differ although nothing is wrong. The reference knows by how much, where it is long enough: each of its chunks, as
// long as the judged window and in phase with it, is compared with the reference without it.

// minChunks is how many chunks it takes to say anything about their spread.
const minChunks = 10

// Chunks are the counts of one feature in the reference's own chunks, over the reference's cells; or why there are none.
type Chunks struct {
	Counts []*cells.Counts
	Reason string
}

// NoChunks says why there are none.
func NoChunks(reason string) Chunks { return Chunks{Counts: nil, Reason: reason} }

// EnoughChunks reports whether so many chunks say anything about their spread.
func EnoughChunks(n int) bool { return n >= minChunks }

// FewChunks says that there are only n, which are not enough.
func FewChunks(n int) Chunks {
	return NoChunks(fmt.Sprintf("the reference has %d chunks of the window's length, and needs %d", n, minChunks))
}

// ChunksOf cuts a feature of a reference into chunks as long as a window, which is size milliseconds. They begin where windows that follow each
// other do; those of overlapping windows have the same length, and stand for them.
func ChunksOf(ref *reference.Reference, f *reference.Feature, size int64) Chunks {
	switch {
	case ref.Pane == 0:
		return NoChunks("the reference's rows have no times")
	case size%ref.Pane != 0:
		return NoChunks(fmt.Sprintf("the reference is counted by panes of %d s, which do not divide the window", ref.Pane/1000))
	}
	chunks := ref.Chunks(size, 0)
	if !EnoughChunks(len(chunks)) {
		return FewChunks(len(chunks))
	}
	out := Chunks{Counts: make([]*cells.Counts, 0, len(chunks)), Reason: ""}
	for _, c := range chunks {
		out.Counts = append(out.Counts, f.ChunkCounts(c))
	}
	return out
}

// natural is what the chunks of a reference say.
type natural struct {
	smoothing stat.Smoothing
	chunks    []refTable       // aligned with the reference's table: as many bins
	table     refTable         // of the whole reference
	known     map[string]bound // by the judged table of the reference
}

// bound is the largest PSI, before debiasing, that a chunk would show in 999 of 1,000 cases.
type bound struct {
	psi    float64
	chunks int
}

// newNatural returns nil and the reason where auto is off.
func (p *Plan) newNatural(chunks Chunks) (*natural, string) {
	switch {
	case p.gate != DefaultGate:
		return nil, "auto is off: it needs the gate " + DefaultGate
	case chunks.Reason != "":
		return nil, "auto is off: " + chunks.Reason
	case p.nMin == 0:
		return nil, "auto is off: the reference is too small"
	}
	out := &natural{smoothing: p.cfg.smoothing(), chunks: nil, table: p.table, known: map[string]bound{}}
	for _, c := range chunks.Counts {
		if c.N() < p.nMin {
			continue // such a window is not judged
		}
		in := p.basis.input(c, p.cfg, 0)
		if in.Problem != "" {
			return nil, "auto is off: " + in.Problem
		}
		t := refTable{categorical: p.table.categorical, bins: make([]uint64, 0, len(p.table.bins)), other: 0}
		for i, r := range in.RefBins {
			switch {
			case r == 0:
			case i == in.otherBin:
				t.other = in.CurBins[i]
			default:
				t.bins = append(t.bins, in.CurBins[i])
			}
		}
		out.chunks = append(out.chunks, t)
	}
	if n := len(out.chunks); n < minChunks {
		return nil, fmt.Sprintf("auto is off: the reference has %d chunks of the window's length with %d values or more, and needs %d", n, p.nMin, minChunks)
	}
	return out, ""
}

// raise sets the thresholds of a window: at least what its own pooled table would show of the reference's chunks, less the debiasing of this
// window.
func (a *natural) raise(in *Input, t *result.Thresholds) {
	b := a.bound(in.N())
	limit := b.psi - in.judged().bias()
	by := fmt.Sprintf("%d chunks of the reference reach %s", b.chunks, digits(max(limit, 0), 3))
	if limit <= t.Warning {
		t.Auto = by + ": the thresholds stay"
		return
	}
	t.Auto = fmt.Sprintf("%s: raised from %s and %s", by, short(t.Warning), short(t.Drift))
	t.Warning, t.Drift = limit, max(limit, t.Drift)
}

// bound fits the chunks' PSI over the judged table of a window of n values.
func (a *natural) bound(n uint64) bound {
	group := a.groups(n)
	key := fmt.Sprint(group)
	if b, ok := a.known[key]; ok {
		return b
	}
	whole := pooled(a.table, group)
	var sum, squares float64
	all := make([]float64, 0, len(a.chunks))
	for _, c := range a.chunks {
		own := pooled(c, group)
		rest := slices.Clone(whole)
		for i := range rest {
			rest[i] -= own[i]
		}
		psi, ok := stat.PSI(rest, own, a.smoothing)
		if !ok {
			continue // one chunk is the whole reference
		}
		all = append(all, psi)
		sum += psi
	}
	k := float64(len(all))
	for _, psi := range all {
		d := psi - sum/k
		squares += float64(d * d)
	}
	b := bound{psi: 0, chunks: len(all)}
	if k > 1 {
		b.psi = stat.GammaBound(sum/k, squares/(k-1), nullTail)
	}
	a.known[key] = b
	return b
}

// groups says into which judged bin each bin of the reference goes, `other` last.
func (a *natural) groups(n uint64) []int {
	out := make([]int, len(a.table.bins)+1)
	if !a.table.categorical {
		i := 0
		for k, size := range poolOrdered(a.table.bins, n) {
			for range size {
				out[i] = k
				i++
			}
		}
		return out
	}
	own := poolCategories(a.table.bins, a.table.other, n)
	for i := range out {
		out[i] = len(own)
	}
	for k, i := range own {
		out[i] = k
	}
	return out
}

// pooled sums the bins of a table up.
func pooled(t refTable, group []int) []uint64 {
	out := make([]uint64, slices.Max(group)+1)
	for i, c := range t.bins {
		out[group[i]] += c
	}
	if t.categorical {
		out[group[len(t.bins)]] += t.other
	}
	return out
}
