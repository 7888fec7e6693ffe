package fold

import (
	"encoding/json"
	"fmt"

	"github.com/driftd/driftd/event"
)

// RowStats says what a Rows did not hand out.
type RowStats struct {
	Rejected   uint64 // records that counting dead-letters
	Duplicates uint64 // repetitions of an id, or of a message that says which it is, within the last ids remembered
}

// Rows reads the records of a partition's stream as counting does: the same decoding and limits, the same deduplication by
// the last ids in the order of the stream, the same event times. It follows the configurations that the stream brings. Windows
// it does not know: a record that came too late for every window is a row like any other.
type Rows struct {
	counting Counting
	ids      *idSet
	decoder  *event.Decoder
	stats    RowStats
}

// NewRows returns a reader of a stream from its beginning on. counting holds until the stream brings another configuration; key
// seeds the hash of ids.
func NewRows(counting Counting, key [2]uint64) *Rows {
	return &Rows{counting: counting, ids: newIDSet(counting.DedupIDs, key), decoder: event.NewDecoder(counting.Limits), stats: RowStats{}}
}

// Stats returns the counters.
func (r *Rows) Stats() RowStats { return r.stats }

// FutureTolerance returns how far the time of an event may be ahead of the broker's, in milliseconds.
func (r *Rows) FutureTolerance() int64 { return r.counting.FutureTolerance }

// Each calls f with each record of a message that is no repetition, its model and event time resolved: Model, Time and HasTime are
// set. The event is valid until f returns. An error of f ends the message.
func (r *Rows) Each(m Message, f func(ev *event.Event) error) error {
	subject, control := subjectModel(m.Subject)
	switch {
	case r.ids.knows(m):
		r.stats.Duplicates++
		return nil
	case control:
		r.control(m.Data)
		r.ids.remember(m)
		return nil
	case len(m.Data) > r.counting.MaxMessage:
		r.stats.Rejected++
		r.ids.remember(m)
		return nil
	}
	r.decoder.Reset(m.Data)
	for r.decoder.Next() {
		ev, rejected := r.decoder.Event()
		if rejected == nil {
			var model []byte
			if model, rejected = event.ResolveModel(subject, ev); rejected == nil {
				ev.Model = model
			}
		}
		if rejected != nil {
			r.stats.Rejected++
			continue
		}
		if hash, ok := identity(r.ids, string(ev.Model), ev); ok && r.ids.add(hash, m.Time) {
			r.stats.Duplicates++
			continue
		}
		ev.Time, _ = eventTime(ev, m.Time, r.counting.FutureTolerance)
		ev.HasTime = true
		if err := f(ev); err != nil {
			return fmt.Errorf("record %d of message %d: %w", r.decoder.Index(), m.Seq, err)
		}
	}
	r.ids.remember(m)
	return nil
}

// control follows a configuration; one that counting refuses changes nothing here either.
func (r *Rows) control(data []byte) {
	c, rejected := event.DecodeControl(data)
	if rejected != nil || c.Kind != event.ControlConfig {
		return
	}
	var next Counting
	if err := json.Unmarshal(c.Models, &next); err != nil || next.Validate() != nil {
		return
	}
	r.counting = next
	r.ids.resize(next.DedupIDs)
	r.decoder = event.NewDecoder(next.Limits)
}

// eventTime returns when a record happened: as it says, unless that is ahead of the broker's clock by more than the tolerance,
// else when the broker stored it.
func eventTime(ev *event.Event, stored, tolerance int64) (t int64, future bool) {
	if !ev.HasTime {
		return stored, false
	}
	if ev.Time > stored+tolerance {
		return stored, true
	}
	return ev.Time, false
}
