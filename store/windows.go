package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"

	"github.com/driftd/driftd/history"
)

// currentPage selects a page of the windows that reads show, newest first. Its parameters: series, size, from, to, the start
// and id of the position, limit. The first comparison on the start lets the index stop early; the second orders ties.
const currentPage = `FROM result r WHERE r.current = 1 AND r.series_id = ? AND r.size_ms = ? AND r.start_ms >= ? AND r.start_ms < ?
	AND r.start_ms <= ? AND (r.start_ms, r.id) < (?, ?) ORDER BY r.start_ms DESC, r.id DESC LIMIT ?`

// pageArgs returns the parameters of currentPage.
func pageArgs(l line, rg history.Range, p position, n int) []any {
	from, to := bounds(rg)
	return []any{l.series, l.Size, from, to, p.start, p.start, p.id, n}
}

// Windows returns the summaries of a series, newest first, as they were committed. The default limit is 100, the largest 1,000.
func (s *Store) Windows(ctx context.Context, q history.WindowsQuery) (*history.Windows, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("windows", q.Series, q.Range)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.Windows{Summaries: []json.RawMessage{}}
	err = s.view(ctx, func(r *reader) error {
		l, err := r.line(ctx, q.Series)
		if err != nil {
			return err
		}
		var last position
		return r.each(ctx, `SELECT r.start_ms, r.id, (SELECT data FROM document WHERE result = r.id AND part = -1) `+currentPage,
			func(row scanner) error {
				var p position
				var data []byte
				if err := row.Scan(&p.start, &p.id, &data); err != nil {
					return err
				}
				if len(out.Summaries) == n {
					out.Next = last.cursor(hash)
					return nil
				}
				out.Summaries, last = append(out.Summaries, data), p
				return nil
			}, pageArgs(l, q.Range, at, n+1)...)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Window returns one result whole, whatever its revision: the committed bytes of its summary and features.
func (s *Store) Window(ctx context.Context, model, resultID string) (*history.Window, error) {
	out := &history.Window{Features: []json.RawMessage{}, Revisions: []history.Revision{}}
	err := s.view(ctx, func(r *reader) error {
		var id, series, size, start int64
		var fingerprint string
		err := r.tx.QueryRowContext(ctx, `SELECT r.id, r.series_id, r.size_ms, r.start_ms, r.parts, r.stored_parts, r.fingerprint
			FROM result r JOIN series s ON s.id = r.series_id JOIN model m ON m.id = s.model_id
			WHERE r.result_id = ? AND m.name = ? AND r.parts IS NOT NULL`, resultID, model).
			Scan(&id, &series, &size, &start, &out.Parts, &out.Stored, &fingerprint)
		if errors.Is(err, sql.ErrNoRows) {
			return &history.NotFoundError{What: "result", Name: resultID}
		}
		if err != nil {
			return err
		}
		if err := r.each(ctx, `SELECT part, encoding, data, sha256 FROM document WHERE result = ? ORDER BY part`, func(row scanner) error {
			var part, encoding int
			var data, sum []byte
			if err := row.Scan(&part, &encoding, &data, &sum); err != nil {
				return err
			}
			data, err := s.decode(encoding, data, sum)
			if err != nil {
				return err
			}
			if part == summaryPart {
				out.Summary = data
				return nil
			}
			var doc struct {
				Features []json.RawMessage `json:"features"`
			}
			if err := json.Unmarshal(data, &doc); err != nil {
				return s.damaged(err)
			}
			out.Features = append(out.Features, doc.Features...)
			return nil
		}, id); err != nil {
			return err
		}
		return r.each(ctx, `SELECT result_id, revision, current FROM result WHERE series_id = ? AND size_ms = ? AND start_ms = ?
			AND fingerprint = ? ORDER BY revision, id`, func(row scanner) error {
			var v history.Revision
			err := row.Scan(&v.ResultID, &v.Revision, &v.Current)
			out.Revisions = append(out.Revisions, v)
			return err
		}, series, size, start, fingerprint)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Heat returns the matrix of features over the newest windows of the range, oldest first. The default limit is 1,000
// windows, the largest 5,000, and at most 4,000,000 cells: with very many features the page is shorter. Its Next leads to
// the windows before.
func (s *Store) Heat(ctx context.Context, q history.WindowsQuery) (*history.Heat, error) {
	n, err := limit(q.Limit, defaultHeatLimit, maxHeatLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("heat", q.Series, q.Range)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.Heat{Windows: []history.HeatWindow{}, Features: []history.HeatFeature{}}
	err = s.view(ctx, func(r *reader) error {
		l, err := r.line(ctx, q.Series)
		if err != nil {
			return err
		}
		rows := map[uint64]int{} // feature id → index in out.Features
		if err := r.each(ctx, `SELECT id, role, name, kind FROM feature WHERE model_id = ? ORDER BY role, name`, func(row scanner) error {
			var id uint64
			var f history.HeatFeature
			if err := row.Scan(&id, &f.Role, &f.Feature, &f.Kind); err != nil {
				return err
			}
			rows[id] = len(out.Features)
			out.Features = append(out.Features, f)
			return nil
		}, l.model); err != nil {
			return err
		}
		n = max(1, min(n, maxHeatCells/max(1, len(out.Features))))
		var strips [][]byte
		var last position
		if err := r.each(ctx, `SELECT r.start_ms, r.id, r.result_id, r.end_ms, r.size_ms, r.revision, r.verdict, r.events,
			(SELECT strip FROM heat WHERE result = r.id) `+currentPage, func(row scanner) error {
			var p position
			var w history.HeatWindow
			var strip []byte
			if err := row.Scan(&p.start, &p.id, &w.ResultID, &w.Window.End, &w.Window.Size, &w.Revision, &w.Verdict, &w.Events, &strip); err != nil {
				return err
			}
			if len(out.Windows) == n {
				out.Next = last.cursor(hash)
				return nil
			}
			w.Window.Start, last = p.start, p
			out.Windows, strips = append(out.Windows, w), append(strips, strip)
			return nil
		}, pageArgs(l, q.Range, at, n+1)...); err != nil {
			return err
		}
		return s.fillHeat(out, strips, rows)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// fillHeat turns the newest-first strips into rows a feature, oldest first, and drops features that no window holds.
func (s *Store) fillHeat(h *history.Heat, strips [][]byte, rows map[uint64]int) error {
	n := len(h.Windows)
	slices.Reverse(h.Windows)
	used := make([]bool, len(h.Features))
	for i, strip := range strips {
		column := n - 1 - i
		for len(strip) > 0 {
			id, letter, psi, rest, ok := nextCell(strip)
			at, known := rows[id]
			if !ok || !known {
				return s.damaged(errors.New("a heat strip cannot be read"))
			}
			strip = rest
			f := &h.Features[at]
			if !used[at] {
				used[at] = true
				f.Verdicts, f.PSI = emptyRow(n)
			}
			f.Verdicts[column], f.PSI[column] = letter, psi
		}
	}
	kept := h.Features[:0]
	for i := range h.Features {
		if used[i] {
			kept = append(kept, h.Features[i])
		}
	}
	h.Features = kept
	return nil
}
