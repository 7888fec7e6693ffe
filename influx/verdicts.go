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

// verdict returns the point of what was said of two versions.
func (e *encoder) verdict(d Document) ([]line, error) {
	var c result.Comparison
	if err := json.Unmarshal(d.Data, &c); err != nil {
		return nil, fmt.Errorf("reading verdict: %w", err)
	}
	at := place{c.Key, c.Window, ReferenceTag(c.Ref), c.ResultID, 0}
	if err := at.check(d.ID, c.ResultID); err != nil {
		return nil, err
	}
	if c.Compare == "" || c.Verdict == "" || c.Maturity < 0 || max(c.Reading, c.Windows, c.Total.Baseline, c.Total.Candidate) > math.MaxInt64 {
		return nil, errors.New("a verdict without comparison or decision, or with a count out of range")
	}
	p := newPoint(MeasurementVerdict, at.tags(tag{TagCompare, c.Compare}, tag{TagMaturity, maturityTag(c.Maturity)}))
	at.head(p)
	p.string(FieldDecision, string(c.Verdict))
	p.string(FieldMode, c.Mode)
	p.string(FieldBaseline, c.Baseline)
	p.int(FieldReading, int64(c.Reading))
	p.int(FieldSince, c.Since)
	p.int(FieldWindows, int64(c.Windows))
	p.int(FieldBaselineEvents, int64(c.Total.Baseline))
	p.int(FieldCandidateEvents, int64(c.Total.Candidate))
	p.float(FieldShare, c.Split.Total)
	for i := range c.Guards {
		g := &c.Guards[i]
		p.float(g.Metric, g.Difference.Value)
		p.float(g.Metric+SuffixLower, g.Difference.Lower)
		p.float(g.Metric+SuffixUpper, g.Difference.Upper)
	}
	if err := e.chunks(p, encodingZstd, d.Data); err != nil {
		return nil, err
	}
	return []line{{p.end(at.time()), at.time(), 0}}, nil
}

// Verdicts returns what was said of the versions of a model that are compared, as it was committed: the newest verdict of each comparison, in the order
// of their names; or all of one comparison, newest first. The default limit is 100, the largest 1,000.
func (db *DB) Verdicts(ctx context.Context, q history.VerdictsQuery) (*history.Verdicts, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("verdicts", q.Model, q.Compare)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	if newest, err := db.newestEnd(ctx, q.Model); err != nil {
		return nil, err
	} else if newest < -maxTime {
		return nil, &history.NotFoundError{What: "model", Name: q.Model}
	}
	tags := []tag{{TagModel, q.Model}}
	if q.Compare != "" {
		tags = []tag{{TagCompare, q.Compare}, {TagModel, q.Model}}
	}
	s := everywhere(MeasurementVerdict, tags, FieldResultID, FieldSince, FieldReading)
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(strings.Compare(a.tags[TagCompare], b.tags[TagCompare]), cmp.Compare(b.int(FieldSince), a.int(FieldSince)), cmp.Compare(b.int(FieldReading), a.int(FieldReading)))
	})
	if q.Compare == "" {
		rows = slices.CompactFunc(rows, func(a, b row) bool { return a.tags[TagCompare] == b.tags[TagCompare] })
	}
	out := &history.Verdicts{Documents: []json.RawMessage{}, Next: ""}
	if q.Cursor != "" { // it ends with the result id of the last one of the page before
		i := slices.IndexFunc(rows, func(r row) bool { return r.text(FieldResultID) == at.reference })
		rows = rows[i+1:] // all of them where that one is gone
	}
	if len(rows) > n {
		rows = rows[:n]
		out.Next = position{0, rows[n-1].text(FieldResultID)}.cursor(hash)
	}
	return out, db.verdicts(ctx, tags, rows, out)
}

// verdicts adds the committed bytes of the points, in their order.
func (db *DB) verdicts(ctx context.Context, tags []tag, of []row, out *history.Verdicts) error {
	if len(of) == 0 {
		return nil
	}
	s := everywhere(MeasurementVerdict, tags, append([]string{FieldResultID}, documentColumns()...)...)
	s.from, s.to = maxTime, -maxTime
	for i := range of {
		s.from, s.to = min(s.from, of[i].time), max(s.to, of[i].time+1)
	}
	rows, err := db.query(ctx, &s)
	if err != nil {
		return err
	}
	byID := make(map[string]*row, len(rows))
	for i := range rows {
		byID[rows[i].text(FieldResultID)] = &rows[i]
	}
	for i := range of {
		r := byID[of[i].text(FieldResultID)]
		if r == nil {
			continue // removed meanwhile
		}
		data, err := assemble(r)
		if err != nil {
			return fmt.Errorf("verdict %s: %w", strconv.Quote(of[i].text(FieldResultID)), err)
		}
		out.Documents = append(out.Documents, data)
	}
	return nil
}
