package fold

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/internal/stat/fairness"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Fairness says by which dimensions a model's predictions are compared between groups of people.
type Fairness struct {
	Dimensions []string `json:"dimensions"` // of segments, in byte order
	NMin       uint64   `json:"n_min"`      // cases that a group needs to be compared by a rate of them
	Level      float64  `json:"level"`      // confidence of the intervals
}

// validate returns what makes it impossible to compare groups, or nil.
func (f *Fairness) validate(l *Labels, segments []SegmentConfig) error {
	switch {
	case l.Task != quality.Binary.String():
		return fmt.Errorf("fairness: the task is %s, and only a binary one selects", l.Task)
	case !l.Segments:
		return errors.New("fairness: quality is not counted by segment")
	case len(f.Dimensions) == 0 || len(f.Dimensions) > reference.MaxDimensions:
		return fmt.Errorf("fairness: %d dimensions, there must be 1 to %d", len(f.Dimensions), reference.MaxDimensions)
	case !(f.Level >= 0.5 && f.Level < 1):
		return fmt.Errorf("fairness: the level %v is not at least 0.5 and less than 1", f.Level)
	}
	for i, d := range f.Dimensions {
		switch {
		case i > 0 && f.Dimensions[i-1] >= d:
			return errors.New("fairness: dimensions must be in byte order, each once")
		case !slices.ContainsFunc(segments, func(c SegmentConfig) bool { return c.Dimension == d }):
			return fmt.Errorf("fairness: %q is no segment dimension of the model", d)
		}
	}
	return nil
}

// emitFairness emits the documents about fairness of a window at a maturity: all versions together, each dimension in the order of its name; then
// the same of each version; and what they change of the incidents. said documents of the window and the maturity come before them.
func (p *Partition) emitFairness(s *source, e *labelEpoch, m *maturing, keys []qualityKey, said *int, out *Output) bool {
	if e.Labels.Fairness == nil {
		return true
	}
	dimensions := e.Labels.Fairness.Dimensions
	byDimension := make([][]fairnessView, len(dimensions))
	for i, d := range dimensions {
		byDimension[i] = s.labels.fairnessViews(d, keys)
	}
	rules := s.configs[s.Epochs[len(s.Epochs)-1].ID].Rules
	for v := range byDimension[0] { // all have the same versions
		docs := make([]*result.Fairness, 0, len(dimensions))
		for i, d := range dimensions {
			doc := describeFairness(s.Model, d, e, m, &byDimension[i][v])
			docs = append(docs, doc)
			if *said++; *said <= m.written {
				continue
			}
			if !p.sayOne(s, m, result.Doc{ID: doc.ResultID, Kind: result.KindResult, Model: s.Model, Data: encode(doc)}, out) {
				return false
			}
			if i < len(dimensions)-1 {
				continue
			}
			s.queue = append(s.queue, s.book.StepFairness(docs, rules)...)
			p.store.touchSource(s.Model) // what the incidents remember
			if !p.flush(s, out) {
				return false
			}
		}
	}
	return true
}

// fairnessView is what a document about fairness is of.
type fairnessView struct {
	version  string
	groups   map[string]*fairness.Group // by value
	labelled uint64                     // of all groups, and of none
}

// fairnessViews adds the counts of the groups of a dimension: all versions together, then each in the order of its name.
func (l *labelling) fairnessViews(dimension string, keys []qualityKey) []fairnessView {
	all := newFairnessView(result.All)
	byVersion := map[string]*fairnessView{}
	for _, k := range keys {
		name, value, _ := result.CutSegment(k.segment)
		if k.version == "" || k.segment != "" && name != dimension {
			continue
		}
		v := byVersion[k.version]
		if v == nil {
			one := newFairnessView(k.version)
			v = &one
			byVersion[k.version] = v
		}
		counted := l.panes[k].group()
		for _, into := range []*fairnessView{&all, v} {
			if k.segment == "" {
				into.labelled += counted.TP + counted.FP + counted.FN + counted.TN
				continue
			}
			g := into.groups[value]
			if g == nil {
				g = &fairness.Group{Name: value} //nolint:exhaustruct // nothing is counted
				into.groups[value] = g
			}
			g.Merge(&counted)
		}
	}
	out := make([]fairnessView, 0, 1+len(byVersion))
	out = append(out, all)
	for _, version := range sortedKeys(byVersion) {
		out = append(out, *byVersion[version])
	}
	return out
}

func newFairnessView(version string) fairnessView {
	return fairnessView{version: version, groups: map[string]*fairness.Group{}, labelled: 0}
}

// group returns the counts of a binary task as those of a group.
func (c *qualityPane) group() (g fairness.Group) {
	flawed := uint64(0)
	for _, f := range quality.Flaws() {
		flawed += c.Flawed(f)
	}
	g.N, g.Selected = c.Predictions()-flawed, c.selected
	if _, m := c.Confusion(); len(m) == 2 {
		g.TN, g.FP, g.FN, g.TP = m[0][0], m[0][1], m[1][0], m[1][1]
	}
	return g
}

