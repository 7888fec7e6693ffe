package quality_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/quality"
)

// specs are one of each task, with calibrations and without.
func specs(t testing.TB) map[string]*quality.Spec {
	t.Helper()
	curve := quality.Calibration{Method: quality.Isotonic, X: []float64{0.1, 0.5, 0.8}, Y: []float64{0, 0.25, 1}, Rows: 1000}
	same := quality.Calibration{Method: quality.Identity, Rows: 10, Error: 0.25, CrossFitted: math.NaN()}
	return map[string]*quality.Spec{
		"binary":     newSpec(t, quality.Config{Task: quality.Binary, Threshold: 0.5}),
		"rest":       newSpec(t, quality.Config{Task: quality.Binary, Positive: "fraud", Threshold: 0.1, Bins: 3, Calibrations: []quality.Calibration{curve}}),
		"multiclass": newSpec(t, quality.Config{Task: quality.Multiclass, Classes: []string{"c", "a", "b"}, Calibrations: []quality.Calibration{same, curve, same}}),
		"regression": newSpec(t, quality.Config{Task: quality.Regression, Points: []float64{-1, -0.25, 0, 0.25, 1, 4}, TargetCenter: 3}),
	}
}

// draw makes a row of the Spec: odd ones among them.
func draw(r *rand.Rand, s *quality.Spec) quality.Row {
	flaws := quality.Flaws()
	none := quality.Prediction{Flaw: flaws[r.IntN(len(flaws))], Class: quality.NoClass}
	odd := quality.Label{Flaw: flaws[r.IntN(len(flaws))], Class: quality.NoClass}
	row := quality.Row{Prediction: none, Label: odd}
	kind := r.IntN(20)
	switch s.Task() {
	case quality.Regression:
		scale := math.Ldexp(1, 600*r.IntN(2)*r.IntN(2))
		if kind != 0 {
			row.Prediction = quality.Prediction{Class: quality.NoClass, Value: scale * (math.Round(8*r.NormFloat64())/8 + 0)}
		}
		if kind != 1 {
			row.Label = quality.Label{Class: quality.NoClass, Value: scale * (math.Round(8*r.NormFloat64())/8 + 0)}
		}
	case quality.Binary, quality.Multiclass:
		classes := 2
		if s.Task() == quality.Multiclass {
			classes = len(s.Classes()) + 1
		}
		if kind != 0 {
			row.Prediction = quality.Prediction{Class: r.IntN(classes)}
			n := 1
			if s.Task() == quality.Multiclass {
				n = len(s.Classes())
			}
			for range n {
				x := r.Float64()
				switch kind {
				case 2:
					x = math.Round(x)
				case 3:
					x = 3*r.NormFloat64() + 0
				}
				row.Prediction.Scores = append(row.Prediction.Scores, x)
			}
			if kind == 4 {
				row.Prediction.Scores = nil
			}
		}
		if kind != 1 {
			row.Label = quality.Label{Class: r.IntN(classes)}
		}
	}
	return row
}

func add(c *quality.Counts, r quality.Row) {
	c.AddPrediction(r.Prediction)
	c.AddLabel(r.Prediction, r.Label)
	c.AddDelay(int64(1000 * r.Prediction.Class))
	c.Feed.Duplicate++
}

// Any order, any split into parts, any tree of merges, with foreign rows put in and taken out, with labels corrected: the same bytes.
func TestAlgebra(t *testing.T) {
	for name, s := range specs(t) {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(11, 1))
			for range 30 {
				rows := make([]quality.Row, 1+r.IntN(60))
				whole := quality.NewCounts(s)
				for i := range rows {
					rows[i] = draw(r, s)
					add(whole, rows[i])
				}
				want := whole.AppendBinary(nil)
				foreign := quality.NewCounts(s)
				for range r.IntN(20) {
					add(foreign, draw(r, s))
				}
				r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
				var parts []*quality.Counts
				for rest := rows; len(rest) > 0; {
					k := 1 + r.IntN(len(rest))
					c := quality.NewCounts(s)
					for _, row := range rest[:k] {
						add(c, row)
						wrong := draw(r, s).Label // what the label was before it was corrected
						c.AddLabel(row.Prediction, wrong)
						if err := c.SubLabel(row.Prediction, wrong); err != nil {
							t.Fatal(err)
						}
					}
					if r.IntN(2) == 0 {
						c.Compact()
					}
					parts, rest = append(parts, c), rest[k:]
				}
				if err := parts[0].Merge(foreign); err != nil {
					t.Fatal(err)
				}
				for len(parts) > 1 {
					i := r.IntN(len(parts) - 1)
					if err := parts[i].Merge(parts[i+1]); err != nil {
						t.Fatal(err)
					}
					parts = slices.Delete(parts, i+1, i+2)
				}
				if err := parts[0].Subtract(foreign); err != nil {
					t.Fatal(err)
				}
				if got := parts[0].AppendBinary(nil); !bytes.Equal(got, want) {
					t.Fatalf("bytes depend on the way of %d rows", len(rows))
				}
				back, rest, err := quality.DecodeCounts(s, append(slices.Clone(want), 7))
				if err != nil || !bytes.Equal(rest, []byte{7}) || !bytes.Equal(back.AppendBinary(nil), want) {
					t.Fatalf("decoding: %v, rest %x", err, rest)
				}
				if diff := cmp.Diff(quality.Evaluate(whole), quality.Evaluate(back)); diff != "" {
					t.Fatal(diff)
				}
				if diff := cmp.Diff(quality.Estimate(whole), quality.Estimate(back)); diff != "" {
					t.Fatal(diff)
				}
				for _, m := range append(quality.Evaluate(whole), quality.Estimate(whole).Metrics...) {
					inOrder(t, m)
				}
				if err := back.Subtract(whole); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(back.AppendBinary(nil), quality.NewCounts(s).AppendBinary(nil)) {
					t.Fatal("counts less themselves are not empty")
				}
			}
		})
	}
}

