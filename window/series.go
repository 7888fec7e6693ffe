package window

import (
	"cmp"
	"slices"
)

// kind is what windows have in common that follow each other: how they are cut, and the reference that they are judged by.
type kind struct {
	Spec        Spec
	Fingerprint string
}

func (k kind) compare(o kind) int {
	return cmp.Or(k.Spec.compare(o.Spec), cmp.Compare(k.Fingerprint, o.Fingerprint))
}

// series is the windows of one kind. Only those are remembered that ended, until their lateness is over: which windows will
// end follows from the panes, so that a window of thirty days that slides by minutes takes no more memory than one of an hour.
type series struct {
	kind
	open    []*Status // by end
	through int64     // windows that end by then have begun to be emitted, or were empty; of extended ones the ends looked at
	done    int64     // extended: the next window begins no earlier
	begin   int64     // extended: where the window begins that is not decided yet; Unset: none
}

// after returns the index of the first window that ends after t.
func (k *series) after(t int64) int {
	i, _ := slices.BinarySearchFunc(k.open, t, func(w *Status, t int64) int {
		if w.ID.End <= t {
			return -1
		}
		return 1
	})
	return i
}

// containing calls f with every window that ended and contains the pane beginning at base.
func (k *series) containing(base int64, f func(*Status)) {
	for _, w := range k.open[k.after(base):] {
		if w.ID.Start() > base {
			return
		}
		f(w)
	}
}

// find returns the window of an end, or nil.
func (k *series) find(end int64) *Status {
	if i := k.after(end - 1); i < len(k.open) && k.open[i].ID.End == end {
		return k.open[i]
	}
	return nil
}

// add makes the window that begins at start and ends at end known, to be emitted when the watermark is at due.
func (s *Source) add(k *series, start, end, due int64) {
	w := &Status{
		ID: ID{
			End: end, Size: k.Spec.Size, Every: k.Spec.Every, Fingerprint: k.Fingerprint, Extra: end - start - k.Spec.Size,
			MinEvents: k.Spec.MinEvents, ExtendTo: k.Spec.ExtendTo,
		},
		Emitted: 0, Due: due, Closes: s.closesAt(end), Changed: nil, Parts: nil, Written: 0,
	}
	k.open = slices.Insert(k.open, k.after(end), w)
	s.nextDue, s.nextClose = min(s.nextDue, due), min(s.nextClose, w.Closes)
	s.reach = max(s.reach, end)
}

// has reports whether windows of a kind count a pane: if the configuration under which it was counted has them.
func (s *Source) has(k *series, p *Pane) bool {
	return p.Key.Fingerprint == k.Fingerprint && slices.Contains(s.Epoch(p.Key.Start).series, k)
}

// first returns the first pane of a series that begins at from or later, or nil.
func (s *Source) first(k *series, from int64) *Pane {
	for _, p := range s.order[s.from(from):] {
		if s.has(k, p) {
			return p
		}
	}
	return nil
}

// newest returns the last pane of a series, or nil.
func (s *Source) newest(k *series) *Pane {
	for _, p := range slices.Backward(s.order) {
		if s.has(k, p) {
			return p
		}
	}
	return nil
}

// next finds the next window of a series that ends by the limit and was not begun. ok is false where there is none; at is then the
// watermark at which it is worth looking again.
func (s *Source) next(k *series, limit int64, flush bool) (start, end int64, ok bool, at int64) {
	if k.Spec.Extends() {
		return s.nextExtended(k, limit, flush)
	}
	from := Unset
	if k.through != Unset {
		end = k.Spec.firstEnd(k.through)
		from = end - k.Spec.Size
	}
	p := s.first(k, from)
	if p == nil {
		return 0, 0, false, Never
	}
	if k.through == Unset || p.Key.Start >= end {
		end = k.Spec.firstEnd(p.Key.Start)
	}
	return end - k.Spec.Size, end, end <= limit, end
}

