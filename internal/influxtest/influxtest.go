// Package influxtest starts real InfluxDB servers for tests. The server is built from its own module under tools/ by
// scripts/influxd.sh, which `make test` runs; where it was not built, tests that need it are skipped by name (and fail
// where CI=true). INFLUXD names another binary, such as a 2.x server. Test code only.
package influxtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
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

// What a 2.x server is set up with.
const (
	Org   = "driftd-test"
	admin = "driftd-test-admin-token"
)

// Binary returns the server's path, or skips the test (fails it where CI=true).
func Binary(tb testing.TB) string {
	tb.Helper()
	if path := os.Getenv("INFLUXD"); path != "" {
		return path
	}
	path := filepath.Join(testenv.Root(tb), "bin", "influxd")
	if _, err := os.Stat(path); err != nil {
		testenv.Missing(tb, "bin/influxd (scripts/influxd.sh builds it)")
	}
	return path
}

// Options of a Server.
type Options struct {
	Flux    bool   // 1.8: the query language Flux, whose start takes seconds
	Auth    bool   // 1.8: users and passwords
	MaxBody int    // 1.8: the largest body in bytes; 0: the server's default
	Dir     string // where the data are; empty: a directory of the test
	// Prefix is put before the command, such as prlimit with a bound on the size of files.
	Prefix []string
}

// Server is one process. Its address stays the same over Kill and Start.
type Server struct {
	URL   string
	Two   bool   // a 2.x server: it has organisations, tokens and no /query?q=CREATE
	Token string // of an administrator; 1.8: user:password, or empty without Auth
	Org   string

	tb   testing.TB
	o    Options
	bin  string
	addr string
	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	log  *bytes.Buffer
}

// Start starts a server on a free port and waits until it answers. It is stopped at the test's end.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := New(tb, o)
	s.Start()
	return s
}

// New prepares a server without starting it.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	bin := Binary(tb)
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	s := &Server{tb: tb, o: o, bin: bin, addr: testenv.FreeAddress(tb), Token: "", Org: ""} //nolint:exhaustruct // not started yet
	s.URL = "http://" + s.addr
	version, _ := exec.Command(bin, "version").CombinedOutput()
	s.Two = strings.Contains(string(version), "InfluxDB v2") || strings.Contains(string(version), "InfluxDB 2") ||
		strings.Contains(filepath.Base(bin), "influxd2")
	switch {
	case s.Two:
		s.Token, s.Org = admin, Org
	case o.Auth:
		s.Token = "admin:secret"
	}
	tb.Cleanup(s.Kill)
	return s
}

// Start starts the process (again) and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	args := s.arguments()
	s.mu.Lock()
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.Env = append(os.Environ(), "GOGC=400") // Flux compiles its library at the start
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.mu.Unlock()
		s.tb.Fatalf("starting %s: %v", s.bin, err)
	}
	done := make(chan struct{})
	cmd := s.cmd
	s.done = done
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how a killed process ended says nothing
		close(done)
	}()
	testenv.Eventually(s.tb, 90*time.Second, "InfluxDB answers on "+s.addr, func() bool {
		select {
		case <-done:
			s.tb.Fatalf("InfluxDB ended:\n%s", s.log)
		default:
		}
		resp, err := http.Get(s.URL + "/ping")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode/100 == 2
	})
	s.setup()
}

