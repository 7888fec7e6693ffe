package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/internal/testenv"
)

var update = flag.Bool("update", false, "write the golden files again")

// TestBad holds the message of each rule against its golden file. The goldens are written by people's eyes: read the diff
// after -update.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".bad.yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := config.Parse("driftd.yaml", data)
			var all config.Errors
			if !errors.As(err, &all) {
				t.Fatalf("Parse = %v, %v; want Errors", c, err)
			}
			got := all.Error() + "\n"
			golden := strings.TrimSuffix(file, ".bad.yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("messages differ (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFiveMistakes is what `driftd check` promises: mistakes of five kinds are five errors, each in its place.
func TestFiveMistakes(t *testing.T) {
	const text = `nats:
  strem: PREDICTIONS
commit:
  interval: 5
limits: {max_models: many}
store: {type: influxdb}
models:
  churn:
    windows: [{size: 20m}]
`
	_, err := config.Parse("driftd.yaml", []byte(text))
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("Parse: %v, want Errors", err)
	}
	type where struct {
		Line, Col int
		Path      string
	}
	var got []where
	for _, e := range all {
		got = append(got, where{e.Line, e.Col, e.Path})
	}
	want := []where{
		{2, 3, "nats.strem"},
		{4, 13, "commit.interval"},
		{5, 22, "limits.max_models"},
		{6, 15, "store.type"},
		{9, 22, "models.churn.windows[0].size"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("places differ (-want +got):\n%s\n%v", diff, err)
	}
}

func TestDefault(t *testing.T) {
	if err := config.Default().Validate(); err != nil {
		t.Errorf("Default() is not valid: %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "comment": "# nothing\n", "null": "~\n", "empty sections": "nats:\nmodels:\nweb: {}\nlimits:\n", "document": "---\n...\n",
	} {
		c, err := config.Parse(name, []byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(config.Default(), c); diff != "" {
			t.Errorf("%s is not Default() (-want +got):\n%s", name, diff)
		}
	}
}

// TestExample shows that the example in the root is valid and that every setting in it, but its models, has its default.
func TestExample(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Root(t), "driftd.example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("driftd.example.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Models) == 0 {
		t.Error("the example has no model")
	}
	c.Models, c.Notifiers = map[string]config.Model{}, map[string]config.Notifier{}
	if diff := cmp.Diff(config.Default(), c); diff != "" {
		t.Errorf("the example is not Default() (-want +got):\n%s", diff)
	}
	for _, key := range keys(reflect.TypeFor[config.Config](), map[string]bool{}) {
		if !strings.Contains(string(data), key+":") {
			t.Errorf("the example does not show the key %s", key)
		}
	}
}

// keys lists every key of a struct and of the structs in it.
func keys(t reflect.Type, seen map[string]bool) []string {
	for t.Kind() == reflect.Map || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	var out []string
	if t.Kind() != reflect.Struct {
		return nil
	}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
		out = append(out, keys(f.Type, seen)...)
	}
	return out
}

// TestInheritance: defaults → model → feature, in whatever order the file has them.
func TestInheritance(t *testing.T) {
	c, err := config.Parse("driftd.yaml", []byte(`
models:
  plain:
  churn:
    lateness: 0s
    windows: [{size: 1d, every: 6h}, {size: 2h}]
    detectors: {drift: 0.5}
    features:
      age: {detectors: {warning: 0.2}}
      prediction: {}
      prediction.score.yes:
defaults:
  pane: 5m
  lateness: 2h
  detectors: {warning: 0.15, q: 0.05}
`))
	if err != nil {
		t.Fatal(err)
	}
	d := config.Default()
	plain, churn := c.Model("plain"), c.Model("churn")
	if diff := cmp.Diff(c.Model("not in the file"), plain); diff != "" {
		t.Errorf("a model without settings is not the defaults (-want +got):\n%s", diff)
	}
	hour := d.Defaults.Windows[0].Size
	if diff := cmp.Diff([]config.Window{{Size: config.Day, Every: 6 * hour}, {Size: 2 * hour, Every: 2 * hour}}, churn.Windows); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
	if churn.Lateness != 0 || plain.Lateness != 2*hour || churn.Pane != hour/12 || churn.WatermarkDelay != d.Defaults.WatermarkDelay {
		t.Errorf("timing of churn: %+v", churn)
	}
	want := d.Defaults.Detectors
	want.Warning, want.Q = 0.15, 0.05
	if diff := cmp.Diff(want, plain.Detectors); diff != "" {
		t.Errorf("detectors of plain (-want +got):\n%s", diff)
	}
	want.Drift = 0.5
	if diff := cmp.Diff(want, churn.Feature("feature", "income").Detectors); diff != "" {
		t.Errorf("detectors of a feature without settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, churn.Feature("prediction", "prediction.score.yes").Detectors); diff != "" {
		t.Errorf("detectors of a prediction (-want +got):\n%s", diff)
	}
	if got := churn.Features["prediction"].Role; got != "prediction" {
		t.Errorf("role of prediction = %q", got)
	}
	if got := churn.Feature("feature", "prediction"); got.Role != "feature" {
		t.Errorf("a feature that is called prediction has the prediction's settings: %+v", got)
	}
	want.Warning = 0.2
	if diff := cmp.Diff(want, churn.Feature("feature", "age").Detectors); diff != "" {
		t.Errorf("detectors of age (-want +got):\n%s", diff)
	}
}

// TestAnchors: YAML's own means against repetition work, and cannot be turned against driftd.
func TestAnchors(t *testing.T) {
	c, err := config.Parse("driftd.yaml", []byte(`
models:
  a: &base {lateness: 2h, windows: &w [{size: 2h}], detectors: {drift: 0.5}}
  b: *base
  c: {<<: *base, lateness: 3h}
  d: {windows: *w}
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c.Models["a"], c.Models["b"]); diff != "" {
		t.Errorf("alias differs:\n%s", diff)
	}
	want := c.Models["a"]
	want.Lateness = 3 * config.Duration(3600e9)
	if diff := cmp.Diff(want, c.Models["c"]); diff != "" {
		t.Errorf("merge differs:\n%s", diff)
	}
	if diff := cmp.Diff(c.Models["a"].Windows, c.Models["d"].Windows); diff != "" {
		t.Errorf("windows differ:\n%s", diff)
	}
	c.Models["a"].Windows[0].Size = 1
	if c.Models["d"].Windows[0].Size == 1 {
		t.Error("two models share the memory of one list")
	}
	for name, text := range map[string]string{
		"itself":        "models: &m {a: *m}\n",
		"merges itself": "nats: &n {<<: *n}\n",
		"loop":          "nats: &a *b\nweb: &b *a\n",
		"bomb":          "models:\n  m0: &m {features: &f {" + strings.Repeat("x: {}, ", 1) + "y: {}}}\n" + bomb(),
		"deep":          strings.Repeat("[", 100_000),
		"deep dashes":   strings.Repeat("- ", 100_000),
		"deep braces":   strings.Repeat("{a: ", 100_000),
		"huge":          "# " + strings.Repeat("x", 1<<20),
	} {
		if _, err := config.Parse(name, []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// bomb is a thousand models that are aliases of one with a thousand features: a million entries of a small file.
func bomb() string {
	var b strings.Builder
	b.WriteString("  big: &big\n    features:\n")
	for i := range 1000 {
		b.WriteString("      f" + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + strings.Repeat("b", i/26) + ": {}\n")
	}
	for i := range 1000 {
		b.WriteString("  m" + strings.Repeat("a", i%7) + string(rune('a'+i%26)) + strings.Repeat("b", i/26) + ": *big\n")
	}
	return b.String()
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "driftd.yaml")
	const text = "nats: {url: 'nats://h:4222', user: u, password_file: secrets/pw, tls: {ca_file: /etc/ca.pem}}\ndata_dir: here\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.NATS.PasswordFile, filepath.Join(dir, "secrets", "pw"); got != want {
		t.Errorf("password_file = %s, want %s: relative to the file", got, want)
	}
	if c.NATS.TLS.CAFile != "/etc/ca.pem" || c.NATS.TokenFile != "" || c.DataDir != "here" {
		t.Errorf("other paths changed: %+v", c.NATS)
	}
	again, err := config.Parse("again", c.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again); diff != "" {
		t.Errorf("parse(marshal) differs:\n%s", diff)
	}
	if _, err := config.Load(filepath.Join(dir, "missing.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestLeaksNoSecret writes a secret everywhere that people put one by mistake. No message, and no line that is quoted with
// it, may repeat it.
func TestLeaksNoSecret(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{
		"nats: {url: 'nats://bob:hunter2@host:4222'}",
		"nats: {url: 'nats://hunter2@host'}",
		"nats: {url: 'nats://bob:hunter2%@host:99999999'}",
		"nats:\n  url: nats://a:4222,nats://bob:hunter2@host:4222\n",
		"nats:\n  password: hunter2\n",
		"nats:\n  password : 'hunter2, really'\n",
		"nats: {user: u, password: hunter2, strem: x}",
		"nats: {\"token\": \"hunter2\"}",
		"nats:\n  token: &t hunter2\n  user: *missing\n",
		"nats:\n  token_file: [hunter2]\n",
		"nats:\n  password_file: hunter2\n  token_file: x\n",
		"nats:\n  password_file: !!str hunter2\n",
		"nats:\n  password: 'hunter2\n",
		"nats:\n  password: hunter2: x\n",
		"nats:\n  credentials: {seed: hunter2}\n",
		"nats:\n  token_file: \"hunter2\\u0007\"\n",
		"api_key: hunter2\n",
		"store: {type: influxdb, token: hunter2}\n",
		"store: {type: influxdb, influxdb: {url: 'http://bob:hunter2@host'}}\n",
		"store: {influxdb: {token: hunter2}}\n",
	} {
		_, err := config.Parse("driftd.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the message shows the secret:\n%v", text, err)
		}
	}
}

// TestValidate: the rules hold without a file too, and say a mistake that models only inherit once.
func TestValidate(t *testing.T) {
	c := config.Default()
	c.Models["a"], c.Models["b"] = c.Model("a"), c.Model("b")
	c.Log.Level = "loud"
	c.Defaults.Lateness = -1
	for name, m := range c.Models {
		m.Lateness = -1
		c.Models[name] = m
	}
	m := c.Models["b"]
	m.Pane = config.Duration(7 * 60e9)
	c.Models["b"] = m
	err := c.Validate()
	var all config.Errors
	if !errors.As(err, &all) {
		t.Fatalf("Validate: %v", err)
	}
	var got []string
	for _, e := range all {
		got = append(got, e.Error())
	}
	want := []string{
		"defaults.lateness: must be between 0s and 366d, got -1ns",
		"defaults.lateness: must be whole milliseconds, got -1ns",
		`log.level: must be debug, info, warn or error, got "loud"`,
		"models.b.pane: must divide 15 minutes (such as 1m, 5m or 15m), got 7m",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	var one config.Error
	if !errors.As(err, &one) || one.Path != "defaults.lateness" {
		t.Errorf("errors.As finds %+v, want the first mistake", one)
	}
}

// TestDetail: the caret stands below its character, also behind tabs and characters of several bytes.
func TestDetail(t *testing.T) {
	e := config.Error{File: "f.yaml", Line: 12, Col: 5, Path: "a", Message: "is bad", Source: "\té: x"}
	if got, want := e.Detail(), "f.yaml:12:5: a: is bad\n   12 | \té: x\n      | \t   ^"; got != want {
		t.Errorf("Detail:\n%s\nwant:\n%s", got, want)
	}
	_, err := config.Parse("f.yaml", []byte("models:\r\n  \"é\": {pane: 1}\r\n"))
	if got, want := err.Error(), "f.yaml:2:15: "; !strings.Contains(got, want) || strings.Contains(got, "\r") {
		t.Errorf("%q, want it to hold %q and no carriage return", got, want)
	}
}

// TestFiles: every setting that names a file is made absolute by Load.
func TestFiles(t *testing.T) {
	var text strings.Builder
	text.WriteString("web: {config_file: f}\nnats: {url: 'nats://h', tls: {ca_file: f, cert_file: f, key_file: f}, ")
	for _, way := range []string{"credentials_file: f", "nkey_file: f", "user: u, password_file: f", "token_file: f"} {
		path := filepath.Join(t.TempDir(), "driftd.yaml")
		if err := os.WriteFile(path, []byte(text.String()+way+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(string(c.Marshal()), "\n") {
			if key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); strings.HasSuffix(key, "_file") && value == "f" {
				t.Errorf("%s is still relative", key)
			}
		}
	}
}
