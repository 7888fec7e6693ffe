package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/window"
)

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("driftd.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCounting(t *testing.T) {
	print64 := "sha256:" + strings.Repeat("a1", 32)
	c := parse(t, `
unknown_models: reject
limits: {max_models: 7, max_versions: 3, future_tolerance: 1m, dedup_ids: 10, max_message: 2MiB, max_record: 64KiB, max_features: 9}
models:
  named: {reference: q3, windows: [{size: 2h, every: 30m}], lateness: 0s}
  printed:
    reference: `+print64+`
    features:
      same: {detectors: {drift: 0.25}}
      id: {ignore: true}
      prediction.score: {detectors: {drift: 0.5}}
`)
	got := c.Counting()
	if err := got.Validate(); err != nil {
		t.Fatal(err)
	}
	const hour, minute = 3_600_000, 60_000
	d := config.Default().Defaults.Detectors
	rules := alerting.Defaults()
	own := d
	own.Drift = 0.5
	timing := window.Timing{Windows: []window.Spec{{Size: hour, Every: hour}}, Pane: 15 * minute, Lateness: hour, WatermarkDelay: 30_000}
	slide := window.Timing{Windows: []window.Spec{{Size: 2 * hour, Every: 30 * minute}}, Pane: 15 * minute, WatermarkDelay: 30_000}
	want := fold.Counting{
		Defaults: fold.ModelConfig{Timing: timing, Detectors: d, Rules: rules},
		Models: map[string]fold.ModelConfig{
			"named": {ReferenceName: "q3", Timing: slide, Detectors: d},
			"printed": {
				Reference: print64, ReferenceName: print64, Timing: timing, Detectors: d,
				Features:    map[string]fold.FeatureConfig{"id": {Ignore: true}},
				Predictions: map[string]fold.FeatureConfig{"prediction.score": {Detectors: &own}},
			},
		},
		UnknownModels: fold.UnknownReject, MaxModels: 7, MaxVersions: 3, FutureTolerance: minute, DedupIDs: 10, MaxMessage: 2 << 20,
		Limits: got.Limits,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Counting (-want +got):\n%s", diff)
	}
	if l := got.Limits; l.MaxRecord != 64<<10 || l.MaxFields != 9 || l.MaxDepth == 0 || l.MaxName == 0 {
		t.Errorf("limits %+v", l)
	}
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back fold.Counting
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Hash() != got.Hash() {
		t.Error("the hash changes on the way through the stream")
	}
}

// TestCountingHash: the hash sees what counts, and nothing else.
func TestCountingHash(t *testing.T) {
	const base = "models: {a: {lateness: 2h, features: {x: {ignore: true}}}}\n"
	want := parse(t, base).Counting().Hash()
	for name, text := range map[string]string{
		"written out":  string(parse(t, base).Marshal()),
		"other units":  "models: {a: {lateness: 120m, pane: 900s, features: {x: {ignore: true}, y: {}}}}\n",
		"other places": base + "data_dir: /elsewhere\nlog: {level: debug}\ncommit: {interval: 5s}\nlimits: {idle_timeout: 1m}\n",
	} {
		if got := parse(t, text).Counting().Hash(); got != want {
			t.Errorf("%s: the hash differs", name)
		}
	}
	for name, text := range map[string]string{
		"another model":   "models: {a: {lateness: 2h, features: {x: {ignore: true}}}, b: {}}\n",
		"lateness":        "models: {a: {lateness: 3h, features: {x: {ignore: true}}}}\n",
		"feature":         "models: {a: {lateness: 2h}}\n",
		"reference":       "models: {a: {reference: r, lateness: 2h, features: {x: {ignore: true}}}}\n",
		"a default":       base + "defaults: {watermark_delay: 1m}\n",
		"a detector":      base + "defaults: {detectors: {q: 0.05}}\n",
		"a limit":         base + "limits: {max_versions: 21}\n",
		"unknown models":  base + "unknown_models: reject\n",
		"a rule":          base + "defaults: {rules: {feature-drift: {severity: page}}}\n",
		"no rules":        "models: {a: {lateness: 2h, rules: {loss: {enabled: false}}, features: {x: {ignore: true}}}}\n",
		"size of records": base + "limits: {max_record: 2MiB}\n",
	} {
		if got := parse(t, text).Counting().Hash(); got == want {
			t.Errorf("%s: the hash is the same", name)
		}
	}
}

