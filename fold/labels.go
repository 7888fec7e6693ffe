package fold

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// Labels says how the labels of a model meet its predictions, and what is counted of both.
type Labels struct {
	Join      labels.Config `json:"join"`
	Task      string        `json:"task"`               // binary, multiclass or regression
	Positive  string        `json:"positive,omitempty"` // class of a binary task, and the other one
	Negative  string        `json:"negative,omitempty"`
	Threshold float64       `json:"threshold"`          // the least score that predicts the positive class
	Classes   []string      `json:"classes,omitempty"`  // of a multiclass task
	Bins      int           `json:"bins,omitempty"`     // of the calibration
	Segments  bool          `json:"segments,omitempty"` // quality is counted by the model's segments, too

	Fairness *Fairness `json:"fairness,omitempty"` // nil: groups are not compared
}

// Quality returns how predictions and labels are read.
func (l *Labels) Quality() (quality.Config, error) {
	task, ok := quality.ParseTask(l.Task)
	if !ok {
		return quality.Config{}, fmt.Errorf("labels: the task is %q, not binary, multiclass or regression", l.Task) //nolint:exhaustruct // there is none
	}
	return quality.Config{
		Task: task, Positive: l.Positive, Negative: l.Negative, Threshold: l.Threshold, Classes: l.Classes, Bins: l.Bins,
		Points: nil, TargetCenter: 0, Calibrations: nil,
	}, nil
}

// Spec returns what a model without a reference of its quality is counted over.
func (l *Labels) Spec() (*quality.Spec, error) {
	cfg, err := l.Quality()
	if err != nil {
		return nil, err
	}
	spec, err := quality.NewSpec(cfg)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	return spec, nil
}

// maxMaturing is how many windows of a model may wait for a maturity.
const maxMaturing = 20_000

// Validate returns what makes it impossible to count by, or nil.
func (l *Labels) Validate(t window.Timing) error {
	if err := l.Join.Validate(); err != nil {
		return err
	}
	if _, err := l.Spec(); err != nil {
		return err
	}
	last := l.Join.Maturities[len(l.Join.Maturities)-1]
	n := int64(0)
	for _, w := range t.Windows {
		n += last/w.Every + 1
	}
	if n > maxMaturing {
		return fmt.Errorf("labels: %d windows would wait for the last maturity of %d ms, at most %d are possible: take fewer windows or an earlier maturity",
			n, last, maxMaturing)
	}
	return nil
}

// labelEpoch is a stretch of event time in which one way of counting labels holds. It lasts longer than the epoch of the windows.
type labelEpoch struct {
	ID          int           `json:"id"`
	From        int64         `json:"from"`
	Timing      window.Timing `json:"timing"`
	Fingerprint string        `json:"fingerprint"` // of the reference, and its name
	Name        string        `json:"name"`
	Labels      Labels        `json:"labels"`
	Measured    bool          `json:"measured,omitempty"` // the reference has a quality, over whose cells is counted
	Note        string        `json:"note,omitempty"`     // why its quality is not compared with, where it has one

	// The dimensions, in byte order, and the values of each that are counted on their own: all of them, also those that were the reference's
	// largest, since what waits for a label outlives the windows and their reference.
	Segments []SegmentConfig `json:"segments,omitempty"`

	pane       int64 // the longest stretch that every window is made of
	spec       *quality.Spec
	dimensions []labelDimension
	reference  *quality.Counts // nil: the reference says nothing of its quality
}

// qualityKey names the counts of one stretch of time, of one version or of none, of a segment or of all.
type qualityKey struct {
	start   int64
	version string
	segment string // empty: all
	epoch   int
}

// qualityPane is what is counted under a key.
type qualityPane struct {
	*quality.Counts

	selected uint64 // of a segment: predictions of the positive class, whether or not their label has come
}

// labelling is how the labels of a source meet its predictions, and what they count. Counts belong to the window of the prediction;
// what belongs to no prediction is counted where the label's own time is, for no version.
type labelling struct {
	epochs   []*labelEpoch
	ledger   *labels.Ledger
	panes    map[qualityKey]*qualityPane
	versions map[string]int
	waiting  []maturing // in the order in which they are due

	evictedTo int64 // predictions up to this time were let go before their horizon, by the bound; Unset: none
	lostTo    int64 // predictions up to this time are not known any more; Unset: none

	shards labelShards
}

func newLabelling() *labelling {
	return &labelling{
		epochs: nil, ledger: &labels.Ledger{}, panes: map[qualityKey]*qualityPane{}, versions: map[string]int{}, waiting: nil, //nolint:exhaustruct // empty
		evictedTo: window.Unset, lostTo: window.Unset, shards: newLabelShards(),
	}
}

