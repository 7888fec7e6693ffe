package web_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/web"
)

func TestReadRoutes(t *testing.T) {
	s := start(t, web.Options{})
	for _, test := range []struct{ path, want string }{
		{"/api/v1/models", `"model":"credit","newest_ms":18000000`},
		{"/api/v1/models/credit", `"sizes_ms":[3600000]`},
		{"/api/v1/models/credit/windows?limit=2", `"next":"`},
		{"/api/v1/models/credit/windows?size=1h&from=1970-01-01T01:00:00Z&to=7200001", `"start_ms":7200000`},
		{"/api/v1/models/credit/windows/" + resultID(3), `"parts_stored":1`},
		{"/api/v1/models/credit/features", `"feature":"age"`},
		{"/api/v1/models/credit/features/age?role=feature", `"latest":{"feature":"age"`},
		{"/api/v1/models/credit/features/" + url.PathEscape(odd), `"value":1.3`},
		{"/api/v1/models/credit/heat", `"verdicts":"ddddd","psi_debiased":[1.3,1.3,1.3,1.3,1.3]`},
		{"/api/v1/alerts", `{"data":[]}`},
		{"/api/v1/alerts?state=firing&model=credit&limit=5", `{"data":[]}`},
		{"/metrics", "driftd_http_requests_total"},
		{"/-/healthy", `{"data":{"healthy":true}}`},
	} {
		r := get(t, s, test.path)
		if r.status != http.StatusOK || !strings.Contains(r.body, test.want) {
			t.Errorf("%s: %d, want %s in\n%.600s", test.path, r.status, test.want, r.body)
		}
		if r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", test.path, r.header)
		}
		if h := do(t, http.DefaultClient, http.MethodHead, "http://"+s.Addr()+test.path, "", nil); h.status != r.status || h.body != "" {
			t.Errorf("HEAD %s: %d %q", test.path, h.status, h.body)
		}
	}
}

// A model that is counted and has no closed window yet is listed in its place, once, on the API and on the page.
func TestModelsWithoutAWindow(t *testing.T) {
	s := start(t, web.Options{Counted: func() []string { return []string{"zebra", "credit", "alpha"} }})
	names := func(path string) (names []string, next string) {
		var answer struct {
			Data []struct{ Model string }
			Next string
		}
		if err := json.Unmarshal([]byte(get(t, s, path).body), &answer); err != nil {
			t.Fatal(err)
		}
		for _, m := range answer.Data {
			names = append(names, m.Model)
		}
		return names, answer.Next
	}
	all, _ := names("/api/v1/models")
	if diff := cmp.Diff([]string{"alpha", "credit", "zebra"}, all); diff != "" {
		t.Errorf("models differ (-want +got):\n%s", diff)
	}
	var paged []string
	for cursor, pages := "", 0; pages < 10; pages++ {
		page, next := names("/api/v1/models?limit=1" + cursor)
		if paged = append(paged, page...); next == "" {
			break
		}
		cursor = "&cursor=" + next
	}
	if diff := cmp.Diff(all, paged); diff != "" {
		t.Errorf("page by page they differ (-want +got):\n%s", diff)
	}
	if r := get(t, s, "/api/v1/models"); !strings.Contains(r.body, `{"model":"alpha","newest_ms":0,"latest":[]}`) {
		t.Errorf("a model without a window: %s", r.body)
	}
	if r := get(t, s, "/"); !strings.Contains(r.body, "counted; no window of all versions is closed yet") {
		t.Error("the page does not show the model without a window")
	}
}

// The committed bytes stand in the answers as they are.
func TestDocumentsAreForwardedAsTheyAre(t *testing.T) {
	s := start(t, web.Options{})
	docs := documents(t, 4)
	if r := get(t, s, "/api/v1/models/credit/windows?limit=1"); !strings.Contains(r.body, string(docs[0].Data)) {
		t.Errorf("the summary\n%s\nis not in\n%s", docs[0].Data, r.body)
	}
	var doc struct{ Features []json.RawMessage }
	if err := json.Unmarshal(docs[1].Data, &doc); err != nil {
		t.Fatal(err)
	}
	for _, f := range doc.Features {
		if r := get(t, s, "/api/v1/models/credit/windows/"+resultID(4)); !strings.Contains(r.body, string(f)) {
			t.Errorf("the feature\n%s\nis not in\n%s", f, r.body)
		}
	}
}

