package event_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/testenv"
)

// schema compiles a schema of docs/schema, with formats asserted and references between the files resolved.
func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const base = "https://github.com/driftd/driftd/docs/schema/"
	files, err := filepath.Glob(filepath.Join(testenv.Root(t), "docs", "schema", "*.schema.json"))
	if err != nil || len(files) < 3 {
		t.Fatalf("schemas: %v, %v", files, err)
	}
	loader := jsonschema.FileLoader{}
	for _, file := range files {
		doc, err := loader.Load("file://" + filepath.ToSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(base+filepath.Base(file), doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(base + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validates reports whether the schema takes the JSON text.
func validates(t *testing.T, s *jsonschema.Schema, text string) bool {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return false
	}
	return s.Validate(v) == nil
}

// decodes decodes the one record of text with its model and returns it, or nil if it is refused.
func decodes(t *testing.T, text string) *event.Event {
	t.Helper()
	d := event.NewDecoder(event.DefaultLimits())
	d.Reset([]byte(text))
	if !d.Next() {
		t.Fatalf("%s: no record", text)
	}
	ev, rej := d.Event()
	if rej != nil || d.Next() {
		return nil
	}
	if _, rej := event.ResolveModel("", ev); rej != nil && rej.Reason != event.RejectNoModel {
		return nil
	}
	return ev
}

// oddities counts what the decoder forgave.
func oddities(ev *event.Event) int {
	n := ev.WrongType + ev.DuplicateKeys
	if ev.LatencyInvalid {
		n++
	}
	for _, fields := range [][]event.Field{ev.Prediction, ev.Features, ev.Segments, {{Value: ev.Label}}} {
		for _, f := range fields {
			if f.Kind == event.ValueInvalid {
				n++
			}
		}
	}
	return n
}

func TestEventSchema(t *testing.T) {
	s := schema(t, "event")
	for _, text := range []string{
		`{"model":"credit-risk","version":"2026-11-01","id":"9f1c","ts":"2026-11-22T10:00:00.123Z","latency_ms":12.7,"status":"ok",` +
			`"prediction":0.231,"features":{"age":41,"country":"DE","income":null},"segment":{"region":"eu"}}`,
		`{"schema":1,"model":"m","version":2,"id":17,"ts":1763805600123,"status":200,"prediction":true}`,
		`{"ts":"2026-11-22t10:00:00+05:30","prediction":{"label":"up","score":0.7}}`,
		`{"ts":-0.5,"prediction":{"scores":{"a":0.1,"b":"NaN","c":null}}}`,
		`{"model":"m","features":{"a":{"b":{"c":1.5}},"d":true},"version":null,"id":null,"ts":null,"latency_ms":null}`,
		`{"model":"m","something":{"new":[1,2]},"label":null,"prediction":"x"}`,
		`{}`,
	} {
		if ev := decodes(t, text); ev == nil || ev.IsLabel || oddities(ev) != 0 {
			t.Errorf("good event is not decoded as one: %s", text)
		}
		if !validates(t, s, text) {
			t.Errorf("good event does not validate: %s", text)
		}
	}
	for _, text := range []string{
		`[]`, `17`, `{"model":"a b"}`, `{"model":5}`, `{"model":"` + strings.Repeat("m", 129) + `"}`,
		`{"ts":"2026-11-22T10:00:00"}`, `{"ts":"2026-11-22 10:00:00Z"}`, `{"ts":"yesterday"}`, `{"ts":"2026-02-30T10:00:00Z"}`,
		`{"ts":"2026-11-22T10:00:60Z"}`, `{"ts":"2026-11-22T24:00:00Z"}`, `{"ts":true}`, `{"ts":[1]}`, `{"ts":1e300}`, `{"ts":253402300800000}`,
		`{"version":"` + strings.Repeat("v", 257) + `"}`, `{"features":{"` + strings.Repeat("n", 257) + `":1}}`,
		`{"model":"m",}`, `{"model":"m","features":{"x":NaN}}`,
	} {
		if text != `[]` && decodes(t, text) != nil { // an empty array is a message without records
			t.Errorf("bad event is decoded: %s", text)
		}
		if validates(t, s, text) {
			t.Errorf("bad event validates: %s", text)
		}
	}
	// What the decoder forgives and counts, the schema still tells the sender not to send.
	for _, text := range []string{
		`{"version":true}`, `{"id":["x"]}`, `{"status":{}}`, `{"latency_ms":-1}`, `{"latency_ms":"12"}`, `{"features":[1,2]}`,
		`{"features":{"x":[1]}}`, `{"segment":"eu"}`, `{"prediction":[0.1,0.9]}`, `{"prediction":{"scores":[0.5]}}`,
		`{"prediction":{"label":{"a":1}}}`, `{"schema":"1"}`,
	} {
		if ev := decodes(t, text); ev == nil || oddities(ev) == 0 {
			t.Errorf("odd event is not kept and counted: %s", text)
		}
		if validates(t, s, text) {
			t.Errorf("odd event validates: %s", text)
		}
	}
}

func TestLabelSchema(t *testing.T) {
	s := schema(t, "label")
	for _, text := range []string{
		`{"model":"elec2-up","id":"e-042385","ts":"2024-04-02T20:30:35.976Z","label":1}`,
		`{"schema":1,"model":"m","id":5,"label":"up"}`, `{"id":"x","label":false,"version":"3"}`,
		`{"model":"m","label":1,"prediction":0.4,"version":"3","prediction_ts":"2024-04-02T20:30:35Z"}`,
		`{"label":"a","prediction":{"label":"b"}}`, `{"label":"a","prediction":{"scores":{"a":0.9}},"prediction_ts":0}`,
	} {
		if ev := decodes(t, text); ev == nil || !ev.IsLabel || oddities(ev) != 0 {
			t.Errorf("good label is not decoded as one: %s", text)
		}
		if !validates(t, s, text) {
			t.Errorf("good label does not validate: %s", text)
		}
	}
	for _, text := range []string{
		`{"label":1}`, `{"label":1,"id":null}`, `{"label":1,"id":""}`, `{"label":1,"id":true}`, `{"label":1,"prediction":null}`,
		`{"label":1,"prediction":{}}`, `{"label":1,"prediction":{"scores":{}}}`,
		`{"label":1,"id":"x","ts":"12:00"}`, `{"label":1,"id":"x","prediction_ts":"12:00"}`, `{"label":1,"id":"x","model":"ü"}`,
	} {
		if decodes(t, text) != nil {
			t.Errorf("bad label is decoded: %s", text)
		}
		if validates(t, s, text) {
			t.Errorf("bad label validates: %s", text)
		}
	}
	for _, text := range []string{`{"id":"x","label":[1]}`, `{"id":"x","label":{"a":1}}`} {
		if ev := decodes(t, text); ev == nil || oddities(ev) == 0 || validates(t, s, text) {
			t.Errorf("odd label: want it kept, counted and not valid: %s", text)
		}
	}
	event := schema(t, "event")
	if validates(t, event, `{"id":"x","label":1}`) || validates(t, s, `{"id":"x"}`) {
		t.Error("a label validates as an event, or an event as a label")
	}
}
