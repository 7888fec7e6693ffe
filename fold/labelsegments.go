package fold

import (
	"slices"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// The segments of a dimension by number; the values that are counted on their own follow.
const (
	partNone = iota // an event without a value
	partOther
	partOwn
)

// labelDimension is a dimension as the labels of an epoch are counted by it: its segments have numbers, which are all that a pending
// prediction keeps of them.
type labelDimension struct {
	name     string
	numbers  map[string]byte // by value
	segments []string        // by number
}

// labelDimensions numbers the segments of dimensions. There are at most reference.MaxSegments of them: they fit a byte.
func labelDimensions(all []SegmentConfig) []labelDimension {
	out := make([]labelDimension, 0, len(all))
	for _, c := range all {
		d := labelDimension{name: c.Dimension, numbers: map[string]byte{}, segments: make([]string, partOwn, partOwn+len(c.Values))}
		d.segments[partNone], d.segments[partOther] = result.SegmentKey(c.Dimension, result.NoValue), result.SegmentKey(c.Dimension, result.Other)
		for _, v := range c.Values {
			d.numbers[v] = byte(len(d.segments))
			d.segments = append(d.segments, result.SegmentKey(c.Dimension, v))
		}
		out = append(out, d)
	}
	return out
}

// frozenSegments returns the dimensions of a configuration with the values that it has over its reference.
func frozenSegments(c ModelConfig, b *binder) []SegmentConfig {
	out := make([]SegmentConfig, 0, len(c.Segments))
	for _, sc := range c.Segments {
		if b == nil {
			out = append(out, SegmentConfig{Dimension: sc.Dimension, Values: sc.in(nil), Largest: 0})
		} else {
			out = append(out, SegmentConfig{Dimension: sc.Dimension, Values: sc.in(b.ref), Largest: 0})
		}
	}
	return out
}

// partsOf returns the segments that a prediction is in, one of each dimension, valid until it is called again; nil where there are none.
func (p *Partition) partsOf(e *labelEpoch, ev *event.Event) []byte {
	p.parts = p.parts[:0]
	for i := range e.dimensions {
		d := &e.dimensions[i]
		var ok bool
		if p.scratch, ok = ev.AppendDimension(p.scratch[:0], d.name); !ok {
			p.parts = append(p.parts, partNone)
		} else if own, known := d.numbers[string(p.scratch)]; known {
			p.parts = append(p.parts, own)
		} else {
			p.parts = append(p.parts, partOther)
		}
	}
	return p.parts
}

// ownParts is partsOf for a prediction that a label carries, which is in no segment where the label has a value of none: what it does not say
// is no missing value.
func (p *Partition) ownParts(e *labelEpoch, ev *event.Event) []byte {
	parts := p.partsOf(e, ev)
	if slices.ContainsFunc(parts, func(number byte) bool { return number != partNone }) {
		return parts
	}
	return nil
}

// each calls f with the counts that a prediction is in: those of its version, and those of its version in each of its segments.
func (l *labelling) each(e *labelEpoch, t int64, version string, parts []byte, f func(*qualityPane)) {
	f(l.pane(e, t, version, ""))
	for i, number := range parts {
		if i < len(e.dimensions) && int(number) < len(e.dimensions[i].segments) {
			f(l.pane(e, t, version, e.dimensions[i].segments[number]))
		}
	}
}

// predict counts a prediction.
func (c *qualityPane) predict(pred quality.Prediction) {
	c.AddPrediction(pred)
	if c.Spec().Task() == quality.Binary && pred.Class == 1 {
		c.selected++
	}
}

// tell counts the label of a prediction, and how long after it the label came.
func (c *qualityPane) tell(pred quality.Prediction, label quality.Label, delay int64) {
	c.AddLabel(pred, label)
	c.AddDelay(delay)
}
