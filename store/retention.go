package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
)

// Retention removes at most pruneRounds × pruneChunk results a write, in transactions of pruneChunk: enough to overtake
// any writer, and short enough that a shortened retention never blocks one for long.
const (
	pruneChunk  = 200
	pruneRounds = 5
	// pruneSteps: nothing is removed until the horizon has moved by a pruneSteps-th of the retention.
	pruneSteps = 256
	// vacuumPages is how many free pages a write gives back to the file system.
	vacuumPages = 2000
)

// pruneModels removes what is older than the retention, measured for each model from the end of its own newest window.
// It is called with s.mu held.
func (s *Store) pruneModels(ctx context.Context, models []int64) {
	removed := 0
	for _, m := range models {
		n, err := s.pruneModel(ctx, m)
		removed += n
		if err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "removing old results failed", slog.String("path", s.path), slog.Any("err", err))
			break
		}
	}
	if removed == 0 {
		return
	}
	s.cache = newIDs()
	s.log.LogAttrs(ctx, slog.LevelDebug, "old results removed", slog.Int("results", removed))
	if _, err := s.write.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages)); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "giving back free pages failed", slog.String("path", s.path), slog.Any("err", err))
	}
}

func (s *Store) pruneModel(ctx context.Context, model int64) (removed int, err error) {
	var newest, before int64
	if err := s.write.QueryRowContext(ctx, `SELECT newest_end, pruned_before FROM model WHERE id = ?`, model).
		Scan(&newest, &before); err != nil {
		return 0, s.fail("pruning", err)
	}
	keep := s.retention.Milliseconds()
	if newest < math.MinInt64+keep { // also noTime
		return 0, nil
	}
	horizon := newest - keep
	if before != noTime && horizon < before+keep/pruneSteps {
		return 0, nil
	}
	for range pruneRounds {
		n, err := s.pruneTx(ctx, model, horizon)
		removed += n
		if err != nil || n < pruneChunk {
			return removed, err
		}
	}
	return removed, nil
}

// old is one result to be removed.
type old struct {
	id int64
	window
}

func (s *Store) pruneTx(ctx context.Context, model, horizon int64) (int, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return 0, s.fail("pruning", err)
	}
	w := &writer{tx: tx}
	n, err := w.prune(ctx, model, horizon)
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		_ = tx.Rollback() // the cause is err
		return 0, s.fail("pruning", err)
	}
	return n, nil
}

func (w *writer) prune(ctx context.Context, model, horizon int64) (int, error) {
	list, err := w.oldest(ctx, model, horizon)
	if err != nil {
		return 0, err
	}
	lines := map[window]bool{}
	for _, o := range list {
		lines[window{series: o.series, size: o.size}] = true
		for _, q := range []string{
			`DELETE FROM document WHERE result = ?`, `DELETE FROM heat WHERE result = ?`,
			`DELETE FROM latest WHERE series_id = (SELECT series_id FROM result WHERE id = ?1) AND result = ?1`,
			`DELETE FROM result WHERE id = ?`,
		} {
			if err := w.exec(ctx, q, o.id); err != nil {
				return 0, err
			}
		}
		if err := w.exec(ctx, `DELETE FROM feature_row WHERE feature_id IN (SELECT id FROM feature WHERE model_id = ?)
			AND series_id = ? AND size_ms = ? AND start_ms = ? AND result = ?`, model, o.series, o.size, o.start, o.id); err != nil {
			return 0, err
		}
	}
	for l := range lines {
		if err := w.exec(ctx, latestQuery, l.series, l.size); err != nil {
			return 0, err
		}
	}
	if len(list) < pruneChunk { // done: drop the old transitions, and the names that nothing uses any more
		if err := w.pruneTransitions(ctx, model, horizon); err != nil {
			return 0, err
		}
		if err := w.pruneQuality(ctx, model, horizon); err != nil {
			return 0, err
		}
		if err := w.pruneVerdicts(ctx, model, horizon); err != nil {
			return 0, err
		}
		for _, q := range []string{
			`DELETE FROM series WHERE model_id = ? AND NOT EXISTS (SELECT 1 FROM result WHERE series_id = series.id)
				AND NOT EXISTS (SELECT 1 FROM quality WHERE series_id = series.id)`,
			`DELETE FROM feature WHERE model_id = ? AND NOT EXISTS (SELECT 1 FROM feature_row WHERE feature_id = feature.id)`,
		} {
			if err := w.exec(ctx, q, model); err != nil {
				return 0, err
			}
		}
		if err := w.exec(ctx, `UPDATE model SET pruned_before = ? WHERE id = ?`, horizon, model); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

func (w *writer) oldest(ctx context.Context, model, horizon int64) ([]old, error) {
	rows, err := w.tx.QueryContext(ctx, `SELECT r.id, r.series_id, r.size_ms, r.start_ms FROM series s
		JOIN result r ON r.series_id = s.id AND r.end_ms < ? WHERE s.model_id = ? LIMIT ?`, horizon, model, pruneChunk)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []old
	for rows.Next() {
		var o old
		if err := rows.Scan(&o.id, &o.series, &o.size, &o.start); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}