// describeFairness says what is known of the fairness of a window.
func describeFairness(model, dimension string, e *labelEpoch, m *maturing, v *fairnessView) *result.Fairness {
	f := e.Labels.Fairness
	key := result.Key{Model: model, Version: v.version, Segment: result.All}
	win := result.Window{Start: m.id.Start(), End: m.id.End, Size: m.id.Size}
	maturity, final := m.maturity(&e.Labels.Join)
	doc := &result.Fairness{
		Schema: result.SchemaVersion, Type: "fairness", ResultID: result.FairnessID(key, win, m.id.Every, m.id.Fingerprint, maturity, dimension), Key: key,
		Window: win, Dimension: dimension, Maturity: maturity, Final: final, Ref: nil, Positive: e.spec.Classes()[1], Level: f.Level, NMin: f.NMin,
		Groups: []result.FairnessGroup{}, Gaps: nil, Ungrouped: 0, Reasons: []string{},
	}
	if m.id.Fingerprint != "" {
		doc.Ref = &result.ReferenceID{Name: e.Name, Fingerprint: m.id.Fingerprint}
	}
	groups, labelled := v.sorted(doc)
	var compared []fairness.Group
	for i := range groups {
		said := describeGroup(&groups[i], f.Level)
		if groups[i].Name == result.NoValue {
			said.Compared, said.Reason = false, "events without a value are no group"
		} else {
			compared = append(compared, groups[i])
		}
		doc.Groups = append(doc.Groups, said)
	}
	if doc.Ungrouped = v.labelled - labelled; doc.Ungrouped > 0 {
		doc.Reasons = append(doc.Reasons, fmt.Sprintf("no_group: %d of %d labels carry their prediction and name no segment: they are in no group", doc.Ungrouped, v.labelled))
	}
	doc.Gaps = gaps(fairness.Assess(compared, f.Level, f.NMin))
	for i := range doc.Groups {
		if g := &doc.Groups[i]; g.Compared {
			g.Compared, g.Reason = isCompared(doc, g.Group)
		}
	}
	return doc
}

// isCompared reports whether a group is in any gap, and why not. Equalised odds is made of two of the others.
func isCompared(doc *result.Fairness, group string) (yes bool, why string) {
	why = fmt.Sprintf("it has fewer than %d cases of anything (n_min)", doc.NMin)
	for i := range doc.Gaps {
		gap := &doc.Gaps[i]
		switch {
		case gap.Metric == result.EqualizedOddsDifference || slices.Contains(gap.Left, group):
		case gap.Value != nil:
			return true, ""
		default:
			why = "there is no other group with as many cases"
		}
	}
	return false, why
}

// sorted returns the groups by name, `other` and those without a value last, and how many labels they have. Where the stream has no events
// the predictions are those that the labels carry.
func (v *fairnessView) sorted(doc *result.Fairness) (groups []fairness.Group, labelled uint64) {
	predictions := uint64(0)
	for _, g := range v.groups {
		groups = append(groups, *g)
		predictions, labelled = predictions+g.N, labelled+g.TP+g.FP+g.FN+g.TN
	}
	last := func(name string) int {
		switch name {
		case result.Other:
			return 1
		case result.NoValue:
			return 2
		}
		return 0
	}
	slices.SortFunc(groups, func(a, b fairness.Group) int {
		return cmp.Or(cmp.Compare(last(a.Name), last(b.Name)), cmp.Compare(a.Name, b.Name))
	})
	if predictions == 0 && labelled > 0 {
		for i := range groups {
			g := &groups[i]
			g.N, g.Selected = g.TP+g.FP+g.FN+g.TN, g.TP+g.FP
		}
		doc.Reasons = append(doc.Reasons, "no_events: the labels carry their predictions, and the stream has no others: selection rates are of the labelled ones")
	}
	return groups, labelled
}

func describeGroup(g *fairness.Group, level float64) result.FairnessGroup {
	r := g.Rates(level)
	rate := func(name string, n uint64, e stat.Estimate) result.Metric {
		return result.Metric{Name: name, Class: "", N: n, Value: e.Value, Lower: e.Lower, Upper: e.Upper, Least: nil, Most: nil, Reason: e.Reason}
	}
	return result.FairnessGroup{
		Group: g.Name, Predictions: g.N, Selected: g.Selected, Labels: r.Labelled, Positives: g.TP + g.FN, Compared: true, Reason: "",
		Rates: []result.Metric{
			rate("selection_rate", g.N, r.SelectionRate), rate("true_positive_rate", g.TP+g.FN, r.TPR),
			rate("false_positive_rate", g.FP+g.TN, r.FPR), rate("accuracy", r.Labelled, r.Accuracy),
		},
	}
}

func gaps(r fairness.Report) []result.FairnessGap {
	byName := map[string]*fairness.Gap{
		result.DemographicParityDifference: &r.DemographicParityDifference, result.DemographicParityRatio: &r.DemographicParityRatio,
		result.EqualOpportunityDifference: &r.EqualOpportunityDifference, result.FalsePositiveRateDifference: &r.FalsePositiveRateDifference,
		result.EqualizedOddsDifference: &r.EqualizedOddsDifference, result.AccuracyDifference: &r.AccuracyDifference,
	}
	names := result.FairnessMetrics()
	out := make([]result.FairnessGap, len(names))
	for i, name := range names {
		g := byName[name]
		out[i] = result.FairnessGap{
			Metric: name, Value: g.Value, Lower: g.Lower, Upper: g.Upper, PValue: g.PValue, Low: g.Low, High: g.High,
			Left: append([]string{}, g.Left...), Reason: g.Reason,
		}
	}
	return out
}
