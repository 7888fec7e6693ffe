package cells_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/testenv"
)

// load returns the input of a vector, NaN for null: an array, or a column of a data set (vectors/README.md section 1).
func load(t *testing.T, raw []byte) []float64 {
	t.Helper()
	if raw[0] != '[' {
		return loadColumn(t, raw)
	}
	var array []any
	if err := json.Unmarshal(raw, &array); err != nil {
		t.Fatal(err)
	}
	out := make([]float64, 0, len(array))
	for _, v := range array {
		switch v := v.(type) {
		case float64:
			out = append(out, v)
		case string:
			x, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, x)
		default:
			out = append(out, math.NaN())
		}
	}
	return out
}

// loadColumn reads the column that ref names.
func loadColumn(t *testing.T, ref []byte) []float64 {
	t.Helper()
	var spec struct {
		File, Column string
		Where        map[string]string
		Rows         []int
	}
	if err := json.Unmarshal(ref, &spec); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(testenv.Shared(t, strings.Split(spec.File, "/")...))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int{}
	for i, name := range records[0] {
		at[name] = i
	}
	var out []float64
	for _, r := range records[1:] {
		kept := true
		for column, want := range spec.Where {
			kept = kept && r[at[column]] == want
		}
		if !kept {
			continue
		}
		x, err := strconv.ParseFloat(r[at[spec.Column]], 64)
		if r[at[spec.Column]] == "" {
			x, err = math.NaN(), nil
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	if spec.Rows != nil {
		out = out[spec.Rows[0]:spec.Rows[1]]
	}
	return out
}

// vectors/quantiles.jsonl: NumPy's order statistics at floor and ceil of q(n-1) and its linear quantiles. The histogram answers
// within [lower(1-α), higher(1+α)] where all values are its own (at least its floor, or 0); the counts over cells that leave out
// half of the points enclose the linear quantile.
func TestQuantileVectors(t *testing.T) {
	data, err := os.ReadFile(testenv.Shared(t, "vectors", "quantiles.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	vectors, asHistogram := 0, 0
	for lines.Scan() {
		var v struct {
			Name   string
			Values json.RawMessage
			Stats  struct {
				N    uint64   `json:"n"`
				Mean *float64 `json:"mean"`
				Q    map[string]struct {
					Linear, Lower, Higher *float64
				} `json:"q"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		vectors++
		t.Run(v.Name, func(t *testing.T) {
			values := load(t, v.Values)
			h, points, fits := cells.NewHistogram(), map[float64]bool{}, true
			for i, x := range values {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					continue
				}
				fits = fits && (x == 0 || x >= cells.HistogramFloor)
				h.Add(x)
				if i%2 == 0 {
					points[x+0] = true
				}
			}
			c := countNumbers(numeric(t, sorted(points)...), values...)
			if c.N() != v.Stats.N {
				t.Errorf("%d values, want %d", c.N(), v.Stats.N)
			}
			for name, want := range v.Stats.Q {
				q, err := strconv.ParseFloat(name, 64)
				if err != nil {
					t.Fatal(err)
				}
				if want.Linear == nil {
					if _, _, _, ok := c.Quantile(q); ok {
						t.Errorf("q %s: a quantile of nothing", name)
					}
					continue
				}
				if _, lo, hi, ok := c.Quantile(q); !ok || lo > *want.Linear+tolerance(*want.Linear) || hi < *want.Linear-tolerance(*want.Linear) {
					t.Errorf("q %s: [%v, %v] does not enclose %v", name, lo, hi, *want.Linear)
				}
				if !fits {
					continue
				}
				const alpha = cells.HistogramAccuracy
				if got, ok := h.Quantile(q); !ok || got < *want.Lower*(1-alpha) || got > *want.Higher*(1+alpha) {
					t.Errorf("q %s: histogram says %v, want it in [%v, %v] to 1 %%", name, got, *want.Lower, *want.Higher)
				}
			}
			if fits && v.Stats.Mean != nil {
				asHistogram++
				if got, ok := h.Mean(); !ok || math.Abs(got-*v.Stats.Mean) > tolerance(*v.Stats.Mean) {
					t.Errorf("mean %v, want %v", got, *v.Stats.Mean)
				}
			}
		})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d vectors, %d of them also for the histogram", vectors, asHistogram)
	if vectors != 23 || asHistogram < 15 { // vectors/README.md
		t.Errorf("%d vectors, %d for the histogram", vectors, asHistogram)
	}
}

// tolerance is that of vectors/README.md section 1 for statistics.
func tolerance(x float64) float64 { return max(1e-9*math.Abs(x), 1e-12) }

func sorted(set map[float64]bool) []float64 {
	out := make([]float64, 0, len(set))
	for x := range set {
		out = append(out, x)
	}
	slices.Sort(out)
	return out
}
