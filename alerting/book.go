package alerting

import (
	"fmt"
	"maps"
	"slices"

	"github.com/driftd/driftd/result"
)

// Book holds the incidents of one model. The zero value is an empty one. It is not safe for concurrent use.
type Book struct {
	open     map[Subject]*Incident
	compiled map[string]*Condition // the conditions that were met, by their expression; not a part of the state
}

// maxCompiled bounds the conditions that a book keeps compiled: more than a model's rules have, so that only those of earlier
// configurations are forgotten.
const maxCompiled = 1000

// condition returns a compiled expression, nil where it is none, which Validate refuses.
func (b *Book) condition(source string) *Condition {
	c, known := b.compiled[source]
	if !known {
		if len(b.compiled) >= maxCompiled || b.compiled == nil {
			b.compiled = map[string]*Condition{}
		}
		c, _ = Compile(source)
		b.compiled[source] = c
	}
	return c
}

// Restore returns the book of stored incidents.
func Restore(stored []Incident) *Book {
	b := &Book{open: map[Subject]*Incident{}, compiled: nil}
	for i := range stored {
		if in := b.open[stored[i].Subject]; in != nil {
			in.absorb(&stored[i])
			continue
		}
		b.open[stored[i].Subject] = &stored[i]
	}
	return b
}

// Incidents returns what the book remembers, in canonical order.
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
	if sum.Revision != 0 || sum.Window.End%sum.Window.Size != 0 || sum.Key.Segment != result.All {
		return nil
	}
	var out []result.Transition
	for i := range rules {
		r := &rules[i]
		if len(r.Segments) > 0 || r.OfQuality() || (r.Scope == ScopeAll) != (sum.Key.Version == result.All) || r.SLO != nil && r.SLO.Window != sum.Window.Size {
			continue
		}
		if r.Kind == KindNoData {
			out = append(out, b.heard(r, sum)...)
			continue
		}
		if r.Kind == KindChangePoint {
			out = append(out, b.watch(r, sum, r.read(sum, features))...)
			continue
		}
		out = append(out, b.step(r, sum, features)...)
	}
	return b.inhibit(sum, rules, out)
}

// incident returns the memory of a subject, or makes one.
func (b *Book) incident(s Subject) *Incident {
	if in := b.open[s]; in != nil {
		return in
	}
	in := &Incident{Subject: s, State: result.Inactive} //nolint:exhaustruct // it remembers nothing yet
	if b.open == nil {
		b.open = map[Subject]*Incident{}
	}
	b.open[s] = in
	return in
}

// step moves one subject by one window.
func (b *Book) step(r *Rule, sum *result.Summary, features []result.Feature) []result.Transition {
	subject := Subject{Rule: r.Name, Key: sum.Key, Size: sum.Window.Size}
	var past []Point
	if in := b.open[subject]; in != nil {
		past = in.Past
	}
	observed := b.observe(r, past, sum, features, 1)
	hit := slices.ContainsFunc(observed, func(o observation) bool { return o.hit })
	point, remembers := r.point(sum)
	if b.open[subject] == nil && !hit && !remembers {
		return nil
	}
	in := b.incident(subject)
	in.Absent = 0
	if remembers {
		in.remember(r, point, hit)
	}
	t := in.move(r, sum, func() {
		keep := in.keep(r)
		for _, o := range observed {
			in.look(r, sum.Window, keep, o)
		}
	})
	b.forget(in, sum.Window.End)
	return t
}

// forget removes an incident that remembers nothing.
func (b *Book) forget(in *Incident, end int64) {
	if !in.remembers(end) {
		delete(b.open, in.Subject)
	}
}

// remember adds a window to what the rule compares with.
func (in *Incident) remember(r *Rule, p Point, hit bool) {
	if r.SLO != nil {
		in.Past = append(slices.DeleteFunc(in.Past, func(o Point) bool { return o.End <= p.End-r.SLO.longest() }), p)
		return
	}
	if m := in.member("", "", ""); hit && (m == nil || p.End-m.Since < baselineWindows*in.Subject.Size) {
		return // a drop is not what is usual, unless it stays
	}
	in.Past = append(in.Past, p)
	in.Past = slices.Delete(in.Past, 0, max(0, len(in.Past)-baselineWindows))
}

// move applies a change to the members and returns the transition that it makes, if any: another state, or while it fires
// another set of features that fire.
func (in *Incident) move(r *Rule, sum *result.Summary, change func()) []result.Transition {
	from, before := in.State, slices.Clone(in.Members)
	change()
	if (from == result.Inactive || from == result.Resolved) && len(in.Members) > 0 {
		in.ID, in.Since, in.Worst = incidentID(in.Subject, sum.Window), in.Members[0].Since, 0
		from = result.Inactive
		in.State = from
	}
	to, gone := in.settle()
	for i := range in.Members {
		if r.low() { // it has one member
			in.Worst = in.Members[i].Worst
			continue
		}
		in.Worst = max(in.Worst, in.Members[i].Worst)
	}
	same := slices.Equal(firing(before), firing(in.Members))
	in.State = to
	if from == to && (to != result.Firing || same) {
		return nil
	}
	if from != to && (to == result.Firing || to == result.Resolved) {
		in.changed(to, sum.Window.End)
	}
	t := in.transition(r, from, sum, gone)
	if to == result.Resolved || to == result.Inactive {
		in.State, in.Members, in.Inhibited = result.Inactive, nil, ""
	}
	return []result.Transition{t}
}

