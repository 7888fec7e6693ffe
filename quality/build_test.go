package quality_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// sample draws n rows of a binary model whose score x is right with probability g(x).
func sample(r *rand.Rand, s *quality.Spec, n int, score func() float64, g func(x float64) float64) []quality.Row {
	rows := make([]quality.Row, n)
	for i := range rows {
		rows[i].Prediction = s.Predict(score())
		if r.Float64() < g(rows[i].Prediction.Scores[0]) {
			rows[i].Label.Class = 1
		}
	}
	return rows
}

// A reference freezes at most about resolution cut points; what the stream says over them encloses what the raw rows of any window say.
func TestStreamEnclosesRaw(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 1))
	for _, task := range []quality.Task{quality.Binary, quality.Multiclass, quality.Regression} {
		cfg := quality.Default(task)
		if task == quality.Multiclass {
			cfg.Classes = []string{"a", "b", "c"}
		}
		reading := newSpec(t, cfg)
		make1 := func(n int, shift float64) []quality.Row {
			rows := make([]quality.Row, n)
			for i := range rows {
				switch task {
				case quality.Multiclass:
					rows[i] = multiclassRows(r, 1, 3, 1e6)[0]
				case quality.Regression:
					target := 5 + r.NormFloat64()
					rows[i] = quality.Row{Prediction: reading.Predict(target + shift + r.NormFloat64()/3), Label: quality.Label{Class: quality.NoClass, Value: target}}
				case quality.Binary:
					x := 1 / (1 + math.Exp(-r.NormFloat64()-shift))
					rows[i] = sample(r, reading, 1, func() float64 { return x }, func(x float64) float64 { return x * x })[0]
				}
			}
			return rows
		}
		built, err := quality.Build(cfg, make1(3000, 0), 40)
		reference := must(t, built, err)
		spec := reference.Spec()
		if n := len(spec.Points()); n < 20 || n > 42 {
			t.Errorf("%v: %d cut points of a resolution of 40", task, n)
		}
		for _, shift := range []float64{0, 1} {
			rows := make1(400, shift)
			stream := quality.NewCounts(spec)
			for _, row := range rows {
				stream.AddPrediction(row.Prediction)
				stream.AddLabel(row.Prediction, row.Label)
			}
			exact := cfg
			exact.Calibrations, exact.TargetCenter = spec.Calibrations(), 5
			raw := exactly(t, exact, rows)
			bounded := 0
			check := func(got, want []result.Metric) {
				for _, m := range want {
					g := find(t, got, m.Name, m.Class)
					encloses(t, g, m.Value)
					if g.Least != nil {
						bounded++
					}
				}
			}
			check(quality.Evaluate(stream), quality.Evaluate(raw))
			check(quality.Estimate(stream).Metrics, quality.Estimate(raw).Metrics)
			if bounded == 0 {
				t.Errorf("%v: no metric has bounds over coarse cells: the test shows nothing", task)
			}
		}
	}
}

func TestCalibrateOnlyWhereItHelps(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 2))
	s := newSpec(t, quality.Default(quality.Binary))
	sharp := func(x float64) float64 { return 1 / (1 + math.Exp(-6*(x-0.5))) }
	for _, tt := range []struct {
		name  string
		n     int
		score func() float64
		g     func(x float64) float64
		want  quality.Method
	}{
		{"probabilities", 150, r.Float64, func(x float64) float64 { return x }, quality.Identity},
		{"too cautious", 4000, r.Float64, sharp, quality.Isotonic},
		{"margins", 4000, func() float64 { return 4 * r.NormFloat64() }, sharp, quality.Isotonic},
		{"one class only", 4000, r.Float64, func(float64) float64 { return 0 }, quality.Identity},
		{"one row", 1, r.Float64, sharp, quality.Identity},
	} {
		cfg := quality.Default(quality.Binary)
		built, err := quality.Build(cfg, sample(r, s, tt.n, tt.score, tt.g), 500)
		spec := must(t, built, err).Spec()
		c := spec.Calibrations()[0]
		if c.Method != tt.want || c.Rows != uint64(tt.n) {
			t.Errorf("%s: method %d on %d rows, calibration errors %v and %v", tt.name, c.Method, c.Rows, c.Error, c.CrossFitted)
		}
		if words := quality.Estimate(quality.NewCounts(spec)).Calibration; words == "" || strings.Contains(words, "NaN") {
			t.Errorf("%s: in words: %q", tt.name, words)
		}
	}
	unlabelled := sample(r, s, 10, r.Float64, sharp)
	for i := range unlabelled {
		unlabelled[i].Label = quality.Label{Flaw: quality.FlawNoLabel, Class: quality.NoClass}
	}
	built, err := quality.Build(quality.Default(quality.Binary), unlabelled, 500)
	c := must(t, built, err)
	if len(c.Spec().Calibrations()) != 0 || c.Labels() != 0 || c.Predictions() != 10 {
		t.Errorf("without labels there are %d calibrations, %d labels of %d", len(c.Spec().Calibrations()), c.Labels(), c.Predictions())
	}
	if words := quality.Estimate(c).Calibration; !strings.Contains(words, "unchecked") {
		t.Errorf("in words: %q", words)
	}
}

