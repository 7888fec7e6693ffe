package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/crypto/bcrypt"

	"github.com/driftd/driftd/broker/brokertest"
)

// A user's own stream is read whole and never written to: the configuration takes effect where the daemon stands, the last
// window closes with the next event, and the stream holds what the user published and nothing else.
func TestOwnStream(t *testing.T) {
	ext := startBroker(t)
	_, js := brokertest.Connect(t, ext.url, ext.token)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "MYSTREAM", Subjects: []string{"scores.>"}}); err != nil {
		t.Fatal(err)
	}
	settings := strings.Replace(ext.config(), "nats:\n", "nats:\n  stream: MYSTREAM\n", 1) + churnConfig
	d := startDaemon(t, settings)
	published := uint64(0)
	publish := func(ts time.Time) {
		t.Helper()
		published++
		send(t, js, "scores.eu.churn", fmt.Sprintf(`{"model":"churn","id":"%d","ts":%d,"features":{"x":%d,"c":"a"}}`, published, ts.UnixMilli(), published%50))
	}
	d.input = "MYSTREAM"
	publish(at)
	d.settled(js)
	var rows strings.Builder
	rows.WriteString("x,c\n")
	for i := range 200 {
		fmt.Fprintf(&rows, "%d,%c\n", i%50, 'a'+rune(i%3))
	}
	d.must("reference create", "--from", writeFile(t, "churn.csv", rows.String()), "--name", "churn", "--model", "churn")
	eventually(t, "the reference is in force", func() bool { // once without it, once with it
		return strings.Count(d.log.String(), "takes effect here and now") == 2
	})
	for range 60 {
		publish(at.Add(30 * time.Minute))
	}
	d.settled(js)
	d.stop()
	d.start() // and holds on
	publish(at.Add(time.Hour))
	d.settled(js)
	if s, x := windowOf(t, d, "churn", at.Add(30*time.Minute), "x"); s.Counts.Events != 60 || s.Ref == nil || s.Ref.Name != "churn" || x.Current.Count != 60 {
		t.Errorf("window %+v, x %+v", s, x)
	}
	s, err := js.Stream(t.Context(), "MYSTREAM")
	if err != nil {
		t.Fatal(err)
	}
	if st := s.CachedInfo().State; st.Msgs != published || st.LastSeq != published {
		t.Errorf("the stream has %d messages, the user published %d", st.Msgs, published)
	}
	if _, err := js.Stream(t.Context(), "DRIFTD_IN_0"); err == nil {
		t.Error("driftd made an input stream of its own beside the user's")
	}
	d.stop()
}

// A stream that sources another one: what the broker sources again, because somebody changes the filter, is counted once though the
// events have no id; a stream that was made again under the same name brings other events, which are counted.
func TestSourcedStream(t *testing.T) {
	ext := startBroker(t)
	_, js := brokertest.Connect(t, ext.url, ext.token)
	origin := jetstream.StreamConfig{Name: "ORIGIN", Subjects: []string{"ml.events.*"}}
	if _, err := js.CreateStream(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	hub := jetstream.StreamConfig{Name: "HUB", Subjects: []string{"driftd.control.0"}, Sources: []*jetstream.StreamSource{{Name: "ORIGIN"}}}
	if _, err := js.CreateStream(t.Context(), hub); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, strings.Replace(ext.config(), "nats:\n", "nats:\n  stream: HUB\n", 1)+churnConfig)
	d.input = "HUB"
	publish := func(x int) {
		t.Helper()
		send(t, js, "ml.events.churn", fmt.Sprintf(`{"ts":%d,"features":{"x":%d}}`, at.UnixMilli(), x))
	}
	counted := func(what, want string) {
		t.Helper()
		eventually(t, what, func() bool {
			m := d.metrics()
			return d.events()+fmt.Sprint(" ", m["driftd_ingest_sourced_repeated_total"], " ", m["driftd_ingest_sourced_back_total"]) == want
		})
	}
	for x := range 3 {
		publish(x)
	}
	counted("three events are counted", "3 0 0 0")
	hub.Sources[0].FilterSubject = "ml.events.churn"
	if _, err := js.UpdateStream(t.Context(), hub); err != nil {
		t.Fatal(err)
	}
	counted("they are sourced again, and dropped", "3 3 3 0")
	if err := js.DeleteStream(t.Context(), "ORIGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), origin); err != nil {
		t.Fatal(err)
	}
	publish(100) // has the sequence of the first
	counted("an event of the stream that was made again is counted", "4 3 3 0")
	if out, _, _ := d.cli("doctor"); !strings.Contains(out, "it sources ORIGIN:") {
		t.Errorf("doctor says nothing of the sources:\n%s", out)
	}
	d.stop()
}

// Beyond loopback driftd listens with authentication only; with TLS and a user it answers the user and nobody else.
func TestAccess(t *testing.T) {
	open := newDaemon(t, churnConfig)
	open.configure("web: {listen: \"0.0.0.0:0\"}\n")
	open.listens = true
	open.launch()
	if code := open.wait(); code != 1 || !strings.Contains(open.log.String(), "web.config_file") {
		t.Errorf("listening beyond loopback without authentication: exit code %d: %s", code, open.log)
	}
	byFlag := newDaemon(t, "")
	byFlag.args = []string{"--listen", "0.0.0.0:0"}
	byFlag.launch()
	if code := byFlag.wait(); code == 0 || !strings.Contains(byFlag.log.String(), "web.config_file") {
		t.Errorf("--listen beyond loopback without authentication: exit code %d: %s", code, byFlag.log)
	}

	dir := t.TempDir()
	pool := writeCertificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("s3cret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	webConfig := fmt.Sprintf("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {ada: %s}\n", hash)
	if err := os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(webConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDaemon(t, fmt.Sprintf("web: {config_file: %s}\n%s", filepath.Join(dir, "web.yaml"), churnConfig))
	d.args = []string{"--listen", "0.0.0.0:0"}
	d.scheme, d.auth = "https", url.UserPassword("ada", "s3cret")
	d.client.Transport = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}
	d.start()
	_, js := d.connect()
	createChurn(t, d, js)
	send(t, js, "ml.events.churn", goodEvent(1, at))
	marker(t, js, "churn", at.Add(time.Hour))
	d.settled(js)
	if s, _ := windowOf(t, d, "churn", at, "x"); s.Counts.Events != 1 {
		t.Errorf("window over TLS: %+v", s)
	}
	for _, auth := range []*url.Userinfo{nil, url.UserPassword("ada", "wrong")} {
		d.auth = auth
		for _, path := range []string{"/", "/api/v1/models", "/metrics", "/-/ready"} {
			if status, _, err := d.fetch(http.MethodGet, path, nil); err != nil || status != http.StatusUnauthorized {
				t.Errorf("GET %s as %v: status %d, %v, want 401", path, auth, status, err)
			}
		}
		if status, _, err := d.fetch(http.MethodPost, "/-/reload", nil); err != nil || status != http.StatusUnauthorized {
			t.Errorf("POST /-/reload as %v: status %d, %v, want 401", auth, status, err)
		}
	}
	d.scheme = "http"
	if status, _, err := d.fetch(http.MethodGet, "/metrics", nil); err == nil && status == http.StatusOK {
		t.Error("/metrics is there without TLS")
	}
	d.stop()
}

// writeCertificate writes a certificate for localhost, signed by itself, with its key, and returns a pool that trusts it.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
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
	for name, data := range map[string][]byte{
		"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
