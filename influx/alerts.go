package influx

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// Alerts returns incidents, each by its newest transition as it was committed, the one that changed last first; or all
// transitions of one incident. The default limit is 100, the largest 1,000. It reads all transitions that the bucket keeps
// of what is asked for: they are few.
func (db *DB) Alerts(ctx context.Context, q history.AlertsQuery) (*history.Alerts, error) {
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
	var tags []tag
	if q.Model != "" {
		if newest, err := db.newestEnd(ctx, q.Model); err != nil {
			return nil, err
		} else if newest < -maxTime {
			return nil, &history.NotFoundError{What: "model", Name: q.Model}
		}
		tags = append(tags, tag{TagModel, q.Model})
	}
	s := everywhere(MeasurementAlert, tags, FieldID, FieldIncident)
	if q.Incident != "" {
		s.field, s.op, s.value = FieldIncident, "=", q.Incident
	}
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.time, a.time), strings.Compare(b.text(FieldID), a.text(FieldID)))
	})
	var picked []row
	next := ""
	seen := map[string]bool{}
	for i := range rows {
		r := &rows[i]
		if q.Incident == "" {
			if seen[r.text(FieldIncident)] {
				continue
			}
			seen[r.text(FieldIncident)] = true
		}
		if q.State != "" && r.tags[TagState] != string(q.State) {
			continue
		}
		if r.time > at.start || (r.time == at.start && r.text(FieldID) >= at.reference) {
			continue
		}
		if len(picked) == n {
			last := &picked[n-1]
			next = position{last.time, last.text(FieldID)}.cursor(hash)
			break
		}
		picked = append(picked, *r)
	}
	out := &history.Alerts{Transitions: []json.RawMessage{}, Next: next}
	return out, db.transitions(ctx, tags, picked, out)
}

// transitions adds the committed bytes of the points, in their order.
func (db *DB) transitions(ctx context.Context, tags []tag, of []row, out *history.Alerts) error {
	if len(of) == 0 {
		return nil
	}
	s := everywhere(MeasurementAlert, tags, append([]string{FieldID}, documentColumns()...)...)
	s.from, s.to = of[len(of)-1].time, of[0].time+1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return err
	}
	byID := make(map[string]*row, len(rows))
	for i := range rows {
		byID[rows[i].text(FieldID)] = &rows[i]
	}
	for i := range of {
		r := byID[of[i].text(FieldID)]
		if r == nil {
			continue // removed meanwhile
		}
		data, err := assemble(r)
		if err != nil {
			return fmt.Errorf("transition %s: %w", of[i].text(FieldID), err)
		}
		out.Transitions = append(out.Transitions, data)
	}
	return nil
}
