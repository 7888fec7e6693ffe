package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/result"
)

// certify writes a certificate and its key for 127.0.0.1, signed by itself.
func certify(tb testing.TB, dir, name string) (cert tls.Certificate, pool *x509.CertPool, certFile, keyFile string) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{ //nolint:exhaustruct // of a test
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, //nolint:exhaustruct // as above
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	write(tb, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: nil, Bytes: der})))
	write(tb, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: nil, Bytes: private})))
	if cert, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		tb.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	return cert, pool, certFile, keyFile
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// guarded is a receiver behind TLS that lets in whoever has the wanted header, and the client's certificate where it asks for one.
type guarded struct {
	*httptest.Server
	wanted atomic.Pointer[string] // of the header Authorization
}

func guard(tb testing.TB, cert tls.Certificate, clients *x509.CertPool) *guarded {
	tb.Helper()
	g := &guarded{} //nolint:exhaustruct // started below
	g.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != *g.wanted.Load() {
			// A receiver that repeats the secret.
			http.Error(w, "who are you, "+r.Header.Get("Authorization")+"?", http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusOK)
	}))
	g.wanted.Store(new(string))
	g.Config.ErrorLog = log.New(io.Discard, "", 0)                                           // the refused handshakes are meant
	g.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12} //nolint:exhaustruct // the defaults are meant
	if clients != nil {
		g.TLS.ClientCAs, g.TLS.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	g.StartTLS()
	tb.Cleanup(g.Close)
	return g
}

func (g *guarded) want(header string) { g.wanted.Store(&header) }

// tell delivers one notice with the client that the daemon makes of a notifier, and returns how it went.
func tell(tb testing.TB, n config.Notifier, url string) func() error {
	tb.Helper()
	client, err := httpClient(n)
	if err != nil {
		tb.Fatal(err)
	}
	am, err := notify.NewAlertmanager(notify.AlertmanagerOptions{
		URL: url, Client: client, External: nil, Page: func() string { return "" }, Now: time.Now, Repeat: 0,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return func() error {
		out := am.Deliver(tb.Context(), []notify.Notice{{ //nolint:exhaustruct // what is delivered matters little
			Transition: result.Transition{ID: "t", Incident: "i", Rule: "loss", Kind: "loss", To: result.Firing, Title: "m: loss"}, Fired: time.Now(), //nolint:exhaustruct // as above
		}})
		return out[0].Err
	}
}

// basic is the header of basic authentication, as RFC 7617 derives it: "QWxhZGRpbjpvcGVuIHNlc2FtZQ==" for the user Aladdin with the password
// "open sesame" is its own example.
const basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="

// A receiver behind TLS that wants a password or a token is told; a file that changed is read again without a restart; nothing
// that goes wrong shows a secret.
func TestNotifierAuthentication(t *testing.T) {
	dir := t.TempDir()
	cert, _, ca, _ := certify(t, dir, "server")
	g := guard(t, cert, nil)
	secret := filepath.Join(dir, "secret")
	for _, test := range []struct {
		name, first, header string
		notifier            config.Notifier
	}{
		{"password", "open sesame", basic, config.Notifier{User: "Aladdin", PasswordFile: secret}}, //nolint:exhaustruct // the others are empty
		{"token", "mF_9.B5f-4.1JqM", "Bearer mF_9.B5f-4.1JqM", config.Notifier{TokenFile: secret}}, //nolint:exhaustruct // as above; the token is RFC 6750's
	} {
		t.Run(test.name, func(t *testing.T) {
			write(t, secret, "wrong-secret\n")
			test.notifier.TLS.CAFile = ca
			send := tell(t, test.notifier, g.URL)
			g.want(test.header)
			silent(t, send(), "401", "wrong-secret", test.first)
			write(t, secret, test.first+"\n")
			if err := send(); err != nil {
				t.Errorf("with the secret that is in the file now: %v", err)
			}
			if err := os.Remove(secret); err != nil {
				t.Fatal(err)
			}
			silent(t, send(), "no such file", "wrong-secret", test.first)
		})
	}
}

// Without the authority, or the certificate that the server asks for, nothing is told, and the error says which it is.
func TestNotifierTLS(t *testing.T) {
	dir := t.TempDir()
	cert, _, ca, _ := certify(t, dir, "server")
	_, clients, clientCert, clientKey := certify(t, dir, "client")
	_, _, other, _ := certify(t, dir, "other")
	g := guard(t, cert, clients)
	for _, test := range []struct {
		name string
		tls  config.TLS
		want string // in the error; empty: it is told
	}{
		{"another authority", config.TLS{CAFile: other, CertFile: clientCert, KeyFile: clientKey}, "certificate"},
		{"no certificate", config.TLS{CAFile: ca, CertFile: "", KeyFile: ""}, "certificate"},
		{"both", config.TLS{CAFile: ca, CertFile: clientCert, KeyFile: clientKey}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := tell(t, config.Notifier{TLS: test.tls}, g.URL)() //nolint:exhaustruct // no authentication but the certificate
			if test.want == "" && err != nil {
				t.Error(err)
			}
			if test.want != "" {
				silent(t, err, test.want, "PRIVATE KEY")
			}
		})
	}
}

// silent checks that an error names its cause and, as text and as it is logged, none of the secrets.
func silent(t *testing.T, err error, cause string, secrets ...string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), cause) {
		t.Errorf("error %v, want one that says %q", err, cause)
		return
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Warn("a receiver of alerts does not answer", slog.Any("err", err))
	for _, secret := range append(secrets, strings.TrimPrefix(basic, "Basic ")) {
		if strings.Contains(err.Error(), secret) || strings.Contains(logged.String(), secret) {
			t.Errorf("%q shows the secret %q", err, secret)
		}
	}
}
