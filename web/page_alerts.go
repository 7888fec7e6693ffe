package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// pageIncidents is how many incidents a page of alerts shows.
const pageIncidents = 30

// alertsPage is what templates/alerts.html shows.
type alertsPage struct {
	Model, State, Incident string
	States                 []result.IncidentState
	Incidents              []incident
	Silences               []silenceRow // that hold now
	Next                   string
}

// silenceRow is one silence as the page shows it.
type silenceRow struct {
	ID, Matchers, By, Comment string
	Start, End                int64 // Unix milliseconds
}

// silenceRows lists the silences that hold now, those that end last first.
func (s *Server) silenceRows(now time.Time) []silenceRow {
	if s.o.Silences == nil {
		return nil
	}
	var out []silenceRow
	for _, silence := range s.o.Silences.List() {
		if silence.Active(now) {
			out = append(out, rowOf(&silence))
		}
	}
	return out
}

func rowOf(s *alerting.Silence) silenceRow {
	return silenceRow{
		ID: s.ID, Matchers: s.MatcherText(), By: s.By, Comment: s.Comment, Start: s.Start.UnixMilli(), End: s.End.UnixMilli(),
	}
}

// incident is one incident as its newest transition tells it, with the transitions before.
type incident struct {
	result.Transition
	Timeline   []step
	Affected   []affected  // its features, the largest effect first
	Silence    *silenceRow // that holds it back now; nil: none
	URL        string      // this incident alone
	ModelURL   string
	FeatureURL string // empty where the incident is about no feature
}

// affected is one feature of an incident, with its page.
type affected struct {
	result.IncidentFeature
	URL string
}

// More is how many features the incident has beside those that are listed.
func (in *incident) More() int { return max(0, in.FeaturesTotal-len(in.Affected)) }

// step is one transition of an incident's timeline, with the page of its window.
type step struct {
	result.Transition
	URL string
}

func alertsView() view {
	return view{template: "alerts.html", params: []string{"model", "state", "incident", "cursor"}, make: (*Server).alertsPage}
}

func (s *Server) alertsPage(r *http.Request, p params) (*frame, error) {
	data := alertsPage{
		Model: p["model"], State: p["state"], Incident: p["incident"], Incidents: nil, Silences: s.silenceRows(time.Now()), Next: "",
		States: []result.IncidentState{result.Firing, result.Resolved, result.Pending, result.Inactive},
	}
	q := history.AlertsQuery{
		Page: history.Page{Limit: pageIncidents, Cursor: p["cursor"]}, Model: data.Model, State: result.IncidentState(data.State), Incident: data.Incident,
	}
	list, next, err := s.incidents(r, q, selection{})
	if err != nil {
		return nil, err
	}
	data.Incidents = list
	if next != "" {
		values := url.Values{"cursor": {next}}
		for k, v := range map[string]string{"model": data.Model, "state": data.State} {
			if v != "" {
				values.Set(k, v)
			}
		}
		data.Next = withQuery("/alerts", values)
	}
	poll := url.Values{"limit": {"5"}}
	if data.Model != "" {
		poll.Set("model", data.Model)
	}
	return &frame{Title: "Alerts", Section: "alerts", Version: "", Firing: "", Self: nil, Poll: withQuery("/api/v1/alerts", poll), Main: data}, nil
}

// incidents returns incidents with their timelines, oldest transition first.
func (s *Server) incidents(r *http.Request, q history.AlertsQuery, sel selection) ([]incident, string, error) {
	if q.Incident != "" { // its transitions, newest first: the first stands for the incident
		q.Page = history.Page{Limit: 1, Cursor: ""}
	}
	list, err := s.o.Reader.Alerts(r.Context(), q)
	if err != nil {
		return nil, "", err
	}
	out := make([]incident, len(list.Transitions))
	for i, data := range list.Transitions {
		if out[i], err = s.incident(r, data, sel); err != nil {
			return nil, "", err
		}
	}
	if q.Incident != "" {
		return out, "", nil
	}
	return out, list.Next, nil
}

func (s *Server) incident(r *http.Request, data []byte, sel selection) (incident, error) {
	var in incident
	if err := json.Unmarshal(data, &in.Transition); err != nil {
		return in, fmt.Errorf("reading a stored transition: %w", err)
	}
	sel.Model, sel.Version, sel.Segment, sel.Size, sel.To = in.Key.Model, in.Key.Version, in.Key.Segment, in.Window.Size, 0
	in.ModelURL, in.URL = sel.URL(), withQuery("/alerts", url.Values{"incident": {in.Incident}})
	if in.Feature != "" && in.ResultID != "" { // without a result there is no window to look at
		in.FeatureURL = sel.in(in.Segment).FeatureURL(in.Feature, in.Role, in.Window.Start)
	}
	for _, f := range in.Features {
		row := affected{IncidentFeature: f, URL: ""}
		switch {
		case in.ResultID == "":
		case f.Feature == "":
			row.URL = sel.in(f.Segment).URL()
		default:
			row.URL = sel.in(f.Segment).FeatureURL(f.Feature, f.Role, in.Window.Start)
		}
		in.Affected = append(in.Affected, row)
	}
	if s.o.Silences != nil {
		if silence := alerting.Silenced(s.o.Silences.List(), &in.Transition, time.Now()); silence != nil {
			row := rowOf(silence)
			in.Silence = &row
		}
	}
	all, err := s.o.Reader.Alerts(r.Context(), history.AlertsQuery{
		Page: history.Page{Limit: 100, Cursor: ""}, Model: "", State: "", Incident: in.Incident,
	})
	if err != nil {
		return in, err
	}
	for _, data := range slices.Backward(all.Transitions) {
		var st step
		if err := json.Unmarshal(data, &st.Transition); err != nil {
			return in, fmt.Errorf("reading a stored transition: %w", err)
		}
		if st.Feature != "" && st.ResultID != "" {
			st.URL = sel.FeatureURL(st.Feature, st.Role, st.Window.Start)
		}
		in.Timeline = append(in.Timeline, st)
	}
	return in, nil
}
