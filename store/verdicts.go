package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// addVerdicts is the version after: what was said of two versions that are compared.
func addVerdicts() []string {
	return []string{
		`CREATE TABLE verdict (
			id         INTEGER PRIMARY KEY,
			verdict_id TEXT NOT NULL UNIQUE,
			model_id   INTEGER NOT NULL REFERENCES model(id),
			compare    TEXT NOT NULL,
			since_ms   INTEGER NOT NULL,
			reading    INTEGER NOT NULL,
			end_ms     INTEGER NOT NULL,
			sha256     BLOB NOT NULL,
			encoding   INTEGER NOT NULL,
			data       BLOB NOT NULL
		) STRICT`,
		`CREATE INDEX verdict_reading ON verdict (model_id, compare, since_ms, reading)`,
		`CREATE INDEX verdict_end ON verdict (model_id, end_ms)`,
	}
}

func (s *Store) parseVerdict(p *parsed, data []byte) error {
	var c result.Comparison
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("reading verdict: %w", err)
	}
	p.head = head{Schema: c.Schema, Type: c.Type, ResultID: c.ResultID, Part: 0, Key: c.Key, Window: c.Window, Revision: 0}
	if err := p.head.check(typeVerdict); err != nil {
		return err
	}
	if c.Compare == "" || c.Verdict == "" || c.Reading > math.MaxInt64 {
		return fmt.Errorf("a verdict %q of the comparison %q, reading %d", c.Verdict, c.Compare, c.Reading)
	}
	p.verdict = &c
	p.encoding, p.data = encodingZstd, s.enc.EncodeAll(data, make([]byte, 0, len(data)/4+64))
	return nil
}

// verdict stores what was said of two versions.
func (w *writer) verdict(ctx context.Context, p *parsed) error {
	c := p.verdict
	if stored, err := w.stored(ctx, p, "a verdict", `SELECT sha256 FROM verdict WHERE verdict_id = ?`, c.ResultID); err != nil || stored {
		return err
	}
	model, err := w.model(ctx, c.Key.Model)
	if err != nil {
		return err
	}
	if end, ok := w.newest[model]; !ok || c.Window.End > end {
		w.newest[model] = c.Window.End
	}
	return w.exec(ctx, `INSERT INTO verdict (verdict_id, model_id, compare, since_ms, reading, end_ms, sha256, encoding, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		c.ResultID, model, c.Compare, c.Since, int64(c.Reading), c.Window.End, p.sum[:], p.encoding, p.data)
}

// pruneVerdicts removes what is older than the horizon.
func (w *writer) pruneVerdicts(ctx context.Context, model, horizon int64) error {
	return w.exec(ctx, `DELETE FROM verdict WHERE model_id = ? AND end_ms < ?`, model, horizon)
}

// Verdicts returns what was said of the versions of a model that are compared, as it was committed: the newest verdict of each comparison, in the order
// of their names; or all of one comparison, newest first. The default limit is 100, the largest 1,000.
func (s *Store) Verdicts(ctx context.Context, q history.VerdictsQuery) (*history.Verdicts, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("verdicts", q.Model, q.Compare)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	out := &history.Verdicts{Documents: []json.RawMessage{}, Next: ""}
	err = s.view(ctx, func(r *reader) error {
		model, _, err := r.model(ctx, q.Model)
		if err != nil {
			return err
		}
		query := `SELECT since_ms, reading, encoding, data, sha256 FROM verdict WHERE model_id = ? AND compare = ? AND (since_ms, reading) < (?, ?)
			ORDER BY since_ms DESC, reading DESC LIMIT ?`
		args := []any{model, q.Compare, at.start, at.id, n + 1}
		if q.Compare == "" {
			offset := at.id
			if q.Cursor == "" {
				offset = 0
			}
			query = `SELECT 0, row_number() OVER (ORDER BY v.compare), v.encoding, v.data, v.sha256 FROM verdict v WHERE v.model_id = ? AND v.id =
				(SELECT id FROM verdict o WHERE o.model_id = v.model_id AND o.compare = v.compare ORDER BY o.since_ms DESC, o.reading DESC LIMIT 1)
				ORDER BY v.compare LIMIT ? OFFSET ?`
			args = []any{model, n + 1, offset}
		}
		out.Documents, out.Next, err = s.page(ctx, r, n, hash, query, args...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// eachVerdict calls f for the verdicts about versions.
func (s *Store) eachVerdict(ctx context.Context, f func(Document) error) error {
	return s.eachOf(ctx, `SELECT verdict_id, encoding, data, sha256 FROM verdict ORDER BY id`, f)
}