// Two windows differ when the interval of their difference does not hold 0; by Newcombe's method for rates (his 1998 example: 56 of 70
// against 48 of 80 has the interval [0.0524, 0.3339], method 10).
func TestDifference(t *testing.T) {
	s := newSpec(t, quality.Default(quality.Binary))
	window := func(right, n int) result.Metric {
		c := quality.NewCounts(s)
		for i := range n {
			l := quality.Label{Class: 1}
			if i >= right {
				l.Class = 0
			}
			c.AddLabel(s.Predict(0.9), l)
		}
		return find(t, quality.Evaluate(c), "accuracy", "")
	}
	d := quality.Difference(window(56, 70), window(48, 80))
	if math.Abs(*d.Value-0.2) > 1e-12 || math.Abs(*d.Lower-0.0524) > 5e-5 || math.Abs(*d.Upper-0.3339) > 5e-5 || d.N != 70 {
		t.Errorf("%v [%v, %v]", *d.Value, *d.Lower, *d.Upper)
	}
	for _, pair := range [][2]result.Metric{{window(0, 0), window(1, 2)}, {window(1, 2), window(0, 0)}} {
		if d := quality.Difference(pair[0], pair[1]); d.Value != nil || d.Reason == "" {
			t.Errorf("a difference from nothing: %+v", d)
		}
	}
	one := window(1, 2)
	one.Lower = nil
	if d := quality.Difference(one, window(1, 2)); d.Value != nil || d.Reason == "" {
		t.Errorf("a difference without an interval: %+v", d)
	}
}

// record writes the states of the present version, where none are recorded. A recorded one is never written again: it is what users have.
var record = flag.Bool("record", false, "record the states of the present version, which must not exist")

// The bytes of version 1 of Specs and counts, as they were first written: they can be read for good, and are written the same.
func TestRecorded(t *testing.T) {
	r := rand.New(rand.NewPCG(51, 3))
	for _, name := range []string{"binary", "rest", "multiclass", "regression"} {
		s := specs(t)[name]
		c := quality.NewCounts(s)
		for range 15 {
			row := draw(r, s)
			c.AddPrediction(row.Prediction)
			c.AddLabel(row.Prediction, row.Label)
			c.AddDelay(int64(r.IntN(1e6)))
		}
		c.Feed = quality.Feed{Corrected: 1, Duplicate: 2, Unmatched: 3, Evicted: 4}
		file := filepath.Join("testdata", name+"-v1.hex")
		if *record {
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			_, err = fmt.Fprintln(f, hex.EncodeToString(c.AppendBinary(s.AppendBinary(nil))))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		recorded, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		spec, rest, err := quality.DecodeSpec(recorded)
		if err != nil {
			t.Fatal(err)
		}
		back, rest, err := quality.DecodeCounts(spec, rest)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%s: %v, %d bytes left", name, err, len(rest))
		}
		if !spec.Equal(s) || back.Feed != c.Feed || back.Predictions() != 15 || back.Labels() != 15 {
			t.Errorf("%s: another spec, or %+v, %d predictions, %d labels", name, back.Feed, back.Predictions(), back.Labels())
		}
		if !slices.Equal(back.AppendBinary(spec.AppendBinary(nil)), recorded) {
			t.Errorf("%s: the recorded bytes are written in another way", name)
		}
	}
}
