package fold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// docBytes is how large a feature document may become before the next one is begun.
const docBytes = 480 << 10

// view is what a result is about: all versions of a window together, or one of them, and all its events or those of a segment.
type view struct {
	version  string
	segment  string
	panes    []*window.Pane
	wanted   bool // false: an unchanged version of a revision, needed for the sum only
	features []result.Feature
	notes    []string // reasons beside those of the features
	alike    *view    // has the same features, judged by the same configuration; nil: none is known to
	encoded  [][]byte // features, each as JSON; nil: not yet

	verdict result.Verdict // of the model, by the features
	share   *float64
	reasons []string

	sum  *result.Summary // what it says, and its documents; nil: not yet
	docs []result.Doc
}

// emit computes a due window's results: all versions together first, then each in the order of its name; then the same for each
// segment in the order of its name. A revision holds all versions together, and of the rest what changed. The documents of one result are never split over two commits, the results of
// a window may be: emit returns false when the commit is full, and goes on behind what it wrote when it is called again. said is what
// judge said of the window.
func (p *Partition) emit(s *source, w *window.Status, said []division, out *Output) bool {
	config := s.configs[s.EpochOf(w.ID).ID]
	views := said[0].views
	all := partsOf(said)
	for i, of := range all {
		v := of.view
		if !v.wanted || i < w.Written {
			continue
		}
		sum, docs := v.sum, v.docs
		if sum == nil {
			sum, docs = describeView(s, w, config, of.base, v)
		}
		if !p.fits(out, docs) {
			p.store.touchSource(s.Model)
			return false
		}
		out.Results++
		p.position.Emitted++
		p.stats.Verdicts[sum.Verdict]++
		for _, d := range docs {
			out.doc(d)
		}
		w.Written = i + 1
		s.queue = append(s.queue, s.book.Step(sum, v.features, config.Rules)...)
		if !p.flush(s, out) {
			return false
		}
	}
	if last := len(all) + 1; w.Emitted == 0 && w.Written < last {
		sum := summary(s, w, config, said[0].base, views[0])
		var present []string
		for _, v := range views[1:] {
			present = append(present, v.version)
		}
		w.Written = last
		s.queue = append(s.queue, s.stepParts(w, config, said)...)
		if s.queue = append(s.queue, s.book.Absent(&sum, present, s.lasting(config))...); !p.flush(s, out) {
			return false
		}
	}
	if w.Emitted == 0 && !p.emitComparisons(s, w, config, said[0], len(all)+1, out) {
		return false
	}
	if p.stats.Results++; w.Emitted > 0 {
		p.stats.Revisions++
	}
	if s.Emitted(w); w.Emitted == 1 {
		s.mature(w.ID)
	}
	p.store.touchSource(s.Model)
	return true
}

// flush emits the transitions that wait, and returns false when the commit is full: a result of thousands of features can open
// more incidents than a commit holds.
func (p *Partition) flush(s *source, out *Output) bool {
	if len(s.queue) > 0 {
		p.store.touchSource(s.Model) // what leaves the queue must not be in it after a restart
	}
	for len(s.queue) > 0 {
		t := &s.queue[0]
		doc := result.Doc{ID: t.ID, Kind: result.KindTransition, Model: s.Model, Data: encode(t)}
		if !p.fits(out, []result.Doc{doc}) {
			return false
		}
		out.doc(doc)
		p.stats.Transitions++
		s.queue = s.queue[1:]
	}
	s.queue = nil
	return true
}

// isSilent reports whether the watermark has moved on without events.
func (s *source) isSilent() bool { return s.Counted != window.Unset && s.Watermark > s.Counted }

// silence lets the incidents look at a watermark that has moved on without events.
func (s *source) silence() {
	if !s.isSilent() {
		return
	}
	e := s.Epoch(s.Watermark)
	size, step := smallest(e.Timing)
	last := s.Counted - mod(s.Counted, step) + step
	key := result.Key{Model: s.Model, Version: result.All, Segment: result.All}
	s.queue = append(s.queue, s.book.Silence(key, size, step, last, s.Watermark, s.configs[e.ID].Rules)...)
}

// untilSilent returns how long the next marker of a silent source can wait, in milliseconds, and whether it has anything to
// say: that there are no data.
func (s *source) untilSilent() (wait int64, ok bool) {
	if s.Counted == window.Unset {
		return 0, false
	}
	e := s.Epoch(s.Watermark)
	_, step := smallest(e.Timing)
	return step, !s.book.Silent(s.configs[e.ID].Rules)
}

