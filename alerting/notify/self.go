package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/selfalert"
)

// Self is a Source of the alerts about driftd itself. They come from no stream and are kept nowhere: what fires is told again after a
// restart, and a receiver knows it by its labels.
type Self struct {
	Firing func() []selfalert.Alert
	Now    func() time.Time
	Every  time.Duration // between two looks

	told map[string]selfalert.Alert
}

// SelfKind is the kind of an alert about driftd itself.
const SelfKind = "driftd"

// Fetch implements Source: it returns what began or ended since the last call.
func (s *Self) Fetch(ctx context.Context, _ int) ([]Message, error) {
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		if out := s.changes(); len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func (s *Self) changes() []Message {
	now, seen := s.Now(), map[string]selfalert.Alert{}
	var out []Message
	for _, a := range s.Firing() {
		id := fmt.Sprintf("driftd-%s-%x", a.Name, a.Subject)
		if seen[id] = a; s.told[id].Since == a.Since && s.told[id].Name != "" {
			continue
		}
		out = append(out, message(id, &a, result.Firing, now))
	}
	for id, a := range s.told {
		if _, fires := seen[id]; !fires {
			out = append(out, message(id, &a, result.Resolved, now))
		}
	}
	s.told = seen
	return out
}

// message lays an alert about driftd out as a transition, so that every notifier can tell it.
func message(id string, a *selfalert.Alert, to result.IncidentState, now time.Time) Message {
	t := result.Transition{ //nolint:exhaustruct // it is about no model
		Schema: result.SchemaVersion, Type: "transition", ID: fmt.Sprintf("%s.%s.%d", id, to, now.UnixMilli()), Incident: id, Rule: string(a.Name), Kind: SelfKind,
		Severity: string(a.Severity), From: result.Firing, To: to, Since: a.Since, Window: result.Window{Start: a.Since, End: now.UnixMilli(), Size: 0},
		Title: fmt.Sprintf("driftd: %s (%s) %s", a.Summary, a.Subject, to), Reasons: []string{a.Detail, a.Remedy}, Labels: map[string]string{"subject": a.Subject},
	}
	if to == result.Firing {
		t.From = result.Inactive
	}
	data, err := json.Marshal(t)
	if err != nil {
		panic("BUG: an alert that cannot be encoded: " + err.Error())
	}
	return Message{Data: data, Time: now, Ack: func() error { return nil }}
}
