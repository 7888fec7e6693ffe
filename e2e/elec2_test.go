package e2e_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// elec2Config judges by the conventions of expected.json.
const elec2Config = `
models:
  elec2-up:
    reference: elec2-week
    windows: [{size: 1d}]
    lateness: 6h
    detectors: {bins: quantile10, smoothing: floor, epsilon: 0.0001}
`

// createElec2 stores the stated reference week. The command returns when the daemon counts by it: nothing else is waited for.
func createElec2(tb testing.TB, d *daemon, resolution int) {
	tb.Helper()
	start, end := elec2test.Week()
	d.must("reference create", "--from", elec2test.File(tb), "--name", "elec2-week", "--model", elec2test.Model,
		"--start", start.Format(time.RFC3339), "--end", end.Format(time.RFC3339), "--resolution", strconv.Itoa(resolution))
}

// apiResults reads every window of the model over HTTP, page by page, the newest revision of each.
func apiResults(tb testing.TB, d *daemon, model string) *elec2test.Results {
	tb.Helper()
	got := elec2test.NewResults()
	path := "/api/v1/models/" + model + "/windows?size=1d&limit=10"
	for cursor := ""; ; {
		var page []json.RawMessage
		next := d.get(path+cursor, &page)
		for _, data := range page {
			var s result.Summary
			if err := json.Unmarshal(data, &s); err != nil {
				tb.Fatal(err)
			}
			var w history.Window
			d.get("/api/v1/models/"+model+"/windows/"+s.ResultID, &w)
			if w.Stored != w.Parts {
				tb.Errorf("window %d: %d of %d documents are stored", s.Window.Start, w.Stored, w.Parts)
			}
			got.AddWindow(tb, w.Summary, w.Features)
		}
		if next == "" {
			return got
		}
		cursor = "&cursor=" + next
	}
}

// The real log through replay, the daemon and its API gives, for every window and feature, what expected.json says; with the
// default resolution the interval contains the KS.
func TestElec2(t *testing.T) {
	want := elec2test.ReadExpected(t)
	for _, resolution := range []int{elec2test.ExactResolution, reference.DefaultResolution} {
		t.Run(fmt.Sprintf("resolution=%d", resolution), func(t *testing.T) {
			d := startDaemon(t, elec2Config)
			createElec2(t, d, resolution)
			begin := time.Now()
			t.Logf("replay: %s", d.must("replay", elec2test.File(t)))
			_, js := d.connect()
			d.settled(js)
			t.Logf("published, counted, judged and stored in %v", time.Since(begin).Round(time.Millisecond))
			windows, features := want.Compare(t, apiResults(t, d, elec2test.Model), resolution == elec2test.ExactResolution)
			if windows != 32 || features != 32*8 {
				t.Errorf("%d windows and %d features were compared, want all", windows, features)
			}
			for series, n := range map[string]float64{
				`driftd_ingest_records_total{result="event"}`:     elec2test.Events,
				`driftd_ingest_records_total{result="label"}`:     elec2test.Labels,
				`driftd_ingest_records_total{result="duplicate"}`: elec2test.Duplicates,
				`driftd_ingest_records_total{result="late"}`:      0,
				`driftd_store_refused_total{reason="malformed"}`:  0,
				`driftd_store_refused_total{reason="conflict"}`:   0,
			} {
				if got := d.metric(series); got != n {
					t.Errorf("%s is %v, want %v", series, got, n)
				}
			}
			d.stop()
		})
	}
}
