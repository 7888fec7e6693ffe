package fold

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/internal/stat/sequential"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// comparing is a comparison of two versions of a source. It looks at the windows of one size, each once, when it is final, and at their quality at the
// last maturity.
type comparing struct {
	Config compare.Config `json:"config"`
	Epoch  int            `json:"epoch"` // of the configuration: windows of an earlier one are not looked at
	State  *compare.State `json:"state"`
}

// pairKey names the pairs of answers of one stretch of time, of one comparison.
type pairKey struct {
	start int64
	name  string
	epoch int // of labels
}

// comparisons are those of a source.
type comparisons struct {
	all   []comparing
	pairs map[pairKey]*compare.Pairs

	head   bool           // all changed since the last commit
	starts map[int64]bool // whose pairs did
	stored map[int64]bool // whose pairs are stored
}

func newComparisons() *comparisons {
	return &comparisons{all: nil, pairs: map[pairKey]*compare.Pairs{}, head: false, starts: map[int64]bool{}, stored: map[int64]bool{}}
}

// validateCompare returns what is wrong with a model's comparisons, or nil.
func (c *ModelConfig) validateCompare() error {
	if len(c.Compare) > compare.MaxComparisons {
		return fmt.Errorf("%d comparisons, at most %d are possible", len(c.Compare), compare.MaxComparisons)
	}
	for i := range c.Compare {
		of := &c.Compare[i]
		if err := c.CheckComparison(of); err != nil {
			return fmt.Errorf("comparison %q: %w", of.Name, err)
		}
		if i > 0 && c.Compare[i-1].Name >= of.Name {
			return errors.New("comparisons must be in byte order of their names, each once")
		}
	}
	return nil
}

// CheckComparison returns what makes a comparison impossible for a model, or nil.
func (c *ModelConfig) CheckComparison(of *compare.Config) error {
	if err := of.Validate(); err != nil {
		return err
	}
	switch {
	case !slices.ContainsFunc(c.Timing.Windows, func(w window.Spec) bool { return w.Size == of.Window && w.Every == w.Size }):
		return fmt.Errorf("the model has no windows of %d ms that follow each other", of.Window)
	case of.Mode == compare.Shadow && (c.Labels == nil || !c.Labels.Join.Joins()):
		return errors.New("requests of a shadow are matched by id, which needs labels of the mode sample or full")
	case of.Guarded(compare.Quality) && c.Labels == nil:
		return errors.New("quality is guarded and the model has no labels")
	case of.Guarded(compare.Quality) && !slices.Contains(GuardedQuality(c.Labels.Task), of.QualityMetric):
		return fmt.Errorf("%s is no metric of a %s task that can be guarded", of.QualityMetric, c.Labels.Task)
	}
	return nil
}

// GuardedQuality lists the metrics that a comparison can guard, by the task of the labels. The first one is the default.
func GuardedQuality(task string) []string {
	switch t, _ := quality.ParseTask(task); t {
	case quality.Binary:
		return []string{compare.Accuracy, compare.Recall, compare.Precision, compare.Specificity}
	case quality.Multiclass:
		return []string{compare.Accuracy}
	case quality.Regression:
		return []string{compare.MAE}
	default:
		return nil
	}
}

// compared notes that comparisons of a source changed.
func (p *Partition) compared(s *source) *comparisons {
	if s.comparisons == nil {
		s.comparisons = newComparisons()
	}
	p.comparing[s.Model] = s
	return s.comparisons
}

// emitComparisons lets the comparisons look at a final window, and emits what they say. first is how much of the window was emitted before.
func (p *Partition) emitComparisons(s *source, w *window.Status, config ModelConfig, whole division, first int, out *Output) bool {
	epoch := s.EpochOf(w.ID).ID
	if s.comparisons != nil {
		gone := func(c comparing) bool {
			return c.Epoch < epoch && !slices.ContainsFunc(config.Compare, func(o compare.Config) bool { return o.Name == c.Config.Name })
		}
		if slices.ContainsFunc(s.comparisons.all, gone) {
			l := p.compared(s)
			l.all, l.head = slices.DeleteFunc(slices.Clone(l.all), gone), true
		}
	}
	for i := range config.Compare {
		c := &config.Compare[i]
		if w.Written > first+i {
			continue
		}
		if c.Window == w.ID.Size && w.ID.Every == w.ID.Size && !p.emitComparison(s, w, config, c, epoch, whole, out) {
			p.store.touchSource(s.Model)
			return false
		}
		w.Written = first + i + 1
	}
	return true
}

