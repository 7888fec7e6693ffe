package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"
	"slices"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

func emptyRow(n int) ([]byte, []float64) {
	psi := make([]float64, n)
	for i := range psi {
		psi[i] = math.NaN()
	}
	return bytes.Repeat([]byte{history.NoVerdict}, n), psi
}

// featureColumns are read by scanFeature, from `result r` joined with `feature_row f`.
func featureColumns() string {
	return `r.result_id, r.start_ms, r.end_ms, r.size_ms, r.revision, f.verdict, f.q_value, f.n_min, f.n, f.missing, f.invalid, f.inf,
	f.mean, f.std, f.min, f.max, f.median, ` + statColumnNames("f.")
}

func scanFeature(row scanner, columns []statColumn, before ...any) (history.FeatureState, error) {
	var st history.FeatureState
	c := &st.Current
	values := make([]*float64, len(columns))
	into := slices.Concat(before, []any{
		&st.ResultID, &st.Window.Start, &st.Window.End, &st.Window.Size, &st.Revision, &st.Verdict, &st.QValue, &st.NMin,
		&c.Count, &c.Missing, &c.Invalid, &c.Inf, &c.Mean, &c.Std, &c.Min, &c.Max, &c.Median,
	})
	for i := range values {
		into = append(into, &values[i])
	}
	if err := row.Scan(into...); err != nil {
		return st, err
	}
	st.Statistics = make(map[string]result.Stat, len(columns))
	for i, col := range columns {
		stat := st.Statistics[col.Name]
		*col.Field(&stat) = values[i]
		st.Statistics[col.Name] = stat
	}
	return st, nil
}

// Features returns what the newest window of a series that has features said of each of them, by role and name.
func (s *Store) Features(ctx context.Context, q history.Series) ([]history.FeatureState, error) {
	out := []history.FeatureState{}
	err := s.view(ctx, func(r *reader) error {
		l, err := r.line(ctx, q)
		if err != nil {
			return err
		}
		var res, start int64
		err = r.tx.QueryRowContext(ctx, `SELECT id, start_ms FROM result WHERE current = 1 AND series_id = ? AND size_ms = ?
			AND stored_parts > 0 ORDER BY start_ms DESC, id DESC LIMIT 1`, l.series, l.Size).Scan(&res, &start)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		columns := statColumns()
		return r.each(ctx, `SELECT n.role, n.name, n.kind, `+featureColumns()+` FROM feature n
			JOIN feature_row f ON f.feature_id = n.id AND f.series_id = ? AND f.size_ms = ? AND f.start_ms = ? AND f.result = ?
			JOIN result r ON r.id = f.result WHERE n.model_id = ? ORDER BY n.role, n.name`, func(row scanner) error {
			var role, name, kind string
			st, err := scanFeature(row, columns, &role, &name, &kind)
			st.Role, st.Feature, st.Kind = result.Role(role), name, kind
			out = append(out, st)
			return err
		}, l.series, l.Size, start, res, l.model)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// FeatureSeries returns one feature over the windows of a series, newest first, and the whole document of the first window
// of the page. The default limit is 100, the largest 1,000.
func (s *Store) FeatureSeries(ctx context.Context, q history.FeatureQuery) (*history.FeatureSeries, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	if q.Role == "" {
		q.Role = result.RoleFeature
	}
	if q.Role != result.RoleFeature && q.Role != result.RolePrediction {
		return nil, &history.QueryError{Field: "role", Detail: "must be feature or prediction"}
	}
	hash := queryHash("feature", q.Series, q.Range, q.Feature, q.Role)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.FeatureSeries{Feature: q.Feature, Role: q.Role, Points: []history.FeatureState{}}
	err = s.view(ctx, func(r *reader) error {
		l, err := r.line(ctx, q.Series)
		if err != nil {
			return err
		}
		var id int64
		err = r.tx.QueryRowContext(ctx, `SELECT id, kind FROM feature WHERE model_id = ? AND role = ? AND name = ?`,
			l.model, string(q.Role), q.Feature).Scan(&id, &out.Kind)
		if errors.Is(err, sql.ErrNoRows) {
			return &history.NotFoundError{What: string(q.Role), Name: q.Feature}
		}
		if err != nil {
			return err
		}
		return r.featurePage(ctx, out, l, id, q.Range, at, n, hash)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *reader) featurePage(
	ctx context.Context, out *history.FeatureSeries, l line, feature int64, rg history.Range, at position, n int, hash uint64,
) error {
	columns := statColumns()
	from, to := bounds(rg)
	var last position
	var first slice
	// CROSS JOIN fixes the order of SQLite's loops: the feature's own rows are one range of its table; the result says whether
	// the row is of a revision that is shown.
	err := r.each(ctx, `SELECT f.start_ms, f.result, f.part, f.pos, f.len, `+featureColumns()+` FROM feature_row f
		CROSS JOIN result r ON r.id = f.result
		WHERE f.feature_id = ? AND f.series_id = ? AND f.size_ms = ? AND f.start_ms >= ? AND f.start_ms < ? AND f.start_ms <= ?
		AND (f.start_ms, f.result) < (?, ?) AND r.current = 1 ORDER BY f.start_ms DESC, f.result DESC LIMIT ?`, func(row scanner) error {
		var p position
		var sl slice
		st, err := scanFeature(row, columns, &p.start, &p.id, &sl.part, &sl.pos, &sl.size)
		if err != nil {
			return err
		}
		if len(out.Points) == n {
			out.Next = last.cursor(hash)
			return nil
		}
		if len(out.Points) == 0 {
			first = sl
			first.result = p.id
		}
		out.Points, last = append(out.Points, st), p
		return nil
	}, feature, l.series, l.Size, from, to, at.start, at.start, at.id, n+1)
	if err != nil || len(out.Points) == 0 {
		return err
	}
	out.Latest, err = r.slice(ctx, first)
	return err
}

// slice is where the bytes of one feature lie.
type slice struct {
	result    int64
	part      int
	pos, size int
}

func (r *reader) slice(ctx context.Context, at slice) (json.RawMessage, error) {
	var encoding int
	var data, sum []byte
	if err := r.tx.QueryRowContext(ctx, `SELECT encoding, data, sha256 FROM document WHERE result = ? AND part = ?`, at.result, at.part).
		Scan(&encoding, &data, &sum); err != nil {
		return nil, err
	}
	data, err := r.s.decode(encoding, data, sum)
	if err != nil {
		return nil, err
	}
	if at.pos < 0 || at.size < 0 || at.pos > len(data)-at.size {
		return nil, r.s.damaged(errors.New("a feature lies outside of its document"))
	}
	return data[at.pos : at.pos+at.size], nil
}
