package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// fairness returns the points of a document about fairness: that of all groups, which has the document, and one of each.
func (e *encoder) fairness(d Document) ([]line, error) {
	var f result.Fairness
	if err := json.Unmarshal(d.Data, &f); err != nil {
		return nil, fmt.Errorf("reading fairness: %w", err)
	}
	at := place{f.Key, f.Window, ReferenceTag(f.Ref), f.ResultID, 0}
	if err := at.check(d.ID, f.ResultID); err != nil {
		return nil, err
	}
	if f.Dimension == "" || f.Maturity < 0 || f.Ungrouped > math.MaxInt64 {
		return nil, errors.New("it has no dimension, or a number is out of range")
	}
	begin := func(group string) *point {
		p := newPoint(MeasurementFairness, at.tags(tag{TagDimension, f.Dimension}, tag{TagGroup, group}, tag{TagMaturity, maturityTag(f.Maturity)}))
		at.head(p)
		p.bool(FieldFinal, f.Final)
		return p
	}
	p := begin(None)
	p.int(FieldUngrouped, int64(f.Ungrouped))
	for i := range f.Gaps {
		g := &f.Gaps[i]
		p.float(g.Metric, g.Value)
		p.float(g.Metric+SuffixLower, g.Lower)
		p.float(g.Metric+SuffixUpper, g.Upper)
		p.float(g.Metric+SuffixP, g.PValue)
		if g.Value != nil {
			p.string(g.Metric+SuffixLow, g.Low)
			p.string(g.Metric+SuffixHigh, g.High)
		}
	}
	if err := e.chunks(p, encodingZstd, d.Data); err != nil {
		return nil, err
	}
	lines := []line{{p.end(at.time()), at.time(), 0}}
	for i := range f.Groups {
		g := &f.Groups[i]
		if max(g.Predictions, g.Selected, g.Labels, g.Positives) > math.MaxInt64 {
			return nil, errors.New("a count is out of range")
		}
		p := begin(result.SegmentKey(f.Dimension, g.Group))
		p.int(FieldPredictions, int64(g.Predictions))
		p.int(FieldSelected, int64(g.Selected))
		p.int(FieldLabels, int64(g.Labels))
		p.int(FieldPositives, int64(g.Positives))
		p.bool(FieldCompared, g.Compared)
		metrics(p, "", g.Rates)
		lines = append(lines, line{p.end(at.time()), at.time(), 0})
	}
	return lines, nil
}

// Fairness returns what the windows of a series did to groups, newest first, as it was committed; limits as for Quality.
func (db *DB) Fairness(ctx context.Context, q history.FairnessQuery) (*history.Quality, error) {
	about := pageOf{MeasurementFairness, []tag{{TagGroup, None}}}
	if q.Dimension != "" {
		about.tags = append(about.tags, tag{TagDimension, q.Dimension})
	}
	return db.told(ctx, "fairness "+q.Dimension, &q.QualityQuery, &about)
}
