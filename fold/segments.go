package fold

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// SegmentConfig is a dimension by whose values the events of a model are counted on their own, beside all of them. Dimensions are
// never crossed.
type SegmentConfig struct {
	Dimension string   `json:"dimension"`        // a `segment` field, else a feature
	Values    []string `json:"values,omitempty"` // counted on their own; empty: the Largest ones of the reference
	Largest   int      `json:"largest,omitempty"`
}

// validateSegments returns what is wrong with a model's dimensions, or nil.
func validateSegments(all []SegmentConfig) error {
	if len(all) > reference.MaxDimensions {
		return fmt.Errorf("%d segment dimensions, at most %d are possible", len(all), reference.MaxDimensions)
	}
	for i, c := range all {
		switch err := reference.CheckDimension(c.Dimension); {
		case err != nil:
			return err
		case i > 0 && all[i-1].Dimension >= c.Dimension:
			return errors.New("segment dimensions must be in byte order, each once")
		case len(c.Values) > reference.MaxSegments || c.Largest < 0 || c.Largest > reference.MaxSegments:
			return fmt.Errorf("the segment dimension %q has %d values and takes the %d largest, at most %d are possible",
				c.Dimension, len(c.Values), c.Largest, reference.MaxSegments)
		case len(c.Values) == 0 && c.Largest == 0:
			return fmt.Errorf("the segment dimension %q needs values, or how many of the largest", c.Dimension)
		}
	}
	return nil
}

// in returns the values that are counted on their own over a reference, which may be nil.
func (c *SegmentConfig) in(ref *reference.Reference) []string {
	if len(c.Values) == 0 && ref != nil {
		if of := ref.Dimension(c.Dimension); of != nil {
			return of.Largest(c.Largest)
		}
	}
	return c.Values
}

// dimension is a dimension as it is counted: which segment a value is in is frozen, never chosen by what arrives.
type dimension struct {
	name        string
	own         map[string]string     // segments by value
	other, none string                // the segments of all other values, and of events without one
	why         string                // there are no values, and why; empty: there are
	parts       map[string]judgedPart // by segment, as soon as one was judged
}

// dimensionsOf returns the dimensions of a configuration over a reference, which may be nil.
func dimensionsOf(c ModelConfig, ref *reference.Reference) []dimension {
	out := make([]dimension, 0, len(c.Segments))
	for _, sc := range c.Segments {
		d := dimension{
			name: sc.Dimension, own: map[string]string{}, other: result.SegmentKey(sc.Dimension, result.Other),
			none: result.SegmentKey(sc.Dimension, result.NoValue), why: "", parts: nil,
		}
		values := sc.in(ref)
		for _, v := range values {
			d.own[v] = result.SegmentKey(sc.Dimension, v)
		}
		if len(values) == 0 {
			d.why = fmt.Sprintf("segments of %q: the configuration names no values and the reference has none: all events are in %s; "+
				"create the reference with --segment-by %s, or name the values", sc.Dimension, d.other, sc.Dimension)
		}
		out = append(out, d)
	}
	return out
}

// segment returns the segment of an event.
func (d *dimension) segment(ev *event.Event, scratch []byte) (segment string, buf []byte) {
	value, ok := ev.AppendDimension(scratch[:0], d.name)
	switch segment, own := d.own[string(value)]; {
	case !ok:
		return d.none, value
	case own:
		return segment, value
	}
	return d.other, value
}

// dimensions returns the dimensions of an epoch. They follow from its configuration and its reference, and are kept in memory alone.
func (s *source) dimensions(e *window.Epoch) []dimension {
	if d, ok := s.divided[e.ID]; ok {
		return d
	}
	if len(s.divided) > len(s.Epochs) || s.divided == nil {
		s.divided = map[int][]dimension{} // some are of epochs that are over
	}
	var ref *reference.Reference
	if b := s.binders[e.Fingerprint]; b != nil {
		ref = b.ref
	}
	d := dimensionsOf(s.configs[e.ID], ref)
	s.divided[e.ID] = d
	return d
}

// countSegments counts an event, which its binder has bound, in its segments.
func (p *Partition) countSegments(s *source, place window.Placement, version string, ev *event.Event, c eventCounts) {
	dimensions := s.dimensions(place.Epoch)
	for i := range dimensions {
		var segment string
		segment, p.scratch = dimensions[i].segment(ev, p.scratch)
		pane := p.pane(s, place, version, segment)
		c.add(pane, ev)
		s.binders[place.Epoch.Fingerprint].add(pane.Features)
		p.changed(s, place, pane)
	}
}

// part returns the binder by which the windows of a segment are judged, over the same part of a reference; its ref is nil where the
// reference has no such rows, and why says so. Nothing is counted by it.
func (d *dimension) part(segment string, whole *reference.Reference) (b *binder, why string) {
	if p, ok := d.parts[segment]; ok {
		return p.binder, p.why
	}
	p := judgedPart{binder: &binder{}, why: ""} //nolint:exhaustruct // it only keeps plans
	values := []string{strings.TrimPrefix(segment, d.name+"=")}
	if of := whole.Dimension(d.name); segment == d.other && of != nil {
		values = of.Without(slices.Collect(maps.Keys(d.own)))
		for _, v := range slices.Sorted(maps.Keys(d.own)) {
			if !of.Has(v) && of.Has(result.Other) && v != result.Other {
				p.why = fmt.Sprintf("no_reference: the reference %s counts %s together with others, so that nothing can be said of %s: "+
					"create it with the values that the configuration names", whole.Name, d.own[v], segment)
			}
		}
	}
	if p.why == "" {
		if p.binder.ref = whole.Segment(d.name, values...); p.binder.ref == nil {
			p.why = fmt.Sprintf("no_reference: the reference %s has no rows counted as %s: create it with --segment-by %s", whole.Name, segment, d.name)
		}
	}
	if d.parts == nil {
		d.parts = map[string]judgedPart{}
	}
	d.parts[segment] = p
	return p.binder, p.why
}

