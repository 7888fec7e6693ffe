package alerting

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/driftd/driftd/result"
)

// Subject is what an incident is about: a rule, and whose windows it looks at. Equal subjects are one incident at a time; the
// features that the rule found are its members.
type Subject struct {
	Rule string     `json:"rule"`
	Key  result.Key `json:"key"`
	Size int64      `json:"size_ms"` // of the windows
}

func (s Subject) compare(o Subject) int {
	return cmp.Or(cmp.Compare(s.Rule, o.Rule), cmp.Compare(s.Key.Model, o.Key.Model), cmp.Compare(s.Key.Version, o.Key.Version),
		cmp.Compare(s.Key.Segment, o.Key.Segment), cmp.Compare(s.Size, o.Size))
}

// Member is what an incident remembers of one feature, or of the model where Feature is empty, in all events or in a segment.
type Member struct {
	Segment   string      `json:"segment,omitempty"` // empty: all events
	Feature   string      `json:"feature,omitempty"`
	Role      result.Role `json:"role,omitempty"`
	Firing    bool        `json:"firing,omitempty"`
	Since     int64       `json:"since_ms"` // start of the first window that held the condition
	Last      int64       `json:"last_ms"`  // end of the last one
	History   []bool      `json:"history"`  // whether it held, oldest first
	Quiet     int         `json:"quiet"`    // clear windows in a row
	Value     float64     `json:"value"`    // in the last window that could judge
	Threshold float64     `json:"threshold"`
	Unit      string      `json:"unit"`
	Worst     float64     `json:"worst"`
	Reasons   []string    `json:"reasons,omitempty"`
	Absent    int         `json:"absent,omitempty"` // windows of the model in a row in which its segment had no events
}

// compare orders members by what they are about.
func (m *Member) compare(o *Member) int {
	return cmp.Or(cmp.Compare(m.Role, o.Role), cmp.Compare(m.Feature, o.Feature), cmp.Compare(m.Segment, o.Segment))
}

// effect ranks members: how many times the threshold.
func (m *Member) effect() float64 { return m.Value / max(m.Threshold, 1e-300) }

// Incident is the memory of one subject: its state and what its last windows said. An inactive one that remembers nothing is
// not kept.
type Incident struct {
	Subject Subject              `json:"subject"`
	ID      string               `json:"id"` // of this incident; a new one when it opens again
	State   result.IncidentState `json:"state"`
	Since   int64                `json:"since_ms"` // start of the first window that held the condition
	Members []Member             `json:"members,omitempty"`
	Worst   float64              `json:"worst"`
	Absent  int                  `json:"absent,omitempty"` // windows of the model in a row in which its version had no events

	Metric   string `json:"metric,omitempty"`      // of quality, that its rule looked at last
	Maturity int64  `json:"maturity_ms,omitempty"` // at which its rule looked at the last window, of a rule about quality

	Past      []Point `json:"past,omitempty"`         // windows that the rule compares with
	Watches   []Watch `json:"watches,omitempty"`      // series that the rule looks at for a change
	Changes   []int64 `json:"changes_ms,omitempty"`   // ends of the windows in which it fired or was resolved, of the last day
	Flapping  bool    `json:"flapping,omitempty"`     // it changed too often before it fired
	Inhibited string  `json:"inhibited_by,omitempty"` // the rule that makes it not worth a message
}

// flapChanges is how often an incident may fire and be resolved in a day. Beyond it stays firing until a day was quiet.
const flapChanges = 4

// changed notes that the incident fired or was resolved.
func (in *Incident) changed(to result.IncidentState, end int64) {
	in.Changes = append(slices.DeleteFunc(in.Changes, func(t int64) bool { return t <= end-day }), end)
	in.Flapping = to == result.Firing && len(in.Changes) > flapChanges
}

// keep returns how long after the condition held last the incident goes on firing.
func (in *Incident) keep(r *Rule) int64 {
	if in.Flapping {
		return max(r.KeepFiring, day)
	}
	return r.KeepFiring
}

// remembers reports whether the incident says anything that must not be forgotten.
func (in *Incident) remembers(end int64) bool {
	in.Changes = slices.DeleteFunc(in.Changes, func(t int64) bool { return t <= end-day })
	return in.State == result.Pending || in.State == result.Firing || len(in.Past) > 0 || len(in.Watches) > 0 || len(in.Changes) > 0
}

// member returns the memory of a feature in a segment, or nil.
func (in *Incident) member(segment, feature string, role result.Role) *Member {
	for i := range in.Members {
		if m := &in.Members[i]; m.Segment == segment && m.Feature == feature && m.Role == role {
			return &in.Members[i]
		}
	}
	return nil
}