// inhibit looks which incidents are not worth a message while another one of the model fires. It says so in the transitions of
// this window, and makes one of its own where an incident did not change otherwise.
func (b *Book) inhibit(sum *result.Summary, rules []Rule, out []result.Transition) []result.Transition {
	for _, subject := range slices.SortedFunc(maps.Keys(b.open), Subject.compare) {
		in := b.open[subject]
		r := ruleOf(rules, subject.Rule)
		if in.State != result.Firing || r == nil {
			continue
		}
		by := b.inhibitor(in, rules)
		if by == in.Inhibited {
			continue
		}
		in.Inhibited = by
		if i := slices.IndexFunc(out, func(t result.Transition) bool { return t.Incident == in.ID }); i >= 0 {
			out[i].InhibitedBy = by
			continue
		}
		t := in.transition(r, result.Firing, sum, nil)
		t.ID += fmt.Sprintf(".inhibition.%d.%s", sum.Window.Size, by) // windows of several sizes end at one time
		if sum.Type == typeQuality {
			t.ID += "." + sum.ResultID // which comes again and again for the same window
		}
		if (sum.Type == typeQuality) != r.OfQuality() {
			t.ResultID = "" // it says nothing of this incident
		}
		out = append(out, t)
	}
	return out
}

// inhibitor names the rule whose incident makes another one not worth a message, or none. Two rules that name each other do not
// silence both: the one that comes first in the order of the rules stays.
func (b *Book) inhibitor(in *Incident, rules []Rule) string {
	own := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == in.Subject.Rule })
	for i := range rules {
		r := &rules[i]
		if i == own || !r.inhibits(in.Subject.Rule) || own >= 0 && own < i && rules[own].inhibits(r.Name) {
			continue
		}
		for s, o := range b.open {
			if s.Rule == r.Name && s.Key.Model == in.Subject.Key.Model && o.State == result.Firing {
				return r.Name
			}
		}
	}
	return ""
}

func (r *Rule) inhibits(name string) bool {
	return slices.Contains(r.Inhibits, name) || slices.Contains(r.Inhibits, "*")
}

func ruleOf(rules []Rule, name string) *Rule {
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name }); i >= 0 {
		return &rules[i]
	}
	return nil
}

// patience is in how many windows a version may have no events before its incidents end.
func (r *Rule) patience() int {
	if r.Kind == KindChangePoint {
		return maxHistory // what a detector learned of a level is not given up for a pause
	}
	return r.Of
}

// Absent looks at the versions that a window of the model did not have. A version that is gone can neither confirm nor clear an
// incident: after as many windows in a row as its rule remembers, in which the model had events and the version none, its
// incidents end, and say why. Incidents of rules that the configuration no longer has end at once. all is the final result of
// all versions together.
func (b *Book) Absent(all *result.Summary, present []string, rules []Rule) []result.Transition {
	if all.Revision != 0 || all.Window.End%all.Window.Size != 0 || all.Counts.Events == 0 {
		return nil
	}
	return b.absent(all, present, rules, func(r *Rule) bool { return !r.OfQuality() })
}

// absent ends what nothing can confirm or clear, of the rules that are meant.
func (b *Book) absent(all *result.Summary, present []string, rules []Rule, meant func(*Rule) bool) []result.Transition {
	var out []result.Transition
	for _, subject := range slices.SortedFunc(maps.Keys(b.open), Subject.compare) {
		in, r := b.open[subject], ruleOf(rules, subject.Rule)
		switch {
		case subject.Size != all.Window.Size:
			continue
		case r == nil:
			gone := Rule{Name: subject.Rule} //nolint:exhaustruct // the configuration has it no more
			out = append(out, in.end(&gone, all, "the configuration has this rule, or the labels that it looks at, no more")...)
		case !meant(r) || subject.Key.Version == result.All || slices.Contains(present, subject.Key.Version):
			continue
		default:
			if in.Absent++; in.Absent < r.patience() {
				continue
			}
			out = append(out, in.end(r, all, fmt.Sprintf(
				"version %s has had no events in %d windows of the model: nothing can confirm or clear this any more", subject.Key.Version, in.Absent))...)
		}
		delete(b.open, subject)
	}
	return out
}

// end ends an incident that nothing will confirm or clear.
func (in *Incident) end(r *Rule, sum *result.Summary, why string) []result.Transition {
	of := *sum
	of.Key, of.ResultID = in.Subject.Key, ""
	return in.move(r, &of, func() {
		for i := range in.Members {
			in.Members[i].Firing, in.Members[i].History, in.Members[i].Reasons = false, nil, []string{why}
		}
	})
}