// configureLabels makes a way of counting labels hold from where the source's present epoch begins.
func (p *Partition) configureLabels(s *source, c ModelConfig) error {
	l := s.labels
	if c.Labels == nil {
		if l != nil && len(l.epochs) > 0 { // what is counted still matures; what is pending has no more to wait for
			p.labelled[s.Model] = s
			p.closeLabels(l)
		}
		return nil
	}
	if l == nil {
		l = newLabelling()
		s.labels = l
	}
	e := s.Epochs[len(s.Epochs)-1]
	next := &labelEpoch{ID: e.ID, From: e.From, Timing: e.Timing, Fingerprint: e.Fingerprint, Name: c.ReferenceName, Labels: *c.Labels, Measured: false, Note: "", Segments: nil, pane: 0, spec: nil, dimensions: nil, reference: nil}
	if b := s.binders[e.Fingerprint]; b != nil && b.ref != nil {
		next.Name = b.ref.Name
		next.measure(b.ref)
	}
	if c.Labels.Segments {
		next.Segments = frozenSegments(c, s.binders[e.Fingerprint])
	}
	if err := p.open(next); err != nil {
		return fmt.Errorf("model %q: %w", s.Model, err)
	}
	for n := len(l.epochs); n > 0 && l.epochs[n-1].From >= next.From; n-- {
		l.epochs = l.epochs[:n-1] // it never held
	}
	l.epochs = append(slices.Clip(l.epochs), next)
	l.shards.head, l.shards.tidyAt = true, window.Unset
	p.labelled[s.Model] = s
	p.trimLabels(s)
	return nil
}

// open finds what an epoch counts over.
func (p *Partition) open(e *labelEpoch) (err error) {
	for i, w := range e.Timing.Windows {
		if i == 0 {
			e.pane = w.Size
		}
		if e.pane = gcd(gcd(e.pane, w.Size), w.Every); w.Extends() {
			e.pane = e.Timing.Pane // it may begin with any
		}
	}
	e.dimensions = labelDimensions(e.Segments)
	if !e.Measured {
		e.spec, err = e.Labels.Spec()
		return err
	}
	ref, err := p.reference(e.Fingerprint)
	switch {
	case err != nil:
		return fmt.Errorf("loading reference %s: %w", e.Fingerprint, err)
	case ref.Quality == nil:
		return fmt.Errorf("reference %s has no quality: %w", e.Fingerprint, errCorruptLabels)
	}
	e.reference, e.spec = ref.Quality, ref.Quality.Spec()
	return nil
}

// measure decides whether the quality of the reference is what windows are compared with.
func (e *labelEpoch) measure(ref *reference.Reference) {
	if ref.Quality == nil {
		return
	}
	cfg, err := e.Labels.Quality()
	if err == nil {
		err = ref.Measures(cfg)
	}
	if e.Measured = err == nil; err != nil {
		e.Note = fmt.Sprintf("reference_quality: %v: make the reference again, or change the model's labels", err)
	}
}

// closeLabels forgets what waits for labels.
func (p *Partition) closeLabels(l *labelling) {
	l.ledger.Clear()
	p.dropSegments(l)
}

// labelsNow returns the way of counting labels that holds for what comes now, or nil.
func (s *source) labelsNow() *labelEpoch {
	l := s.labels
	if l == nil || s.configs[s.Epochs[len(s.Epochs)-1].ID].Labels == nil {
		return nil
	}
	return l.epochs[len(l.epochs)-1]
}

// epochAt returns the epoch of an event time.
func (l *labelling) epochAt(t int64) *labelEpoch {
	i := len(l.epochs) - 1
	for i > 0 && l.epochs[i].From > t {
		i--
	}
	return l.epochs[i]
}

// epoch returns the epoch of a number, or nil when it is forgotten.
func (l *labelling) epoch(id int) *labelEpoch {
	for _, e := range l.epochs {
		if e.ID == id {
			return e
		}
	}
	return nil
}

// pending is what is known of the id of a record before it is folded.
type pending struct {
	epoch *labelEpoch // nil: nothing is counted of labels
	joins bool        // the id is one that is joined
	key   labels.Key
	group *labels.Group // nil: nothing is known
}

