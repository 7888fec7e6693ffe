package fold

import (
	"bytes"
	"math"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/window"
)

// Most often the records of a message all go to one pane and have nothing to say but what they count. Those are folded together: what record does
// one by one happens here column by column, with the same outcome.

// mostTogether bounds the records that are folded together, and so how many records later it is seen that a commit is full.
const mostTogether = 1024

// fewMessages are as well folded one by one.
const fewMessages = 4

// thrift keeps from trying again and again what does not go now.
type thrift struct {
	rest int // how many times it is not tried
	next int // the rest after the next failure
}

// maxRest bounds how many times it is not tried.
const maxRest = 128

// tries reports whether it is time to try.
func (t *thrift) tries() bool {
	if t.rest > 0 {
		t.rest--
		return false
	}
	return true
}

// tried notes whether it went.
func (t *thrift) tried(well bool) {
	if well {
		t.next = 0
		return
	}
	t.rest, t.next = t.next, min(2*t.next+1, maxRest)
}

// ApplySome folds the first of messages, which follow each other, and with it those that can be folded together with it. It returns how many were
// begun. All but the last of them are folded; of that, or an error of it, Apply says what done means.
func (p *Partition) ApplySome(some []Message, out *Output) (n int, done bool, err error) {
	if n, done, err = p.applyTogether(some, out); n > 0 || err != nil {
		return n, done, err
	}
	p.next = some[1:]
	done, err = p.Apply(some[0], out)
	p.next = nil
	return 1, done, err
}

// applyTogether folds the first of messages of one record each together, and returns how many; 0: nothing is changed, and the first is to be folded
// on its own.
func (p *Partition) applyTogether(some []Message, out *Output) (n int, done bool, err error) {
	if !p.apart.tries() {
		return 0, false, nil
	}
	defer func() {
		if v := recover(); v != nil {
			n, done, err = 1, false, p.panicked(v)
		}
	}()
	if p.at, p.several = (record{some[0].Seq, -1}), false; p.full(out) || !p.drain(out) {
		return 0, false, nil
	}
	if model, like := p.alike(some); like >= fewMessages {
		p.at, p.several = record{some[like-1].Seq, -1}, true
		if like = p.decoder.ReadAlike(model, func(i int) []byte { return some[i].Data }, like); like >= fewMessages {
			n = p.together(some[:like], model, out)
		}
		p.decoder.Drop()
	}
	if p.apart.tried(n > 0); n == 0 {
		return 0, false, nil
	}
	size := 0
	for i := range some[:n] {
		size += len(some[i].Data)
	}
	p.stats.Messages += uint64(n)
	p.position = Position{Seq: some[n-1].Seq, Index: 1, Emitted: 0, Refused: 0, Done: false}
	p.runs.ended(p, size)
	p.position.Done = p.drain(out)
	return n, p.position.Done, nil
}

// alike returns how many messages, from the next one on, are of one model and no repetitions, and nothing but what they say of themselves can tell
// whether they can be folded together.
func (p *Partition) alike(some []Message) (model string, n int) {
	first := &some[0]
	model, control := subjectModel(first.Subject)
	if control || !p.position.Done || first.Seq != p.position.Next() {
		return "", 0
	}
	for n < len(some) {
		m := &some[n]
		if m.Seq != first.Seq+uint64(n) || m.Subject != first.Subject || m.Retry != "" || m.Source != "" || len(m.Data) == 0 || len(m.Data) > p.counting.MaxMessage {
			break
		}
		n++
	}
	return model, n
}

// tryTogether is together for a message of several records, where it is time to try.
func (p *Partition) tryTogether(of []Message, subject string, out *Output) (n int) {
	if p.singly.tries() {
		n = p.together(of, subject, out)
		p.singly.tried(n > 0)
	}
	return n
}

// together folds records from the decoder's next one on, and returns how many; 0: the next one is to be folded on its own. They are of one message, or
// of as many as there are records.
func (p *Partition) together(of []Message, subject string, out *Output) (n int) {
	s := p.recent
	switch {
	case s == nil || s.labels != nil || s.rolling != nil || s.comparisons != nil || s.last.divided:
		return 0
	case of[0].Seq <= p.alone || len(p.quarantine) > 0 || len(p.beside) > 0 || len(p.labelled) > 0 && p.full(out):
		return 0
	}
	b, first := p.decoder.Batch(), p.decoder.Index()+1
	if b == nil || len(of) == 1 && first < p.position.Index || !isOf(s, b, subject) || !s.isPlain() || s.says() || s.Pending != (window.Tally{}) {
		return 0
	}
	place, n, ok := p.stretch(s, b, of)
	if !ok || len(s.dimensions(place.Epoch)) > 0 {
		return 0
	}
	if p.at, p.several = (record{of[0].Seq, first + n - 1}), true; len(of) > 1 {
		p.at = record{of[n-1].Seq, 0}
	}
	for i := range of[:min(n, len(of))] {
		p.touch(s, of[i].Time)
	}
	p.stats.UnknownFeatures += uint64(b.UnknownKeys) * uint64(n)
	a := p.admit(s.Model, b, of, n)
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

// stretch returns where the next row of a batch belongs, and how many rows from it on belong there as well and change nothing else.
func (p *Partition) stretch(s *source, b *event.Batch, of []Message) (place window.Placement, n int, ok bool) {
	most := min(b.End-b.Row, mostTogether)
	if b.Times == nil {
		place, _, _, ok = s.Calm(of[0].Time)
		return place, most, ok && len(of) == 1
	}
	times := b.Times[b.Row-b.First:][:most]
	place, from, to, ok := s.Calm(times[0])
	if !ok {
		return place, 0, false
	}
	for n < most && from <= times[n] && times[n] < min(to, storedAt(of, n)+p.counting.FutureTolerance+1) {
		n++
	}
	return place, n, n > 0
}

// storedAt returns when the broker stored a record.
func storedAt(of []Message, row int) int64 { return of[min(row, len(of)-1)].Time }

// admitted is the rows of a stretch that are no repetitions.
type admitted struct {
	rows      []int
	newest    int64  // of their times
	withoutID uint64 // of them
	short     uint64 // of them, that came when the ids remembered did not reach back far enough
	repeated  uint64 // the others
}

// admit remembers the ids of the next n rows of a batch.
func (p *Partition) admit(model string, b *event.Batch, of []Message, n int) (a admitted) {
	a.rows, a.newest = p.rows[:0], math.MinInt64
	var hashes *[readAhead]idHash
	for k := range n {
		at, now := b.Row-b.First+k, storedAt(of, k)
		if k%readAhead == 0 && b.IDs != nil {
			hashes = p.ids.hashEvents(model, b.Version, b.IDs[at:at+min(readAhead, n-k)])
		}
		if hashes == nil || len(b.IDs[at]) == 0 {
			a.withoutID++
		} else {
			short := p.ids.short(now, p.counting.DedupHorizon)
			if p.ids.add(hashes[k%readAhead], now) {
				a.repeated++
				continue
			}
			a.short += one(short)
		}
		time := now
		if b.Times != nil {
			time = b.Times[at]
		}
		a.rows, a.newest = append(a.rows, b.Row+k), max(a.newest, time)
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
			if x := b.Latencies[row-b.First]; x >= 0 && x <= math.MaxFloat64 {
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
		at := row - b.First
		if b.StatusIndex != nil {
			at = int(b.StatusIndex[at])
		}
		if status := b.Statuses[at]; !bytes.Equal(status, last) {
			countStatus(pane, last, same)
			last, same = status, 0
		}
		same++
	}
	countStatus(pane, last, same)
}