// nextExtended is next for windows that are extended: each end of a pane is looked at once, when the watermark passes it.
func (s *Source) nextExtended(k *series, limit int64, flush bool) (start, end int64, ok bool, at int64) {
	first := s.first(k, k.done)
	if first == nil {
		return 0, 0, false, Never
	}
	if k.begin == Unset {
		if opens := s.boundary(first.Key.Start); opens > limit && !flush {
			return 0, 0, false, opens
		}
		k.begin = max(k.done, floor(first.Key.Start, k.Spec.Size))
		s.reach = max(s.reach, k.begin)
	}
	end = k.begin + k.Spec.Size
	if k.through != Unset && end <= k.through {
		end = s.boundary(k.through)
	}
	last := s.lasts(k)
	var n uint64
	i := s.from(k.begin)
	for ; end <= limit; end = s.boundary(end) {
		for ; i < len(s.order) && s.order[i].Key.Start < end; i++ {
			if s.order[i].Key.Segment == "" && s.has(k, s.order[i]) {
				n += s.order[i].Tally.Events
			}
		}
		if n >= k.Spec.MinEvents || end-k.begin >= k.Spec.ExtendTo || last <= end {
			return k.begin, end, true, end
		}
	}
	if flush {
		return k.begin, end, true, end // the first one behind all that there is
	}
	return 0, 0, false, end
}

// boundary returns the end of the pane that contains t.
func (s *Source) boundary(t int64) int64 {
	pane := s.Epoch(t).Timing.Pane
	return floor(t, pane) + pane
}

// lasts returns until which event time configurations have windows of a series: Never for one that holds now.
func (s *Source) lasts(k *series) int64 {
	for i, e := range slices.Backward(s.Epochs) {
		if slices.Contains(e.series, k) {
			if i+1 == len(s.Epochs) {
				return Never
			}
			return s.Epochs[i+1].From
		}
	}
	return Unset
}

// limit returns by which end windows of a series may be emitted: by the watermark, and when a file ended by the first end behind
// all that it counted.
func (s *Source) limit(k *series) int64 {
	if !s.flush {
		return s.Watermark
	}
	p := s.newest(k)
	switch {
	case p == nil:
		return s.Watermark
	case k.Spec.Extends():
		return max(s.Watermark, s.boundary(p.Key.Start)-1) // and the one behind it
	default:
		return max(s.Watermark, k.Spec.firstEnd(p.Key.Start))
	}
}

// Due returns the next window to be emitted, in canonical order, or nil when there is none at this watermark.
func (s *Source) Due() *Status {
	if !s.flush && (s.Watermark == Unset || s.Watermark < s.nextDue) {
		s.passed()
		return nil
	}
	for {
		var first *Status // of those that ended
		soon := Never
		for _, k := range s.series {
			for _, w := range k.open {
				if w.Due != Never && (s.flush || w.Due <= s.Watermark) && (first == nil || compareDue(w, first) < 0) {
					first = w
				}
				soon = min(soon, w.Due)
			}
		}
		var ended *series // and has the first window that is not begun
		var start, end int64
		for _, k := range s.series {
			b, e, ok, at := s.next(k, s.limit(k), s.flush)
			if ok && (ended == nil || e < end) {
				ended, start, end = k, b, e
			}
			if !ok {
				soon = min(soon, at)
			}
		}
		switch {
		case ended != nil && (first == nil || end <= first.Due):
			s.add(ended, start, end, end)
			ended.through = end
			if ended.Spec.Extends() {
				ended.done, ended.begin = end, Unset
				s.nextClose = min(s.nextClose, s.Watermark) // panes may be joined
			}
		case first != nil:
			return first
		default:
			if s.flush {
				for _, k := range s.series {
					if limit := s.limit(k); !k.Spec.Extends() {
						k.through = max(k.through, limit)
					}
				}
			}
			s.flush, s.nextDue = false, soon
			s.passed()
			return nil
		}
	}
}

// passed notes that everything is emitted that is due at the watermark: what comes later for a window that ended comes late.
func (s *Source) passed() {
	if s.Watermark == Unset {
		return
	}
	for _, k := range s.series {
		if !k.Spec.Extends() {
			k.through = max(k.through, s.Watermark)
			continue
		}
		e := s.Epoch(s.Watermark)
		k.through = max(k.through, floor(s.Watermark, e.Timing.Pane))
		if done := floor(s.Watermark-e.Timing.Lateness, k.Spec.Size); k.begin == Unset && done > k.done {
			k.done = done
			s.reach = max(s.reach, done)
			s.nextClose = min(s.nextClose, s.Watermark) // panes may be joined
		}
	}
}
