package rows

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/driftd/driftd/event"
)

// csvSource reads CSV with one header line.
type csvSource struct {
	in      *lineCounter
	csv     *csv.Reader
	columns []csvColumn
	at      int // the line of the current record
	after   int // the line after the current record
	blank   int // lines of a one-column file before the record held back, each a missing cell
	held    []string
	heldErr error
	scratch []byte
	ev      event.Event
}

type csvColumn struct {
	name []byte
	role string
}

// lineCounter counts the newlines that pass.
type lineCounter struct {
	in    io.Reader
	lines int
}

func (l *lineCounter) Read(b []byte) (int, error) {
	n, err := l.in.Read(b)
	l.lines += bytes.Count(b[:n], []byte{'\n'})
	return n, err //nolint:wrapcheck // a reader passes on what it is told
}

// newCSV reads the header. The line is that of an error.
func newCSV(text io.Reader, comma rune, mapping map[string]string) (s *csvSource, line int, err error) {
	in := &lineCounter{in: text, lines: 0}
	r := csv.NewReader(in)
	r.Comma, r.ReuseRecord = comma, true
	header, err := r.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, 0, errors.New("the file is empty; a CSV file starts with a line of column names")
	case err != nil:
		return nil, 0, describe(err)
	}
	line, _ = r.FieldPos(0)
	if len(header) == 1 && strings.ContainsAny(header[0], ";\t") {
		return nil, line, fmt.Errorf("the header %.60q has one column: separate the columns by commas (a .tsv file: by tabs)", header[0])
	}
	s = &csvSource{
		in: in, csv: r, columns: nil, at: line, after: line + 1 + strings.Count(header[len(header)-1], "\n"), blank: 0,
		held: nil, heldErr: nil, scratch: nil, ev: event.Event{},
	}
	byColumn, seen := inverse(mapping), map[string]bool{}
	for i, name := range header {
		switch {
		case name == "":
			return nil, line, fmt.Errorf("column %d has no name; name it, or leave it out (pandas: to_csv(index=False))", i+1)
		case seen[name]:
			return nil, line, fmt.Errorf("the column %q is there twice; rename one", name)
		case !utf8.ValidString(name):
			return nil, line, fmt.Errorf("column %d: %w", i+1, errNotUTF8)
		}
		seen[name] = true
		s.columns = append(s.columns, csvColumn{name: []byte(name), role: roleOf(name, byColumn, mapping)})
	}
	for _, role := range slices.Sorted(maps.Keys(mapping)) {
		if column := mapping[role]; !seen[column] {
			return nil, line, fmt.Errorf("the role %s is mapped to the column %q, which is not there; the columns are %s",
				role, column, strings.Join(header, ", "))
		}
	}
	return s, line, nil
}

var errNotUTF8 = errors.New("not UTF-8; convert the file (iconv -f latin1 -t utf-8)")

func (s *csvSource) line() int { return s.at }

func (s *csvSource) next() (*event.Event, error) {
	if len(s.columns) == 1 {
		return s.nextOfOne()
	}
	record, err := s.csv.Read()
	if err != nil {
		return nil, s.failed(err)
	}
	s.at, _ = s.csv.FieldPos(0)
	return s.row(record)
}

// nextOfOne reads a file of one column, in which a blank line is a missing cell: encoding/csv skips it, and only the
// lines' numbers tell.
func (s *csvSource) nextOfOne() (*event.Event, error) {
	if s.held == nil && s.heldErr == nil {
		s.held, s.heldErr = s.csv.Read()
		switch {
		case s.heldErr == nil:
			start, _ := s.csv.FieldPos(0)
			s.blank = start - s.after
			s.after = start + 1 + strings.Count(s.held[0], "\n")
		case errors.Is(s.heldErr, io.EOF):
			s.blank = max(0, s.in.lines-s.after+1)
			s.after += s.blank
		}
	}
	if s.blank > 0 {
		s.blank--
		s.at++
		return s.row([]string{""})
	}
	record, err := s.held, s.heldErr
	s.held = nil
	if err != nil {
		return nil, s.failed(err) // heldErr stays
	}
	s.at, _ = s.csv.FieldPos(0)
	return s.row(record)
}

// row makes an event of a record.
func (s *csvSource) row(record []string) (*event.Event, error) {
	e := &s.ev
	*e = event.Event{Prediction: e.Prediction[:0], Features: e.Features[:0], Segments: e.Segments[:0]}
	s.scratch = s.scratch[:0]
	for i, text := range record {
		c := &s.columns[i]
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("column %q: %w", c.name, errNotUTF8)
		}
		from := len(s.scratch)
		s.scratch = append(s.scratch, text...)
		if err := assign(e, c.role, c.name, cell(s.scratch[from:len(s.scratch):len(s.scratch)])); err != nil {
			return nil, fmt.Errorf("column %q: %w", c.name, err)
		}
	}
	return e, nil
}

// failed notes the line of an error of encoding/csv.
func (s *csvSource) failed(err error) error {
	if parse := new(csv.ParseError); errors.As(err, &parse) {
		s.at = parse.Line
	}
	return describe(err)
}

// describe says an error of encoding/csv without the line, which the Reader adds.
func describe(err error) error {
	parse := new(csv.ParseError)
	if !errors.As(err, &parse) {
		return err
	}
	if errors.Is(err, csv.ErrFieldCount) {
		return errors.New("the row has another number of cells than the header; quote cells with commas or line breaks in them")
	}
	return fmt.Errorf("column %d: %w; quote cells with quotes, commas or line breaks in them, and double the quotes", parse.Column, parse.Err)
}