// smallest returns the size of the shortest windows, and how long they may become.
func smallest(t window.Timing) (size, longest int64) {
	for i, w := range t.Windows {
		if i == 0 || w.Size < size {
			size, longest = w.Size, max(w.Size, w.ExtendTo)
		}
	}
	return size, longest
}

func mod(a, b int64) int64 { return (a%b + b) % b }

// viewsOf divides the panes of a segment of a window, or of all its events, by what the results are about.
func viewsOf(segment string, panes []*window.Pane, w *window.Status) []*view {
	views := []*view{{version: result.All, segment: segment, panes: panes, wanted: true}} //nolint:exhaustruct // not evaluated yet
	for _, pane := range panes {
		v := pane.Key.Version
		if v == "" {
			continue
		}
		if views[len(views)-1].version != v {
			wanted := w.Emitted == 0 || w.HasChanged(v, pane.Key.Segment)
			views = append(views, &view{version: v, segment: segment, panes: nil, wanted: wanted}) //nolint:exhaustruct // not evaluated yet
		}
		last := views[len(views)-1]
		last.panes = append(last.panes, pane)
	}
	return views
}

// evaluate computes the features of every view and judges them. views[0] is the sum of the others; with a single version it is that version, and is
// judged once. A reference that rolls is another one for every window: nothing of its judgement is kept.
func evaluate(ref *reference.Reference, bound *binder, config ModelConfig, size int64, views []*view) {
	for i := range ref.Features {
		f := &ref.Features[i]
		fc := config.Features[f.Name]
		if f.Role == result.RolePrediction {
			fc = config.Predictions[f.Name]
		}
		if fc.Ignore {
			continue // see ignores
		}
		d := config.Detectors
		if fc.Detectors != nil {
			d = *fc.Detectors
		}
		var plan *detectors.Plan
		if bound != nil && bound.ref == ref {
			plan = bound.plan(i, size, d)
		} else {
			plan = detectors.NewPlan(f, d, detectors.NoChunks("the reference is made of the stream, window by window"), nil)
		}
		if len(views) == 2 {
			views[0].features = append(views[0].features, plan.Evaluate(added(f, i, views[1].panes)))
			continue
		}
		all := cells.NewCounts(f.Space)
		for _, v := range views[1:] {
			c := added(f, i, v.panes)
			merge(all, c)
			if v.wanted {
				v.features = append(v.features, plan.Evaluate(c))
			}
		}
		views[0].features = append(views[0].features, plan.Evaluate(all))
	}
	if len(views) == 2 && views[1].wanted {
		views[1].features, views[1].alike = views[0].features, views[0]
	}
	for _, v := range views {
		if v.alike == nil {
			v.verdict, v.share, v.reasons = detectors.Judge(v.features, config.Detectors)
		} else {
			v.verdict, v.share, v.reasons = v.alike.verdict, v.alike.share, v.alike.reasons
		}
	}
}

// added returns the sum of a feature's counts in panes, which is the counts themselves where there is one pane: it is only to be read.
func added(f *reference.Feature, i int, panes []*window.Pane) *cells.Counts {
	if len(panes) == 1 {
		return panes[0].Features[i]
	}
	c := cells.NewCounts(f.Space)
	for _, pane := range panes {
		merge(c, pane.Features[i])
	}
	return c
}

// merge adds counts over the same space; panes of one fingerprint always are.
func merge(into, c *cells.Counts) {
	if err := into.Merge(c); err != nil {
		panic(fmt.Sprintf("BUG: panes of one reference that do not add: %v", err))
	}
}

