package detectors_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/driftd/driftd/detectors"
)

func TestConfigValidate(t *testing.T) {
	if err := detectors.Default().Validate(); err != nil {
		t.Errorf("the defaults are invalid: %v", err)
	}
	tests := []struct {
		path   string
		change func(*detectors.Config)
	}{
		{"bins", func(c *detectors.Config) { c.Bins = "deciles" }},
		{"smoothing", func(c *detectors.Config) { c.Smoothing = "" }},
		{"epsilon", func(c *detectors.Config) { c.Epsilon = 0 }},
		{"epsilon", func(c *detectors.Config) { c.Epsilon = math.NaN() }},
		{"convention", func(c *detectors.Config) { c.Convention = "r" }},
		{"chi2_min_expected", func(c *detectors.Config) { c.ChiSquareMinExpected = -1 }},
		{"chi2_min_expected", func(c *detectors.Config) { c.ChiSquareMinExpected = math.Inf(1) }},
		{"warning", func(c *detectors.Config) { c.Warning = 0 }},
		{"warning", func(c *detectors.Config) { c.Warning = math.NaN() }},
		{"drift", func(c *detectors.Config) { c.Drift = 0.05 }},
		{"q", func(c *detectors.Config) { c.Q = 1.5 }},
		{"q", func(c *detectors.Config) { c.Q = 0 }},
		{"fdr", func(c *detectors.Config) { c.FDR = "none" }},
		{"rate_warning", func(c *detectors.Config) { c.RateWarning = 2 }},
		{"rate_drift", func(c *detectors.Config) { c.RateDrift = 0.01 }},
		{"drift_share", func(c *detectors.Config) { c.DriftShare = 0 }},
	}
	for _, tc := range tests {
		c := detectors.Default()
		tc.change(&c)
		err := c.Validate()
		var one *detectors.ConfigError
		if !errors.As(err, &one) || one.Path != tc.path || !strings.Contains(one.Message, "must be") {
			t.Errorf("a bad %s gives %v", tc.path, err)
		}
	}
	// Every mistake is told at once.
	c := detectors.Default()
	c.Bins, c.Q, c.DriftShare = "x", 7, -1
	for _, path := range []string{"bins: ", "q: ", "drift_share: "} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v does not name %s", err, path)
		}
	}
}

func TestConfigNamesAreTheSameInYAMLAndJSON(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[detectors.Config]()) {
		if j, y := strings.TrimSuffix(f.Tag.Get("json"), ",omitempty"), f.Tag.Get("yaml"); j == "" || j != y {
			t.Errorf("%s is %q in JSON and %q in YAML", f.Name, j, y)
		}
	}
}
