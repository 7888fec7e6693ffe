package fold

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// maturing is a window that has something to say about its quality at a watermark.
type maturing struct {
	due     int64
	id      window.ID
	next    int // the maturity that it says next; 0: that of its own result, i: the i-th of the configuration
	written int // documents of it that were emitted already: a commit was full
}

// maturity returns what a window says next, and whether that is the last.
func (m *maturing) maturity(join *labels.Config) (ms int64, final bool) {
	if m.next > 0 {
		ms = join.Maturities[m.next-1]
	}
	return ms, m.next == len(join.Maturities)
}

func (m *maturing) compare(o *maturing) int {
	return cmp.Or(cmp.Compare(m.due, o.due), cmp.Compare(m.id.End, o.id.End), cmp.Compare(m.id.Size, o.id.Size), cmp.Compare(m.id.Every, o.id.Every),
		cmp.Compare(m.id.MinEvents, o.id.MinEvents), cmp.Compare(m.id.ExtendTo, o.id.ExtendTo), cmp.Compare(m.id.Extra, o.id.Extra),
		cmp.Compare(m.id.Fingerprint, o.id.Fingerprint), cmp.Compare(m.next, o.next))
}

// judges returns the epoch whose configuration says what a window says of its quality, or nil: labels were not counted then.
func (l *labelling) judges(id window.ID) *labelEpoch {
	for _, e := range slices.Backward(l.epochs) {
		if e.From < id.End && e.counts(id) {
			return e
		}
	}
	return nil
}

// counts reports whether windows like one are of what the epoch counts.
func (e *labelEpoch) counts(id window.ID) bool {
	return e.Fingerprint == id.Fingerprint && slices.Contains(e.Timing.Windows, id.Spec())
}

// mature lets a window that was emitted for the first time say something of its quality, now and at its maturities.
func (s *source) mature(id window.ID) {
	l := s.labels
	if l == nil || l.judges(id) == nil {
		return
	}
	l.schedule(maturing{due: window.Unset, id: id, next: 0, written: 0})
}

func (l *labelling) schedule(m maturing) {
	i, _ := slices.BinarySearchFunc(l.waiting, m, func(a, b maturing) int { return a.compare(&b) })
	l.waiting = slices.Insert(l.waiting, i, m)
	l.shards.head = true
}

// sayQuality emits what is due of a source's quality, and returns false when the commit is full.
func (p *Partition) sayQuality(s *source, out *Output) bool {
	l := s.labels
	for len(l.waiting) > 0 && (l.waiting[0].due == window.Unset || s.Watermark != window.Unset && l.waiting[0].due <= s.Watermark) {
		m := l.waiting[0]
		e := l.judges(m.id)
		if e == nil { // its configuration never held after all
			l.waiting = slices.Delete(l.waiting, 0, 1)
			l.shards.head = true
			continue
		}
		if p.full(out) || !p.emitQuality(s, e, &l.waiting[0], out) {
			return false
		}
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.shards.head = true
		maturities := e.Labels.Join.Maturities
		if m.next < len(maturities) {
			l.schedule(maturing{due: m.id.End + maturities[m.next], id: m.id, next: m.next + 1, written: 0})
		}
	}
	return true
}

// emitQuality emits the documents of a window at a maturity: all versions together, then each in the order of its name; then the same for each
// segment in the order of its name; then what the predictions did to groups; and what those of all events change of the incidents. The rules
// are those of the newest configuration: the one of the window's time may be forgotten.
func (p *Partition) emitQuality(s *source, e *labelEpoch, m *maturing, out *Output) bool {
	l := s.labels
	keys := slices.DeleteFunc(l.sortedPanes(m.id.Start(), m.id.End), func(k qualityKey) bool {
		o := l.epoch(k.epoch)
		return o == nil || !o.counts(m.id) || o != e && !o.spec.Equal(e.spec)
	})
	rules, all, said := s.configs[s.Epochs[len(s.Epochs)-1].ID].Rules, keys, 0
	var whole []qualityView
	for segment := ""; ; {
		n := slices.IndexFunc(keys, func(k qualityKey) bool { return k.segment != segment })
		if n < 0 {
			n = len(keys)
		}
		views := l.qualityViews(e, keys[:n])
		if segment == "" {
			whole = views
		}
		for i := range views {
			if said++; said <= m.written {
				continue
			}
			v := &views[i]
			doc := l.describe(result.Key{Model: s.Model, Version: v.version, Segment: cmp.Or(segment, result.All)}, e, m, v.counts)
			if !p.sayOne(s, m, result.Doc{ID: doc.ResultID, Kind: result.KindResult, Model: s.Model, Data: encode(doc)}, out) {
				return false
			}
			if segment != "" { // which no rule looks at
				continue
			}
			if s.queue = append(s.queue, s.book.StepQuality(doc, rules)...); i == 0 {
				s.queue = append(s.queue, s.book.AbsentQuality(doc, versionsOf(views[1:]), rules)...)
			}
			p.store.touchSource(s.Model) // what the incidents remember
			if !p.flush(s, out) {
				return false
			}
		}
		if keys = keys[n:]; len(keys) == 0 {
			if !p.emitFairness(s, e, m, all, &said, out) {
				return false
			}
			return p.compareQuality(s, m, e, whole, said, out)
		}
		segment = keys[0].segment
	}
}

