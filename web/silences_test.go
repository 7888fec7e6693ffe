package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/web"
)

// shelf is a place for silences in memory; the daemon's is a bucket of the broker.
type shelf struct{ all []alerting.Silence }

func (s *shelf) List() []alerting.Silence { return append([]alerting.Silence{}, s.all...) }

func (s *shelf) Add(_ context.Context, silence alerting.Silence) (alerting.Silence, error) {
	if err := silence.Validate(); err != nil {
		return silence, &alerting.SilenceError{Err: err}
	}
	silence.ID = "one"
	s.all = append(s.all, silence)
	return silence, nil
}

func (s *shelf) Remove(_ context.Context, id string) (bool, error) {
	if id == "broken" {
		return false, errors.New("no broker")
	}
	for i := range s.all {
		if s.all[i].ID == id {
			s.all = append(s.all[:i], s.all[i+1:]...)
			return true, nil
		}
	}
	return false, nil
}

func TestSilences(t *testing.T) {
	server := start(t, web.Options{Silences: &shelf{}}) //nolint:exhaustruct // nothing is held back yet
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r := do(t, http.DefaultClient, method, "http://"+server.Addr()+path, body, jsonHeader())
		return r.status, r.body
	}
	for body, want := range map[string]string{
		``:                           "must be a silence",
		`{"matchers":{}}`:            "needs matchers",
		`{"matchers":{"model":"m"}}`: "must end",
		`{"matchers":{"model":"m"},"duration":"soon"}`:                            "duration must be one such as",
		`{"matchers":{"model":"m"},"duration":"2h","end":"2030-01-01T00:00:00Z"}`: "not both",
		`{"matchers":{"model":"m"},"duration":"9999h"}`:                           "at most 366 days",
		`{"matchers":{"model":"m"},"durations":"2h"}`:                             "unknown field",
		`{"matchers":{"":"m"},"duration":"2h"}`:                                   "name of a label",
	} {
		if code, text := ask(http.MethodPost, "/api/v1/silences", body); code != http.StatusBadRequest || !strings.Contains(text, want) || !strings.Contains(text, "bad_silence") {
			t.Errorf("%s: %d %s, want %q", body, code, text, want)
		}
	}
	code, text := ask(http.MethodPost, "/api/v1/silences", `{"matchers":{"model":"m"},"duration":"2h","by":"me"}`)
	var got struct{ Data alerting.Silence }
	if err := json.Unmarshal([]byte(text), &got); err != nil || code != http.StatusOK {
		t.Fatalf("%d %s %v", code, text, err)
	}
	if lasts := got.Data.End.Sub(got.Data.Start); got.Data.ID != "one" || lasts != 2*time.Hour || time.Until(got.Data.End) > 2*time.Hour {
		t.Errorf("silence: %+v", got.Data)
	}
	if code, text := ask(http.MethodGet, "/api/v1/silences", ""); code != http.StatusOK || !strings.Contains(text, `"by":"me"`) {
		t.Errorf("list: %d %s", code, text)
	}
	for id, want := range map[string]int{"one": http.StatusOK, "two": http.StatusNotFound, "broken": http.StatusInternalServerError} {
		if code, text := ask(http.MethodDelete, "/api/v1/silences/"+id, ""); code != want {
			t.Errorf("removing %s: %d %s", id, code, text)
		}
	}
}