// What was never added cannot be taken out, counts over different Specs cannot be added, and neither changes anything.
func TestAlgebraRefuses(t *testing.T) {
	all := specs(t)
	r := rand.New(rand.NewPCG(11, 2))
	for name, s := range all {
		c := quality.NewCounts(s)
		row := draw(r, s)
		for row.Prediction.Flaw != quality.FlawNone || row.Label.Flaw != quality.FlawNone {
			row = draw(r, s)
		}
		c.AddPrediction(row.Prediction)
		before := c.AppendBinary(nil)
		if err := c.SubLabel(row.Prediction, row.Label); !errors.Is(err, quality.ErrNotContained) {
			t.Errorf("%s: taking out a label that was not added: %v, want ErrNotContained", name, err)
		}
		for other, o := range all {
			err := c.Merge(quality.NewCounts(o))
			if want := other != name; errors.Is(err, quality.ErrDifferentSpec) != want {
				t.Errorf("merging %s into %s: %v", other, name, err)
			}
			err = c.Subtract(quality.NewCounts(o))
			if want := other != name; errors.Is(err, quality.ErrDifferentSpec) != want {
				t.Errorf("subtracting %s from %s: %v", other, name, err)
			}
		}
		if !bytes.Equal(c.AppendBinary(nil), before) {
			t.Errorf("%s: a refused operation changed the counts", name)
		}
	}
}

// Predictions, labels and Specs are the same after encoding and decoding.
func TestRoundTrips(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 3))
	for name, s := range specs(t) {
		encoded := s.AppendBinary(nil)
		back, rest, err := quality.DecodeSpec(append(slices.Clone(encoded), 9))
		if err != nil || !bytes.Equal(rest, []byte{9}) || !back.Equal(s) || back.Fingerprint() != s.Fingerprint() {
			t.Errorf("%s: decoding the spec: %v, rest %x", name, err, rest)
		}
		for range 200 {
			row := draw(r, s)
			b := row.Label.AppendBinary(row.Prediction.AppendBinary(nil))
			p, rest, err := s.DecodePrediction(b)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l, rest, err := s.DecodeLabel(rest)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: %v, rest %x", name, err, rest)
			}
			if diff := cmp.Diff(row, quality.Row{Prediction: p, Label: l}); diff != "" {
				t.Fatalf("%s: %s", name, diff)
			}
		}
	}
}

// FuzzDecode: what is decoded encodes to the same bytes and can be evaluated without a panic or a number that is none.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(11, 4))
	all := specs(f)
	names := []string{"binary", "rest", "multiclass", "regression"}
	for i, name := range names {
		c := quality.NewCounts(all[name])
		f.Add(byte(i), c.AppendBinary(nil))
		for range 20 {
			add(c, draw(r, all[name]))
		}
		f.Add(byte(i), c.AppendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		s := all[names[int(which)%len(names)]]
		c, rest, err := quality.DecodeCounts(s, b)
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("an error that is not ErrCorrupt: %v", err)
			}
			return
		}
		if got := c.AppendBinary(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Fatalf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
		}
		for _, m := range append(quality.Evaluate(c), quality.Estimate(c).Metrics...) {
			if m.Value != nil && (math.IsNaN(*m.Value) || math.IsInf(*m.Value, 0)) {
				t.Errorf("%s %s is %v", m.Name, m.Class, *m.Value)
			}
		}
	})
}

// FuzzDecodeSpec: what is decoded encodes to the same bytes and can count.
func FuzzDecodeSpec(f *testing.F) {
	for _, s := range specs(f) {
		f.Add(s.AppendBinary(nil))
	}
	r := rand.New(rand.NewPCG(11, 5))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := quality.DecodeSpec(b)
		if err != nil {
			if !errors.Is(err, wire.ErrCorrupt) {
				t.Fatalf("an error that is not ErrCorrupt: %v", err)
			}
			return
		}
		if got := s.AppendBinary(nil); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Fatalf("decoded %x, encodes as %x", b[:len(b)-len(rest)], got)
		}
		c := quality.NewCounts(s)
		for range 5 {
			add(c, draw(r, s))
		}
		quality.Evaluate(c)
		quality.Estimate(c)
	})
}

func TestDecodeRefuses(t *testing.T) {
	s := specs(t)["binary"]
	c := quality.NewCounts(s)
	row := quality.Row{Prediction: s.Predict(0.7), Label: quality.Label{Class: 1}}
	add(c, row)
	good := c.AppendBinary(nil)
	for i := range good {
		if _, _, err := quality.DecodeCounts(s, good[:i]); !errors.Is(err, wire.ErrCorrupt) {
			t.Fatalf("cut to %d of %d bytes: %v, want ErrCorrupt", i, len(good), err)
		}
	}
	for _, at := range []int{0, 5, 6} { // version, predictions, labels
		bad := slices.Clone(good)
		bad[at] += 2
		if _, _, err := quality.DecodeCounts(s, bad); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("byte %d changed: %v, want ErrCorrupt", at, err)
		}
	}
}
