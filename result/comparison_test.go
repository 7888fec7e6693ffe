package result_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// The schema of verdicts has the fields of its types, and takes what the types write.
func TestVerdictSchema(t *testing.T) {
	path := filepath.Join(testenv.Root(t), "docs", "schema", "verdict.schema.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties map[string]any
		Required   []string
	}
	var text struct {
		object

		Defs map[string]object `json:"$defs"`
	}
	if err := json.Unmarshal(data, &text); err != nil {
		t.Fatal(err)
	}
	types := map[reflect.Type]bool{}
	structs(reflect.TypeFor[result.Comparison](), types)
	for rt := range types {
		name := strings.ToLower(rt.Name()[:1]) + rt.Name()[1:]
		of, ok := text.Defs[name]
		if rt == reflect.TypeFor[result.Comparison]() {
			of, ok = text.object, true
		}
		if !ok {
			t.Errorf("the schema has no %s", name)
			continue
		}
		all, always := fields(rt)
		var properties []string
		for p := range of.Properties {
			properties = append(properties, p)
		}
		slices.Sort(properties)
		slices.Sort(of.Required)
		if diff := cmp.Diff(all, properties); diff != "" {
			t.Errorf("%s: properties (-type +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(always, of.Required); diff != "" {
			t.Errorf("%s: required (-type +schema):\n%s", name, diff)
		}
	}
	schema, err := jsonschema.NewCompiler().Compile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(v any) error {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
	var whole result.Comparison
	full(reflect.ValueOf(&whole).Elem(), map[string]string{"type": "verdict", "mode": "shadow", "verdict": "hold", "state": "worse"}, "")
	whole.Now.Inputs.Top[0].Verdict, whole.Now.Predictions.Top[0].Verdict = result.Drift, result.Stable
	bare, unknown := whole, whole
	bare.Now, bare.Quality, bare.Shadow, bare.Ref = nil, nil, nil, nil
	unknown.Verdict = "perhaps"
	for name, v := range map[string]any{"with everything": whole, "with what is always there": bare} {
		if err := check(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]any{"an unknown verdict": unknown, "nothing": map[string]any{}} {
		if check(v) == nil {
			t.Errorf("%s passes the schema", name)
		}
	}
}

// Verdicts of one comparison differ by window and maturity, those of two by name.
func TestComparisonID(t *testing.T) {
	k, w := result.Key{Model: "m", Version: "2", Segment: result.All}, result.Window{Start: 0, End: 10, Size: 10}
	seen := map[string]bool{}
	for _, id := range []string{
		result.ComparisonID(k, "a", w, 10, "", 0), result.ComparisonID(k, "b", w, 10, "", 0), result.ComparisonID(k, "a", w, 10, "", 5),
		result.ComparisonID(k, "a", w, 10, "f", 0), result.ComparisonID(k, "a", result.Window{Start: 10, End: 20, Size: 10}, 10, "", 0), result.QualityID(k, w, 10, "", 0),
	} {
		if seen[id] || len(id) != 32 {
			t.Errorf("%s is there twice, or is none", id)
		}
		seen[id] = true
	}
}
