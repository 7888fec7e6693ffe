package ruletest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/ruletest"
)

// The expectations of the file follow by hand from the rules as docs/alerting.md describes them.
func TestDefaultRules(t *testing.T) {
	data, err := os.ReadFile("testdata/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ruletest.Parse("default.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tests) != 7 {
		t.Fatalf("%d tests", len(f.Tests))
	}
	for i := range f.Tests {
		differences, err := f.Tests[i].Run(config.Default())
		if err != nil || len(differences) > 0 {
			t.Errorf("%s: %v\n%s", f.Tests[i].Name, err, strings.Join(differences, "\n"))
		}
	}
}

// What differs is said in both directions.
func TestDifferences(t *testing.T) {
	f, err := ruletest.Parse("x", []byte(`
tests:
  - model: m
    input: {windows: 2, lost: 0 1}
    expect: [{window: 1, rule: loss, to: firing}]
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Tests[0].Run(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"missing     window 1: loss firing", "unexpected  window 2: loss firing"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"tests: [{nodel: m}]":                                                      "1:10: tests[0].nodel: is not a known key; did you mean model?",
		"tests: [{model: m}]":                                                      "input.windows is 0",
		"tests: [{input: {windows: 1, events: soon}}]":                             "\"soon\" is no number",
		"tests: [{input: {windows: 2, events: 1x3}}]":                              "has 3 values, there are 2 windows",
		"tests: [{input: {windows: 2, events: 1xx}}]":                              "no value x times",
		"tests: [{input: {windows: 2, latency: {\"0.97\": \"1\"}}}]":               "is no quantile",
		"tests: [{input: {windows: 2, features: {a: {role: label}}}}]":             "must be feature or prediction",
		"tests: [{input: {windows: 2, features: {a: {statistics: {psi: high}}}}}]": "\"high\" is no number",
		"tests: [{input: {windows: 1000000000}}]":                                  "must be 1 to 100000",
	} {
		f, err := ruletest.Parse("x.yaml", []byte(text))
		if err == nil {
			_, err = f.Tests[0].Run(config.Default())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
