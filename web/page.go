package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/selfalert"
)

// The page is HTML from templates, whole without a script; static/*.js draws charts and the heat map from the same answers,
// and exchanges what changed while data flows. All that a page shows is in its address.

// pagePolicy is the content security policy of pages: nothing but our own files, no inline script or style, no frame.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// How many windows a page shows at first, and what can be chosen.
const (
	defaultWindows = 200
	maxWindows     = 1000
)

func windowChoices() []int { return []int{50, defaultWindows, 500, maxWindows} }

// Annotation is something that people should see beside a model's windows, such as a deployment or a test's injected fault.
type Annotation struct {
	Start int64  `json:"start_ms"` // Unix milliseconds UTC, [Start, End)
	End   int64  `json:"end_ms"`
	Text  string `json:"text"`
}

// frame is what every page shows around its content.
type frame struct {
	Title   string
	Section string // of the navigation: models or alerts
	Version string
	Firing  string            // how many incidents fire; empty: none
	Self    []selfalert.Alert // about driftd itself
	Poll    string            // an address of the API whose answer changes when this page's content does; empty: nothing to follow
	Main    any
}

// view is one kind of page.
type view struct {
	template string
	params   []string
	make     func(s *Server, r *http.Request, p params) (*frame, error)
}

func (s *Server) view(v view) (http.Handler, error) {
	t, err := template.New("frame.html").Funcs(functions()).ParseFS(templates, "templates/frame.html", "templates/parts.html", "templates/"+v.template)
	if err != nil {
		return nil, fmt.Errorf("parsing page templates: %w", err)
	}
	failed, err := template.New("frame.html").Funcs(functions()).ParseFS(templates, "templates/frame.html", "templates/error.html")
	if err != nil {
		return nil, fmt.Errorf("parsing page templates: %w", err)
	}
	return s.fallible(func(w http.ResponseWriter, r *http.Request) error {
		err := s.show(w, r, t, v)
		e := pageError(err)
		if err == nil || e == nil {
			return err
		}
		f := &frame{Title: http.StatusText(e.Status), Section: "", Version: s.o.Version, Firing: "", Self: s.o.Self(), Poll: "", Main: e}
		return render(w, e.Status, failed, f)
	}), nil
}

func (s *Server) show(w http.ResponseWriter, r *http.Request, t *template.Template, v view) error {
	p, err := parseParams(r, v.params...)
	if err != nil {
		return err
	}
	f, err := v.make(s, r, p)
	if err != nil {
		return err
	}
	f.Version, f.Self = s.o.Version, s.o.Self()
	firing, err := s.firing(r)
	if err != nil {
		return err
	}
	f.Firing = firing.total
	return render(w, http.StatusOK, t, f)
}

// render writes a page whole or not at all.
func render(w http.ResponseWriter, status int, t *template.Template, f *frame) error {
	var b bytes.Buffer
	if err := t.Execute(&b, f); err != nil {
		return fmt.Errorf("writing page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // a client that went away is no error of ours
	return nil
}

// pageError returns what a person may read of an error, nil for those that only the log should hold.
func pageError(err error) *apiError {
	var q *history.QueryError
	var n *history.NotFoundError
	switch {
	case errors.As(err, &q):
		return &apiError{Status: http.StatusBadRequest, Code: "bad_request", Message: q.Error()}
	case errors.As(err, &n):
		return &apiError{Status: http.StatusNotFound, Code: "not_found", Message: n.Error()}
	}
	return nil
}

// firing counts the incidents that fire, by model.
type firing struct {
	total  string
	models map[string]int
}

func (s *Server) firing(r *http.Request) (firing, error) {
	f := firing{total: "", models: map[string]int{}}
	page := history.Page{Limit: 1000, Cursor: ""}
	list, err := s.o.Reader.Alerts(r.Context(), history.AlertsQuery{Page: page, Model: "", State: result.Firing, Incident: ""})
	if err != nil {
		return f, err
	}
	for _, data := range list.Transitions {
		var t result.Transition
		if err := json.Unmarshal(data, &t); err != nil {
			return f, fmt.Errorf("reading a stored transition: %w", err)
		}
		f.models[t.Key.Model]++
	}
	if n := len(list.Transitions); n > 0 {
		f.total = strconv.Itoa(n)
		if list.Next != "" {
			f.total += " or more"
		}
	}
	return f, nil
}

// window counts a page's windows: the parameter `windows`.
func (p params) windowCount() (int, error) {
	v, ok := p["windows"]
	if !ok {
		return defaultWindows, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > maxWindows {
		return 0, &history.QueryError{Field: "windows", Detail: fmt.Sprintf("must be 1 to %d, got %q", maxWindows, v)}
	}
	return n, nil
}

// choices are what the selectors of a page offer.
type choices struct {
	Versions, Segments []string
	Sizes              []string
	Windows            []int
}

// choose reads the selection of a page of a model, and what else could be selected.
func (s *Server) choose(r *http.Request, p params) (selection, *history.ModelDetail, choices, error) {
	sel := selection{Model: r.PathValue("model"), Version: p["version"], Segment: p["segment"], Size: 0, Windows: 0, To: 0}
	detail, err := s.o.Reader.Model(r.Context(), sel.Model)
	if err != nil {
		return sel, nil, choices{}, err
	}
	c := choices{Versions: detail.Versions, Segments: detail.Segments, Sizes: nil, Windows: windowChoices()}
	for _, size := range detail.Sizes {
		c.Sizes = append(c.Sizes, sizeName(size))
	}
	series, err := p.series(r)
	if err != nil {
		return sel, nil, c, err
	}
	series = series.WithDefaults()
	sel.Version, sel.Segment, sel.Size = series.Version, series.Segment, series.Size
	if sel.Size == 0 {
		for _, st := range detail.Latest { // the smallest size of this series, as the API takes it
			if st.Version == sel.Version && st.Segment == sel.Segment && (sel.Size == 0 || st.Window.Size < sel.Size) {
				sel.Size = st.Window.Size
			}
		}
	}
	if sel.Windows, err = p.windowCount(); err != nil {
		return sel, nil, c, err
	}
	sel.To, err = p.time("to")
	return sel, detail, c, err
}

func (s selection) series() history.Series {
	return history.Series{Model: s.Model, Version: s.Version, Segment: s.Segment, Size: s.Size}
}

func (s *Server) annotations(model string, from, to int64) []Annotation {
	out := []Annotation{}
	if s.o.Annotations == nil {
		return out
	}
	for _, a := range s.o.Annotations(model) {
		if a.End > from && a.Start < to {
			out = append(out, a)
		}
	}
	return out
}