// sayOne emits one document of a window at a maturity, and returns false when the commit is full.
func (p *Partition) sayOne(s *source, m *maturing, doc result.Doc, out *Output) bool {
	if !p.fits(out, []result.Doc{doc}) {
		return false
	}
	out.Results++
	p.position.Emitted++
	p.stats.QualityResults++
	out.doc(doc)
	m.written++
	s.labels.shards.head = true
	return true
}

// qualityView is what a document about quality is of.
type qualityView struct {
	version string
	counts  *quality.Counts
}

func versionsOf(views []qualityView) []string {
	out := make([]string, len(views))
	for i := range views {
		out[i] = views[i].version
	}
	return out
}

// qualityViews adds the counts of a segment, which are in the order of their versions: all versions together, then each.
func (l *labelling) qualityViews(e *labelEpoch, keys []qualityKey) []qualityView {
	views := []qualityView{{result.All, quality.NewCounts(e.spec)}}
	for _, k := range keys {
		pane := l.panes[k].Counts
		add(views[0].counts, pane)
		if k.version == "" {
			continue
		}
		if views[len(views)-1].version != k.version {
			views = append(views, qualityView{k.version, quality.NewCounts(e.spec)})
		}
		add(views[len(views)-1].counts, pane)
	}
	return views
}

// lasting returns the rules whose incidents windows of a configuration can still confirm or clear: where labels are only counted and
// nothing matures any more, those about quality are not among them.
func (s *source) lasting(c ModelConfig) []alerting.Rule {
	if c.Labels != nil || s.labels != nil && len(s.labels.waiting) > 0 {
		return c.Rules
	}
	return slices.DeleteFunc(slices.Clone(c.Rules), func(r alerting.Rule) bool { return r.OfQuality() })
}

func add(into, c *quality.Counts) {
	if err := into.Merge(c); err != nil {
		panic(fmt.Sprintf("BUG: counts of quality that do not add: %v", err))
	}
}

