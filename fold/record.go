package fold

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// UnknownVersion is the version of an event that names none.
const UnknownVersion = "unknown"

// binder is how the events of a model meet the features of one reference: names to indices, guessed from the order of the
// event before, since producers write their fields in one order.
type binder struct {
	ref        *reference.Reference // nil: no reference, nothing is bound
	bounds     []int
	features   names
	prediction names
	values     []event.Value // of the current event, by feature
	seen       []uint32      // the event that last set a value
	event      uint32
	category   []byte // scratch

	shape    *event.Shape // of the columns that were bound last
	columnOf []int        // of each feature of the reference; -1: there is none
	unbound  int          // columns of features, and of parts of predictions, that are not in the reference
	bare     int          // the column of a prediction without parts that is not in the reference: a null is none; -1: there is no such column

	plans map[planKey]*detectors.Plan // how features are judged, as soon as one was
	memo  *detectors.Memo
}

// planKey names a feature of the reference and the length of a window.
type planKey struct {
	feature int
	size    int64
}

// plan returns how the i-th feature is judged in windows of a length. It follows from the reference and the configuration alone, so that it is
// kept in memory and nowhere else.
func (b *binder) plan(i int, size int64, config detectors.Config) *detectors.Plan {
	key := planKey{i, size}
	if p := b.plans[key]; p != nil && p.Config().Equal(config) {
		return p
	}
	if b.plans == nil {
		b.plans, b.memo = map[planKey]*detectors.Plan{}, detectors.NewMemo()
	}
	f := &b.ref.Features[i]
	p := detectors.NewPlan(f, config, detectors.ChunksFor(b.ref, f, size, config), b.memo)
	b.plans[key] = p
	return p
}

// names is one name space of a binder.
type names struct {
	index map[string]int
	guess []int // of the i-th field of an event: an index into the reference's features, -1 for an unknown name
}

func newBinder(ref *reference.Reference) *binder {
	b := &binder{ref: ref, bounds: window.BlockBounds(ref)} //nolint:exhaustruct // the rest depends on the reference
	b.features.index, b.prediction.index = map[string]int{}, map[string]int{}
	if ref == nil {
		return b
	}
	for i := range ref.Features {
		if ref.Features[i].Role == result.RolePrediction {
			b.prediction.index[ref.Features[i].Name] = i
		} else {
			b.features.index[ref.Features[i].Name] = i
		}
	}
	b.values, b.seen = make([]event.Value, len(ref.Features)), make([]uint32, len(ref.Features))
	return b
}

// bind notes the fields of one name space of the current event. A name that comes twice is counted; the last one wins.
func (b *binder) bind(ns *names, fields []event.Field) (unknown, repeated uint64) {
	for i := range fields {
		f := &fields[i]
		if i == len(ns.guess) {
			ns.guess = append(ns.guess, -1)
		}
		at := ns.guess[i]
		if at < 0 || b.ref.Features[at].Name != string(f.Name) {
			var ok bool
			if at, ok = ns.index[string(f.Name)]; !ok {
				unknown++
				continue
			}
			ns.guess[i] = at
		}
		if b.seen[at] == b.event {
			repeated++
		}
		b.values[at], b.seen[at] = f.Value, b.event
	}
	return unknown, repeated
}

// count adds the event's values to counts over the binder's reference, and says how many names were unknown or came
// twice, and how many values were of a wrong type. An event that left its features in columns is counted by them, see runs: these and the parts of its
// prediction.
func (b *binder) count(ev *event.Event, features []*cells.Counts) (unknown, repeated, invalid uint64) {
	if b.ref == nil || ev.Columns != nil {
		return 0, 0, 0
	}
	if b.event++; b.event == 0 { // after 2^32 events no stamp may look current
		clear(b.seen)
		b.event = 1
	}
	unknown, repeated = b.bind(&b.prediction, ev.Prediction)
	u, r := b.bind(&b.features, ev.Features)
	return unknown + u, repeated + r, b.add(features)
}

// add adds the values that are bound now to counts, and says how many were of a wrong type.
func (b *binder) add(features []*cells.Counts) (invalid uint64) {
	for i, to := range features {
		if b.seen[i] != b.event {
			to.AddMissing()
		} else if b.countValue(to, &b.values[i]) == event.ClassInvalid {
			invalid++
		}
	}
	return invalid
}

