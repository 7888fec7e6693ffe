package demo

import (
	"bytes"
	_ "embed" // the model
	"encoding/json"
	"fmt"
	"math"
)

//go:embed model.json
var modelFile []byte

// Terms names the terms of the logistic regression, in the order of Model.Coefficients.
func Terms() []string {
	return []string{
		"intercept", "sin(2πh/24)", "cos(2πh/24)", "sin(4πh/24)", "cos(4πh/24)", "distance / 1000 miles",
		"origin_delay_mean / 10 min", "destination_delay_mean / 10 min",
	}
}

// Model predicts the probability that a flight is late from what is known before it departs: a logistic regression.
type Model struct {
	About        string             `json:"about"`
	Provenance   Provenance         `json:"provenance"`
	Terms        []string           `json:"terms"`
	Coefficients []float64          `json:"coefficients"`
	Mean         float64            `json:"delay_mean"`             // minutes, of all flights of the fit: what an unknown airport has
	Origin       map[string]float64 `json:"origin_delay_mean"`      // minutes by airport
	Destination  map[string]float64 `json:"destination_delay_mean"` // minutes by airport
}

// Provenance says what a model was made of, and how good it is.
type Provenance struct {
	Start     string `json:"start"`     // of the flights that it was fitted on
	End       string `json:"end"`       // exclusive
	Shrinkage int    `json:"shrinkage"` // flights of the overall mean that each airport's mean is mixed with
	Fit       Fit    `json:"fit"`
	HeldOut   Fit    `json:"held_out"` // the month after
}

// Fit is how well a model ranks and how well it is calibrated on some flights.
type Fit struct {
	Flights   int     `json:"flights"`
	LateShare float64 `json:"late_share"`
	AUC       float64 `json:"auc"`
	LogLoss   float64 `json:"log_loss"`  // nats per flight
	BaseLoss  float64 `json:"base_loss"` // of answering January's share of late flights always
}

// Input is what the model sees of one flight.
type Input struct {
	Hour                        int
	Distance                    float64 // miles
	OriginMean, DestinationMean float64 // minutes
}

// EmbeddedModel returns the model that was fitted on January.
func EmbeddedModel() (*Model, error) {
	d := json.NewDecoder(bytes.NewReader(modelFile))
	d.DisallowUnknownFields()
	m := &Model{} //nolint:exhaustruct // decoded
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("reading the embedded model: %w", err)
	}
	if len(m.Coefficients) != len(Terms()) {
		return nil, fmt.Errorf("reading the embedded model: %d coefficients, want %d: run `go generate ./demo`", len(m.Coefficients), len(Terms()))
	}
	return m, nil
}

// Input looks a flight up. An airport that the model does not know has the overall mean.
func (m *Model) Input(f Flight) Input {
	return Input{f.Hour(), float64(f.Miles), m.mean(m.Origin, f.Origin), m.mean(m.Destination, f.Destination)}
}

func (m *Model) mean(of map[string]float64, airport string) float64 {
	if mean, ok := of[airport]; ok {
		return mean
	}
	return m.Mean
}

// Row returns the values of the terms.
func (in Input) Row() []float64 {
	turn := 2 * math.Pi * float64(in.Hour) / 24
	return []float64{
		1, math.Sin(turn), math.Cos(turn), math.Sin(2 * turn), math.Cos(2 * turn), in.Distance / 1000, in.OriginMean / 10, in.DestinationMean / 10,
	}
}

// Score returns the probability of being late.
func (m *Model) Score(in Input) float64 {
	z := 0.0
	for i, x := range in.Row() {
		z += float64(m.Coefficients[i] * x) // no fused multiply-add: the same bits on every machine
	}
	return 1 / (1 + math.Exp(-z))
}
