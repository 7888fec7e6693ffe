package alerting

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/result"
)

// maxHistory bounds the windows that an incident remembers.
const maxHistory = 32

// Subject is what an incident is about. Equal subjects are one incident at a time.
type Subject struct {
	Rule    string      `json:"rule"`
	Key     result.Key  `json:"key"`
	Size    int64       `json:"size_ms"` // of the windows
	Feature string      `json:"feature,omitempty"`
	Role    result.Role `json:"role,omitempty"`
}

func (s Subject) compare(o Subject) int {
	return cmp.Or(cmp.Compare(s.Rule, o.Rule), cmp.Compare(s.Key.Model, o.Key.Model), cmp.Compare(s.Key.Version, o.Key.Version),
		cmp.Compare(s.Key.Segment, o.Key.Segment), cmp.Compare(s.Size, o.Size), cmp.Compare(s.Role, o.Role), cmp.Compare(s.Feature, o.Feature))
}

// Incident is the memory of one subject: its state and what its last windows said. An inactive one without a memory is not
// kept.
type Incident struct {
	Subject Subject              `json:"subject"`
	ID      string               `json:"id"` // of this incident; a new one when it opens again
	State   result.IncidentState `json:"state"`
	Since   int64                `json:"since_ms"` // start of the first window that held the condition
	History []bool               `json:"history"`  // whether it held, oldest first
	Quiet   int                  `json:"quiet"`    // clear windows in a row
	Worst   float64              `json:"worst"`
	Absent  int                  `json:"absent,omitempty"` // windows of the model in a row in which its version had no events
}

// Book holds the open incidents of one model. The zero value is an empty one. It is not safe for concurrent use.
type Book struct {
	open map[Subject]*Incident
}

// Restore returns the book of stored incidents.
func Restore(stored []Incident) *Book {
	b := &Book{open: map[Subject]*Incident{}}
	for i := range stored {
		b.open[stored[i].Subject] = &stored[i]
	}
	return b
}

// Incidents returns the open incidents in canonical order.
func (b *Book) Incidents() []Incident {
	out := make([]Incident, 0, len(b.open))
	for _, s := range slices.SortedFunc(maps.Keys(b.open), Subject.compare) {
		out = append(out, *b.open[s])
	}
	return out
}

// Step looks at one final result, revision 0 and nothing later, with every rule and returns what changed, in canonical order.
// Windows that overlap the one before are left out: only those that end on a multiple of their size count.
func (b *Book) Step(sum *result.Summary, features []result.Feature, rules []Rule) []result.Transition {
	if sum.Revision != 0 || sum.Window.End%sum.Window.Size != 0 {
		return nil
	}
	var out []result.Transition
	for i := range rules {
		r := &rules[i]
		if (r.Scope == ScopeAll) != (sum.Key.Version == result.All) {
			continue
		}
		for _, o := range r.observe(sum, features) {
			if t := b.step(r, sum, o); t != nil {
				out = append(out, *t)
			}
		}
	}
	return out
}

// step moves one subject by one observation.
func (b *Book) step(r *Rule, sum *result.Summary, o observation) *result.Transition {
	subject := Subject{Rule: r.Name, Key: sum.Key, Size: sum.Window.Size, Feature: o.feature, Role: o.role}
	in := b.open[subject]
	if in == nil {
		if !o.hit {
			return nil
		}
		if b.open == nil {
			b.open = map[Subject]*Incident{}
		}
		in = &Incident{
			Subject: subject, ID: incidentID(subject, sum.Window), State: result.Inactive, Since: sum.Window.Start,
			History: nil, Quiet: 0, Worst: 0, Absent: 0,
		}
		b.open[subject] = in
	}
	in.Absent = 0
	in.History = append(in.History, o.hit)
	in.History = in.History[max(0, len(in.History)-r.Of):]
	if in.Quiet++; !o.clear {
		in.Quiet = 0
	}
	in.Worst = max(in.Worst, o.value)
	hits := 0
	for _, h := range in.History {
		if h {
			hits++
		}
	}
	from, to := in.State, in.State
	switch {
	case in.State == result.Firing && in.Quiet >= r.Quiet:
		to = result.Resolved
	case in.State == result.Firing:
	case hits >= r.Hits:
		to = result.Firing
	case hits > 0:
		to = result.Pending
	default:
		to = result.Inactive
	}
	if to == result.Resolved || to == result.Inactive {
		delete(b.open, subject)
	}
	if in.State = to; from == to {
		return nil
	}
	return transition(r, in, from, sum, o)
}

