package fold

import (
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/window"
)

// run is events of a columnar message that were counted into one pane but for their features, which are counted together, column by
// column: counts add in any order, and a column stays in the caches. It ends before anything looks at the pane, and with the message.
type run struct {
	binder  *binder
	pane    *window.Pane
	columns *event.Columns
	rows    []int

	counts []uint64 // scratch, by word of a dictionary
	bound  []*event.Column
}

// add puts an event behind those of the run, or begins another one.
func (r *run) add(p *Partition, b *binder, pane *window.Pane, ev *event.Event) {
	if len(r.rows) > 0 && (r.binder != b || r.pane != pane) {
		r.flush(p)
	}
	r.binder, r.pane, r.columns = b, pane, ev.Columns
	r.rows = append(r.rows, ev.Row)
}

// flush counts the features of the run's events.
func (r *run) flush(p *Partition) {
	if len(r.rows) == 0 {
		return
	}
	n := uint64(len(r.rows))
	unknown := uint64(0)
	r.bound = slices.Grow(r.bound[:0], len(r.binder.ref.Features))[:len(r.binder.ref.Features)]
	clear(r.bound)
	r.columns.Features(func(c *event.Column) {
		if at, ok := r.binder.features.index[string(c.Name())]; ok {
			r.bound[at] = c
		} else {
			unknown += n
		}
	})
	invalid := uint64(0)
	for _, i := range r.binder.own {
		invalid += r.count(r.pane.Features[i], r.bound[i])
	}
	r.rows = r.rows[:0]
	r.pane.Tally.UnknownFeature += unknown
	p.stats.UnknownFeatures += unknown
	p.stats.WrongTypes += invalid
}

// count counts the run's values of a column, which is nil where the message has none of the feature.
func (r *run) count(to *cells.Counts, c *event.Column) (invalid uint64) {
	if c == nil {
		to.Missing += uint64(len(r.rows))
		return 0
	}
	numeric := to.Space().Kind() == cells.Numeric
	if xs := c.Numbers(); numeric && xs != nil {
		for _, row := range r.rows {
			to.AddNumber(xs[row])
		}
		return 0
	}
	if words, index := c.Strings(); !numeric && index != nil && len(words) <= len(r.rows) {
		r.counts = slices.Grow(r.counts[:0], len(words))[:len(words)]
		clear(r.counts)
		for _, row := range r.rows {
			r.counts[index[row]]++
		}
		for i, word := range words {
			to.AddCategories(word, r.counts[i])
		}
		return 0
	}
	for _, row := range r.rows {
		v := c.Value(row)
		if r.binder.countValue(to, &v) == event.ClassInvalid {
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
