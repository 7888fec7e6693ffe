package selfalert

import (
	"maps"
	"slices"
	"strings"
)

// Condition is something that the shell sees now.
type Condition struct {
	Name    Name
	Subject string // what it is about, such as `partition 0` or `store`; an alert fires once for each
	Detail  string // the reason, with its numbers
}

// Alert is an alert that fires, or did. Name and Subject identify it for as long as it does.
type Alert struct {
	Name     Name     `json:"alert"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`
	Detail   string   `json:"detail"`
	Since    int64    `json:"since_ms"`           // when the condition began, Unix milliseconds
	Ended    int64    `json:"ended_ms,omitempty"` // when the alert stopped firing; 0: it fires
	Summary  string   `json:"summary"`
	Remedy   string   `json:"remedy"`
}

type id struct {
	name    Name
	subject string
}

// state of one condition that was seen.
type state struct {
	detail string
	began  int64 // of the condition that lasts, or lasted
	seen   int64 // last
	firing bool
}

// Board knows which alerts fire. It is not safe for concurrent use.
type Board struct {
	rules  map[Name]Rule
	states map[id]*state
}

// NewBoard returns a board on which nothing fires.
func NewBoard() *Board {
	b := &Board{rules: map[Name]Rule{}, states: map[id]*state{}}
	for _, r := range Rules() {
		b.rules[r.Name] = r
	}
	return b
}

// Step takes all conditions that hold now (Unix milliseconds), those that are not named having ended, and returns the alerts that
// began to fire or stopped.
func (b *Board) Step(now int64, holding []Condition) []Alert {
	var changed []Alert
	for _, c := range holding {
		k := id{c.Name, c.Subject}
		s := b.states[k]
		if s == nil {
			s = &state{detail: "", began: now, seen: now, firing: false}
			b.states[k] = s
		}
		s.detail, s.seen = c.Detail, now
		if !s.firing && now-s.began >= b.rules[c.Name].For.Milliseconds() {
			s.firing = true
			changed = append(changed, b.alert(k, s, 0))
		}
	}
	for _, k := range b.sorted() {
		s := b.states[k]
		if s.seen == now || s.firing && now-s.seen < b.rules[k.name].Keep.Milliseconds() {
			continue
		}
		if s.firing {
			changed = append(changed, b.alert(k, s, now))
		}
		delete(b.states, k)
	}
	return changed
}

// Firing returns the alerts that fire, by name and subject.
func (b *Board) Firing() []Alert {
	out := []Alert{}
	for _, k := range b.sorted() {
		if s := b.states[k]; s.firing {
			out = append(out, b.alert(k, s, 0))
		}
	}
	return out
}

func (b *Board) alert(k id, s *state, ended int64) Alert {
	r := b.rules[k.name]
	return Alert{
		Name: k.name, Severity: r.Severity, Subject: k.subject, Detail: s.detail, Since: s.began, Ended: ended, Summary: r.Summary, Remedy: r.Remedy,
	}
}

func (b *Board) sorted() []id {
	return slices.SortedFunc(maps.Keys(b.states), func(a, b id) int {
		if c := strings.Compare(string(a.name), string(b.name)); c != 0 {
			return c
		}
		return strings.Compare(a.subject, b.subject)
	})
}
