package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/event"
)

// metrics of the HTTP side. Labels are closed: handler is a name of the table of routes or `unknown`, code a status that
// the server sends, reason an event.RejectReason.
type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	published prometheus.Counter
	refused   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "driftd_http_requests_total", Help: "HTTP requests answered, by handler and status code.",
		}, []string{"handler", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "driftd_http_request_duration_seconds", Help: "Time from a request's header to the end of its answer, by handler.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"handler"}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "driftd_http_records_published_total", Help: "Records of POST /api/v1/events that the broker has stored.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "driftd_http_records_refused_total", Help: "Records of POST /api/v1/events that cannot be counted, by reason.",
		}, []string{"reason"}),
	}
	for _, r := range event.RejectReasons() {
		m.refused.WithLabelValues(r.String())
	}
	for _, rt := range routes() {
		m.duration.WithLabelValues(rt.Name)
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.published, m.refused} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("registering HTTP metrics: %w", err)
		}
	}
	return m, nil
}

// count counts and times what a handler answers.
func (m *metrics) count(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rec := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			m.requests.WithLabelValues(name, strconv.Itoa(rec.status)).Inc()
			m.duration.WithLabelValues(name).Observe(time.Since(begin).Seconds())
		}()
		h.ServeHTTP(rec, r)
	})
}

// statusRecorder remembers the status that was sent.
type statusRecorder struct {
	http.ResponseWriter
	status int
	sent   bool
}

// WriteHeader implements http.ResponseWriter.
func (s *statusRecorder) WriteHeader(status int) {
	if !s.sent {
		s.status, s.sent = status, true
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *statusRecorder) Write(b []byte) (int, error) {
	s.sent = true
	return s.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }
