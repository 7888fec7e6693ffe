package fold_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// obey makes a configuration hold from the first boundary of panes behind everything that was counted. What never held is gone.
func (m *model) obey(c fold.ModelConfig, refs fold.References) {
	m.config = c
	next := &regime{from: unset, timing: c.Timing, ref: c.Reference, own: map[string][]string{}}
	ref, _ := refs(c.Reference) // nil without one
	for _, d := range c.Segments {
		next.own[d.Dimension] = valuesOf(d, ref)
	}
	now := max(m.newest, m.watermark)
	for _, it := range m.items {
		now = max(now, it.at)
	}
	if len(m.regimes) > 0 && now != unset {
		last := m.regimes[len(m.regimes)-1]
		step := c.Timing.Pane
		if last.timing.Pane != step {
			step = 15 * minute
		}
		next.from = max(now/step*step+step, last.from)
	}
	m.regimes = slices.DeleteFunc(m.regimes, func(r *regime) bool { return r.from >= next.from })
	continues := map[window.Spec]bool{}
	if n := len(m.regimes); n > 0 {
		for _, spec := range m.regimes[n-1].timing.Windows {
			continues[spec] = m.regimes[n-1].ref == next.ref
		}
	}
	m.regimes = append(m.regimes, next)
	for _, spec := range c.Timing.Windows {
		if !spec.Extends() {
			continue
		}
		k := m.chain(spec, c.Reference)
		if k == nil {
			k = &chain{spec: spec, ref: c.Reference, looked: unset, done: unset, begin: unset}
			m.chains = append(m.chains, k)
		}
		if k.begin == unset && !continues[spec] && m.oldestOf(k) == never {
			k.done = max(k.done, next.from)
		}
		if m.watermark != unset {
			k.looked = max(k.looked, m.watermark/c.Timing.Pane*c.Timing.Pane)
		}
	}
}

func (m *model) chain(s window.Spec, ref string) *chain {
	for _, k := range m.chains {
		if k.spec == s && k.ref == ref {
			return k
		}
	}
	return nil
}

// takes reports whether the window of a chain that has not ended takes an event time.
func (k *chain) takes(t int64) bool { return t >= k.done && (k.begin == unset || t >= k.begin) }

// paneEnd returns the end of the pane around an event time.
func (m *model) paneEnd(t int64) int64 {
	pane := m.regimeAt(t).timing.Pane
	return t/pane*pane + pane
}

// decide ends the windows of a chain that have enough, or are long enough, by the watermark.
func (m *model) decide(k *chain) {
	limit := m.watermark
	if newest := m.newestOf(k.spec, k.ref); m.fileEnded && newest != unset {
		limit = max(limit, m.paneEnd(newest)-1)
	}
	for first := m.oldestOf(k); first != never; first = m.oldestOf(k) {
		if m.paneEnd(first) > limit && !m.fileEnded {
			break
		}
		if k.begin == unset {
			k.begin = max(k.done, first/k.spec.Size*k.spec.Size)
		}
		end := k.begin + k.spec.Size
		for end <= k.looked {
			end = m.paneEnd(end)
		}
		for end <= limit && m.eventsIn(k, end) < k.spec.MinEvents && end-k.begin < k.spec.ExtendTo && end < m.until(k) {
			end = m.paneEnd(end)
		}
		if end > limit && !m.fileEnded {
			break
		}
		w := span{start: k.begin, end: end, spec: k.spec, ref: k.ref}
		m.windows[w] = &open{span: w, revision: 0, quiet: false, late: false, changed: nil}
		k.looked, k.done, k.begin = end, end, unset
	}
	if m.watermark != unset {
		at := m.regimeAt(m.watermark).timing
		k.looked = max(k.looked, m.watermark/at.Pane*at.Pane)
		if k.begin == unset {
			k.done = max(k.done, (m.watermark-at.Lateness)/k.spec.Size*k.spec.Size)
		}
	}
}

// oldestOf returns the oldest event time that a chain counts and that is in no window yet.
func (m *model) oldestOf(k *chain) int64 {
	oldest := never
	for _, it := range m.items {
		if it.regime.ref == k.ref && it.regime.has(k.spec) && !it.gone && it.at >= k.done {
			oldest = min(oldest, it.at)
		}
	}
	return oldest
}

func (m *model) eventsIn(k *chain, end int64) (n uint64) {
	for _, it := range m.items {
		if it.regime.ref == k.ref && it.regime.has(k.spec) && !it.gone && it.at >= k.begin && it.at < end {
			n += it.Counts.Events
		}
	}
	return n
}

// until returns where the last configuration ends that has windows of a kind.
func (m *model) until(k *chain) int64 {
	until := never
	for i, r := range m.regimes {
		if r.ref != k.ref || !r.has(k.spec) {
			continue
		}
		if until = never; i+1 < len(m.regimes) {
			until = m.regimes[i+1].from
		}
	}
	return until
}

// newestOf returns the newest event time that windows of a kind count, of those that they still may.
func (m *model) newestOf(s window.Spec, ref string) int64 {
	newest := unset
	for _, it := range m.items {
		if it.regime.ref == ref && it.regime.has(s) && !it.gone {
			newest = max(newest, it.at)
		}
	}
	return newest
}

func (m *model) regimeAt(t int64) *regime {
	var at *regime
	for _, r := range m.regimes {
		if r.from <= t {
			at = r
		}
	}
	return at
}

// around returns the windows that contain an event time.
func (m *model) around(t int64) []span {
	r := m.regimeAt(t)
	var out []span
	for _, s := range r.timing.Windows {
		if s.Extends() {
			for w := range m.windows {
				if w.spec == s && w.ref == r.ref && w.start <= t && t < w.end {
					out = append(out, w)
				}
			}
			continue
		}
		for end := t/s.Every*s.Every + s.Every; end-s.Size <= t; end += s.Every {
			out = append(out, span{start: end - s.Size, end: end, spec: s, ref: r.ref})
		}
	}
	return out
}

// fate says what happens to something at an event time: whether a window takes it, whether one that was emitted does, and of which
// kinds one does not.
func (m *model) fate(t int64) (taken, revises bool, missed map[window.Spec]bool) {
	missed = map[window.Spec]bool{}
	r := m.regimeAt(t)
	for _, s := range r.timing.Windows {
		if !s.Extends() {
			continue
		}
		missed[s] = true
		if m.chain(s, r.ref).takes(t) {
			taken = true
			delete(missed, s)
		}
	}
	for _, w := range m.around(t) {
		if m.closed(w) {
			missed[w.spec] = true
			continue
		}
		if taken = true; w.spec.Extends() {
			delete(missed, w.spec)
		}
		if known := m.windows[w]; known != nil && known.revision > 0 {
			revises = true
		}
	}
	return taken, revises, missed
}

// closes returns the watermark at which a window takes nothing more: the configuration that holds when it ends says so.
func (m *model) closes(w span) int64 { return w.end + m.regimeAt(w.end-1).timing.Lateness }

func (m *model) closed(w span) bool { return m.watermark >= m.closes(w) }

// count puts an item where it belongs and notes which windows it concerns.
func (m *model) count(it *item) {
	it.regime = m.regimeAt(it.at)
	m.items = append(m.items, it)
	for _, w := range m.around(it.at) {
		if m.closed(w) {
			continue
		}
		known := m.windows[w] // an extended one that has ended is
		if known == nil {
			known = &open{span: w, revision: 0, quiet: false, late: m.watermark >= w.end, changed: nil}
			m.windows[w] = known
		}
		if known.revision > 0 {
			if known.changed == nil {
				known.changed = map[[2]string]bool{}
			}
			known.changed[[2]string{it.version, result.All}] = true
			for _, part := range it.parts {
				known.changed[[2]string{it.version, part}] = true
			}
			known.quiet = false
		}
	}
}

// arrived counts what has no event time of its own where the model is now.
func (m *model) arrived(it *item) {
	if it.at = max(m.newest, m.watermark); it.at == unset {
		m.waiting = append(m.waiting, it)
		return
	}
	if taken, _, _ := m.fate(it.at); !taken { // its window was ended ahead of it, by the end of a file
		it.missed = window.Spec{}
		m.waiting = append(m.waiting, it)
		return
	}
	m.count(it)
}

func (m *model) settle() {
	if max(m.newest, m.watermark) != unset {
		waiting := m.waiting
		m.waiting = nil
		for _, it := range waiting {
			m.arrived(it)
		}
	}
}

// speak says what is due, model by model.
func (o *oracle) speak() {
	for _, m := range o.sorted() {
		for _, k := range m.chains {
			m.decide(k)
		}
		for w := m.nextDue(); w != nil; w = m.nextDue() {
			o.sayWindow(m, w)
			w.revision, w.quiet, w.changed = w.revision+1, true, nil
		}
		m.fileEnded = false
		for _, it := range m.items {
			it.gone = it.gone || !m.live(it)
		}
	}
}

// live reports whether a window that contains an item may still change.
func (m *model) live(it *item) bool {
	taken, _, _ := m.fate(it.at)
	return taken
}

func (m *model) nextDue() *open {
	var first *open
	for _, w := range m.windows {
		ended := m.fileEnded && (w.revision > 0 || w.spec.Extends() || w.end <= m.behind(w.span))
		if w.quiet || m.due(w) > m.watermark && !ended {
			continue
		}
		if first == nil || cmp.Or(cmp.Compare(m.due(w), m.due(first)), cmp.Compare(w.end, first.end), cmp.Compare(w.spec.Size, first.spec.Size),
			cmp.Compare(w.spec.Every, first.spec.Every), cmp.Compare(w.spec.MinEvents, first.spec.MinEvents),
			cmp.Compare(w.spec.ExtendTo, first.spec.ExtendTo), cmp.Compare(first.start, w.start), cmp.Compare(w.ref, first.ref)) < 0 {
			first = w
		}
	}
	return first
}

// behind returns the first end of a window of a kind that lies behind all that windows of this kind count.
func (m *model) behind(w span) int64 {
	newest := m.newestOf(w.spec, w.ref)
	if newest == unset {
		return unset
	}
	return newest/w.spec.Every*w.spec.Every + w.spec.Every
}

// sayWindow adds a window up: all versions together, and each of its own; then the same for each segment.
func (o *oracle) sayWindow(m *model, w *open) {
	parts := map[string]bool{}
	for _, it := range m.items {
		if o.in(it, w) {
			for _, part := range it.parts {
				parts[part] = true
			}
		}
	}
	for _, part := range append([]string{result.All}, slices.Sorted(maps.Keys(parts))...) {
		o.sayPart(m, w, part)
	}
}

// in reports whether a window counts an item.
func (o *oracle) in(it *item, w *open) bool {
	return it.at >= w.start && it.at < w.end && it.regime.ref == w.ref && it.regime.has(w.spec) && !it.gone &&
		(it.missed == (window.Spec{}) || it.missed == w.spec)
}

func (o *oracle) sayPart(m *model, w *open, part string) {
	totals := map[string]*said{result.All: m.newSaid(w, result.All, part)}
	for _, it := range m.items {
		if !o.in(it, w) || part != result.All && !slices.Contains(it.parts, part) {
			continue
		}
		totals[result.All].add(&it.said)
		if it.version == "" {
			continue
		}
		if totals[it.version] == nil {
			totals[it.version] = m.newSaid(w, it.version, part)
		}
		totals[it.version].add(&it.said)
	}
	all := totals[result.All]
	delete(totals, result.All)
	var each []said
	for _, v := range slices.Sorted(maps.Keys(totals)) {
		if w.revision == 0 || w.changed[[2]string{v, part}] {
			each = append(each, *totals[v])
		}
	}
	if part != result.All && len(each) == 0 {
		return
	}
	each = append([]said{*all}, each...)
	if part != result.All && !o.compared(w.ref, part, m.judges(w).own) { // then nothing is said of its features
		for i := range each {
			each[i].X = [4]uint64{}
		}
	}
	o.said = append(o.said, each...)
}

// judges returns the configuration that judges a window.
func (m *model) judges(w *open) *regime {
	by := m.regimes[len(m.regimes)-1]
	for _, r := range m.regimes {
		if r.ref == w.ref && r.from < w.end {
			by = r
		}
	}
	return by
}

// compared reports whether a reference has the rows of a segment: of the values counted on their own, own.
func (o *oracle) compared(fp, part string, own map[string][]string) bool {
	ref, err := o.refs(fp)
	if err != nil {
		return false
	}
	dimension, value, _ := strings.Cut(part, "=")
	d := ref.Dimension(dimension)
	if _, still := own[dimension]; d == nil || !still { // the configuration that judges the window may be a newer one
		return false
	}
	has := func(v string) bool {
		return slices.ContainsFunc(d.Segments, func(s reference.Segment) bool { return s.Value == v })
	}
	if value != result.Other {
		return has(value)
	}
	if has(result.Other) && slices.ContainsFunc(own[dimension], func(v string) bool { return !has(v) }) {
		return false
	}
	return slices.ContainsFunc(d.Segments, func(s reference.Segment) bool {
		return s.Value != "(missing)" && !slices.Contains(own[dimension], s.Value)
	})
}

func (m *model) newSaid(w *open, version, part string) *said {
	return &said{ //nolint:exhaustruct // counts of zero
		Key:    result.Key{Model: m.name, Version: version, Segment: part},
		Window: result.Window{Start: w.start, End: w.end, Size: w.spec.Size}, Revision: w.revision, Reference: w.ref, Complete: true,
		Counts: result.Counts{Rejected: map[string]uint64{}}, Status: map[string]uint64{}, //nolint:exhaustruct // counts of zero
	}
}

// add adds one item.
func (s *said) add(it *said) {
	s.Lost += it.Lost
	s.Complete = s.Lost == 0
	s.Errors += it.Errors
	for i := range it.Latency {
		s.Latency[i] += it.Latency[i]
	}
	if s.Reference != "" {
		for i := range it.X {
			s.X[i] += it.X[i]
		}
	}
	for k, n := range it.Status {
		s.Status[k] += n
	}
	a, b := &s.Counts, &it.Counts
	a.Events += b.Events
	a.Labels += b.Labels
	a.Late += b.Late
	a.LateAccepted += b.LateAccepted
	a.Duplicate += b.Duplicate
	a.WithoutID += b.WithoutID
	a.Future += b.Future
	a.DedupShort += b.DedupShort
	a.DuplicateKey += b.DuplicateKey
	if s.Reference != "" {
		a.Unknown += b.Unknown
	}
	for k, n := range b.Rejected {
		a.Rejected[k] += n
	}
}
