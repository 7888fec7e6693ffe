package influx

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// Limits of pages: the default where none is asked for, and the largest that is given. They are those of the embedded store.
const (
	defaultLimit     = 100
	maxLimit         = 1000
	defaultHeatLimit = 1000
	maxHeatLimit     = 5000
	maxHeatCells     = 4_000_000
)

// revisionsLooked is how many points of a series are read to find its newest window: its revisions, and those of windows
// that are still on their way.
const revisionsLooked = 8

// found is one revision of a window, as its summary point says.
type found struct {
	state     history.State
	reference string
	time      int64
	parts     int
	current   bool
	stored    int // feature documents that are there; -1: not looked
}

// stateFields are what found is made of.
func stateFields() []string {
	return []string{
		FieldResultID, FieldRevision, FieldStart, FieldVerdict, FieldDriftShare, FieldComplete, FieldEvents, FieldFeatures, FieldParts, FieldReasons,
	}
}

func toFound(r *row) (*found, error) {
	size := windowSize(r.tags[TagWindow])
	revision := r.int(FieldRevision)
	f := &found{
		state: history.State{
			Version: r.tag(TagVersion), Segment: r.tag(TagSegment), ResultID: r.text(FieldResultID),
			Window:   result.Window{Start: r.int(FieldStart), End: r.time - revision, Size: size},
			Revision: int(revision), Complete: r.bool(FieldComplete), Verdict: result.Verdict(r.text(FieldVerdict)),
			DriftShare: r.float(FieldDriftShare), Events: uint64(r.int(FieldEvents)), Features: int(r.int(FieldFeatures)), Reasons: []string{},
		},
		reference: r.tags[TagReference], time: r.time, parts: int(r.int(FieldParts)), current: false, stored: -1,
	}
	if text := r.text(FieldReasons); text != "" {
		if err := json.Unmarshal([]byte(text), &f.state.Reasons); err != nil {
			return nil, fmt.Errorf("reading the reasons of result %s: %w", f.state.ResultID, err)
		}
	}
	return f, nil
}

// later orders newest first, windows of equal start by their reference, and revisions of a window newest first.
func later(a, b *found) int {
	return cmp.Or(cmp.Compare(b.state.Window.Start, a.state.Window.Start), strings.Compare(b.reference, a.reference),
		cmp.Compare(b.state.Revision, a.state.Revision))
}

// sameWindow reports whether two are revisions of one window against one reference.
func sameWindow(a, b *found) bool {
	return a.state.Window.Start == b.state.Window.Start && a.reference == b.reference
}

// resultTags narrows a question to one series of windows.
func resultTags(q history.Series, more ...tag) []tag {
	return append(more, tag{TagModel, q.Model}, tag{TagVersion, q.Version}, tag{TagSegment, q.Segment}, tag{TagWindow, WindowTag(q.Size)})
}

// resolve finds a series. Without a size it takes the smallest; without a window of that size the series is simply empty.
func (db *DB) resolve(ctx context.Context, q history.Series) (history.Series, error) {
	q = q.WithDefaults()
	if q.Size < 0 {
		return q, &history.QueryError{Field: "size", Detail: "must be positive"}
	}
	s := everywhere(MeasurementSummary, []tag{{TagModel, q.Model}}, FieldRevision)
	s.perSeries = 1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return q, err
	}
	if len(rows) == 0 {
		return q, &history.NotFoundError{What: "model", Name: q.Model}
	}
	smallest := int64(0)
	for i := range rows {
		if rows[i].tag(TagVersion) != q.Version || rows[i].tag(TagSegment) != q.Segment {
			continue
		}
		if size := windowSize(rows[i].tags[TagWindow]); smallest == 0 || size < smallest {
			smallest = size
		}
	}
	if smallest == 0 {
		return q, &history.NotFoundError{What: "series", Name: q.Model + " version " + q.Version + " segment " + q.Segment}
	}
	if q.Size == 0 {
		q.Size = smallest
	}
	return q, nil
}

// span returns the times at which the points of windows lie whose start is in [from, to), where they are as long as their
// size says. Of those that were extended, the newest lies behind; see straddling.
func span(size, from, to int64) (first, end int64) {
	first, end = -maxTime, int64(maxTime)
	if from > -maxTime {
		first = from + size
	}
	if to < maxTime-size-maxRevision {
		end = to + size + maxRevision
	}
	return first, end
}

// bounds returns a range's limits: the first start that is in it, and the first after it.
func bounds(r history.Range) (from, to int64) {
	from, to = r.From, r.To
	if from == 0 {
		from = -maxTime
	}
	if to == 0 {
		to = maxTime
	}
	return max(from, -maxTime), min(to, maxTime)
}