// describe says what is known of the quality of a window.
func (l *labelling) describe(key result.Key, e *labelEpoch, m *maturing, c *quality.Counts) *result.Quality {
	join := &e.Labels.Join
	win := result.Window{Start: m.id.Start(), End: m.id.End, Size: m.id.Size}
	maturity, final := m.maturity(join)
	doc := &result.Quality{
		Schema: result.SchemaVersion, Type: "quality", ResultID: result.QualityID(key, win, m.id.Every, m.id.Fingerprint, maturity), Key: key, Window: win,
		Maturity: maturity, Final: final, Ref: nil, Task: e.Labels.Task, Mode: join.Mode,
		Rate: float64(join.Rate) / labels.Million, Predictions: c.Predictions(), Labels: c.Labels(), Coverage: nil, DelayP50: nil, DelayP95: nil,
		Corrected: c.Feed.Corrected, Duplicate: c.Feed.Duplicate, Unmatched: c.Feed.Unmatched, Evicted: c.Feed.Evicted,
		Flawed: map[string]uint64{}, Unusable: map[string]uint64{}, Metrics: nil, Reference: nil, Change: nil, Confusion: nil, Estimate: nil, Reasons: []string{},
	}
	if m.id.Fingerprint != "" {
		doc.Ref = &result.ReferenceID{Name: e.Name, Fingerprint: m.id.Fingerprint}
	}
	if n := c.Predictions(); n > 0 {
		coverage := float64(c.Labels()) / float64(n)
		doc.Coverage = &coverage
	} else if c.Labels() > 0 {
		doc.Reasons = append(doc.Reasons, "no_coverage: the labels carry their predictions, and the stream has no events to compare their number with")
	}
	doc.DelayP50, doc.DelayP95 = number(c.Delay(0.5)), number(c.Delay(0.95))
	for _, f := range quality.Flaws() {
		if n := c.Flawed(f); n > 0 {
			doc.Flawed[f.String()] = n
		}
		if n := c.Unusable(f); n > 0 {
			doc.Unusable[f.String()] = n
		}
	}
	if c.Labels() > 0 {
		doc.Metrics = quality.Evaluate(c)
	}
	if e.reference != nil && key.Segment == result.All { // a segment that differs from the whole differs for ever
		doc.Reference = quality.Evaluate(e.reference)
		doc.Change = changes(doc.Metrics, doc.Reference)
	}
	if classes, matrix := c.Confusion(); matrix != nil {
		doc.Confusion = &result.Confusion{Classes: classes, Matrix: matrix}
	}
	if est := quality.Estimate(c); est.Predictions > 0 {
		doc.Estimate = &result.Estimate{
			Predictions: est.Predictions, Left: est.Left, Calibration: est.Calibration, Assumptions: est.Assumptions, Metrics: est.Metrics,
		}
	}
	if e.Note != "" {
		doc.Reasons = append(doc.Reasons, e.Note)
	}
	if win.Start <= l.lostTo {
		doc.Reasons = append(doc.Reasons, "labels_lost: predictions and labels up to "+stamp(l.lostTo)+
			" were lost with the cache, and the stream does not hold them any more: labels that came later may be missing")
	}
	if win.Start <= l.evictedTo {
		doc.Reasons = append(doc.Reasons, "labels_short: predictions up to "+stamp(l.evictedTo)+
			" were let go before the horizon: raise labels.max_pending, or take a sample")
	}
	return doc
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// changes returns the metrics that both sides have, one less the other.
func changes(current, baseline []result.Metric) []result.Metric {
	var out []result.Metric
	for i := range current {
		for j := range baseline {
			if current[i].Name == baseline[j].Name && current[i].Class == baseline[j].Class {
				out = append(out, quality.Difference(current[i], baseline[j]))
			}
		}
	}
	return out
}

func (k qualityKey) compare(o qualityKey) int {
	return cmp.Or(cmp.Compare(k.segment, o.segment), cmp.Compare(k.version, o.version), cmp.Compare(k.start, o.start), cmp.Compare(k.epoch, o.epoch))
}

func appendWaiting(b []byte, all []maturing) []byte {
	b = wire.AppendUvarint(b, uint64(len(all)))
	for i := range all {
		m := &all[i]
		b = wire.AppendVarint(b, m.id.End)
		b = wire.AppendUvarint(b, uint64(m.id.Size))
		b = wire.AppendUvarint(b, uint64(m.id.Every))
		b = wire.AppendUvarint(b, uint64(m.id.Extra))
		b = wire.AppendUvarint(b, m.id.MinEvents)
		b = wire.AppendUvarint(b, uint64(m.id.ExtendTo))
		b = wire.AppendString(b, m.id.Fingerprint)
		b = wire.AppendVarint(b, m.due)
		b = wire.AppendUvarint(b, uint64(m.next))
		b = wire.AppendUvarint(b, uint64(m.written))
	}
	return b
}

func decodeWaiting(b []byte) ([]maturing, error) {
	r := wire.NewReader(b)
	out := make([]maturing, 0, r.Count(10))
	for range cap(out) {
		var m maturing
		m.id.End = r.Varint()
		m.id.Size, m.id.Every, m.id.Extra, m.id.MinEvents, m.id.ExtendTo = int64(r.Uvarint()), int64(r.Uvarint()), int64(r.Uvarint()), r.Uvarint(), int64(r.Uvarint())
		m.id.Fingerprint = r.String(128)
		m.due, m.next, m.written = r.Varint(), int(r.Uvarint()), int(r.Uvarint())
		if m.next > labels.MaxMaturities {
			r.Fail("maturity %d", m.next)
		}
		out = append(out, m)
	}
	if len(r.Rest()) > 0 {
		r.Fail("%d bytes too many", len(r.Rest()))
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("reading windows that mature: %w", err)
	}
	return out, nil
}
