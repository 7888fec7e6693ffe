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
	Memory  json.RawMessage // what the notifier wants back with the next notice of this incident, such as the id of a message
}

// Notifier is one way to tell. Deliver returns an outcome for each notice, in their order, and must not outlive ctx. An error of
// no notice in particular (the receiver is away) is the error of them all.
type Notifier interface {
	Deliver(ctx context.Context, notices []Notice) []Outcome
}

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