func (p *Partition) emitComparison(s *source, w *window.Status, config ModelConfig, c *compare.Config, epoch int, whole division, out *Output) bool {
	l := p.compared(s)
	i, known := slices.BinarySearchFunc(l.all, c.Name, func(x comparing, name string) int { return strings.Compare(x.Config.Name, name) })
	before := &compare.State{}
	if known {
		if l.all[i].Epoch > epoch {
			return true // a part of a window from before the configuration changed
		}
		before = l.all[i].State
	}
	state, doc := before.Step(c, s.sideBySide(w, config, c, whole))
	if !p.emitVerdict(doc, out) {
		return false
	}
	if !known {
		l.all = slices.Insert(l.all, i, comparing{}) //nolint:exhaustruct // set below
	}
	l.all[i], l.head = comparing{Config: *c, Epoch: epoch, State: state}, true
	return true
}

// emitVerdict emits what a comparison says, and returns false when the commit is full.
func (p *Partition) emitVerdict(doc *result.Comparison, out *Output) bool {
	one := result.Doc{ID: doc.ResultID, Kind: result.KindVerdict, Model: doc.Key.Model, Data: encode(doc)}
	if !p.fits(out, []result.Doc{one}) {
		return false
	}
	out.Results++
	p.position.Emitted++
	p.stats.Comparisons++
	out.doc(one)
	return true
}

// sideBySide is what both versions of a comparison were in a window.
func (s *source) sideBySide(w *window.Status, config ModelConfig, c *compare.Config, whole division) *compare.Window {
	panes := func(version string) []*window.Pane {
		for _, v := range whole.views[1:] {
			if v.version == version {
				return v.panes
			}
		}
		return nil
	}
	baseline, candidate := panes(c.Baseline), panes(c.Candidate)
	out := &compare.Window{
		At:       windowAt(s.Model, w.ID),
		Complete: true, Baseline: sideOf(baseline), Candidate: sideOf(candidate), Other: 0, Inputs: nil, Predictions: nil, Why: "",
		Latency: result.Latency{}, Pairs: nil, Classes: nil, //nolint:exhaustruct // set below
	}
	for _, pane := range whole.views[0].panes {
		out.Complete = out.Complete && pane.Tally.Lost == 0
	}
	if result.Other != c.Baseline && result.Other != c.Candidate {
		for _, pane := range panes(result.Other) {
			out.Other += pane.Tally.Events
		}
	}
	var invalid uint64
	for _, pane := range candidate {
		invalid += pane.Tally.LatencyInvalid
	}
	out.Latency = describe(out.Candidate.Latency, invalid, &reference.Reference{Latency: out.Baseline.Latency}) //nolint:exhaustruct // latency alone
	var over *reference.Reference
	if b := s.binders[w.ID.Fingerprint]; b != nil {
		over = b.ref
	}
	switch {
	case len(baseline) == 0 || len(candidate) == 0:
		out.Why = "a version has no events in this window"
	case over == nil:
		out.Why = "no_reference: distributions are compared over the cells of a reference, which the model has not got"
	default:
		out.Ref = &result.ReferenceID{Name: whole.base.name(config), Fingerprint: w.ID.Fingerprint}
		out.Inputs, out.Predictions = againstVersion(over, config, w, baseline, candidate)
	}
	if c.Mode == compare.Shadow && s.labels != nil {
		out.Pairs, out.Classes = s.pairsOf(w.ID, c.Name)
	}
	return out
}

func windowAt(model string, id window.ID) compare.At {
	return compare.At{
		Model: model, Window: result.Window{Start: id.Start(), End: id.End, Size: id.Size}, Every: id.Every, Ref: nil, Fingerprint: id.Fingerprint,
	}
}

// sideOf sums the panes of a version.
func sideOf(panes []*window.Pane) compare.Side {
	out := compare.Side{Events: 0, Errors: 0, Latency: cells.NewHistogram()}
	for _, pane := range panes {
		out.Events += pane.Tally.Events
		out.Errors += pane.Tally.Errors
		if err := out.Latency.Merge(pane.Latency); err != nil {
			panic(fmt.Sprintf("BUG: latencies that do not add: %v", err))
		}
	}
	return out
}

