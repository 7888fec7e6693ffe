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
	held    bool // its columns outlive their message
	counted bool
}

// runs are what is to be counted yet. All of it is before anything looks at a pane; a run is with its message, if that is a columnar one, or
// when it has enough events. Else those of the next messages join it.
type runs struct {
	open     []*run
	of       map[runKey]*run
	last     *run // that an event was put to
	spare    []*run
	group    []*run // scratch, of those that are counted together
	values   int
	whole    int  // rows of columnar messages
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
	if !columns.Lasting() {
		r.whole += len(rows)
	}
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
	one.held = columns.Hold()
	return one
}

const (
	// enoughRows of a run are counted as well as more of them would be.
	enoughRows = 256
	// mostRuns of columnar messages of few rows each are counted together: the columns of each take memory.
	mostRuns = 8
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
	case !last.columns.Lasting() && last.held:
		if r.whole >= enoughRows || len(r.open) >= mostRuns {
			r.flush(p)
		}
	case !last.held, len(last.rows) >= enoughRows, last.columns.Rows()*last.columns.Len() >= enoughValues:
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
	for k, one := range r.open {
		if !one.counted && (columns == nil || one.columns == columns) {
			r.group = r.group[:0]
			for _, other := range r.open[k:] {
				if (columns == nil || other.columns == columns) && one.joins(other) {
					other.counted = true
					r.group = append(r.group, other)
				}
			}
			r.count(p, r.group)
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
		if !one.columns.Lasting() {
			r.whole -= len(one.rows)
		}
		one.columns.Release()          // several runs may be of them
		*one = run{rows: one.rows[:0]} //nolint:exhaustruct // empty
		r.spare = append(r.spare, one)
	}
	clear(r.open[len(kept):])
	if r.open, r.last, r.counting = kept, nil, false; len(kept) == 0 {
		r.bytes = 0
	}
}

// joins reports whether the events of two runs are of one pane, and have their values in the same places.
func (r *run) joins(o *run) bool { return r.pane == o.pane && r.columns.Shape() == o.columns.Shape() }

// count counts the features of events and the parts of their predictions. The runs join.
func (r *runs) count(p *Partition, group []*run) {
	b, pane := group[0].binder, group[0].pane
	b.bindColumns(group[0].columns)
	invalid, rows, bare := uint64(0), 0, uint64(0)
	for _, one := range group {
		rows += len(one.rows)
		if b.bare >= 0 {
			column := one.columns.Column(b.bare)
			for _, row := range one.rows {
				if v := column.Value(row); v.Kind != event.ValueNull {
					bare++
				}
			}
		}
	}
	for i, at := range b.columnOf {
		if at < 0 {
			pane.Features[i].Missing += uint64(rows)
		} else {
			invalid += r.countColumn(group, pane.Features[i], at)
		}
	}
	unknown := uint64(b.unbound)*uint64(rows) + bare
	pane.Tally.UnknownFeature += unknown
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

// countColumn counts what runs that join have in a column.
func (r *runs) countColumn(group []*run, to *cells.Counts, at int) (invalid uint64) {
	numeric := to.Space().Kind() == cells.Numeric
	r.numbers = r.numbers[:0]
	for _, one := range group {
		c := one.columns.Column(at)
		xs := c.Numbers()
		switch {
		case !numeric || xs == nil:
			invalid += r.countOthers(one, to, c)
		case len(group) == 1 && consecutive(one.rows):
			r.addNumbers(to, xs[one.rows[0]:][:len(one.rows)])
		case consecutive(one.rows):
			r.numbers = append(r.numbers, xs[one.rows[0]:][:len(one.rows)]...)
		default:
			for _, row := range one.rows {
				r.numbers = append(r.numbers, xs[row])
			}
		}
	}
	r.addNumbers(to, r.numbers)
	return invalid
}

// fewNumbers are not worth adding up on their own before they are added to the exact sums.
const fewNumbers = 8

func (r *runs) addNumbers(to *cells.Counts, xs []float64) {
	if len(xs) >= fewNumbers {
		to.AddNumbers(xs, &r.sums)
		return
	}
	for _, x := range xs {
		to.AddNumber(x)
	}
}

// consecutive reports whether there are no rows between these, which rise.
func consecutive(rows []int) bool { return rows[len(rows)-1]-rows[0] == len(rows)-1 }

// countOthers counts a run's values of a column that are no numbers, or are to be none.
func (r *runs) countOthers(one *run, to *cells.Counts, c *event.Column) (invalid uint64) {
	rows := one.rows
	words, index := c.Strings()
	switch {
	case to.Space().Kind() == cells.Numeric || words == nil:
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

// newDecoder returns the decoder of a partition.
func newDecoder(l event.Limits) *event.Decoder {
	d := event.NewDecoder(l)
	d.KeepColumns()
	return d
}
