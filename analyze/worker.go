package analyze

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// worker compares one feature after the other; its buffers are used again.
type worker struct {
	*analysis
	refParts, curParts []part
	scratch            []float64
	scatter            exact.Scatter
	found              []reference.Categories // of the reference's side, by part, until they are frozen
	memo               *detectors.Memo
}

// evaluate judges a feature by itself, in all rows or in a segment, over cells.
func (w *worker) evaluate(ctx context.Context, f *feature, over *reference.Feature, cur *cells.Counts, whole bool) (result.Feature, error) {
	chunks := detectors.NoChunks("segments are judged by the configured thresholds")
	if whole {
		var err error
		if chunks, err = w.chunksOf(ctx, f, over); err != nil {
			return result.Feature{}, err
		}
	}
	return detectors.NewPlan(over, w.Config, chunks, w.memo).Evaluate(cur), nil
}

// compare fills f.out.
func (w *worker) compare(ctx context.Context, f *feature) error {
	if f.ignored != "" {
		w.list(f)
		return nil
	}
	kind, err := w.read(ctx, f)
	if err != nil {
		return err
	}
	var chunks []part
	if isRival(w.Convention) {
		if chunks, err = w.chunked(ctx, f, kind); err != nil {
			return err
		}
	}
	f.out = make([]Feature, 1+len(w.segments))
	for s := range f.out {
		ref, cur := &part{}, &w.curParts[s] // of a saved reference there are no values
		if w.frozen == nil {
			ref = &w.refParts[s]
		}
		switch {
		case kind == cells.Categorical && w.Convention == detectors.ConventionSciPy:
			f.out[s], err = w.categoricalSciPy(ctx, f, ref, cur, s == 0)
		case kind == cells.Categorical:
			f.out[s], err = w.categorical(ctx, f, ref, cur, s == 0)
		case w.Convention == detectors.ConventionSciPy:
			f.out[s], err = w.numericSciPy(ctx, f, ref, cur, s == 0)
		default:
			f.out[s], err = w.numeric(ctx, f, ref, cur, s == 0)
		}
		if err != nil {
			return err
		}
		if isRival(w.Convention) {
			if s > 0 {
				chunks = nil // they are those of all rows
			}
			if err := w.rival(&f.out[s], kind, ref, cur, chunks); err != nil {
				return err
			}
		}
	}
	return nil
}

// list makes the entry of a column that is not compared.
func (w *worker) list(f *feature) {
	side := func(t *rows.Table, has bool) result.Side {
		if t == nil || !has {
			return result.Side{}
		}
		return result.Side{Count: t.Rows()}
	}
	entry := Feature{Feature: result.Feature{
		Feature: f.name, Role: f.role, Kind: KindIgnored, Reference: side(w.ref, f.ref >= 0), Current: side(w.cur, f.cur >= 0),
		Statistics: map[string]result.Stat{}, Bins: []result.Bin{}, QValue: nil, NMin: 0, Weight: 0, Thresholds: result.Thresholds{},
		Verdict: result.Insufficient, Reasons: []string{f.ignored}, Seen: nil,
	}, Shape: nil}
	for _, name := range statisticNames(w.Convention, cells.Numeric) {
		entry.Statistics[name] = null(f.ignored)
	}
	f.out = slices.Repeat([]Feature{entry}, 1+len(w.segments))
}

// statisticNames are the statistics of a kind under a convention.
func statisticNames(convention string, kind cells.Kind) []string {
	if convention == detectors.ConventionSciPy {
		return scipyNames(kind)
	}
	var names []string
	for _, s := range detectors.Builtin() {
		if s.AppliesTo(kind) {
			names = append(names, s.Name)
		}
	}
	return names
}

// read reads both sides and says what kind of feature it is: as asked for, as the saved reference has it, or as the values of
// the reference show, those of the current file where there are none.
func (w *worker) read(ctx context.Context, f *feature) (cells.Kind, error) {
	kind, err := w.readReference(ctx, f)
	if err == nil && kind == cells.Categorical {
		err = w.freezeCategories(f)
	}
	if err != nil {
		return kind, err
	}
	_, err = w.side(ctx, w.cur, f.cur, &w.curParts, w.curRows, kind, f)
	return kind, err
}

