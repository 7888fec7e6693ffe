package rows_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/rows"
)

// elec2 builds the reference of the shared serving log's stated week, of which expected.json has the numbers.
func elec2(t *testing.T, resolution int) (*reference.Reference, reference.Stats) {
	t.Helper()
	r, err := rows.Open(testenv.Shared(t, "data", "serving-log-elec2", "events.ndjson.gz"), rows.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	b := reference.NewBuilder(reference.Options{
		Name: "week", Resolution: resolution,
		Start: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), End: time.Date(2024, 3, 8, 0, 0, 0, 0, time.UTC).UnixMilli(),
	})
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = b.Add(e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ref, b.Stats()
}

func TestElec2Reference(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected struct {
		Model     string `json:"model"`
		Numeric   []string
		Reference struct {
			N         uint64               `json:"n"`
			Edges     map[string][]float64 `json:"decile_edges"`
			LatencyMS struct {
				Mean   float64            `json:"mean"`
				Linear map[string]float64 `json:"linear"`
			} `json:"latency_ms"`
		} `json:"reference"`
		Log struct {
			Lines       uint64 `json:"lines"`
			LabelEvents uint64 `json:"label_events"`
		} `json:"log"`
		Windows []struct {
			Drift map[string]struct {
				NRef uint64 `json:"n_ref"`
			} `json:"drift"`
		} `json:"windows"`
	}
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	ref, stats := elec2(t, 10_000)
	if ref.Rows != expected.Reference.N || ref.Model != expected.Model {
		t.Errorf("%d rows of %q, want %d of %q", ref.Rows, ref.Model, expected.Reference.N, expected.Model)
	}
	if total := stats.Rows + stats.Labels + stats.Duplicates + stats.Outside; total != expected.Log.Lines || stats.Labels != expected.Log.LabelEvents {
		t.Errorf("%+v, want %d lines and %d labels", stats, expected.Log.Lines, expected.Log.LabelEvents)
	}
	for name, want := range expected.Reference.Edges {
		role := result.RoleFeature
		if name == "prediction" {
			role = result.RolePrediction
		}
		f, ok := ref.Find(role, name)
		if !ok {
			t.Errorf("%s is not in the reference", name)
			continue
		}
		got := slices.Compact(slices.Clone(f.Deciles)) // vectors/README.md section 2: equal edges are merged
		if len(got) != len(want) {
			t.Errorf("%s: %d edges %v, want %v", name, len(got), got, want)
			continue
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > 1e-12*math.Abs(want[i]) {
				t.Errorf("%s: edge %d is %v, want %v", name, i, got[i], want[i])
			}
		}
	}
	for name, want := range expected.Windows[0].Drift {
		role := result.RoleFeature
		if name == "prediction" {
			role = result.RolePrediction
		}
		if f, ok := ref.Find(role, name); !ok || f.Counts.N() != want.NRef || f.Counts.N()+f.Counts.Missing != ref.Rows {
			t.Errorf("%s: %+v, want %d values", name, f, want.NRef)
		}
	}
	if f, _ := ref.Find(result.RoleFeature, "weekday"); f.Space.Kind() != cells.Categorical || len(f.Space.Categories()) != 7 {
		t.Errorf("weekday has the categories %q, want 7", f.Space.Categories())
	}
	back, err := reference.Decode(ref.Encode())
	if err != nil || back.Fingerprint() != ref.Fingerprint() {
		t.Errorf("round trip: %v", err)
	}
	t.Logf("resolution 10,000: %d bytes; 2,000: %d bytes", len(ref.Encode()), len(first(elec2(t, 0)).Encode()))
	// Every value at its own point: at this resolution the reference's distribution is exact.
	for _, f := range ref.Features {
		for p := range cells.Walk(f.Counts, f.Counts) {
			if f.Space.Kind() == cells.Numeric && !p.Point {
				t.Errorf("%s has values in the gap (%v, %v)", f.Name, p.Lo, p.Hi)
			}
		}
	}
	if ref.Latency.Count() != ref.Rows {
		t.Errorf("%d latencies of %d rows", ref.Latency.Count(), ref.Rows)
	}
	if mean, ok := ref.Latency.Mean(); !ok || math.Abs(mean/expected.Reference.LatencyMS.Mean-1) > 1e-12 {
		t.Errorf("mean latency %v, want %v", mean, expected.Reference.LatencyMS.Mean)
	}
	// Interpolated between two order statistics, of which the histogram takes the lower: in this sample of 9,408 they are
	// within 1e-3 of one another at these ranks.
	for name, q := range map[string]float64{"0.5": 0.5, "0.9": 0.9, "0.95": 0.95, "0.99": 0.99, "1.0": 1} {
		want := expected.Reference.LatencyMS.Linear[name]
		if got, _ := ref.Latency.Quantile(q); math.Abs(got/want-1) > cells.HistogramAccuracy+1e-3 {
			t.Errorf("latency quantile %s is %v, want %v", name, got, want)
		}
	}
}

func first[A, B any](a A, _ B) A { return a }
