package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/driftd/driftd/web"
)

func TestHostAndOrigin(t *testing.T) {
	b := &broker{}
	s := start(t, web.Options{Publish: b.publish, AllowedHosts: []string{"Drift.Example.org"}})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		host   string
		status int
	}{
		{"127.0.0.1:" + port, 200},
		{"localhost:" + port, 200},
		{"LOCALHOST", 200},
		{"[::1]:" + port, 200},
		{"drift.example.org", 200},
		{"drift.example.org.:443", 200},
		{"evil.example.org", 421},
		{"localhost.evil.org", 421},
		{"192.0.2.7", 421},
		{"0.0.0.0:" + port, 421},
		{"127.0.0.1.evil.org", 421},
	} {
		r := do(t, http.DefaultClient, http.MethodGet, "http://"+s.Addr()+"/api/v1/models", "", map[string]string{"Host": test.host})
		if r.status != test.status {
			t.Errorf("Host %q: %d %s, want %d", test.host, r.status, r.body, test.status)
		}
	}
	for name, test := range map[string]struct {
		header map[string]string
		status int
	}{
		"no browser":       {nil, 200},
		"same origin":      {map[string]string{"Origin": "http://" + s.Addr(), "Sec-Fetch-Site": "same-origin"}, 200},
		"old browser":      {map[string]string{"Origin": "http://" + s.Addr()}, 200},
		"other site":       {map[string]string{"Origin": "http://evil.example.org", "Sec-Fetch-Site": "cross-site"}, 403},
		"other site, old":  {map[string]string{"Origin": "http://evil.example.org"}, 403},
		"same site":        {map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"sandboxed frame":  {map[string]string{"Origin": "null"}, 403},
		"other local port": {map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
	} {
		header := jsonHeader()
		maps.Copy(header, test.header)
		r := do(t, http.DefaultClient, http.MethodPost, "http://"+s.Addr()+"/api/v1/events", `{"model":"m","id":"1"}`, header)
		if r.status != test.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.body, test.status)
		}
	}
	// A preflight gets no permission.
	r := do(t, http.DefaultClient, http.MethodOptions, "http://"+s.Addr()+"/api/v1/events", "",
		map[string]string{"Origin": "http://evil.example.org", "Access-Control-Request-Method": "POST"})
	if r.header.Get("Access-Control-Allow-Origin") != "" || r.status < 400 {
		t.Errorf("preflight: %d %v", r.status, r.header)
	}
}

// secured writes a web configuration with a fresh certificate and the user ops, and returns its path and the roots.
func secured(t *testing.T, dir string) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "driftd test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	write(t, filepath.Join(dir, "cert.pem"), string(cert))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	path := filepath.Join(dir, "web.yml")
	write(t, path, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"+users(t))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return path, roots
}

func users(t *testing.T) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return "basic_auth_users: {ops: '" + string(hash) + "'}\n"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTLSAndBasicAuthentication(t *testing.T) {
	path, roots := secured(t, t.TempDir())
	s := start(t, web.Options{WebConfigFile: path})
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	url := s.URL() + "api/v1/models"
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("address %s", url)
	}
	ask := func(user, password string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, test := range []struct {
		user, password string
		status         int
	}{{"", "", 401}, {"ops", "wrong", 401}, {"other", "secret", 401}, {"ops", "secret", 200}} {
		if got := ask(test.user, test.password); got != test.status {
			t.Errorf("%s:%s got %d, want %d", test.user, test.password, got, test.status)
		}
	}
	if r := do(t, http.DefaultClient, http.MethodGet, "http://"+s.Addr()+"/", "", nil); r.status != http.StatusBadRequest {
		t.Errorf("plain HTTP on a TLS port: %d", r.status)
	}
}

func TestBeyondLoopbackNeedsAuthentication(t *testing.T) {
	reader, dir := filled(t), t.TempDir()
	open := filepath.Join(dir, "open.yml")
	write(t, open, "http_server_config: {http2: false}\n")
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		for _, file := range []string{"", open} {
			s, err := web.New(web.Options{Reader: reader, Listen: address, WebConfigFile: file})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Listen()
			if err == nil || !strings.Contains(err.Error(), "without a password") || !strings.Contains(err.Error(), "basic_auth_users") {
				t.Errorf("%s with %q: got %v, want a refusal that says what to do", address, file, err)
			}
			if s.Addr() != "" {
				t.Errorf("%s was bound", address)
			}
		}
	}
	closed := filepath.Join(dir, "closed.yml")
	write(t, closed, users(t))
	s := start(t, web.Options{Reader: reader, Listen: "0.0.0.0:0", WebConfigFile: closed})
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://127.0.0.1:" + port + "/api/v1/models"
	auth := map[string]string{"Authorization": "Basic b3BzOnNlY3JldA=="} // ops:secret
	if r := do(t, http.DefaultClient, http.MethodGet, url, "", auth); r.status != http.StatusOK {
		t.Errorf("with a password: %d %s", r.status, r.body)
	}
	if r := do(t, http.DefaultClient, http.MethodGet, url, "", nil); r.status != http.StatusUnauthorized {
		t.Errorf("without: %d", r.status)
	}
	// The file is read again at every request: taking the users out must not open the server.
	write(t, closed, "http_server_config: {http2: false} # nobody\n")
	if r := do(t, http.DefaultClient, http.MethodGet, url, "", auth); r.status != http.StatusForbidden || r.code(t) != "authentication_gone" {
		t.Errorf("with the users gone: %d %s", r.status, r.body)
	}
}

func TestWebConfigurationIsCheckedBeforeListening(t *testing.T) {
	reader, dir := filled(t), t.TempDir()
	for name, text := range map[string]string{
		"unknown key": "basic_auth_usres: {}\n", "plain password": "basic_auth_users: {ops: secret}\n",
		"no certificate": "tls_server_config: {cert_file: none.pem, key_file: none.pem}\n", "not YAML": "\t",
	} {
		path := filepath.Join(dir, "web.yml")
		write(t, path, text)
		if _, err := web.New(web.Options{Reader: reader, WebConfigFile: path}); err == nil || !strings.Contains(err.Error(), "web.yml") {
			t.Errorf("%s: got %v, want an error that names the file", name, err)
		}
	}
	if _, err := web.New(web.Options{Reader: reader, WebConfigFile: filepath.Join(dir, "none.yml")}); err == nil {
		t.Error("a missing file was taken")
	}
	if _, err := web.New(web.Options{}); err == nil {
		t.Error("no reader was taken")
	}
	for _, address := range []string{"8790", "127.0.0.1", "127.0.0.1:notaport"} {
		s, err := web.New(web.Options{Reader: reader, Listen: address})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Listen(); err == nil {
			t.Errorf("the address %q was taken", address)
		}
	}
}

func TestPanicIsOneRequests(t *testing.T) {
	s := start(t, web.Options{Publish: nil, Health: func() web.Health { panic("boom") }})
	if r := get(t, s, "/-/healthy"); r.status != http.StatusInternalServerError || r.code(t) != "internal" || strings.Contains(r.body, "boom") {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := get(t, s, "/api/v1/models"); r.status != http.StatusOK {
		t.Errorf("after a panic: %d", r.status)
	}
}