// windows returns the windows that reads show, newest first: at most n from the position on, and whether there are more.
func (db *DB) windows(ctx context.Context, q history.Series, rg history.Range, at position, n int) ([]*found, bool, error) {
	from, to := bounds(rg)
	if at.start < to {
		to = at.start + 1
	}
	first, end := span(q.Size, from, to)
	all, err := db.straddling(ctx, q, end, to)
	if err != nil {
		return nil, false, err
	}
	seen := map[string]bool{}
	for chunk := 2*n + 16; ; chunk *= 2 {
		s := everywhere(MeasurementSummary, resultTags(q), stateFields()...)
		s.from, s.to, s.limit = first, end, chunk
		rows, err := db.query(ctx, &s)
		if err != nil {
			return nil, false, err
		}
		added := false
		for i := range rows {
			f, err := toFound(&rows[i])
			if err != nil {
				return nil, false, err
			}
			if !seen[f.state.ResultID] {
				seen[f.state.ResultID], added = true, true
				all = append(all, f)
			}
		}
		whole := len(rows) < chunk
		shown, err := db.choose(ctx, q, all, whole)
		if err != nil {
			return nil, false, err
		}
		shown = slices.DeleteFunc(shown, func(f *found) bool {
			start := f.state.Window.Start
			return start < from || start >= to || (start == at.start && f.reference >= at.reference)
		})
		switch {
		case len(shown) > n:
			return shown[:n], true, nil
		case whole:
			return shown, false, nil
		}
		if added { // the next rows begin with the time of the last one: other references may share it
			end = rows[len(rows)-1].time + 1
		}
	}
}

// straddling returns the windows that start before to and were extended, for want of events, to an end at or after end.
// Windows that are extended follow each other, so that there is at most one for each reference.
func (db *DB) straddling(ctx context.Context, q history.Series, end, to int64) ([]*found, error) {
	if end >= maxTime {
		return nil, nil
	}
	s := everywhere(MeasurementSummary, resultTags(q), stateFields()...)
	s.from, s.newest, s.limit = end, false, revisionsLooked
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	var out []*found
	for i := range rows {
		f, err := toFound(&rows[i])
		if err != nil {
			return nil, err
		}
		if f.state.Window.Start < to {
			out = append(out, f)
		}
	}
	return out, nil
}

// choose returns of each window and reference the revision that reads show: the newest one whose documents are all there, so
// that a revision on its way never hides a whole one; before any is whole, the newest. Where more rows are to come, the
// oldest window is left out: they may belong to it.
func (db *DB) choose(ctx context.Context, q history.Series, all []*found, whole bool) ([]*found, error) {
	sorted := slices.SortedFunc(slices.Values(all), later)
	var groups [][]*found
	for i, f := range sorted {
		if i > 0 && sameWindow(sorted[i-1], f) {
			groups[len(groups)-1] = append(groups[len(groups)-1], f)
			continue
		}
		groups = append(groups, []*found{f})
	}
	if !whole && len(sorted) > 0 {
		last := sorted[len(sorted)-1].state.Window.Start // a straddling window is never the oldest but alone
		groups = slices.DeleteFunc(groups, func(g []*found) bool { return g[0].state.Window.Start == last })
	}
	var revised []*found
	for _, g := range groups {
		if len(g) > 1 {
			revised = append(revised, g...)
		}
	}
	if err := db.countParts(ctx, q, revised); err != nil {
		return nil, err
	}
	shown := make([]*found, 0, len(groups))
	for _, g := range groups {
		best := g[0]
		if i := slices.IndexFunc(g, func(f *found) bool { return f.stored >= f.parts }); i >= 0 {
			best = g[i]
		}
		best.current = true
		shown = append(shown, best)
	}
	return shown, nil
}

// countParts looks how many feature documents of each result are there.
func (db *DB) countParts(ctx context.Context, q history.Series, of []*found) error {
	if len(of) == 0 {
		return nil
	}
	from, to := of[0].time, of[0].time
	byID := make(map[string]*found, len(of))
	for _, f := range of {
		from, to = min(from, f.time), max(to, f.time)
		byID[f.state.ResultID] = f
		f.stored = 0
	}
	s := everywhere(MeasurementDocument, resultTags(q), FieldResultID)
	s.from, s.to = from, to+1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return err
	}
	for i := range rows {
		if f := byID[rows[i].text(FieldResultID)]; f != nil && rows[i].tags[TagPart] != partSummary {
			f.stored++
		}
	}
	return nil
}

