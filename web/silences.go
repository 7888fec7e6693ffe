package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/driftd/driftd/alerting"
)

// Silences are held somewhere that all daemons of a cluster see.
type Silences interface {
	// List returns all silences, those that end last first.
	List() []alerting.Silence
	// Add stores a silence and returns it with its id; an *alerting.SilenceError says what is wrong with it.
	Add(ctx context.Context, s alerting.Silence) (alerting.Silence, error)
	// Remove ends a silence; false where there is none.
	Remove(ctx context.Context, id string) (bool, error)
}

// maxSilenceBody bounds the body of POST /api/v1/silences.
const maxSilenceBody = 64 << 10

// wantedSilence is what POST takes: an end or a duration, from now on where it has no start.
type wantedSilence struct {
	Matchers map[string]string `json:"matchers"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Duration string            `json:"duration"`
	By       string            `json:"by"`
	Comment  string            `json:"comment"`
}

func (s *Server) silences(w http.ResponseWriter, r *http.Request) error {
	if _, err := parseParams(r); err != nil {
		return err
	}
	list := []alerting.Silence{}
	if s.o.Silences != nil {
		list = s.o.Silences.List()
	}
	return answer(w, list, "")
}

func (s *Server) silence(w http.ResponseWriter, r *http.Request) error {
	if s.o.Silences == nil {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "silences_disabled", Message: "this process has no silences"}
	}
	if err := checkMediaType(r); err != nil {
		return err
	}
	var wanted wantedSilence
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSilenceBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&wanted); err != nil {
		return badSilence(fmt.Errorf("the body must be a silence such as {\"matchers\":{\"model\":\"m\"},\"duration\":\"2h\"}: %w", err))
	}
	silence := alerting.Silence{ID: "", Matchers: wanted.Matchers, Start: wanted.Start, End: wanted.End, By: wanted.By, Comment: wanted.Comment}
	if silence.Start.IsZero() {
		silence.Start = time.Now().UTC().Truncate(time.Second)
	}
	switch lasts, err := time.ParseDuration(wanted.Duration); {
	case wanted.Duration == "":
	case err != nil || lasts <= 0:
		return badSilence(fmt.Errorf("duration must be one such as 30m or 2h, got %.40q", wanted.Duration))
	case !wanted.End.IsZero():
		return badSilence(errors.New("give an end or a duration, not both"))
	default:
		silence.End = silence.Start.Add(lasts)
	}
	stored, err := s.o.Silences.Add(r.Context(), silence)
	if _, wrong := errors.AsType[*alerting.SilenceError](err); wrong {
		return badSilence(err)
	}
	if err != nil {
		return err
	}
	return answer(w, stored, "")
}

func (s *Server) unsilence(w http.ResponseWriter, r *http.Request) error {
	if s.o.Silences == nil {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "silences_disabled", Message: "this process has no silences"}
	}
	id := r.PathValue("id")
	found, err := s.o.Silences.Remove(r.Context(), id)
	if err != nil {
		return err
	}
	if !found {
		return &apiError{Status: http.StatusNotFound, Code: "not_found", Message: fmt.Sprintf("there is no silence %.40q", id)}
	}
	return answer(w, map[string]string{"removed": id}, "")
}

func badSilence(err error) error {
	return &apiError{Status: http.StatusBadRequest, Code: "bad_silence", Message: err.Error()}
}
