package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/driftd/driftd/history"
)

// addQuality is version 3: what was said of the quality of windows, at each maturity.
func addQuality() []string {
	return []string{
		`CREATE TABLE quality (
			id          INTEGER PRIMARY KEY,
			quality_id  TEXT NOT NULL UNIQUE,
			series_id   INTEGER NOT NULL REFERENCES series(id),
			size_ms     INTEGER NOT NULL,
			start_ms    INTEGER NOT NULL,
			end_ms      INTEGER NOT NULL,
			maturity_ms INTEGER NOT NULL,
			sha256      BLOB NOT NULL,
			encoding    INTEGER NOT NULL,
			data        BLOB NOT NULL
		) STRICT`,
		`CREATE INDEX quality_window ON quality (series_id, size_ms, start_ms, maturity_ms)`,
		`CREATE INDEX quality_end ON quality (series_id, end_ms)`,
	}
}

// addFairness is version 5: documents about fairness are kept with those about quality, whose dimension is empty.
func addFairness() []string {
	return []string{`ALTER TABLE quality ADD COLUMN dimension TEXT NOT NULL DEFAULT ''`}
}

// maturity is what a document about quality or fairness has beside its head.
type maturity struct {
	set       bool
	ms        int64
	dimension string // empty: it is about quality
}

func (s *Store) parseQuality(p *parsed, data []byte, kind string) error {
	var q struct {
		head
		Maturity  int64  `json:"maturity_ms"`
		Dimension string `json:"dimension"`
	}
	if err := json.Unmarshal(data, &q); err != nil {
		return fmt.Errorf("reading %s: %w", kind, err)
	}
	p.head = q.head
	if err := p.head.check(kind); err != nil {
		return err
	}
	if q.Maturity < 0 {
		return fmt.Errorf("a maturity of %d ms", q.Maturity)
	}
	if (q.Dimension != "") != (kind == typeFairness) {
		return fmt.Errorf("a dimension %q of %s", q.Dimension, kind)
	}
	p.maturity = maturity{set: true, ms: q.Maturity, dimension: q.Dimension}
	p.encoding, p.data = encodingZstd, s.enc.EncodeAll(data, make([]byte, 0, len(data)/4+64))
	return nil
}

// stored reports whether a document is there, by the query of its hash; the error is of one that is there with other bytes.
func (w *writer) stored(ctx context.Context, p *parsed, what, query, id string) (bool, error) {
	var have []byte
	err := w.row(ctx, query, id).Scan(&have)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(have, p.sum[:]):
		return false, &DocumentError{ID: p.id, Err: ErrConflict, Detail: what + " never changes; the stored bytes were kept"}
	}
	return true, nil
}

// quality stores a document about the quality or the fairness of a window.
func (w *writer) quality(ctx context.Context, p *parsed) error {
	q := &p.head
	if stored, err := w.stored(ctx, p, "a result", `SELECT sha256 FROM quality WHERE quality_id = ?`, q.ResultID); err != nil || stored {
		return err
	}
	model, err := w.model(ctx, q.Key.Model)
	if err != nil {
		return err
	}
	series, err := w.series(ctx, seriesName{model, q.Key.Version, q.Key.Segment})
	if err != nil {
		return err
	}
	if end, ok := w.newest[model]; !ok || q.Window.End > end {
		w.newest[model] = q.Window.End
	}
	return w.exec(ctx, `INSERT INTO quality (quality_id, series_id, size_ms, start_ms, end_ms, maturity_ms, dimension, sha256, encoding, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		q.ResultID, series, q.Window.Size, q.Window.Start, q.Window.End, p.maturity.ms, p.maturity.dimension, p.sum[:], p.encoding, p.data)
}

// pruneQuality removes what is older than the horizon.
func (w *writer) pruneQuality(ctx context.Context, model, horizon int64) error {
	return w.exec(ctx, `DELETE FROM quality WHERE series_id IN (SELECT id FROM series WHERE model_id = ?) AND end_ms < ?`, model, horizon)
}

// Quality returns what was said of the quality of a series' windows, newest first, as it was committed. The default limit is 100, the
// largest 1,000.
func (s *Store) Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error) {
	return s.told(ctx, "quality", &q, "= ''")
}

// Fairness returns what the windows of a series did to groups, newest first, as it was committed; limits as for Quality.
func (s *Store) Fairness(ctx context.Context, q history.FairnessQuery) (*history.Quality, error) {
	if q.Dimension == "" {
		return s.told(ctx, "fairness", &q.QualityQuery, "<> ''")
	}
	return s.told(ctx, "fairness "+q.Dimension, &q.QualityQuery, "= ?", q.Dimension)
}

// told returns a page of documents whose dimension is as a condition has it, newest window first. what names the question in its cursor.
func (s *Store) told(ctx context.Context, what string, q *history.QualityQuery, dimension string, of ...any) (*history.Quality, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	asked := "last"
	if q.Maturity != nil {
		asked = strconv.FormatInt(*q.Maturity, 10)
	}
	hash := queryHash(what, q.Series, q.Range, asked)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.Quality{Documents: []json.RawMessage{}, Next: ""}
	err = s.view(ctx, func(r *reader) error {
		l, err := r.line(ctx, q.Series)
		if err != nil {
			return err
		}
		which := `q.id = (SELECT id FROM quality o WHERE o.series_id = q.series_id AND o.size_ms = q.size_ms AND o.start_ms = q.start_ms AND o.end_ms = q.end_ms
			AND o.dimension = q.dimension ORDER BY o.maturity_ms DESC, o.id DESC LIMIT 1)`
		from, to := bounds(q.Range)
		args := append([]any{l.series, l.Size, from, to, at.start, at.start, at.id}, of...)
		if q.Maturity != nil {
			which = "q.maturity_ms = ?"
			args = append(args, *q.Maturity)
		}
		out.Documents, out.Next, err = s.page(ctx, r, n, hash, `SELECT q.start_ms, q.id, q.encoding, q.data, q.sha256 FROM quality q WHERE q.series_id = ? AND q.size_ms = ? AND q.start_ms >= ?
			AND q.start_ms < ? AND q.start_ms <= ? AND (q.start_ms, q.id) < (?, ?) AND q.dimension `+dimension+` AND `+which+` ORDER BY q.start_ms DESC, q.id DESC LIMIT ?`,
			append(args, n+1)...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// page returns the first n documents of a query for their place, encoding, bytes and hash, and the cursor behind them where there are more.
func (s *Store) page(ctx context.Context, r *reader, n int, hash uint64, query string, args ...any) (documents []json.RawMessage, next string, err error) {
	documents = []json.RawMessage{}
	var last position
	err = r.each(ctx, query, func(row scanner) error {
		var p position
		var encoding int
		var data, sum []byte
		if err := row.Scan(&p.start, &p.id, &encoding, &data, &sum); err != nil {
			return err
		}
		if len(documents) == n {
			next = last.cursor(hash)
			return nil
		}
		data, err := s.decode(encoding, data, sum)
		if err != nil {
			return err
		}
		documents, last = append(documents, data), p
		return nil
	}, args...)
	return documents, next, err
}
