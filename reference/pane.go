package reference

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact/wire"
)

// DefaultPane is the length of a reference's panes where nobody says another one, in milliseconds: what every window of whole
// quarters of an hour can be put together from.
const DefaultPane = int64(15 * 60 * 1000)

// DefaultPaneBytes bounds the counts by pane in the canonical bytes: where they would take more, the panes are made longer.
const DefaultPaneBytes = 64 << 20

// maxPaneRows bounds how many panes a reference has.
const maxPaneRows = 1 << 20

// untimed stands for the pane of a row without a time.
const untimed = int64(math.MinInt64)

// PaneRows is one pane of a reference: the rows with event times in [Start, Start + Pane).
type PaneRows struct {
	Start   int64 // Unix milliseconds, a multiple of Reference.Pane
	Rows    uint64
	Latency *cells.Histogram // nil where none of them has one
}

func (p PaneRows) compare(start int64) int { return cmp.Compare(p.Start, start) }

// Chunk is a stretch of a reference's event time: whole panes of it.
type Chunk struct {
	Start, End int64  // [Start, End), Unix milliseconds
	Rows       uint64 // with a time in it; never 0

	first, last int // its panes
}

// Chunks cuts the span of the reference's panes into stretches of size milliseconds that begin at multiples of size plus phase:
// what windows of this size would have been. Stretches that the panes do not cover from end to end, and those without rows, are
// left out. The panes at both ends count as covered, though the rows may begin or end inside of them. It returns nil where the
// reference has no panes, or where size or phase is not a multiple of them.
func (r *Reference) Chunks(size, phase int64) []Chunk {
	if r.Pane == 0 || size <= 0 || size%r.Pane != 0 || phase%r.Pane != 0 || len(r.Panes) == 0 {
		return nil
	}
	begin, end := r.Panes[0].Start, r.Panes[len(r.Panes)-1].Start+r.Pane
	var out []Chunk
	for i := range r.Panes {
		start := floor(r.Panes[i].Start-phase, size) + phase
		if start < begin || start+size > end {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Start != start {
			out = append(out, Chunk{Start: start, End: start + size, Rows: 0, first: i, last: i})
		}
		c := &out[len(out)-1]
		c.Rows += r.Panes[i].Rows
		c.last = i + 1
	}
	return out
}

// In returns the stretch [start, end) of the reference's panes; ok is false where it holds no rows, or is not of whole panes.
func (r *Reference) In(start, end int64) (c Chunk, ok bool) {
	if r.Pane == 0 || start%r.Pane != 0 || end%r.Pane != 0 || end <= start {
		return Chunk{}, false
	}
	at := func(t int64) int {
		i, _ := slices.BinarySearchFunc(r.Panes, t, PaneRows.compare)
		return i
	}
	c = Chunk{Start: start, End: end, Rows: 0, first: at(start), last: at(end)}
	for _, p := range r.Panes[c.first:c.last] {
		c.Rows += p.Rows
	}
	return c, c.Rows > 0
}

// ChunkCounts returns the feature's counts in a chunk of its reference, over the feature's cells: the caller may change them.
// Those of disjoint chunks add up to no more than Counts, and can be subtracted from a copy of these.
func (f *Feature) ChunkCounts(c Chunk) *cells.Counts {
	sum := cells.NewCounts(f.Space)
	for _, b := range f.panes[c.first:c.last] {
		n, _, err := cells.DecodeCounts(f.Space, b)
		if err == nil {
			err = sum.Merge(n)
		}
		if err != nil {
			panic(fmt.Sprintf("BUG: a pane of feature %q that was checked before: %v", f.Name, err))
		}
	}
	return sum
}

// floor returns the largest multiple of step that is ≤ t, also for times before 1970.
func floor(t, step int64) int64 {
	q := t / step
	if t%step < 0 {
		q--
	}
	return q * step
}

// appendPanes appends the counts by pane: the panes, then the counts of feature after feature.
func (r *Reference) appendPanes(b []byte) []byte {
	b = wire.AppendUvarint(b, uint64(r.Pane))
	b = wire.AppendUvarint(b, uint64(len(r.Panes)))
	for i := range r.Panes {
		p := &r.Panes[i]
		if i == 0 {
			b = wire.AppendVarint(b, p.Start/r.Pane)
		} else {
			b = wire.AppendUvarint(b, uint64((p.Start-r.Panes[i-1].Start)/r.Pane-1))
		}
		b = wire.AppendUvarint(b, p.Rows)
		if p.Latency == nil {
			b = append(b, 0)
		} else {
			b = p.Latency.AppendBinary(append(b, 1))
		}
	}
	for i := range r.Features {
		for _, counts := range r.Features[i].panes {
			b = append(b, counts...)
		}
	}
	return b
}

// decodePanes reads what appendPanes wrote, and checks it against the whole: no pane counts what the reference does not.
func decodePanes(ref *Reference, r *wire.Reader) error {
	pane := r.Uvarint()
	if pane == 0 || pane > math.MaxInt64/2 {
		r.Fail("panes of %d ms", pane)
	}
	ref.Pane = int64(pane)
	n := r.Count(3)
	if n == 0 || n > maxPaneRows {
		r.Fail("%d panes", n)
	}
	var rows uint64
	for i := range n {
		p := PaneRows{Start: 0, Rows: 0, Latency: nil}
		index := int64(0)
		if i == 0 {
			index = r.Varint()
		} else if gap := r.Uvarint(); gap > math.MaxInt32 {
			r.Fail("a gap of %d panes", gap)
		} else {
			index = ref.Panes[i-1].Start/ref.Pane + 1 + int64(gap)
		}
		if p.Rows = r.Uvarint(); r.Err() == nil && (p.Rows == 0 || p.Rows > ref.Rows-rows || index > math.MaxInt64/ref.Pane-1 || index < math.MinInt64/ref.Pane) {
			r.Fail("pane %d with %d rows", index, p.Rows)
		}
		if r.Err() != nil {
			return r.Err()
		}
		rows += p.Rows
		p.Start = index * ref.Pane
		var err error
		if p.Latency, err = decodeLatency(r, p.Rows); err != nil {
			return err
		}
		ref.Panes = append(ref.Panes, p)
	}
	if err := checkLatencies(ref); r.Err() == nil && err != nil {
		r.Fail("%v", err)
	}
	for i := range ref.Features {
		if err := ref.Features[i].decodePanes(r, ref.Panes); err != nil {
			return fmt.Errorf("panes of %q: %w", ref.Features[i].Name, err)
		}
	}
	return r.Err()
}

// checkLatencies says when the panes hold latencies that the whole does not.
func checkLatencies(ref *Reference) error {
	rest := cells.NewHistogram()
	if ref.Latency != nil {
		rest = ref.Latency.Clone()
	}
	for i := range ref.Panes {
		if l := ref.Panes[i].Latency; l != nil {
			if err := rest.Subtract(l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Feature) decodePanes(r *wire.Reader, panes []PaneRows) error {
	if r.Err() != nil {
		return r.Err()
	}
	rest := f.Counts.Clone()
	f.panes = make([][]byte, len(panes))
	for i := range panes {
		all := r.Rest()
		c, after, err := cells.DecodeCounts(f.Space, all)
		if err != nil {
			return err
		}
		if _, ok := c.Min(); f.Space.Kind() == cells.Numeric && c.N() > 0 && !ok {
			r.Fail("pane %d does not know its minimum", i)
		}
		if n := c.N() + c.Missing + c.Inf + c.Invalid; n != panes[i].Rows || c.N() > n || c.Missing > n || c.Inf > n || c.Invalid > n {
			r.Fail("pane %d has %d values and non-values in %d rows", i, n, panes[i].Rows)
		}
		if err := rest.Subtract(c); err != nil {
			return fmt.Errorf("%w: pane %d: %w", wire.ErrCorrupt, i, err)
		}
		f.panes[i] = slices.Clone(r.Bytes(len(all) - len(after)))
	}
	return r.Err()
}

// decodeLatency reads a flag and, where it is set, a histogram of some of the rows.
func decodeLatency(r *wire.Reader, rows uint64) (*cells.Histogram, error) {
	switch flag := r.Byte(); {
	case r.Err() != nil || flag == 0:
		return nil, r.Err()
	case flag != 1:
		r.Fail("a latency flag of %d", flag)
		return nil, r.Err()
	}
	h, rest, err := cells.DecodeHistogram(r.Rest())
	if err != nil {
		return nil, err
	}
	if h.Count() == 0 || h.Count() > rows {
		r.Fail("%d latencies of %d rows", h.Count(), rows)
	}
	r.Bytes(len(r.Rest()) - len(rest))
	return h, r.Err()
}
