package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

const hour = 3_600_000

// said returns the documents of a window with an end, a share of drifting features and two features.
func said(t *testing.T, model, version string, end int64, revision int, share float64) []result.Doc {
	t.Helper()
	ref := &result.ReferenceID{Name: "r", Fingerprint: "sha256:00"}
	s := result.Summary{
		Schema: result.SchemaVersion, Type: "summary", Key: result.Key{Model: model, Version: version, Segment: result.All},
		Window: result.Window{Start: end - hour, End: end, Size: hour}, Revision: revision, Complete: true, Ref: ref,
		Counts: result.Counts{Events: 200, Labels: 50, Rejected: map[string]uint64{}}, ThroughputHz: 200.0 / 3600, Errors: 3, Status: map[string]uint64{},
		Latency:  result.Latency{Count: 200, Quantiles: map[string]*float64{"0.5": new(12.0), "0.99": new(80.0)}, Reference: map[string]*float64{"0.5": new(10.0), "0.99": nil}},
		Features: 2, Parts: 1, DriftShare: &share, Verdict: result.Drift, Reasons: []string{},
	}
	s.ResultID = result.ID(s.Key, s.Window, s.Window.Size, ref.Fingerprint, revision)
	f := result.FeatureDoc{
		Schema: s.Schema, Type: "features", ResultID: s.ResultID, Key: s.Key, Window: s.Window, Revision: revision, Ref: ref,
		Features: []result.Feature{
			{
				Feature: "age", Role: result.RoleFeature, Kind: "numeric", QValue: new(0.001), Verdict: result.Drift, Bins: []result.Bin{},
				Statistics: map[string]result.Stat{"psi_debiased": {Value: new(0.5)}, "missing_rate": {Value: new(0.25)}},
				Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25},
			},
			{
				Feature: "country", Role: result.RoleFeature, Kind: "categorical", Verdict: result.Insufficient, Bins: []result.Bin{},
				Statistics: map[string]result.Stat{"psi_debiased": {Reason: "empty"}}, Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25},
			},
		},
	}
	doc := func(id string, v any) result.Doc {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return result.Doc{ID: id, Kind: result.KindResult, Model: model, Data: data}
	}
	return []result.Doc{doc(s.ResultID, s), doc(s.ResultID+".0", f)}
}

func lastOf(t *testing.T, bounds config.WebMetrics) (*lastResults, *prometheus.Registry) {
	t.Helper()
	l := newLastResults(bounds, slog.New(slog.DiscardHandler))
	l.begin(0)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(l)
	return l, registry
}

