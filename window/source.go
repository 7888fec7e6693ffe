package window

import (
	"maps"
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
}

// Source is the event time of one model within one partition. Models never move each other's watermark.
type Source struct {
	Model     string
	Watermark int64 // Unset before the first event
	MaxTime   int64 // newest event time that moved the watermark; Unset before
	LastSeen  int64 // the broker's time of the source's last record or marker, for idleness
	Epochs    []Epoch
	Pending   Tally // what was counted before there was any pane to count it in
	Panes     map[PaneKey]*Pane

	flush          bool
	emittedThrough int64 // largest end of a window that was emitted
	windows        map[ID]*Status
	versions       map[string]int // live panes by version
	nextDue        int64          // no window is due before the watermark gets here
	nextClose      int64          // no pane or window closes before
}

// NewSource returns the source of a model before its first record.
func NewSource(model string) *Source {
	return &Source{
		Model: model, Watermark: Unset, MaxTime: Unset, LastSeen: 0, Epochs: nil, Pending: Tally{}, Panes: map[PaneKey]*Pane{},
		flush: false, emittedThrough: Unset, windows: map[ID]*Status{}, versions: map[string]int{}, nextDue: Never, nextClose: Never,
	}
}

// Configure makes a timing and a reference hold from the next pane on and returns the epoch's number. Before the first event
// it replaces what was configured.
func (s *Source) Configure(t Timing, fingerprint string) int {
	if n := len(s.Epochs); n > 0 {
		last := &s.Epochs[n-1]
		from := s.nextBoundary(last.Timing, t)
		if from <= last.From || s.MaxTime == Unset && s.Watermark == Unset {
			*last = Epoch{ID: last.ID + 1, From: last.From, Timing: t, Fingerprint: fingerprint} // the last one never held
			return last.ID
		}
		s.Epochs = append(s.Epochs, Epoch{ID: last.ID + 1, From: from, Timing: t, Fingerprint: fingerprint})
		return last.ID + 1
	}
	s.Epochs = []Epoch{{ID: 1, From: math.MinInt64, Timing: t, Fingerprint: fingerprint}}
	return 1
}

