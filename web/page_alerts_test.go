package web_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// An incident shows its features in the order of their effect, that it flaps, and why nobody is told; the alerts page lists the silences that
// hold. Names and texts come from outside and stay text.
func TestIncidentOnPage(t *testing.T) {
	feature := func(name string, value float64) result.IncidentFeature {
		return result.IncidentFeature{
			Feature: name, Role: result.RoleFeature, Firing: name != "income", Since: 3 * hour, Value: value, Threshold: 0.25, Worst: value + 1, Reasons: []string{name + " moved"},
		}
	}
	transition := result.Transition{ //nolint:exhaustruct // what the page shows
		Schema: 1, Type: "transition", ID: "many-3", Incident: "many", Rule: "feature-drift", Kind: "feature_drift", Severity: "critical",
		Key: result.Key{Model: "credit", Version: "*", Segment: "*"}, Feature: script, Role: result.RoleFeature, From: result.Pending, To: result.Firing,
		Window: result.Window{Start: 3 * hour, End: 4 * hour, Size: hour}, ResultID: resultID(3), Since: 2 * hour, Value: 0.75, Threshold: 0.25, Unit: "psi_debiased",
		Worst: 1.75, Title: "credit: 200 features drift", Reasons: []string{"many moved"},
		Features: []result.IncidentFeature{feature(script, 0.75), feature("age", 0.5), feature("income", 0.3125)}, FeaturesTotal: 200,
		Flapping: true, InhibitedBy: "drift-share" + script,
	}
	data, err := json.Marshal(transition)
	if err != nil {
		t.Fatal(err)
	}
	s := filled(t)
	if err := s.Write(t.Context(), []store.Document{{ID: transition.ID, Data: data}}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	held := &shelf{all: []alerting.Silence{
		{ID: "holds", Matchers: map[string]string{"model": "credit", "severity": "critical"}, Start: now.Add(-time.Hour), End: now.Add(time.Hour), By: "ann" + script, Comment: "rollout" + script},
		{ID: "later", Matchers: map[string]string{"model": "credit"}, Start: now.Add(time.Hour), End: now.Add(2 * time.Hour), By: "", Comment: ""},
		{ID: "over", Matchers: map[string]string{"model": script}, Start: now.Add(-2 * time.Hour), End: now.Add(-time.Hour), By: "", Comment: ""},
	}}
	server := start(t, web.Options{Reader: s, Silences: held}) //nolint:exhaustruct // the page alone
	for _, path := range []string{"/alerts", "/alerts?incident=many", "/models/credit"} {
		r := get(t, server, path)
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
		isSafe(t, path, r.body)
		for _, want := range []string{
			"critical", "many moved", "Flapping:", "<code>drift-share&lt;/script&gt;", "And 197 more.", "1970-01-01T03:00Z", "age moved", "not firing",
			"Held back by the silence <code>holds</code> (<code>model=credit severity=critical</code>)",
			`<td class="n">0.3125</td><td class="n">0.25</td><td class="n">1.312`, "/models/credit/features/age?",
		} {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s has no %q:\n%s", path, want, r.body)
			}
		}
		_, table, _ := strings.Cut(r.body, `<table class="affected">`)
		first, second, third := strings.Index(table, ">&lt;/script&gt;"), strings.Index(table, ">age</a>"), strings.Index(table, ">income</a>")
		if first < 0 || first > second || second > third {
			t.Errorf("%s: the features are at %d, %d, %d, want in the order of the transition", path, first, second, third)
		}
	}
	body := get(t, server, "/alerts").body
	for _, want := range []string{`data-silence="holds"`, "ann&lt;/script&gt;", "rollout&lt;/script&gt;", "driftd alerts silence"} {
		if !strings.Contains(body, want) {
			t.Errorf("the list of silences has no %q:\n%s", want, body)
		}
	}
	for _, other := range []string{`data-silence="later"`, `data-silence="over"`} {
		if strings.Contains(body, other) {
			t.Errorf("the list shows %s, which does not hold now", other)
		}
	}
	held.all = nil
	if body := get(t, server, "/alerts").body; !strings.Contains(body, "None.") || strings.Contains(body, "Held back") {
		t.Errorf("without silences:\n%s", body)
	}
}
