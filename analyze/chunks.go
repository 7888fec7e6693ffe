package analyze

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/rows"
)

// Natural variation, for `threshold: auto`: how far the reference's own stretches, each as long as the current file's window, are from the whole
// of it. A saved reference has counted them; of rows with times they are counted here, over the same stretches.

// chunkBytes bounds what the counts of one feature's chunks take, about.
const chunkBytes = 64 << 20

// chunking is how the reference is cut.
type chunking struct {
	reason string       // why it is not; empty: it is
	size   int64        // milliseconds
	of     segmentation // rows: the chunk of each, from 1 on; 0: it is in none
	n      int          // rows: how many chunks
}

// findChunks finds out how long the window is, and cuts the reference's rows into stretches of that length.
func (a *analysis) findChunks(ctx context.Context) error {
	if a.Config.Threshold != detectors.ThresholdAuto {
		return nil
	}
	pane := reference.DefaultPane
	var ref *span
	if a.frozen != nil {
		if a.frozen.Pane == 0 { // whatever the window
			a.chunks.size = 1
			return nil
		}
		pane = a.frozen.Pane
	} else {
		var err error
		if ref, err = a.spanOf(ctx, a.ref); err != nil || ref == nil {
			return err
		}
	}
	inferred := a.Window == 0
	if a.chunks.size = a.Window; inferred {
		cur, err := a.spanOf(ctx, a.cur)
		switch {
		case err != nil:
			return err
		case cur == nil:
			a.chunks.reason = "the length of the window is not known: " + a.chunks.reason
			return nil
		}
		a.chunks.size = windowOf(cur.last-cur.first+1, pane)
	}
	if a.frozen == nil {
		if err := a.cut(ctx, ref); err != nil {
			return err
		}
	}
	if inferred && a.chunks.reason == "" && detectors.EnoughChunks(a.countChunks()) {
		a.notes = append(a.notes, fmt.Sprintf("the thresholds learn from stretches of the reference of %s, which is about what the times of the current rows span",
			duration(a.chunks.size)))
	}
	return nil
}

func (a *analysis) countChunks() int {
	if a.frozen != nil {
		return len(a.frozen.Chunks(a.chunks.size, 0))
	}
	return a.chunks.n
}

// span is the event time of some rows, in Unix milliseconds.
type span struct{ first, last int64 }

// spanOf returns nil where the rows have no times that can be read, with the reason in a.chunks.
func (a *analysis) spanOf(ctx context.Context, t *rows.Table) (*span, error) {
	s := &span{first: math.MaxInt64, last: math.MinInt64}
	_, err := t.Times(ctx, func(ms int64, ok bool) {
		if ok {
			s.first, s.last = min(s.first, ms), max(s.last, ms)
		}
	})
	side := "the reference's rows"
	if t == a.cur {
		side = "the current rows"
	}
	switch bad := (*rows.Error)(nil); {
	case errors.As(err, &bad): // no reason to refuse a file whose times nobody asked for
		a.chunks.reason = bad.Error()
		return nil, nil //nolint:nilnil // no times and no error
	case err != nil:
		return nil, err //nolint:wrapcheck // it was interrupted
	case s.first > s.last:
		a.chunks.reason = side + " have no times"
		return nil, nil //nolint:nilnil // as above
	}
	return s, nil
}

// windowOf returns how long the window was whose rows span so many milliseconds: the first row seldom comes with its beginning and the last one
// with its end. It is rounded up to whole days or hours where that makes it longer by a sixteenth of the span at most, else to whole panes.
func windowOf(span, pane int64) int64 {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour} {
		ms := unit.Milliseconds()
		if up := (span + ms - 1) / ms * ms; ms%pane == 0 && up-span <= span/16 {
			return up
		}
	}
	return (span + pane - 1) / pane * pane
}

// cut finds the chunk of every row of the reference: those that reference.Chunks would find in a reference of the same rows.
func (a *analysis) cut(ctx context.Context, s *span) error {
	size := a.chunks.size
	pane := gcd(reference.DefaultPane, size)
	begin, end := floor(s.first, pane), floor(s.last, pane)+pane
	index := map[int64]uint16{}
	chunk := func(ms int64, ok bool) (start int64, in bool) {
		start = floor(ms, size)
		return start, ok && start >= begin && start+size <= end
	}
	if _, err := a.ref.Times(ctx, func(ms int64, ok bool) {
		if start, in := chunk(ms, ok); in && len(index) <= math.MaxUint16 {
			index[start] = 0
		}
	}); err != nil {
		return err //nolint:wrapcheck // it says which file and where
	}
	a.chunks.n = len(index)
	switch {
	case len(index) > math.MaxUint16:
		a.chunks.reason = fmt.Sprintf("the reference has more than %d chunks of the window's length", math.MaxUint16)
		return nil
	case !detectors.EnoughChunks(len(index)):
		a.chunks.reason = detectors.FewChunks(len(index)).Reason
		return nil
	}
	for i, start := range slices.Sorted(maps.Keys(index)) {
		index[start] = uint16(i + 1)
	}
	a.chunks.of = make(segmentation, 0, a.ref.Rows())
	_, err := a.ref.Times(ctx, func(ms int64, ok bool) {
		start, in := chunk(ms, ok)
		if !in {
			start = begin - 1 // no chunk begins there
		}
		a.chunks.of = append(a.chunks.of, index[start])
	})
	return err //nolint:wrapcheck // it says which file and where
}

// chunksOf returns the counts of a feature in the reference's chunks, over its cells; or why there are none.
func (w *worker) chunksOf(ctx context.Context, f *feature, over *reference.Feature) (detectors.Chunks, error) {
	switch {
	case w.Config.Threshold != detectors.ThresholdAuto:
		return detectors.NoChunks(""), nil
	case w.chunks.reason != "":
		return detectors.NoChunks(w.chunks.reason), nil
	case w.frozen != nil:
		return detectors.ChunksOf(w.frozen, over, w.chunks.size), nil
	}
	if size := 8 * (2*len(over.Space.Points()) + len(over.Space.Categories()) + 1); size*w.chunks.n > chunkBytes {
		return detectors.NoChunks(fmt.Sprintf("the counts of %d chunks of the window's length do not fit in %d MiB", w.chunks.n, chunkBytes>>20)), nil
	}
	parts := make([]part, 1+w.chunks.n)
	for i := range parts {
		parts[i].counts = cells.NewCounts(over.Space)
	}
	var v rows.Visitor = &frozenVisitor{parts: parts, rows: w.chunks.of, row: 0, scratch: new(exact.Scatter)}
	if over.Space.Kind() == cells.Categorical {
		v = &categoryVisitor{parts: parts, rows: w.chunks.of} //nolint:exhaustruct // it counts over cells, in one pass
	}
	if err := visit(ctx, w.ref, f.ref, v); err != nil {
		return detectors.Chunks{}, err
	}
	out := detectors.Chunks{Counts: nil, Reason: ""}
	for _, p := range parts[1:] {
		p.counts.Missing += p.missing
		p.counts.Inf += p.inf
		p.counts.Invalid += p.invalid
		out.Counts = append(out.Counts, p.counts)
	}
	return out, nil
}

// floor returns the largest multiple of step that is ≤ t, also for times before 1970.
func floor(t, step int64) int64 {
	return t - (t%step+step)%step
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// duration writes milliseconds as 24h or 1h30m.
func duration(ms int64) string {
	s := (time.Duration(ms) * time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
