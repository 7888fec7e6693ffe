package fold

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

const (
	dayMS  = int64(24 * time.Hour / time.Millisecond)
	weekMS = 7 * dayMS

	sampleRows      = 10_000    // rows that a frame's cells are made of, about
	sampleBytes     = 16 << 20  // bytes of them
	sampleIntervals = 256       // stretches that a sample is spread over, about
	intervalBytes   = 700 << 10 // bytes of one of them: it is one shard
	maxBuckets      = 10_000    // of a span
)

// What a seasonal reference compares a window with.
const (
	SameHour    = "hour"    // the same hours of every past day
	SameWeekday = "weekday" // the same hours of the same day of every past week
)

// Rolling says that a model's reference is what its own stream brought before each window, or in it from another version.
//
// Counts need cells before they can be counted. They are made of a sample of the stream itself, a frame, and are frozen again and
// again: the first frame after a day (or Previous, if that is shorter), a further one after every Previous. A frame is counted over
// from then on and judged by when the one before it is as old as two spans, so that what a window is compared with was always
// counted over the cells of the window (ADR 0008). All of it follows from the order of the stream.
type Rolling struct {
	Previous   int64  `json:"previous_ms,omitempty"` // the span, or how far back seasons go; 0: the window itself, of Version
	Same       string `json:"same,omitempty"`        // SameHour, SameWeekday, or empty: all of the span
	Version    string `json:"version,omitempty"`     // count this version only; empty: all of them
	Resolution int    `json:"resolution"`            // cut points of a numeric feature
}

// Validate returns what is wrong with a rolling reference for a timing, or nil.
func (r Rolling) Validate(t window.Timing) error {
	switch {
	case r.Previous < 0 || r.Previous%t.Pane != 0:
		return fmt.Errorf("previous of %d ms must be whole panes of %d ms", r.Previous, t.Pane)
	case r.Previous == 0 && (r.Version == "" || r.Same != ""):
		return errors.New("a reference without a span needs a version, and no season")
	case r.Same != "" && r.Same != SameHour && r.Same != SameWeekday:
		return fmt.Errorf("same is %q, not %s or %s", r.Same, SameHour, SameWeekday)
	case r.Same != "" && (r.Previous%weekMS != 0 || dayMS%t.Pane != 0):
		return fmt.Errorf("a season of %d ms must be whole weeks", r.Previous)
	case r.Resolution < 10 || r.Resolution > cells.MaxPoints/2:
		return fmt.Errorf("a resolution of %d, it must be in [10, %d]", r.Resolution, cells.MaxPoints/2)
	case r.Previous/bucketLength(r, t) > maxBuckets:
		return fmt.Errorf("previous of %d ms is more than %d stretches of %d ms, the longest that divides the windows: take a shorter span",
			r.Previous, maxBuckets, bucketLength(r, t))
	}
	return nil
}

