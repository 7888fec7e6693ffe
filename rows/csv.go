package rows

import (
	"bufio"
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
	scan    *csvScanner
	columns []csvColumn
	at      int // the line of the current record
	ev      event.Event
}

type csvColumn struct {
	name []byte
	role string
}

// newCSV reads the header. The line is that of an error.
func newCSV(text *bufio.Reader, comma byte, mapping map[string]string) (s *csvSource, line int, err error) {
	scan := &csvScanner{in: text, comma: comma}
	header, err := scan.read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, 0, errEmptyCSV
	case err != nil:
		return nil, errorLine(err, scan.lines), describe(err)
	}
	line = scan.line
	names := make([]string, len(header))
	for i, c := range header {
		names[i] = string(c.text)
	}
	if len(names) == 1 && strings.ContainsAny(names[0], ";\t") {
		return nil, line, fmt.Errorf("the header %.60q has one column: separate the columns by commas (a .tsv file: by tabs)", names[0])
	}
	switch {
	case len(names) > maxColumns:
		return nil, line, fmt.Errorf("%d columns, not more than %d can be read; split the file", len(names), maxColumns)
	case slices.ContainsFunc(header, func(c csvCell) bool { return !c.quoted && bytes.IndexByte(c.text, '\r') >= 0 }):
		return nil, line, errors.New("the lines end with a carriage return alone, as on old Macs; convert the file (tr '\\r' '\\n')")
	}
	scan.single = len(names) == 1 // from here on a blank line is a missing cell
	s = &csvSource{scan: scan, columns: nil, at: line, ev: event.Event{}}
	byColumn, seen := inverse(mapping), map[string]bool{}
	for i, name := range names {
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
	if err := checkMapped(mapping, seen, names); err != nil {
		return nil, line, err
	}
	return s, line, nil
}

// checkMapped checks that the mapped columns are there.
func checkMapped(mapping map[string]string, seen map[string]bool, names []string) error {
	for _, role := range slices.Sorted(maps.Keys(mapping)) {
		if column := mapping[role]; !seen[column] {
			return fmt.Errorf("the role %s is mapped to the column %q, which is not there; the columns are %s",
				role, column, strings.Join(names, ", "))
		}
	}
	return nil
}

var errEmptyCSV = errors.New("the file is empty; a CSV file starts with a line of column names")

var errNotUTF8 = errors.New("not UTF-8; convert the file (iconv -f latin1 -t utf-8)")

func (s *csvSource) line() int { return s.at }

func (s *csvSource) next() (*event.Event, error) {
	record, err := s.record()
	if err != nil {
		return nil, err
	}
	e := &s.ev
	*e = event.Event{Prediction: e.Prediction[:0], Features: e.Features[:0], Segments: e.Segments[:0]}
	for i := range record {
		c := &s.columns[i]
		if err := assign(e, c.role, c.name, cell(record[i].text)); err != nil {
			return nil, fmt.Errorf("column %q: %w", c.name, err)
		}
	}
	return e, nil
}

// record returns the cells of the next row: as many as there are columns, each of them UTF-8.
func (s *csvSource) record() ([]csvCell, error) {
	record, err := s.scan.read()
	s.at = s.scan.line
	if err != nil {
		s.at = errorLine(err, s.scan.lines+1)
		return nil, describe(err)
	}
	if len(record) != len(s.columns) {
		return nil, fmt.Errorf("the row has another number of cells than the header (%d, not %d); quote cells with commas or line breaks in them",
			len(record), len(s.columns))
	}
	for i := range record {
		if !utf8.Valid(record[i].text) {
			return nil, fmt.Errorf("column %q: %w", s.columns[i].name, errNotUTF8)
		}
	}
	return record, nil
}

// errorLine returns the line of an error of the scanner.
func errorLine(err error, otherwise int) int {
	if parse := new(csv.ParseError); errors.As(err, &parse) {
		return parse.Line
	}
	return otherwise
}

// describe says an error of encoding/csv without the line, which the Reader adds.
func describe(err error) error {
	parse := new(csv.ParseError)
	if !errors.As(err, &parse) {
		return err
	}
	return fmt.Errorf("column %d: %w; quote cells with quotes, commas or line breaks in them, and double the quotes", parse.Column, parse.Err)
}