// look moves one member by an observation of the window w.
func (in *Incident) look(r *Rule, w result.Window, keep int64, o observation) {
	m := in.member(o.segment, o.feature, o.role)
	if m == nil {
		if !o.hit {
			return
		}
		in.Members = append(in.Members, Member{ //nolint:exhaustruct // set below
			Segment: o.segment, Feature: o.feature, Role: o.role, Since: w.Start, Worst: o.value,
		})
		m = &in.Members[len(in.Members)-1]
	}
	m.History = append(m.History, o.hit)
	m.History = m.History[max(0, len(m.History)-r.Of):]
	if m.Quiet++; !o.clear {
		m.Quiet = 0
	}
	if o.hit {
		m.Last = w.End
	}
	m.Value, m.Threshold, m.Unit, m.Reasons, m.Worst = o.value, o.threshold, o.unit, o.reasons, r.worst(m.Worst, o.value)
	switch {
	case !m.Firing:
		m.Firing = count(m.History) >= r.Hits
	case m.Quiet >= r.Quiet && w.End-m.Last >= keep:
		m.Firing, m.History = false, nil
	}
}

// worst returns the worse one of two values.
func (r *Rule) worst(a, b float64) float64 {
	if r.low() {
		return min(a, b)
	}
	return max(a, b)
}

func count(history []bool) int {
	n := 0
	for _, h := range history {
		if h {
			n++
		}
	}
	return n
}

// settle removes the members that say nothing any more, and returns them with the state that the others make.
func (in *Incident) settle() (state result.IncidentState, gone []Member) {
	in.Members = slices.DeleteFunc(in.Members, func(m Member) bool {
		over := !m.Firing && count(m.History) == 0
		if over {
			gone = append(gone, m)
		}
		return over
	})
	slices.SortFunc(in.Members, func(a, b Member) int { return a.compare(&b) })
	switch {
	case len(firing(in.Members)) > 0:
		return result.Firing, gone
	case in.State == result.Firing:
		return result.Resolved, gone
	case len(in.Members) > 0:
		return result.Pending, gone
	}
	return result.Inactive, gone
}

// firing names the members that fire, for telling one set from another.
func firing(members []Member) []string {
	var out []string
	for i := range members {
		if members[i].Firing {
			out = append(out, string(members[i].Role)+"/"+members[i].Segment+"/"+members[i].Feature)
		}
	}
	return out
}

// ranked returns members by their effect, the largest first: those that fire if any does.
func ranked(members []Member) []Member {
	out := slices.Clone(members)
	if slices.ContainsFunc(out, func(m Member) bool { return m.Firing }) {
		out = slices.DeleteFunc(out, func(m Member) bool { return !m.Firing })
	}
	slices.SortFunc(out, func(a, b Member) int {
		return cmp.Or(cmp.Compare(b.effect(), a.effect()), a.compare(&b))
	})
	return out
}

// incidentID names an incident by what it is about and the window that opened it: two readings of a stream agree.
func incidentID(s Subject, w result.Window) string {
	h := sha256.New()
	for _, part := range []string{
		s.Rule, s.Key.Model, s.Key.Version, s.Key.Segment, strconv.FormatInt(s.Size, 10), strconv.FormatInt(w.Start, 10),
	} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// UnmarshalJSON also reads what was stored before an incident collected the features of its rule: one incident a feature.
func (in *Incident) UnmarshalJSON(data []byte) error {
	type plain Incident
	var old struct {
		plain
		Subject struct {
			Subject
			Feature string      `json:"feature"`
			Role    result.Role `json:"role"`
		} `json:"subject"`
		History []bool `json:"history"`
		Quiet   int    `json:"quiet"`
	}
	if err := json.Unmarshal(data, &old); err != nil {
		return err
	}
	*in = Incident(old.plain)
	in.Subject = old.Subject.Subject
	if len(old.History) > 0 && len(in.Members) == 0 {
		in.Members = []Member{{ //nolint:exhaustruct // nothing more was stored
			Feature: old.Subject.Feature, Role: old.Subject.Role, Firing: in.State == result.Firing, Since: in.Since, Last: in.Since + in.Subject.Size,
			History: old.History, Quiet: old.Quiet, Worst: in.Worst,
		}}
	}
	return nil
}

// absorb adds the members of an incident of the same subject: what older versions stored as incidents of their own.
func (in *Incident) absorb(o *Incident) {
	in.Members = append(in.Members, o.Members...)
	if o.State == result.Firing {
		in.State = result.Firing
	}
	if o.Since < in.Since {
		in.Since, in.ID = o.Since, o.ID
	}
	in.Worst = max(in.Worst, o.Worst)
}
