package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"math"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

const maxTime = math.MaxInt64

// reader is one consistent snapshot: a read transaction sees no write that happens meanwhile.
type reader struct {
	s  *Store
	tx *sql.Tx
}

// view runs f on a snapshot, and says of an error of the file what was being done.
func (s *Store) view(ctx context.Context, f func(*reader) error) error {
	tx, err := s.read.BeginTx(ctx, nil)
	if err != nil {
		return s.fail("reading", err)
	}
	err = f(&reader{s, tx})
	_ = tx.Rollback() // it only read
	if err == nil {
		return nil
	}
	var q *history.QueryError
	var n *history.NotFoundError
	var fe *FileError
	if errors.As(err, &q) || errors.As(err, &n) || errors.As(err, &fe) {
		return err
	}
	return s.fail("reading", err)
}

// each runs a query and calls f for every row.
func (r *reader) each(ctx context.Context, query string, f func(scanner) error, args ...any) error {
	rows, err := r.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// model finds a model, or says that it is not stored.
func (r *reader) model(ctx context.Context, name string) (id, newest int64, err error) {
	err = r.tx.QueryRowContext(ctx, `SELECT id, newest_end FROM model WHERE name = ?`, name).Scan(&id, &newest)
	if errors.Is(err, sql.ErrNoRows) {
		err = &history.NotFoundError{What: "model", Name: name}
	}
	return id, newest, err
}

// line is a series with its window size, resolved to ids.
type line struct {
	history.Series
	model, series int64
}

// line finds a series. Without a size it takes the smallest; without a window of that size the line is simply empty.
func (r *reader) line(ctx context.Context, q history.Series) (line, error) {
	l := line{Series: q.WithDefaults()}
	if l.Size < 0 {
		return l, &history.QueryError{Field: "size", Detail: "must be positive"}
	}
	var err error
	if l.model, _, err = r.model(ctx, q.Model); err != nil {
		return l, err
	}
	err = r.tx.QueryRowContext(ctx, `SELECT id FROM series WHERE model_id = ? AND version = ? AND segment = ?`,
		l.model, l.Version, l.Segment).Scan(&l.series)
	if errors.Is(err, sql.ErrNoRows) {
		return l, &history.NotFoundError{What: "series", Name: q.Model + " version " + l.Version + " segment " + l.Segment}
	}
	if err != nil || l.Size != 0 {
		return l, err
	}
	err = r.tx.QueryRowContext(ctx, `SELECT coalesce(min(size_ms), 0) FROM latest WHERE series_id = ?`, l.series).Scan(&l.Size)
	return l, err
}

// bounds returns the range's limits for SQL: the last start that is in it, and the first.
func bounds(r history.Range) (from, to int64) {
	from, to = r.From, r.To
	if from == 0 {
		from = math.MinInt64
	}
	if to == 0 {
		to = maxTime
	}
	return from, to
}

// stateColumns are read by scanState, from `result r` joined with `series s`.
const stateColumns = `s.version, s.segment, r.result_id, r.start_ms, r.end_ms, r.size_ms, r.revision, r.complete, r.verdict,
	r.drift_share, r.events, r.features, r.reasons`

func scanState(row scanner, before ...any) (history.State, error) {
	var st history.State
	var reasons, verdict string
	err := row.Scan(append(before, &st.Version, &st.Segment, &st.ResultID, &st.Window.Start, &st.Window.End, &st.Window.Size,
		&st.Revision, &st.Complete, &verdict, &st.DriftShare, &st.Events, &st.Features, &reasons)...)
	if err != nil {
		return st, err
	}
	st.Verdict = result.Verdict(verdict)
	if err := json.Unmarshal([]byte(reasons), &st.Reasons); err != nil {
		return st, err
	}
	if st.Reasons == nil {
		st.Reasons = []string{}
	}
	return st, nil
}

// Models lists the models by name, each with the newest window of each size. The cursor of a page is its last name.
func (s *Store) Models(ctx context.Context, p history.Page) (models []history.Model, next string, err error) {
	n, err := limit(p.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, "", err
	}
	models = []history.Model{}
	err = s.view(ctx, func(r *reader) error {
		var ids []int64
		if err := r.each(ctx, `SELECT id, name, newest_end FROM model WHERE name > ? ORDER BY name LIMIT ?`, func(row scanner) error {
			var id int64
			m := history.Model{Latest: []history.State{}}
			if err := row.Scan(&id, &m.Model, &m.Newest); err != nil {
				return err
			}
			ids, models = append(ids, id), append(models, m)
			return nil
		}, p.Cursor, n+1); err != nil {
			return err
		}
		if len(models) > n {
			models, next = models[:n], models[n-1].Model
		}
		for i := range models {
			if err := r.each(ctx, `SELECT `+stateColumns+` FROM series s JOIN latest l ON l.series_id = s.id JOIN result r ON r.id = l.result
				WHERE s.model_id = ? AND s.version = '*' AND s.segment = '*' ORDER BY l.size_ms`, func(row scanner) error {
				st, err := scanState(row)
				models[i].Latest = append(models[i].Latest, st)
				return err
			}, ids[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return models, next, err
}

// Model returns one model: what can be selected in it, and the newest window of each of its series.
func (s *Store) Model(ctx context.Context, name string) (*history.ModelDetail, error) {
	m := &history.ModelDetail{Model: name, Versions: []string{}, Segments: []string{}, Sizes: []int64{}, Latest: []history.State{}}
	err := s.view(ctx, func(r *reader) error {
		id, newest, err := r.model(ctx, name)
		if err != nil {
			return err
		}
		m.Newest = newest
		// The minimum of each line is one seek in result_window; over the whole model it would be a scan.
		if err := r.tx.QueryRowContext(ctx, `SELECT coalesce(min(first), 0) FROM (
			SELECT (SELECT min(r.start_ms) FROM result r WHERE r.series_id = l.series_id AND r.size_ms = l.size_ms) AS first
			FROM series s JOIN latest l ON l.series_id = s.id WHERE s.model_id = ?)`, id).Scan(&m.Oldest); err != nil {
			return err
		}
		for _, list := range []struct {
			query string
			add   func(scanner) error
		}{
			{`SELECT DISTINCT version FROM series WHERE model_id = ? ORDER BY 1`, appendTo(&m.Versions)},
			{`SELECT DISTINCT segment FROM series WHERE model_id = ? ORDER BY 1`, appendTo(&m.Segments)},
			{`SELECT DISTINCT l.size_ms FROM series s JOIN latest l ON l.series_id = s.id WHERE s.model_id = ? ORDER BY 1`, appendTo(&m.Sizes)},
			{`SELECT ` + stateColumns + ` FROM series s JOIN latest l ON l.series_id = s.id JOIN result r ON r.id = l.result
				WHERE s.model_id = ? ORDER BY s.version, s.segment, l.size_ms`, func(row scanner) error {
				st, err := scanState(row)
				m.Latest = append(m.Latest, st)
				return err
			}},
		} {
			if err := r.each(ctx, list.query, list.add, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func appendTo[T any](to *[]T) func(scanner) error {
	return func(row scanner) error {
		var v T
		err := row.Scan(&v)
		*to = append(*to, v)
		return err
	}
}
