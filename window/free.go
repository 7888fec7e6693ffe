package window

// Free says what a source may count, and how far its watermark may move, while windows that are due are not emitted yet: what they say does
// not depend on it, nor does it on whether they have been emitted.
type Free struct {
	From  int64 // events of panes from here on are in no window that has ended, or is due
	Until int64 // no further window is due before the watermark gets here
}

// Free returns what is free now; ok is false where that is not known. Extended windows are not: where the next one begins depends on the last.
func (s *Source) Free() (f Free, ok bool) {
	if s.flush || s.Watermark == Unset {
		return Free{}, false
	}
	f = Free{From: s.reach, Until: Never}
	for _, k := range s.series {
		if k.Spec.Extends() {
			return Free{}, false
		}
		end := k.Spec.firstEnd(s.Watermark)
		f.From, f.Until = max(f.From, end-k.Spec.Every), min(f.Until, end)
		for _, w := range k.open {
			if w.Due > s.Watermark {
				f.Until = min(f.Until, w.Due)
			}
		}
	}
	t, _ := s.Arrival()
	return f, floor(t, s.Epoch(t).Timing.Pane) >= f.From
}

// Frees reports whether a record of event time t is free: it is in a pane that is not over, and where it moves the watermark no window is due.
func (s *Source) Frees(f Free, t int64, moves bool) bool {
	e := s.Epoch(t)
	base := floor(t, e.Timing.Pane)
	return t >= e.From && base >= f.From && s.Watermark < base+e.Timing.Pane && (!moves || t-e.Timing.WatermarkDelay < f.Until)
}
