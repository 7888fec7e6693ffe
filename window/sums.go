package window

import "slices"

// sumKey names the sum of an hour's or a day's panes of one version, segment and reference.
type sumKey struct {
	PaneKey
	length int64
}

// In returns panes that add up to a window, in canonical order: by version and segment, then by start. Hours and days that are over and lie in
// the window whole come as one pane each, made by empty and kept for the windows that overlap this one: a window of thirty days
// that slides by minutes is a sum of a hundred panes instead of thousands.
func (s *Source) In(id ID, empty func(PaneKey) *Pane) []*Pane {
	in, sum := s.Within(id, empty)
	sum()
	return in
}

// Within is In with some of the panes left empty: sum fills them. It may run beside whatever leaves the panes of the window alone, and must
// have ended before the source is asked for another window's.
func (s *Source) Within(id ID, empty func(PaneKey) *Pane) (in []*Pane, sum func()) {
	at, found := s.findSeries(kind{id.Spec(), id.Fingerprint})
	if !found {
		return nil, func() {}
	}
	k := s.series[at]
	var left additions
	for t := id.Start(); t < id.End; {
		next := s.stretch(k, t, id.End)
		panes := s.order[s.from(t):s.from(next)]
		if next-t >= levels[len(levels)-1] && len(panes) > 1 {
			in = append(in, s.sums(k, t, next-t, panes, empty, &left)...)
		} else {
			for _, p := range panes {
				if s.has(k, p) {
					in = append(in, p)
				}
			}
		}
		if t = next; s.from(t) == len(s.order) {
			break
		}
	}
	slices.SortStableFunc(in, func(a, b *Pane) int { return a.Key.comparePart(b.Key) })
	return in, left.run
}

// additions are panes that are still to be added to others, in this order.
type additions []addition

type addition struct{ into, pane *Pane }

func (a additions) run() {
	for _, add := range a {
		add.into.add(add.pane)
	}
}

// stretch returns the end of the longest day or hour that begins at t, ends by end, is over, and in which one configuration holds;
// else that of the pane.
func (s *Source) stretch(k *series, t, end int64) int64 {
	for _, length := range levels {
		to := t + length
		if floor(t, length) == t && to <= end && to <= s.Watermark && s.epochAt(t) == s.epochAt(to-1) && t >= s.Epochs[0].From &&
			slices.Contains(s.Epoch(t).series, k) {
			return to
		}
	}
	return min(end, s.boundary(t))
}

// sums returns the sums of panes by version and segment, from a stretch of time in which one configuration holds.
func (s *Source) sums(k *series, start, length int64, panes []*Pane, empty func(PaneKey) *Pane, left *additions) []*Pane {
	var out []*Pane
	done := map[PaneKey]bool{}
	for _, p := range panes {
		key := sumKey{p.Key.part(start), length}
		if p.Key.Fingerprint != k.Fingerprint || done[key.PaneKey] {
			continue
		}
		done[key.PaneKey] = true
		sum := s.kept[key]
		if sum == nil {
			if sum = alone(p, panes); sum == nil {
				sum = s.sum(key, panes, empty, left)
				s.kept[key], s.keptTo = sum, max(s.keptTo, start+length)
			}
		}
		out = append(out, sum)
	}
	return out
}

// alone returns the pane if it is the only one of its version, segment and reference.
func alone(p *Pane, panes []*Pane) *Pane {
	for _, o := range panes {
		if o != p && o.Key.sameSeries(p.Key) {
			return nil
		}
	}
	return p
}

// sum adds the panes of a version and segment up, a day's hour by hour.
func (s *Source) sum(key sumKey, panes []*Pane, empty func(PaneKey) *Pane, left *additions) *Pane {
	sum := empty(key.PaneKey)
	hour := levels[len(levels)-1]
	for i := 0; i < len(panes); {
		start, from := floor(panes[i].Key.Start, hour), i
		for i < len(panes) && panes[i].Key.Start < start+hour {
			i++
		}
		if key.length > hour {
			part := sumKey{key.part(start), hour}
			if p := s.kept[part]; p != nil {
				*left = append(*left, addition{sum, p})
				delete(s.kept, part) // needed again when the windows' beginning comes by
				continue
			}
		}
		for _, p := range panes[from:i] {
			if p.Key.sameSeries(key.PaneKey) {
				*left = append(*left, addition{sum, p})
			}
		}
	}
	return sum
}

// Changed notes that a pane was counted into: sums that it is in are computed anew when they are needed.
func (s *Source) Changed(p *Pane) { s.spoil(p.Key) }

func (s *Source) spoil(key PaneKey) {
	if len(s.kept) == 0 || key.Start >= s.keptTo {
		return
	}
	for _, length := range levels {
		delete(s.kept, sumKey{key.part(floor(key.Start, length)), length})
	}
}