// Absent looks at the versions that a window of the model did not have. A version that is gone can neither confirm nor clear an
// incident: after as many windows in a row as its rule remembers, in which the model had events and the version none, its
// incidents end, and say why. all is the final result of all versions together.
func (b *Book) Absent(all *result.Summary, present []string, rules []Rule) []result.Transition {
	if all.Revision != 0 || all.Window.End%all.Window.Size != 0 || all.Counts.Events == 0 {
		return nil
	}
	var out []result.Transition
	for _, subject := range slices.SortedFunc(maps.Keys(b.open), Subject.compare) {
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == subject.Rule })
		if subject.Key.Version == result.All || subject.Size != all.Window.Size || i < 0 || slices.Contains(present, subject.Key.Version) {
			continue
		}
		in, r := b.open[subject], &rules[i]
		if in.Absent++; in.Absent < r.Of {
			continue
		}
		from := in.State
		if in.State = result.Inactive; from == result.Firing {
			in.State = result.Resolved
		}
		delete(b.open, subject)
		key := subject.Key
		o := observation{
			feature: subject.Feature, role: subject.Role, hit: false, clear: false, value: in.Worst, threshold: r.Threshold,
			unit: "worst of the incident", what: what(r, subject),
			reasons: []string{fmt.Sprintf("version %s has had no events in %d windows of the model: nothing can confirm or clear this any more",
				key.Version, in.Absent)},
		}
		of := *all
		of.Key, of.ResultID = key, ""
		out = append(out, *transition(r, in, from, &of, o))
	}
	return out
}

// what names the subject of an incident for its title.
func what(r *Rule, s Subject) string {
	switch r.Kind {
	case KindLatency:
		return "latency " + quantileName(r.Quantile)
	case KindMissingValues:
		return named(s.Role, s.Feature) + " missing values"
	case KindFeatureDrift:
	}
	return named(s.Role, s.Feature) + " drift"
}

// incidentID names an incident by what it is about and the window that opened it: two readings of a stream agree.
func incidentID(s Subject, w result.Window) string {
	h := sha256.New()
	for _, part := range []string{
		s.Rule, s.Key.Model, s.Key.Version, s.Key.Segment, string(s.Role), s.Feature, strconv.FormatInt(s.Size, 10), strconv.FormatInt(w.Start, 10),
	} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func transition(r *Rule, in *Incident, from result.IncidentState, sum *result.Summary, o observation) *result.Transition {
	return &result.Transition{
		Schema: result.SchemaVersion, Type: "transition", ID: fmt.Sprintf("%s.%s.%d", in.ID, in.State, sum.Window.End),
		Incident: in.ID, Rule: r.Name, Kind: string(r.Kind), Severity: r.Severity, Key: sum.Key, Feature: o.feature, Role: o.role,
		From: from, To: in.State, Window: sum.Window, ResultID: sum.ResultID, Since: in.Since, Value: o.value, Threshold: o.threshold,
		Unit: o.unit, Worst: in.Worst, Title: title(in.State, sum.Key, o), Reasons: o.reasons,
	}
}

func title(state result.IncidentState, k result.Key, o observation) string {
	who := k.Model
	if k.Version != result.All {
		who += " " + k.Version
	}
	return strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s", who, o.what, state)), " ")
}
