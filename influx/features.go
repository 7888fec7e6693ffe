package influx

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// featureFields are what a FeatureState is made of.
func featureFields() []string {
	columns := history.StatColumns()
	fields := append(make([]string, 0, 15+len(columns)),
		FieldResultID, FieldKind, FieldPart, FieldVerdict, FieldQValue, FieldNMin, FieldN, FieldMissing, FieldInvalid, FieldInf,
		FieldMean, FieldStd, FieldMin, FieldMax, FieldMedian)
	for _, c := range columns {
		fields = append(fields, statField(c))
	}
	return fields
}

func statField(c history.StatColumn) string {
	switch c.Part {
	case history.StatPValue:
		return c.Name + SuffixP
	case history.StatLower:
		return c.Name + SuffixLower
	case history.StatUpper:
		return c.Name + SuffixUpper
	default:
		return c.Name
	}
}

// toFeature reads one feature's point; the window is its result's.
func toFeature(r *row, of *found) history.FeatureState {
	st := history.FeatureState{
		Feature: "", Role: "", Kind: "",
		ResultID: of.state.ResultID, Window: of.state.Window, Revision: of.state.Revision,
		Verdict: result.Verdict(r.text(FieldVerdict)), QValue: r.float(FieldQValue), NMin: uint64(r.int(FieldNMin)),
		Current: result.Side{
			Count: uint64(r.int(FieldN)), Missing: uint64(r.int(FieldMissing)), Invalid: uint64(r.int(FieldInvalid)), Inf: uint64(r.int(FieldInf)),
			Mean: r.float(FieldMean), Std: r.float(FieldStd), Min: r.float(FieldMin), Max: r.float(FieldMax), Median: r.float(FieldMedian),
		},
		Statistics: map[string]result.Stat{},
	}
	for _, c := range history.StatColumns() {
		stat := st.Statistics[c.Name]
		*c.Field(&stat) = r.float(statField(c))
		st.Statistics[c.Name] = stat
	}
	return st
}

// Features returns what the newest window of a series that has features said of each of them, by role and name.
func (db *DB) Features(ctx context.Context, q history.Series) ([]history.FeatureState, error) {
	series, err := db.resolve(ctx, q)
	if err != nil {
		return nil, err
	}
	at := position{start: maxTime, reference: ""}
	for {
		shown, more, err := db.windows(ctx, series, history.Range{From: 0, To: 0}, at, defaultLimit)
		if err != nil || len(shown) == 0 {
			return []history.FeatureState{}, err
		}
		for _, f := range shown {
			if f.state.Features == 0 {
				continue
			}
			out, err := db.featuresOf(ctx, series, f)
			if err != nil || len(out) > 0 {
				return out, err
			}
		}
		if !more {
			return []history.FeatureState{}, nil
		}
		at = positionOf(shown)
	}
}

func (db *DB) featuresOf(ctx context.Context, q history.Series, f *found) ([]history.FeatureState, error) {
	s := everywhere(MeasurementFeature, resultTags(q), featureFields()...)
	s.from, s.to = f.time, f.time+1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	out := make([]history.FeatureState, 0, len(rows))
	for i := range rows {
		if rows[i].text(FieldResultID) != f.state.ResultID {
			continue
		}
		st := toFeature(&rows[i], f)
		st.Feature, st.Role, st.Kind = rows[i].tag(TagFeature), result.Role(rows[i].tag(TagRole)), rows[i].text(FieldKind)
		out = append(out, st)
	}
	slices.SortFunc(out, func(a, b history.FeatureState) int {
		return cmp.Or(strings.Compare(string(a.Role), string(b.Role)), strings.Compare(a.Feature, b.Feature))
	})
	return out, nil
}

// FeatureSeries returns one feature over the windows of a series, newest first, and the whole document of the first window
// of the page. The default limit is 100, the largest 1,000.
func (db *DB) FeatureSeries(ctx context.Context, q history.FeatureQuery) (*history.FeatureSeries, error) {
	n, err := limit(q.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, err
	}
	if q.Role == "" {
		q.Role = result.RoleFeature
	}
	if q.Role != result.RoleFeature && q.Role != result.RolePrediction {
		return nil, &history.QueryError{Field: "role", Detail: "must be feature or prediction"}
	}
	hash := queryHash("feature", q.Series, q.Range, q.Feature, q.Role)
	at, err := parseCursor(q.Cursor, hash)
	if err != nil {
		return nil, err
	}
	series, err := db.resolve(ctx, q.Series)
	if err != nil {
		return nil, err
	}
	out := &history.FeatureSeries{Feature: q.Feature, Role: q.Role, Kind: "", Latest: nil, Points: []history.FeatureState{}, Next: ""}
	kind := everywhere(MeasurementFeature, []tag{{TagModel, q.Model}, {TagFeature, q.Feature}, {TagRole, string(q.Role)}}, FieldKind)
	kind.limit = 1
	rows, err := db.query(ctx, &kind)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, &history.NotFoundError{What: string(q.Role), Name: q.Feature}
	}
	out.Kind = rows[0].text(FieldKind)
	var first *found
	var part int64
	var last position
	for { // windows without the feature are passed over, so a page of it may span several pages of windows
		shown, more, err := db.windows(ctx, series, q.Range, at, n)
		if err != nil || len(shown) == 0 {
			return out, err
		}
		points, err := db.featurePoints(ctx, series, &q, shown)
		if err != nil {
			return nil, err
		}
		for _, f := range shown {
			r := points[f.state.ResultID]
			if r == nil {
				continue
			}
			if len(out.Points) == n {
				out.Next = last.cursor(hash)
				break
			}
			if first == nil {
				first, part = f, r.int(FieldPart)
			}
			out.Points, last = append(out.Points, toFeature(r, f)), position{f.state.Window.Start, f.reference}
		}
		if !more || out.Next != "" {
			break
		}
		at = positionOf(shown)
	}
	if first == nil {
		return out, nil
	}
	out.Latest, err = db.featureDocument(ctx, series, first, part, q.Role, q.Feature)
	return out, err
}

// featurePoints returns one feature's points in the windows, by result.
func (db *DB) featurePoints(ctx context.Context, series history.Series, q *history.FeatureQuery, in []*found) (map[string]*row, error) {
	s := everywhere(MeasurementFeature, resultTags(series, tag{TagFeature, q.Feature}, tag{TagRole, string(q.Role)}), featureFields()...)
	s.from, s.to = timesOf(in)
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	out := make(map[string]*row, len(rows))
	for i := range rows {
		out[rows[i].text(FieldResultID)] = &rows[i]
	}
	return out, nil
}

// featureDocument returns one feature of a result as it was committed; nil while its document is on its way.
func (db *DB) featureDocument(ctx context.Context, q history.Series, f *found, part int64, role result.Role, name string) (json.RawMessage, error) {
	docs, err := db.documents(ctx, q, f.time, f.time+1, strconv.FormatInt(part, 10))
	if err != nil {
		return nil, err
	}
	for _, d := range docs {
		if d.resultID != f.state.ResultID {
			continue
		}
		features, err := featuresOf(d.data)
		if err != nil {
			return nil, err
		}
		for _, raw := range features {
			var is struct {
				Feature string      `json:"feature"`
				Role    result.Role `json:"role"`
			}
			if err := json.Unmarshal(raw, &is); err != nil {
				return nil, fmt.Errorf("reading a feature: %w", err)
			}
			if is.Feature == name && is.Role == role {
				return raw, nil
			}
		}
	}
	return nil, nil
}
