package web

import (
	"log/slog"
	"net/http"
	"strings"
)

// healthy answers whether the process's own loops work. It says nothing of the broker: an outage must not become a storm of
// restarts.
func (s *Server) healthy(w http.ResponseWriter, _ *http.Request) error {
	if f := s.o.Health().Failing; len(f) > 0 {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "unhealthy", Message: strings.Join(f, "; "), Reasons: f}
	}
	return answer(w, map[string]bool{"healthy": true}, "")
}

// ready answers whether the process does its work now.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) error {
	h := s.o.Health()
	reasons := append(append([]string{}, h.Failing...), h.Waiting...)
	if s.draining.Load() {
		reasons = append(reasons, "shutting down")
	}
	if len(reasons) > 0 {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "not_ready", Message: strings.Join(reasons, "; "), Reasons: reasons}
	}
	return answer(w, map[string]bool{"ready": true}, "")
}

// self answers which alerts about driftd itself fire now.
func (s *Server) self(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseParams(r); err != nil {
		return err
	}
	return answer(w, s.o.Self(), "")
}

// reload reads the configuration again. What is wrong with it is the answer; the old one stays in force.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) error {
	if s.o.Reload == nil {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "reload_disabled", Message: "this process has no configuration to read again"}
	}
	if err := s.o.Reload(r.Context()); err != nil {
		s.log.LogAttrs(r.Context(), slog.LevelWarn, "reload over http refused", slog.Any("err", err))
		return &apiError{Status: http.StatusInternalServerError, Code: "reload_failed", Message: err.Error()}
	}
	return answer(w, map[string]bool{"reloaded": true}, "")
}
