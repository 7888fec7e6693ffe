package influx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// timesOf returns the span of time in which the points of windows lie.
func timesOf(fs []*found) (from, to int64) {
	from, to = maxTime, -maxTime
	for _, f := range fs {
		from, to = min(from, f.time), max(to, f.time+1)
	}
	return from, to
}

// Windows returns the summaries of a series, newest first, as they were committed. The default limit is 100, the largest 1,000.
func (db *DB) Windows(ctx context.Context, q history.WindowsQuery) (*history.Windows, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("windows", q.Series, q.Range)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	series, err := db.resolve(ctx, q.Series)
	if err != nil {
		return nil, err
	}
	shown, more, err := db.windows(ctx, series, q.Range, at, n)
	if err != nil {
		return nil, err
	}
	from, to := timesOf(shown)
	docs, err := db.documents(ctx, series, from, to, partSummary)
	if err != nil {
		return nil, err
	}
	byID := make(map[string][]byte, len(docs))
	for _, d := range docs {
		byID[d.resultID] = d.data
	}
	out := &history.Windows{Summaries: []json.RawMessage{}, Next: ""}
	for _, f := range shown {
		if data := byID[f.state.ResultID]; data != nil { // not there: its write is under way
			out.Summaries = append(out.Summaries, data)
		}
	}
	if more {
		out.Next = positionOf(shown).cursor(hash)
	}
	return out, nil
}

// positionOf is where a page of windows ends.
func positionOf(shown []*found) position {
	last := shown[len(shown)-1]
	return position{start: last.state.Window.Start, reference: last.reference}
}

// Window returns one result whole, whatever its revision: the committed bytes of its summary and features. It reads all
// summaries of the model's points to find the id.
func (db *DB) Window(ctx context.Context, model, resultID string) (*history.Window, error) {
	s := everywhere(MeasurementSummary, []tag{{TagModel, model}}, stateFields()...)
	s.field, s.op, s.value, s.limit = FieldResultID, "=", resultID, 1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, &history.NotFoundError{What: "result", Name: resultID}
	}
	f, err := toFound(&rows[0])
	if err != nil {
		return nil, err
	}
	series := history.Series{Model: model, Version: f.state.Version, Segment: f.state.Segment, Size: f.state.Window.Size}
	out := &history.Window{Summary: nil, Features: []json.RawMessage{}, Parts: f.parts, Stored: 0, Revisions: []history.Revision{}}
	docs, err := db.documents(ctx, series, f.time, f.time+1, "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(docs, func(a, b stored) int { return cmp.Compare(partNumber(a.part), partNumber(b.part)) })
	for _, d := range docs {
		switch {
		case d.resultID != resultID:
		case d.part == partSummary:
			out.Summary = d.data
		default:
			features, err := featuresOf(d.data)
			if err != nil {
				return nil, err
			}
			out.Features, out.Stored = append(out.Features, features...), out.Stored+1
		}
	}
	all, _, err := db.revisions(ctx, series, f)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		out.Revisions = append(out.Revisions, history.Revision{ResultID: r.state.ResultID, Revision: r.state.Revision, Current: r.current})
	}
	return out, nil
}

func partNumber(part string) int {
	n, err := strconv.Atoi(part)
	if err != nil {
		return -1 // the summary
	}
	return n
}

// featuresOf returns the features of a document as they were committed.
func featuresOf(data []byte) ([]json.RawMessage, error) {
	var doc struct {
		Features []json.RawMessage `json:"features"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("reading features: %w", err)
	}
	return doc.Features, nil
}

// revisions returns all revisions of a window against its reference, oldest first, and the one that reads show.
func (db *DB) revisions(ctx context.Context, q history.Series, of *found) (all []*found, shown *found, err error) {
	s := everywhere(MeasurementSummary, append(resultTags(q), tag{TagReference, of.reference}), stateFields()...)
	s.from, s.to, s.newest = of.state.Window.End, of.state.Window.End+maxRevision+1, false
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, nil, err
	}
	for i := range rows {
		f, err := toFound(&rows[i])
		if err != nil {
			return nil, nil, err
		}
		if sameWindow(f, of) {
			all = append(all, f)
		}
	}
	chosen, err := db.choose(ctx, q, all, true)
	if err != nil || len(chosen) == 0 {
		return all, nil, err
	}
	return all, chosen[0], nil
}

// Heat returns the matrix of features over the newest windows of the range, oldest first. The default limit is 1,000
// windows, the largest 5,000, and at most 4,000,000 cells: with very many features the page is shorter.
func (db *DB) Heat(ctx context.Context, q history.WindowsQuery) (*history.Heat, error) {
	n, err := limit(q.Limit, defaultHeatLimit, maxHeatLimit)
	if err != nil {
		return nil, err
	}
	hash := queryHash("heat", q.Series, q.Range)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	series, err := db.resolve(ctx, q.Series)
	if err != nil {
		return nil, err
	}
	most, err := db.newestFeatures(ctx, series)
	if err != nil {
		return nil, err
	}
	shown, more, err := db.windows(ctx, series, q.Range, at, max(1, min(n, maxHeatCells/max(1, most))))
	if err != nil {
		return nil, err
	}
	out := &history.Heat{Windows: []history.HeatWindow{}, Features: []history.HeatFeature{}, Next: ""}
	if more {
		out.Next = positionOf(shown).cursor(hash)
	}
	slices.Reverse(shown)
	column := make(map[string]int, len(shown))
	for i, f := range shown {
		column[f.state.ResultID] = i
		out.Windows = append(out.Windows, history.HeatWindow{
			ResultID: f.state.ResultID, Window: f.state.Window, Revision: f.state.Revision, Verdict: f.state.Verdict, Events: f.state.Events,
		})
	}
	s := everywhere(MeasurementFeature, resultTags(series), FieldResultID, FieldKind, FieldVerdict, "psi_debiased")
	s.from, s.to = timesOf(shown)
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	out.Features = heatRows(rows, column, len(shown))
	return out, nil
}

// heatRows sorts the features' points into one row a feature; points come newest first.
func heatRows(rows []row, column map[string]int, n int) []history.HeatFeature {
	type name struct{ role, feature string }
	at := map[name]*history.HeatFeature{}
	for i := range rows {
		r := &rows[i]
		c, ok := column[r.text(FieldResultID)]
		if !ok {
			continue
		}
		key := name{r.tag(TagRole), r.tag(TagFeature)}
		f := at[key]
		if f == nil {
			f = &history.HeatFeature{
				Feature: key.feature, Role: result.Role(key.role), Kind: r.text(FieldKind),
				Verdicts: bytes.Repeat([]byte{history.NoVerdict}, n), PSI: make([]float64, n),
			}
			for j := range f.PSI {
				f.PSI[j] = math.NaN()
			}
			at[key] = f
		}
		f.Verdicts[c] = history.VerdictLetter(result.Verdict(r.text(FieldVerdict)))
		if v := r.float("psi_debiased"); v != nil {
			f.PSI[c] = *v
		}
	}
	out := make([]history.HeatFeature, 0, len(at))
	for _, f := range at {
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b history.HeatFeature) int {
		return cmp.Or(strings.Compare(string(a.Role), string(b.Role)), strings.Compare(a.Feature, b.Feature))
	})
	return out
}

// newestFeatures returns how many features the newest window of a series has.
func (db *DB) newestFeatures(ctx context.Context, q history.Series) (int, error) {
	s := everywhere(MeasurementSummary, resultTags(q), FieldFeatures)
	s.limit = 1
	rows, err := db.query(ctx, &s)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return int(rows[0].int(FieldFeatures)), nil
}
