package store

import (
	"context"
	"fmt"
	"strconv"
)

// Each calls f for every document that is stored, those of one result in the order of their parts, then those about quality and fairness, verdicts and every transition: the
// bytes that were committed. It holds no lock: what is written meanwhile may or may not be seen.
func (s *Store) Each(ctx context.Context, f func(Document) error) error {
	after, err := int64(0), error(nil)
	for n := 1; err == nil && n > 0; {
		n, after, err = s.eachResult(ctx, after, f)
	}
	if err != nil {
		return err
	}
	if err := s.eachQuality(ctx, f); err != nil {
		return err
	}
	if err := s.eachVerdict(ctx, f); err != nil {
		return err
	}
	return s.view(ctx, func(r *reader) error {
		return r.each(ctx, `SELECT transition_id, data FROM transition ORDER BY id`, func(row scanner) error {
			var d Document
			if err := row.Scan(&d.ID, &d.Data); err != nil {
				return err
			}
			return f(d)
		})
	})
}

// eachResult calls f for the documents of the next results, in a transaction of their own: a long one would keep the log of
// the file from being written back.
func (s *Store) eachResult(ctx context.Context, after int64, f func(Document) error) (n int, last int64, err error) {
	var docs []Document
	last = after
	err = s.view(ctx, func(r *reader) error {
		return r.each(ctx, `SELECT r.id, r.result_id, d.part, d.encoding, d.data, d.sha256 FROM result r JOIN document d ON d.result = r.id
			WHERE r.id > ? AND r.id <= (SELECT max(id) FROM (SELECT id FROM result WHERE id > ? ORDER BY id LIMIT 100)) ORDER BY r.id, d.part`,
			func(row scanner) error {
				var d Document
				var part, encoding int
				var data, sum []byte
				if err := row.Scan(&last, &d.ID, &part, &encoding, &data, &sum); err != nil {
					return err
				}
				data, err := s.decode(encoding, data, sum)
				if err != nil {
					return fmt.Errorf("reading result %s: %w", d.ID, err)
				}
				if d.Data = data; part != summaryPart {
					d.ID += "." + strconv.Itoa(part)
				}
				docs = append(docs, d)
				return nil
			}, after, after)
	})
	for i := 0; i < len(docs) && err == nil; i++ {
		err = f(docs[i])
	}
	return len(docs), last, err
}

// eachQuality calls f for the documents about quality and fairness.
func (s *Store) eachQuality(ctx context.Context, f func(Document) error) error {
	return s.eachOf(ctx, `SELECT quality_id, encoding, data, sha256 FROM quality ORDER BY id`, f)
}

// eachOf calls f for the documents of a table.
func (s *Store) eachOf(ctx context.Context, query string, f func(Document) error) error {
	return s.view(ctx, func(r *reader) error {
		return r.each(ctx, query, func(row scanner) error {
			var d Document
			var encoding int
			var data, sum []byte
			if err := row.Scan(&d.ID, &encoding, &data, &sum); err != nil {
				return err
			}
			var err error
			if d.Data, err = s.decode(encoding, data, sum); err != nil {
				return fmt.Errorf("reading result %s: %w", d.ID, err)
			}
			return f(d)
		})
	})
}
