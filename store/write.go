package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// noTime is the newest end of a model without windows.
const noTime = math.MinInt64

// Write stores committed documents in one transaction: all of them, or none. When it returns nil they survive a crash of
// the process and of the machine. A document that is already there with the same bytes is skipped, so a redelivery is
// harmless; one with other bytes is a *DocumentError wrapping ErrConflict and is never overwritten. The parts of a result
// may come in any order and in different writes. Any other error is of the file or of ctx and can be tried again.
func (s *Store) Write(ctx context.Context, docs []Document) error {
	if len(docs) == 0 {
		return nil
	}
	all := make([]*parsed, len(docs))
	for i, d := range docs {
		p, err := s.parse(d) // before the transaction: parsing costs more than writing
		if err != nil {
			return err
		}
		all[i] = p
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	models, err := s.writeTx(ctx, all)
	if err != nil {
		s.cache = newIDs()
		return err
	}
	if s.retention > 0 {
		// The documents are safe by now: a failure here is logged and made up for at the next write.
		s.pruneModels(ctx, models)
	}
	return nil
}

func (s *Store) writeTx(ctx context.Context, all []*parsed) ([]int64, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, s.fail("writing", err)
	}
	w := &writer{tx: tx, cache: &s.cache, newest: map[int64]int64{}}
	err = w.all(ctx, all)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback() // the cause is err; after a failed commit there is nothing left to roll back
		if _, ok := errors.AsType[*DocumentError](err); ok {
			return nil, err
		}
		return nil, s.fail("writing", err)
	}
	models := make([]int64, 0, len(w.newest))
	for m := range w.newest {
		models = append(models, m)
	}
	return models, nil
}

// writer is one transaction of Write.
type writer struct {
	tx      *sql.Tx
	cache   *ids
	stmts   map[string]*sql.Stmt // prepared within the transaction; closed with it
	touched []window
	newest  map[int64]int64 // by model id
}

// window is what competes for being shown: the revisions of one window against one reference.
type window struct {
	series      int64
	size, start int64
}