// newest returns the newest window of each size of the series in rows, by version, segment and size: one with events where
// there is any, for labels alone say nothing of a model's state.
func (db *DB) newest(ctx context.Context, model string, narrow ...tag) ([]*found, error) {
	type series struct {
		version, segment string
		size             int64
	}
	best := map[series]*found{}
	for _, op := range []struct {
		field string
		value any
	}{{FieldEvents, int64(0)}, {"", nil}} {
		s := everywhere(MeasurementSummary, append([]tag{{TagModel, model}}, narrow...), stateFields()...)
		s.perSeries, s.field, s.op, s.value = revisionsLooked, op.field, ">", op.value
		rows, err := db.query(ctx, &s)
		if err != nil {
			return nil, err
		}
		by := map[series][]*found{}
		for i := range rows {
			f, err := toFound(&rows[i])
			if err != nil {
				return nil, err
			}
			key := series{f.state.Version, f.state.Segment, f.state.Window.Size}
			by[key] = append(by[key], f)
		}
		for key, all := range by {
			if best[key] != nil {
				continue
			}
			shown, err := db.choose(ctx, history.Series{Model: model, Version: key.version, Segment: key.segment, Size: key.size}, all, true)
			if err != nil {
				return nil, err
			}
			best[key] = shown[0]
		}
	}
	out := make([]*found, 0, len(best))
	for _, f := range best {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b *found) int {
		return cmp.Or(strings.Compare(a.state.Version, b.state.Version), strings.Compare(a.state.Segment, b.state.Segment),
			cmp.Compare(a.state.Window.Size, b.state.Window.Size))
	})
	return out, nil
}

// Models lists the models by name, each with the newest window of each size. The cursor of a page is its last name.
func (db *DB) Models(ctx context.Context, p history.Page) (models []history.Model, next string, err error) {
	n, err := limit(p.Limit, defaultLimit, maxLimit)
	if err != nil {
		return nil, "", err
	}
	s := everywhere(MeasurementSummary, []tag{{TagVersion, result.All}, {TagSegment, result.All}}, FieldRevision)
	s.perSeries = 1
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, "", err
	}
	var names []string
	for i := range rows {
		if name := rows[i].tag(TagModel); name > p.Cursor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) > n {
		names, next = names[:n], names[n-1]
	}
	models = make([]history.Model, 0, len(names))
	for _, name := range names {
		m := history.Model{Model: name, Newest: math.MinInt64, Latest: []history.State{}}
		latest, err := db.newest(ctx, name, tag{TagVersion, result.All}, tag{TagSegment, result.All})
		if err != nil {
			return nil, "", err
		}
		for _, f := range latest {
			m.Latest = append(m.Latest, f.state)
		}
		if m.Newest, err = db.newestEnd(ctx, name); err != nil {
			return nil, "", err
		}
		models = append(models, m)
	}
	return models, next, nil
}

// newestEnd returns the end of a model's newest window.
func (db *DB) newestEnd(ctx context.Context, model string) (int64, error) {
	s := everywhere(MeasurementSummary, []tag{{TagModel, model}}, FieldRevision)
	s.limit = 1
	rows, err := db.query(ctx, &s)
	if err != nil || len(rows) == 0 {
		return math.MinInt64, err
	}
	return rows[0].time - rows[0].int(FieldRevision), nil
}

// Model returns one model: what can be selected in it, and the newest window of each of its series.
func (db *DB) Model(ctx context.Context, name string) (*history.ModelDetail, error) {
	m := &history.ModelDetail{Model: name, Newest: 0, Oldest: maxTime, Versions: []string{}, Segments: []string{}, Sizes: []int64{}, Latest: []history.State{}}
	latest, err := db.newest(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(latest) == 0 {
		return nil, &history.NotFoundError{What: "model", Name: name}
	}
	for _, f := range latest {
		m.Latest = append(m.Latest, f.state)
		m.Versions, m.Segments = append(m.Versions, f.state.Version), append(m.Segments, f.state.Segment)
		m.Sizes = append(m.Sizes, f.state.Window.Size)
	}
	slices.Sort(m.Versions)
	slices.Sort(m.Segments)
	slices.Sort(m.Sizes)
	m.Versions, m.Segments, m.Sizes = slices.Compact(m.Versions), slices.Compact(m.Segments), slices.Compact(m.Sizes)
	if m.Newest, err = db.newestEnd(ctx, name); err != nil {
		return nil, err
	}
	s := everywhere(MeasurementSummary, []tag{{TagModel, name}}, FieldStart)
	s.perSeries, s.newest = 1, false
	rows, err := db.query(ctx, &s)
	if err != nil {
		return nil, err
	}
	for i := range rows {
		m.Oldest = min(m.Oldest, rows[i].int(FieldStart))
	}
	return m, nil
}
