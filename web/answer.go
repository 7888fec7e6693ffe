package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/driftd/driftd/history"
)

// apiError is an error that a client may read.
type apiError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`

	Reasons []string       `json:"reasons,omitempty"` // of readiness
	Records []recordReject `json:"records,omitempty"` // of events: the refused records, at most maxReported
	Refused int            `json:"refused,omitempty"` // of events: how many records were refused
	// Accepted is how many records were stored before the broker failed; sending the same ids again is harmless.
	Accepted   *int `json:"accepted,omitempty"`
	RetryAfter int  `json:"-"` // seconds
}

// Error implements error.
func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// fallible turns a handler's error into an answer, and a panic into 500: one request never ends the process.
func (s *Server) fallible(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.panicked(w, r, p)
			}
		}()
		if err := h(w, r); err != nil {
			s.answerError(w, r, err)
		}
	})
}

// panicked answers a request whose handler panicked with p. net/http's own way to cut a connection is passed on.
func (s *Server) panicked(w http.ResponseWriter, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked", slog.String("path", r.URL.Path), slog.Any("panic", p),
		slog.String("stack", string(debug.Stack())))
	s.answerError(w, r, &apiError{
		Status: http.StatusInternalServerError, Code: "internal", Message: "driftd failed on this request; its log says why",
	})
}

// answerError writes {"error":{"code":…,"message":…}}.
func (s *Server) answerError(w http.ResponseWriter, r *http.Request, err error) {
	var e *apiError
	var q *history.QueryError
	var n *history.NotFoundError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &q):
		e = &apiError{Status: http.StatusBadRequest, Code: "bad_request", Message: q.Error()}
	case errors.As(err, &n):
		e = &apiError{Status: http.StatusNotFound, Code: "not_found", Message: n.Error()}
	case r.Context().Err() != nil: // the client went away, or the server is closing; nobody reads this
		e = &apiError{Status: http.StatusServiceUnavailable, Code: "cancelled", Message: "the request was cancelled"}
	case errors.Is(err, context.DeadlineExceeded):
		e = &apiError{Status: http.StatusServiceUnavailable, Code: "timeout", Message: "the answer took too long; ask for less", RetryAfter: 5}
	default:
		s.log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("path", r.URL.Path), slog.Any("err", err))
		e = &apiError{Status: http.StatusInternalServerError, Code: "internal", Message: "driftd failed on this request; its log says why"}
	}
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	writeJSON(w, e.Status, struct {
		Error *apiError `json:"error"`
	}{e})
}

// answer writes {"data":…,"next":…}; next is absent on the last page. Documents stand in it byte for byte as they were
// committed: no escaping for HTML, the content type says that it is none.
func answer(w http.ResponseWriter, data any, next string) error {
	writeJSON(w, http.StatusOK, struct {
		Data any    `json:"data"`
		Next string `json:"next,omitempty"`
	}{data, next})
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // fallible logs it: only a document that is no JSON can do this, and the store refuses those
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that went away is no error of ours
}