// againstVersion judges the features of a version by those of another one in the same window.
func againstVersion(over *reference.Reference, config ModelConfig, w *window.Status, baseline, candidate []*window.Pane) (inputs, predictions []result.Feature) {
	ref := sumOf(over, "", w, baseline)
	var all []result.Feature
	for i := range ref.Features {
		f := &ref.Features[i]
		fc := config.Features[f.Name]
		if f.Role == result.RolePrediction {
			fc = config.Predictions[f.Name]
		}
		if fc.Ignore {
			continue
		}
		d := config.Detectors
		if fc.Detectors != nil {
			d = *fc.Detectors
		}
		counts := cells.NewCounts(f.Space)
		for _, pane := range candidate {
			merge(counts, pane.Features[i])
		}
		all = append(all, detectors.NewPlan(f, d, detectors.NoChunks("the other side is a version of the same window"), nil).Evaluate(counts))
	}
	detectors.Judge(all, config.Detectors)
	inputs, predictions = []result.Feature{}, []result.Feature{}
	for i := range all {
		if all[i].Role == result.RolePrediction {
			predictions = append(predictions, all[i])
		} else {
			inputs = append(inputs, all[i])
		}
	}
	return inputs, predictions
}

// pair counts the newest prediction of a group for the comparisons with a shadow, and its pair where the other version has answered.
func (p *Partition) pair(s *source, e *labelEpoch, g *labels.Group) {
	all := s.configs[s.Epochs[len(s.Epochs)-1].ID].Compare
	is := &g.Predictions[len(g.Predictions)-1]
	version := versionName([]byte(is.Version))
	for i := range all {
		c := &all[i]
		if c.Mode != compare.Shadow || version != c.Baseline && version != c.Candidate {
			continue
		}
		other := c.Baseline
		if version == c.Baseline {
			other = c.Candidate
		}
		p.countPair(s, e, c, is, func(n *compare.Pairs) {
			if version == c.Baseline {
				n.Baseline++
			} else {
				n.Candidate++
			}
		})
		j := slices.IndexFunc(g.Predictions[:len(g.Predictions)-1], func(o labels.Prediction) bool { return versionName([]byte(o.Version)) == other })
		if j < 0 {
			continue
		}
		baseline, candidate := &g.Predictions[j], is
		if version == c.Baseline {
			baseline, candidate = candidate, baseline
		}
		p.countPair(s, e, c, baseline, func(n *compare.Pairs) {
			n.Add(s.labels.answer(e, baseline), s.labels.answer(e, candidate), c.Tolerance)
		})
		p.countPair(s, e, c, candidate, func(n *compare.Pairs) { n.Matched++ })
	}
}

// countPair counts in the pairs of the time of an answer, unless its window has been compared already.
func (p *Partition) countPair(s *source, e *labelEpoch, c *compare.Config, of *labels.Prediction, f func(*compare.Pairs)) {
	if o := s.labels.epoch(of.Epoch); o == nil || !o.spec.Equal(e.spec) || s.pairsPast(c, of.Pane) {
		p.stats.PairsLate++
		return
	}
	l := p.compared(s)
	key := pairKey{of.Pane, c.Name, of.Epoch}
	n := l.pairs[key]
	if n == nil {
		n = compare.NewPairs(e.pairClasses())
		l.pairs[key] = n
	}
	l.starts[key.start] = true
	f(n)
}

// pairClasses is the number of classes that two answers are compared by.
func (e *labelEpoch) pairClasses() int {
	n := len(e.spec.Classes())
	if e.spec.Task() == quality.Multiclass {
		n++ // all others
	}
	return n
}

// answer reads what a prediction said, by the configuration of its time, which is like that of e.
func (l *labelling) answer(e *labelEpoch, of *labels.Prediction) compare.Answer {
	pred, _, err := e.spec.DecodePrediction(of.Data)
	if err != nil {
		panic(fmt.Sprintf("BUG: a pending prediction that cannot be read: %v", err))
	}
	out := compare.Answer{Class: pred.Class, Score: 0, HasScore: false}
	switch {
	case pred.Flaw != quality.FlawNone:
		out.Class = quality.NoClass
	case e.spec.Task() == quality.Regression:
		out.Score, out.HasScore = pred.Value, true
	case e.spec.Task() == quality.Binary && len(pred.Scores) > 0:
		out.Score, out.HasScore = pred.Scores[0], true
	}
	return out
}

