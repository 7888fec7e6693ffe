// Package amtest starts real Alertmanagers for tests. The binary is built from its own module under tools/ by
// scripts/alertmanager.sh, which `make test` runs; where it was not built, tests that need it are skipped by name (and fail where
// CI=true). Test code only.
package amtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/testenv"
)

// Server is one Alertmanager. Its address stays the same over Kill and Start.
type Server struct {
	URL string

	tb   testing.TB
	bin  string
	addr string
	dir  string
	conf string
	cmd  *exec.Cmd
	done chan struct{}
	log  *bytes.Buffer
}

// New prepares an Alertmanager that tells the receiver: alerts of one incident at once (200 ms), grouped by model and name. route is
// put below the route of the configuration, such as inhibit_rules.
func New(tb testing.TB, r *Receiver, more string) *Server {
	tb.Helper()
	bin := filepath.Join(testenv.Root(tb), "bin", "alertmanager")
	if _, err := os.Stat(bin); err != nil {
		testenv.Missing(tb, "bin/alertmanager (scripts/alertmanager.sh builds it)")
	}
	addr := testenv.FreeAddress(tb)
	s := &Server{URL: "http://" + addr, tb: tb, bin: bin, addr: addr, dir: tb.TempDir(), conf: "", cmd: nil, done: nil, log: nil}
	s.conf = filepath.Join(s.dir, "alertmanager.yml")
	text := fmt.Sprintf(`
global: {resolve_timeout: 5s}
route:
  receiver: hook
  group_by: [alertname, model]
  group_wait: 200ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs: [{url: %q, send_resolved: true}]
%s`, r.URL, more)
	if err := os.WriteFile(s.conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return s
}

// Start starts the process and waits until it answers. It is stopped at the test's end.
func (s *Server) Start() {
	s.tb.Helper()
	s.log, s.done = &bytes.Buffer{}, make(chan struct{})
	s.cmd = exec.Command(s.bin, "--config.file="+s.conf, "--storage.path="+filepath.Join(s.dir, "data"),
		"--web.listen-address="+s.addr, "--cluster.listen-address=")
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	cmd, done := s.cmd, s.done
	go func() {
		defer close(done)
		_ = cmd.Wait() // killed
	}()
	s.tb.Cleanup(s.Kill)
	testenv.Eventually(s.tb, 20*time.Second, "alertmanager is ready", func() bool {
		res, err := http.Get(s.URL + "/-/ready")
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}

// Kill ends the process as a crash does.
func (s *Server) Kill() {
	select {
	case <-s.done:
		return
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.tb.Error(err)
	}
	<-s.done
}

// Alert is an alert as Alertmanager tells it.
type Alert struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Status       json.RawMessage   `json:"status"`
}

// Alerts returns what the server holds.
func (s *Server) Alerts() []Alert {
	s.tb.Helper()
	var out []Alert
	s.get("/api/v2/alerts", &out)
	return out
}

func (s *Server) get(path string, into any) {
	s.tb.Helper()
	res, err := http.Get(s.URL + path)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil || res.StatusCode != http.StatusOK {
		s.tb.Fatalf("GET %s: %d %v", path, res.StatusCode, err)
	}
}

// Post sends JSON, such as a silence.
func (s *Server) Post(path string, body any) {
	s.tb.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.tb.Fatal(err)
	}
	res, err := http.Post(s.URL+path, "application/json", bytes.NewReader(data))
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		s.tb.Fatalf("POST %s: %d %s", path, res.StatusCode, text)
	}
}

// Receiver is the webhook that an Alertmanager tells: the end of the way of an alert.
type Receiver struct {
	URL string

	mu   sync.Mutex
	told []Notification
}

// Notification is what a receiver got at once.
type Notification struct {
	Status      string            `json:"status"`
	GroupLabels map[string]string `json:"groupLabels"`
	Alerts      []struct {
		Status       string            `json:"status"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		GeneratorURL string            `json:"generatorURL"`
	} `json:"alerts"`
}

// NewReceiver starts a receiver; it is stopped at the test's end.
func NewReceiver(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{} //nolint:exhaustruct // nothing was told
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		var n Notification
		if err := json.NewDecoder(req.Body).Decode(&n); err != nil {
			tb.Errorf("a notification that cannot be read: %v", err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, n)
	}))
	tb.Cleanup(server.Close)
	r.URL = server.URL
	return r
}

// Told lists what the receiver was told, one line for every alert of every notification: "firing feature-drift m".
func (r *Receiver) Told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, n := range r.told {
		for _, a := range n.Alerts {
			out = append(out, strings.TrimSpace(a.Status+" "+a.Labels["alertname"]+" "+a.Labels["model"]))
		}
	}
	return out
}

// Notifications returns everything that the receiver got.
func (r *Receiver) Notifications() []Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Notification(nil), r.told...)
}
