package e2e_test

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// A reference takes its segments from the configuration, and what one segment hides in the whole is found through the broker, the store, the
// API and the page. The figure is that of fold's TestSegmentDriftThatTheWholeHides.
func TestSegments(t *testing.T) {
	d := startDaemon(t, `
models:
  flights:
    reference: winter
    windows: [{size: 14d}]
    lateness: 0s
    segments:
      origin: {largest: 5}
    rules:
      segment-drift: {for: 1 of 1}
`)
	d.must("reference create", "--from", flightEvents(t, "winter.ndjson", "2001-01-01", "2001-04-26"), "--name", "winter", "--model", "flights")
	d.must("replay", flightEvents(t, "spring.ndjson", "2001-04-26", "2001-05-10"))
	_, js := d.connect()
	d.settled(js)

	var windows []result.Summary
	d.get("/api/v1/models/flights/windows?size=14d&segment=origin%3DATL", &windows)
	if len(windows) != 1 || windows[0].Counts.Events != 361 || windows[0].Window.Start != time.Date(2001, 4, 26, 0, 0, 0, 0, time.UTC).UnixMilli() {
		t.Fatalf("windows of origin=ATL: %+v, want the one with 361 flights", windows)
	}
	var w history.Window
	d.get("/api/v1/models/flights/windows/"+windows[0].ResultID, &w)
	found := false
	for _, data := range w.Features {
		var f result.Feature
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		if f.Feature == "arrival_delay_minutes" {
			v := f.Statistics["psi_debiased"].Value
			found = v != nil && math.Abs(*v-0.4880524307344235) < 1e-9 && f.Verdict == result.Drift
		}
	}
	if !found {
		t.Errorf("the delay of origin=ATL does not drift by 0.488: %s", w.Features)
	}
	var alerts []result.Transition
	d.get("/api/v1/alerts?model=flights&state=firing", &alerts)
	if len(alerts) != 1 || alerts[0].Rule != "segment-drift" || alerts[0].Segment != "origin=ATL" {
		t.Errorf("alerts %+v, want segment-drift of origin=ATL alone", alerts)
	}
	code, page, err := d.fetch(http.MethodGet, "/models/flights", nil)
	if err != nil || code != http.StatusOK || !strings.Contains(string(page), `data-part="origin=ATL"`) {
		t.Errorf("the page (status %d, %v) does not list origin=ATL", code, err)
	}
}