// countValue adds one value to the counts of its feature, or to the cell beside them that it belongs to, and returns its
// class.
func (b *binder) countValue(c *cells.Counts, v *event.Value) (class event.Class) {
	if c.Space().Kind() == cells.Numeric {
		var x float64
		if x, class = v.Float(); class == event.ClassValue {
			c.AddNumber(x)
		}
	} else if b.category, class = v.AppendCategory(b.category[:0]); class == event.ClassValue {
		c.AddCategory(b.category)
	}
	switch class {
	case event.ClassMissing:
		c.AddMissing()
	case event.ClassInf:
		c.AddInf()
	case event.ClassInvalid:
		c.AddInvalid()
	case event.ClassValue:
	}
	return class
}

// errFull says that a record has to wait for what does not go into the commit any more.
var errFull = errors.New("the commit is full")

// record folds one decoded record. It returns an error, and changes nothing, when a reference cannot be had now, and errFull.
func (p *Partition) record(m Message, index int, subject string, ev *event.Event, out *Output) error {
	s := p.recent // most records are of the model of the one before
	var err error
	if s == nil || s.Model != string(ev.Model) || subject != "" && subject != s.Model {
		model, rejected := event.ResolveModel(subject, ev)
		if rejected != nil {
			p.reject(m, index, subject, p.decoder.Raw(), rejected, out)
			return nil
		}
		if s, rejected, err = p.source(model); err != nil {
			return err
		}
		if rejected != nil {
			p.reject(m, index, string(model), p.decoder.Raw(), rejected, out)
			return nil
		}
		p.recent = s
	}
	if len(p.beside) > 0 && !p.settleFor(s, m, ev, out) {
		return errFull
	}
	var about pending
	if s.labels != nil {
		if about, err = p.pendingOf(s, ev); err != nil {
			return err
		}
	}
	if s.rolling != nil || m.Seq <= p.alone {
		p.decoder.Fields() // counted, and sampled, event by event
	}
	p.touch(s, m.Time)
	p.stats.UnknownFeatures += uint64(ev.UnknownKeys)
	p.stats.WrongTypes += uint64(ev.WrongType)
	t, future := eventTime(ev, m.Time, p.counting.FutureTolerance)
	short := false
	if hash, ok := identity(p.ids, s.Model, ev); ok {
		if !ev.IsLabel && p.ids.curious() {
			p.ahead = p.decoder.NextIDs(p.ahead[:0], readAhead)
			for i := 0; i < len(p.next) && len(p.ahead) < readAhead; i++ {
				p.ahead = p.decoder.NextMessageID(p.ahead, p.next[i].Data)
			}
			p.ids.expect(p.ahead)
		}
		if short = p.ids.short(m.Time, p.counting.DedupHorizon); p.ids.add(hash, m.Time) {
			p.stats.Duplicates++
			p.arrival(s, func(t *window.Tally) { t.Duplicate++ })
			return nil
		}
	}
	here := at{Record: labels.Record{Seq: m.Seq, Index: index, Flags: 0}, time: t}
	if !ev.HasTime || future {
		here.Flags = labels.BrokerTime
	}
	if ev.IsLabel && about.epoch != nil {
		p.joinLabel(s, about, here, ev)
	}
	p.roll(s, t)
	place := s.Place(t)
	if place.TooLate {
		p.stats.Late++
		p.arrival(s, func(t *window.Tally) { t.Late++ })
		return nil
	}
	if len(place.Missed) > 0 {
		if !p.arrivalPane(s, func(pane *window.Pane) {
			for _, w := range place.Missed {
				pane.LateFor[w]++
			}
		}) {
			s.Pending.Late++
		}
	}
	if short {
		pane := p.pane(s, place, "", "")
		pane.Tally.DedupShort++
		p.changed(s, place, pane)
	}
	if ev.IsLabel {
		p.label(s, place, future)
	} else {
		p.event(s, place, ev, future)
		if about.epoch != nil {
			p.expect(s, about, here, ev)
		}
		p.tally(s, t, ev)
		s.Counted = max(s.Counted, t)
	}
	if !future {
		s.Observe(t)
	}
	p.settlePending(s)
	return nil
}

// touch notes that a source saw something.
func (p *Partition) touch(s *source, now int64) {
	s.LastSeen = max(s.LastSeen, now)
	p.store.touchSource(s.Model)
	if s.labels != nil {
		p.labelled[s.Model] = s
	}
	if len(p.moved) == 0 {
		p.moved = append(p.moved, s)
	} else if i, found := slices.BinarySearchFunc(p.moved, s.Model, func(s *source, m string) int { return strings.Compare(s.Model, m) }); !found {
		p.moved = slices.Insert(p.moved, i, s)
	}
}