// A reference that is the stream itself travels as a span; its name is for people.
func TestRollingCounting(t *testing.T) {
	c, err := config.Parse("driftd.yaml", []byte(`
defaults: {resolution: 500}
models:
  span: {reference: {previous: 7d}}
  season: {reference: {same: weekday}}
  hours: {reference: {same: hour, weeks: 2}}
  champion: {reference: {version: v1}}
  past: {reference: {version: v1, previous: 1d}}
  stored: {reference: {name: q3}}
`))
	if err != nil {
		t.Fatal(err)
	}
	const day = int64(86_400_000)
	want := map[string]struct {
		name    string
		rolling *fold.Rolling
	}{
		"span":     {"previous 7d", &fold.Rolling{Previous: 7 * day, Resolution: 500}},
		"season":   {"same weekday of the previous 28d", &fold.Rolling{Previous: 28 * day, Same: fold.SameWeekday, Resolution: 500}},
		"hours":    {"same hour of the previous 14d", &fold.Rolling{Previous: 14 * day, Same: fold.SameHour, Resolution: 500}},
		"champion": {"version v1", &fold.Rolling{Version: "v1", Resolution: 500}},
		"past":     {"version v1, previous 1d", &fold.Rolling{Version: "v1", Previous: day, Resolution: 500}},
		"stored":   {"q3", nil},
	}
	counting := c.Counting()
	if err := counting.Validate(); err != nil {
		t.Error(err)
	}
	for name, w := range want {
		got := counting.Models[name]
		if diff := cmp.Diff(w.rolling, got.Rolling); diff != "" || got.ReferenceName != w.name {
			t.Errorf("%s is called %q, want %q: %s", name, got.ReferenceName, w.name, diff)
		}
	}
}

// Dimensions are in byte order; values that are named leave nothing to the reference.
func TestCountingSegments(t *testing.T) {
	c, err := config.Parse("driftd.yaml", []byte(`
models:
  m:
    segments:
      region: {values: [eu, us]}
      plan: {largest: 3}
      device: {}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []fold.SegmentConfig{
		{Dimension: "device", Largest: 10}, {Dimension: "plan", Largest: 3}, {Dimension: "region", Values: []string{"eu", "us"}},
	}
	counting := c.Counting()
	if diff := cmp.Diff(want, counting.Models["m"].Segments); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
	if err := counting.Validate(); err != nil {
		t.Error(err)
	}
	for what, bad := range map[string][]fold.SegmentConfig{
		"not in order":      {{Dimension: "b", Largest: 1}, {Dimension: "a", Largest: 1}},
		"a name with =":     {{Dimension: "a=b", Largest: 1}},
		"too many":          {{Dimension: "a", Largest: 101}},
		"neither is given":  {{Dimension: "a"}},
		"nine of dimension": {{Dimension: "a", Largest: 1}, {Dimension: "b", Largest: 1}, {Dimension: "c", Largest: 1}, {Dimension: "d", Largest: 1}, {Dimension: "e", Largest: 1}, {Dimension: "f", Largest: 1}, {Dimension: "g", Largest: 1}, {Dimension: "h", Largest: 1}, {Dimension: "i", Largest: 1}},
	} {
		c := c.Counting()
		m := c.Models["m"]
		m.Segments = bad
		c.Models["m"] = m
		if c.Validate() == nil {
			t.Errorf("%s: a stream may bring that", what)
		}
	}
}
