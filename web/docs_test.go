package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/web"
)

func doc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every route has a heading in docs/api.md with an example below it, and every heading is of a route.
func TestEveryRouteIsDocumented(t *testing.T) {
	text := doc(t, "api.md")
	documented := map[string]bool{}
	sections := regexp.MustCompile("(?m)^### `([A-Z]+ [^`]+)`$").FindAllStringSubmatchIndex(text, -1)
	for i, m := range sections {
		end := len(text)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		name := text[m[2]:m[3]]
		documented[name] = true
		if !strings.Contains(text[m[1]:end], "curl ") {
			t.Errorf("%s has no example", name)
		}
	}
	for _, r := range web.Routes() {
		name := r.Method + " " + strings.ReplaceAll(r.Pattern, "{$}", "")
		if !documented[name] {
			t.Errorf("docs/api.md has no heading ### `%s`", name)
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("docs/api.md describes %s, which is no route", name)
	}
}

// Every error code that the code can answer stands in docs/api.md.
func TestEveryErrorCodeIsDocumented(t *testing.T) {
	text := doc(t, "api.md")
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`Code: "([a-z_]+)"|unavailable\("([a-z_]+)"`)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range codes.FindAllStringSubmatch(string(b), -1) {
			if code := m[1] + m[2]; !strings.Contains(text, "`"+code+"`") {
				t.Errorf("%s answers the code %s, which docs/api.md does not name", file, code)
			}
		}
	}
}

func TestMetricsAreLintedAndDocumented(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	b := &broker{}
	s := start(t, web.Options{Registry: reg, Publish: b.publish})
	get(t, s, "/api/v1/models")
	get(t, s, "/nothing")
	do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", `{"model":"m"}`+"\n"+`{"model":"m"}`, jsonHeader())
	do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", `hello`, jsonHeader())
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	want := `
# HELP driftd_http_records_published_total Records of POST /api/v1/events that the broker has stored.
# TYPE driftd_http_records_published_total counter
driftd_http_records_published_total 2
# HELP driftd_http_requests_total HTTP requests answered, by handler and status code.
# TYPE driftd_http_requests_total counter
driftd_http_requests_total{code="200",handler="events"} 1
driftd_http_requests_total{code="200",handler="models"} 1
driftd_http_requests_total{code="400",handler="events"} 1
driftd_http_requests_total{code="404",handler="unknown"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "driftd_http_records_published_total", "driftd_http_requests_total"); err != nil {
		t.Error(err)
	}
	text := doc(t, "metrics.md")
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.Contains(text, "`"+f.GetName()+"`") {
			t.Errorf("docs/metrics.md does not describe %s", f.GetName())
		}
	}
}
