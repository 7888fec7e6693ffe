package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// stripWindows is how many windows the list of models draws of each.
const stripWindows = 40

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
	models, next, err := s.o.Reader.Models(r.Context(), history.Page{Limit: 0, Cursor: p["cursor"]})
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
			state := stateRow{State: st, URL: sel.URL(), Strip: nil, Words: ""}
			if state.Strip, state.Words, err = s.strip(r, sel); err != nil {
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
	return &frame{Title: "Models", Section: "models", Version: "", Firing: "", Poll: poll, Main: data}, nil
}

// strip draws the verdicts of the newest windows, oldest first.
func (s *Server) strip(r *http.Request, sel selection) ([]stripBar, string, error) {
	list, err := s.o.Reader.Windows(r.Context(), history.WindowsQuery{
		Series: sel.series(), Range: history.Range{From: 0, To: 0}, Page: history.Page{Limit: stripWindows, Cursor: ""},
	})
	if err != nil {
		return nil, "", err
	}
	bars := make([]stripBar, len(list.Summaries))
	counts := map[result.Verdict]int{}
	for i, data := range list.Summaries {
		var doc struct {
			Verdict result.Verdict `json:"verdict"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			return nil, "", fmt.Errorf("reading a stored summary: %w", err)
		}
		at := len(bars) - 1 - i
		h := barHeight(doc.Verdict)
		bars[at] = stripBar{X: at * 4, Y: 16 - h, Height: h, Verdict: doc.Verdict}
		counts[doc.Verdict]++
	}
	words := make([]string, 0, 4)
	for _, v := range []result.Verdict{result.Drift, result.Warning, result.Stable, result.Insufficient} {
		if counts[v] > 0 {
			words = append(words, strconv.Itoa(counts[v])+" "+string(v))
		}
	}
	return bars, strings.Join(words, ", "), nil
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
