package app

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

// quality is what is said of an hourly window of 100 and more predictions; historytest makes its accuracy 0.75 of [0.7, 0.8].
func quality(t *testing.T, window int, maturity int64, labels uint64) result.Doc {
	t.Helper()
	w := historytest.Hourly(window)
	d := w.Quality(t, maturity, labels)
	return result.Doc{ID: d.ID, Kind: result.KindResult, Model: w.Model, Data: d.Data}
}

func compareMetrics(t *testing.T, registry *prometheus.Registry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// What is shown of quality is the newest window at its last maturity, and the estimate of the newest window of all. What is said of a window's quality does not
// take the place of what was said of the window.
func TestLastQuality(t *testing.T) {
	l, registry := lastOf(t, config.WebMetrics{Models: 10, Features: 0})
	w := historytest.Hourly(0)
	model := w.Model
	summary := said(t, model, result.All, w.Window().End, 0, 0.1)
	l.committed(0, append(summary, quality(t, 0, 0, 5)))
	const events = `
# HELP driftd_model_events Prediction events of the last final window.
# TYPE driftd_model_events gauge
driftd_model_events{model="MODEL",window="1h"} 200
`
	compareMetrics(t, registry, strings.ReplaceAll(events, "MODEL", model), "driftd_model_events")
	if n, err := testutil.GatherAndCount(registry, "driftd_model_quality", "driftd_model_quality_estimate"); err != nil || n != 1 {
		t.Errorf("%d series before the last maturity, want the estimate alone; %v", n, err)
	}
	l.committed(0, []result.Doc{quality(t, 1, 48*hour, 90), quality(t, 0, 48*hour, 80), quality(t, 2, hour, 10)})
	want := strings.NewReplacer("MODEL", model, "END", stampOf(historytest.Hourly(1).Window().End), "NEWEST", stampOf(historytest.Hourly(2).Window().End),
		"COVERAGE", strconv.FormatFloat(90.0/101, 'g', -1, 64)).Replace(`
# HELP driftd_model_label_coverage_ratio Labels over predictions of the newest window whose last maturity has come.
# TYPE driftd_model_label_coverage_ratio gauge
driftd_model_label_coverage_ratio{model="MODEL",window="1h"} COVERAGE
# HELP driftd_model_label_delay_seconds Quantile q of the time from a prediction to its label, of that window.
# TYPE driftd_model_label_delay_seconds gauge
driftd_model_label_delay_seconds{model="MODEL",q="0.5",window="1h"} 1
driftd_model_label_delay_seconds{model="MODEL",q="0.95",window="1h"} 5
# HELP driftd_model_quality A metric of quality of that window, by its name.
# TYPE driftd_model_quality gauge
driftd_model_quality{metric="accuracy",model="MODEL",window="1h"} 0.75
# HELP driftd_model_quality_bound Lower and upper end of the metric's 95 % interval.
# TYPE driftd_model_quality_bound gauge
driftd_model_quality_bound{bound="lower",metric="accuracy",model="MODEL",window="1h"} 0.7
driftd_model_quality_bound{bound="upper",metric="accuracy",model="MODEL",window="1h"} 0.8
# HELP driftd_model_quality_estimate A metric of quality as it is estimated without labels, of the newest window.
# TYPE driftd_model_quality_estimate gauge
driftd_model_quality_estimate{metric="accuracy",model="MODEL",window="1h"} 0.75
# HELP driftd_model_quality_estimate_window_end_timestamp_seconds End of the newest window with an estimate of its quality, in event time.
# TYPE driftd_model_quality_estimate_window_end_timestamp_seconds gauge
driftd_model_quality_estimate_window_end_timestamp_seconds{model="MODEL",window="1h"} NEWEST
# HELP driftd_model_quality_reference The same metric of the reference, where it has labels.
# TYPE driftd_model_quality_reference gauge
driftd_model_quality_reference{metric="accuracy",model="MODEL",window="1h"} 0.75
# HELP driftd_model_quality_window_end_timestamp_seconds End of the newest window whose last maturity has come, in event time.
# TYPE driftd_model_quality_window_end_timestamp_seconds gauge
driftd_model_quality_window_end_timestamp_seconds{model="MODEL",window="1h"} END
`)
	compareMetrics(t, registry, want, "driftd_model_label_coverage_ratio", "driftd_model_label_delay_seconds", "driftd_model_quality", "driftd_model_quality_bound",
		"driftd_model_quality_estimate", "driftd_model_quality_estimate_window_end_timestamp_seconds", "driftd_model_quality_reference",
		"driftd_model_quality_window_end_timestamp_seconds")
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	l.end(0)
	if n, err := testutil.GatherAndCount(registry, "driftd_model_quality"); err != nil || n != 0 {
		t.Errorf("%d series after the partition was given up, %v", n, err)
	}
}

// After a start the store says what was said last of quality.
func TestLastQualityIsRecalled(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	model := historytest.Hourly(0).Model
	docs := append(said(t, model, result.All, historytest.Hourly(2).Window().End, 0, 0.1), quality(t, 0, 48*hour, 40), quality(t, 1, 48*hour, 50), quality(t, 2, hour, 10))
	for _, d := range docs {
		if err := s.Write(t.Context(), []store.Document{{ID: d.ID, Data: d.Data}}); err != nil {
			t.Fatal(err)
		}
	}
	l, registry := lastOf(t, config.WebMetrics{Models: 10, Features: 0})
	if err := l.recall(t.Context(), s, 0, model, docs[0].ID); err != nil {
		t.Fatal(err)
	}
	labels := config.Labels{Mode: "full", Maturities: []config.Duration{config.Duration(time.Hour), 2 * config.Day}} //nolint:exhaustruct // what is looked at
	series := history.Series{Model: model, Version: result.All, Segment: result.All, Size: hour}
	if err := l.recallQuality(t.Context(), s, 0, &labels, series); err != nil {
		t.Fatal(err)
	}
	compareMetrics(t, registry, strings.NewReplacer("MODEL", model, "END", stampOf(historytest.Hourly(1).Window().End), "NEWEST", stampOf(historytest.Hourly(2).Window().End),
		"COVERAGE", strconv.FormatFloat(50.0/101, 'g', -1, 64)).Replace(`
# HELP driftd_model_label_coverage_ratio Labels over predictions of the newest window whose last maturity has come.
# TYPE driftd_model_label_coverage_ratio gauge
driftd_model_label_coverage_ratio{model="MODEL",window="1h"} COVERAGE
# HELP driftd_model_quality_estimate_window_end_timestamp_seconds End of the newest window with an estimate of its quality, in event time.
# TYPE driftd_model_quality_estimate_window_end_timestamp_seconds gauge
driftd_model_quality_estimate_window_end_timestamp_seconds{model="MODEL",window="1h"} NEWEST
# HELP driftd_model_quality_window_end_timestamp_seconds End of the newest window whose last maturity has come, in event time.
# TYPE driftd_model_quality_window_end_timestamp_seconds gauge
driftd_model_quality_window_end_timestamp_seconds{model="MODEL",window="1h"} END
`), "driftd_model_label_coverage_ratio", "driftd_model_quality_estimate_window_end_timestamp_seconds", "driftd_model_quality_window_end_timestamp_seconds")
}

// stampOf is milliseconds as Prometheus writes seconds.
func stampOf(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'g', -1, 64) }
