package main

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/driftd/driftd/demo"
)

// tolerance: figures are stored to six digits behind the point, and other machines add in another order.
const tolerance = 2e-6

func TestEmbeddedModelIsTheFit(t *testing.T) {
	flights, err := demo.Flights()
	if err != nil {
		t.Fatal(err)
	}
	want, err := fit(flights)
	if err != nil {
		t.Fatal(err)
	}
	got, err := demo.EmbeddedModel()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, tolerance)); diff != "" {
		t.Errorf("model.json is not what `go generate ./demo` writes (-fit +model.json):\n%s", diff)
	}
	// The likelihood equations, which only the maximum fulfils: each term's sum over the late flights is its sum over all
	// flights, weighted by the scores (McCullagh and Nelder 1989, section 4.4.2). Coefficients of six digits leave a little.
	residual := make([]float64, len(demo.Terms()))
	for _, f := range month(flights, 1) {
		in := got.Input(f)
		y := -got.Score(in)
		if f.Late() {
			y++
		}
		for i, x := range in.Row() {
			residual[i] += y * x
		}
	}
	for i, r := range residual {
		if math.Abs(r) > 0.05 {
			t.Errorf("likelihood equation of %s is off by %v", demo.Terms()[i], r)
		}
	}
}

// By hand: scores 0.25 (one late, one not) and 0.75 (two late, one not): AUC = (0.5·1 + 2·1 + 2·0.5) / (3·2) = 3.5/6.
func TestQuality(t *testing.T) {
	m := &demo.Model{ //nolint:exhaustruct // a regression on the destination alone
		Coefficients: []float64{0, 0, 0, 0, 0, 0, 0, 10 * math.Log(3)}, Destination: map[string]float64{"low": -1, "high": 1},
	}
	flight := func(to string, delay int) demo.Flight {
		return demo.Flight{Row: 1, Departure: 0, Origin: "", Destination: to, Miles: 0, Delay: delay}
	}
	got := quality(m, []demo.Flight{flight("low", 16), flight("low", 15), flight("high", 60), flight("high", 16), flight("high", -5)}, 0.6)
	loss := -(math.Log(0.25) + math.Log(0.75) + 2*math.Log(0.75) + math.Log(0.25)) / 5
	base := -(3*math.Log(0.6) + 2*math.Log(0.4)) / 5
	want := demo.Fit{Flights: 5, LateShare: 0.6, AUC: 3.5 / 6, LogLoss: loss, BaseLoss: base}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-6)); diff != "" {
		t.Errorf("quality (-want +got):\n%s", diff)
	}
}
