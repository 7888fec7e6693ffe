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

func schemaPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(testenv.Root(t), "docs", "schema", "result.schema.json")
}

// definitions maps each definition of the schema to the type that it describes.
func definitions() map[string]reflect.Type {
	return map[string]reflect.Type{
		"summary": reflect.TypeFor[result.Summary](), "featureDoc": reflect.TypeFor[result.FeatureDoc](),
		"key": reflect.TypeFor[result.Key](), "window": reflect.TypeFor[result.Window](),
		"referenceID": reflect.TypeFor[result.ReferenceID](), "counts": reflect.TypeFor[result.Counts](),
		"latency": reflect.TypeFor[result.Latency](), "feature": reflect.TypeFor[result.Feature](),
		"side": reflect.TypeFor[result.Side](), "stat": reflect.TypeFor[result.Stat](), "bin": reflect.TypeFor[result.Bin](),
		"thresholds": reflect.TypeFor[result.Thresholds](),
		"quality":    reflect.TypeFor[result.Quality](), "metric": reflect.TypeFor[result.Metric](),
		"fairness": reflect.TypeFor[result.Fairness](), "fairnessGroup": reflect.TypeFor[result.FairnessGroup](), "fairnessGap": reflect.TypeFor[result.FairnessGap](),
		"confusion": reflect.TypeFor[result.Confusion](), "estimate": reflect.TypeFor[result.Estimate](),
	}
}

// fields returns the JSON names of a struct's fields, and those that are always written.
func fields(rt reflect.Type) (all, always []string) {
	for field := range rt.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue // not part of the document
		}
		all = append(all, name)
		if !strings.Contains(options, "omitempty") {
			always = append(always, name)
		}
	}
	slices.Sort(all)
	slices.Sort(always)
	return all, always
}

// structs collects the struct types that a document can hold.
func structs(rt reflect.Type, into map[reflect.Type]bool) {
	switch rt.Kind() { //nolint:exhaustive // the others hold no types
	case reflect.Pointer, reflect.Slice, reflect.Map:
		structs(rt.Elem(), into)
	case reflect.Struct:
		into[rt] = true
		for field := range rt.Fields() {
			structs(field.Type, into)
		}
	}
}

func TestSchemaHasTheFieldsOfTheTypes(t *testing.T) {
	data, err := os.ReadFile(schemaPath(t))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any
			Required   []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	described := map[reflect.Type]bool{}
	for name, rt := range definitions() {
		described[rt] = true
		def, ok := schema.Defs[name]
		if !ok {
			t.Errorf("the schema does not define %s", name)
			continue
		}
		var properties []string
		for p := range def.Properties {
			properties = append(properties, p)
		}
		slices.Sort(properties)
		slices.Sort(def.Required)
		all, always := fields(rt)
		if diff := cmp.Diff(all, properties); diff != "" {
			t.Errorf("%s: properties (-type +schema):\n%s", name, diff)
		}
		if diff := cmp.Diff(always, def.Required); diff != "" {
			t.Errorf("%s: required (-type +schema):\n%s", name, diff)
		}
	}
	used := map[reflect.Type]bool{}
	structs(reflect.TypeFor[result.Summary](), used)
	structs(reflect.TypeFor[result.FeatureDoc](), used)
	structs(reflect.TypeFor[result.Quality](), used)
	structs(reflect.TypeFor[result.Fairness](), used)
	for rt := range used {
		if !described[rt] {
			t.Errorf("the schema has no definition for %v", rt)
		}
	}
}

// full returns v with every field set to something: numbers 1, strings a fitting word, collections with one element.
func full(v reflect.Value, words map[string]string, name string) {
	switch v.Kind() { //nolint:exhaustive // results have no others
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		full(v.Elem(), words, name)
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			full(v.Field(i), words, name)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		full(v.Index(0), words, name)
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		full(e, words, name)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("0.5"), e)
	case reflect.String:
		v.SetString("word")
		if w, ok := words[name]; ok {
			v.SetString(w)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint64:
		v.SetUint(1)
	case reflect.Float64:
		v.SetFloat(1)
	}
}

func TestSchemaTakesDocuments(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile(schemaPath(t))
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{
		"result_id": strings.Repeat("0a", 16), "fingerprint": "sha256:0a", "verdict": "drift", "role": "feature", "kind": "numeric", "type": "summary",
	}
	var sum result.Summary
	full(reflect.ValueOf(&sum).Elem(), words, "")
	var doc result.FeatureDoc
	words["type"] = "features"
	full(reflect.ValueOf(&doc).Elem(), words, "")
	var quality result.Quality
	words["type"], words["task"], words["mode"] = "quality", "binary", "full"
	full(reflect.ValueOf(&quality).Elem(), words, "")
	var fairness result.Fairness
	words["type"] = "fairness"
	full(reflect.ValueOf(&fairness).Elem(), words, "")
	fairness.Level = 0.95
	key, win := result.Key{Model: "m", Version: "*", Segment: "*"}, result.Window{Start: -1, End: 1, Size: 2}
	id := result.ID(key, win, win.Size, "", 0)
	minimal := result.Summary{Schema: 1, Type: "summary", ResultID: id, Key: key, Window: win, Verdict: result.Insufficient}
	empty := result.FeatureDoc{Schema: 1, Type: "features", ResultID: id, Key: key, Window: win, Features: []result.Feature{}}
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
	for name, v := range map[string]any{"full summary": sum, "full features": doc, "full quality": quality, "full fairness": fairness, "minimal summary": minimal, "no features": empty} {
		if err := check(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	unknown, wrong := minimal, minimal
	unknown.Verdict, wrong.Type = "perhaps", "features"
	for name, v := range map[string]any{"an unknown verdict": unknown, "a wrong type": wrong, "nothing": map[string]any{}} {
		if check(v) == nil {
			t.Errorf("%s passes the schema", name)
		}
	}
}

// What an id is: the first half of the SHA-256 of its parts, each behind its length and a colon. The expected ones are those of
// Python's hashlib.
func TestID(t *testing.T) {
	key, hour := result.Key{Model: "m", Version: "*", Segment: "*"}, result.Window{Start: 0, End: 3_600_000, Size: 3_600_000}
	for every, want := range map[int64]string{hour.Size: "56a5f8376e285ad8984051d942fef291", 900_000: "8c824bc8c9e6ae83cbc84b67b4c54fc2"} {
		if got := result.ID(key, hour, every, "sha256:aa", 0); got != want {
			t.Errorf("an hour every %d ms: %s, want %s", every, got, want)
		}
	}
}