func TestPagesByCursor(t *testing.T) {
	s := start(t, web.Options{})
	next, starts := "", []int64{}
	for {
		r := get(t, s, "/api/v1/models/credit/windows?limit=2&cursor="+url.QueryEscape(next))
		var page struct {
			Data []struct {
				Window struct {
					Start int64 `json:"start_ms"`
				}
			}
			Next string
		}
		if err := json.Unmarshal([]byte(r.body), &page); err != nil {
			t.Fatalf("%v in %s", err, r.body)
		}
		for _, w := range page.Data {
			starts = append(starts, w.Window.Start/hour)
		}
		if next = page.Next; next == "" {
			break
		}
	}
	if diff := cmp.Diff([]int64{4, 3, 2, 1, 0}, starts); diff != "" {
		t.Errorf("windows (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	s := start(t, web.Options{})
	for _, test := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/nothing", 404, "not_found"},
		{"GET", "/api/v1/models/none", 404, "not_found"},
		{"GET", "/api/v1/models/credit/features/none", 404, "not_found"},
		{"GET", "/api/v1/models/credit/features/age?role=prediction", 404, "not_found"},
		{"GET", "/api/v1/models/credit/windows/none", 404, "not_found"},
		{"GET", "/api/v1/models/credit/windows?version=v9", 404, "not_found"},
		{"GET", "/static/none.css", 404, "not_found"},
		{"POST", "/api/v1/models", 405, "method_not_allowed"},
		{"GET", "/api/v1/events", 405, "method_not_allowed"},
		{"GET", "/-/reload", 405, "method_not_allowed"},
		{"DELETE", "/", 405, "method_not_allowed"},
		{"GET", "/api/v1/models?limit=0", 400, "bad_request"},
		{"GET", "/api/v1/models?limit=99999999999999999999", 400, "bad_request"},
		{"GET", "/api/v1/models?limti=1", 400, "bad_request"},
		{"GET", "/api/v1/models?limit=1&limit=2", 400, "bad_request"},
		{"GET", "/api/v1/models?limit=%zz", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?limit=1001", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?from=yesterday", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?from=5&to=5", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?size=0", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?size=1.5us", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?size=99999999999999d", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/windows?cursor=AAAA", 400, "bad_request"},
		{"GET", "/api/v1/models/credit/features/age?role=admin", 400, "bad_request"},
		{"GET", "/api/v1/alerts?state=loud", 400, "bad_request"},
		{"POST", "/-/reload", 503, "reload_disabled"},
	} {
		r := do(t, http.DefaultClient, test.method, "http://"+s.Addr()+test.path, "", nil)
		if code := r.code(t); r.status != test.status || code != test.code {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, r.status, code, test.status, test.code)
		}
		if (test.status == 405) != (r.header.Get("Allow") != "") {
			t.Errorf("%s %s: Allow is %q", test.method, test.path, r.header.Get("Allow"))
		}
	}
}

// FuzzQuery: whatever stands in a query, the answer is 200, 404, or 400 with a sentence; never 500.
func FuzzQuery(f *testing.F) {
	s := start(f, web.Options{})
	for _, seed := range []string{
		"limit=1&cursor=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "size=1h&from=0&to=9223372036854775807", "from=-9223372036854775808",
		"version=*&segment=region%3Deu", "size=9223372036854775807&limit=1000", "to=9999-12-31T23:59:59Z", "role=feature", "cursor=%00", "&&;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"models", "models/credit/windows", "models/credit/heat", "models/credit/features/age"} {
			u := url.URL{Scheme: "http", Host: s.Addr(), Path: "/api/v1/" + path, RawQuery: query}
			if _, err := url.Parse(u.String()); err != nil {
				return // no client can send it
			}
			r := do(t, http.DefaultClient, http.MethodGet, u.String(), "", nil)
			switch r.status {
			case http.StatusOK:
			case http.StatusBadRequest, http.StatusNotFound:
				if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") { // else net/http refused the request line
					r.code(t)
				}
			default:
				t.Errorf("%s: %d %s", u.String(), r.status, r.body)
			}
		}
	})
}
