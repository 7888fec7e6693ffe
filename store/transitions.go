package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

func parseTransition(p *parsed, data []byte) error {
	var t result.Transition
	if err := json.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("reading transition: %w", err)
	}
	switch {
	case t.Schema != result.SchemaVersion:
		return fmt.Errorf("schema %d, this driftd knows %d", t.Schema, result.SchemaVersion)
	case t.ID == "" || t.Incident == "" || t.Key.Model == "" || t.To == "":
		return errors.New("a transition without id, incident, model or state")
	}
	p.transition, p.head.ResultID = &t, t.ID
	return nil
}

// transition stores a change of an incident, and marks the newest one of the incident.
func (w *writer) transition(ctx context.Context, p *parsed) error {
	t := p.transition
	if stored, err := w.stored(ctx, p, "a transition", `SELECT sha256 FROM transition WHERE transition_id = ?`, t.ID); err != nil || stored {
		return err
	}
	model, err := w.model(ctx, t.Key.Model)
	if err != nil {
		return err
	}
	if err := w.exec(ctx, `INSERT INTO transition (transition_id, model_id, incident, state, end_ms, sha256, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		t.ID, model, t.Incident, string(t.To), t.Window.End, p.sum[:], p.data); err != nil {
		return err
	}
	if end, ok := w.newest[model]; !ok || t.Window.End > end {
		w.newest[model] = t.Window.End
	}
	// Order of arrival says nothing after a redelivery; of one window, an incident has one transition.
	return w.exec(ctx, `UPDATE transition SET current = (id = (SELECT id FROM transition WHERE incident = ?1
		ORDER BY end_ms DESC, id DESC LIMIT 1)) WHERE incident = ?1`, t.Incident)
}

// pruneTransitions removes what is older than the horizon, but never the state of an incident that is still open.
func (w *writer) pruneTransitions(ctx context.Context, model, horizon int64) error {
	return w.exec(ctx, `DELETE FROM transition WHERE model_id = ? AND end_ms < ? AND NOT (current = 1 AND state IN (?, ?))`,
		model, horizon, string(result.Pending), string(result.Firing))
}

// Alerts returns incidents, each by its newest transition as it was committed, the one that changed last first; or all
// transitions of one incident. The default limit is 100, the largest 1,000.
func (s *Store) Alerts(ctx context.Context, q history.AlertsQuery) (*history.Alerts, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	switch q.State {
	case "", result.Inactive, result.Pending, result.Firing, result.Resolved:
	default:
		return nil, &history.QueryError{
			Field:  "state",
			Detail: fmt.Sprintf("must be %s, %s, %s or %s, got %q", result.Inactive, result.Pending, result.Firing, result.Resolved, q.State),
		}
	}
	hash := queryHash("alerts", q.Model, q.State, q.Incident)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.Alerts{Transitions: []json.RawMessage{}}
	err = s.view(ctx, func(r *reader) error {
		where := []string{"end_ms <= ?", "(end_ms, id) < (?, ?)"}
		args := []any{at.start, at.start, at.id}
		if q.Model != "" {
			id, _, err := r.model(ctx, q.Model)
			if err != nil {
				return err
			}
			where, args = append(where, "model_id = ?"), append(args, id)
		}
		if q.State != "" {
			where, args = append(where, "state = ?"), append(args, string(q.State))
		}
		if q.Incident != "" {
			where, args = append(where, "incident = ?"), append(args, q.Incident)
		} else {
			where = append(where, "current = 1")
		}
		var last position
		return r.each(ctx, `SELECT end_ms, id, data FROM transition WHERE `+strings.Join(where, " AND ")+` ORDER BY end_ms DESC, id DESC LIMIT ?`,
			func(row scanner) error {
				var p position
				var data []byte
				if err := row.Scan(&p.start, &p.id, &data); err != nil {
					return err
				}
				if len(out.Transitions) == n {
					out.Next = last.cursor(hash)
					return nil
				}
				out.Transitions, last = append(out.Transitions, data), p
				return nil
			}, append(args, min(n, math.MaxInt32)+1)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