func (s *Server) arguments() []string {
	args := append([]string{}, s.o.Prefix...)
	if s.Two {
		return append(args, s.bin, "--http-bind-address", s.addr, "--bolt-path", filepath.Join(s.o.Dir, "bolt"),
			"--sqlite-path", filepath.Join(s.o.Dir, "sqlite"), "--engine-path", filepath.Join(s.o.Dir, "engine"), "--reporting-disabled", "--store", "disk")
	}
	body := ""
	if s.o.MaxBody > 0 {
		body = fmt.Sprintf("max-body-size = %d\n", s.o.MaxBody)
	}
	config := fmt.Sprintf(`reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
[monitor]
store-enabled = false
[http]
bind-address = %q
flux-enabled = %t
auth-enabled = %t
log-enabled = false
%s`, filepath.Join(s.o.Dir, "meta"), filepath.Join(s.o.Dir, "data"), filepath.Join(s.o.Dir, "wal"), s.addr, s.o.Flux, s.o.Auth, body)
	path := filepath.Join(s.o.Dir, "influxd.toml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return append(args, s.bin, "run", "-config", path)
}

// setup makes the administrator of a new server.
func (s *Server) setup() {
	s.tb.Helper()
	switch {
	case s.Two:
		body := map[string]any{"username": "admin", "password": "driftd-test-password", "org": Org, "bucket": "setup", "token": admin}
		if _, err := s.call(http.MethodPost, "/api/v2/setup", body); err != nil && !strings.Contains(err.Error(), "already been completed") {
			s.tb.Fatal(err)
		}
	case s.o.Auth:
		s.query("", `CREATE USER "admin" WITH PASSWORD 'secret' WITH ALL PRIVILEGES`)
	}
}

// Kill ends the process with SIGKILL and waits until it is gone. It may be called again.
func (s *Server) Kill() {
	s.mu.Lock()
	cmd, done := s.cmd, s.done
	s.cmd = nil
	s.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended by itself
	<-done
}

// PID returns the process's id.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// CreateBucket makes a bucket (of 1.8: a database) that keeps everything, or as long as retention says.
func (s *Server) CreateBucket(name string, retention time.Duration) {
	s.tb.Helper()
	if !s.Two {
		duration := "INF"
		if retention > 0 {
			duration = retention.String()
		}
		s.query("", fmt.Sprintf(`CREATE DATABASE %q WITH DURATION %s SHARD DURATION 1d`, name, duration))
		return
	}
	orgs, err := s.call(http.MethodGet, "/api/v2/orgs?org="+Org, nil)
	if err != nil {
		s.tb.Fatal(err)
	}
	var list struct{ Orgs []struct{ ID string } }
	if err := json.Unmarshal(orgs, &list); err != nil || len(list.Orgs) != 1 {
		s.tb.Fatalf("organisations: %v in %s", err, orgs)
	}
	rules := []map[string]any{}
	if retention > 0 {
		rules = append(rules, map[string]any{"type": "expire", "everySeconds": int(retention.Seconds())})
	}
	if _, err := s.call(http.MethodPost, "/api/v2/buckets", map[string]any{"orgID": list.Orgs[0].ID, "name": name, "retentionRules": rules}); err != nil {
		s.tb.Fatal(err)
	}
}

// DropBucket removes a bucket with all that is in it.
func (s *Server) DropBucket(name string) {
	s.tb.Helper()
	if !s.Two {
		s.query("", fmt.Sprintf(`DROP DATABASE %q`, name))
		return
	}
	data, err := s.call(http.MethodGet, "/api/v2/buckets?name="+url.QueryEscape(name), nil)
	var list struct{ Buckets []struct{ ID string } }
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil || len(list.Buckets) != 1 {
		s.tb.Fatalf("bucket %s: %v in %s", name, err, data)
	}
	if _, err := s.call(http.MethodDelete, "/api/v2/buckets/"+list.Buckets[0].ID, nil); err != nil {
		s.tb.Fatal(err)
	}
}

// Count returns how many points of a measurement a bucket holds, by InfluxQL: the number of values of one field.
func (s *Server) Count(bucket, measurement, field string) int {
	s.tb.Helper()
	data := s.query(bucket, fmt.Sprintf(`SELECT count(%q) FROM %q`, field, measurement))
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		s.tb.Fatalf("%v in %s", err, data)
	}
	if len(answer.Results) == 0 || len(answer.Results[0].Series) == 0 {
		return 0
	}
	n, ok := answer.Results[0].Series[0].Values[0][1].(float64)
	if !ok {
		s.tb.Fatalf("no count in %s", data)
	}
	return int(n)
}

// Rows runs InfluxQL that answers one table, and returns its rows.
func (s *Server) Rows(bucket, text string) [][]any {
	s.tb.Helper()
	data := s.query(bucket, text)
	var answer struct {
		Results []struct {
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(data, &answer); err != nil || len(answer.Results) != 1 || len(answer.Results[0].Series) != 1 {
		s.tb.Fatalf("%s: %v in %s", text, err, data)
	}
	return answer.Results[0].Series[0].Values
}

func (s *Server) query(bucket, text string) []byte {
	s.tb.Helper()
	data, err := s.do(http.MethodPost, "/query?epoch=ms&db="+url.QueryEscape(bucket)+"&q="+url.QueryEscape(text), nil)
	if err != nil {
		s.tb.Fatalf("%s: %v", text, err)
	}
	if bytes.Contains(data, []byte(`"error"`)) {
		s.tb.Fatalf("%s: %s", text, data)
	}
	return data
}

func (s *Server) call(method, path string, body any) ([]byte, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	return s.do(method, path, r)
}

func (s *Server) do(method, path string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequest(method, s.URL+path, body)
	if err != nil {
		return nil, err
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Token "+s.Token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if resp.StatusCode >= 300 {
		err = errors.Join(err, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, data))
	}
	return data, err
}
