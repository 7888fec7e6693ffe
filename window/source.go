package window

import (
	"math"
	"slices"

	"github.com/driftd/driftd/event"
)

// Epoch is a stretch of event time in which one timing and one reference of a model hold. A change of configuration takes
// effect at the next pane: it begins a new epoch and leaves the panes of the old one as they are.
type Epoch struct {
	ID          int    `json:"id"`
	From        int64  `json:"from"` // first event time of the epoch
	Timing      Timing `json:"timing"`
	Fingerprint string `json:"fingerprint"`

	series []*series // of the timing's windows, in their order
}

// Source is the event time of one model within one partition. Models never move each other's watermark.
type Source struct {
	Model     string
	Watermark int64 // Unset before the first event
	MaxTime   int64 // newest event time that moved the watermark; Unset before
	Counted   int64 // newest time that an event was counted at, also one from the future, which moves no watermark; Unset before
	LastSeen  int64 // the broker's time of the source's last record or marker, for idleness
	Epochs    []Epoch
	Pending   Tally // what was counted before there was any pane to count it in
	Panes     map[PaneKey]*Pane

	flush     bool
	series    []*series // sorted
	order     []*Pane   // Panes, sorted
	versions  map[string]int
	nextDue   int64   // no window is due before the watermark gets here
	nextClose int64   // no pane or window closes before, and no panes are joined
	reach     int64   // no window that ended or was begun is about what is later
	leaving   []*Pane // to be removed
	joining   []*Pane // to be joined with others
	kept      map[sumKey]*Pane
	keptTo    int64 // none of kept is about what is later
}

// NewSource returns the source of a model before its first record.
func NewSource(model string) *Source {
	return &Source{
		Model: model, Watermark: Unset, MaxTime: Unset, Counted: Unset, LastSeen: 0, Epochs: nil, Pending: Tally{}, Panes: map[PaneKey]*Pane{},
		flush: false, series: nil, order: nil, versions: map[string]int{},
		nextDue: Never, nextClose: Never, reach: Unset,
		leaving: nil, joining: nil, kept: map[sumKey]*Pane{}, keptTo: Unset,
	}
}

// Configure makes a timing and a reference hold from the next pane on and returns the epoch's number. Before anything was counted
// it replaces what was configured. Windows that ended keep their lateness; those that have not take the new one.
func (s *Source) Configure(t Timing, fingerprint string) int {
	e := Epoch{ID: 1, From: math.MinInt64, Timing: t, Fingerprint: fingerprint, series: nil}
	if n := len(s.Epochs); n > 0 {
		last := s.Epochs[n-1]
		e.ID, e.From = last.ID+1, s.nextBoundary(last.Timing, t)
		if e.From <= last.From { // the last one never held
			e.From, s.Epochs = last.From, s.Epochs[:n-1]
		}
	}
	s.begin(&e)
	for _, k := range e.series {
		if s.lasts(k) != Never && k.begin == Unset && s.first(k, k.done) == nil {
			k.done = max(k.done, e.From) // windows of this kind come anew
		}
	}
	s.Epochs = append(slices.Clip(s.Epochs), e)
	s.forgetSeries()
	for _, k := range s.series {
		for _, w := range k.open {
			closes := s.closesAt(w.ID.End)
			if w.Due == w.Closes && w.Emitted > 0 {
				w.Due = closes
			}
			w.Closes = closes
			s.nextDue, s.nextClose = min(s.nextDue, w.Due), min(s.nextClose, closes)
		}
	}
	if s.Watermark != Unset {
		s.nextClose = min(s.nextClose, s.Watermark)
		s.nextDue = min(s.nextDue, s.Watermark)
	}
	return e.ID
}

// begin finds the series of an epoch's windows, or begins them where the epoch begins.
func (s *Source) begin(e *Epoch) {
	e.series = make([]*series, len(e.Timing.Windows))
	for i, spec := range e.Timing.Windows {
		k := kind{Spec: spec, Fingerprint: e.Fingerprint}
		if _, found := s.findSeries(k); !found {
			o := s.seriesOf(k)
			if o.done = e.From; s.Watermark != Unset {
				o.through = floor(s.Watermark, e.Timing.Pane)
			}
		}
		e.series[i] = s.seriesOf(k)
	}
}

