package brokertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/driftd/driftd/broker"
)

// Secured is a server that admits some clients and no others.
type Secured struct {
	Good broker.ConnectOptions // is admitted
	Bad  broker.ConnectOptions // is refused: it has another secret, or none
}

// SecuredKinds are the ways to prove who one is that driftd knows.
func SecuredKinds() []string { return []string{"creds", "nkey", "user", "token", "tls", "mtls"} }

// NewSecured runs a server with one kind of authentication until the test ends.
func NewSecured(tb testing.TB, kind string) Secured {
	tb.Helper()
	w := workshop{tb: tb, dir: tb.TempDir()}
	var opts server.Options
	var s Secured
	switch kind {
	case "creds":
		s.Good.CredentialsFile = w.operator(&opts)
		var other server.Options
		s.Bad.CredentialsFile = w.operator(&other) // of an operator that the server does not trust
	case "nkey":
		var public string
		public, s.Good.NKeyFile = w.nkey("good.nk")
		_, s.Bad.NKeyFile = w.nkey("bad.nk")
		opts.Nkeys = []*server.NkeyUser{{Nkey: public}} //nolint:exhaustruct // a user of every permission
	case "user":
		opts.Username, opts.Password = "driftd", "right"
		s.Good.User, s.Good.PasswordFile = "driftd", w.file("good", "right\n")
		s.Bad.User, s.Bad.PasswordFile = "driftd", w.file("bad", "wrong\n")
	case "token":
		opts.Authorization = "right"
		s.Good.TokenFile, s.Bad.TokenFile = w.file("good", "right\n"), w.file("bad", "wrong\n")
	case "tls", "mtls":
		ca := w.authority("ca")
		pair := w.pair(ca, "server", x509.ExtKeyUsageServerAuth)
		//nolint:exhaustruct // a server's own
		opts.TLS, opts.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{pair.loaded(tb)}, ClientCAs: ca.pool(), MinVersion: tls.VersionTLS12}
		opts.TLSTimeout = 10
		s.Good.TLS.CAFile, s.Bad.TLS.CAFile = ca.certFile, w.authority("other").certFile
		if kind == "mtls" {
			opts.TLSVerify, opts.TLSConfig.ClientAuth = true, tls.RequireAndVerifyClientCert
			client := w.pair(ca, "client", x509.ExtKeyUsageClientAuth)
			s.Good.TLS.CertFile, s.Good.TLS.KeyFile = client.certFile, client.keyFile
			s.Bad.TLS.CAFile = ca.certFile // it trusts the server, and has no certificate
		}
	default:
		tb.Fatalf("unknown kind of authentication %q", kind)
	}
	s.Good.URL = Serve(tb, &opts).ClientURL()
	s.Bad.URL = s.Good.URL
	return s
}

// workshop makes keys and certificates in files.
type workshop struct {
	tb  testing.TB
	dir string
}

func (w workshop) check(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w workshop) file(name, text string) string {
	w.tb.Helper()
	path := filepath.Join(w.dir, name)
	w.check(os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (w workshop) nkey(name string) (public, seedFile string) {
	w.tb.Helper()
	key, err := nkeys.CreateUser()
	w.check(err)
	seed, err := key.Seed()
	w.check(err)
	public, err = key.PublicKey()
	w.check(err)
	return public, w.file(name, string(seed)+"\n")
}

// operator makes an operator, a system account and an account with JetStream, and returns the credentials file of a user.
func (w workshop) operator(opts *server.Options) string {
	w.tb.Helper()
	public := func(k nkeys.KeyPair) string {
		p, err := k.PublicKey()
		w.check(err)
		return p
	}
	operator, err := nkeys.CreateOperator()
	w.check(err)
	resolver := &server.MemAccResolver{} //nolint:exhaustruct // empty
	account := func(name string, jetstream bool) nkeys.KeyPair {
		key, err := nkeys.CreateAccount()
		w.check(err)
		claims := jwt.NewAccountClaims(public(key))
		claims.Name = name
		if jetstream { // without limits the account has no JetStream
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
				MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
			}
		}
		token, err := claims.Encode(operator)
		w.check(err)
		w.check(resolver.Store(public(key), token))
		return key
	}
	claims := jwt.NewOperatorClaims(public(operator))
	token, err := claims.Encode(operator)
	w.check(err)
	trusted, err := jwt.DecodeOperatorClaims(token)
	w.check(err)
	system, tenant := account("SYS", false), account("tenant", true)
	opts.TrustedOperators, opts.AccountResolver, opts.SystemAccount = []*jwt.OperatorClaims{trusted}, resolver, public(system)

	user, err := nkeys.CreateUser()
	w.check(err)
	userClaims := jwt.NewUserClaims(public(user))
	userToken, err := userClaims.Encode(tenant)
	w.check(err)
	seed, err := user.Seed()
	w.check(err)
	creds, err := jwt.FormatUserConfig(userToken, seed)
	w.check(err)
	return w.file(public(user)+".creds", string(creds))
}

// certificate is a certificate with its key, in memory and in files.
type certificate struct {
	cert              *x509.Certificate
	key               *ecdsa.PrivateKey
	certFile, keyFile string
}

func (c certificate) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.cert)
	return p
}

func (c certificate) loaded(tb testing.TB) tls.Certificate {
	tb.Helper()
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		tb.Fatal(err)
	}
	return pair
}

func (w workshop) authority(name string) certificate {
	w.tb.Helper()
	//nolint:exhaustruct // an authority of a test
	return w.certify(name, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
}

func (w workshop) pair(ca certificate, name string, usage x509.ExtKeyUsage) certificate {
	w.tb.Helper()
	//nolint:exhaustruct // a leaf of a test
	return w.certify(name, &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, &ca)
}

func (w workshop) certify(name string, template *x509.Certificate, by *certificate) certificate {
	w.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.check(err)
	template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62))
	w.check(err)
	template.Subject = pkix.Name{CommonName: name} //nolint:exhaustruct // a name is enough
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	w.check(err)
	cert, err := x509.ParseCertificate(der)
	w.check(err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	w.check(err)
	block := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Headers: nil, Bytes: data}))
	}
	return certificate{
		cert: cert, key: key,
		certFile: w.file(name+".pem", block("CERTIFICATE", der)), keyFile: w.file(name+".key", block("PRIVATE KEY", raw)),
	}
}
