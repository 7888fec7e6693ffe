package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/web"
)

// recallEvery is how often the store is asked for what was said before this process began, until it has answered.
const recallEvery = time.Second

// lastResults is what the last final window of each model said, all versions and segments together, by size of window: the gauges of
// models in /metrics. It learns of a window when its commit is stored, and of the windows before this process from the store. Only
// models of partitions that this process works on are in it, so that every model is shown by one daemon.
type lastResults struct {
	bounds config.WebMetrics
	log    *slog.Logger
	models []modelMetric
	hidden [2]*prometheus.Desc // models, features
	feats  featureMetrics
	right  qualityMetrics

	mu      sync.Mutex
	owned   map[int]bool // partitions that are worked on; true: the store was asked for their models
	of      map[lastKey]*lastResult
	quality map[lastKey]*lastQuality
}

type lastKey struct {
	model string
	size  int64
}

// lastResult is never changed once it is in the table.
type lastResult struct {
	partition int
	summary   result.Summary
	features  []lastFeature // at most as many as are shown
}

// lastFeature is what is shown of a feature: its bins are not kept.
type lastFeature struct {
	name           string
	role           result.Role
	verdict        result.Verdict
	gate           string
	value, q       *float64
	missing        *float64
	warning, drift float64
}

// modelMetric is one metric of a model; read returns one value for each value of its own label, or a single one under "".
type modelMetric struct {
	desc *prometheus.Desc
	read func(*result.Summary) map[string]*float64
}

type featureMetrics struct{ level, gate, threshold, q, missing *prometheus.Desc }

func newLastResults(bounds config.WebMetrics, log *slog.Logger) *lastResults {
	model := []string{"model", "window"}
	one := func(name, help string, read func(*result.Summary) *float64) modelMetric {
		return modelMetric{desc(name, help, model...), func(s *result.Summary) map[string]*float64 { return map[string]*float64{"": read(s)} }}
	}
	number := func(n uint64) *float64 { f := float64(n); return &f }
	feature := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"model", "window", "role", "feature"}, more...)...)
	}
	return &lastResults{
		bounds: bounds, log: log,
		models: []modelMetric{
			one("driftd_model_window_end_timestamp_seconds", "End of the model's last final window, in event time.", func(s *result.Summary) *float64 {
				return new(float64(s.Window.End) / 1000)
			}),
			one("driftd_model_window_size_seconds", "Size of the window.", func(s *result.Summary) *float64 { return new(float64(s.Window.Size) / 1000) }),
			one("driftd_model_verdict_level", "Verdict of the last final window: 2 drift, 1 warning, 0 stable, -1 insufficient.", func(s *result.Summary) *float64 {
				return new(float64(s.Verdict.Level()))
			}),
			one("driftd_model_drift_share", "Share of the judged features that drift, by their weight.", func(s *result.Summary) *float64 { return s.DriftShare }),
			one("driftd_model_complete", "Whether no input of the last final window was lost.", func(s *result.Summary) *float64 {
				return new(truth(s.Complete))
			}),
			one("driftd_model_features", "Features of the last final window.", func(s *result.Summary) *float64 { return number(uint64(s.Features)) }),
			one("driftd_model_events", "Prediction events of the last final window.", func(s *result.Summary) *float64 { return number(s.Counts.Events) }),
			one("driftd_model_labels", "Labels whose own time lies in the last final window.", func(s *result.Summary) *float64 {
				return number(s.Counts.Labels)
			}),
			one("driftd_model_throughput_hz", "Events a second of the last final window.", func(s *result.Summary) *float64 { return &s.ThroughputHz }),
			one("driftd_model_error_ratio", "Events whose status is not a success, over all events of the last final window.", func(s *result.Summary) *float64 {
				if s.Counts.Events == 0 {
					return nil
				}
				return new(float64(s.Errors) / float64(s.Counts.Events))
			}),
			{
				desc("driftd_model_latency_seconds", "Quantile q of the service times of the last final window.", append(model, "q")...),
				func(s *result.Summary) map[string]*float64 { return seconds(s.Latency.Quantiles) },
			},
			{
				desc("driftd_model_latency_reference_seconds", "Quantile q of the service times of the reference.", append(model, "q")...),
				func(s *result.Summary) map[string]*float64 { return seconds(s.Latency.Reference) },
			},
		},
		hidden: [2]*prometheus.Desc{
			desc("driftd_metrics_hidden_models", "Models that are not shown here, beyond web.metrics.models."),
			desc("driftd_metrics_hidden_features", "Features that are not shown here, beyond web.metrics.features."),
		},
		feats: featureMetrics{
			level: feature("driftd_feature_verdict_level", "Verdict of the feature in the last final window: 2 drift, 1 warning, 0 stable, -1 insufficient."),
			gate:  feature("driftd_feature_gate", "Value of the statistic that the feature's verdict was taken by.", "statistic"),
			threshold: feature("driftd_feature_threshold", "Value of driftd_feature_gate from which on the feature warns or drifts, where it is significant.",
				"level"),
			q:       feature("driftd_feature_q_value", "The gate's p-value, adjusted over the model's features."),
			missing: feature("driftd_feature_missing_ratio", "Missing values over all events of the last final window."),
		},
		right: newQualityMetrics(),
		mu:    sync.Mutex{}, owned: map[int]bool{}, of: map[lastKey]*lastResult{}, quality: map[lastKey]*lastQuality{},
	}
}

