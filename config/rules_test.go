package config_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/config"
)

// Without a word in the file the rules are those of package alerting, for every model.
func TestDefaultRules(t *testing.T) {
	got := config.Default().Counting().Defaults.Rules
	if diff := cmp.Diff(alerting.Defaults(), got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	field, _ := reflect.TypeFor[config.Rule]().FieldByName("Kind")
	if kinds := strings.Split(field.Tag.Get("enum"), "|"); !slices.Equal(kinds, alerting.KindNames()) {
		t.Errorf("kinds %v, package alerting has %v", kinds, alerting.KindNames())
	}
}

// Built-in rules, defaults and models: key by key, in whatever order the file has them.
func TestRuleInheritance(t *testing.T) {
	c := parse(t, `
models:
  m:
    windows: [{size: 1h}, {size: 5m}]
    pane: 5m
    rules:
      feature-drift: {keep_firing_for: 6h, labels: {team: risk}}
      mine: {threshold: 0.3}
      loss: {enabled: false}
      budget: {kind: error_slo, slo: {objective: 0.999}}
  plain:
defaults:
  rules:
    feature-drift: {severity: page, for: 1 of 1}
    mine: {kind: missing_values, features: [age], annotations: {summary: "{{.Title}}"}}
`)
	m := c.Models["m"].Rules
	if r := m["feature-drift"]; r.Severity != "page" || r.For != (config.Hits{1, 1}) || r.KeepFiringFor != 6*config.Day/24 || r.Labels["team"] != "risk" || r.Clear != 0.8 || !r.Enabled {
		t.Errorf("feature-drift: %+v", r)
	}
	if r := m["mine"]; r.Kind != "missing_values" || r.Threshold != 0.3 || !slices.Equal(r.Features, []string{"age"}) || r.For != (config.Hits{2, 3}) {
		t.Errorf("mine: %+v", r)
	}
	if r := c.Models["plain"].Rules["mine"]; r.Threshold != 0.02 {
		t.Errorf("mine of plain: %+v, want the threshold of its kind", r)
	}
	counting := c.Counting()
	if err := counting.Validate(); err != nil {
		t.Fatal(err)
	}
	rules := counting.Models["m"].Rules
	names := []string{}
	for _, r := range rules {
		names = append(names, r.Name)
	}
	if slices.Contains(names, "loss") || !slices.Contains(names, "budget") || names[0] != "feature-drift" {
		t.Errorf("rules of m: %v", names)
	}
	budget := rules[slices.Index(names, "budget")]
	if want := alerting.PageBurns(); budget.SLO == nil || budget.SLO.Window != 5*60_000 || !slices.Equal(budget.SLO.Burns, want) {
		t.Errorf("budget: %+v, want windows of 5m and the burns %v", budget.SLO, want)
	}
	if counting.Models["plain"].Rules != nil {
		t.Error("a model that says nothing repeats the rules of the defaults")
	}
	if diff := cmp.Diff(c, parse(t, string(c.Marshal()))); diff != "" {
		t.Errorf("written out and read again (-want +got):\n%s", diff)
	}
}
