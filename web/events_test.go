package web_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/web"
)

func TestEventsArePublishedInOrder(t *testing.T) {
	ev := func(id int) string { return `{"model":"m","id":"` + strconv.Itoa(id) + `","features":{"x":1}}` }
	label := `{"model":"m","id":"1","label":true}`
	for name, test := range map[string]struct {
		query, body string
		header      map[string]string
		want        []string
		accepted    int
	}{
		"object":         {body: ev(1), want: []string{"ml.events.m " + ev(1)}, accepted: 1},
		"array":          {body: "[" + ev(1) + ", " + ev(2) + "]", want: []string{"ml.events.m [" + ev(1) + "," + ev(2) + "]"}, accepted: 2},
		"NDJSON":         {body: ev(1) + "\n" + ev(2) + "\n", want: []string{"ml.events.m [" + ev(1) + "," + ev(2) + "]"}, accepted: 2},
		"labels between": {body: ev(1) + "\n" + label + "\n" + ev(2), want: []string{"ml.events.m " + ev(1), "ml.labels.m " + label, "ml.events.m " + ev(2)}, accepted: 3},
		"model of query": {query: "?model=q", body: `{"id":"1","features":{}}`, want: []string{`ml.events.q {"id":"1","features":{}}`}, accepted: 1},
		"gzip":           {body: gzipped(t, ev(1)), header: map[string]string{"Content-Encoding": "gzip"}, want: []string{"ml.events.m " + ev(1)}, accepted: 1},
		"large": {
			body: strings.Repeat(strings.Replace(ev(1), "x", strings.Repeat("x", 200), 1)+"\n", 5000),
			want: nil, accepted: 5000,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &broker{}
			s := start(t, web.Options{Publish: b.publish})
			header := jsonHeader()
			maps.Copy(header, test.header)
			r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events"+test.query, test.body, header)
			if want := `{"data":{"accepted":` + strconv.Itoa(test.accepted) + `}}`; r.status != 200 || strings.TrimSpace(r.body) != want {
				t.Fatalf("%d %s, want %s", r.status, r.body, want)
			}
			if test.want == nil {
				n := 0
				for _, m := range b.messages {
					n += strings.Count(m, `"id":`)
					if len(m) > 512<<10+64 {
						t.Errorf("a message of %d bytes", len(m))
					}
				}
				if n != test.accepted {
					t.Errorf("%d records in %d messages, want %d", n, len(b.messages), test.accepted)
				}
				return
			}
			if diff := cmp.Diff(test.want, b.messages); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEventsRefused(t *testing.T) {
	good := `{"model":"m","id":"1","features":{"x":1}}`
	for name, test := range map[string]struct {
		query, body string
		header      map[string]string
		status      int
		code        string
	}{
		"one of three":    {body: good + "\n" + `{"model":"m","ts":"yesterday"}` + "\n" + good, status: 400, code: "invalid_records"},
		"not JSON":        {body: "hello", status: 400, code: "invalid_records"},
		"bare NaN":        {body: `{"model":"m","features":{"x":NaN}}`, status: 400, code: "invalid_records"},
		"no model":        {body: `{"features":{"x":1}}`, status: 400, code: "invalid_records"},
		"other model":     {query: "?model=q", body: good, status: 400, code: "invalid_records"},
		"bad model":       {query: "?model=a.b", body: good, status: 400, code: "bad_request"},
		"empty array":     {body: "[]", status: 400, code: "no_records"},
		"only space":      {body: " \n", status: 400, code: "no_records"},
		"too large":       {body: good + strings.Repeat(" ", 1<<20), status: 413, code: "too_large"},
		"gzip bomb":       {body: gzipped(t, strings.Repeat(" ", 64<<20)), header: map[string]string{"Content-Encoding": "gzip"}, status: 413, code: "too_large"},
		"no gzip":         {body: good, header: map[string]string{"Content-Encoding": "gzip"}, status: 400, code: "bad_body"},
		"cut gzip":        {body: gzipped(t, good)[:20], header: map[string]string{"Content-Encoding": "gzip"}, status: 400, code: "bad_body"},
		"brotli":          {body: good, header: map[string]string{"Content-Encoding": "br"}, status: 415, code: "unsupported_encoding"},
		"form":            {body: good, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
		"text":            {body: good, header: map[string]string{"Content-Type": "text/plain"}, status: 415, code: "unsupported_media_type"},
		"no type":         {body: good, header: map[string]string{"Content-Type": ""}, status: 415, code: "unsupported_media_type"},
		"unknown setting": {query: "?models=m", body: good, status: 400, code: "bad_request"},
	} {
		t.Run(name, func(t *testing.T) {
			b := &broker{}
			s := start(t, web.Options{Publish: b.publish, MaxBody: 1 << 20})
			header := jsonHeader()
			maps.Copy(header, test.header)
			r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events"+test.query, test.body, header)
			if code := r.code(t); r.status != test.status || code != test.code {
				t.Errorf("%d %s, want %d %s: %s", r.status, code, test.status, test.code, r.body)
			}
			if len(b.messages) != 0 {
				t.Errorf("refused, but published: %q", b.messages)
			}
		})
	}
}

func TestEveryBadRecordIsNamed(t *testing.T) {
	b := &broker{}
	s := start(t, web.Options{Publish: b.publish})
	body := `{"model":"m","id":"1"}` + "\n" + `{"model":"m","ts":"yesterday"}` + "\n" + strings.Repeat(`{"id":"1"}`+"\n", 300)
	r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", body, jsonHeader())
	var e struct {
		Error struct {
			Refused int
			Records []struct {
				Index  int
				Reason string
				Detail string
			}
		}
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Error.Refused != 301 || len(e.Error.Records) != 100 {
		t.Fatalf("%d refused, %d named, want 301 and the first 100", e.Error.Refused, len(e.Error.Records))
	}
	if got := e.Error.Records[0]; got.Index != 1 || got.Reason != "bad_time" || got.Detail == "" {
		t.Errorf("first: %+v", got)
	}
	if got := e.Error.Records[1]; got.Index != 2 || got.Reason != "no_model" {
		t.Errorf("second: %+v", got)
	}
}

func TestBrokerAwayIs503(t *testing.T) {
	b := &broker{failFrom: 2}
	s := start(t, web.Options{Publish: b.publish})
	body := `{"model":"a","id":"1"}` + "\n" + `{"model":"b","id":"1"}`
	r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", body, jsonHeader())
	if r.status != 503 || r.code(t) != "broker_unavailable" || r.header.Get("Retry-After") == "" || !strings.Contains(r.body, `"accepted":1`) {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	if strings.Contains(r.body, "nats:") {
		t.Error("the broker's own error is shown to a client")
	}
	none := start(t, web.Options{})
	if r := do(t, http.DefaultClient, http.MethodPost, "http://"+none.Addr()+"/api/v1/events", body, jsonHeader()); r.code(t) != "events_disabled" {
		t.Errorf("without a broker: %d %s", r.status, r.body)
	}
}

// A model that no partition takes refuses the whole request, so that its sender learns of it.
func TestEventsOfUnknownModel(t *testing.T) {
	b := &broker{}
	s := start(t, web.Options{Publish: b.publish, Takes: func(model string) bool { return model == "churn" }})
	body := `[{"model":"churn","ts":1},{"model":"fraud","ts":1}]`
	r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", body, jsonHeader())
	if r.status != http.StatusBadRequest || !strings.Contains(r.body, `"reason":"unknown_model"`) || !strings.Contains(r.body, `"index":1`) {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if len(b.messages) != 0 {
		t.Errorf("refused, but published: %q", b.messages)
	}
}