func seconds(ms map[string]*float64) map[string]*float64 {
	out := make(map[string]*float64, len(ms))
	for q, v := range ms {
		if v != nil {
			out[q] = new(*v / 1000)
		}
	}
	return out
}

// begin notes that this process works on a partition, end that it does not any longer.
func (l *lastResults) begin(partition int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owned[partition] = false
}

func (l *lastResults) end(partition int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.owned, partition)
	maps.DeleteFunc(l.of, func(_ lastKey, r *lastResult) bool { return r.partition == partition })
	maps.DeleteFunc(l.quality, func(_ lastKey, q *lastQuality) bool { return q.partition == partition })
}

// committed takes the documents of a commit that was stored.
func (l *lastResults) committed(partition int, docs []result.Doc) {
	if l.bounds.Models == 0 {
		return
	}
	if err := l.take(partition, docs); err != nil {
		l.log.Error("a committed result cannot be read: /metrics does not show it", slog.Any("err", err))
	}
}

// take reads results. The documents of one result are in one commit, its summary first.
func (l *lastResults) take(partition int, docs []result.Doc) error {
	var last *lastResult
	for _, d := range docs {
		if d.Kind != result.KindResult {
			continue
		}
		id, _, isPart := strings.Cut(d.ID, ".")
		if !isPart {
			l.put(last)
			var err error
			if last, err = l.begun(partition, d.Data); err != nil {
				return fmt.Errorf("reading result %s: %w", d.ID, err)
			}
			continue
		}
		if last != nil && last.summary.ResultID == id && len(last.features) < l.bounds.Features {
			var part result.FeatureDoc
			if err := json.Unmarshal(d.Data, &part); err != nil {
				return fmt.Errorf("reading result %s: %w", d.ID, err)
			}
			l.add(last, part.Features...)
		}
	}
	l.put(last)
	return nil
}

// begun takes the first document of a result: a summary, which its features follow, or one about quality, which is whole.
func (l *lastResults) begun(partition int, data []byte) (*lastResult, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Type != "quality" {
		return newLast(partition, data)
	}
	q, err := newQuality(data)
	l.putQuality(partition, q)
	return nil, err
}

// newLast reads a summary; nil: it is of a version or segment alone.
func newLast(partition int, summary []byte) (*lastResult, error) {
	r := &lastResult{partition: partition, features: nil} //nolint:exhaustruct // read below
	if err := json.Unmarshal(summary, &r.summary); err != nil {
		return nil, err
	}
	if r.summary.Key.Version != result.All || r.summary.Key.Segment != result.All {
		return nil, nil //nolint:nilnil // there is none
	}
	r.summary.Reasons = nil // not shown
	return r, nil
}

// add keeps what is shown of features, as many as are.
func (l *lastResults) add(r *lastResult, features ...result.Feature) {
	for i := range features[:min(len(features), l.bounds.Features-len(r.features))] {
		f := &features[i]
		r.features = append(r.features, lastFeature{
			name: f.Feature, role: f.Role, verdict: f.Verdict, gate: f.Thresholds.Statistic, value: f.Statistics[f.Thresholds.Statistic].Value,
			q: f.QValue, missing: f.Statistics["missing_rate"].Value, warning: f.Thresholds.Warning, drift: f.Thresholds.Drift,
		})
	}
}

// put keeps a result, unless a newer one is known or the partition was given up meanwhile.
func (l *lastResults) put(r *lastResult) {
	if r == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, owned := l.owned[r.partition]; !owned {
		return
	}
	key := lastKey{r.summary.Key.Model, r.summary.Window.Size}
	if old := l.of[key]; old == nil || cmp.Or(cmp.Compare(r.summary.Window.End, old.summary.Window.End), cmp.Compare(r.summary.Revision, old.summary.Revision)) >= 0 {
		l.of[key] = r
	}
}

// unasked returns the partitions whose models' last windows the store was not asked for.
func (l *lastResults) unasked() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []int
	for partition, asked := range l.owned {
		if !asked {
			out = append(out, partition)
		}
	}
	slices.Sort(out)
	return out
}

func (l *lastResults) asked(partitions []int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range partitions {
		if _, owned := l.owned[p]; owned {
			l.owned[p] = true
		}
	}
}

