package web_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
	"github.com/driftd/driftd/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const hour = int64(3_600_000)

// odd is a feature's name with everything that means something in a path.
const odd = "a/b c?d%2F#é..&<x>"

// filled returns a store with five windows of the model `credit`.
func filled(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), filepath.Join(tb.TempDir(), "store.db"), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	for i := range 5 {
		if err := s.Write(tb.Context(), documents(tb, i)); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func resultID(i int) string {
	return result.ID(result.Key{Model: "credit", Version: "*", Segment: "*"},
		result.Window{Start: int64(i) * hour, End: int64(i+1) * hour, Size: hour}, hour, "sha256:aa", 0)
}

func documents(tb testing.TB, i int) []store.Document {
	tb.Helper()
	key := result.Key{Model: "credit", Version: "*", Segment: "*"}
	win := result.Window{Start: int64(i) * hour, End: int64(i+1) * hour, Size: hour}
	id := resultID(i)
	sum := result.Summary{
		Schema: 1, Type: "summary", ResultID: id, Key: key, Window: win, Complete: true,
		Ref: &result.ReferenceID{Name: "jan", Fingerprint: "sha256:aa"}, Counts: result.Counts{Events: 100},
		Features: 2, Parts: 1, DriftShare: new(0.5), Verdict: result.Drift, Reasons: []string{"<b>1 of 2</b> features & more"},
	}
	doc := result.FeatureDoc{Schema: 1, Type: "features", ResultID: id, Key: key, Window: win}
	for j, name := range []string{"age", odd} {
		doc.Features = append(doc.Features, result.Feature{
			Feature: name, Role: result.RoleFeature, Kind: "numeric", Verdict: result.Drift, Bins: []result.Bin{}, Reasons: []string{"why"},
			Statistics: map[string]result.Stat{"psi_debiased": {Value: new(0.3 + float64(j))}}, Current: result.Side{Count: 100},
		})
	}
	var out []store.Document
	for k, v := range []any{sum, doc} {
		b, err := json.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		name := id
		if k == 1 {
			name += ".0"
		}
		out = append(out, store.Document{ID: name, Data: b})
	}
	return out
}

// broker is what Publish writes to.
type broker struct {
	mu       sync.Mutex
	messages []string // subject and data
	failFrom int      // fail from this message on; 0 never
}

func (b *broker) publish(_ context.Context, subject string, data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failFrom > 0 && len(b.messages)+1 >= b.failFrom {
		return errors.New("nats: no response from stream")
	}
	b.messages = append(b.messages, subject+" "+string(data))
	return nil
}

// start runs a server until the test ends and returns it.
func start(tb testing.TB, o web.Options) *web.Server {
	tb.Helper()
	if o.Reader == nil {
		o.Reader = filled(tb)
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s, err := web.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Error(err)
			}
		case <-time.After(20 * time.Second):
			tb.Error("the server did not end")
		}
	})
	return s
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func do(tb testing.TB, client *http.Client, method, url, body string, header map[string]string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	resp, err := client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func get(tb testing.TB, s *web.Server, path string) reply {
	tb.Helper()
	return do(tb, http.DefaultClient, http.MethodGet, "http://"+s.Addr()+path, "", nil)
}

func jsonHeader() map[string]string { return map[string]string{"Content-Type": "application/json"} }

func gzipped(tb testing.TB, s string) string {
	tb.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

// code returns the error code of an answer, and checks its shape.
func (r reply) code(tb testing.TB) string {
	tb.Helper()
	var e struct {
		Error *struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || e.Error == nil || e.Error.Code == "" || e.Error.Message == "" {
		tb.Errorf("status %d without {\"error\":{code,message}}: %s", r.status, r.body)
		return ""
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		tb.Errorf("an error of type %q", ct)
	}
	return e.Error.Code
}

func TestLifecycle(t *testing.T) {
	health := make(chan []string, 1)
	health <- []string{"connecting to the broker"}
	s := start(t, web.Options{Health: func() web.Health {
		w := <-health
		defer func() { health <- w }()
		return web.Health{Waiting: w}
	}})
	if r := get(t, s, "/-/ready"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "connecting to the broker") {
		t.Errorf("before: %d %s", r.status, r.body)
	}
	if r := get(t, s, "/-/healthy"); r.status != http.StatusOK {
		t.Errorf("waiting is not unhealthy: %d %s", r.status, r.body)
	}
	<-health
	health <- nil
	if r := get(t, s, "/-/ready"); r.status != http.StatusOK {
		t.Errorf("after: %d %s", r.status, r.body)
	}
	s.Drain()
	if r := get(t, s, "/-/ready"); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "shutting down") {
		t.Errorf("draining: %d %s", r.status, r.body)
	}
	if r := get(t, s, "/metrics"); r.status != http.StatusOK {
		t.Errorf("metrics are not readable while draining: %d", r.status)
	}
	if r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", "{}", jsonHeader()); r.status != 503 {
		t.Errorf("events while draining: %d", r.status)
	}
}

func TestFailingIsUnhealthy(t *testing.T) {
	s := start(t, web.Options{Health: func() web.Health { return web.Health{Failing: []string{"pipeline stopped"}} }})
	for _, path := range []string{"/-/healthy", "/-/ready"} {
		if r := get(t, s, path); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "pipeline stopped") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

func TestReload(t *testing.T) {
	var fail error
	s := start(t, web.Options{Reload: func(context.Context) error { return fail }})
	url := "http://" + s.Addr() + "/-/reload"
	if r := do(t, http.DefaultClient, http.MethodPost, url, "", nil); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	fail = errors.New("driftd.yaml:3:1: unknown key")
	if r := do(t, http.DefaultClient, http.MethodPost, url, "", nil); r.code(t) != "reload_failed" || !strings.Contains(r.body, "driftd.yaml:3:1") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestDefaultAddressGivesWay(t *testing.T) {
	reader := filled(t)
	first, err := web.New(web.Options{Reader: reader})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Listen(); err != nil { // 8790, or a free port where something has it already
		t.Fatal(err)
	}
	defer first.Close()
	second := start(t, web.Options{Reader: reader, Listen: web.DefaultListen})
	if a, b := first.Addr(), second.Addr(); a == b || b == web.DefaultListen || !strings.HasPrefix(b, "127.0.0.1:") {
		t.Errorf("addresses %s and %s", a, b)
	}
	other, err := web.New(web.Options{Reader: reader, Listen: second.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Listen(); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an address that was asked for and is taken: %v", err)
	}
}

func TestShutdownWaitsForOpenRequests(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, err := web.New(web.Options{Reader: filled(t), Listen: "127.0.0.1:0", Reload: func(context.Context) error {
		close(entered)
		<-release
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	answered := make(chan int, 1)
	go func() {
		answered <- do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/-/reload", "", nil).status
	}()
	<-entered
	cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	testenv.Eventually(t, 5*time.Second, "new connections are refused", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+"/-/healthy", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err != nil
	})
	close(release)
	if got := <-answered; got != http.StatusOK {
		t.Errorf("the open request got %d", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}
