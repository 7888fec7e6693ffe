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
	for _, text := range accepted {
		f.Add([]byte(text))
	}
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
		fixedPoint(t, c)
	})
}

// accepted are texts for what a list, a mode or a choice can be, beside those of driftd.example.yaml.
var accepted = []string{
	"nats: {partitions: [{models: [churn, fraud]}, {models: [a]}, {stream: EVENTS}, {stream: OTHERS, models: [b]}]}\nmodels: {churn: {}}",
	"nats: {stream: DRIFTD_IN_0, partitions: [{models: [churn]}]}",
	"nats: {url: 'nats://h:4222', stream: EVENTS, user: u, password_file: pw, lease_ttl: 0s, replicas: 3}",
	"models: {span: {reference: {previous: 7d}}, season: {reference: {same: weekday}}, hours: {reference: {same: hour, weeks: 2}}}",
	"models: {champion: {reference: {version: v1}}, past: {reference: {version: v1, previous: 1d}}, stored: {reference: {name: q3}}}",
	"models: {m: {labels: {mode: full, task: multiclass, classes: [a, b, c]}}, n: {labels: {mode: sample, rate: 0.1, task: regression}}}",
	"models: {m: {labels: {mode: self, positive: \"yes\", negative: \"no\"}, windows: [{size: 1h, min_events: 9, extend_to: 6h}]}}",
	"models: {m: {labels: {mode: full}, compare: {ab: {mode: ab, baseline: a, candidate: b}, s: {mode: shadow, baseline: a, candidate: c}}}}",
	"defaults: {rules: {mine: {kind: feature_drift, enabled: false}, loss: {enabled: false}}}\nmodels: {m: {rules: {loss: {enabled: true}}}}",
	"defaults: {rules: {busy: {kind: condition, when: events > 9}}}\nmodels: {m: {pane: 5m, windows: [{size: 5m}], rules: {busy: {kind: error_slo, slo: {objective: 0.99}}}}}",
	"models: {m: {annotations: [{start: 2026-11-22T10:00:00Z, end: 2026-11-22T11:30:00Z, text: down}]}}",
	"notifiers: {s: {type: slack, token_file: u, channel: '#ops', routes: [{match: {team: risk}, channel: '#risk'}]}, a: {type: alertmanager, urls: ['http://h:9093']}}",
}

// TestFixedPoint: what the daemon prints as its configuration is a configuration, and the same one.
func TestFixedPoint(t *testing.T) {
	for _, text := range accepted {
		c, err := config.Parse("driftd.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		fixedPoint(t, c)
	}
}

func fixedPoint(t *testing.T, c *config.Config) {
	t.Helper()
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