// recall asks the store, whenever this process has begun to work on a partition, what the models of the partition said last. It waits until
// everything that was committed before is in the store.
func (a *App) recall(ctx context.Context) error {
	tick := time.NewTicker(recallEvery)
	defer tick.Stop()
	for {
		if todo := a.last.unasked(); len(todo) > 0 && a.last.bounds.Models > 0 {
			if err := a.recallOnce(ctx, todo); err == nil {
				a.last.asked(todo)
			} else if ctx.Err() == nil {
				a.log.Debug("asking the store for the last results, for /metrics", slog.Any("err", err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *App) recallOnce(ctx context.Context, partitions []int) error {
	for _, p := range partitions {
		if n := a.forwarderStats(p).Backlog.Load(); n > 0 {
			return fmt.Errorf("%d documents are on their way to the outbox", n)
		}
	}
	wait, cancel := context.WithTimeout(ctx, recallEvery)
	defer cancel()
	if err := a.sink.drain(wait); err != nil {
		return fmt.Errorf("waiting for the store: %w", err)
	}
	for cursor := ""; ; {
		models, next, err := a.reader.Models(ctx, history.Page{Limit: 0, Cursor: cursor})
		if err != nil {
			return fmt.Errorf("reading models: %w", err)
		}
		for i := range models {
			if p, ok := a.config.NATS.PartitionOf(models[i].Model); ok && slices.Contains(partitions, p) {
				for _, s := range models[i].Latest {
					if err := a.last.recall(ctx, a.reader, p, models[i].Model, s.ResultID); err != nil {
						return err
					}
					if s.Version != result.All || s.Segment != result.All {
						continue
					}
					labels := a.config.Models[models[i].Model].Labels
					series := history.Series{Model: models[i].Model, Version: s.Version, Segment: s.Segment, Size: s.Window.Size}
					if err := a.last.recallQuality(ctx, a.reader, p, &labels, series); err != nil {
						return err
					}
				}
			}
		}
		if cursor = next; cursor == "" {
			return nil
		}
	}
}

func (l *lastResults) recall(ctx context.Context, reader web.Reader, partition int, model, id string) error {
	w, err := reader.Window(ctx, model, id)
	if err != nil {
		return fmt.Errorf("reading result %s of %s: %w", id, model, err)
	}
	r, err := newLast(partition, w.Summary)
	if err != nil || r == nil {
		return err
	}
	for _, text := range w.Features[:min(len(w.Features), l.bounds.Features)] {
		var f result.Feature
		if err := json.Unmarshal(text, &f); err != nil {
			return fmt.Errorf("reading result %s of %s: %w", id, model, err)
		}
		l.add(r, f)
	}
	l.put(r)
	return nil
}

// Describe implements prometheus.Collector.
func (l *lastResults) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range l.models {
		ch <- m.desc
	}
	for _, d := range append(l.hidden[:], l.feats.level, l.feats.gate, l.feats.threshold, l.feats.q, l.feats.missing) {
		ch <- d
	}
	for _, d := range l.right.all() {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l *lastResults) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v *float64, labels ...string) {
		if v != nil {
			ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, *v, labels...)
		}
	}
	l.mu.Lock()
	all, quality := maps.Clone(l.of), maps.Clone(l.quality)
	l.mu.Unlock()
	var names []string
	for key := range all {
		names = append(names, key.model)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	shown := names[:min(len(names), l.bounds.Models)]
	hiddenFeatures := 0
	for key, r := range all {
		if _, ok := slices.BinarySearch(shown, key.model); !ok {
			continue
		}
		window := influx.WindowTag(key.size)
		if q := quality[key]; q != nil {
			l.right.collect(gauge, q, key.model, window)
		}
		for _, m := range l.models {
			for label, v := range m.read(&r.summary) {
				labels := []string{key.model, window}
				if label != "" {
					labels = append(labels, label)
				}
				gauge(m.desc, v, labels...)
			}
		}
		for i := range r.features {
			f := &r.features[i]
			labels := []string{key.model, window, string(f.role), f.name}
			gauge(l.feats.level, new(float64(f.verdict.Level())), labels...)
			gauge(l.feats.gate, f.value, append(labels, f.gate)...)
			gauge(l.feats.threshold, &f.warning, append(labels, "warning")...)
			gauge(l.feats.threshold, &f.drift, append(labels, "drift")...)
			gauge(l.feats.q, f.q, labels...)
			gauge(l.feats.missing, f.missing, labels...)
		}
		if l.bounds.Features > 0 {
			hiddenFeatures += r.summary.Features - len(r.features)
		}
	}
	gauge(l.hidden[0], new(float64(len(names)-len(shown))))
	gauge(l.hidden[1], new(float64(hiddenFeatures)))
}
