// Package elec2test gives tests the real serving log of ../shared and compares results with its expected.json, however they
// were obtained: from the fold in memory or from a running daemon. Test code only.
package elec2test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// What expected.json states of the log: its model, and the counts of its rules.
const (
	Model           = "elec2-up"
	Records         = 83_765
	Events          = 42_624 // distinct predictions
	Labels          = 40_943 // distinct labels, 20 of them without a prediction
	Duplicates      = 198    // 127 predictions and 71 labels
	ReferenceRows   = 9_408
	ExactResolution = 10_000 // at which every value of the reference is a cut point
)

// Week returns the stated reference week.
func Week() (start, end time.Time) {
	return time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 3, 8, 0, 0, 0, 0, time.UTC)
}

// File returns the path of the log.
func File(tb testing.TB) string {
	tb.Helper()
	return testenv.Shared(tb, "data", "serving-log-elec2", "events.ndjson.gz")
}

// Lines returns the records of the log.
func Lines(tb testing.TB) [][]byte {
	tb.Helper()
	f, err := os.Open(File(tb))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = f.Close() }() // only read
	gz, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	lines := make([][]byte, 0, Records)
	sc := bufio.NewScanner(gz)
	for sc.Scan() {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	if err := sc.Err(); err != nil || len(lines) != Records {
		tb.Fatalf("reading the log: %d records, want %d: %v", len(lines), Records, err)
	}
	return lines
}

// Expected is what of expected.json is compared: SciPy 1.10.1 and plain implementations, see ../shared/vectors/README.md.
type Expected struct {
	Windows []struct {
		Start, End   time.Time
		NPredictions uint64 `json:"n_predictions"`
		Drift        map[string]struct {
			NRef     uint64   `json:"n_ref"`
			NCur     uint64   `json:"n_cur"`
			NMissing uint64   `json:"n_missing_cur"`
			PSI      *float64 `json:"psi_quantile10_eps1e-4"`
			PSIcat   *float64 `json:"psi_eps1e-4"`
			KL       *float64 `json:"kl_cur_ref_quantile10_eps1e-4"`
			KLcat    *float64 `json:"kl_cur_ref_eps1e-4"`
			KS       *float64 `json:"ks_d"`
		}
	}
}

// ReadExpected reads expected.json.
func ReadExpected(tb testing.TB) *Expected {
	tb.Helper()
	data, err := os.ReadFile(testenv.Shared(tb, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		tb.Fatal(err)
	}
	e := &Expected{Windows: nil}
	if err := json.Unmarshal(data, e); err != nil {
		tb.Fatal(err)
	}
	return e
}

// Results are the last revisions of the windows of all versions together.
type Results struct {
	summaries map[int64]result.Summary             // by start
	features  map[string]map[string]result.Feature // by result id and name
}

// NewResults returns an empty collection.
func NewResults() *Results {
	return &Results{summaries: map[int64]result.Summary{}, features: map[string]map[string]result.Feature{}}
}

// Add takes a committed document; one that is neither a summary nor features is ignored.
func (r *Results) Add(tb testing.TB, data []byte) {
	tb.Helper()
	var head struct {
		Type string `json:"type"`
	}
	decode(tb, data, &head)
	switch head.Type {
	case "summary":
		var s result.Summary
		decode(tb, data, &s)
		if old, ok := r.summaries[s.Window.Start]; s.Key.Version == result.All && (!ok || s.Revision > old.Revision) {
			r.summaries[s.Window.Start] = s
		}
	case "features":
		var f result.FeatureDoc
		decode(tb, data, &f)
		if r.features[f.ResultID] == nil {
			r.features[f.ResultID] = map[string]result.Feature{}
		}
		for _, x := range f.Features {
			r.features[f.ResultID][x.Feature] = x
		}
	}
}

// AddWindow takes a result whole, as the HTTP API gives it: its summary, and its features one by one.
func (r *Results) AddWindow(tb testing.TB, summary json.RawMessage, features []json.RawMessage) {
	tb.Helper()
	var s result.Summary
	decode(tb, summary, &s)
	r.Add(tb, summary)
	r.features[s.ResultID] = map[string]result.Feature{}
	for _, data := range features {
		var f result.Feature
		decode(tb, data, &f)
		r.features[s.ResultID][f.Feature] = f
	}
}

func decode(tb testing.TB, data []byte, into any) {
	tb.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		tb.Fatalf("decoding %.200q: %v", data, err)
	}
}

// Compare fails unless every window and feature of expected.json has its counts, PSI, KL and KS. Where the reference was not
// exact, the interval must contain the KS. It returns how many windows and features were compared.
func (e *Expected) Compare(tb testing.TB, got *Results, exact bool) (windows, features int) {
	tb.Helper()
	for _, w := range e.Windows {
		s, ok := got.summaries[w.Start.UnixMilli()]
		if !ok {
			tb.Errorf("no result for %s", w.Start)
			continue
		}
		windows++
		if s.Counts.Events != w.NPredictions {
			tb.Errorf("%s: %d events, want %d", w.Start, s.Counts.Events, w.NPredictions)
		}
		for name, d := range w.Drift {
			f, ok := got.features[s.ResultID][name]
			if !ok {
				tb.Errorf("%s %s: no result", w.Start, name)
				continue
			}
			if f.Current.Count != d.NCur || f.Current.Missing != d.NMissing || f.Reference.Count != d.NRef {
				tb.Errorf("%s %s: n %d missing %d reference %d, want %d, %d, %d", w.Start, name, f.Current.Count, f.Current.Missing,
					f.Reference.Count, d.NCur, d.NMissing, d.NRef)
			}
			psi, kl := d.PSI, d.KL
			if psi == nil {
				psi, kl = d.PSIcat, d.KLcat
			}
			near(tb, w.Start, name, "psi", f.Statistics["psi"].Value, psi)
			near(tb, w.Start, name, "kl", f.Statistics["kl"].Value, kl)
			ks := f.Statistics["ks"]
			switch {
			case d.KS == nil:
			case exact:
				near(tb, w.Start, name, "ks", ks.Value, d.KS)
			case ks.Lower == nil || ks.Upper == nil || *ks.Lower > *d.KS+1e-12 || *ks.Upper < *d.KS-1e-12:
				tb.Errorf("%s %s: ks %v is not within its interval %+v", w.Start, name, *d.KS, ks)
			}
			features++
		}
	}
	tb.Logf("compared %d of %d windows, %d features", windows, len(e.Windows), features)
	return windows, features
}

// near compares a statistic with the tolerances of ../shared/vectors/README.md.
func near(tb testing.TB, at time.Time, feature, what string, got, want *float64) {
	tb.Helper()
	switch {
	case got == nil && want == nil:
	case got == nil || want == nil:
		tb.Errorf("%s %s %s: got %v, want %v", at, feature, what, got, want)
	case math.Abs(*got-*want) > max(1e-12, 1e-9*math.Abs(*want)):
		tb.Errorf("%s %s %s: got %v, want %v", at, feature, what, *got, *want)
	}
}
