package rows

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/driftd/driftd/event"
)

// parquetSource reads Parquet row by row: one page of every column at a time.
type parquetSource struct {
	cursors []*parquetCursor
	pages   []parquetValues
	row     []int // the next row of the page
	value   []int // the next value of the page
	roles   []string
	names   [][]byte
	at      int
	texts   []byte
	ev      event.Event
}

func openParquetRows(f *os.File, path string, o Options) (*Reader, error) {
	r := &Reader{path: path, file: f, source: nil, err: nil}
	p, err := openParquet(f)
	if err == nil {
		err = errors.Join(checkRoles(o.Map), p.check(o.Map))
	}
	if err != nil {
		return nil, errors.Join(r.fail(0, err), f.Close())
	}
	s := &parquetSource{}
	byColumn := inverse(o.Map)
	for i := range p.leaves {
		l := &p.leaves[i]
		s.cursors = append(s.cursors, &parquetCursor{leaf: l, groups: p.groups})
		s.roles = append(s.roles, roleOf(l.name, byColumn, o.Map))
		s.names = append(s.names, []byte(l.name))
	}
	s.pages = make([]parquetValues, len(p.leaves))
	s.row, s.value = make([]int, len(p.leaves)), make([]int, len(p.leaves))
	r.source = s
	return r, nil
}

// line returns 0: Parquet has no lines. Errors name the row where it matters.
func (s *parquetSource) line() int { return 0 }

func (s *parquetSource) next() (*event.Event, error) {
	s.at++
	s.texts = s.texts[:0]
	e := &s.ev
	*e = event.Event{Prediction: e.Prediction[:0], Features: e.Features[:0], Segments: e.Segments[:0]}
	if len(s.cursors) == 0 {
		return nil, io.EOF
	}
	for i, c := range s.cursors {
		for s.row[i] == s.pages[i].rows {
			v, err := c.next()
			if errors.Is(err, io.EOF) && i == 0 {
				return nil, io.EOF
			}
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w (column %q is shorter than others)", errParquet, s.names[i])
			}
			if err != nil {
				return nil, fmt.Errorf("row %d, column %q: %w", s.at, s.names[i], err)
			}
			s.pages[i], s.row[i], s.value[i] = v, 0, 0
		}
		page := &s.pages[i]
		v := event.Value{Kind: event.ValueNull, Num: 0, Str: nil}
		switch {
		case page.invalid:
			v.Kind = event.ValueInvalid
		case page.defs == nil || page.defs[s.row[i]] == page.maxDef: //nolint:gocritic // as above
			v = page.value(s.value[i])
			s.value[i]++
		}
		s.row[i]++
		if v.Kind == event.ValueNumber && s.roles[i] != "" { // an id or a label is what the number reads as
			from := len(s.texts)
			s.texts = event.AppendShortest(s.texts, v.Num)
			v.Str = s.texts[from:]
		}
		if err := assign(e, s.roles[i], s.names[i], v); err != nil {
			return nil, fmt.Errorf("row %d, column %q: %w", s.at, s.names[i], err)
		}
	}
	return e, nil
}
