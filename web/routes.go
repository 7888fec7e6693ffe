package web

import (
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Route is one entry of the server's table of routes. docs/api.md describes every one of them; a test says so.
type Route struct {
	Name    string // the value of the metrics' label `handler`
	Method  string
	Pattern string // as in net/http's ServeMux
}

type route struct {
	Route
	make func(*Server) (http.Handler, error)
}

// Routes lists what the server answers.
func Routes() []Route {
	out := make([]Route, 0, len(routes()))
	for _, r := range routes() {
		out = append(out, r.Route)
	}
	return out
}

// handler is an HTTP handler whose error becomes the answer.
type handler func(w http.ResponseWriter, r *http.Request) error

func routes() []route {
	plain := func(f func(*Server) handler) func(*Server) (http.Handler, error) {
		return func(s *Server) (http.Handler, error) { return s.fallible(f(s)), nil }
	}
	shown := func(v func() view) func(*Server) (http.Handler, error) {
		return func(s *Server) (http.Handler, error) { return s.view(v()) }
	}
	const model = "/api/v1/models/{model}"
	return []route{
		{Route{"models", "GET", "/api/v1/models"}, plain(func(s *Server) handler { return s.models })},
		{Route{"model", "GET", model}, plain(func(s *Server) handler { return s.model })},
		{Route{"windows", "GET", model + "/windows"}, plain(func(s *Server) handler { return s.windows })},
		{Route{"window", "GET", model + "/windows/{result_id}"}, plain(func(s *Server) handler { return s.window })},
		{Route{"features", "GET", model + "/features"}, plain(func(s *Server) handler { return s.features })},
		{Route{"feature", "GET", model + "/features/{feature}"}, plain(func(s *Server) handler { return s.feature })},
		{Route{"quality", "GET", model + "/quality"}, plain(func(s *Server) handler { return s.quality })},
		{Route{"verdicts", "GET", model + "/verdicts"}, plain(func(s *Server) handler { return s.verdicts })},
		{Route{"fairness", "GET", model + "/fairness"}, plain(func(s *Server) handler { return s.fairness })},
		{Route{"heat", "GET", model + "/heat"}, plain(func(s *Server) handler { return s.heat })},
		{Route{"alerts", "GET", "/api/v1/alerts"}, plain(func(s *Server) handler { return s.alerts })},
		{Route{"self", "GET", "/api/v1/self"}, plain(func(s *Server) handler { return s.self })},
		{Route{"silences", "GET", "/api/v1/silences"}, plain(func(s *Server) handler { return s.silences })},
		{Route{"silence", "POST", "/api/v1/silences"}, plain(func(s *Server) handler { return s.silence })},
		{Route{"unsilence", "DELETE", "/api/v1/silences/{id}"}, plain(func(s *Server) handler { return s.unsilence })},
		{Route{"events", "POST", "/api/v1/events"}, plain(func(s *Server) handler { return s.events })},
		{Route{"metrics", "GET", "/metrics"}, func(s *Server) (http.Handler, error) {
			return promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4}), nil
		}},
		{Route{"healthy", "GET", "/-/healthy"}, plain(func(s *Server) handler { return s.healthy })},
		{Route{"ready", "GET", "/-/ready"}, plain(func(s *Server) handler { return s.ready })},
		{Route{"reload", "POST", "/-/reload"}, plain(func(s *Server) handler { return s.reload })},
		{Route{"page", "GET", "/{$}"}, shown(modelsView)},
		{Route{"page_model", "GET", "/models/{model}"}, shown(modelView)},
		{Route{"page_compare", "GET", "/models/{model}/compare"}, shown(compareView)},
		{Route{"page_feature", "GET", "/models/{model}/features/{feature}"}, shown(featureView)},
		{Route{"page_alerts", "GET", "/alerts"}, shown(alertsView)},
		{Route{"static", "GET", "/static/{file}"}, (*Server).static},
	}
}

// byMethod picks the handler of the request's method; HEAD is GET without the body. Another method is 405 with Allow.
func (s *Server) byMethod(methods map[string]http.Handler) http.Handler {
	var allow []string
	for m := range methods {
		allow = append(allow, m)
		if m == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	list := strings.Join(allow, ", ")
	refuse := s.metrics.count("unknown", s.guard(s.fallible(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", list)
		return &apiError{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: r.Method + " is not possible here; use " + list,
		}
	})))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := r.Method
		if m == http.MethodHead {
			m = http.MethodGet
		}
		if h, ok := methods[m]; ok {
			h.ServeHTTP(w, r)
			return
		}
		refuse.ServeHTTP(w, r)
	})
}