// pendingOf looks up the id of a record. It changes nothing.
func (p *Partition) pendingOf(s *source, ev *event.Event) (pending, error) {
	now := pending{epoch: s.labelsNow()} //nolint:exhaustruct // the rest follows
	if now.epoch == nil {
		return now, nil
	}
	c := &now.epoch.Labels.Join
	if !c.Joins() || len(ev.ID) == 0 || !c.Sampled(ev.ID) {
		return now, nil
	}
	now.joins, now.key = true, p.pendingKey(s.Model, ev.ID)
	var err error
	now.group, err = p.pending.Get(now.key, s.labels.ledger, s.Watermark, c)
	return now, err
}

func (p *Partition) pendingKey(model string, id []byte) (k labels.Key) {
	h := p.ids.hash([]byte{'j'}, []byte(model), id)
	binary.LittleEndian.PutUint64(k[:8], h[0])
	binary.LittleEndian.PutUint64(k[8:], h[1])
	return k
}

// at says where a record is and when it happened.
type at struct {
	labels.Record

	time int64
}

// expect counts a prediction that its windows take, and lets it wait for its label.
func (p *Partition) expect(s *source, now pending, r at, ev *event.Event) {
	e := s.labels.epochAt(r.time)
	switch c := &now.epoch.Labels.Join; {
	case now.joins || !c.Joins():
	case len(ev.ID) > 0 || c.Rate != labels.Million:
		return // it is not in the sample
	}
	g := now.group
	if g != nil && g.Prediction(ev.Version) != nil {
		return // it is known, though deduplication forgot it
	}
	name, other := p.labelVersion(s.labels, versionName(ev.Version))
	pred, parts := e.spec.Prediction(ev.Prediction), p.partsOf(e, ev)
	s.labels.each(e, r.time, name, parts, func(c *qualityPane) { c.predict(pred) })
	if !now.joins {
		return
	}
	if g == nil {
		g = &labels.Group{Began: r.time} //nolint:exhaustruct // nothing is known
		r.Flags |= labels.Starts
	}
	if len(g.Predictions) == labels.MaxPredictions {
		p.stats.LabelsEvicted++
		s.labels.each(e, r.time, name, parts, func(c *qualityPane) { c.Feed.Evicted++ })
		return
	}
	if other {
		r.Flags |= labels.Other
	}
	if g.Label != nil {
		if g.Orphan() {
			p.orphans(s, g, func(c *qualityPane) { c.Feed.Unmatched-- })
		}
		label := e.spec.Label(g.Label.Value)
		s.labels.each(e, r.time, name, parts, func(c *qualityPane) { c.tell(pred, label, g.Label.Time-r.time) })
		p.stats.LabelsMatched++
	}
	s.labels.wait(g, e, r, ev.Version, pred, parts)
	p.pair(s, e, g)
	p.keep(s, now, r, g)
}

// wait puts a prediction into its group.
func (*labelling) wait(g *labels.Group, e *labelEpoch, r at, version []byte, pred quality.Prediction, parts []byte) {
	g.Predictions = append(g.Predictions, labels.Prediction{
		Time: r.time, Pane: floorTo(r.time, e.pane), Epoch: e.ID, Version: string(version), Other: r.Flags&labels.Other != 0,
		Parts: slices.Clone(parts), Data: pred.AppendBinary(nil),
	})
}

// keep notes that a record changed its group.
func (p *Partition) keep(s *source, now pending, r at, g *labels.Group) {
	l := s.labels
	segment := l.ledger.Add(r.Record, g.Began, &now.epoch.Labels.Join, func() uint64 {
		p.segments++
		return p.segments
	})
	if r.Flags&labels.Starts != 0 {
		g.Segment = segment
	}
	p.pending.Put(now.key, g)
	p.trimLabels(s)
}

// label joins a label to the predictions that it is about, or lets it wait for them.
func (p *Partition) joinLabel(s *source, now pending, r at, ev *event.Event) {
	r.Flags |= labels.IsLabel
	own := len(ev.Prediction) > 0
	switch c := &now.epoch.Labels.Join; {
	case now.joins:
	case own && (!c.Joins() || len(ev.ID) == 0 && c.Rate == labels.Million):
		p.selfContained(s, r, ev)
		return
	case c.Joins():
		return // not in the sample
	default: // it does not say what it is about
		p.stats.LabelsUnmatched++
		p.qualityPane(s, s.labels.epochAt(r.time), r.time, "").Feed.Unmatched++
		return
	}
	g := now.group
	if g == nil {
		g = &labels.Group{Began: r.time} //nolint:exhaustruct // nothing is known
		r.Flags |= labels.Starts
	}
	before := g.Label
	if before != nil && before.Equal(ev.Label) && (!own || !g.Orphan()) {
		p.stats.LabelsRepeated++
		p.qualityPane(s, s.labels.epochAt(r.time), r.time, "").Feed.Duplicate++
		return
	}
	if g.Orphan() && own {
		p.adopt(s, g, &r, ev)
		before = nil
	}
	s.labels.say(g, r, ev.Label)
	if g.Orphan() && before == nil {
		p.stats.LabelsUnmatched++
		p.orphans(s, g, func(c *qualityPane) { c.Feed.Unmatched++ })
	}
	for i := range g.Predictions {
		p.match(s, &g.Predictions[i], before, g.Label)
	}
	p.keep(s, now, r, g)
}

