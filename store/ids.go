package store

import (
	"context"

	"github.com/driftd/driftd/result"
)

// ids remembers the row ids of names that have been written, so that a write looks each up once. It is dropped whenever a
// transaction fails or rows are removed: it may then hold ids that do not exist.
type ids struct {
	models   map[string]int64
	series   map[seriesName]int64
	features map[featureName]featureID
}

type seriesName struct {
	model            int64
	version, segment string
}

type featureName struct {
	model int64
	role  result.Role
	name  string
}

type featureID struct {
	id   int64
	kind string
}

func newIDs() ids {
	return ids{models: map[string]int64{}, series: map[seriesName]int64{}, features: map[featureName]featureID{}}
}

func (w *writer) model(ctx context.Context, name string) (int64, error) {
	if id, ok := w.cache.models[name]; ok {
		return id, nil
	}
	// DO UPDATE, because DO NOTHING returns no row.
	id, err := w.id(ctx, `INSERT INTO model (name, newest_end, pruned_before) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET name = name RETURNING id`, name, noTime, noTime)
	if err == nil {
		w.cache.models[name] = id
	}
	return id, err
}

func (w *writer) series(ctx context.Context, n seriesName) (int64, error) {
	if id, ok := w.cache.series[n]; ok {
		return id, nil
	}
	id, err := w.id(ctx, `INSERT INTO series (model_id, version, segment) VALUES (?, ?, ?)
		ON CONFLICT (model_id, version, segment) DO UPDATE SET version = version RETURNING id`, n.model, n.version, n.segment)
	if err == nil {
		w.cache.series[n] = id
	}
	return id, err
}

// feature returns the id of a feature; its kind is the one written last.
func (w *writer) feature(ctx context.Context, n featureName, kind string) (int64, error) {
	if f, ok := w.cache.features[n]; ok && f.kind == kind {
		return f.id, nil
	}
	id, err := w.id(ctx, `INSERT INTO feature (model_id, role, name, kind) VALUES (?, ?, ?, ?)
		ON CONFLICT (model_id, role, name) DO UPDATE SET kind = excluded.kind RETURNING id`, n.model, string(n.role), n.name, kind)
	if err == nil {
		w.cache.features[n] = featureID{id, kind}
	}
	return id, err
}

func (w *writer) id(ctx context.Context, query string, args ...any) (int64, error) {
	var id int64
	err := w.row(ctx, query, args...).Scan(&id)
	return id, err
}
