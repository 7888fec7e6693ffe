package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/broker"
)

// pageOf answers as the daemon's page does.
func pageOf(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.URL.Path != "/-/ready":
			http.NotFound(w, r)
		case status == http.StatusUnauthorized && user == "probe" && password == "secret":
			w.WriteHeader(http.StatusOK)
		case status == http.StatusFound:
			http.Redirect(w, r, "/elsewhere", status)
		default:
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
}

func health(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), append([]string{"health"}, args...), strings.NewReader(""), &out, &errs, nil)
	return code, out.String(), errs.String()
}

func TestHealthSaysWhatTheDaemonSays(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		status int
		body   string
		args   []string
		code   int
		says   string
	}{
		"ready":         {http.StatusOK, `{"data":{"ready":true},"next":""}`, nil, exitDone, "ready: http://127.0.0.1:"},
		"not ready":     {http.StatusServiceUnavailable, `{"error":{"code":"not_ready","message":"connecting to the broker"}}`, nil, exitFailed, "is not ready: connecting to the broker"},
		"not driftd":    {http.StatusBadGateway, "<html>", nil, exitFailed, "is not ready: the answer is 502 Bad Gateway"},
		"a redirect":    {http.StatusFound, "", nil, exitFailed, "is not ready: the answer is 302 Found"},
		"a password":    {http.StatusUnauthorized, "", nil, exitFailed, "asks for a password: give --user and --password-file"},
		"with password": {http.StatusUnauthorized, "", []string{"--user", "probe", "--password-file", password}, exitDone, "ready: "},
	} {
		s := httptest.NewServer(pageOf(test.status, test.body))
		code, out, errs := health(t, append(test.args, "--url", s.URL)...)
		if code != test.code || !strings.Contains(out+errs, test.says) {
			t.Errorf("%s: exit code %d, printed %q; want %d and %q", name, code, out+errs, test.code, test.says)
		}
		s.Close()
	}
}

func TestHealthFindsTheDaemon(t *testing.T) {
	s := httptest.NewServer(pageOf(http.StatusOK, ""))
	defer s.Close()
	dir := t.TempDir()
	if err := broker.WriteRuntime(dir, broker.Runtime{URL: "nats://127.0.0.1:1", Token: "t", WebURL: s.URL + "/", PID: 1}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "driftd.yaml")
	if err := os.WriteFile(file, []byte("data_dir: "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--data-dir", dir}, {"--config", file}} {
		if code, out, errs := health(t, args...); code != exitDone || !strings.Contains(out, s.URL) {
			t.Errorf("%v: exit code %d, printed %q", args, code, out+errs)
		}
	}
}

// The certificate of httptest is signed by itself and names example.com, 127.0.0.1 and ::1.
func TestHealthOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(pageOf(http.StatusOK, ""))
	defer s.Close()
	if code, out, errs := health(t, "--url", s.URL); code != exitDone {
		t.Errorf("loopback: exit code %d, printed %q", code, out+errs)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := health(t, "--url", s.URL, "--ca-file", ca); code != exitDone {
		t.Errorf("--ca-file: exit code %d, printed %q", code, out+errs)
	}
	named := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // which the certificate does not name
	if code, out, errs := health(t, "--url", named, "--ca-file", ca); code != exitFailed || !strings.Contains(errs, "certificate") {
		t.Errorf("a wrong name with --ca-file: exit code %d, printed %q; want a refusal", code, out+errs)
	}
	if err := os.WriteFile(ca, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := health(t, "--url", s.URL, "--ca-file", ca); code != exitUsage || !strings.Contains(errs, "has none in PEM") {
		t.Errorf("a bad --ca-file: exit code %d, printed %q", code, out+errs)
	}
}