// judgedPart is how the windows of a segment are judged, or why they are not.
type judgedPart struct {
	binder *binder
	why    string
}

// divisions are the views of a window: those of all events, then those of each segment in the order of their names; each begins with all
// versions together.
func divisions(panes []*window.Pane, w *window.Status) [][]*view {
	var whole []*window.Pane
	parts := map[string][]*window.Pane{}
	for _, pane := range panes {
		if pane.Key.Segment == "" {
			whole = append(whole, pane)
		} else {
			parts[pane.Key.Segment] = append(parts[pane.Key.Segment], pane)
		}
	}
	out := make([][]*view, 0, 1+len(parts))
	out = append(out, viewsOf(result.All, whole, w))
	for _, segment := range sortedKeys(parts) {
		views := viewsOf(segment, parts[segment], w)
		views[0].wanted = slices.ContainsFunc(views[1:], func(v *view) bool { return v.wanted })
		out = append(out, views)
	}
	return out
}

// segmentBaseline returns what the windows of a segment are compared with, and what their plans are kept in.
func (p *Partition) segmentBaseline(s *source, w *window.Status, config ModelConfig, whole baseline, views []*view) (baseline, *binder) {
	b := s.binders[w.ID.Fingerprint]
	switch segment := views[0].segment; {
	case whole.ref == nil || b == nil:
		return baseline{nil, whole.why, 0}, nil
	case config.Rolling != nil && config.Rolling.Previous == 0:
		return ofVersion(b.ref, config, w, views), nil
	case config.Rolling != nil:
		return baseline{nil, "no_reference: the past of a stream is not counted by segment: give the model a stored reference, or one of another version", 0}, nil
	default:
		name, _, _ := result.CutSegment(segment)
		dimensions := s.dimensions(s.EpochOf(w.ID))
		i := slices.IndexFunc(dimensions, func(d dimension) bool { return d.name == name })
		if i < 0 {
			return baseline{nil, "no_reference: the configuration that judges this window has no such dimension any more", 0}, nil
		}
		part, why := dimensions[i].part(segment, whole.ref)
		return baseline{part.ref, why, covered(whole.ref)}, part
	}
}

// division is the views of a window about a segment, or about all its events, and what they are compared with.
type division struct {
	base  baseline
	views []*view
	bound *binder // keeps the plans; nil: nothing is kept
}

// part is one view with what it is compared with.
type part struct {
	view *view
	base baseline
}

// partsOf lists the views of a window in the order in which they are emitted.
func partsOf(said []division) (all []part) {
	for _, g := range said {
		for _, v := range g.views {
			all = append(all, part{v, g.base})
		}
	}
	return all
}

// judge evaluates the features of all views of a window.
func (p *Partition) judge(s *source, w *window.Status) []division {
	config := s.configs[s.EpochOf(w.ID).ID]
	said := p.divide(s, w, config, s.In(w.ID, s.empty))
	for i := range said {
		said[i].evaluate(config, w.ID.Size)
	}
	return said
}

// divide says which views a window has and what each is compared with. Of a stored reference that depends on no counts.
func (p *Partition) divide(s *source, w *window.Status, config ModelConfig, panes []*window.Pane) []division {
	all := divisions(panes, w)
	out := make([]division, 0, len(all))
	for _, views := range all {
		bound := s.binders[w.ID.Fingerprint]
		var base baseline
		if len(out) == 0 {
			base = p.baselineOf(s, w, config, views)
			views[0].notes = s.undivided(w)
		} else {
			base, bound = p.segmentBaseline(s, w, config, out[0].base, views)
		}
		out = append(out, division{base, views, bound})
	}
	return out
}

// evaluate computes the features of the division's views.
func (d *division) evaluate(config ModelConfig, size int64) {
	if d.base.ref != nil && d.views[0].wanted {
		evaluate(d.base.ref, d.bound, config, size, d.views)
	}
}

// undivided says which dimensions have no values.
func (s *source) undivided(w *window.Status) (why []string) {
	dimensions := s.dimensions(s.EpochOf(w.ID))
	for i := range dimensions {
		if dimensions[i].why != "" {
			why = append(why, dimensions[i].why)
		}
	}
	return why
}

// stepParts lets the rules that look at segments look at those of a final window.
func (s *source) stepParts(w *window.Status, config ModelConfig, said []division) []result.Transition {
	var out []result.Transition
	for i := range said[0].views {
		whole := said[0].views[i]
		looks := slices.ContainsFunc(config.Rules, func(r alerting.Rule) bool {
			return len(r.Segments) > 0 && (r.Scope == alerting.ScopeAll) == (whole.version == result.All)
		})
		if !looks {
			continue
		}
		var parts []alerting.Part
		for _, g := range said[1:] {
			for _, v := range g.views {
				if v.version == whole.version {
					sum := summary(s, w, config, g.base, v)
					parts = append(parts, alerting.Part{Sum: &sum, Features: v.features})
				}
			}
		}
		sum := summary(s, w, config, said[0].base, whole)
		out = append(out, s.book.StepParts(&sum, parts, config.Rules)...)
	}
	return out
}
