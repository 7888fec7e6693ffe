package fold

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
)

// What waits for its label lives outside of the state, in a store that is written after a commit. The store says by a tag which
// commit it holds. One that is behind, or empty, is brought up by reading the stream once more, from where the ledger begins.

// pendingTag names the commit that a store of pending groups holds.
type pendingTag struct {
	Key      [2]uint64 `json:"key"` // of the state: another state's groups have other keys
	Position Position  `json:"position"`
}

// UsePending makes the partition look for pending groups in a store, into which what is not stored yet is to be put. Without one it
// keeps them all in memory.
func (p *Partition) UsePending(store labels.Reader) { p.pending.Use(store) }

// PendingFresh returns how many groups changed since TakePending.
func (p *Partition) PendingFresh() int { return p.pending.Fresh() }

// PendingTag names the partition's position to a store of pending groups.
func (p *Partition) PendingTag() []byte {
	return encode(pendingTag{Key: p.ids.key, Position: p.position})
}

// TakePending returns the groups that changed since the last call, and the segments whose groups are to be removed behind them. They may be
// stored when the state was committed, with PendingTag as it was when they were taken, whole or not at all.
func (p *Partition) TakePending() ([]labels.Change, []uint64) { return p.pending.Take() }

// PendingStored notes that the store has what was taken.
func (p *Partition) PendingStored() { p.pending.Stored() }

// KeepsPending reports whether anything waits for a label, or may.
func (p *Partition) KeepsPending() bool {
	for _, s := range p.sources {
		if s.labels != nil {
			return true
		}
	}
	return false
}

// PendingLives reports whether the groups of a segment may be asked for.
func (p *Partition) PendingLives(segment uint64) bool {
	for _, s := range p.sources {
		if l := s.labels; l != nil {
			for _, live := range l.ledger.Segments() {
				if live.Number == segment {
					return true
				}
			}
		}
	}
	return false
}

// Relive brings a store of pending groups up to the partition's position.
type Relive struct {
	p       *Partition
	after   Position
	cursors map[string]*cursor // by model
	decoder *event.Decoder
	from    uint64
	missing int
}

// cursor goes through the records of a ledger.
type cursor struct {
	s        *source
	segments []*labels.Segment
	records  []labels.Record // that are left of the present segment
	number   uint64          // of it
}

// Relive begins to bring up a store that holds the commit of a tag; nil: it holds nothing. clean is true where the store is to be
// emptied first, for it holds nothing of use. Read the messages From() to To() and hand each to Apply; then call Finish.
func (p *Partition) Relive(tag []byte) (r *Relive, clean bool) {
	r = &Relive{p: p, after: Position{}, cursors: map[string]*cursor{}, decoder: event.NewDecoder(widest()), from: math.MaxUint64, missing: 0} //nolint:exhaustruct // the beginning
	var t pendingTag
	if clean = true; tag != nil && json.Unmarshal(tag, &t) == nil && t.Key == p.ids.key && !t.Position.behind(p.position) {
		clean, r.after = false, t.Position
	}
	for _, name := range slices.Sorted(maps.Keys(p.sources)) {
		s := p.sources[name]
		if s.labels == nil {
			continue
		}
		c := &cursor{s: s, segments: s.labels.ledger.Segments(), records: nil, number: 0}
		for next, ok := c.peek(); ok && r.after.covers(next); next, ok = c.peek() {
			c.pop()
		}
		if next, ok := c.peek(); ok {
			r.from = min(r.from, next.Seq)
			r.cursors[name] = c
		}
	}
	return r, clean
}

// behind reports whether a position lies behind another one.
func (p Position) behind(o Position) bool {
	return p.Seq > o.Seq || p.Seq == o.Seq && (p.Index > o.Index || p.Done && !o.Done)
}

// covers reports whether a record was folded at a position.
func (p Position) covers(r labels.Record) bool {
	return r.Seq < p.Seq || r.Seq == p.Seq && (p.Done || r.Index < p.Index)
}

// widest are the limits of a decoder that takes whatever was taken under any configuration.
func widest() event.Limits {
	l := event.DefaultLimits()
	l.MaxRecord, l.MaxFields, l.MaxName, l.MaxDepth = math.MaxInt32, math.MaxInt32, math.MaxInt32, max(l.MaxDepth, 64)
	return l
}