// findSeries returns the index of the series of a kind, or where it belongs.
func (s *Source) findSeries(k kind) (at int, found bool) {
	return slices.BinarySearchFunc(s.series, k, func(o *series, k kind) int { return o.compare(k) })
}

// seriesOf returns the series of a kind, made if there is none.
func (s *Source) seriesOf(k kind) *series {
	at, found := s.findSeries(k)
	if !found {
		s.series = slices.Insert(s.series, at, &series{kind: k, open: nil, through: Unset, done: Unset, begin: Unset})
	}
	return s.series[at]
}

// nextBoundary returns the first pane boundary, of both the old and the new panes, after everything that was counted: also after
// what moved no watermark, such as an event from the future, which is counted at the broker's time.
func (s *Source) nextBoundary(old, next Timing) int64 {
	now := max(s.MaxTime, s.Watermark)
	if n := len(s.order); n > 0 {
		now = max(now, s.order[n-1].Key.Start)
	}
	if now == Unset {
		return math.MinInt64
	}
	step := old.Pane
	if old.Pane != next.Pane {
		step = PaneUnit
	}
	return floor(now, step) + step
}

// Epoch returns the epoch that event time t belongs to.
func (s *Source) Epoch(t int64) *Epoch { return &s.Epochs[s.epochAt(t)] }

func (s *Source) epochAt(t int64) int {
	i := len(s.Epochs) - 1
	for i > 0 && s.Epochs[i].From > t {
		i--
	}
	return i
}

// EpochOf returns the newest epoch with a reference's fingerprint that begins before end: the one whose configuration
// judges a window.
func (s *Source) EpochOf(id ID) *Epoch {
	for i := len(s.Epochs) - 1; i >= 0; i-- {
		if e := &s.Epochs[i]; e.Fingerprint == id.Fingerprint && e.From < id.End {
			return e
		}
	}
	return &s.Epochs[len(s.Epochs)-1]
}

// Placement says where a record with an event time belongs.
type Placement struct {
	Start   int64 // of its pane
	Epoch   *Epoch
	TooLate bool   // no window may take it any more
	Missed  []Spec // kinds of windows of which at least one that contains it is closed, while a longer or later one takes it
	Revises bool   // a window that contains it was emitted already

	base int64 // beginning of the base pane that it would be in if none were joined
}

// Place says where event time t belongs. It changes nothing.
func (s *Source) Place(t int64) Placement {
	e := s.Epoch(t)
	base := floor(t, e.Timing.Pane)
	p := Placement{Start: base, Epoch: e, TooLate: false, Missed: nil, Revises: false, base: base}
	if t < e.From { // it belongs to an epoch that is forgotten
		p.TooLate = true
		return p
	}
	if base >= s.reach && s.Watermark < base+e.Timing.Pane {
		return p // no window that contains it has ended
	}
	taken := false
	for _, k := range e.series {
		takes, missed := s.takes(k, base)
		if taken = taken || takes; missed {
			p.Missed = append(p.Missed, k.Spec)
		}
		k.containing(base, func(w *Status) { p.Revises = p.Revises || w.Emitted > 0 })
	}
	if !taken {
		p.TooLate, p.Missed, p.Revises = true, nil, false
		return p
	}
	p.Start = s.cell(e, base)
	return p
}

// takes reports whether a window of a series that contains the pane beginning at base takes records, and whether one does not.
func (s *Source) takes(k *series, base int64) (takes, misses bool) {
	if !k.Spec.Extends() {
		first := k.Spec.firstEnd(base)
		if s.Watermark < first {
			return true, false
		}
		least, most := s.closesBetween(first, k.Spec.lastEnd(base), k.Spec.Every)
		return s.Watermark < most, s.Watermark >= least
	}
	if base >= k.done {
		takes = k.begin == Unset || base >= k.begin
		return takes, !takes
	}
	k.containing(base, func(w *Status) { takes = s.Watermark < w.Closes })
	return takes, !takes
}

