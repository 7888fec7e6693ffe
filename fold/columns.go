package fold

import (
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/window"
)

// run is events that were counted into one pane but for their features, which are counted together, column by column: counts add in any
// order, and a column stays in the caches.
type run struct {
	binder  *binder
	pane    *window.Pane
	columns *event.Columns
	rows    []int
}

// runs are what is to be counted yet. All of it is before anything looks at a pane; a run is with its message, if that is a columnar one, or
// when it has enough events. Else those of the next messages join it.
type runs struct {
	open     []*run
	of       map[runKey]*run
	last     *run // that an event was put to
	spare    []*run
	values   int
	bytes    int  // of the messages since there was none to be counted
	counting bool // one is being counted: a panic is one of its values'

	counts  []uint64 // scratch, by word of a dictionary
	numbers []float64
	sums    exact.Scatter
}

type runKey struct {
	pane    *window.Pane
	columns *event.Columns
}

// add puts events to those of their run, or begins one. The rows rise.
func (r *runs) add(b *binder, pane *window.Pane, columns *event.Columns, rows ...int) {
	one := r.last
	if one == nil || one.pane != pane || one.columns != columns {
		one = r.of[runKey{pane, columns}]
	}
	if one == nil {
		one = r.begin(b, pane, columns)
	}
	r.last = one
	one.rows = append(one.rows, rows...)
	r.values += len(rows) * columns.Len()
}

func (r *runs) begin(b *binder, pane *window.Pane, columns *event.Columns) *run {
	one := &run{} //nolint:exhaustruct // filled below
	if n := len(r.spare); n > 0 {
		one, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	one.binder, one.pane, one.columns = b, pane, columns
	if r.of == nil {
		r.of = map[runKey]*run{}
	}
	r.open, r.of[runKey{pane, columns}] = append(r.open, one), one
	columns.Hold()
	return one
}

const (
	// enoughRows of a run are counted as well as more of them would be.
	enoughRows = 256
	// enoughValues of all runs fill 4 MiB, and are enough rows of each of a hundred models that take turns.
	enoughValues = 1 << 19
	// enoughBytes of messages are kept for their strings.
	enoughBytes = 8 << 20
)

// ended counts what waits no longer than to the end of messages, which had so many bytes.
func (r *runs) ended(p *Partition, bytes int) {
	if len(r.open) == 0 {
		return
	}
	r.bytes += bytes
	switch last := r.last; {
	case r.values >= enoughValues || r.bytes >= enoughBytes:
		r.flush(p)
	case last == nil:
	case !last.columns.Lasting(), len(last.rows) >= enoughRows, last.columns.Rows()*last.columns.Len() >= enoughValues:
		r.flushColumns(p, last.columns)
	}
}

// flush counts all that is to be counted.
func (r *runs) flush(p *Partition) {
	if len(r.open) > 0 {
		r.flushColumns(p, nil)
	}
}

// flushColumns counts what is in some columns, or in all of them, and releases them.
func (r *runs) flushColumns(p *Partition, columns *event.Columns) {
	r.counting = true
	for _, one := range r.open {
		if columns == nil || one.columns == columns {
			r.count(p, one)
		}
	}
	kept := r.open[:0]
	for _, one := range r.open {
		if columns != nil && one.columns != columns {
			kept = append(kept, one)
			continue
		}
		delete(r.of, runKey{one.pane, one.columns})
		r.values -= len(one.rows) * one.columns.Len()
		one.columns.Release()          // several runs may be of them
		*one = run{rows: one.rows[:0]} //nolint:exhaustruct // empty
		r.spare = append(r.spare, one)
	}
	clear(r.open[len(kept):])
	if r.open, r.last, r.counting = kept, nil, false; len(kept) == 0 {
		r.bytes = 0
	}
}

// count counts the features of a run's events and the parts of their predictions.
func (r *runs) count(p *Partition, one *run) {
	b := one.binder
	b.bindColumns(one.columns)
	invalid := uint64(0)
	for i, at := range b.columnOf {
		if at >= 0 {
			invalid += r.countColumn(one, one.pane.Features[i], one.columns.Column(at))
		} else {
			one.pane.Features[i].Missing += uint64(len(one.rows))
		}
	}
	unknown := uint64(b.unbound) * uint64(len(one.rows))
	if b.bare >= 0 {
		bare := one.columns.Column(b.bare)
		for _, row := range one.rows {
			if v := bare.Value(row); v.Kind != event.ValueNull {
				unknown++
			}
		}
	}
	one.pane.Tally.UnknownFeature += unknown
	p.stats.UnknownFeatures += unknown
	p.stats.WrongTypes += invalid
}

// bindColumns finds the column of each feature, if that is not known from columns of the same shape.
func (b *binder) bindColumns(columns *event.Columns) {
	if b.shape == columns.Shape() {
		return
	}
	b.shape, b.unbound, b.bare = columns.Shape(), 0, -1
	b.columnOf = slices.Grow(b.columnOf[:0], len(b.ref.Features))[:len(b.ref.Features)]
	for i := range b.columnOf {
		b.columnOf[i] = -1
	}
	for k := range columns.Len() {
		c, of := columns.Column(k), &b.features
		switch {
		case c.IsFeature():
		case c.IsPrediction():
			of = &b.prediction
		default:
			continue
		}
		if i, ok := of.index[string(c.Name())]; ok {
			b.columnOf[i] = k
		} else if c.IsPrediction() && string(c.Name()) == event.PredictionName {
			b.bare = k
		} else {
			b.unbound++
		}
	}
}

// countColumn counts a run's values of a column.
func (r *runs) countColumn(one *run, to *cells.Counts, c *event.Column) (invalid uint64) {
	rows := one.rows
	numeric := to.Space().Kind() == cells.Numeric
	if xs := c.Numbers(); numeric && xs != nil {
		r.addNumbers(to, xs, rows)
		return 0
	}
	words, index := c.Strings()
	switch {
	case numeric || words == nil:
	case index == nil:
		for _, row := range rows {
			if words[row] == nil {
				to.AddMissing()
			} else {
				to.AddCategory(words[row])
			}
		}
		return 0
	case len(words) <= len(rows):
		r.counts = slices.Grow(r.counts[:0], len(words))[:len(words)]
		clear(r.counts)
		for _, row := range rows {
			r.counts[index[row]]++
		}
		for i, word := range words {
			to.AddCategories(word, r.counts[i])
		}
		return 0
	}
	for _, row := range rows {
		v := c.Value(row)
		if one.binder.countValue(to, &v) == event.ClassInvalid {
			invalid++
		}
	}
	return invalid
}

// fewRows are not worth adding up on their own before they are added to the exact sums.
const fewRows = 8

// addNumbers counts the rows of xs.
func (r *runs) addNumbers(to *cells.Counts, xs []float64, rows []int) {
	n, first := len(rows), rows[0]
	switch {
	case n < fewRows:
		for _, row := range rows {
			to.AddNumber(xs[row])
		}
	case rows[n-1]-first == n-1: // they rise
		to.AddNumbers(xs[first:first+n], &r.sums)
	default:
		r.numbers = r.numbers[:0]
		for _, row := range rows {
			r.numbers = append(r.numbers, xs[row])
		}
		to.AddNumbers(r.numbers, &r.sums)
	}
}

// newDecoder returns the decoder of a partition.
func newDecoder(l event.Limits) *event.Decoder {
	d := event.NewDecoder(l)
	d.KeepColumns()
	return d
}
