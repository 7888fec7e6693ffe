package alerting

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/driftd/driftd/result"
)

// Bounds of a transition: a model of a thousand features must still fit a message, and a person's patience.
const (
	maxFeatures = 25 // features listed, the largest effects first
	maxReasons  = 5  // reasons of the whole
	maxOwn      = 3  // reasons of one feature
)

// transition describes the incident as it is now. gone are the members that left it in this window: what it is about when none
// remains.
func (in *Incident) transition(r *Rule, from result.IncidentState, sum *result.Summary, gone []Member) result.Transition {
	list := ranked(in.Members)
	if in.State == result.Resolved || in.State == result.Inactive {
		list = ranked(gone)
	}
	t := result.Transition{
		Schema: result.SchemaVersion, Type: "transition", ID: fmt.Sprintf("%s.%s.%d", in.ID, in.State, sum.Window.End),
		Incident: in.ID, Rule: r.Name, Kind: string(r.Kind), Severity: r.Severity, Key: in.Subject.Key, Segment: "", Feature: "", Role: "",
		From: from, To: in.State, Window: sum.Window, ResultID: sum.ResultID, Since: in.Since, Value: 0, Threshold: r.Threshold,
		Unit: "", Worst: in.Worst, Title: "", Reasons: nil, Features: nil, FeaturesTotal: len(list), Reference: sum.Ref, Flapping: in.Flapping,
		InhibitedBy: in.Inhibited, Metric: in.Metric, Maturity: in.Maturity, Labels: r.Labels, Annotations: nil,
	}
	if len(list) > 0 {
		first := &list[0]
		t.Segment, t.Feature, t.Role, t.Value, t.Threshold, t.Unit = first.Segment, first.Feature, first.Role, first.Value, first.Threshold, first.Unit
	}
	for i := range list {
		m := &list[i]
		if i < maxReasons && len(list) > 1 && len(m.Reasons) > 0 {
			t.Reasons = append(t.Reasons, about(m, m.Reasons[0]))
		}
		if i < maxFeatures && (m.Feature != "" || m.Segment != "") {
			t.Features = append(t.Features, result.IncidentFeature{
				Segment: m.Segment, Feature: m.Feature, Role: m.Role, Firing: m.Firing, Since: m.Since, Value: m.Value, Threshold: m.Threshold, Worst: m.Worst,
				Reasons: m.Reasons[:min(len(m.Reasons), maxOwn)],
			})
		}
	}
	if len(list) == 1 {
		t.Reasons = list[0].Reasons
	}
	if len(list) > 0 && list[0].Feature == "" && list[0].Segment == "" {
		t.FeaturesTotal = 0
	}
	if t.Flapping && in.State == result.Firing {
		t.Reasons = append(slices.Clip(t.Reasons), fmt.Sprintf("it changed %d times within a day: it stays firing until a day was quiet", len(in.Changes)))
	}
	t.Title = title(r, in.State, &t, list)
	if len(r.Annotations) > 0 {
		t.Annotations = map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(r.Annotations)) {
			t.Annotations[name] = render(r.Annotations[name], &t)
		}
	}
	return t
}

// about puts the names of a feature and of a segment before a reason that does not name them.
func about(m *Member, reason string) string {
	if m.Feature != "" && !strings.HasPrefix(reason, m.Feature) {
		reason = m.Feature + ": " + reason
	}
	if m.Segment != "" && !strings.HasPrefix(reason, m.Segment) {
		reason = m.Segment + ": " + reason
	}
	return reason
}

// of names what a member is about.
func (m *Member) of() string {
	switch {
	case m.Segment == "":
		return m.Feature
	case m.Feature == "":
		return m.Segment
	}
	return m.Feature + " in " + m.Segment
}

// title is one line for people.
func title(r *Rule, state result.IncidentState, t *result.Transition, list []Member) string {
	who := t.Key.Model
	if t.Key.Version != result.All {
		who += " " + t.Key.Version
	}
	what := topic(r)
	if r.Kind == KindQuality {
		what = strings.TrimSpace("quality " + t.Metric)
	}
	switch {
	case len(list) == 1 && list[0].Feature != "":
		what = named(list[0].Role, list[0].of()) + " " + what
	case len(list) == 1 && list[0].Segment != "":
		what += " in " + list[0].Segment
	case len(list) > 1:
		names := make([]string, 0, 3)
		for i := range list[:min(3, len(list))] {
			names = append(names, list[i].of())
		}
		more := ""
		if len(list) > 3 {
			more = ", …"
		}
		each := "of %d features"
		if list[0].Segment != "" {
			each = "in %d places"
		}
		what = fmt.Sprintf("%s "+each+" (%s%s)", what, len(list), strings.Join(names, ", "), more)
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s", who, what, state)), " ")
}

// topic names what a rule looks at, for its title.
func topic(r *Rule) string {
	switch r.Kind {
	case KindFeatureDrift, KindPredictionDrift:
		return "drift"
	case KindDriftShare:
		return "drift of many features"
	case KindLatency:
		return "latency " + quantileName(r.Quantile)
	case KindLatencyBound:
		return "latency " + quantileName(r.Quantile) + " above its bound"
	case KindLatencySLO, KindErrorSLO:
		return "error budget of " + r.Name + " burning"
	case KindChangePoint:
		if r.Change != nil {
			return "change of " + r.Change.Series
		}
	case KindFairness:
		what := strings.ReplaceAll(r.Metric, "_", " ")
		if r.Dimension != "" {
			what += " of " + r.Dimension
		}
		return what
	case KindCondition:
		return r.Name
	case KindMissingValues, KindInvalidValues, KindUnseenValues, KindOutOfRange, KindErrorRate, KindThroughputDrop, KindNoData, KindLoss, KindQuality, KindLabelCoverage:
	}
	if r.Kind == "" {
		return r.Name
	}
	return strings.ReplaceAll(string(r.Kind), "_", " ")
}
