package window

import "slices"

// Levels of the hierarchy of panes: when no window that may still change begins or ends inside of an hour or a day, the panes in
// it are joined into one. What a window says is not touched by it: counts add.
var levels = [...]int64{24 * 60 * 60 * 1000, 60 * 60 * 1000}

// cell returns where the pane begins that holds the base pane beginning at base: the longest of the hierarchy that may hold it.
func (s *Source) cell(e *Epoch, base int64) int64 {
	if s.Watermark == Unset {
		return base
	}
	for _, length := range levels {
		if start := floor(base, length); s.Watermark >= s.joins(e, start, length) {
			return start
		}
	}
	return base
}

// joins returns the watermark at which the panes of an epoch from start on are one of a length: when it is over and no window
// that is not closed begins or ends in it; Never where that cannot be known yet.
func (s *Source) joins(e *Epoch, start, length int64) int64 {
	end := start + length
	if start < e.From || s.epochAt(end-1) != s.epochAt(start) {
		return Never
	}
	at := s.closesAt(end)
	for _, k := range e.series {
		switch {
		case k.Spec.Extends():
			if end > k.done {
				return Never
			}
			for _, w := range k.open[k.after(start):] {
				if w.ID.Start() < end {
					at = max(at, w.Closes)
				}
			}
		case k.Spec.Size%length != 0 || k.Spec.Every%length != 0:
			_, most := s.closesBetween(k.Spec.firstEnd(start), k.Spec.lastEnd(end-e.Timing.Pane), k.Spec.Every)
			at = max(at, most)
		}
	}
	return at
}

// changes returns the watermark at which a pane closes or is joined with others.
func (s *Source) changes(p *Pane) int64 {
	e := s.Epoch(p.Key.Start)
	if s.cell(e, p.Key.Start) != p.Key.Start {
		return s.Watermark
	}
	at := s.closes(e, p.Key.Start)
	for _, length := range levels {
		if start := floor(p.Key.Start, length); start != p.Key.Start {
			at = min(at, s.joins(e, start, length))
		}
	}
	return at
}

// tidy finds what the watermark lets go: windows that can change no more, which it forgets, and panes to leave or to be joined. It
// reports whether there are such panes.
func (s *Source) tidy() bool {
	if len(s.leaving)+len(s.joining) > 0 {
		return true
	}
	if s.Watermark == Unset || s.Watermark < s.nextClose {
		return false
	}
	s.nextClose = Never
	for _, k := range s.series {
		k.open = slices.DeleteFunc(k.open, func(w *Status) bool { return w.Closes <= s.Watermark && w.Due == Never })
		for _, w := range k.open {
			s.nextClose = min(s.nextClose, w.Closes)
		}
	}
	for _, p := range s.order {
		e := s.Epoch(p.Key.Start)
		switch {
		case s.closes(e, p.Key.Start) <= s.Watermark:
			s.leaving = append(s.leaving, p)
		case s.cell(e, p.Key.Start) != p.Key.Start:
			s.joining = append(s.joining, p)
		default:
			s.nextClose = min(s.nextClose, s.changes(p))
		}
	}
	s.forgetEpochs()
	return len(s.leaving)+len(s.joining) > 0
}

// Sweep removes a pane that can take nothing any more and returns it, or nil when there is none. Call it, and Join, when nothing is
// due, until both return nil; what is left over when that is interrupted, also by a restart, comes the next time.
func (s *Source) Sweep() *Pane {
	if !s.tidy() || len(s.leaving) == 0 {
		return nil
	}
	p := s.leaving[0]
	s.leaving = s.leaving[1:]
	s.remove(p)
	if len(s.leaving) == 0 {
		s.leaving = nil
		s.forgetEpochs()
	}
	return p
}

// Join adds a pane to the one that holds its hour or its day from now on, made by empty if there is none, and returns both, or nil
// when there is none to join.
func (s *Source) Join(empty func(PaneKey) *Pane) (into, gone *Pane) {
	if !s.tidy() || len(s.joining) == 0 {
		return nil, nil
	}
	gone = s.joining[0]
	if s.joining = s.joining[1:]; len(s.joining) == 0 {
		s.joining = nil
	}
	key := gone.Key
	key.Start = s.cell(s.Epoch(key.Start), key.Start)
	if into = s.Panes[key]; into == nil {
		into = empty(key)
		s.adopt(into)
	}
	into.add(gone)
	s.remove(gone)
	return into, gone
}

// forgetEpochs forgets the epochs that nothing can fall into any more.
func (s *Source) forgetEpochs() {
	for len(s.Epochs) > 1 && s.over(&s.Epochs[0], s.Epochs[1].From) {
		s.Epochs = slices.Clone(s.Epochs[1:])
	}
	s.forgetSeries()
}

// over reports whether nothing can fall into an epoch that ends at end, and nothing that did is kept.
func (s *Source) over(e *Epoch, end int64) bool {
	if len(s.order) > 0 && s.order[0].Key.Start < end {
		return false
	}
	for _, k := range s.series {
		if len(k.open) > 0 && k.open[0].ID.End <= end {
			return false
		}
	}
	for _, k := range e.series {
		if k.Spec.Extends() {
			if max(k.done, k.begin) < end {
				return false
			}
		} else if s.Watermark < k.Spec.lastEnd(end-e.Timing.Pane)+s.longestLateness() {
			return false
		}
	}
	return true
}

// forgetSeries forgets the kinds of windows that no configuration has and none of which is open.
func (s *Source) forgetSeries() {
	s.series = slices.DeleteFunc(s.series, func(k *series) bool { return len(k.open) == 0 && s.lasts(k) == Unset })
}

// Ready reports whether Due, Sweep or Join may have something to return: false is sure.
func (s *Source) Ready() bool {
	return s.flush || len(s.leaving)+len(s.joining) > 0 || s.Watermark != Unset && (s.Watermark >= s.nextDue || s.Watermark >= s.nextClose)
}
