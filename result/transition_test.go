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

// The transition's schema has the fields of its type, and takes what the type writes.
func TestTransitionSchema(t *testing.T) {
	path := filepath.Join(testenv.Root(t), "docs", "schema", "transition.schema.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var text struct {
		Properties map[string]struct {
			Properties map[string]any
			Required   []string
		}
		Required []string
	}
	if err := json.Unmarshal(data, &text); err != nil {
		t.Fatal(err)
	}
	all, always := fields(reflect.TypeFor[result.Transition]())
	var properties []string
	for name := range text.Properties {
		properties = append(properties, name)
	}
	slices.Sort(properties)
	slices.Sort(text.Required)
	if diff := cmp.Diff(all, properties); diff != "" {
		t.Errorf("properties (-type +schema):\n%s", diff)
	}
	if diff := cmp.Diff(always, text.Required); diff != "" {
		t.Errorf("required (-type +schema):\n%s", diff)
	}
	for name, rt := range map[string]reflect.Type{"key": reflect.TypeFor[result.Key](), "window": reflect.TypeFor[result.Window]()} {
		_, want := fields(rt)
		got := text.Properties[name].Required
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-type +schema):\n%s", name, diff)
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
	var whole result.Transition
	full(reflect.ValueOf(&whole).Elem(), map[string]string{
		"type": "transition", "role": "feature", "from": "pending", "to": "firing", "result_id": strings.Repeat("0a", 16),
	}, "")
	ofModel, unknown, half := whole, whole, whole
	ofModel.Feature, ofModel.Role = "", ""
	unknown.To, half.Role = "loud", ""
	for name, v := range map[string]any{"of a feature": whole, "of a model": ofModel} {
		if err := check(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]any{"an unknown state": unknown, "a feature without a role": half, "nothing": map[string]any{}} {
		if check(v) == nil {
			t.Errorf("%s passes the schema", name)
		}
	}
}
