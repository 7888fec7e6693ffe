package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
)

// TestMeaning: one record for each rule of design section 5, in the words of describe.
func TestMeaning(t *testing.T) {
	base := described{time: "none", predictionTime: "none"}
	with := func(change func(*described)) string {
		e := base
		change(&e)
		return e.String()
	}
	for _, tt := range []struct{ name, text, want string }{
		{
			"everything", `{"model":"m","version":"v","id":"i","ts":1,"latency_ms":2.5,"status":"ok","prediction":0.5,"features":{"a":1},` +
				`"segment":{"region":"eu"},"schema":1}`,
			with(func(e *described) {
				e.model, e.version, e.id, e.time, e.latency, e.status = "m", "v", "i", "1", "2.5", "ok"
				e.prediction = []string{number05("prediction")}
				e.features = []string{`"a"=number 1 3ff0000000000000`}
				e.segments = []string{`"region"=string "eu"`}
			}),
		},
		{
			"numbers as names keep their digits", `{"version":1.50,"id":9007199254740993,"status":200}`,
			with(func(e *described) { e.version, e.id, e.status = "1.50", "9007199254740993", "200" }),
		},
		{"null is absent", `{"model":null,"version":null,"id":null,"ts":null,"latency_ms":null,"status":null,"prediction":null,` +
			`"features":null,"segment":null,"prediction_ts":null,"schema":null}`, base.String()},
		{
			"the last of a repeated key wins", `{"id":"a","id":"b","ts":1,"ts":null,"latency_ms":1,"latency_ms":null,"prediction":1,` +
				`"prediction":{"score":0.5},"features":{"a":1},"features":null}`,
			with(func(e *described) {
				e.id, e.duplicates = "b", 5
				e.prediction = []string{number05("prediction.score")}
			}),
		},
		{
			"a repeated key mends a bad one", `{"model":7,"model":"m","ts":"x","ts":1,"version":true,"version":"v"}`,
			with(func(e *described) { e.model, e.time, e.version, e.duplicates, e.wrongType = "m", "1", "v", 3, 1 }),
		},
		{
			"wrong types count as absent", `{"version":true,"id":[1],"status":{},"features":[1],"segment":"eu",` +
				`"schema":"1","prediction":{"scores":7}}`,
			with(func(e *described) { e.wrongType = 7 }),
		},
		{"latency of a wrong type", `{"latency_ms":"5"}`, with(func(e *described) { e.latency = "invalid" })},
		{"negative latency", `{"latency_ms":-0.001}`, with(func(e *described) { e.latency = "invalid" })},
		{"latency -0", `{"latency_ms":-0}`, with(func(e *described) { e.latency = "0" })},
		{"unknown keys", `{"extra":{"deep":[1,{"x":null}]},"extra":2,"Model":"m","":0}`, with(func(e *described) { e.unknown = 4 })},
		{"escaped keys are the same keys", `{"m\u006fdel":"m"}`, with(func(e *described) { e.model = "m" })},
		{"a string", `{"prediction":"up"}`, with(func(e *described) { e.prediction = []string{`"prediction"=string "up"`} })},
		{"a boolean", `{"prediction":true}`, with(func(e *described) { e.prediction = []string{`"prediction"=bool true`} })},
		{"an array", `{"prediction":[0.1,0.9]}`, with(func(e *described) { e.prediction = []string{`"prediction"=invalid`} })},
		{
			"label and score", `{"prediction":{"label":"up","score":0.5,"other":1}}`,
			with(func(e *described) {
				e.prediction, e.unknown = []string{`"prediction.label"=string "up"`, number05("prediction.score")}, 1
			}),
		},
		{
			"scores", `{"prediction":{"scores":{"up":0.5,"down":null},"label":[1]}}`,
			with(func(e *described) {
				e.prediction = []string{number05("prediction.score.up"), `"prediction.score.down"=null`, `"prediction.label"=invalid`}
			}),
		},
		{
			"nested features", `{"features":{"a":{"b":{"c":"x"},"d":[{}]},"e":{},"a.d":null,"f":true}}`,
			with(func(e *described) {
				e.features = []string{`"a.b.c"=string "x"`, `"a.d"=invalid`, `"a.d"=null`, `"f"=bool true`}
			}),
		},
		{
			"nested segments", `{"segment":{"geo":{"region":"eu"},"tier":1.0,"beta":false}}`,
			with(func(e *described) {
				e.segments = []string{`"geo.region"=string "eu"`, `"tier"=number 1.0 3ff0000000000000`, `"beta"=bool false`}
			}),
		},
		{
			"label", `{"model":"m","id":"i","ts":1,"label":"up"}`,
			with(func(e *described) { e.isLabel, e.model, e.id, e.time, e.label = true, "m", "i", "1", `string "up"` }),
		},
		{
			"label with its own prediction", `{"label":true,"prediction":0.5,"prediction_ts":1}`,
			with(func(e *described) {
				e.isLabel, e.label, e.predictionTime, e.prediction = true, "bool true", "1", []string{number05("prediction")}
			}),
		},
		{
			"label with a prediction of nulls", `{"label":1,"id":"i","prediction":{"label":null,"scores":{"up":null}}}`,
			with(func(e *described) { e.isLabel, e.label, e.id = true, "number 1 3ff0000000000000", "i" }),
		},
		{"label of a wrong type", `{"label":[1],"id":"i"}`, with(func(e *described) { e.isLabel, e.label, e.id = true, "invalid", "i" })},
		{"an empty label", `{"label":null,"id":"i"}`, with(func(e *described) { e.isLabel, e.label, e.id = true, "null", "i" })},
		{
			"an empty label beside a prediction makes no label", `{"label":null,"prediction":0.5}`,
			with(func(e *described) { e.label, e.prediction = "null", []string{number05("prediction")} }),
		},
		{"an event does not care for prediction_ts", `{"prediction_ts":"x"}`, base.String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := decodeAll(event.NewDecoder(event.DefaultLimits()), []byte(tt.text))
			if want := []string{tt.want}; !cmp.Equal(want, got) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
			}
		})
	}
}

// number05 is a field of that name with the value 0.5.
func number05(name string) string { return `"` + name + `"=number 0.5 3fe0000000000000` }