// nextBoundary returns the first pane boundary, of both the old and the new panes, after everything that was counted.
func (s *Source) nextBoundary(old, next Timing) int64 {
	now := max(s.MaxTime, s.Watermark)
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
func (s *Source) Epoch(t int64) *Epoch {
	i := len(s.Epochs) - 1
	for i > 0 && s.Epochs[i].From > t {
		i--
	}
	return &s.Epochs[i]
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
}

// Place says where event time t belongs. It changes nothing.
func (s *Source) Place(t int64) Placement {
	e := s.Epoch(t)
	start := floor(t, e.Timing.Pane)
	p := Placement{Start: start, Epoch: e, TooLate: false, Missed: nil, Revises: false}
	if s.Watermark != Unset && s.Watermark >= closes(e.Timing, start) {
		p.TooLate = true
		return p
	}
	if s.Watermark != Unset && s.Watermark >= start+e.Timing.Lateness {
		for _, w := range e.Timing.Windows {
			if s.Watermark >= floor(start, w.Every)+w.Every+e.Timing.Lateness {
				p.Missed = append(p.Missed, w)
			}
		}
	}
	if s.emittedThrough > start {
		s.containing(e, start, func(id ID) {
			if w := s.windows[id]; w != nil && w.Emitted > 0 {
				p.Revises = true
			}
		})
	}
	return p
}

// closes returns the watermark at which the pane beginning at start can take nothing any more.
func closes(t Timing, start int64) int64 {
	last := int64(math.MinInt64)
	for _, w := range t.Windows {
		last = max(last, w.lastEnd(start))
	}
	return last + t.Lateness
}

func (s *Source) containing(e *Epoch, start int64, f func(ID)) {
	for _, w := range e.Timing.Windows {
		w.ends(start, func(end int64) { f(ID{End: end, Size: w.Size, Every: w.Every, Fingerprint: e.Fingerprint}) })
	}
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

// Insert adds a new pane and registers the windows that contain it.
func (s *Source) Insert(p *Pane, e *Epoch) {
	s.adopt(p, closes(e.Timing, p.Key.Start))
	s.containing(e, p.Key.Start, func(id ID) {
		if s.windows[id] != nil {
			return
		}
		w := &Status{ID: id, Emitted: 0, Due: id.End, Closes: id.End + e.Timing.Lateness, Changed: nil, Written: 0}
		if s.Watermark != Unset && s.Watermark >= w.Closes {
			return // this window is past; a longer one still takes the pane
		}
		if s.Watermark != Unset && s.Watermark >= w.Due {
			w.Due = w.Closes
		}
		s.windows[id] = w
		s.nextDue, s.nextClose = min(s.nextDue, w.Due), min(s.nextClose, w.Closes)
	})
}

// adopt takes over a pane, new or restored.
func (s *Source) adopt(p *Pane, closes int64) {
	p.Closes = closes
	s.Panes[p.Key] = p
	if p.Key.Version != "" {
		s.versions[p.Key.Version]++
	}
	s.nextClose = min(s.nextClose, closes)
}

// Adopt takes over a restored pane; its windows are restored with the source.
func (s *Source) Adopt(p *Pane) { s.adopt(p, p.Closes) }

// Touch notes that the pane beginning at start changed for a version: windows that were emitted are due again.
func (s *Source) Touch(e *Epoch, start int64, version string) {
	if s.emittedThrough <= start {
		return
	}
	s.containing(e, start, func(id ID) {
		w := s.windows[id]
		if w == nil {
			return
		}
		if i, found := slices.BinarySearch(w.Changed, version); !found {
			w.Changed = slices.Insert(w.Changed, i, version)
		}
		if w.Emitted > 0 && w.Due == Never {
			w.Due = w.Closes
			s.nextDue = min(s.nextDue, w.Due)
		}
	})
}

// Observe moves the watermark by an event time that was seen.
func (s *Source) Observe(t int64) {
	s.MaxTime = max(s.MaxTime, t)
	s.Advance(t - s.Epoch(t).Timing.WatermarkDelay)
}

// Advance moves the watermark to w if that is later.
func (s *Source) Advance(w int64) { s.Watermark = max(s.Watermark, w) }

// Flush makes every open window due that has something new to say: the end of a replayed file closes the windows that the
// file opened, and the watermark stays, so that a following file is not late.
func (s *Source) Flush() { s.flush = true }

// Flushing reports whether a Flush is not over yet.
func (s *Source) Flushing() bool { return s.flush }

// Due returns the next window to be emitted, in canonical order, or nil when there is none at this watermark.
func (s *Source) Due() *Status {
	if !s.flush && (s.Watermark == Unset || s.Watermark < s.nextDue) {
		return nil
	}
	var first *Status
	next := Never
	for _, w := range s.windows {
		if w.Due != Never && (s.flush || w.Due <= s.Watermark) {
			if first == nil || compareDue(w, first) < 0 {
				first = w
			}
		}
		next = min(next, w.Due)
	}
	if first == nil {
		s.flush, s.nextDue = false, next
	}
	return first
}

// Emitted notes that a due window was emitted.
func (s *Source) Emitted(w *Status) {
	w.Emitted++
	w.Changed, w.Due, w.Written = nil, Never, 0
	s.emittedThrough = max(s.emittedThrough, w.ID.End)
}

// Open reports how many windows are open, and whether any of them waits for the watermark to emit something.
func (s *Source) Open() (n int, waiting bool) {
	for _, w := range s.windows {
		waiting = waiting || w.Due != Never
	}
	return len(s.windows), waiting
}

// Sweep removes windows and panes that can change no more and returns the removed panes. Call it when nothing is due.
func (s *Source) Sweep() []*Pane {
	if s.Watermark == Unset || s.Watermark < s.nextClose {
		return nil
	}
	s.nextClose = Never
	maps.DeleteFunc(s.windows, func(_ ID, w *Status) bool { return w.Closes <= s.Watermark && w.Due == Never })
	for _, w := range s.windows {
		s.nextClose = min(s.nextClose, w.Closes)
	}
	var gone []*Pane
	oldest := Never
	for k, p := range s.Panes {
		if p.Closes > s.Watermark {
			s.nextClose, oldest = min(s.nextClose, p.Closes), min(oldest, k.Start)
			continue
		}
		gone = append(gone, p)
		delete(s.Panes, k)
		if k.Version != "" {
			if s.versions[k.Version]--; s.versions[k.Version] == 0 {
				delete(s.versions, k.Version)
			}
		}
	}
	slices.SortFunc(gone, func(a, b *Pane) int { return a.Key.compare(b.Key) })
	for len(s.Epochs) > 1 && s.Epochs[1].From <= min(oldest, s.Watermark-s.Epochs[0].Timing.horizon()) {
		s.Epochs = s.Epochs[1:] // nothing can fall into it any more
	}
	return gone
}

// In returns the panes of a window in canonical order: by version, then by start.
func (s *Source) In(id ID) []*Pane {
	var in []*Pane
	for k, p := range s.Panes {
		if k.Start >= id.Start() && k.Start < id.End && k.Fingerprint == id.Fingerprint {
			in = append(in, p)
		}
	}
	slices.SortFunc(in, func(a, b *Pane) int {
		if a.Key.Version != b.Key.Version {
			if a.Key.Version < b.Key.Version {
				return -1
			}
			return 1
		}
		return a.Key.compare(b.Key)
	})
	return in
}

// State is what is stored of a source beside its panes.
type State struct {
	Model          string    `json:"model"`
	Watermark      int64     `json:"watermark"`
	MaxTime        int64     `json:"max_time"`
	LastSeen       int64     `json:"last_seen"`
	EmittedThrough int64     `json:"emitted_through"`
	Flush          bool      `json:"flush,omitempty"`
	Epochs         []Epoch   `json:"epochs"`
	Windows        []*Status `json:"windows"`
	Pending        Tally     `json:"pending"`
}

// State returns the source's state, windows in canonical order.
func (s *Source) State() State {
	ws := slices.SortedFunc(maps.Values(s.windows), func(a, b *Status) int { return a.ID.compare(b.ID) })
	return State{
		Model: s.Model, Watermark: s.Watermark, MaxTime: s.MaxTime, LastSeen: s.LastSeen, EmittedThrough: s.emittedThrough,
		Flush: s.flush, Epochs: s.Epochs, Windows: ws, Pending: s.Pending,
	}
}

// Restore returns the source of a stored state; its panes follow by Adopt.
func Restore(st State) *Source {
	s := NewSource(st.Model)
	s.Watermark, s.MaxTime, s.LastSeen, s.emittedThrough = st.Watermark, st.MaxTime, st.LastSeen, st.EmittedThrough
	s.flush, s.Epochs, s.Pending = st.Flush, st.Epochs, st.Pending
	for _, w := range st.Windows {
		s.windows[w.ID] = w
		s.nextDue, s.nextClose = min(s.nextDue, w.Due), min(s.nextClose, w.Closes)
	}
	return s
}

// Reject counts a refused record.
func (t *Tally) Reject(r event.RejectReason) { t.Rejected[r]++ }
