package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"mime"
	"net/http"
	"path"
	"strconv"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static/*
var static embed.FS

// assetURL names a file of the page together with its content's hash, so that a browser never shows yesterday's script.
func assetURL(name string) (string, error) {
	data, err := static.ReadFile(path.Join("static", name))
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return "/static/" + name + "?v=" + hex.EncodeToString(sum[:6]), nil
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
		h.Set("Content-Type", contentType(name))
		h.Set("Cache-Control", "max-age=300")
		if r.URL.Query().Has("v") { // the name changes with the content
			h.Set("Cache-Control", "max-age=31536000, immutable")
		}
		h.Set("Content-Length", strconv.Itoa(len(data)))
		_, _ = w.Write(data) //nolint:gosec // an embedded file; a client that went away is no error of ours
		return nil
	}), nil
}

// contentType does not ask the machine's own table first, which may say anything.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		return mime.TypeByExtension(path.Ext(name))
	}
}
