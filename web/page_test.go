package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

// script is a model's feature, an annotation and a reason that would run if the page did not escape it.
const script = `</script><script>alert(1)</script><img src=x onerror="alert(2)">`

// transitions are an incident of `age` that fires in window 3 and is over in window 4, and one of another model.
func transitions(tb testing.TB) []store.Document {
	tb.Helper()
	var out []store.Document
	add := func(model, incident string, from, to result.IncidentState, i int) {
		w := result.Window{Start: int64(i) * hour, End: int64(i+1) * hour, Size: hour}
		t := result.Transition{
			Schema: 1, Type: "transition", ID: fmt.Sprintf("%s-%d", incident, i), Incident: incident, Rule: "feature_drift", Kind: "feature_drift",
			Severity: "warning", Key: result.Key{Model: model, Version: "*", Segment: "*"}, Feature: "age", Role: result.RoleFeature,
			From: from, To: to, Window: w, ResultID: resultID(i), Since: 2 * hour, Value: 0.3125, Threshold: 0.25, Unit: "psi_debiased",
			Worst: 0.4375, Title: model + ": feature age drift " + string(to), Reasons: []string{script},
		}
		b, err := json.Marshal(t)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, store.Document{ID: t.ID, Data: b})
	}
	add("credit", "one", result.Inactive, result.Pending, 2)
	add("credit", "one", result.Pending, result.Firing, 3)
	add("credit", "one", result.Firing, result.Resolved, 4)
	add("other", "two", result.Pending, result.Firing, 3)
	return out
}

func pages(tb testing.TB) *web.Server {
	tb.Helper()
	s := filled(tb)
	if err := s.Write(tb.Context(), transitions(tb)); err != nil {
		tb.Fatal(err)
	}
	return start(tb, web.Options{Reader: s, Version: "1.2.3", Annotations: func(model string) []web.Annotation {
		return []web.Annotation{{Start: hour, End: 2 * hour, Text: "deployed " + model + script}, {Start: 90 * hour, End: 91 * hour, Text: "far away"}}
	}})
}

func TestPages(t *testing.T) {
	s := pages(t)
	oddPath := url.PathEscape(odd)
	oddLink := strings.ReplaceAll(oddPath, "&", "&amp;")
	for _, test := range []struct {
		path string
		want []string
	}{
		{"/", []string{
			"1.2.3", `class="verdict drift"`, "&lt;b&gt;1 of 2&lt;/b&gt;", `href="/models/credit?size=1h"`, `<data class="events" value="100">100</data>`,
			`aria-label="Newest windows: 5 drift"`, "1 firing", `datetime="1970-01-01T05:00Z"`,
		}},
		{"/models/credit", []string{
			`<data id="events" value="100">100</data>`, `/models/credit/features/age?size=1h&amp;window=1970-01-01T04%3A00Z`,
			`<data class="psi" value="0.3">0.3</data>`, oddLink, "deployed credit&lt;/script&gt;", `<li>&lt;/script&gt;`, "credit: feature age drift resolved", "drift</span> 1.3</a>",
		}},
		{"/models/credit?windows=2&to=1970-01-01T03:00:00Z", []string{"Older windows", "Newest windows", "windows=2", "1970-01-01T02:00Z", "jan"}},
		{"/models/credit/features/age", []string{"psi_debiased", "why", `<data class="value" value="0.3">0.3</data>`, "Window before", `id="values" value="100"`}},
		{"/models/credit/features/age?window=1970-01-01T01:00Z", []string{"Window after", "Newest window", "1970-01-01T02:00Z"}},
		{"/models/credit/features/" + oddPath, []string{"a/b c?d%2F#é..&amp;&lt;x&gt;", `value="1.3"`}},
		{"/alerts", []string{"two", "other: feature age drift firing", "psi_debiased", `value="0.3125">0.3125<`, "worst 0.4375", "pending"}},
		{"/alerts?model=credit&state=resolved", []string{"credit: feature age drift resolved", "inactive → ", `<li>&lt;/script&gt;`}},
		{"/alerts?incident=one", []string{"credit: feature age drift resolved", "All alerts"}},
		{"/alerts?state=pending", []string{"No incident is pending"}},
	} {
		r := get(t, s, test.path)
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", test.path, r.status, r.body)
		}
		for _, want := range test.want {
			if !strings.Contains(r.body, want) {
				t.Errorf("%s has no %q:\n%s", test.path, want, r.body)
			}
		}
		if test.path != "/" && strings.Contains(r.body, "far away") {
			t.Errorf("%s shows an annotation of other times", test.path)
		}
		isSafe(t, test.path, r.body)
		if csp := r.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s: policy %q", test.path, csp)
		}
	}
}

// isSafe checks that every script is a file of ours or a block of data, that nothing carries a style or a handler, and that
// no name became an element.
func isSafe(t *testing.T, path, body string) {
	t.Helper()
	for _, tag := range regexp.MustCompile(`<script[^>]*>`).FindAllString(body, -1) {
		if !regexp.MustCompile(`^<script defer src="/static/[a-z0-9.-]+\?v=[0-9a-f]{12}">$|^<script type="application/json" id="data">$`).MatchString(tag) {
			t.Errorf("%s has %s", path, tag)
		}
	}
	if bad := regexp.MustCompile(`<[^>]* (style|on[a-z]+)=|<img|<x>|javascript:`).FindString(body); bad != "" {
		t.Errorf("%s has %s", path, bad)
	}
}

func TestPageErrors(t *testing.T) {
	s := pages(t)
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/models/none", 404, "is not stored"},
		{"/models/credit/features/none", 404, "is not stored"},
		{"/models/credit?version=v9", 404, "is not stored"},
		{"/models/credit?windows=0", 400, "must be 1 to 1000"},
		{"/models/credit?to=tomorrow", 400, "RFC 3339"},
		{"/models/credit/features/age?window=1970-01-01T00:30:00Z", 404, "window"},
		{"/models/credit/features/age?role=admin", 400, "role"},
		{"/alerts?state=loud", 400, "state"},
		{"/alerts?stat=1", 400, "is not a parameter here"},
	} {
		r := get(t, s, test.path)
		if r.status != test.status || !strings.Contains(r.body, test.want) || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d %s\n%s", test.path, r.status, r.header.Get("Content-Type"), r.body)
		}
		isSafe(t, test.path, r.body)
	}
}

func TestStaticFiles(t *testing.T) {
	s := start(t, web.Options{})
	for name, want := range map[string]string{
		"page.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml", "uplot-LICENSE.txt": "text/plain", "live.js?v=1": "text/javascript",
	} {
		if r := get(t, s, "/static/"+name); r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), want) {
			t.Errorf("%s: %d %s", name, r.status, r.header)
		}
	}
	if r := get(t, s, "/static/..%2Fpage.go"); r.status != http.StatusNotFound {
		t.Errorf("a file outside: %d", r.status)
	}
}

func TestEmptyPage(t *testing.T) {
	empty, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "e.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	s := start(t, web.Options{Reader: empty})
	if r := get(t, s, "/"); !strings.Contains(r.body, "No window has closed yet") {
		t.Errorf("the empty page:\n%s", r.body)
	}
	if r := get(t, s, "/alerts"); !strings.Contains(r.body, "No incident") {
		t.Errorf("the empty list of alerts:\n%s", r.body)
	}
}