// From returns the first message that must be read again; ok is false where none is.
func (r *Relive) From() (seq uint64, ok bool) { return r.from, r.from != math.MaxUint64 }

// To returns the last one.
func (r *Relive) To() uint64 { return r.p.position.Seq }

func (c *cursor) peek() (labels.Record, bool) {
	for len(c.records) == 0 {
		if len(c.segments) == 0 {
			return labels.Record{}, false
		}
		c.number = c.segments[0].Number
		c.records = make([]labels.Record, 0, c.segments[0].Records)
		if err := c.segments[0].Each(func(r labels.Record) bool {
			c.records = append(c.records, r)
			return true
		}); err != nil {
			panic(fmt.Sprintf("BUG: %v", err)) // it was read when it was restored
		}
		c.segments = c.segments[1:]
	}
	return c.records[0], true
}

func (c *cursor) pop() { c.records = c.records[1:] }

// Apply reads a message again.
func (r *Relive) Apply(m Message) error {
	subject, control := subjectModel(m.Subject)
	if control {
		return nil
	}
	r.decoder.Reset(m.Data)
	for r.decoder.Next() {
		ev, rejected := r.decoder.Event()
		if rejected != nil {
			continue
		}
		model, rejected := event.ResolveModel(subject, ev)
		if rejected != nil {
			continue
		}
		c := r.cursors[string(model)]
		if c == nil {
			continue
		}
		here := labels.Record{Seq: m.Seq, Index: r.decoder.Index(), Flags: 0}
		next, ok := c.peek()
		for ; ok && next.Less(here); next, ok = c.peek() {
			r.missing++ // its message is gone
			c.pop()
		}
		if !ok || here.Less(next) {
			continue
		}
		number := c.number
		c.pop()
		if err := r.record(c.s, number, next, m.Time, ev); err != nil {
			return err
		}
	}
	return nil
}

// record does to a group again what a record did to it.
func (r *Relive) record(s *source, segment uint64, was labels.Record, stored int64, ev *event.Event) error {
	l := s.labels
	here := at{Record: was, time: ev.Time}
	if was.Flags&labels.BrokerTime != 0 {
		here.time = stored
	}
	key := r.p.pendingKey(s.Model, ev.ID)
	var g *labels.Group
	if was.Flags&labels.Starts != 0 {
		g = &labels.Group{Segment: segment, Began: here.time} //nolint:exhaustruct // nothing is known
	} else {
		var err error
		if g, err = r.p.pending.Get(key, l.ledger, s.Watermark, &l.epochs[len(l.epochs)-1].Labels.Join); err != nil || g == nil {
			return err // nil: it is let go
		}
	}
	if was.Flags&labels.IsLabel == 0 {
		e := l.epochAt(here.time)
		l.wait(g, e, here, ev.Version, e.spec.Prediction(ev.Prediction), r.p.partsOf(e, ev))
	} else {
		if g.Orphan() && len(ev.Prediction) > 0 {
			own := at{Record: was, time: ownTime(ev, here.time)}
			e := l.epochAt(own.time)
			l.wait(g, e, own, ev.Version, e.spec.Prediction(ev.Prediction), r.p.ownParts(e, ev))
		}
		l.say(g, here, ev.Label)
	}
	r.p.pending.Put(key, g)
	return nil
}

// Finish notes what could not be read again, which results will say, and returns how many records that is.
func (r *Relive) Finish() (lost int) {
	for _, name := range slices.Sorted(maps.Keys(r.cursors)) {
		c := r.cursors[name]
		n := len(c.records)
		for _, s := range c.segments {
			n += s.Records
		}
		if n += r.missing; n == 0 {
			continue
		}
		r.missing = 0
		lost += n
		l := c.s.labels
		if t, ok := c.s.Arrival(); ok {
			l.lostTo = max(l.lostTo, t)
		}
		l.shards.head = true
		r.p.labelled[name] = c.s
		r.p.stats.LabelsLost += uint64(n)
	}
	return lost
}