func (w *writer) all(ctx context.Context, docs []*parsed) error {
	for _, p := range docs {
		if err := w.document(ctx, p); err != nil {
			return err
		}
	}
	done := make(map[window]bool, len(w.touched))
	for _, t := range w.touched {
		if done[t] {
			continue
		}
		done[t] = true
		if err := w.chooseCurrent(ctx, t); err != nil {
			return err
		}
	}
	for model, end := range w.newest {
		if err := w.exec(ctx, `UPDATE model SET newest_end = max(newest_end, ?) WHERE id = ?`, end, model); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) document(ctx context.Context, p *parsed) error {
	if p.transition != nil {
		return w.transition(ctx, p)
	}
	if p.maturity.set {
		return w.quality(ctx, p)
	}
	if p.verdict != nil {
		return w.verdict(ctx, p)
	}
	var have []byte
	err := w.row(ctx, `SELECT sha256 FROM document WHERE part = ? AND result = (SELECT id FROM result WHERE result_id = ?)`,
		p.part, p.head.ResultID).Scan(&have)
	switch {
	case err == nil && bytes.Equal(have, p.sum[:]):
		return nil
	case err == nil:
		return &DocumentError{ID: p.id, Err: ErrConflict, Detail: "a result never changes; the stored bytes were kept"}
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	h := &p.head
	model, err := w.model(ctx, h.Key.Model)
	if err != nil {
		return err
	}
	series, err := w.series(ctx, seriesName{model, h.Key.Version, h.Key.Segment})
	if err != nil {
		return err
	}
	res, err := w.result(ctx, p, series)
	if err != nil {
		return err
	}
	if err := w.exec(ctx, `INSERT INTO document (result, part, sha256, encoding, data) VALUES (?, ?, ?, ?, ?)`,
		res, p.part, p.sum[:], p.encoding, p.data); err != nil {
		return err
	}
	if end, ok := w.newest[model]; !ok || h.Window.End > end {
		w.newest[model] = h.Window.End
	}
	w.touched = append(w.touched, window{series, h.Window.Size, h.Window.Start})
	if p.summary != nil {
		return w.summary(ctx, p, res)
	}
	return w.features(ctx, p, model, series, res)
}

// result returns the row of the document's result. Every document of a result names the same window.
func (w *writer) result(ctx context.Context, p *parsed, series int64) (int64, error) {
	h := &p.head
	var id, gotSeries int64
	var got result.Window
	var revision int
	err := w.row(ctx, `INSERT INTO result (result_id, series_id, size_ms, start_ms, end_ms, revision) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (result_id) DO UPDATE SET revision = revision RETURNING id, series_id, size_ms, start_ms, end_ms, revision`,
		h.ResultID, series, h.Window.Size, h.Window.Start, h.Window.End, h.Revision).
		Scan(&id, &gotSeries, &got.Size, &got.Start, &got.End, &revision)
	if err != nil {
		return 0, err
	}
	if gotSeries != series || got != h.Window || revision != h.Revision {
		return 0, &DocumentError{
			ID: p.id, Err: ErrConflict,
			Detail: "another document of the same result names another window, series or revision",
		}
	}
	return id, nil
}

func (w *writer) summary(ctx context.Context, p *parsed, res int64) error {
	sum := p.summary
	fingerprint := ""
	if sum.Ref != nil {
		fingerprint = sum.Ref.Fingerprint
	}
	return w.exec(ctx, `UPDATE result SET parts = ?, fingerprint = ?, complete = ?, verdict = ?, drift_share = ?, events = ?,
		features = ?, reasons = ? WHERE id = ?`,
		sum.Parts, fingerprint, sum.Complete, string(sum.Verdict), optional(sum.DriftShare), int64(sum.Counts.Events),
		sum.Features, p.reasons, res)
}

func (w *writer) features(ctx context.Context, p *parsed, model, series, res int64) error {
	insert := `INSERT INTO feature_row (feature_id, series_id, size_ms, start_ms, result, part, pos, len, verdict, q_value, n_min,
		n, missing, invalid, inf, mean, std, min, max, median, ` + statColumnNames("") + `) VALUES (?` + strings.Repeat(", ?", 19+len(statColumns())) + `)`
	strip := make([]byte, 0, len(p.features)*12)
	columns := statColumns()
	args := make([]any, 0, 20+len(columns))
	for i := range p.features {
		f := &p.features[i].feature
		id, err := w.feature(ctx, featureName{model, f.Role, f.Feature}, f.Kind)
		if err != nil {
			return err
		}
		c := &f.Current
		args = append(args[:0], id, series, p.head.Window.Size, p.head.Window.Start, res, p.part, p.features[i].pos, p.features[i].size,
			string(f.Verdict), optional(f.QValue), int64(f.NMin), int64(c.Count), int64(c.Missing), int64(c.Invalid), int64(c.Inf),
			optional(c.Mean), optional(c.Std), optional(c.Min), optional(c.Max), optional(c.Median))
		for _, column := range columns {
			args = append(args, column.get(f.Statistics))
		}
		if err := w.exec(ctx, insert, args...); err != nil {
			return fmt.Errorf("feature %q: %w", f.Feature, err)
		}
		strip = appendCell(strip, uint64(id), history.VerdictLetter(f.Verdict), f.Statistics["psi_debiased"].Value)
	}
	if err := w.exec(ctx, `UPDATE result SET stored_parts = stored_parts + 1 WHERE id = ?`, res); err != nil {
		return err
	}
	// CAST, because || makes text of blobs.
	return w.exec(ctx, `INSERT INTO heat (result, strip) VALUES (?, ?)
		ON CONFLICT (result) DO UPDATE SET strip = CAST(strip || excluded.strip AS BLOB)`, res, strip)
}

// chooseCurrent marks, for each reference of a window, the revision that reads show: the newest one whose documents are all
// there, so that a revision on its way never hides a whole one; before any is whole, the newest that has its summary.
func (w *writer) chooseCurrent(ctx context.Context, t window) error {
	if err := w.exec(ctx, `UPDATE result SET current = (id IN (
			SELECT id FROM (
				SELECT id, row_number() OVER (PARTITION BY fingerprint ORDER BY (stored_parts >= parts) DESC, revision DESC, id DESC) AS place
				FROM result WHERE series_id = ?1 AND size_ms = ?2 AND start_ms = ?3 AND parts IS NOT NULL)
			WHERE place = 1))
		WHERE series_id = ?1 AND size_ms = ?2 AND start_ms = ?3`, t.series, t.size, t.start); err != nil {
		return err
	}
	return w.exec(ctx, latestQuery, t.series, t.size)
}

// latestQuery points `latest` at the newest current result of a series and size that saw events; labels alone, which arrive
// after the last event, make a window that says nothing of the model's state.
const latestQuery = `INSERT OR REPLACE INTO latest (series_id, size_ms, result)
	SELECT ?1, ?2, id FROM (SELECT coalesce(
		(SELECT id FROM result WHERE series_id = ?1 AND size_ms = ?2 AND current = 1 AND events > 0 ORDER BY start_ms DESC, id DESC LIMIT 1),
		(SELECT id FROM result WHERE series_id = ?1 AND size_ms = ?2 AND current = 1 ORDER BY start_ms DESC, id DESC LIMIT 1)) AS id)
	WHERE id IS NOT NULL`

func (w *writer) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := w.stmts[query]; ok {
		return st, nil
	}
	st, err := w.tx.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if w.stmts == nil {
		w.stmts = map[string]*sql.Stmt{}
	}
	w.stmts[query] = st
	return st, nil
}

func (w *writer) exec(ctx context.Context, query string, args ...any) error {
	st, err := w.prepared(ctx, query)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

// row defers the error of preparing to Scan, as sql.Row does.
func (w *writer) row(ctx context.Context, query string, args ...any) scanner {
	st, err := w.prepared(ctx, query)
	if err != nil {
		return failedRow{err}
	}
	return st.QueryRowContext(ctx, args...)
}

type scanner interface{ Scan(dest ...any) error }

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }

func optional(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// appendCell appends one feature to a heat strip: id as uvarint, the verdict's letter, the number as little-endian float64.
func appendCell(b []byte, id uint64, letter byte, psi *float64) []byte {
	v := math.NaN()
	if psi != nil {
		v = *psi
	}
	b = append(binary.AppendUvarint(b, id), letter)
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// nextCell takes one feature off a heat strip; ok is false for a strip cut short.
func nextCell(b []byte) (id uint64, letter byte, psi float64, rest []byte, ok bool) {
	id, n := binary.Uvarint(b)
	if n <= 0 || len(b) < n+9 {
		return 0, 0, 0, nil, false
	}
	return id, b[n], math.Float64frombits(binary.LittleEndian.Uint64(b[n+1:])), b[n+9:], true
}
