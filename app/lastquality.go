package app

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/web"
)

// lastQuality is what was said last of how right a model is, all versions together: the newest window whose labels have all come that count, and
// the newest window of all, whose estimate needs none. It is never changed once it is in the table.
type lastQuality struct {
	partition     int
	final, newest *result.Quality
}

type qualityMetrics struct {
	end, coverage, delay                    *prometheus.Desc
	value, bound, reference                 *prometheus.Desc
	estimateEnd, estimateValue, estimateTwo *prometheus.Desc
}

func newQualityMetrics() qualityMetrics {
	of := func(name, help string, more ...string) *prometheus.Desc {
		return desc(name, help, append([]string{"model", "window"}, more...)...)
	}
	return qualityMetrics{
		end: of("driftd_model_quality_window_end_timestamp_seconds", "End of the newest window whose last maturity has come, in event time."),
		coverage: of("driftd_model_label_coverage_ratio",
			"Labels over predictions of the newest window whose last maturity has come."),
		delay:     of("driftd_model_label_delay_seconds", "Quantile q of the time from a prediction to its label, of that window.", "q"),
		value:     of("driftd_model_quality", "A metric of quality of that window, by its name.", "metric"),
		bound:     of("driftd_model_quality_bound", "Lower and upper end of the metric's 95 % interval.", "metric", "bound"),
		reference: of("driftd_model_quality_reference", "The same metric of the reference, where it has labels.", "metric"),
		estimateEnd: of("driftd_model_quality_estimate_window_end_timestamp_seconds",
			"End of the newest window with an estimate of its quality, in event time."),
		estimateValue: of("driftd_model_quality_estimate", "A metric of quality as it is estimated without labels, of the newest window.", "metric"),
		estimateTwo:   of("driftd_model_quality_estimate_bound", "Lower and upper end of the band that the estimated metric should end up in.", "metric", "bound"),
	}
}

func (m *qualityMetrics) all() []*prometheus.Desc {
	return []*prometheus.Desc{m.end, m.coverage, m.delay, m.value, m.bound, m.reference, m.estimateEnd, m.estimateValue, m.estimateTwo}
}

// collect writes what is shown of the quality of a model.
func (m *qualityMetrics) collect(gauge func(*prometheus.Desc, *float64, ...string), q *lastQuality, model, window string) {
	metrics := func(value, bound *prometheus.Desc, all []result.Metric) {
		for i := range all {
			x := &all[i]
			gauge(value, x.Value, model, window, x.Name)
			if bound != nil {
				gauge(bound, x.Lower, model, window, x.Name, "lower")
				gauge(bound, x.Upper, model, window, x.Name, "upper")
			}
		}
	}
	if f := q.final; f != nil {
		gauge(m.end, new(float64(f.Window.End)/1000), model, window)
		gauge(m.coverage, f.Coverage, model, window)
		for quantile, v := range seconds(map[string]*float64{"0.5": f.DelayP50, "0.95": f.DelayP95}) {
			gauge(m.delay, v, model, window, quantile)
		}
		metrics(m.value, m.bound, f.Metrics)
		metrics(m.reference, nil, f.Reference)
	}
	if n := q.newest; n != nil && n.Estimate != nil {
		gauge(m.estimateEnd, new(float64(n.Window.End)/1000), model, window)
		metrics(m.estimateValue, m.estimateTwo, n.Estimate.Metrics)
	}
}

// newQuality reads a document about quality; nil: it is of a version or segment alone.
func newQuality(data []byte) (*result.Quality, error) {
	var q result.Quality
	if err := json.Unmarshal(data, &q); err != nil {
		return nil, err
	}
	if q.Key.Version != result.All || q.Key.Segment != result.All {
		return nil, nil //nolint:nilnil // there is none
	}
	q.Metrics, q.Reference, q.Change, q.Confusion, q.Reasons = shownMetrics(q.Metrics), shownMetrics(q.Reference), nil, nil, nil
	if q.Estimate != nil {
		q.Estimate.Metrics = shownMetrics(q.Estimate.Metrics)
	}
	return &q, nil
}

// shownMetrics are the metrics of all classes together: those of single classes, and estimated counts, are in the store and the API.
func shownMetrics(all []result.Metric) []result.Metric {
	var out []result.Metric
	for i := range all {
		if m := all[i]; m.Class == "" && !strings.HasSuffix(m.Name, "_positives") && !strings.HasSuffix(m.Name, "_negatives") {
			out = append(out, m)
		}
	}
	return out
}

// byTime orders documents about quality: by window, then by maturity.
func byTime(a, b *result.Quality) int {
	return cmp.Or(cmp.Compare(a.Window.End, b.Window.End), cmp.Compare(a.Maturity, b.Maturity))
}

// putQuality keeps what was said of quality, unless something newer is known or the partition was given up meanwhile.
func (l *lastResults) putQuality(partition int, q *result.Quality) {
	if q == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, owned := l.owned[partition]; !owned {
		return
	}
	key := lastKey{q.Key.Model, q.Window.Size}
	next := lastQuality{partition: partition, final: nil, newest: nil}
	if old := l.quality[key]; old != nil {
		next = *old
	}
	if q.Final && (next.final == nil || byTime(q, next.final) >= 0) {
		next.final = q
	}
	if next.newest == nil || byTime(q, next.newest) >= 0 {
		next.newest = q
	}
	l.quality[key] = &next
}

// recallQuality asks the store what was said last of the quality of a model's windows of one size.
func (l *lastResults) recallQuality(ctx context.Context, reader web.Reader, partition int, labels *config.Labels, series history.Series) error {
	if labels.Mode == "" || len(labels.Maturities) == 0 {
		return nil
	}
	last := time.Duration(labels.Maturities[len(labels.Maturities)-1]).Milliseconds()
	for _, maturity := range []*int64{nil, &last} {
		page, err := reader.Quality(ctx, history.QualityQuery{
			Series: series, Range: history.Range{From: 0, To: 0}, Page: history.Page{Limit: 1, Cursor: ""}, Maturity: maturity,
		})
		if err != nil {
			return fmt.Errorf("reading the quality of %s: %w", series.Model, err)
		}
		for _, data := range page.Documents {
			q, err := newQuality(data)
			if err != nil {
				return fmt.Errorf("reading the quality of %s: %w", series.Model, err)
			}
			l.putQuality(partition, q)
		}
	}
	return nil
}
