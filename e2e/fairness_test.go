package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/stat/vectortest"
	"github.com/driftd/driftd/result"
)

const fairnessConfig = `
models:
  elec2-up:
    windows: [{size: 1h}]
    lateness: 1m
    labels: {mode: full, task: binary, horizon: 4h, maturities: [1h]}
    segments: {sex: {values: ["1", "2"]}}
    fairness: {dimensions: [sex]}
    rules:
      gap: {kind: fairness, metric: accuracy_difference, dimension: sex, threshold: 0.01, for: 1 of 1}
`

// Real predictions and their labels through broker, daemon and store: the API tells how far two groups are apart, as plain definitions in Python do
// (../shared/vectors/fairness.jsonl), the quality of each, and the incident that a rule makes of it.
func TestFairness(t *testing.T) {
	type vector struct {
		Name                        string
		Groups, Predictions, Labels vectortest.Sample
		Stats                       struct {
			Groups   map[string]struct{ Accuracy *float64 }
			Parity   *float64 `json:"demographic_parity_difference"`
			Accuracy *float64 `json:"accuracy_difference"`
		}
	}
	vectortest.EachOf(t, "fairness.jsonl", "", func(t *testing.T, v *vector) {
		if v.Name != "employment-SEX" {
			return
		}
		ext := startBroker(t)
		d := startDaemon(t, ext.config()+fairnessConfig)
		d.run.Token = ext.token
		_, js := brokertest.Connect(t, ext.url, ext.token)
		start := time.Date(2024, 4, 1, 10, 0, 0, 0, time.UTC)
		var records [][]byte
		for i := range v.Groups {
			records = append(records, fmt.Appendf(nil, `{"id":"%d","ts":%d,"prediction":%q,"segment":{"sex":%q}}`, i, start.UnixMilli()+int64(i), *v.Predictions[i], *v.Groups[i]))
		}
		for i := range v.Labels {
			records = append(records, fmt.Appendf(nil, `{"id":"%d","ts":%d,"label":%q}`, i, start.UnixMilli()+30*60_000, *v.Labels[i]))
		}
		for at := 0; at < len(records); {
			at += publish(t, js, records[at:min(at+4000, len(records))], func(int) {})
		}
		marker := event.Control{Kind: event.ControlMarker, Source: elec2test.Model, Watermark: start.Add(3 * time.Hour).UnixMilli()} //nolint:exhaustruct // no end of a file
		if _, err := js.Publish(t.Context(), "driftd.control.0", marker.Encode()); err != nil {
			t.Fatal(err)
		}
		d.settled(js)
		var told []result.Fairness
		d.get("/api/v1/models/"+elec2test.Model+"/fairness?dimension=sex&size=1h", &told)
		if len(told) != 1 || !told[0].Final || len(told[0].Groups) != 2 {
			t.Fatalf("%+v", told)
		}
		for metric, want := range map[string]*float64{result.DemographicParityDifference: v.Stats.Parity, result.AccuracyDifference: v.Stats.Accuracy} {
			for _, g := range told[0].Gaps {
				if g.Metric == metric {
					vectortest.Value(t, metric, g.Value, want, vectortest.StatAbs)
				}
			}
		}
		for group, want := range v.Stats.Groups {
			var said []result.Quality
			d.get("/api/v1/models/"+elec2test.Model+"/quality?size=1h&segment=sex%3D"+group, &said)
			if len(said) != 1 || len(said[0].Metrics) == 0 || said[0].Metrics[0].Name != "accuracy" {
				t.Fatalf("%+v", said)
			}
			vectortest.Value(t, "accuracy of "+group, said[0].Metrics[0].Value, want.Accuracy, vectortest.StatAbs)
		}
		var alerts []result.Transition
		d.get("/api/v1/alerts?state=firing", &alerts)
		if len(alerts) != 1 || alerts[0].Rule != "gap" || alerts[0].Title != "elec2-up: accuracy difference of sex firing" || alerts[0].ResultID != told[0].ResultID {
			t.Errorf("%+v", alerts)
		}
		d.stop()
	})
}
