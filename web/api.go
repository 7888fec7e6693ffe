package web

import (
	"net/http"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// The read routes. Each names the query parameters that it takes; any other is refused, so that a typing error is not
// silently another question.

func (s *Server) models(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := p.page()
	if err != nil {
		return err
	}
	models, next, err := s.listModels(r.Context(), page)
	if err != nil {
		return err
	}
	return answer(w, models, next)
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseParams(r); err != nil {
		return err
	}
	m, err := s.o.Reader.Model(r.Context(), r.PathValue("model"))
	if err != nil {
		return err
	}
	return answer(w, m, "")
}

func (s *Server) windows(w http.ResponseWriter, r *http.Request) error {
	q, err := windowsQuery(r)
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Windows(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, list.Summaries, list.Next)
}

func (s *Server) window(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseParams(r); err != nil {
		return err
	}
	win, err := s.o.Reader.Window(r.Context(), r.PathValue("model"), r.PathValue("result_id"))
	if err != nil {
		return err
	}
	return answer(w, win, "")
}

func (s *Server) features(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "version", "segment", "size")
	if err != nil {
		return err
	}
	q, err := p.series(r)
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Features(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, list, "")
}

func (s *Server) feature(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "role", "version", "segment", "size", "from", "to", "limit", "cursor")
	if err != nil {
		return err
	}
	q, err := p.windows(r)
	if err != nil {
		return err
	}
	f, err := s.o.Reader.FeatureSeries(r.Context(), history.FeatureQuery{
		Series: q.Series, Range: q.Range, Page: q.Page, Feature: r.PathValue("feature"), Role: result.Role(p["role"]),
	})
	if err != nil {
		return err
	}
	return answer(w, f, f.Next)
}

func (s *Server) quality(w http.ResponseWriter, r *http.Request) error {
	q, _, err := qualityQuery(r, "maturity", "version", "segment", "size", "from", "to", "limit", "cursor")
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Quality(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, list.Documents, list.Next)
}

func (s *Server) verdicts(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "compare", "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := p.page()
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Verdicts(r.Context(), history.VerdictsQuery{Page: page, Model: r.PathValue("model"), Compare: p["compare"]})
	if err != nil {
		return err
	}
	return answer(w, list.Documents, list.Next)
}

// fairness takes no segment: its documents are about all events, group by group.
func (s *Server) fairness(w http.ResponseWriter, r *http.Request) error {
	q, p, err := qualityQuery(r, "dimension", "maturity", "version", "size", "from", "to", "limit", "cursor")
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Fairness(r.Context(), history.FairnessQuery{QualityQuery: q, Dimension: p["dimension"]})
	if err != nil {
		return err
	}
	return answer(w, list.Documents, list.Next)
}

func qualityQuery(r *http.Request, allowed ...string) (history.QualityQuery, params, error) {
	p, err := parseParams(r, allowed...)
	if err != nil {
		return history.QualityQuery{}, nil, err
	}
	q, err := p.windows(r)
	if err != nil {
		return history.QualityQuery{}, nil, err
	}
	maturity, err := p.maturity()
	return history.QualityQuery{Series: q.Series, Range: q.Range, Page: q.Page, Maturity: maturity}, p, err
}

func (s *Server) heat(w http.ResponseWriter, r *http.Request) error {
	q, err := windowsQuery(r)
	if err != nil {
		return err
	}
	h, err := s.o.Reader.Heat(r.Context(), q)
	if err != nil {
		return err
	}
	return answer(w, h, h.Next)
}

func (s *Server) alerts(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "model", "state", "incident", "limit", "cursor")
	if err != nil {
		return err
	}
	page, err := p.page()
	if err != nil {
		return err
	}
	list, err := s.o.Reader.Alerts(r.Context(), history.AlertsQuery{
		Page: page, Model: p["model"], State: result.IncidentState(p["state"]), Incident: p["incident"],
	})
	if err != nil {
		return err
	}
	return answer(w, list.Transitions, list.Next)
}

func windowsQuery(r *http.Request) (history.WindowsQuery, error) {
	p, err := parseParams(r, "version", "segment", "size", "from", "to", "limit", "cursor")
	if err != nil {
		return history.WindowsQuery{}, err
	}
	return p.windows(r)
}
