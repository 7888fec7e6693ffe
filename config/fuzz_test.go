package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/internal/testenv"
)

// FuzzParse: no file makes Parse panic, an error is never empty and says where, and what is accepted is a fixed point of
// parse → marshal → parse that the rules accept again.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, filepath.Join(testenv.Root(f), "driftd.example.yaml")) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("models: {\"a\": &x {features: {\"\\u2028 \\\"q\\\" 'é' #\": {ignore: true}}}, b: *x, c: {<<: [*x]}}"))
	f.Add([]byte("data_dir: |\n  x\nnats: {user: \"\\x41\", password_file: >-\n  y}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse("fuzz.yaml", data)
		if err != nil {
			var all config.Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("error %v is no Errors", err)
			}
			for _, e := range all {
				if e.Message == "" || e.File != "fuzz.yaml" || len(e.Detail()) == 0 {
					t.Fatalf("incomplete error %+v", e)
				}
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("Parse accepts what Validate does not: %v", err)
		}
		text := c.Marshal()
		again, err := config.Parse("again.yaml", text)
		if err != nil {
			t.Fatalf("the marshalled text is refused: %v\n%s", err, text)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("not a fixed point:\n%s\n%s", diff, text)
		}
	})
}

// TestStrictAgrees holds our decoding against the library's own strict one: a text that writes every setting out means the
// same to both, and what the library's refuses, ours refuses.
func TestStrictAgrees(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Root(t), "driftd.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := config.Parse("driftd.example.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	var theirs config.Config
	if err := yaml.UnmarshalWithOptions(ours.Marshal(), &theirs, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ours, &theirs); diff != "" {
		t.Errorf("the strict decoder reads another value (-ours +theirs):\n%s", diff)
	}
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if yaml.UnmarshalWithOptions(data, config.Default(), yaml.Strict()) == nil {
			continue
		}
		refused++
		if _, err := config.Parse(file, data); err == nil {
			t.Errorf("%s: the strict decoder refuses what Parse accepts", file)
		}
	}
	if refused < 10 {
		t.Errorf("the strict decoder refuses %d files, want at least ten", refused)
	}
}
