package alerting

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/driftd/driftd/result"
)

// Part is the result of one segment of a window.
type Part struct {
	Sum      *result.Summary
	Features []result.Feature
}

// Bounds of a rule's segments.
const (
	maxSegments     = 64  // that a rule names
	maxSegmentBytes = 512 // of one of them
)

// validateSegments checks which parts of the events a rule looks at.
func (r *Rule) validateSegments() (string, error) {
	if len(r.Segments) == 0 {
		return "", nil
	}
	switch r.Kind { //nolint:exhaustive // the others look at one window of one part
	case KindLatencySLO, KindErrorSLO, KindThroughputDrop, KindNoData, KindLoss, KindQuality, KindLabelCoverage, KindFairness, KindChangePoint:
		return "segments", fmt.Errorf("cannot be given for the kind %s, which looks at all events", r.Kind)
	}
	if len(r.Segments) > maxSegments {
		return "segments", fmt.Errorf("must be at most %d, got %d", maxSegments, len(r.Segments))
	}
	for _, s := range r.Segments {
		dimension, _, _ := result.CutSegment(s)
		if s != result.All && (dimension == "" || strings.Contains(dimension, "*")) || len(s) > maxSegmentBytes {
			return "segments", errors.New("must be dimensions (region), values of them (region=eu), or \"*\" for all of them")
		}
	}
	return "", nil
}

// selects reports whether the rule looks at a segment.
func (r *Rule) selects(segment string) bool {
	dimension, _, _ := result.CutSegment(segment)
	return slices.ContainsFunc(r.Segments, func(s string) bool { return s == result.All || s == segment || s == dimension })
}

// Dimensions returns the dimensions that a rule names.
func (r *Rule) Dimensions() []string {
	var out []string
	for _, s := range r.Segments {
		if dimension, _, _ := result.CutSegment(s); s != result.All && dimension != "" && !slices.Contains(out, dimension) {
			out = append(out, dimension)
		}
	}
	return out
}

// StepParts looks at the final results of the segments of a window with every rule that looks at segments, and returns what changed, in
// canonical order. sum is the result of all events of the window, of the same version; parts are in the order of their names, and may
// be none. All segments of a rule are one incident, which has the segment of each of its members: nobody is told the same fifty times.
func (b *Book) StepParts(sum *result.Summary, parts []Part, rules []Rule) []result.Transition {
	if sum.Revision != 0 || sum.Window.End%sum.Window.Size != 0 {
		return nil
	}
	var out []result.Transition
	for i := range rules {
		if r := &rules[i]; len(r.Segments) > 0 && (r.Scope == ScopeAll) == (sum.Key.Version == result.All) {
			out = append(out, b.stepParts(r, sum, parts)...)
		}
	}
	return b.inhibit(sum, rules, out)
}

// stepParts moves the incident of a rule by one window.
func (b *Book) stepParts(r *Rule, sum *result.Summary, parts []Part) []result.Transition {
	parts = slices.DeleteFunc(slices.Clone(parts), func(p Part) bool { return !r.selects(p.Sum.Key.Segment) })
	var observed []observation
	hit := false
	for _, p := range parts {
		for _, o := range b.observe(r, nil, p.Sum, p.Features, len(parts)) {
			o.segment = p.Sum.Key.Segment
			observed, hit = append(observed, o), hit || o.hit
		}
	}
	subject := Subject{Rule: r.Name, Key: sum.Key, Size: sum.Window.Size}
	if b.open[subject] == nil && !hit {
		return nil
	}
	in := b.incident(subject)
	in.Absent = 0
	t := in.move(r, sum, func() {
		keep := in.keep(r)
		for _, o := range observed {
			in.look(r, sum.Window, keep, o)
		}
		in.leave(r, sum, parts)
	})
	b.forget(in, sum.Window.End)
	return t
}

// leave ends what is remembered of segments that had no events in as many windows as the rule looks at, in which the model had some:
// nothing can confirm or clear it.
func (in *Incident) leave(r *Rule, sum *result.Summary, parts []Part) {
	for i := range in.Members {
		m := &in.Members[i]
		switch {
		case slices.ContainsFunc(parts, func(p Part) bool { return p.Sum.Key.Segment == m.Segment }):
			m.Absent = 0
			continue
		case sum.Counts.Events == 0:
			continue
		}
		if m.Absent++; m.Absent >= r.Of {
			m.Firing, m.History = false, nil
			m.Reasons = []string{fmt.Sprintf("%s has had no events in %d windows of the model: nothing can confirm or clear this any more", m.Segment, m.Absent)}
		}
	}
}