// identity returns the hash of what makes a record the same as another: (model, version, id) of a prediction; (model, id,
// content) of a label, so that a correction is not a repetition. ok is false for a record without an id.
func identity(ids *idSet, model string, ev *event.Event) (h idHash, ok bool) {
	if len(ev.ID) == 0 {
		return idHash{}, false
	}
	if !ev.IsLabel {
		return ids.hashEvent(model, ev.Version, ev.ID), true
	}
	parts := [][]byte{{'l'}, []byte(model), ev.ID, ev.Version, content(ev.Label)}
	for _, f := range ev.Prediction {
		parts = append(parts, f.Name, content(f.Value))
	}
	return ids.hash(parts...), true
}

// content returns the bytes of a value that are equal exactly when two values are.
func content(v event.Value) []byte {
	if v.Kind == event.ValueNumber {
		return binary.LittleEndian.AppendUint64([]byte{byte(v.Kind)}, math.Float64bits(v.Num+0)) // +0: -0 is 0
	}
	return append([]byte{byte(v.Kind)}, v.Str...)
}

// label counts a label where its own time is.
func (p *Partition) label(s *source, place window.Placement, future bool) {
	p.stats.Labels++
	p.stats.Future += one(future)
	pane := p.pane(s, place, "", "")
	pane.Tally.Labels++
	pane.Tally.Future += one(future)
	p.changed(s, place, pane)
}

// event counts a prediction event.
func (p *Partition) event(s *source, place window.Placement, ev *event.Event, future bool) {
	p.stats.Events++
	last := p.slot(s, place, ev.Version)
	pane, b := last.pane, last.binder
	if ev.Columns != nil && last.divided {
		p.decoder.Fields() // it is counted in several panes
	}
	if ev.Columns != nil && b.ref != nil {
		p.runs.add(b, pane, ev.Columns, ev.Row)
	}
	unknown, repeated, invalid := b.count(ev, pane.Features)
	c := eventCounts{
		events: 1, withoutID: one(len(ev.ID) == 0), future: one(future), revises: one(place.Revises), unknown: unknown,
		repeated: repeated + uint64(ev.DuplicateKeys), badLatency: one(!ev.HasLatency && ev.LatencyInvalid),
	}
	p.stats.WithoutID += c.withoutID
	p.stats.Future += c.future
	p.stats.LateAccepted += c.revises
	p.stats.UnknownFeatures += c.unknown
	p.stats.DuplicateKeys += c.repeated
	p.stats.WrongTypes += invalid + c.badLatency
	c.add(pane, ev)
	p.changed(s, place, pane)
	if last.divided {
		p.countSegments(s, place, pane.Key.Version, ev, c)
	}
}

// slot returns the pane of a version's events in a place.
func (p *Partition) slot(s *source, place window.Placement, v []byte) slot {
	last := s.last
	if last.pane != nil && p.job == nil && last.start == place.Start && last.epoch == place.Epoch.ID && last.version == string(v) {
		return last
	}
	version := p.version(s, v)
	last = slot{
		start: place.Start, version: string(v), epoch: place.Epoch.ID, pane: p.pane(s, place, version, ""), binder: s.binders[place.Epoch.Fingerprint],
		divided: len(s.dimensions(place.Epoch)) > 0,
	}
	if s.last = last; version == result.Other {
		s.last = slot{} // the next one may have a place of its own, and must have it after a restart, too
	}
	return last
}

// eventCounts is what events add to the scalars of every pane that they are in.
type eventCounts struct {
	events, withoutID, future, revises, unknown, repeated, badLatency uint64
}