// adopt takes the prediction that a label carries for the one of its group.
func (p *Partition) adopt(s *source, g *labels.Group, r *at, ev *event.Event) {
	if g.Label != nil {
		p.orphans(s, g, func(c *qualityPane) { c.Feed.Unmatched-- })
	}
	t := ownTime(ev, r.time)
	e := s.labels.epochAt(t)
	name, other := p.labelVersion(s.labels, versionName(ev.Version))
	if other {
		r.Flags |= labels.Other
	}
	pred, parts := e.spec.Prediction(ev.Prediction), p.ownParts(e, ev)
	s.labels.each(e, t, name, parts, func(c *qualityPane) { c.predict(pred) })
	s.labels.wait(g, e, at{r.Record, t}, ev.Version, pred, parts)
	p.pair(s, e, g)
}

// ownTime returns when the prediction was made that a label carries: never after the label.
func ownTime(ev *event.Event, label int64) int64 {
	if ev.HasPredTime {
		return min(ev.PredictionTime, label)
	}
	return label
}

// say puts what a label said into its group.
func (l *labelling) say(g *labels.Group, r at, v event.Value) {
	if g.Orphan() && g.Label == nil {
		e := l.epochAt(r.time)
		g.OrphanPane, g.OrphanEpoch = floorTo(r.time, e.pane), e.ID
	}
	v.Str = slices.Clone(v.Str)
	g.Label = &labels.Label{Time: r.time, Value: v}
}

// selfContained counts a label with its prediction.
func (p *Partition) selfContained(s *source, r at, ev *event.Event) {
	t := ownTime(ev, r.time)
	e := s.labels.epochAt(t)
	if s.labels.outlived(s, e, floorTo(t, e.pane)) {
		p.stats.LabelsLate++
		return
	}
	name, _ := p.labelVersion(s.labels, versionName(ev.Version))
	pred, label, joins := e.spec.Prediction(ev.Prediction), e.spec.Label(ev.Label), s.labelsNow().Labels.Join.Joins()
	s.labels.each(e, t, name, p.ownParts(e, ev), func(c *qualityPane) {
		if joins {
			c.predict(pred)
		}
		c.tell(pred, label, r.time-t)
	})
	p.stats.LabelsMatched++
}

// match counts a label for a prediction, in the place of what an earlier one said.
func (p *Partition) match(s *source, was *labels.Prediction, before, now *labels.Label) {
	l := s.labels
	e := l.epoch(was.Epoch)
	version := p.countedAs(was)
	if e == nil || l.panes[qualityKey{was.Pane, version, "", was.Epoch}] == nil {
		p.stats.LabelsLate++ // the last maturity of its windows is past
		return
	}
	pred, rest, err := e.spec.DecodePrediction(was.Data)
	if err != nil || len(rest) > 0 {
		panic(fmt.Sprintf("BUG: a pending prediction that cannot be read: %v", err))
	}
	label := e.spec.Label(now.Value)
	if before == nil {
		l.each(e, was.Pane, version, was.Parts, func(c *qualityPane) { c.tell(pred, label, now.Time-was.Time) })
		p.stats.LabelsMatched++
		return
	}
	said := e.spec.Label(before.Value)
	l.each(e, was.Pane, version, was.Parts, func(c *qualityPane) {
		if err := c.SubLabel(pred, said); err != nil {
			panic(fmt.Sprintf("BUG: a label that was not counted is corrected: %v", err))
		}
		c.Feed.Corrected++
		c.AddLabel(pred, label)
	})
	p.stats.LabelsCorrected++
}

func (*Partition) countedAs(was *labels.Prediction) string {
	if was.Other {
		return result.Other
	}
	return versionName([]byte(was.Version))
}

// orphans changes the counts in which a label without a prediction is.
func (p *Partition) orphans(s *source, g *labels.Group, f func(*qualityPane)) {
	if e := s.labels.epoch(g.OrphanEpoch); e != nil && !s.labels.outlived(s, e, g.OrphanPane) {
		f(p.qualityPane(s, e, g.OrphanPane, ""))
	}
}

