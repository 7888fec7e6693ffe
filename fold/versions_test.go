package fold_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Version 1 and version 2 of the elec2 log share a week, side by side in the same windows: their events and latencies are those that
// expected.json counts over all of it (n and mean of latency_ms in `ab`, by NumPy).
func TestElec2VersionsSideBySide(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "data/serving-log-elec2/expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		AB struct {
			From, To  time.Time
			VersionA  string `json:"version_a"`
			VersionB  string `json:"version_b"`
			LatencyMS struct {
				NA    uint64  `json:"n_a"`
				NB    uint64  `json:"n_b"`
				MeanA float64 `json:"mean_a"`
				MeanB float64 `json:"mean_b"`
			} `json:"latency_ms"`
		}
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	lines := elec2test.Lines(t)
	ref := elec2Reference(t, lines, reference.DefaultResolution)
	j := run(t, elec2Counting(ref.Fingerprint()), find(ref), messages(lines, true), undisturbed())
	newest := map[string]result.Summary{} // by version and window
	for _, doc := range j.docs {
		var s result.Summary
		if !bytes.HasPrefix(doc.Data, []byte(`{"schema":1,"type":"summary"`)) {
			continue
		}
		if err := json.Unmarshal(doc.Data, &s); err != nil {
			t.Fatal(err)
		}
		if s.Window.Start >= want.AB.From.UnixMilli() && s.Window.End <= want.AB.To.UnixMilli() {
			newest[s.Key.Version+time.UnixMilli(s.Window.Start).UTC().Format(time.DateOnly)] = s
		}
	}
	n, sum := map[string]uint64{}, map[string]float64{}
	for _, s := range newest {
		n[s.Key.Version] += s.Latency.Count
		if s.Latency.Mean != nil {
			sum[s.Key.Version] += *s.Latency.Mean * float64(s.Latency.Count)
		}
	}
	l := want.AB.LatencyMS
	for _, v := range []struct {
		version string
		n       uint64
		mean    float64
	}{{want.AB.VersionA, l.NA, l.MeanA}, {want.AB.VersionB, l.NB, l.MeanB}} {
		if got := sum[v.version] / float64(n[v.version]); n[v.version] != v.n || math.Abs(got-v.mean) > 1e-9*v.mean {
			t.Errorf("version %s: %d latencies of %v ms on average, want %d of %v", v.version, n[v.version], got, v.n, v.mean)
		}
	}
}
