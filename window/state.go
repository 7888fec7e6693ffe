package window

import "slices"

// State is what is stored of a source beside its panes.
type State struct {
	Model     string        `json:"model"`
	Watermark int64         `json:"watermark"`
	MaxTime   int64         `json:"max_time"`
	Counted   int64         `json:"counted,omitempty"` // 0 in a state from before there was one: MaxTime
	LastSeen  int64         `json:"last_seen"`
	Flush     bool          `json:"flush,omitempty"`
	Epochs    []Epoch       `json:"epochs"`
	Series    []SeriesState `json:"series"`
	Windows   []*Status     `json:"windows"` // that ended and may still change, in canonical order
	Pending   Tally         `json:"pending"`
}

// SeriesState is how far the windows of one kind have been emitted.
type SeriesState struct {
	Spec        Spec   `json:"spec"`
	Fingerprint string `json:"fingerprint"`
	Through     int64  `json:"through"` // every window that ends by then has begun to be emitted, or was empty
	Done        int64  `json:"done"`    // of extended windows: the next one begins no earlier
	Begin       int64  `json:"begin"`   // of extended windows: where the one begins that is not decided yet, or Unset
}

// State returns the source's state, windows in canonical order.
func (s *Source) State() State {
	st := State{
		Model: s.Model, Watermark: s.Watermark, MaxTime: s.MaxTime, Counted: s.Counted, LastSeen: s.LastSeen, Flush: s.flush, Epochs: s.Epochs,
		Series: make([]SeriesState, 0, len(s.series)), Windows: []*Status{}, Pending: s.Pending,
	}
	for _, k := range s.series {
		st.Series = append(st.Series, SeriesState{
			Spec: k.Spec, Fingerprint: k.Fingerprint, Through: k.through, Done: k.done, Begin: k.begin,
		})
		st.Windows = append(st.Windows, k.open...)
	}
	slices.SortFunc(st.Windows, func(a, b *Status) int { return a.ID.compare(b.ID) })
	return st
}

// Restore returns the source of a stored state; its panes follow by Adopt.
func Restore(st State) *Source {
	s := NewSource(st.Model)
	s.Watermark, s.MaxTime, s.LastSeen = st.Watermark, st.MaxTime, st.LastSeen
	if s.Counted = st.Counted; s.Counted == 0 {
		s.Counted = st.MaxTime
	}
	s.flush, s.Pending = st.Flush, st.Pending
	st.upgrade()
	for _, k := range st.Series {
		s.series = append(s.series, &series{
			kind: kind{k.Spec, k.Fingerprint}, open: nil, through: k.Through, done: k.Done, begin: k.Begin,
		})
		s.reach = max(s.reach, k.Begin)
		if k.Spec.Extends() {
			s.reach = max(s.reach, k.Done)
		}
	}
	slices.SortFunc(s.series, func(a, b *series) int { return a.compare(b.kind) })
	for i := range st.Epochs {
		e := st.Epochs[i]
		s.begin(&e)
		s.Epochs = append(s.Epochs, e)
	}
	for _, w := range st.Windows {
		k := s.seriesOf(kind{w.ID.Spec(), w.ID.Fingerprint})
		k.open = slices.Insert(k.open, k.after(w.ID.End), w)
		s.nextDue, s.nextClose = min(s.nextDue, w.Due), min(s.nextClose, w.Closes)
		s.reach = max(s.reach, w.ID.End)
	}
	return s
}

// upgrade turns a state of version 1, which knew every window from its first pane on, into what is stored now.
func (st *State) upgrade() {
	if len(st.Series) > 0 {
		return
	}
	through := st.Watermark
	for _, w := range st.Windows {
		if w.Emitted > 0 { // also ahead of the watermark, by a flush
			through = max(through, w.ID.End)
		}
	}
	st.Windows = slices.DeleteFunc(st.Windows, func(w *Status) bool { return w.ID.End > through })
	for i := range st.Epochs {
		e := &st.Epochs[i]
		for _, spec := range e.Timing.Windows {
			k := SeriesState{Spec: spec, Fingerprint: e.Fingerprint, Through: through, Done: Unset, Begin: Unset}
			if !slices.Contains(st.Series, k) {
				st.Series = append(st.Series, k)
			}
		}
	}
}