// pairsPast reports whether every window of a comparison that has a stretch in it is final.
func (s *source) pairsPast(c *compare.Config, start int64) bool {
	longest := c.Window
	for _, e := range s.Epochs {
		for _, w := range e.Timing.Windows {
			if w.Size == c.Window {
				longest = max(longest, w.ExtendTo)
			}
		}
	}
	return s.Watermark != window.Unset && s.Watermark > start+longest
}

// pairsOf sums the pairs of a window.
func (s *source) pairsOf(id window.ID, name string) (sum *compare.Pairs, classes []string) {
	e := s.labels.judges(id)
	if e == nil {
		return nil, nil
	}
	sum, classes = compare.NewPairs(e.pairClasses()), slices.Clone(e.spec.Classes())
	if e.spec.Task() == quality.Multiclass {
		classes = append(classes, quality.Other)
	}
	if s.comparisons == nil {
		return sum, classes
	}
	for k, n := range s.comparisons.pairs { // sums of counts: the order does not matter
		if o := s.labels.epoch(k.epoch); k.name == name && k.start >= id.Start() && k.start < id.End && o != nil && o.counts(id) && o.spec.Equal(e.spec) {
			sum.Merge(n)
		}
	}
	return sum, classes
}

// tidyPairs forgets the pairs that no window needs any more.
func (p *Partition) tidyPairs(s *source) {
	if s.comparisons == nil || len(s.comparisons.pairs) == 0 {
		return
	}
	for k := range s.comparisons.pairs {
		live := false
		for _, e := range s.Epochs {
			for i := range s.configs[e.ID].Compare {
				c := &s.configs[e.ID].Compare[i]
				live = live || c.Name == k.name && !s.pairsPast(c, k.start)
			}
		}
		if !live {
			l := p.compared(s)
			delete(l.pairs, k)
			l.starts[k.start] = true
		}
	}
}

// compareQuality lets the comparisons look at the quality of a window at its last maturity. first is how much was emitted of it before.
func (p *Partition) compareQuality(s *source, m *maturing, e *labelEpoch, whole []qualityView, first int, out *Output) bool {
	if s.comparisons == nil || m.next != len(e.Labels.Join.Maturities) || m.id.Every != m.id.Size {
		return true
	}
	byVersion := map[string]*quality.Counts{}
	for _, v := range whole[1:] {
		byVersion[v.version] = v.counts
	}
	all := s.comparisons.all
	for i := range all {
		c := &all[i].Config
		if m.written > first+i {
			continue
		}
		if c.Window == m.id.Size && c.Guarded(compare.Quality) && !all[i].State.Stale(c, m.id.Start()) {
			of := compare.Matured{
				At: windowAt(s.Model, m.id), Maturity: e.Labels.Join.Maturities[m.next-1], Baseline: truthOf(c, byVersion[c.Baseline]),
				Candidate: truthOf(c, byVersion[c.Candidate]), Difference: nil,
			}
			if x, y := byVersion[c.Baseline], byVersion[c.Candidate]; x != nil && y != nil && x.Labels() > 0 && y.Labels() > 0 {
				of.Difference = changes(quality.Evaluate(y), quality.Evaluate(x))
			}
			if m.id.Fingerprint != "" {
				of.Ref = &result.ReferenceID{Name: e.Name, Fingerprint: m.id.Fingerprint}
			}
			state, doc := all[i].State.Mature(c, &of)
			if !p.emitVerdict(doc, out) {
				return false
			}
			l := p.compared(s)
			all[i].State, l.head = state, true
		}
		m.written, s.labels.shards.head = first+i+1, true
	}
	return true
}

// truthOf is what labels say of a version, by what a comparison guards.
func truthOf(c *compare.Config, counts *quality.Counts) compare.Truth {
	out := compare.Truth{Labels: 0, Wrong: sequential.Arm{}, Off: sequential.Moments{}} //nolint:exhaustruct // nothing
	if counts == nil {
		return out
	}
	out.Labels = counts.Labels()
	if n, mean, variance, ok := counts.AbsoluteError(); ok {
		out.Off = sequential.Moments{Count: n, Mean: mean, Variance: variance}
		return out
	}
	_, matrix := counts.Confusion() // rows are labels, columns predictions
	for i := range matrix {
		for j, n := range matrix[i] {
			in := true
			switch c.QualityMetric {
			case compare.Recall:
				in = i == 1
			case compare.Precision:
				in = j == 1
			case compare.Specificity:
				in = i == 0
			}
			if !in {
				continue
			}
			if out.Wrong.Trials += n; i != j {
				out.Wrong.Successes += n
			}
		}
	}
	return out
}
