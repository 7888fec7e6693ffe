package influx

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// quality returns the point of a document about the quality of a window.
func (e *encoder) quality(d Document) ([]line, error) {
	var q result.Quality
	if err := json.Unmarshal(d.Data, &q); err != nil {
		return nil, fmt.Errorf("reading quality: %w", err)
	}
	at := place{q.Key, q.Window, ReferenceTag(q.Ref), q.ResultID, 0}
	if err := at.check(d.ID, q.ResultID); err != nil {
		return nil, err
	}
	if max(q.Predictions, q.Labels, q.Corrected, q.Duplicate, q.Unmatched, q.Evicted) > math.MaxInt64 || q.Maturity < 0 {
		return nil, errors.New("a count is out of range")
	}
	p := newPoint(MeasurementQuality, at.tags(tag{TagMaturity, maturityTag(q.Maturity)}))
	at.head(p)
	p.bool(FieldFinal, q.Final)
	p.int(FieldPredictions, int64(q.Predictions))
	p.int(FieldLabels, int64(q.Labels))
	p.float(FieldCoverage, q.Coverage)
	p.float(FieldDelayP50, q.DelayP50)
	p.float(FieldDelayP95, q.DelayP95)
	p.int(FieldCorrected, int64(q.Corrected))
	p.int(FieldUnmatched, int64(q.Unmatched))
	p.int(FieldEvicted, int64(q.Evicted))
	metrics(p, "", q.Metrics)
	metrics(p, BaselineOf, q.Reference)
	if q.Estimate != nil {
		metrics(p, EstimateOf, q.Estimate.Metrics)
	}
	if err := e.chunks(p, encodingZstd, d.Data); err != nil {
		return nil, err
	}
	return []line{{p.end(at.time()), at.time(), 0}}, nil
}

// metrics writes what is said of all classes together; of single classes the document knows.
func metrics(p *point, prefix string, all []result.Metric) {
	for i := range all {
		m := &all[i]
		if m.Class != "" {
			continue
		}
		p.float(prefix+m.Name, m.Value)
		p.float(prefix+m.Name+SuffixLower, m.Lower)
		p.float(prefix+m.Name+SuffixUpper, m.Upper)
	}
}

// maturityTag is a maturity as a tag: milliseconds.
func maturityTag(ms int64) string { return strconv.FormatInt(ms, 10) }

// Quality returns what was said of the quality of a series' windows, newest first, as it was committed. The default limit is 100, the
// largest 1,000.
func (db *DB) Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error) {
	return db.told(ctx, "quality", &q, &pageOf{MeasurementQuality, nil})
}

// pageOf says which documents are asked for, those about quality or about fairness.
type pageOf struct {
	measurement string
	tags        []tag
}

// told returns a page of documents, newest window first. what names the question in its cursor.
func (db *DB) told(ctx context.Context, what string, q *history.QualityQuery, about *pageOf) (*history.Quality, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	asked := "last"
	if q.Maturity != nil {
		asked = maturityTag(*q.Maturity)
	}
	hash := queryHash(what, q.Series, q.Range, asked)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	series, err := db.resolve(ctx, q.Series)
	if err != nil {
		return nil, err
	}
	rows, err := db.saidOf(ctx, series, q, about)
	if err != nil {
		return nil, err
	}
	out := &history.Quality{Documents: []json.RawMessage{}, Next: ""}
	var picked []row
	for i := range rows {
		r := &rows[i]
		if start := r.int(FieldStart); start > at.start || start == at.start && r.text(FieldResultID) >= at.reference {
			continue
		}
		if len(picked) == n {
			last := &picked[n-1]
			out.Next = position{last.int(FieldStart), last.text(FieldResultID)}.cursor(hash)
			break
		}
		picked = append(picked, *r)
	}
	return out, db.qualities(ctx, series, picked, out, about)
}

// saidOf returns the points about the quality of a series' windows that are asked for, newest first, without their documents.
func (db *DB) saidOf(ctx context.Context, series history.Series, q *history.QualityQuery, about *pageOf) ([]row, error) {
	more := slices.Clone(about.tags)
	if q.Maturity != nil {
		more = append(more, tag{TagMaturity, maturityTag(*q.Maturity)})
	}
	s := everywhere(about.measurement, resultTags(series, more...), FieldResultID, FieldStart)
	if q.From != 0 {
		s.from = q.From
	}
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r row) bool {
		start := r.int(FieldStart)
		return q.From != 0 && start < q.From || q.To != 0 && start >= q.To
	})
	maturity := func(r *row) int64 { n, _ := strconv.ParseInt(r.tags[TagMaturity], 10, 64); return n } // it was written from a number
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.int(FieldStart), a.int(FieldStart)), cmp.Compare(maturity(&b), maturity(&a)), strings.Compare(b.text(FieldResultID), a.text(FieldResultID)))
	})
	if q.Maturity == nil { // the last one of each window, and dimension
		type place struct {
			start, time int64
			dimension   string
		}
		seen := map[place]bool{}
		rows = slices.DeleteFunc(rows, func(r row) bool {
			at := place{r.int(FieldStart), r.time, r.tags[TagDimension]}
			before := seen[at]
			seen[at] = true
			return before
		})
		slices.SortFunc(rows, func(a, b row) int { // as cursors have it
			return cmp.Or(cmp.Compare(b.int(FieldStart), a.int(FieldStart)), strings.Compare(b.text(FieldResultID), a.text(FieldResultID)))
		})
	}
	return rows, nil
}

// qualities adds the committed bytes of the points, in their order.
func (db *DB) qualities(ctx context.Context, series history.Series, of []row, out *history.Quality, about *pageOf) error {
	if len(of) == 0 {
		return nil
	}
	s := everywhere(about.measurement, resultTags(series, about.tags...), append([]string{FieldResultID}, documentColumns()...)...)
	s.from, s.to = maxTime, -maxTime
	for i := range of {
		s.from, s.to = min(s.from, of[i].time), max(s.to, of[i].time+1)
	}
	rows, err := db.query(ctx, &s)
	if err != nil {
		return err
	}
	byID := map[string]*row{}
	for i := range rows {
		byID[rows[i].text(FieldResultID)] = &rows[i]
	}
	for i := range of {
		r := byID[of[i].text(FieldResultID)]
		if r == nil {
			continue // its write is under way
		}
		data, err := assemble(r)
		if err != nil {
			return fmt.Errorf("quality %s: %w", of[i].text(FieldResultID), err)
		}
		out.Documents = append(out.Documents, data)
	}
	return nil
}
