package rows

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/driftd/driftd/event"
)

// ndjsonSource reads one JSON object a line: an event as it is sent, or a flat row. A line with a `features` object, or with
// keys of the event format only, is an event; else its keys are columns, nested ones joined with '.'.
type ndjsonSource struct {
	in       *bufio.Reader
	decoder  *event.Decoder
	mapping  map[string]string
	byColumn map[string]string
	maxLine  int
	at       int
	long     []byte // a line that spans the buffer
	wrapped  []byte // a flat row inside of a `features` object
	ev       event.Event
}

func newNDJSON(in *bufio.Reader, mapping map[string]string) (*ndjsonSource, error) {
	head, _ := in.Peek(bufferSize)
	if head = bytes.TrimLeft(head, " \t\r\n"); len(head) > 0 && head[0] == '[' {
		return nil, errors.New("the file is one JSON array; write one object a line (jq -c '.[]')")
	}
	limits := event.DefaultLimits()
	return &ndjsonSource{
		in: in, decoder: event.NewDecoder(limits), mapping: mapping, byColumn: inverse(mapping),
		maxLine: limits.MaxRecord, at: 0, long: nil, wrapped: nil, ev: event.Event{},
	}, nil
}

func (s *ndjsonSource) line() int { return s.at }

func (s *ndjsonSource) next() (*event.Event, error) {
	line, err := s.nextLine()
	if err != nil {
		return nil, err
	}
	return s.row(line)
}

// nextLine returns the next line that is not blank, valid until the next call.
func (s *ndjsonSource) nextLine() ([]byte, error) {
	for {
		line, err := s.read()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// read returns the next line, valid until the next call.
func (s *ndjsonSource) read() ([]byte, error) {
	s.at++
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.long = append(s.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(s.long) > s.maxLine {
				return nil, fmt.Errorf("the line is longer than %d bytes; write one object a line", s.maxLine)
			}
			line, err = s.in.ReadSlice('\n')
			s.long = append(s.long, line...)
		}
		line = s.long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err //nolint:wrapcheck // io.EOF as it is; the Reader says where
	}
	return line, nil
}

// row decodes a line as an event, and where it is none as a flat row.
func (s *ndjsonSource) row(line []byte) (*event.Event, error) {
	e, rejected := s.decode(line)
	if rejected == nil && (len(e.Features) > 0 || (e.UnknownKeys == 0 && len(s.mapping) == 0)) {
		if len(s.mapping) > 0 {
			return nil, errMappedEvent
		}
		return e, nil
	}
	flat, err := s.flat(line)
	if rejected != nil && (errors.Is(err, errEvent) || errors.As(err, new(*event.RejectError))) {
		return nil, rejected // an event, or no JSON at all
	}
	return flat, err
}

// isEvent reports whether a file that starts with this line holds events: one with `features`, or one of the event format's keys only
// that says whose it is or when it was. A line that cannot be read is none.
func (s *ndjsonSource) isEvent(line []byte) bool {
	e, rejected := s.decode(line)
	if rejected != nil {
		wrapped, err := s.wrap(line)
		return errors.Is(err, errEvent) && wrapped == nil
	}
	named := len(e.Model) > 0 || len(e.ID) > 0 || e.HasTime
	return len(e.Features) > 0 || (e.UnknownKeys == 0 && len(s.mapping) == 0 && named && (e.IsLabel || len(e.Prediction) > 0))
}

var errMappedEvent = errors.New("the line is an event with `features`; columns are mapped in flat rows only, remove the mapping")

// errEvent says that what was read as a flat row is an event.
var errEvent = errors.New("an event whose `features` cannot be read")

// decode decodes one record and refuses a line with more of them.
func (s *ndjsonSource) decode(line []byte) (*event.Event, *event.RejectError) {
	s.decoder.Reset(line)
	if !s.decoder.Next() {
		return nil, &event.RejectError{Reason: event.RejectMalformed, Offset: 0, Detail: "no record", Model: nil}
	}
	e, rejected := s.decoder.Event()
	if rejected != nil { // the decoder uses its own again
		return nil, &event.RejectError{Reason: rejected.Reason, Offset: rejected.Offset, Detail: rejected.Detail, Model: nil}
	}
	if len(s.decoder.Raw()) != len(line) {
		at := len(s.decoder.Raw())
		return nil, &event.RejectError{Reason: event.RejectMalformed, Offset: at, Detail: "a second record on the line", Model: nil}
	}
	return e, nil
}

// flat decodes a flat row.
func (s *ndjsonSource) flat(line []byte) (*event.Event, error) {
	wrapped, err := s.wrap(line)
	if err != nil {
		return nil, err
	}
	e := &s.ev
	*e = event.Event{
		Prediction: e.Prediction[:0], Features: e.Features[:0], Segments: e.Segments[:0], DuplicateKeys: wrapped.DuplicateKeys,
	}
	for i := range wrapped.Features {
		f := &wrapped.Features[i]
		role := roleOf(column(f.Name), s.byColumn, s.mapping)
		if err := assign(e, role, f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("column %q: %w", f.Name, err)
		}
	}
	return e, nil
}

// wrap decodes the columns of a flat row as features: inside of a `features` object it is read by the one strict decoder that
// events are read by.
func (s *ndjsonSource) wrap(line []byte) (*event.Event, error) {
	if len(line) == 0 || line[0] != '{' {
		if _, rejected := s.decode(line); rejected != nil {
			return nil, rejected
		}
		return nil, errors.New("the line is no JSON object; write one object a line")
	}
	const head = `{"features":`
	s.wrapped = append(append(append(s.wrapped[:0], head...), line...), '}')
	wrapped, rejected := s.decode(s.wrapped)
	if rejected != nil {
		rejected.Offset = max(0, rejected.Offset-len(head))
		return nil, rejected
	}
	for i := range wrapped.Features {
		if bytes.HasPrefix(wrapped.Features[i].Name, []byte("features.")) {
			return nil, errEvent
		}
	}
	return wrapped, nil
}

// column returns the name of a column as roles know it: the scores of a prediction object are `prediction.scores.<class>`.
func column(name []byte) string {
	if class, ok := strings.CutPrefix(string(name), "prediction.scores."); ok {
		return event.PredictionScorePrefix + class
	}
	return string(name)
}