// readReference reads the reference's side, where it is not frozen, and decides on the kind.
func (w *worker) readReference(ctx context.Context, f *feature) (cells.Kind, error) {
	switch {
	case f.frozen != nil:
		return f.frozen.Space.Kind(), nil
	case f.kind != "":
		kind := cells.Numeric
		if f.kind == cells.Categorical.String() {
			kind = cells.Categorical
		}
		_, err := w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, kind, f)
		return kind, err
	}
	seen, err := w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, cells.Numeric, f)
	if err != nil {
		return 0, err
	}
	if seen.texts == 0 && seen.numbers == 0 { // the reference says nothing
		if seen, err = w.side(ctx, w.cur, f.cur, &w.curParts, w.curRows, cells.Numeric, f); err != nil {
			return 0, err
		}
	}
	if seen.texts == 0 {
		return cells.Numeric, nil
	}
	if seen.numbers > 0 {
		f.note = fmt.Sprintf("%s is categorical: it has %d texts such as %.40q beside %d numbers; --kind %s=numeric counts the texts as invalid",
			f.header, seen.texts, seen.text, seen.numbers, f.header)
	}
	_, err = w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, cells.Categorical, f)
	return cells.Categorical, err
}

// side reads one column as a kind into parts. A column that is not there is missing in every row.
func (w *worker) side(ctx context.Context, t *rows.Table, column int, parts *[]part, of segmentation, kind cells.Kind, f *feature) (*numericVisitor, error) {
	if len(*parts) != 1+len(w.segments) {
		*parts = make([]part, 1+len(w.segments))
	}
	for i := range *parts {
		(*parts)[i] = part{numbers: (*parts)[i].numbers[:0]}
	}
	if kind == cells.Categorical {
		return nil, w.categories(ctx, t, column, *parts, of, f)
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if f.frozen != nil {
		for i := range *parts {
			(*parts)[i].counts = cells.NewCounts(f.frozen.Space)
		}
		return nil, visit(ctx, t, column, &frozenVisitor{parts: *parts, rows: of, row: 0, scratch: &w.scatter})
	}
	numeric := &numericVisitor{parts: *parts, rows: of, row: 0, text: "", texts: 0, numbers: 0, room: w.room(), stop: cancel}
	if len(*parts) == 1 && column >= 0 {
		(*parts)[0].numbers = slices.Grow((*parts)[0].numbers, int(min(t.Rows(), growAtOnce, numeric.room)))
	}
	err := visit(inner, t, column, numeric)
	if errors.Is(context.Cause(inner), errTooManyNumbers) {
		return nil, &UsageError{fmt.Sprintf("column %s: more than %d numbers do not fit in %d MiB of memory; allow more by --memory, or take a sample",
			t.Columns()[column].Header, numeric.room, w.Memory>>20)}
	}
	if err != nil {
		return nil, err
	}
	whole(*parts)
	return numeric, nil
}

// categories reads a column as categories: the reference's are frozen, those of the current file counted over the cells of these. Under
// another convention than the default all are kept.
func (w *worker) categories(ctx context.Context, t *rows.Table, column int, parts []part, of segmentation, f *feature) error {
	if w.Convention != detectors.ConventionDefault {
		_, err := w.tallyColumn(ctx, t, column, parts, of, heldBytesSciPy, func(tallys []*tally) {
			for i := range parts {
				parts[i].tally = tallys[i]
			}
		})
		if errors.Is(err, errTooManyCategories) {
			name := t.Columns()[column].Header
			return &UsageError{fmt.Sprintf("column %s: --convention %s lists every category, and these are more than %d MiB of them; "+
				"use the default convention, or leave the column out by --kind %s=ignore", name, w.Convention, heldBytesSciPy>>20, name)}
		}
		if err == nil {
			whole(parts)
		}
		return err
	}
	if t == w.cur {
		for i := range parts {
			space := f.frozen
			if space == nil {
				space = w.refParts[i].frozen
			}
			parts[i].counts = cells.NewCounts(space.Space)
		}
		v := &categoryVisitor{parts: parts, rows: of, row: 0, buf: nil, tallys: nil, passes: 1, pass: 0, most: 0, held: 0, seen: 0, stop: nil}
		if err := visit(ctx, t, column, v); err != nil {
			return err
		}
		whole(parts)
		return nil
	}
	found := make([]reference.Categories, len(parts))
	reset := func() {
		for i := range found {
			found[i] = reference.Categories{Counts: map[string]uint64{}, Rare: 0, RareDistinct: 0, RareSingletons: 0}
		}
	}
	reset()
	_, err := w.tallyColumn(ctx, t, column, parts, of, heldBytes, func(tallys []*tally) {
		if tallys == nil {
			reset()
		}
		for i, t := range tallys {
			t.reduce(&found[i])
		}
	})
	if err != nil {
		return err
	}
	whole(parts)
	w.found = found
	return nil
}

// frozenNumeric returns the cells of the reference's side, and sorts both sides. Where the reference is a saved one, the values were counted
// as they were read.
func (w *worker) frozenNumeric(f *feature, ref, cur *part, keep bool) (*reference.Feature, *cells.Counts, error) {
	if f.frozen != nil {
		return f.frozen, cur.counts, nil
	}
	w.scratch = sortFloats(cur.numbers, w.scratch)
	w.scratch = sortFloats(ref.numbers, w.scratch)
	cellsOf, err := reference.FreezeNumeric(f.role, f.name, ref.numbers, w.Resolution)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // it says which feature
	}
	cellsOf.Counts.Missing, cellsOf.Counts.Inf, cellsOf.Counts.Invalid = ref.missing, ref.inf, ref.invalid
	if keep {
		f.cells = cellsOf
	}
	counts := cells.NewCounts(cellsOf.Space)
	counts.AddSorted(cur.numbers)
	counts.Missing, counts.Inf, counts.Invalid = cur.missing, cur.inf, cur.invalid
	return cellsOf, counts, nil
}

