package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/internal/testenv"
)

// TestGenerated fails when the types and the files in docs say different things.
func TestGenerated(t *testing.T) {
	root := testenv.Root(t)
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Errorf("%v: run `go generate ./config`", err)
			continue
		}
		if diff := cmp.Diff(string(files[name]), string(got)); diff != "" {
			t.Errorf("%s is not what the types say, run `go generate ./config` (-types +file):\n%s", name, diff)
		}
	}
}

// TestSchema holds the schema against files that Parse accepts and refuses.
func TestSchema(t *testing.T) {
	root := testenv.Root(t)
	data, err := os.ReadFile(filepath.Join(root, "docs", "schema", "config.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("config.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("config.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(text []byte) error {
		t.Helper()
		asJSON, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(value)
	}
	example, err := os.ReadFile(filepath.Join(root, "driftd.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"example": example,
		"default": config.Default().Marshal(),
		"empty":   []byte("{}"),
		"units":   []byte("limits: {max_message: 4 MB, max_record: 4096, idle_timeout: 1h30m, future_tolerance: 1.5m}\nmodels: {a: , b: {features: {}}}\n"),
	} {
		if _, err := config.Parse(name, text); err != nil {
			t.Errorf("%s: Parse: %v", name, err)
		}
		if err := validate(text); err != nil {
			t.Errorf("%s: the schema refuses what Parse accepts: %v", name, err)
		}
	}
	for _, name := range []string{
		"unknown-key", "reserved-for-later", "models-auto", "not-a-mapping", "duration-bare", "duration-unit",
		"size-unit", "enum", "influxdb_url", "influxdb_secret", "model-name", "detectors", "range",
	} {
		text, err := os.ReadFile(filepath.Join(root, "config", "testdata", name+".bad.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		if validate(text) == nil {
			t.Errorf("%s: the schema accepts it", name)
		}
	}
}

// TestChoices holds the enumerations of the detectors, which are a table here, against their validation.
func TestChoices(t *testing.T) {
	for _, key := range slices.Sorted(maps.Keys(detectorChoices)) {
		for _, choice := range append(slices.Clone(detectorChoices[key]), "no-such-choice") {
			_, err := config.Parse("x", []byte("defaults: {detectors: {"+key+": "+choice+"}}"))
			if want := choice != "no-such-choice"; (err == nil) != want {
				t.Errorf("%s: %s: accepted %v, want %v (%v)", key, choice, err == nil, want, err)
			}
		}
	}
}

// TestNoEmptyMeaning: every setting is described, in a sentence.
func TestNoEmptyMeaning(t *testing.T) {
	top, err := readSettings(testenv.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	var walk func(s setting)
	walk = func(s setting) {
		if s.key != "" && !strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: %q is no sentence", s.path, s.doc)
		}
		for _, c := range s.children {
			walk(c)
		}
	}
	walk(top)
}
