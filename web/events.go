package web

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/event"
)

const (
	subjectEvents = "ml.events."
	subjectLabels = "ml.labels."

	// maxReported bounds how many refused records an answer describes.
	maxReported = 100
	// maxMessage is the size up to which records are put into one message: half of a broker's default limit.
	maxMessage = 512 << 10
	// maxRecord leaves room under the broker's default limit of 1 MiB for the headers of a message.
	maxRecord = 1<<20 - 4<<10
	// ingestSlots is how many requests are ingested at once: with MaxBody it bounds the memory that they hold.
	ingestSlots = 8
	// publishTimeout bounds the wait for the broker's acknowledgements of one request.
	publishTimeout = 20 * time.Second
	// retryAfter is what a client is told to wait, in seconds.
	retryAfter = 5
)

// recordReject says why one record of a request was refused.
type recordReject struct {
	Index  int    `json:"index"`  // in the request's body, from 0
	Offset int    `json:"offset"` // byte offset in the uncompressed body
	Reason string `json:"reason"`
	Detail string `json:"detail"`
}

// message is what is published at once: consecutive records of one subject.
type message struct {
	subject string
	records [][]byte
	size    int
}

// events takes an object, an array or NDJSON. All records are decoded before the first is published: one that cannot be
// counted refuses the request, and its sender can mend it. The answer 200 comes after the broker has stored everything.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	p, err := parseParams(r, "model")
	if err != nil {
		return err
	}
	model, given := p["model"]
	if given && !event.ValidModel(model) {
		return &apiError{Status: http.StatusBadRequest, Code: "bad_request", Message: "model: must be 1 to 128 of A-Z, a-z, 0-9, '_' and '-'"}
	}
	if s.o.Publish == nil {
		return &apiError{Status: http.StatusServiceUnavailable, Code: "events_disabled", Message: "this process does not take events over HTTP"}
	}
	if s.draining.Load() {
		return unavailable("shutting_down", "driftd is shutting down; send this again", 0)
	}
	if err := checkMediaType(r); err != nil {
		return err
	}
	select {
	case s.ingest <- struct{}{}:
		defer func() { <-s.ingest }()
	default:
		return unavailable("busy", "too many requests are being taken at once; send this again", 0)
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return err
	}
	messages, n, err := s.decode(body, model)
	if err != nil {
		return err
	}
	if n == 0 {
		return &apiError{Status: http.StatusBadRequest, Code: "no_records", Message: "the body has no records; send one JSON object, an array of objects or NDJSON"}
	}
	if err := s.publish(r.Context(), messages); err != nil {
		return err
	}
	return answer(w, map[string]int{"accepted": n}, "")
}

func unavailable(code, text string, accepted int) *apiError {
	return &apiError{
		Status: http.StatusServiceUnavailable, Code: code, Message: text, RetryAfter: retryAfter, Accepted: &accepted,
	}
}

// checkMediaType says what a body may call itself. A page of another site cannot send one of these types without the
// browser asking first.
func checkMediaType(r *http.Request) error {
	given := r.Header.Get("Content-Type")
	taken := []string{"application/json", "application/x-ndjson", "application/ndjson", "application/jsonl"}
	mt, _, err := mime.ParseMediaType(given)
	if err != nil || !slices.Contains(taken, mt) {
		return &apiError{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Message: fmt.Sprintf("the Content-Type %q is not taken; send application/json or application/x-ndjson", given),
		}
	}
	return nil
}

// readBody reads and unpacks the body within the limit: the compressed bytes and, apart from them, the unpacked ones.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	limit := s.o.MaxBody
	tooLarge := &apiError{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large",
		Message: fmt.Sprintf("the body is larger than %d bytes, unpacked; send fewer records at once", limit),
	}
	var in io.Reader = http.MaxBytesReader(w, r.Body, limit)
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, bodyError(err, tooLarge)
		}
		in = z
	default:
		return nil, &apiError{
			Status: http.StatusUnsupportedMediaType, Code: "unsupported_encoding",
			Message: fmt.Sprintf("the Content-Encoding %q is not taken; send gzip, or none", encoding),
		}
	}
	body, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, bodyError(err, tooLarge)
	}
	if int64(len(body)) > limit {
		return nil, tooLarge
	}
	return body, nil
}

func bodyError(err error, tooLarge *apiError) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge
	}
	return &apiError{Status: http.StatusBadRequest, Code: "bad_body", Message: "reading the body: " + err.Error()}
}

// decode checks every record and packs them into messages in their order. subject is the model of the request, or empty.
func (s *Server) decode(body []byte, subject string) ([]message, int, error) {
	limits := event.DefaultLimits()
	limits.MaxRecord = maxRecord
	d := event.NewDecoder(limits)
	d.Reset(body)
	var out []message
	var bad []recordReject
	n, refused := 0, 0
	for d.Next() {
		ev, reject := d.Event()
		var model []byte
		if reject == nil {
			model, reject = event.ResolveModel(subject, ev)
		}
		if reject == nil && s.o.Takes != nil && !s.o.Takes(string(model)) {
			reject = &event.RejectError{Reason: event.RejectUnknownModel, Offset: 0, Detail: "the model is in none of nats.partitions", Model: model}
		}
		if reject != nil {
			refused++
			s.metrics.refused.WithLabelValues(reject.Reason.String()).Inc()
			if len(bad) < maxReported {
				bad = append(bad, recordReject{d.Index(), reject.Offset, reject.Reason.String(), reject.Detail})
			}
			continue
		}
		n++
		name := subjectEvents + string(model)
		if ev.IsLabel {
			name = subjectLabels + string(model)
		}
		// Raw is a view of the body, which stays as it is until the answer.
		if k := len(out) - 1; k >= 0 && out[k].subject == name && out[k].size+len(ev.Raw) < maxMessage {
			out[k].records, out[k].size = append(out[k].records, ev.Raw), out[k].size+len(ev.Raw)+1
			continue
		}
		out = append(out, message{name, [][]byte{ev.Raw}, len(ev.Raw) + 2})
	}
	if refused > 0 {
		return nil, 0, &apiError{
			Status: http.StatusBadRequest, Code: "invalid_records", Refused: refused, Records: bad,
			Message: fmt.Sprintf("%d of %d records cannot be counted, so none was taken; mend or leave them out and send again", refused, n+refused),
		}
	}
	return out, n, nil
}

// publish sends the messages one after the other, so that the stream has the order of the request.
func (s *Server) publish(ctx context.Context, messages []message) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	accepted := 0
	for i := range messages {
		m := &messages[i]
		if err := s.o.Publish(ctx, m.subject, m.bytes()); err != nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "publishing events failed", slog.String("subject", m.subject), slog.Any("err", err))
			return unavailable("broker_unavailable",
				"the broker did not acknowledge; send this again: events with an id are counted once", accepted)
		}
		accepted += len(m.records)
		s.metrics.published.Add(float64(len(m.records)))
	}
	return nil
}

// bytes returns the message: the record itself, or an array, in which a record may have newlines of its own.
func (m *message) bytes() []byte {
	if len(m.records) == 1 {
		return m.records[0]
	}
	b := make([]byte, 0, m.size)
	b = append(b, '[')
	b = append(b, bytes.Join(m.records, []byte{','})...)
	return append(b, ']')
}
