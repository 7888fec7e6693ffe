package alerting_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// A rule that can never judge what it names says so, whatever its kind; one without names, or with names that exist, says nothing.
func TestUnknown(t *testing.T) {
	features := []result.Feature{{Feature: "age", Role: result.RoleFeature}, {Feature: "score", Role: result.RolePrediction}} //nolint:exhaustruct // what it reads
	rule := func(name string, kind alerting.Kind, names ...string) alerting.Rule {
		r := alerting.Template(name, kind)
		r.Features = names
		return r
	}
	when := func(name, expression string) alerting.Rule {
		r := alerting.Template(name, alerting.KindCondition)
		r.When = expression
		return r
	}
	rules := append(alerting.Defaults(),
		rule("own", alerting.KindFeatureDrift, "age"),
		rule("income-drift", alerting.KindFeatureDrift, "incom", "age", "incom"),
		rule("of-a-prediction", alerting.KindFeatureDrift, "score"),
		rule("of-a-feature", alerting.KindPredictionDrift, "age"),
		rule("gone", alerting.KindMissingValues, "score", "postcode"),
		when("sum", `stat("age", "psi") > 0.2 or stat("inc\"ome", "ks") > 0.1`),
		when("all", `events > 10 and any(features, .name == "no such")`),
	)
	ignored := func(_ result.Role, name string) bool { return name == "postcode" }
	want := []string{
		`unknown_feature: rule income-drift looks at "incom", which the reference has not got: it is never judged`,
		`unknown_feature: rule of-a-prediction looks at "score", which the reference has not got: it is never judged`,
		`unknown_feature: rule of-a-feature looks at "age", which the reference has not got: it is never judged`,
		`unknown_feature: rule gone looks at "postcode", which the configuration ignores: it is never judged`,
		`unknown_feature: rule sum looks at "inc\"ome", which the reference has not got: it is never judged`,
	}
	if diff := cmp.Diff(want, (&alerting.Book{}).Unknown(rules, features, ignored)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var many []string
	for i := range 500 {
		many = append(many, fmt.Sprintf("f%03d%s", i, strings.Repeat("x", 1000)))
	}
	got := (&alerting.Book{}).Unknown([]alerting.Rule{rule("wide", alerting.KindOutOfRange, many...)}, features, ignored)
	if len(got) != 11 || got[10] != "unknown_feature: and 490 more" || len(got[0]) > 300 {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}
