package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"

	toolkit "github.com/prometheus/exporter-toolkit/web"
)

// Listen binds the address. Beyond loopback it refuses unless the web configuration asks for authentication. If the
// address is the default and in use, it takes a free port of loopback: Addr says which.
func (s *Server) Listen() error {
	ctx := context.Background() // binding is local; only a host name is looked up
	address := s.o.Listen
	if address == "" {
		address = DefaultListen
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listening on %q: want host:port, as in %s: %w", address, DefaultListen, err)
	}
	loopback, err := isLoopback(ctx, host)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", address, err)
	}
	if !loopback && !s.auth.required() {
		return errUnprotected(address)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return errors.New("listening: the server is already bound to " + s.listener.Addr().String())
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) && address == DefaultListen {
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("listening on %s: %w; set web.listen to a free address", address, err)
	}
	s.listener, s.beyond = l, !loopback
	if !loopback {
		if _, err := netip.ParseAddr(host); err != nil && host != "" {
			s.hosts[hostName(host)] = true
		}
		if !s.auth.tls() {
			s.log.LogAttrs(ctx, slog.LevelWarn, "passwords cross the network in clear: the web configuration has no tls_server_config",
				slog.String("address", l.Addr().String()))
		}
	}
	return nil
}

// isLoopback reports whether a host to listen on is reachable from this machine alone. An empty host is every interface.
func isLoopback(ctx context.Context, host string) (bool, error) {
	if host == "" {
		return false, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback(), nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, err
	}
	for _, ip := range ips {
		if !ip.Unmap().IsLoopback() {
			return false, nil
		}
	}
	return len(ips) > 0, nil
}

// Addr returns the bound host:port, empty before Listen.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// URL returns the address of the page, empty before Listen. A server that listens everywhere is reached on this machine as
// localhost: no browser and no Host check takes [::] for a name.
func (s *Server) URL() string {
	addr := s.Addr()
	if addr == "" {
		return ""
	}
	if own, err := netip.ParseAddrPort(addr); err == nil && own.Addr().IsUnspecified() {
		addr = net.JoinHostPort("localhost", strconv.Itoa(int(own.Port())))
	}
	if s.auth.tls() {
		return "https://" + addr + "/"
	}
	return "http://" + addr + "/"
}

// Run serves until ctx is done, then lets open requests finish for up to five seconds and cuts the rest. It returns nil
// after such an end. To take the server out of service before, while it can still be read, call Drain.
func (s *Server) Run(ctx context.Context) error {
	s.mu.Lock()
	l := s.listener
	if l == nil || s.running {
		s.mu.Unlock()
		return errors.New("serving: call Listen once before Run, and Run once")
	}
	s.running = true
	s.mu.Unlock()

	srv := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // handshakes of strangers and cut connections
	}
	served := make(chan error, 1) // the one result of the goroutine
	go func() {
		served <- toolkit.Serve(l, srv, &toolkit.FlagConfig{WebConfigFile: &s.o.WebConfigFile}, slog.New(warnings{s.log.Handler()}))
	}()
	s.log.LogAttrs(ctx, slog.LevelInfo, "serving http", slog.String("url", s.URL()))
	select {
	case err := <-served:
		_ = l.Close() // the toolkit may have failed before it served
		return fmt.Errorf("serving http: %w", err)
	case <-ctx.Done():
	}
	s.Drain()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "open requests were cut at shutdown", slog.Any("err", err))
		_ = srv.Close()
	}
	_ = l.Close() // Shutdown closes it only once Serve has taken it
	if err := <-served; err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serving http: %w", err)
	}
	return nil
}

// Close releases the address of a server that was bound and never ran.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil || s.running {
		return nil
	}
	return s.listener.Close()
}

// warnings passes on what the toolkit logs from Warn up; what it says at start we say ourselves.
type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}
