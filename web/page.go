package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/history"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static/*
var static embed.FS

// pagePolicy is the content security policy of pages: nothing but our own files, no script, no frame, no form elsewhere.
const pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// indexPage is what templates/index.html shows.
type indexPage struct {
	Version string
	Models  []history.Model
	Next    string
	Waiting []string
}

// page lists the models with their state.
func (s *Server) page() (http.Handler, error) {
	index, err := template.New("index.html").Funcs(template.FuncMap{
		"time": func(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 UTC") },
		"iso":  func(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) },
		"size": sizeName,
		"percent": func(v *float64) string {
			if v == nil {
				return "–"
			}
			return strconv.FormatFloat(*v*100, 'f', 0, 64) + " %"
		},
		"escape": url.PathEscape,
	}).ParseFS(templates, "templates/index.html")
	if err != nil {
		return nil, fmt.Errorf("parsing page templates: %w", err)
	}
	return s.fallible(func(w http.ResponseWriter, r *http.Request) error {
		p, err := parseParams(r, "cursor")
		if err != nil {
			return err
		}
		data := indexPage{Version: s.o.Version, Waiting: s.o.Health().Waiting}
		data.Models, data.Next, err = s.o.Reader.Models(r.Context(), history.Page{Cursor: p["cursor"]})
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := index.Execute(&b, data); err != nil {
			return fmt.Errorf("writing page: %w", err)
		}
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(b.Bytes()) // a client that went away is no error of ours
		return nil
	}), nil
}

// sizeName writes a window size as people do: 15m, 1h, 1d.
func sizeName(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	if d >= 24*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
	}
	name := d.String()
	if strings.HasSuffix(name, "m0s") {
		name = strings.TrimSuffix(name, "0s")
	}
	if strings.HasSuffix(name, "h0m") {
		name = strings.TrimSuffix(name, "0m")
	}
	return name
}

// static serves the embedded files of the page.
func (s *Server) static() (http.Handler, error) {
	return s.fallible(func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("file")
		data, err := static.ReadFile(path.Join("static", path.Base(name)))
		if err != nil {
			return &apiError{Status: http.StatusNotFound, Code: "not_found", Message: "there is no file of this name"}
		}
		h := w.Header()
		h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		h.Set("Cache-Control", "max-age=300")
		h.Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data) // a client that went away is no error of ours
		return nil
	}), nil
}