// labelVersion returns the version that a prediction counts for, bounded like that of events, and whether that is `other`.
func (p *Partition) labelVersion(l *labelling, name string) (counted string, other bool) {
	if l.versions[name] == 0 && len(l.versions) >= p.counting.MaxVersions {
		return result.Other, true
	}
	return name, name == result.Other
}

// qualityPane returns the counts of a time and a version, made if they are not there, to be changed.
func (*Partition) qualityPane(s *source, e *labelEpoch, t int64, version string) *qualityPane {
	return s.labels.pane(e, t, version, "")
}

func (l *labelling) pane(e *labelEpoch, t int64, version, segment string) *qualityPane {
	key := qualityKey{floorTo(t, e.pane), version, segment, e.ID}
	pane := l.panes[key]
	if pane == nil {
		pane = &qualityPane{Counts: quality.NewCounts(e.spec), selected: 0}
		l.insert(key, pane)
	}
	l.shards.touch(key.start)
	return pane
}

func (l *labelling) insert(key qualityKey, pane *qualityPane) {
	l.panes[key] = pane
	if e := l.epoch(key.epoch); e != nil {
		l.shards.tidyAt = min(l.shards.tidyAt, key.start+l.reach(e)+1)
	}
	if key.version != "" {
		l.versions[key.version]++
	}
}

// trimLabels lets go what waited for too long, or is too much.
func (p *Partition) trimLabels(s *source) {
	l := s.labels
	if len(l.epochs) == 0 {
		return
	}
	c := &l.epochs[len(l.epochs)-1].Labels.Join
	early, until := l.ledger.Trim(s.Watermark, c)
	if early > 0 {
		p.stats.LabelsEvicted += uint64(early)
		l.evictedTo = max(l.evictedTo, until)
		l.shards.head = true
	}
	p.dropSegments(l)
}

func (p *Partition) dropSegments(l *labelling) {
	gone := l.ledger.Dropped()
	if len(gone) == 0 {
		return
	}
	p.pending.Drop(gone)
	for _, g := range gone {
		l.shards.dropped = append(l.shards.dropped, g.Number)
	}
}

// reach returns how long after its beginning a stretch of an epoch is needed.
func (l *labelling) reach(e *labelEpoch) int64 {
	longest, late := int64(0), int64(0)
	for _, w := range e.Timing.Windows {
		longest = max(longest, w.Size, w.ExtendTo)
	}
	for _, o := range l.epochs {
		late = max(late, o.Timing.Lateness, o.Labels.Join.Maturities[len(o.Labels.Join.Maturities)-1])
	}
	return longest + late
}

// outlived reports whether no window that is still to say something contains a stretch.
func (l *labelling) outlived(s *source, e *labelEpoch, start int64) bool {
	return s.Watermark != window.Unset && s.Watermark > start+l.reach(e)
}

// tidyLabels forgets the counts that no window needs any more, and the epochs of which nothing is left.
func (p *Partition) tidyLabels(s *source) {
	l := s.labels
	p.trimLabels(s)
	if s.Watermark < l.shards.tidyAt {
		return
	}
	l.shards.tidyAt = math.MaxInt64
	for key := range l.panes {
		e := l.epoch(key.epoch)
		if e != nil && !l.outlived(s, e, key.start) {
			l.shards.tidyAt = min(l.shards.tidyAt, key.start+l.reach(e)+1)
			continue
		}
		delete(l.panes, key)
		l.shards.touch(key.start)
		if key.version != "" {
			if l.versions[key.version]--; l.versions[key.version] == 0 {
				delete(l.versions, key.version)
			}
		}
	}
	for len(l.epochs) > 1 && s.Watermark != window.Unset {
		e, next := l.epochs[0], l.epochs[1]
		if s.Watermark <= next.From+max(e.Labels.Join.Horizon, next.Labels.Join.Horizon)+l.reach(e) {
			l.shards.tidyAt = min(l.shards.tidyAt, next.From+max(e.Labels.Join.Horizon, next.Labels.Join.Horizon)+l.reach(e)+1)
			break
		}
		l.epochs = slices.Clone(l.epochs[1:])
		l.shards.head = true
	}
}

// sortedPanes returns the keys of the counts that begin in [from, to), by segment, version and time.
func (l *labelling) sortedPanes(from, to int64) []qualityKey {
	var keys []qualityKey
	for k := range maps.Keys(l.panes) {
		if k.start >= from && k.start < to {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, qualityKey.compare)
	return keys
}
