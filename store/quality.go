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
	"github.com/driftd/driftd/result"
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

func (s *Store) parseQuality(p *parsed, data []byte) error {
	var q result.Quality
	if err := json.Unmarshal(data, &q); err != nil {
		return fmt.Errorf("reading quality: %w", err)
	}
	p.head = head{Schema: q.Schema, Type: q.Type, ResultID: q.ResultID, Part: 0, Key: q.Key, Window: q.Window, Revision: 0}
	if err := p.head.check(typeQuality); err != nil {
		return err
	}
	if q.Maturity < 0 {
		return fmt.Errorf("a maturity of %d ms", q.Maturity)
	}
	p.quality = &q
	p.encoding, p.data = encodingZstd, s.enc.EncodeAll(data, make([]byte, 0, len(data)/4+64))
	return nil
}

// quality stores a document about the quality of a window.
func (w *writer) quality(ctx context.Context, p *parsed) error {
	q := p.quality
	var have []byte
	err := w.row(ctx, `SELECT sha256 FROM quality WHERE quality_id = ?`, q.ResultID).Scan(&have)
	switch {
	case err == nil && bytes.Equal(have, p.sum[:]):
		return nil
	case err == nil:
		return &DocumentError{ID: p.id, Err: ErrConflict, Detail: "a result never changes; the stored bytes were kept"}
	case !errors.Is(err, sql.ErrNoRows):
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
	return w.exec(ctx, `INSERT INTO quality (quality_id, series_id, size_ms, start_ms, end_ms, maturity_ms, sha256, encoding, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		q.ResultID, series, q.Window.Size, q.Window.Start, q.Window.End, q.Maturity, p.sum[:], p.encoding, p.data)
}

// pruneQuality removes what is older than the horizon.
func (w *writer) pruneQuality(ctx context.Context, model, horizon int64) error {
	return w.exec(ctx, `DELETE FROM quality WHERE series_id IN (SELECT id FROM series WHERE model_id = ?) AND end_ms < ?`, model, horizon)
}

// Quality returns what was said of the quality of a series' windows, newest first, as it was committed. The default limit is 100, the
// largest 1,000.
func (s *Store) Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	asked := "last"
	if q.Maturity != nil {
		asked = strconv.FormatInt(*q.Maturity, 10)
	}
	hash := queryHash("quality", q.Series, q.Range, asked)
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
			ORDER BY o.maturity_ms DESC, o.id DESC LIMIT 1)`
		from, to := bounds(q.Range)
		args := []any{l.series, l.Size, from, to, at.start, at.start, at.id}
		if q.Maturity != nil {
			which = "q.maturity_ms = ?"
			args = append(args, *q.Maturity)
		}
		var last position
		return r.each(ctx, `SELECT q.start_ms, q.id, q.encoding, q.data, q.sha256 FROM quality q WHERE q.series_id = ? AND q.size_ms = ? AND q.start_ms >= ?
			AND q.start_ms < ? AND q.start_ms <= ? AND (q.start_ms, q.id) < (?, ?) AND `+which+` ORDER BY q.start_ms DESC, q.id DESC LIMIT ?`,
			func(row scanner) error {
				var p position
				var encoding int
				var data, sum []byte
				if err := row.Scan(&p.start, &p.id, &encoding, &data, &sum); err != nil {
					return err
				}
				if len(out.Documents) == n {
					out.Next = last.cursor(hash)
					return nil
				}
				data, err := s.decode(encoding, data, sum)
				if err != nil {
					return err
				}
				out.Documents, last = append(out.Documents, data), p
				return nil
			}, append(args, n+1)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