// describeView serialises a view's documents: the summary, then its features in as many parts as they need.
func describeView(s *source, w *window.Status, config ModelConfig, base baseline, v *view) (*result.Summary, []result.Doc) {
	sum := summary(s, w, config, base, v)
	if v.alike != nil {
		v.encoded = v.alike.encoded
	}
	if v.encoded == nil {
		var scratch []byte
		v.encoded = make([][]byte, len(v.features))
		for i := range v.features {
			scratch = v.features[i].AppendJSON(scratch[:0])
			v.encoded[i] = bytes.Clone(scratch)
		}
	}
	runs := cut(v.encoded)
	sum.Parts = len(runs)
	docs := make([]result.Doc, 0, 1+len(runs))
	docs = append(docs, result.Doc{ID: sum.ResultID, Kind: result.KindResult, Model: s.Model, Data: encode(sum)})
	for i, features := range runs {
		head := encode(result.FeatureDoc{
			Schema: result.SchemaVersion, Type: "features", ResultID: sum.ResultID, Part: i, Key: sum.Key, Window: sum.Window,
			Revision: sum.Revision, Ref: sum.Ref, Features: []result.Feature{},
		})
		docs = append(docs, result.Doc{
			ID: fmt.Sprintf("%s.%d", sum.ResultID, i), Kind: result.KindResult, Model: s.Model, Data: withFeatures(head, features),
		})
	}
	return &sum, docs
}

// withFeatures puts features into a document that has none.
func withFeatures(doc []byte, features [][]byte) []byte {
	const end = "]}"
	head, ok := bytes.CutSuffix(doc, []byte(end))
	if !ok {
		panic("BUG: a document of features that does not end with them")
	}
	size := len(doc) + len(features)
	for _, f := range features {
		size += len(f)
	}
	out := append(make([]byte, 0, size), head...)
	for i, f := range features {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, f...)
	}
	return append(out, end...)
}

// cut divides features into runs whose documents stay below a message's size.
func cut(fs [][]byte) [][][]byte {
	var out [][][]byte
	size := docBytes
	for i, f := range fs {
		if size += len(f); size > docBytes {
			out, size = append(out, fs[i:i:len(fs)]), len(f)
		}
		out[len(out)-1] = out[len(out)-1][:len(out[len(out)-1])+1]
	}
	return out
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: a result that cannot be encoded: %v", err)) // e.g. a NaN that a detector let through
	}
	return data
}