// What is shown is the newest window of all versions together, in the newest revision, whatever order they come in.
func TestLastResultIsTheNewest(t *testing.T) {
	l, registry := lastOf(t, config.WebMetrics{Models: 10, Features: 10})
	for _, docs := range [][]result.Doc{
		said(t, "credit", result.All, 2*hour, 0, 0.1), said(t, "credit", result.All, 3*hour, 0, 0.2), said(t, "credit", result.All, 3*hour, 1, 0.3),
		said(t, "credit", result.All, 2*hour, 1, 0.4), said(t, "credit", "v2", 4*hour, 0, 0.5), said(t, "churn", result.All, hour, 0, 0.6),
	} {
		l.committed(0, docs)
	}
	want := `
# HELP driftd_feature_gate Value of the statistic that the feature's verdict was taken by.
# TYPE driftd_feature_gate gauge
driftd_feature_gate{feature="age",model="churn",role="feature",statistic="psi_debiased",window="1h"} 0.5
driftd_feature_gate{feature="age",model="credit",role="feature",statistic="psi_debiased",window="1h"} 0.5
# HELP driftd_feature_missing_ratio Missing values over all events of the last final window.
# TYPE driftd_feature_missing_ratio gauge
driftd_feature_missing_ratio{feature="age",model="churn",role="feature",window="1h"} 0.25
driftd_feature_missing_ratio{feature="age",model="credit",role="feature",window="1h"} 0.25
# HELP driftd_metrics_hidden_features Features that are not shown here, beyond web.metrics.features.
# TYPE driftd_metrics_hidden_features gauge
driftd_metrics_hidden_features 0
# HELP driftd_metrics_hidden_models Models that are not shown here, beyond web.metrics.models.
# TYPE driftd_metrics_hidden_models gauge
driftd_metrics_hidden_models 0
# HELP driftd_model_drift_share Share of the judged features that drift, by their weight.
# TYPE driftd_model_drift_share gauge
driftd_model_drift_share{model="churn",window="1h"} 0.6
driftd_model_drift_share{model="credit",window="1h"} 0.3
# HELP driftd_model_error_ratio Events whose status is not a success, over all events of the last final window.
# TYPE driftd_model_error_ratio gauge
driftd_model_error_ratio{model="churn",window="1h"} 0.015
driftd_model_error_ratio{model="credit",window="1h"} 0.015
# HELP driftd_model_latency_reference_seconds Quantile q of the service times of the reference.
# TYPE driftd_model_latency_reference_seconds gauge
driftd_model_latency_reference_seconds{model="churn",q="0.5",window="1h"} 0.01
driftd_model_latency_reference_seconds{model="credit",q="0.5",window="1h"} 0.01
# HELP driftd_model_window_end_timestamp_seconds End of the model's last final window, in event time.
# TYPE driftd_model_window_end_timestamp_seconds gauge
driftd_model_window_end_timestamp_seconds{model="churn",window="1h"} 3600
driftd_model_window_end_timestamp_seconds{model="credit",window="1h"} 10800
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "driftd_feature_gate", "driftd_feature_missing_ratio", "driftd_metrics_hidden_features",
		"driftd_metrics_hidden_models", "driftd_model_drift_share", "driftd_model_error_ratio", "driftd_model_latency_reference_seconds",
		"driftd_model_window_end_timestamp_seconds"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Models and features are bounded, what is beyond is counted, and a partition that is given up takes its models along.
func TestLastResultsAreBounded(t *testing.T) {
	l, registry := lastOf(t, config.WebMetrics{Models: 2, Features: 1})
	for i := range 5 {
		l.committed(0, said(t, fmt.Sprintf("m%d", 4-i), result.All, hour, 0, 0.1))
	}
	l.committed(1, said(t, "a", result.All, hour, 0, 0.1)) // not worked on
	want := `
# HELP driftd_feature_verdict_level Verdict of the feature in the last final window: 2 drift, 1 warning, 0 stable, -1 insufficient.
# TYPE driftd_feature_verdict_level gauge
driftd_feature_verdict_level{feature="age",model="m0",role="feature",window="1h"} 2
driftd_feature_verdict_level{feature="age",model="m1",role="feature",window="1h"} 2
# HELP driftd_metrics_hidden_features Features that are not shown here, beyond web.metrics.features.
# TYPE driftd_metrics_hidden_features gauge
driftd_metrics_hidden_features 2
# HELP driftd_metrics_hidden_models Models that are not shown here, beyond web.metrics.models.
# TYPE driftd_metrics_hidden_models gauge
driftd_metrics_hidden_models 3
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "driftd_feature_verdict_level", "driftd_metrics_hidden_features",
		"driftd_metrics_hidden_models"); err != nil {
		t.Error(err)
	}
	l.end(0)
	if n, err := testutil.GatherAndCount(registry, "driftd_model_events"); err != nil || n != 0 {
		t.Errorf("%d models after the partition was given up, %v", n, err)
	}
	off, registry := lastOf(t, config.WebMetrics{Models: 0, Features: 5})
	off.committed(0, said(t, "a", result.All, hour, 0, 0.1))
	if n, err := testutil.GatherAndCount(registry, "driftd_model_events", "driftd_metrics_hidden_models"); err != nil || n != 1 {
		t.Errorf("%d series with models: 0, want the one that counts what is hidden; %v", n, err)
	}
}

// After a start the store says what was said last, and does not undo what was committed meanwhile.
func TestLastResultsAreRecalled(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	write := func(docs []result.Doc) {
		t.Helper()
		var all []store.Document
		for _, d := range docs {
			all = append(all, store.Document{ID: d.ID, Data: d.Data})
		}
		if err := s.Write(context.Background(), all); err != nil {
			t.Fatal(err)
		}
	}
	old, newer := said(t, "credit", result.All, 2*hour, 0, 0.1), said(t, "churn", result.All, 9*hour, 0, 0.9)
	write(old)
	write(said(t, "churn", result.All, 5*hour, 0, 0.5))
	l, registry := lastOf(t, config.WebMetrics{Models: 10, Features: 10})
	l.committed(0, newer)
	for model, docs := range map[string][]result.Doc{"credit": old, "churn": said(t, "churn", result.All, 5*hour, 0, 0.5)} {
		if err := l.recall(t.Context(), s, 0, model, docs[0].ID); err != nil {
			t.Fatal(err)
		}
	}
	want := `
# HELP driftd_feature_threshold Value of driftd_feature_gate from which on the feature warns or drifts, where it is significant.
# TYPE driftd_feature_threshold gauge
driftd_feature_threshold{feature="age",level="drift",model="churn",role="feature",window="1h"} 0.25
driftd_feature_threshold{feature="age",level="drift",model="credit",role="feature",window="1h"} 0.25
driftd_feature_threshold{feature="age",level="warning",model="churn",role="feature",window="1h"} 0.1
driftd_feature_threshold{feature="age",level="warning",model="credit",role="feature",window="1h"} 0.1
driftd_feature_threshold{feature="country",level="drift",model="churn",role="feature",window="1h"} 0.25
driftd_feature_threshold{feature="country",level="drift",model="credit",role="feature",window="1h"} 0.25
driftd_feature_threshold{feature="country",level="warning",model="churn",role="feature",window="1h"} 0.1
driftd_feature_threshold{feature="country",level="warning",model="credit",role="feature",window="1h"} 0.1
# HELP driftd_model_drift_share Share of the judged features that drift, by their weight.
# TYPE driftd_model_drift_share gauge
driftd_model_drift_share{model="churn",window="1h"} 0.9
driftd_model_drift_share{model="credit",window="1h"} 0.1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "driftd_model_drift_share", "driftd_feature_threshold"); err != nil {
		t.Error(err)
	}
}
