// Package web is driftd's HTTP side: the JSON API, the ingest of events, health, metrics and the page. It holds no state of
// its own; it asks a Reader, publishes to the broker through a function, and reports what it is told. Security is part of
// the first version: loopback only without authentication, Host and Origin checked, strict headers, bounded bodies.
package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/selfalert"
)

// DefaultListen is where the page and the API are found; a free port is taken if it is in use.
const DefaultListen = "127.0.0.1:8790"

// The server's bounds. They are generous for a loaded machine and stop what never ends.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 64 << 10
	shutdownTimeout   = 5 * time.Second
)

// ModelReader answers what models there are, how they do, and which incidents there are. Its methods may be called from several goroutines and return
// *history.QueryError for a question that cannot be asked and *history.NotFoundError for what is not stored.
type ModelReader interface {
	Models(ctx context.Context, p history.Page) (models []history.Model, next string, err error)
	Model(ctx context.Context, name string) (*history.ModelDetail, error)
	Features(ctx context.Context, q history.Series) ([]history.FeatureState, error)
	Alerts(ctx context.Context, q history.AlertsQuery) (*history.Alerts, error)
}

// WindowReader answers what windows said; errors and concurrency as for ModelReader.
type WindowReader interface {
	Windows(ctx context.Context, q history.WindowsQuery) (*history.Windows, error)
	Window(ctx context.Context, model, resultID string) (*history.Window, error)
	FeatureSeries(ctx context.Context, q history.FeatureQuery) (*history.FeatureSeries, error)
	Heat(ctx context.Context, q history.WindowsQuery) (*history.Heat, error)
}

// QualityReader answers what was said of the quality and the fairness of windows; errors and concurrency as for ModelReader.
type QualityReader interface {
	Quality(ctx context.Context, q history.QualityQuery) (*history.Quality, error)
	Fairness(ctx context.Context, q history.FairnessQuery) (*history.Quality, error)
}

// VerdictReader answers what was said of versions that are compared; errors and concurrency as for ModelReader.
type VerdictReader interface {
	Verdicts(ctx context.Context, q history.VerdictsQuery) (*history.Verdicts, error)
}

// Reader is what the API and the page read.
type Reader interface {
	ModelReader
	WindowReader
	QualityReader
	VerdictReader
}

// Health is what the process says of itself.
type Health struct {
	Failing []string // own loops that no longer work: /-/healthy answers 503, and a supervisor should restart
	Waiting []string // why it is not ready yet, or not now: /-/ready answers 503
}

// Options configures a Server. Reader is required; everything else may be left out.
type Options struct {
	Reader Reader
	// Publish sends one message to the broker and returns nil only when JetStream has stored it. Nil: POST /api/v1/events
	// answers 503.
	Publish func(ctx context.Context, subject string, data []byte) error
	// Takes says whether some stream takes the messages of a model; nil: every model's.
	Takes func(model string) bool
	// Counted names the models that are counted now, in any order; those without a stored window are listed as well. Nil: none is.
	Counted func() []string
	// Health reports the process's state; nil is always healthy and ready.
	Health func() Health
	// Self returns the alerts about driftd itself that fire now; nil: none ever does.
	Self func() []selfalert.Alert
	// Silences hold notices back; nil: there are none, and none can be made.
	Silences Silences
	// Reload reads the configuration again; nil: POST /-/reload answers 503.
	Reload func(ctx context.Context) error
	// Registry receives the server's metrics and is what /metrics shows; nil makes a new one.
	Registry *prometheus.Registry
	Logger   *slog.Logger // nil discards
	// WebConfigFile is an exporter-toolkit web configuration (TLS, basic authentication); empty is plain HTTP.
	WebConfigFile string
	// Listen is host:port; empty is DefaultListen. Beyond loopback it needs authentication in WebConfigFile.
	Listen string
	// AllowedHosts are further names under which clients may reach the server, for the check of the Host header.
	AllowedHosts []string
	Version      string // shown on the page
	// Annotations returns what the page shows beside a model's windows, such as a deployment; nil: nothing.
	Annotations func(model string) []Annotation
	// MaxBody bounds the body of POST /api/v1/events in bytes, compressed and uncompressed; 0 is 16 MiB.
	MaxBody int64
}

// defaultMaxBody bounds what one request keeps in memory.
const defaultMaxBody = 16 << 20

// Server serves HTTP. Make it with New, bind with Listen, serve with Run.
type Server struct {
	o        Options
	log      *slog.Logger
	metrics  *metrics
	handler  http.Handler
	hosts    map[string]bool
	origins  *http.CrossOriginProtection
	auth     *authFile
	ingest   chan struct{} // a slot a request being ingested; see ingestSlots
	draining atomic.Bool

	mu       sync.Mutex
	listener net.Listener
	beyond   bool // the listener is reachable from other machines
	running  bool
}

// New checks the options and builds the server. It does not listen yet. It fails if the web configuration is invalid.
func New(o Options) (*Server, error) {
	if o.Reader == nil {
		return nil, errors.New("building web server: no reader given")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Health == nil {
		o.Health = func() Health { return Health{} }
	}
	if o.Self == nil {
		o.Self = func() []selfalert.Alert { return []selfalert.Alert{} }
	}
	if o.MaxBody <= 0 {
		o.MaxBody = defaultMaxBody
	}
	s := &Server{
		o: o, log: o.Logger, hosts: map[string]bool{}, origins: http.NewCrossOriginProtection(),
		auth: &authFile{path: o.WebConfigFile}, ingest: make(chan struct{}, ingestSlots),
	}
	if err := s.auth.validate(); err != nil {
		return nil, err
	}
	for _, h := range o.AllowedHosts {
		s.hosts[hostName(h)] = true
	}
	var err error
	if s.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, err
	}
	if s.handler, err = s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// build stacks the handlers: counting and recovery outermost, so that a refused request is counted as well.
func (s *Server) build() (http.Handler, error) {
	mux := http.NewServeMux()
	byPattern := map[string]map[string]http.Handler{}
	for _, rt := range routes() {
		h, err := rt.make(s)
		if err != nil {
			return nil, err
		}
		if byPattern[rt.Pattern] == nil {
			byPattern[rt.Pattern] = map[string]http.Handler{}
		}
		byPattern[rt.Pattern][rt.Method] = s.metrics.count(rt.Name, s.guard(h))
	}
	for pattern, methods := range byPattern {
		mux.Handle(pattern, s.byMethod(methods))
	}
	mux.Handle("/", s.metrics.count("unknown", s.guard(s.fallible(func(_ http.ResponseWriter, r *http.Request) error {
		return &apiError{Status: http.StatusNotFound, Code: "not_found", Message: "there is nothing at " + r.URL.Path + "; see docs/api.md for the routes"}
	}))))
	return mux, nil
}

// Drain makes the server say that it is not ready and refuse new events, while everything can still be read. It is the
// first step of a shutdown; Run ends with its context.
func (s *Server) Drain() { s.draining.Store(true) }
