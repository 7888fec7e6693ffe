// Package notify tells the world what the incidents say. Each notifier reads the committed transitions on its own, keeps what it has
// told in a bucket of the broker, and retries by itself: one that is down delays neither another nor the counting. What changed
// while it was down is told once, as it is now: an incident that came and went is told as over, not replayed as news.
package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/driftd/driftd/result"
)

// Notice is what an incident says now. Notices with the same incident replace each other.
type Notice struct {
	Transition result.Transition
	Fired      time.Time // when driftd first said that it fires; zero: it never did
	Ended      time.Time // when driftd said that it is over; zero: it still fires
	New        bool      // the notifier was never told of this incident
	Changed    bool      // there is something to tell; false: a repetition, for notifiers that want one
	Memory     json.RawMessage
}

// Firing reports whether the incident goes on.
func (n *Notice) Firing() bool { return n.Ended.IsZero() }

// Outcome is what became of one notice.
type Outcome struct {
	Err     error           // nil: told
	Refused bool            // Err is the receiver's last word on this notice: another try would get the same answer
	Pause   time.Duration   // beside Err: the receiver asks to be left alone so long
	Later   bool            // nothing was tried, for want of time: no failure, it comes with the next delivery
	Memory  json.RawMessage // what the notifier wants back with the next notice of this incident, such as the id of a message
}

// Notifier is one way to tell. Its methods are called from one goroutine at a time.
type Notifier interface {
	// Deliver returns an outcome for each notice, in their order, and must not outlive ctx. An error of no notice in particular
	// (the receiver is away) is the error of them all. No error shows a secret.
	Deliver(ctx context.Context, notices []Notice) []Outcome
	// Preview returns what Deliver would send of one notice, without sending it.
	Preview(n Notice) ([]byte, error)
}

// Follower is a notifier for programs: it is given every transition by itself and in order, as it was committed, also those that are
// silenced, inhibited or pending. After an outage it is given all of them.
type Follower interface{ Follow() }

// Repeater is a notifier that wants to be told again, as Alertmanager does: while an incident fires, and for a while after.
type Repeater interface {
	Repeat() (every, afterEnd time.Duration)
}

// all returns the same outcome for every notice.
func all(notices []Notice, o Outcome) []Outcome {
	out := make([]Outcome, len(notices))
	for i := range out {
		out[i] = o
		out[i].Memory = notices[i].Memory
	}
	return out
}

// Link returns the address of the page that shows the incident's model or feature.
func Link(base string, t *result.Transition) string {
	if base == "" {
		return ""
	}
	link := strings.TrimSuffix(base, "/")
	if t.Key.Model == "" {
		return link + "/alerts"
	}
	link += "/models/" + t.Key.Model
	if t.Feature != "" && t.FeaturesTotal == 1 {
		link += "/features/" + escape(t.Feature) + "?role=" + string(t.Role)
	}
	return link
}

func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// enough is how many tellings in a row may fail until the others are left for the next delivery: the receiver is away, and one bad
// notice does not hold up the others.
const enough = 3

// eachInTime tells one notice after the other, as inTime does.
func eachInTime(ctx context.Context, notices []Notice, tell func(context.Context, *Notice) Outcome) []Outcome {
	groups := make([][]int, len(notices))
	for i := range groups {
		groups[i] = []int{i}
	}
	return inTime(ctx, notices, groups, func(ctx context.Context, group []*Notice) []Outcome { return []Outcome{tell(ctx, group[0])} })
}

// inTime tells one group of notices, which are indices, after the other. What does not fit into ctx any more is left for the next
// delivery. tell returns an outcome for each notice of a group; either all of a group fail or none.
func inTime(ctx context.Context, notices []Notice, groups [][]int, tell func(context.Context, []*Notice) []Outcome) []Outcome {
	out := make([]Outcome, len(notices))
	for i := range out {
		out[i] = Outcome{Err: nil, Refused: false, Pause: 0, Later: true, Memory: notices[i].Memory}
	}
	failed := 0
	for g, group := range groups {
		if g > 0 && ctx.Err() != nil || failed == enough {
			break
		}
		about := make([]*Notice, 0, len(group))
		for _, i := range group {
			about = append(about, &notices[i])
		}
		said := tell(ctx, about)
		cut := g > 0 && failed == 0 && said[0].Err != nil && ctx.Err() != nil // by the clock, not by the receiver
		for k, i := range group {
			if said[k].Memory != nil {
				out[i].Memory = said[k].Memory
			}
			if !cut {
				out[i].Err, out[i].Refused, out[i].Pause, out[i].Later = said[k].Err, said[k].Refused, said[k].Pause, said[k].Later
			}
		}
		switch o := said[0]; {
		case cut, o.Pause > 0:
			return out // what follows would get the same answer
		case o.Err != nil && !o.Refused:
			failed++
		default:
			failed = 0
		}
	}
	return out
}
