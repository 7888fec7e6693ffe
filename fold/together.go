package fold

import (
	"bytes"
	"math"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/window"
)

// Most often the rows of a columnar message all go to one pane and have nothing to say but what they count. Those are folded together: what
// record does row by row happens here column by column, with the same outcome.

// mostTogether bounds the rows that are folded together, and so how many rows later it is seen that a commit is full.
const mostTogether = 1024

// together folds rows from the decoder's next one on, and returns how many; 0: the next record is to be folded on its own.
func (p *Partition) together(m Message, subject string, out *Output) (n int) {
	b, s := p.decoder.Batch(), p.recent
	if b == nil || s == nil || m.Seq <= p.alone || len(p.quarantine) > 0 || len(p.beside) > 0 || len(p.labelled) > 0 && p.full(out) {
		return 0
	}
	first := p.decoder.Index() + 1
	if first < p.position.Index || !isOf(s, b, subject) || !s.isPlain() || s.says() || s.Pending != (window.Tally{}) {
		return 0
	}
	place, end, ok := p.stretch(s, b, first, m.Time)
	if !ok || len(s.dimensions(place.Epoch)) > 0 {
		return 0
	}
	n = end - first
	p.at, p.several = record{m.Seq, end - 1}, true
	p.touch(s, m.Time)
	p.stats.UnknownFeatures += uint64(b.UnknownKeys) * uint64(n)
	a := p.admit(s.Model, b, first, end, m.Time)
	if len(a.rows) > 0 {
		here := p.slot(s, place, b.Version)
		p.countTogether(here, b, a)
		p.changed(s, place, here.pane)
		s.Counted = max(s.Counted, a.newest)
		s.Observe(a.newest)
	}
	if a.short > 0 {
		pane := p.pane(s, place, "", "")
		pane.Tally.DedupShort += a.short
		p.changed(s, place, pane)
	}
	if a.repeated > 0 {
		p.stats.Duplicates += a.repeated
		p.arrival(s, func(t *window.Tally) { t.Duplicate += a.repeated })
	}
	p.several = false
	p.decoder.Skip(n)
	return n
}

// isOf reports whether a batch is of a source.
func isOf(s *source, b *event.Batch, subject string) bool {
	body := string(b.Model)
	return (subject == "" || subject == s.Model) && (body == "" && subject != "" || body == s.Model)
}

// stretch returns where the first row belongs, and the end of those that belong there as well and change nothing else.
func (p *Partition) stretch(s *source, b *event.Batch, first int, stored int64) (place window.Placement, end int, ok bool) {
	most := min(b.Columns.Rows(), first+mostTogether)
	if b.Times == nil {
		place, _, _, ok = s.Calm(stored)
		return place, most, ok
	}
	place, from, to, ok := s.Calm(b.Times[first])
	if !ok {
		return place, first, false
	}
	to = min(to, stored+p.counting.FutureTolerance+1)
	end = first
	for end < most && from <= b.Times[end] && b.Times[end] < to {
		end++
	}
	return place, end, end > first
}

// admitted is the rows of a stretch that are no repetitions.
type admitted struct {
	rows      []int
	newest    int64  // of their times
	withoutID uint64 // of them
	short     uint64 // of them, that came when the ids remembered did not reach back far enough
	repeated  uint64 // the others
}

// admit remembers the ids of the rows from first to before end.
func (p *Partition) admit(model string, b *event.Batch, first, end int, now int64) (a admitted) {
	a.rows, a.newest = p.rows[:0], math.MinInt64
	for first < end {
		n := min(readAhead, end-first)
		var hashes *[readAhead]idHash
		if b.IDs != nil {
			hashes = p.ids.hashEvents(model, b.Version, b.IDs[first:first+n])
		}
		for i := range n {
			row := first + i
			if hashes == nil || len(b.IDs[row]) == 0 {
				a.withoutID++
			} else {
				short := p.ids.short(now, p.counting.DedupHorizon)
				if p.ids.add(hashes[i], now) {
					a.repeated++
					continue
				}
				a.short += one(short)
			}
			at := now
			if b.Times != nil {
				at = b.Times[row]
			}
			a.rows, a.newest = append(a.rows, row), max(a.newest, at)
		}
		first += n
	}
	p.rows = a.rows
	return a
}

// countTogether counts admitted rows in the pane that they belong to.
func (p *Partition) countTogether(to slot, b *event.Batch, a admitted) {
	if to.binder.ref != nil {
		p.runs.add(to.binder, to.pane, b.Columns, a.rows...)
	}
	c := eventCounts{events: uint64(len(a.rows)), withoutID: a.withoutID} //nolint:exhaustruct // nothing is wrong with them
	if b.Latencies != nil {
		for _, row := range a.rows {
			if x := b.Latencies[row]; x >= 0 && x <= math.MaxFloat64 {
				to.pane.Latency.Add(x + 0) // -0 + 0 is 0
			} else if !math.IsNaN(x) {
				c.badLatency++
			}
		}
	}
	countStatuses(to.pane, b, a.rows)
	c.tally(&to.pane.Tally)
	p.stats.Events += c.events
	p.stats.WithoutID += c.withoutID
	p.stats.WrongTypes += c.badLatency
}

// countStatuses counts the response statuses of rows, in their order: a pane has room for so many.
func countStatuses(pane *window.Pane, b *event.Batch, rows []int) {
	if b.Statuses == nil {
		return
	}
	var last []byte
	same := uint64(0)
	for _, row := range rows {
		at := row
		if b.StatusIndex != nil {
			at = int(b.StatusIndex[row])
		}
		if status := b.Statuses[at]; !bytes.Equal(status, last) {
			countStatus(pane, last, same)
			last, same = status, 0
		}
		same++
	}
	countStatus(pane, last, same)
}