// closesAt returns the watermark at which a window that ends at end takes nothing more. Its lateness is that of the epoch in which
// it ends, for all that is in it. Epochs begin behind the watermark and behind everything that was counted, so a configuration
// changes it only for windows that have not ended.
func (s *Source) closesAt(end int64) int64 { return end + s.Epoch(end-1).Timing.Lateness }

// closesBetween returns the least and the greatest of closesAt over the ends first, first+every, … last.
func (s *Source) closesBetween(first, last, every int64) (least, most int64) {
	from, to := s.epochAt(first-1), s.epochAt(last-1)
	if from == to {
		return s.closesAt(first), s.closesAt(last)
	}
	least, most = Never, Unset
	for i := from; i <= to; i++ {
		lo, hi := first, last
		if i > from {
			lo = floor(s.Epochs[i].From, every) + every
		}
		if i < to {
			hi = floor(s.Epochs[i+1].From, every)
		}
		if lo <= hi {
			least, most = min(least, s.closesAt(lo)), max(most, s.closesAt(hi))
		}
	}
	return least, most
}

// closes returns the watermark at which the pane of an epoch that begins at base can take nothing any more.
func (s *Source) closes(e *Epoch, base int64) int64 {
	last := Unset
	for _, k := range e.series {
		switch {
		case !k.Spec.Extends():
			_, most := s.closesBetween(k.Spec.firstEnd(base), k.Spec.lastEnd(base), k.Spec.Every)
			last = max(last, most)
		case base < k.done:
			k.containing(base, func(w *Status) { last = max(last, w.Closes) })
		case k.begin == Unset || base >= k.begin:
			return Never
		}
	}
	return last
}

// Arrival returns the event time at which the source is: where records are counted that have no place of their own. ok is
// false before the first event; they wait in Pending then.
func (s *Source) Arrival() (t int64, ok bool) {
	t = max(s.MaxTime, s.Watermark)
	return t, t != Unset
}

// Versions returns how many versions have panes now.
func (s *Source) Versions() int { return len(s.versions) }

// HasVersion reports whether a version has a pane now.
func (s *Source) HasVersion(v string) bool { return s.versions[v] > 0 }

// Insert adds a new pane. A window that contains it, ended and was empty is due at the end of its lateness.
func (s *Source) Insert(p *Pane, place Placement) {
	s.adopt(p)
	for _, k := range place.Epoch.series {
		if k.Spec.Extends() {
			continue // none that ended was empty
		}
		first, last := k.Spec.firstEnd(place.base), min(k.Spec.lastEnd(place.base), k.through)
		if s.Watermark != Unset {
			first = max(first, floor(s.Watermark-s.longestLateness(), k.Spec.Every)) // the ones before are closed
		}
		for end := first; end <= last; end += k.Spec.Every {
			closes := s.closesAt(end)
			if s.Watermark >= closes || k.find(end) != nil {
				continue // this window is past, and a longer one takes the pane; or it is not the first pane in it
			}
			if s.Watermark < end { // after a flush
				closes = end
			}
			s.add(k, end-k.Spec.Size, end, closes)
		}
	}
	s.nextDue = min(s.nextDue, s.boundary(place.base))
}

func (s *Source) longestLateness() int64 {
	longest := int64(0)
	for i := range s.Epochs {
		longest = max(longest, s.Epochs[i].Timing.Lateness)
	}
	return longest
}

// adopt takes over a pane, new or restored.
func (s *Source) adopt(p *Pane) {
	s.Panes[p.Key] = p
	s.order = slices.Insert(s.order, s.at(p.Key), p)
	if p.Key.Version != "" {
		s.versions[p.Key.Version]++
	}
	s.nextClose = min(s.nextClose, s.changes(p))
}

// Adopt takes over a restored pane; its windows are restored with the source.
func (s *Source) Adopt(p *Pane) {
	s.adopt(p)
	s.nextDue = min(s.nextDue, s.boundary(p.Key.Start))
}