// summary computes what a view says beside its features.
func summary(s *source, w *window.Status, config ModelConfig, base baseline, v *view) result.Summary {
	tally, status, latency := window.Tally{}, map[string]uint64{}, cells.NewHistogram()
	for _, pane := range v.panes {
		tally.Add(&pane.Tally)
		tally.Late += pane.LateFor[w.ID.Spec()]
		for code, n := range pane.Status {
			status[code] += *n
		}
		if err := latency.Merge(pane.Latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
	}
	key := result.Key{Model: s.Model, Version: v.version, Segment: v.segment}
	win := result.Window{Start: w.ID.Start(), End: w.ID.End, Size: w.ID.Size}
	sum := result.Summary{
		Schema: result.SchemaVersion, Type: "summary", ResultID: result.ID(key, win, w.ID.Every, w.ID.Fingerprint, w.Emitted),
		Key: key, Window: win, Revision: w.Emitted, Complete: tally.Lost == 0, Lost: tally.Lost, Ref: nil, Counts: counts(&tally),
		ThroughputHz: float64(tally.Events) / (float64(win.End-win.Start) / 1000), Errors: tally.Errors, Status: status,
		Latency: describe(latency, tally.LatencyInvalid, base.ref), Features: len(v.features), Parts: 0, DriftShare: nil,
		Verdict: result.Insufficient, Reasons: nil,
		ThroughputRatio: throughputRatio(tally.Events, win.End-win.Start, base, config, v.version),
		ErrorRate:       shareOf(tally.Errors, tally.Events), ErrorChange: errorChange(tally.Errors, tally.Events, base.ref), StatusShare: statusShares(status, tally.Events),
	}
	for i := range config.Rules {
		if r := &config.Rules[i]; r.Kind == alerting.KindLatencySLO {
			if sum.Latency.Over == nil {
				sum.Latency.Over = map[string]uint64{}
			}
			sum.Latency.Over[alerting.OverKey(r.SLO.Milliseconds)] = latency.CountAbove(r.SLO.Milliseconds)
		}
	}
	notes := slices.Clone(v.notes)
	if tally.DedupShort > 0 {
		notes = append(notes, fmt.Sprintf("dedup_short: the ids of %d records were compared with less of the stream than limits.dedup_horizon says; "+
			"raise limits.dedup_ids", tally.DedupShort))
	}
	if w.ID.Fingerprint != "" { // also where the cells are there and nothing is counted over them yet: two changes are told apart
		sum.Ref = &result.ReferenceID{Name: base.name(config), Fingerprint: w.ID.Fingerprint}
	}
	if base.ref == nil {
		sum.Reasons = append([]string{base.why}, notes...)
		return sum
	}
	sum.Verdict, sum.DriftShare, sum.Reasons = v.verdict, v.share, slices.Concat(v.reasons, notes)
	if v.version == result.All && v.segment == result.All { // once a window, not once a version
		sum.Reasons = append(sum.Reasons, s.book.Unknown(config.Rules, v.features, config.ignores)...)
	}
	return sum
}

func counts(t *window.Tally) result.Counts {
	rejected := map[string]uint64{}
	for r, n := range t.Rejected {
		if n > 0 {
			rejected[event.RejectReason(r).String()] = n
		}
	}
	return result.Counts{
		Events: t.Events, Labels: t.Labels, Late: t.Late, LateAccepted: t.LateAccepted, Duplicate: t.Duplicate,
		WithoutID: t.WithoutID, Future: t.Future, DedupShort: t.DedupShort, Unknown: t.UnknownFeature, DuplicateKey: t.DuplicateKey, Rejected: rejected,
	}
}

// quantiles are the reported quantiles of the latency, by the names they have in results.
var quantiles = map[string]float64{"0.5": 0.5, "0.9": 0.9, "0.95": 0.95, "0.99": 0.99, "0.999": 0.999} //nolint:gochecknoglobals // constant

func describe(h *cells.Histogram, invalid uint64, ref *reference.Reference) result.Latency {
	l := result.Latency{
		Count: h.Count(), Invalid: invalid, Mean: number(h.Mean()), Min: number(h.Quantile(0)), Max: number(h.Max()), Quantiles: quantilesOf(h),
		Reference: nil, Ratio: nil, Over: nil, RelativeError: cells.HistogramAccuracy, Slower: slower(h, ref),
	}
	if ref != nil && ref.Latency != nil && ref.Latency.Count() > 0 {
		l.Reference, l.Ratio = quantilesOf(ref.Latency), map[string]result.Stat{}
		for name, q := range quantiles {
			l.Ratio[name] = ratio(h, ref.Latency, q)
		}
	}
	return l
}

// ratioZ is the two-sided 99.9 % quantile of the standard normal distribution (SciPy: norm.ppf(0.9995)).
const ratioZ = 3.2905267314919255

// ratio compares a quantile with the reference's. Its interval comes from order statistics: the quantile's rank among n
// values is binomial, so its quantile lies between those of q ± z·√(q(1−q)/n), in both samples (Conover, Practical
// Nonparametric Statistics, 1999, section 3.2). It is null where the tail beyond q holds too few values for an interval.
func ratio(cur, ref *cells.Histogram, q float64) result.Stat {
	span := func(h *cells.Histogram) (lo, mid, hi float64, ok bool) {
		n := float64(h.Count())
		d := ratioZ * math.Sqrt(q*(1-q)/max(n, 1))
		if q+d > 1-0.5/max(n, 1) || q-d < 0.5/max(n, 1) {
			return 0, 0, 0, false
		}
		lo, ok1 := h.Quantile(q - d)
		mid, ok2 := h.Quantile(q)
		hi, ok3 := h.Quantile(q + d)
		return lo, mid, hi, ok1 && ok2 && ok3
	}
	cl, cm, ch, ok1 := span(cur)
	rl, rm, rh, ok2 := span(ref)
	none := func(why string) result.Stat {
		return result.Stat{Value: nil, PValue: nil, Lower: nil, Upper: nil, Reason: why}
	}
	switch {
	case !ok1:
		return none(fmt.Sprintf("%d latencies are too few for an interval of this quantile", cur.Count()))
	case !ok2:
		return none(fmt.Sprintf("the reference's %d latencies are too few for an interval of this quantile", ref.Count()))
	case rl <= 0:
		return none("the reference's quantile is 0")
	}
	return result.Stat{
		Value: number(cm/rm, true), PValue: nil, Lower: number(cl/rh, true), Upper: number(ch/rl, true), Reason: "",
	}
}

func quantilesOf(h *cells.Histogram) map[string]*float64 {
	out := map[string]*float64{}
	for _, name := range slices.Sorted(maps.Keys(quantiles)) {
		out[name] = number(h.Quantile(quantiles[name]))
	}
	return out
}

// number returns a number that exists, or nil.
func number(x float64, ok bool) *float64 {
	if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
