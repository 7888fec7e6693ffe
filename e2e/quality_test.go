package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/testenv"
)

// labelsConfig joins the labels of the real log to its predictions.
const labelsConfig = elec2Config + `    labels: {mode: full, task: binary, horizon: 3d, maturities: [1h, 2d]}
commit: {interval: 100ms}
`

// The labels of the real log, whose daemon is killed again and again and whose cache is sometimes gone when it comes back: every document is
// byte for byte that of an undisturbed reading, and the quality of each day is that of expected.json.
func TestKillLabels(t *testing.T) {
	const batch = 10_000
	ext := startBroker(t)
	d := startDaemon(t, ext.config()+labelsConfig)
	d.run.Token = ext.token
	createElec2(t, d, elec2test.ExactResolution)
	_, js := brokertest.Connect(t, ext.url, ext.token)
	records := elec2test.Lines(t)
	kills := 0
	for at := 0; at < len(records); at += batch {
		from, end := at, min(at+batch, len(records))
		eventually(t, "the broker acknowledges a batch", func() bool { // what a slow one did not in time is sent again, and counted once
			from += publish(t, js, records[from:end], func(int) {})
			return from == end
		})
		eventually(t, "a commit", func() bool { return d.metric("driftd_pipeline_commits_total") >= 1 })
		d.kill()
		if kills++; kills%3 == 0 {
			if err := os.RemoveAll(filepath.Join(d.dir, "labels")); err != nil {
				t.Fatal(err)
			}
		}
		d.start()
	}
	marker := event.Control{Kind: event.ControlMarker, Source: elec2test.Model, Watermark: time.Date(2024, 4, 10, 0, 0, 0, 0, time.UTC).UnixMilli()} //nolint:exhaustruct // no end of a file
	if _, err := js.Publish(t.Context(), "driftd.control.0", marker.Encode()); err != nil {
		t.Fatal(err)
	}
	d.settled(js)
	documents, stats := sameAsUndisturbed(t, js, d.config)
	if stats.QualityResults == 0 || stats.LabelsMatched == 0 || stats.LabelsLost > 0 {
		t.Errorf("%+v", stats)
	}
	t.Logf("%d kills, %d documents compared, %d of them about quality", kills, documents, stats.QualityResults)
	sameQuality(t, d)
	d.stop()
}

// sameQuality compares the quality of each day, as the API tells it, with expected.json (scikit-learn 1.3.2, see ../shared/vectors/README.md).
func sameQuality(t *testing.T, d *daemon) {
	t.Helper()
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Windows []struct {
			Start     time.Time
			Predicted uint64 `json:"n_predictions"`
			Labelled  uint64 `json:"n_labelled"`
			Quality   struct{ TP, FP, TN, FN uint64 }
		}
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	type quality struct {
		Window struct {
			Start int64 `json:"start_ms"`
		}
		Final               bool
		Predictions, Labels uint64
		Confusion           struct{ Matrix [][]uint64 }
	}
	days := map[int64]quality{}
	path := "/api/v1/models/" + elec2test.Model + "/quality?size=1d&limit=7"
	for cursor := ""; ; {
		var page []quality
		next := d.get(path+cursor, &page)
		for _, q := range page {
			days[q.Window.Start] = q
		}
		if next == "" {
			break
		}
		cursor = "&cursor=" + next
	}
	for i := range want.Windows {
		w := &want.Windows[i]
		q, x := days[w.Start.UnixMilli()], &w.Quality
		got, expected := fmt.Sprint(q.Final, q.Predictions, q.Labels, q.Confusion.Matrix), fmt.Sprint(true, w.Predicted, w.Labelled, [][]uint64{{x.TN, x.FP}, {x.FN, x.TP}})
		if got != expected {
			t.Errorf("%s: %s, want %s", w.Start, got, expected)
		}
	}
}
