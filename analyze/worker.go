package analyze

import (
	"context"
	"fmt"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// worker compares one feature after the other; its buffers are used again.
type worker struct {
	*analysis
	refParts, curParts []part
	scratch            []float64
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
	f.out = make([]Feature, 1+len(w.segments))
	for s := range f.out {
		ref, cur := &part{}, &w.curParts[s] // of a saved reference there are no values
		if w.frozen == nil {
			ref = &w.refParts[s]
		}
		switch {
		case kind == cells.Categorical && w.Convention == detectors.ConventionSciPy:
			f.out[s], err = w.categoricalSciPy(f, ref, cur, s == 0)
		case kind == cells.Categorical:
			f.out[s], err = w.categorical(f, ref, cur, s == 0)
		case w.Convention == detectors.ConventionSciPy:
			f.out[s], err = w.numericSciPy(f, ref, cur, s == 0)
		default:
			f.out[s], err = w.numeric(f, ref, cur, s == 0)
		}
		if err != nil {
			return err
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
		Statistics: map[string]result.Stat{}, Bins: []result.Bin{}, QValue: nil, NMin: 0, Thresholds: result.Thresholds{},
		Verdict: result.Insufficient, Reasons: []string{f.ignored},
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
	switch {
	case f.frozen != nil:
		return f.frozen.Space.Kind(), w.readCurrent(ctx, f, f.frozen.Space.Kind())
	case f.kind != "":
		kind := cells.Numeric
		if f.kind == cells.Categorical.String() {
			kind = cells.Categorical
		}
		if _, err := w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, kind); err != nil {
			return kind, err
		}
		return kind, w.readCurrent(ctx, f, kind)
	}
	seen, err := w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, cells.Numeric)
	if err != nil {
		return 0, err
	}
	if seen.texts == 0 && seen.numbers > 0 {
		return cells.Numeric, w.readCurrent(ctx, f, cells.Numeric)
	}
	if seen.texts == 0 { // the reference says nothing
		if seen, err = w.side(ctx, w.cur, f.cur, &w.curParts, w.curRows, cells.Numeric); err != nil || seen.texts == 0 {
			return cells.Numeric, err
		}
	}
	if seen.numbers > 0 {
		f.note = fmt.Sprintf("%s is categorical: it has %d texts such as %.40q beside %d numbers; --kind %s=numeric counts the texts as invalid",
			f.header, seen.texts, seen.text, seen.numbers, f.header)
	}
	if _, err = w.side(ctx, w.ref, f.ref, &w.refParts, w.refRows, cells.Categorical); err != nil {
		return 0, err
	}
	return cells.Categorical, w.readCurrent(ctx, f, cells.Categorical)
}

func (w *worker) readCurrent(ctx context.Context, f *feature, kind cells.Kind) error {
	_, err := w.side(ctx, w.cur, f.cur, &w.curParts, w.curRows, kind)
	return err
}

// side reads one column as a kind into parts. A column that is not there is missing in every row.
func (w *worker) side(ctx context.Context, t *rows.Table, column int, parts *[]part, of segmentation, kind cells.Kind) (*numericVisitor, error) {
	if len(*parts) != 1+len(w.segments) {
		*parts = make([]part, 1+len(w.segments))
	}
	for i := range *parts {
		(*parts)[i] = part{numbers: (*parts)[i].numbers[:0]}
	}
	var visitor rows.Visitor
	numeric := &numericVisitor{parts: *parts, rows: of}
	categorical := (*categoryVisitor)(nil)
	visitor = numeric
	if kind == cells.Categorical {
		categorical = newCategoryVisitor(*parts, of)
		visitor = categorical
	} else if len(*parts) == 1 && column >= 0 {
		(*parts)[0].numbers = slices.Grow((*parts)[0].numbers, int(min(t.Rows(), growAtOnce)))
	}
	if column < 0 {
		visitor.Nulls(int(t.Rows()))
	} else if err := t.Read(ctx, column, visitor); err != nil {
		return nil, err //nolint:wrapcheck // it says which file and where
	}
	if categorical != nil {
		categorical.end()
	}
	whole(*parts)
	return numeric, nil
}

// frozenNumeric returns the cells of the reference's side, and sorts both sides.
func (w *worker) frozenNumeric(f *feature, ref, cur *part, keep bool) (*reference.Feature, *cells.Counts, error) {
	w.scratch = sortFloats(cur.numbers, w.scratch)
	cellsOf := f.frozen
	if cellsOf == nil {
		w.scratch = sortFloats(ref.numbers, w.scratch)
		var err error
		if cellsOf, err = reference.FreezeNumeric(f.role, f.name, ref.numbers, w.Resolution); err != nil {
			return nil, nil, err //nolint:wrapcheck // it says which feature
		}
		cellsOf.Counts.Missing, cellsOf.Counts.Inf, cellsOf.Counts.Invalid = ref.missing, ref.inf, ref.invalid
		if keep {
			f.cells = cellsOf
		}
	}
	counts := cells.NewCounts(cellsOf.Space)
	counts.AddSorted(cur.numbers)
	counts.Missing, counts.Inf, counts.Invalid = cur.missing, cur.inf, cur.invalid
	return cellsOf, counts, nil
}

// frozenCategorical is frozenNumeric for categories.
func (w *worker) frozenCategorical(f *feature, ref, cur *part, keep bool) (*reference.Feature, *cells.Counts, error) {
	cellsOf := f.frozen
	if cellsOf == nil {
		var err error
		if cellsOf, err = reference.FreezeCategorical(f.role, f.name, ref.categories, reference.DefaultMaxCategories); err != nil {
			return nil, nil, err //nolint:wrapcheck // it says which feature
		}
		cellsOf.Counts.Missing, cellsOf.Counts.Inf, cellsOf.Counts.Invalid = ref.missing, ref.inf, ref.invalid
		if keep {
			f.cells = cellsOf
		}
	}
	counts := cells.NewCounts(cellsOf.Space)
	for category, n := range cur.categories {
		name := []byte(category)
		for range n {
			counts.AddCategory(name)
		}
	}
	counts.Missing, counts.Inf, counts.Invalid = cur.missing, cur.inf, cur.invalid
	return cellsOf, counts, nil
}

// growAtOnce bounds the numbers for which memory is taken before they are read: how many there are, a damaged file may say wrongly.
const growAtOnce = 1 << 24
