package rows

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// maxRecord bounds a CSV record in bytes, so that a quote that is never closed does not read the whole file into memory.
const maxRecord = 64 << 20

// csvCell is one cell of a record.
type csvCell struct {
	text   []byte
	quoted bool // tells `""`, an empty text, from nothing at all
}

// csvScanner splits text into records as RFC 4180 and encoding/csv do, with two differences: it keeps what was quoted, and with
// single, blank lines are records of one empty cell. Errors are *csv.ParseError.
type csvScanner struct {
	in     *bufio.Reader
	comma  byte
	single bool
	line   int // of the record that read returned, from 1
	lines  int // read so far
	long   []byte
	text   []byte // the cells of a record with quotes
	cells  []csvCell
}

// read returns the next record, valid until the next call, or io.EOF.
func (s *csvScanner) read() ([]csvCell, error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return nil, err
		}
		s.line = s.lines
		if len(line) == 0 && !s.single {
			continue
		}
		s.cells = s.cells[:0]
		if bytes.IndexByte(line, '"') >= 0 {
			return s.readQuoted(line)
		}
		for {
			i := bytes.IndexByte(line, s.comma)
			if i < 0 {
				break
			}
			s.cells = append(s.cells, csvCell{text: line[:i:i], quoted: false})
			line = line[i+1:]
		}
		s.cells = append(s.cells, csvCell{text: line, quoted: false})
		return s.cells, nil
	}
}

// readLine returns the next line without its end, valid until the next call.
func (s *csvScanner) readLine() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		s.long = append(s.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			if len(s.long) > maxRecord {
				return nil, fmt.Errorf("the line is longer than %d bytes; is it CSV?", maxRecord)
			}
			line, err = s.in.ReadSlice('\n')
			s.long = append(s.long, line...)
		}
		line = s.long
	}
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err //nolint:wrapcheck // io.EOF as it is; the Reader says where
	}
	s.lines++
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}

// readQuoted reads a record that starts with line and has quotes. Its cells are copied: a quoted one may span lines.
func (s *csvScanner) readQuoted(line []byte) ([]csvCell, error) {
	type span struct {
		from   int
		quoted bool
	}
	var spans []span
	s.text = s.text[:0]
	width := len(line)
	fail := func(rest []byte, err error) error {
		return &csv.ParseError{StartLine: s.line, Line: s.lines, Column: width - len(rest) + 1, Err: err}
	}
	for more := true; more; {
		spans = append(spans, span{from: len(s.text), quoted: len(line) > 0 && line[0] == '"'})
		if !spans[len(spans)-1].quoted {
			var cell []byte
			before := line
			cell, line, more = bytes.Cut(line, []byte{s.comma})
			if i := bytes.IndexByte(cell, '"'); i >= 0 {
				return nil, fail(before[i:], csv.ErrBareQuote)
			}
			s.text = append(s.text, cell...)
			continue
		}
		line = line[1:]
		for {
			i := bytes.IndexByte(line, '"')
			if i < 0 {
				s.text = append(append(s.text, line...), '\n')
				if len(s.text) > maxRecord {
					return nil, fail(nil, csv.ErrQuote)
				}
				next, err := s.readLine()
				if errors.Is(err, io.EOF) {
					return nil, fail(nil, csv.ErrQuote)
				}
				if err != nil {
					return nil, err
				}
				line, width = next, len(next)
				continue
			}
			s.text = append(s.text, line[:i]...)
			line = line[i+1:]
			if len(line) > 0 && line[0] == '"' {
				s.text = append(s.text, '"')
				line = line[1:]
				continue
			}
			break
		}
		switch {
		case len(line) == 0:
			more = false
		case line[0] == s.comma:
			line = line[1:]
		default:
			return nil, fail(line, csv.ErrQuote)
		}
	}
	for i, c := range spans {
		end := len(s.text)
		if i+1 < len(spans) {
			end = spans[i+1].from
		}
		s.cells = append(s.cells, csvCell{text: s.text[c.from:end:end], quoted: c.quoted})
	}
	return s.cells, nil
}