// bucketLength returns the longest stretch that every span is made of: it divides the windows, their distances and the span.
func bucketLength(r Rolling, t window.Timing) int64 {
	g := r.Previous
	if r.Same != "" {
		g = gcd(g, dayMS)
	}
	for _, w := range t.Windows {
		if g = gcd(gcd(g, w.Size), w.Every); w.Extends() {
			g = gcd(g, t.Pane) // it may begin with any pane
		}
	}
	return max(g, t.Pane)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// frame is a reference that only lends its cells, made of a sample of the stream.
type frame struct {
	Fingerprint string `json:"fingerprint"`
	From        int64  `json:"from"`            // every event from this time on is counted over it
	Until       int64  `json:"until,omitempty"` // windows that begin from then on are over its successor; 0: it has not got one yet
}

// bucketKey names one stretch of what was counted over a frame.
type bucketKey struct {
	fingerprint string
	start       int64
}

// bucket is what a stretch of the stream was, over the cells of a frame.
type bucket struct {
	rows    uint64
	latency *cells.Histogram
	counts  []*cells.Counts
	sizes   []int // of its blocks when they were last encoded
}

// rollState is the small part of the state of a rolling reference: it is stored with its source.
type rollState struct {
	Spec   Rolling `json:"spec"`
	Length int64   `json:"length"`           // of a bucket
	Begun  bool    `json:"begun"`            // Next is set
	Next   int64   `json:"next"`             // the event time at which the next frame is frozen
	Frames []frame `json:"frames,omitempty"` // in the order of From: those of windows that are still open, the present one, its successor
}

// rolling is the rolling reference of a source.
type rolling struct {
	rollState
	buckets map[bucketKey]*bucket
	samples map[int64]*sample
}

func newRolling(st rollState) *rolling {
	return &rolling{rollState: st, buckets: map[bucketKey]*bucket{}, samples: map[int64]*sample{}}
}

// judged returns the fingerprint of the frame that windows are counted over now; empty before there is one.
func (r *rolling) judged() string {
	if f := r.present(); f != nil {
		return f.Fingerprint
	}
	return ""
}

// present returns the frame that windows are counted over now, or nil.
func (r *rolling) present() *frame {
	for i := range r.Frames {
		if r.Frames[i].Until == 0 {
			return &r.Frames[i]
		}
	}
	return nil
}

// first is how long the stream is sampled before the first frame.
func (r *rolling) first() int64 { return min(r.span(), dayMS) }

// span is the distance of two frames.
func (r *rolling) span() int64 {
	if r.Spec.Previous == 0 {
		return weekMS
	}
	return r.Spec.Previous
}

// roll freezes a new frame where an event time is beyond the end of the last one's time. Nothing was counted from there on yet.
func (p *Partition) roll(s *source, t int64) {
	r := s.rolling
	switch {
	case r == nil:
		return
	case !r.Begun:
		r.Begun, r.Next = true, floorTo(t+r.first()-1, r.first())+r.first()
		p.store.touchSource(s.Model)
		return
	case t < r.Next:
		return
	}
	p.store.touchSource(s.Model)
	at := r.Next
	for r.Next <= t {
		r.Next += r.span()
	}
	if ref := p.freeze(s, at); ref != nil {
		fp := ref.Fingerprint()
		p.keepFrame(fp, ref)
		if now := r.present(); now != nil && now.Fingerprint != r.Frames[len(r.Frames)-1].Fingerprint {
			now.Until = at // its successor was counted over for a whole span
		}
		r.Frames = append(r.Frames, frame{Fingerprint: fp, From: at, Until: 0})
	}
	p.dropSamples(s, func(int64) bool { return true })
	if last := s.Epochs[len(s.Epochs)-1]; last.Fingerprint != r.judged() {
		if err := p.configure(s, s.configs[last.ID]); err != nil {
			panic(fmt.Sprintf("BUG: a frame that was just frozen cannot be had: %v", err))
		}
	}
	p.retire(s)
}

// retire forgets the frames whose last window is closed, and the buckets that no window can ask for.
func (p *Partition) retire(s *source) {
	r := s.rolling
	if s.Watermark == window.Unset {
		return
	}
	longest, lateness := int64(0), int64(0)
	for _, e := range s.Epochs {
		lateness = max(lateness, e.Timing.Lateness)
		for _, w := range e.Timing.Windows {
			longest = max(longest, w.Size, w.ExtendTo)
		}
	}
	closed := s.Watermark - lateness - longest // windows that begin before are closed
	r.Frames = slices.DeleteFunc(r.Frames, func(f frame) bool {
		if f.Until == 0 || f.Until > closed {
			return false
		}
		p.dropBuckets(s, func(k bucketKey) bool { return k.fingerprint == f.Fingerprint })
		return true
	})
	p.dropBuckets(s, func(k bucketKey) bool { return k.start+r.Length <= closed-r.Spec.Previous })
	p.store.touchSource(s.Model)
	p.forgetFrames(s)
}

func floorTo(t, step int64) int64 {
	q := t / step
	if t%step < 0 {
		q--
	}
	return q * step
}

// tally counts an accepted event for the references of later windows.
func (p *Partition) tally(s *source, t int64, ev *event.Event) {
	r := s.rolling
	if r == nil {
		return
	}
	p.sample(s, t, ev)
	if r.Spec.Previous == 0 || (r.Spec.Version != "" && r.Spec.Version != versionName(ev.Version)) {
		return
	}
	before := len(r.buckets)
	for _, f := range r.Frames {
		if t < f.From || f.Until != 0 && t >= f.Until {
			continue // no window over the frame asks for it
		}
		b := s.binders[f.Fingerprint]
		if b == nil {
			b = newBinder(p.frames[f.Fingerprint].ref)
			s.binders[f.Fingerprint] = b
		}
		k := bucketKey{f.Fingerprint, floorTo(t, r.Length)}
		in := r.bucket(k, b)
		in.rows++
		if ev.HasLatency {
			in.latency.Add(ev.Latency)
		}
		b.count(ev, in.counts)
		p.markBucket(s.Model, k, in, b.bounds)
	}
	if len(r.buckets) > before { // now and then is often enough
		p.retire(s)
	}
}

// bucket returns the bucket of a key, made if it is not there.
func (r *rolling) bucket(k bucketKey, b *binder) *bucket {
	if in := r.buckets[k]; in != nil {
		return in
	}
	for other, in := range r.buckets {
		if other.fingerprint == k.fingerprint {
			for _, c := range in.counts {
				c.Compact()
			}
		}
	}
	in := newBucket(b.ref)
	r.buckets[k] = in
	return in
}

func newBucket(ref *reference.Reference) *bucket {
	in := &bucket{rows: 0, latency: cells.NewHistogram(), counts: make([]*cells.Counts, len(ref.Features)), sizes: nil}
	for i := range ref.Features {
		in.counts[i] = cells.NewCounts(ref.Features[i].Space)
	}
	return in
}

// baseline is what a window is compared with, or why it is with nothing.
type baseline struct {
	ref  *reference.Reference
	why  string
	span int64 // how much event time it was counted in, milliseconds; 0: as the reference itself says
}

// name returns what people call the reference.
func (b baseline) name(c ModelConfig) string {
	if b.ref == nil {
		return c.ReferenceName
	}
	return b.ref.Name
}

// noReference is why a window of a model without any reference is not judged.
const noReference = "no_reference: the model has no reference to compare with; create one and activate it"

// baselineOf returns what a window is compared with.
func (p *Partition) baselineOf(s *source, w *window.Status, config ModelConfig, views []*view) baseline {
	var ref *reference.Reference
	if b := s.binders[w.ID.Fingerprint]; b != nil {
		ref = b.ref
	}
	switch {
	case config.Rolling == nil && ref == nil:
		return baseline{nil, noReference, 0}
	case config.Rolling == nil:
		return baseline{ref, "", 0}
	case s.rolling == nil:
		return baseline{nil, "no_reference: the rolling reference of this window was replaced", 0}
	case ref == nil:
		return baseline{nil, s.rolling.starting(), 0}
	case config.Rolling.Previous == 0:
		return ofVersion(ref, config, w, views)
	}
	return s.rolling.baseline(ref, config, w)
}

// starting says when there will be a frame.
func (r *rolling) starting() string {
	cells := r.Next
	if len(r.Frames) > 0 {
		cells = r.Frames[0].From
	}
	from := cells
	if r.Spec.Same == "" {
		from += r.Spec.Previous
	} else {
		from += r.Spec.Previous / 2
	}
	return fmt.Sprintf("no_reference: the reference is made of the stream itself: its cells of the events before %s, windows are judged from %s on",
		instant(cells), instant(from))
}

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// baseline sums what was counted in the spans that a window is compared with.
func (r *rolling) baseline(cellsOf *reference.Reference, config ModelConfig, w *window.Status) baseline {
	i := slices.IndexFunc(r.Frames, func(f frame) bool { return f.Fingerprint == w.ID.Fingerprint })
	if i < 0 {
		return baseline{nil, "no_reference: the cells of this window were replaced by newer ones", 0}
	}
	from := r.Frames[i].From
	spans, needed := r.spans(w.ID.Start(), w.ID.End)
	spans = slices.DeleteFunc(spans, func(s [2]int64) bool { return s[0] < from })
	if len(spans) < needed {
		return baseline{nil, fmt.Sprintf("no_reference: %s is counted from %s on: %d of its %d stretches are there, %d are needed",
			config.ReferenceName, instant(from), len(spans), len(r.allSpans(w)), needed), 0}
	}
	sum := newBucket(cellsOf)
	for k, b := range r.buckets {
		inside := func(s [2]int64) bool { return k.start >= s[0] && k.start < s[1] }
		if k.fingerprint != w.ID.Fingerprint || !slices.ContainsFunc(spans, inside) {
			continue
		}
		sum.rows += b.rows
		if err := sum.latency.Merge(b.latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
		for i, c := range b.counts { // sums of counts: the order does not matter
			merge(sum.counts[i], c)
		}
	}
	if sum.rows == 0 {
		return baseline{nil, fmt.Sprintf("no_reference: %s has no events", config.ReferenceName), 0}
	}
	span, until := int64(0), int64(math.MaxInt64)
	for _, s := range spans { // the newest first; those of long windows overlap
		span += min(s[1], until) - s[0]
		until = s[0]
	}
	return baseline{cellsOf.Over(config.ReferenceName, spans[len(spans)-1][0], spans[0][1], sum.rows, sum.latency, sum.counts), "", span}
}

func (r *rolling) allSpans(w *window.Status) [][2]int64 {
	all, _ := r.spans(w.ID.Start(), w.ID.End)
	return all
}

// spans returns the stretches of event time that a window is compared with, the newest first, and how many of them must have been
// counted: the whole span before it; of seasons, half of them.
func (r *rolling) spans(start, end int64) (all [][2]int64, needed int) {
	var step int64
	switch r.Spec.Same {
	case SameHour:
		step = dayMS
	case SameWeekday:
		step = weekMS
	default:
		return [][2]int64{{start - r.Spec.Previous, start}}, 1
	}
	for shift := step; shift <= r.Spec.Previous; shift += step {
		if shift >= end-start {
			all = append(all, [2]int64{start - shift, end - shift})
		}
	}
	return all, max(1, (len(all)+1)/2)
}

// ofVersion compares a window with one of its own versions.
func ofVersion(cellsOf *reference.Reference, config ModelConfig, w *window.Status, views []*view) baseline {
	for _, v := range views[1:] {
		if v.version != config.Rolling.Version {
			continue
		}
		return baseline{sumOf(cellsOf, config.ReferenceName, w, v.panes), "", w.ID.End - w.ID.Start()}
	}
	return baseline{nil, fmt.Sprintf("no_reference: version %q, which others are compared with, has no events in this window", config.Rolling.Version), 0}
}

// sumOf makes a reference of the panes of one version.
func sumOf(cellsOf *reference.Reference, name string, w *window.Status, panes []*window.Pane) *reference.Reference {
	sum, failed, statuses := newBucket(cellsOf), uint64(0), 0
	for _, pane := range panes {
		sum.rows += pane.Tally.Events
		failed += pane.Tally.Errors
		statuses += len(pane.Status)
		if err := sum.latency.Merge(pane.Latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
		for i, c := range pane.Features {
			merge(sum.counts[i], c)
		}
	}
	ref := cellsOf.Over(name, w.ID.Start(), w.ID.End, sum.rows, sum.latency, sum.counts)
	if statuses > 0 {
		ref.Errors = &reference.Errors{Rows: sum.rows, Failed: failed}
	}
	return ref
}

// startRolling begins the rolling reference that a configuration asks for, or goes on with the one that is there. It returns the
// fingerprint that windows are counted over.
func (p *Partition) startRolling(s *source, c ModelConfig) string {
	if c.Rolling == nil {
		p.stopRolling(s)
		return c.Reference
	}
	length := bucketLength(*c.Rolling, c.Timing)
	if r := s.rolling; r == nil || r.Spec != *c.Rolling || r.Length != length {
		p.stopRolling(s)
		s.rolling = newRolling(rollState{Spec: *c.Rolling, Length: length, Begun: false, Next: 0, Frames: nil})
	}
	return s.rolling.judged()
}

// stopRolling forgets what was counted for a rolling reference. Its frames stay while panes are over them.
func (p *Partition) stopRolling(s *source) {
	if s.rolling == nil {
		return
	}
	p.dropBuckets(s, func(bucketKey) bool { return true })
	p.dropSamples(s, func(int64) bool { return true })
	s.rolling = nil
	p.store.touchSource(s.Model)
}

// forgetFrames removes the frames of a source that nothing is counted over any more.
func (p *Partition) forgetFrames(s *source) {
	used := map[string]bool{}
	if s.rolling != nil {
		for _, f := range s.rolling.Frames {
			used[f.Fingerprint] = true
		}
	}
	for _, e := range s.Epochs {
		used[e.Fingerprint] = true
	}
	for k := range s.Panes {
		used[k.Fingerprint] = true
	}
	for _, fp := range slices.Sorted(maps.Keys(p.frames)) {
		if f := p.frames[fp]; f.ref.Model == s.Model && !used[fp] {
			p.dropFrame(fp)
			delete(s.binders, fp)
		}
	}
}

// reference finds a reference: a frame of the partition's own, else one that is stored.
func (p *Partition) reference(fingerprint string) (*reference.Reference, error) {
	if f := p.frames[fingerprint]; f != nil {
		return f.ref, nil
	}
	return p.refs(fingerprint)
}
