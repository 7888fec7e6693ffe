package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	toolkit "github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v2"
)

// guard refuses what a browser should never have been able to send, and sets the headers of every answer.
//
// Host: without the check, any web page could point its own name at this address (DNS rebinding) and read the API with its
// visitor's browser. Names of loopback and the connection's own address cannot be taken over; others must be configured.
// Origin and Sec-Fetch-Site: http.CrossOriginProtection refuses unsafe methods that another site's page sends.
func (s *Server) guard(h http.Handler) http.Handler {
	refuse := func(w http.ResponseWriter, r *http.Request, e *apiError) { s.answerError(w, r, e) }
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if !s.hostAllowed(r) {
			refuse(w, r, &apiError{
				Status: http.StatusMisdirectedRequest, Code: "unknown_host",
				Message: fmt.Sprintf("the Host %q is not a name of this server; add it to web.allowed_hosts in the configuration if it is", r.Host),
			})
			return
		}
		if err := s.origins.Check(r); err != nil {
			refuse(w, r, &apiError{
				Status: http.StatusForbidden, Code: "cross_origin",
				Message: "this request comes from another site's page, which may not change anything here",
			})
			return
		}
		if s.reachable() && !s.auth.required() {
			refuse(w, r, &apiError{
				Status: http.StatusForbidden, Code: "authentication_gone",
				Message: "the web configuration no longer asks for authentication, and this server is reachable from other machines",
			})
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (s *Server) reachable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.beyond
}

func (s *Server) hostAllowed(r *http.Request) bool {
	name := hostName(r.Host)
	if name == "localhost" || s.hosts[name] {
		return true
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return false
	}
	own, err := netip.ParseAddrPort(local.String())
	return err == nil && own.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

// hostName returns the lower-case host of host or host:port, without brackets and without the root's dot.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimPrefix(strings.TrimSuffix(host, "]"), "[")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// authFile knows whether the web configuration asks for authentication. The toolkit reads the file again at every request,
// so whether it does is looked up again whenever the file changes.
type authFile struct {
	path string

	mu   sync.Mutex
	mod  time.Time
	size int64
	yes  bool
}

// webConfig is the part of exporter-toolkit's configuration that says who may come in.
type webConfig struct {
	Users map[string]string `yaml:"basic_auth_users"`
	TLS   struct {
		Cert       string `yaml:"cert"`
		CertFile   string `yaml:"cert_file"`
		ClientAuth string `yaml:"client_auth_type"`
	} `yaml:"tls_server_config"`
}

// validate reads the configuration as the toolkit will; the toolkit itself listens first and complains later.
func (a *authFile) validate() error {
	if a.path == "" {
		return nil
	}
	if err := toolkit.Validate(a.path); err != nil {
		return fmt.Errorf("reading web configuration %s: %w", a.path, err)
	}
	return nil
}

func (a *authFile) read() (webConfig, error) {
	var c webConfig
	if a.path == "" {
		return c, nil
	}
	data, err := os.ReadFile(a.path)
	if err != nil {
		return c, err
	}
	err = yaml.Unmarshal(data, &c)
	return c, err
}

// required reports whether nobody gets in without a password or a client certificate.
func (a *authFile) required() bool {
	if a.path == "" {
		return false
	}
	info, err := os.Stat(a.path)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !info.ModTime().Equal(a.mod) || info.Size() != a.size {
		c, err := a.read()
		a.yes = err == nil && (len(c.Users) > 0 || c.TLS.ClientAuth == "RequireAndVerifyClientCert")
		a.mod, a.size = info.ModTime(), info.Size()
	}
	return a.yes
}

// tls reports whether the configuration gives the server a certificate.
func (a *authFile) tls() bool {
	c, err := a.read()
	return err == nil && (c.TLS.Cert != "" || c.TLS.CertFile != "")
}

// errUnprotected says what to do about a server that anybody could reach.
func errUnprotected(address string) error {
	return errors.New("listening on " + address + " would let every machine that reaches it read results and send events without a password: " +
		"listen on 127.0.0.1, or name a web configuration file (web.config_file) with basic_auth_users, and better TLS as well")
}
