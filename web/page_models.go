package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// stripWindows is how many windows the list of models draws of each.
const stripWindows = 60

// modelsPage is what templates/models.html shows.
type modelsPage struct {
	Models  []modelRow
	Next    string
	Waiting []string
}

// modelRow is one model: its newest windows by size, and how the ones before went.
type modelRow struct {
	Model  string
	Firing int
	States []stateRow
}

type stateRow struct {
	history.State
	URL   string
	Strip []stripBar
	Words string // what the strip shows
	Empty int64  // start of a newer window without events; 0: none
}

// stripBar is one window of a strip: the height says what the colour says.
type stripBar struct {
	X, Y, Height int
	Verdict      result.Verdict
}

func modelsView() view {
	return view{template: "models.html", params: []string{"cursor"}, make: (*Server).modelsPage}
}

func (s *Server) modelsPage(r *http.Request, p params) (*frame, error) {
	data := modelsPage{Models: nil, Next: "", Waiting: s.o.Health().Waiting}
	models, next, err := s.listModels(r.Context(), history.Page{Limit: 0, Cursor: p["cursor"]})
	if err != nil {
		return nil, err
	}
	data.Next = next
	firing, err := s.firing(r)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		row := modelRow{Model: m.Model, Firing: firing.models[m.Model], States: nil}
		for _, st := range m.Latest {
			sel := selection{Model: m.Model, Version: st.Version, Segment: st.Segment, Size: st.Window.Size, Windows: 0, To: 0}
			state := stateRow{State: st, URL: sel.URL(), Strip: nil, Words: "", Empty: 0}
			if err := s.strip(r, sel, &state); err != nil {
				return nil, err
			}
			row.States = append(row.States, state)
		}
		data.Models = append(data.Models, row)
	}
	poll := "/api/v1/models"
	if c := p["cursor"]; c != "" {
		poll = withQuery(poll, map[string][]string{"cursor": {c}})
	}
	return &frame{Title: "Models", Section: "models", Version: "", Firing: "", Self: nil, Poll: poll, Main: data}, nil
}

// strip draws the verdicts of the newest windows, oldest first. Where the newest has no events, because nothing but labels
// came in it or its source fell silent, the row is about the newest one that has.
func (s *Server) strip(r *http.Request, sel selection, row *stateRow) error {
	list, err := s.o.Reader.Windows(r.Context(), history.WindowsQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: 0}, Page: history.Page{Limit: stripWindows, Cursor: ""},
	})
	if err != nil {
		return err
	}
	sums, err := summaries(list)
	if err != nil {
		return err
	}
	if at := newest(sums); at > 0 {
		w := &sums[at]
		row.Empty = sums[0].Window.Start
		row.State = history.State{
			Version: w.Key.Version, Segment: w.Key.Segment, ResultID: w.ResultID, Window: w.Window, Revision: w.Revision, Complete: w.Complete,
			Verdict: w.Verdict, DriftShare: w.DriftShare, Events: w.Counts.Events, Features: w.Features, Reasons: w.Reasons,
		}
	}
	row.Strip = make([]stripBar, len(sums))
	counts := map[result.Verdict]int{}
	for i := range sums {
		v, at := sums[i].Verdict, len(sums)-1-i
		h := barHeight(v)
		row.Strip[at] = stripBar{X: at * 4, Y: 16 - h, Height: h, Verdict: v}
		counts[v]++
	}
	words := make([]string, 0, 4)
	for _, v := range []result.Verdict{result.Drift, result.Warning, result.Stable, result.Insufficient} {
		if counts[v] > 0 {
			words = append(words, strconv.Itoa(counts[v])+" "+string(v))
		}
	}
	row.Words = strings.Join(words, ", ")
	return nil
}

// summaries decodes a page of windows, newest first.
func summaries(list *history.Windows) ([]result.Summary, error) {
	out := make([]result.Summary, len(list.Summaries))
	for i, data := range list.Summaries {
		if err := json.Unmarshal(data, &out[i]); err != nil {
			return nil, fmt.Errorf("reading a stored summary: %w", err)
		}
	}
	return out, nil
}

// newest is the first window, of those newest first, that has events; 0 where none has.
func newest(sums []result.Summary) int {
	return max(0, slices.IndexFunc(sums, func(w result.Summary) bool { return w.Counts.Events > 0 }))
}

// barHeight gives each verdict a height of 16, so that nobody needs to see the colour.
func barHeight(v result.Verdict) int {
	switch v {
	case result.Drift:
		return 16
	case result.Warning:
		return 10
	case result.Stable:
		return 4
	case result.Insufficient:
		return 1
	default:
		return 1
	}
}