// at returns the index of a pane in the order, or where it belongs.
func (s *Source) at(key PaneKey) int {
	if n := len(s.order); n == 0 || s.order[n-1].Key.compare(key) < 0 {
		return n
	}
	i, _ := slices.BinarySearchFunc(s.order, key, func(p *Pane, k PaneKey) int { return p.Key.compare(k) })
	return i
}

// from returns the index of the first pane that begins at t or later.
func (s *Source) from(t int64) int {
	return s.at(PaneKey{Start: t, Version: "", Fingerprint: "", Segment: ""})
}

// remove forgets a pane.
func (s *Source) remove(p *Pane) {
	delete(s.Panes, p.Key)
	s.spoil(p.Key)
	i := s.at(p.Key)
	s.order = slices.Delete(s.order, i, i+1)
	if v := p.Key.Version; v != "" {
		if s.versions[v]--; s.versions[v] == 0 {
			delete(s.versions, v)
		}
	}
}

// Touch notes that a pane of a version, and of a segment if that is not empty, changed: windows that were emitted are due again.
func (s *Source) Touch(place Placement, version, segment string) {
	for _, k := range place.Epoch.series {
		k.containing(place.base, func(w *Status) {
			w.change(version, segment)
			if w.Emitted > 0 && w.Due == Never {
				w.Due = w.Closes
				s.nextDue = min(s.nextDue, w.Due)
			}
		})
	}
}

// Observe moves the watermark by an event time that was seen.
func (s *Source) Observe(t int64) {
	s.MaxTime = max(s.MaxTime, t)
	s.Advance(t - s.Epoch(t).Timing.WatermarkDelay)
}

// Advance moves the watermark to w if that is later.
func (s *Source) Advance(w int64) { s.Watermark = max(s.Watermark, w) }

// Flush makes windows due that have something new to say, up to the first one of each kind that ends behind all that was counted:
// the end of a replayed file closes the windows that the file opened, and the watermark stays, so that a following file is not
// late.
func (s *Source) Flush() { s.flush = true }

// Flushing reports whether a Flush is not over yet.
func (s *Source) Flushing() bool { return s.flush }

// Emitted notes that a due window was emitted.
func (s *Source) Emitted(w *Status) {
	w.Emitted++
	w.Changed, w.Parts, w.Due, w.Written = nil, nil, Never, 0
}

// Open reports how many windows are open, and whether any of them waits for the watermark to emit something. Of the windows of a
// kind that have not ended, one is counted.
func (s *Source) Open() (n int, waiting bool) {
	for _, k := range s.series {
		n += len(k.open)
		for _, w := range k.open {
			waiting = waiting || w.Due != Never
		}
		if _, _, ok, at := s.next(k, s.Watermark, false); ok || at != Never {
			n, waiting = n+1, true
		}
	}
	return n, waiting
}

// Reject counts a refused record.
func (t *Tally) Reject(r event.RejectReason) { t.Rejected[r]++ }

// Calm returns where event time t belongs, and from when until before when records may have happened that belong there as well. In whatever order
// they come, they make nothing due, close nothing and revise nothing, and Arrival stays in that pane. ok is false where that cannot be said of t.
func (s *Source) Calm(t int64) (place Placement, from, to int64, ok bool) {
	if s.MaxTime == Unset || s.Ready() || slices.ContainsFunc(s.series, func(k *series) bool { return k.Spec.Extends() }) {
		return place, 0, 0, false
	}
	place = s.Place(t)
	e := place.Epoch
	from, to = max(place.base, e.From), place.base+e.Timing.Pane
	if place.TooLate || place.base < s.reach || s.Watermark >= to {
		return place, 0, 0, false // windows have ended that contain it
	}
	if at := s.epochAt(t) + 1; at < len(s.Epochs) {
		to = min(to, s.Epochs[at].From)
	}
	if limit := min(s.nextDue, s.nextClose); limit < Never-e.Timing.WatermarkDelay {
		to = min(to, limit+e.Timing.WatermarkDelay)
	}
	return place, from, to, from <= t && t < to && from <= s.MaxTime && s.MaxTime < to
}