// freezeCategories makes the cells of the reference's side, of each segment on its own.
func (w *worker) freezeCategories(f *feature) error {
	if f.frozen != nil {
		return nil
	}
	for i := range w.refParts {
		p := &w.refParts[i]
		var found reference.Categories
		if p.tally != nil {
			found = reference.Categories{Counts: map[string]uint64{}, Rare: 0, RareDistinct: 0, RareSingletons: 0}
			p.tally.reduce(&found)
		} else {
			found = w.found[i]
		}
		var err error
		if p.frozen, err = reference.FreezeCategorical(f.role, f.name, found, reference.DefaultMaxCategories); err != nil {
			return err //nolint:wrapcheck // it says which feature
		}
		p.frozen.Counts.Missing, p.frozen.Counts.Inf, p.frozen.Counts.Invalid = p.missing, p.inf, p.invalid
	}
	w.found = nil
	return nil
}

// frozenCategorical is frozenNumeric for categories.
func (w *worker) frozenCategorical(f *feature, ref, cur *part, keep bool) (*reference.Feature, *cells.Counts) {
	cellsOf, counts := f.frozen, cur.counts
	if cellsOf == nil {
		cellsOf = ref.frozen
		if keep {
			f.cells = cellsOf
		}
	}
	if counts == nil {
		counts = cells.NewCounts(cellsOf.Space)
		cur.tally.countInto(counts)
	}
	counts.Missing, counts.Inf, counts.Invalid = cur.missing, cur.inf, cur.invalid
	return cellsOf, counts
}

// room is how many numbers of one column a side may have.
func (w *worker) room() uint64 {
	buffers := int64(buffersWhole)
	if w.segments != nil {
		buffers = buffersSegments
	}
	return uint64(w.Memory / numberBytes / buffers)
}

// What a column of numbers takes: eight bytes each, both sides, and as much as the larger one to sort with; with segments a copy of each.
const (
	numberBytes     = 8
	buffersWhole    = 3
	buffersSegments = 5
)

// growAtOnce bounds the numbers for which memory is taken before they are read: how many there are, a damaged file may say wrongly.
const growAtOnce = 1 << 24