func one(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// add counts an event in a pane, all but its features.
func (c *eventCounts) add(pane *window.Pane, ev *event.Event) {
	c.tally(&pane.Tally)
	if ev.HasLatency {
		pane.Latency.Add(ev.Latency)
	}
	countStatus(pane, ev.Status, 1)
}

// countStatus counts events of one response status, which is empty where they have none.
func countStatus(pane *window.Pane, status []byte, n uint64) {
	if n == 0 || len(status) == 0 {
		return
	}
	pane.CountStatus(status, n)
	if !event.Succeeded(status) {
		pane.Tally.Errors += n
	}
}

func (c *eventCounts) tally(t *window.Tally) {
	t.Events += c.events
	t.WithoutID += c.withoutID
	t.Future += c.future
	t.LateAccepted += c.revises
	t.UnknownFeature += c.unknown
	t.DuplicateKey += c.repeated
	t.LatencyInvalid += c.badLatency
}

// version returns the version that an event counts for: its own, or `other` beyond the bound.
func (p *Partition) version(s *source, v []byte) string {
	name := versionName(v)
	if !s.HasVersion(name) && s.Versions() >= p.counting.MaxVersions {
		return result.Other
	}
	return name
}

// versionName returns the version that an event says.
func versionName(v []byte) string {
	switch string(v) {
	case "":
		return UnknownVersion
	case result.All:
		return result.Other // `*` is all of them together
	}
	return string(v)
}

// pane returns the pane of a place, a version and a segment, made if it is not there.
func (p *Partition) pane(s *source, place window.Placement, version, segment string) *window.Pane {
	key := window.PaneKey{Start: place.Start, Version: version, Fingerprint: place.Epoch.Fingerprint, Segment: segment}
	if pane := s.Panes[key]; pane != nil {
		if p.holds(pane) {
			p.rest()
		}
		return pane
	}
	b := s.binders[key.Fingerprint]
	pane := window.NewPane(key, b.ref, b.bounds)
	s.Insert(pane, place)
	p.store.insert(s.Model, pane)
	// Only the newest pane of a version, or of a segment of it, needs the fast form. What is counted into another one would bring that back.
	p.runs.flush(p)
	newest := pane
	for k, other := range s.Panes {
		if k.Version == version && k.Segment == segment && k.Start > newest.Key.Start {
			newest = other
		}
	}
	for k, other := range s.Panes {
		switch {
		case k.Version != version || k.Segment != segment || other == newest:
		case p.begin != nil:
			p.aged = append(p.aged, other)
		default:
			other.Compact()
		}
	}
	return pane
}

// changed notes that a pane was counted into.
func (p *Partition) changed(s *source, place window.Placement, pane *window.Pane) {
	if !pane.Dirty {
		p.store.touch(pane)
	}
	s.Changed(pane)
	if place.Revises {
		s.Touch(place, pane.Key.Version, pane.Key.Segment)
	}
}

// arrival counts what has no place of its own where the source is now, or keeps it until there is such a place.
func (p *Partition) arrival(s *source, f func(*window.Tally)) {
	if !p.arrivalPane(s, func(pane *window.Pane) { f(&pane.Tally) }) {
		f(&s.Pending)
	}
}

// arrivalPane changes the pane of no version in which the source is now; it returns false while there is none, or none that a window
// takes: extended windows may have ended ahead of the source, by the end of a file.
func (p *Partition) arrivalPane(s *source, f func(*window.Pane)) bool {
	t, ok := s.Arrival()
	if !ok {
		return false
	}
	place := s.Place(t)
	if place.TooLate {
		return false
	}
	pane := p.pane(s, place, "", "")
	f(pane)
	p.changed(s, place, pane)
	return true
}

// settlePending counts what waited for the source's first pane.
func (p *Partition) settlePending(s *source) {
	if s.Pending != (window.Tally{}) {
		if _, ok := s.Arrival(); ok {
			pending := s.Pending
			s.Pending = window.Tally{}
			p.arrival(s, func(t *window.Tally) { t.Add(&pending) })
		}
	}
}

// reject dead-letters a record by pointer. data is the record, or nil where it has no end that could be found: then the
// pointer describes the message.
func (p *Partition) reject(m Message, index int, model string, data []byte, why *event.RejectError, out *Output) {
	if data == nil {
		data = m.Data
	}
	if p.position.Refused++; p.position.Refused <= maxDeadLetters {
		sum := sha256.Sum256(data)
		d := result.DeadLetter{
			Stream: p.stream, Seq: m.Seq, Index: index, Subject: m.Subject, Reason: why.Reason.String(), Detail: why.Error(), Model: model,
			Size: len(data), SHA256: hex.EncodeToString(sum[:]), Time: m.Time,
		}
		if p.position.Refused == maxDeadLetters {
			d.Detail += fmt.Sprintf(" (further refused records of this message are counted only: the limit is %d a message)", maxDeadLetters)
		}
		out.DeadLetters = append(out.DeadLetters, d)
		out.Bytes += 256 + len(d.Subject) + len(d.Detail)
	}
	p.stats.Rejected[why.Reason]++
	if s := p.sources[model]; s != nil {
		p.touch(s, m.Time)
		p.arrival(s, func(t *window.Tally) { t.Reject(why.Reason) })
	}
}
