package quality_test

import (
	"fmt"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/quality"
)

// A label comes late, is corrected, and changes what the window says; without any label the window has an estimate.
func Example() {
	spec, err := quality.NewSpec(quality.Default(quality.Binary))
	if err != nil {
		fmt.Println(err)
		return
	}
	number := func(x float64) event.Value {
		return event.Value{Kind: event.ValueNumber, Num: x, Str: event.AppendShortest(nil, x)}
	}
	window := quality.NewCounts(spec)
	var predictions []quality.Prediction
	for _, score := range []float64{0.9, 0.8, 0.3, 0.1} {
		p := spec.Prediction([]event.Field{{Name: []byte(event.PredictionName), Value: number(score)}})
		window.AddPrediction(p)
		predictions = append(predictions, p)
	}
	accuracy := func() {
		for _, m := range quality.Evaluate(window) {
			if m.Name == "accuracy" {
				fmt.Printf("accuracy %.2f of %d labels, 95 %% interval %.2f to %.2f\n", *m.Value, m.N, *m.Lower, *m.Upper)
			}
		}
	}
	for _, m := range quality.Estimate(window).Metrics {
		if m.Name == "accuracy" {
			fmt.Printf("estimated accuracy %.3f\n", *m.Value)
		}
	}
	first, other := spec.Label(number(1)), spec.Label(number(0))
	window.AddLabel(predictions[0], first)
	window.AddLabel(predictions[3], first)
	accuracy()
	if err := window.SubLabel(predictions[3], first); err != nil {
		fmt.Println(err)
	}
	window.AddLabel(predictions[3], other)
	accuracy()
	// Output:
	// estimated accuracy 0.825
	// accuracy 0.50 of 2 labels, 95 % interval 0.09 to 0.91
	// accuracy 1.00 of 2 labels, 95 % interval 0.34 to 1.00
}
