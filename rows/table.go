package rows

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/driftd/driftd/event"
)

// Table is a file whose columns are read one by one, in any order, also at the same time: Parquet where it lies, CSV and NDJSON
// after one pass that keeps the values in a temporary file. Memory does not grow with the number of rows.
type Table struct {
	path    string
	rows    uint64
	labels  uint64
	columns []Column
	source  tableSource
	times   *spill // of events; nil: a column has the times, or there are none
	close   func() error
}

// tableSource gives the values of a column.
type tableSource interface {
	read(i int, v Visitor, stop func() error) error
}

// Column is a column of a Table.
type Column struct {
	Header string // as the file names it
	Name   string // of what it becomes: its header, or the reserved name of the part of the prediction that it is
	Role   string // as in Options.Map, empty for a feature
	Mapped bool   // the role was given by the mapping, not by the name
}

// Prediction reports whether the column is a part of the prediction.
func (c Column) Prediction() bool { return strings.HasPrefix(c.Role, "prediction") }

// Visitor takes the values of a column in the order of the rows. What it is given is valid during the call only.
type Visitor interface {
	Numbers(xs []float64)
	Nulls(n int)
	Value(v event.Value) // texts, booleans, and what is no value
}

// TableOptions says how a Table is read.
type TableOptions struct {
	Map      map[string]string // as in Options
	Text     []string          // columns of CSV whose cells are texts as they are written: `1.0` is not `1`, and `""` is a text
	Memory   int64             // bytes of values kept in memory before a temporary file is used; default 32 MiB
	Progress func(share float64)
}

const defaultMemory = 32 << 20

// OpenTable opens a file. An empty one is a table without rows and columns. Errors of the content are *Error.
func OpenTable(ctx context.Context, path string, o TableOptions) (*Table, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening rows: %w", err)
	}
	if err := checkRoles(o.Map); err != nil {
		return nil, errors.Join(located(path, 0, err), f.Close())
	}
	if isParquet(f) {
		return openParquetTable(f, path, o.Map)
	}
	t, err := readTable(ctx, f, path, o)
	return t, errors.Join(err, f.Close())
}

// Rows returns the number of rows.
func (t *Table) Rows() uint64 { return t.rows }

// Labels returns how many records were labels without features, which are no rows.
func (t *Table) Labels() uint64 { return t.labels }

// Columns returns the columns in the order of the file. The caller must not change them.
func (t *Table) Columns() []Column { return t.columns }

// Read gives all values of column i to v, in the order of the rows.
func (t *Table) Read(ctx context.Context, i int, v Visitor) error {
	err := t.source.read(i, v, ctx.Err)
	if err != nil && !errors.Is(err, context.Canceled) && !errors.As(err, new(*Error)) {
		return located(t.path, 0, fmt.Errorf("column %q: %w", t.columns[i].Header, err))
	}
	return err
}

// Close removes what was kept.
func (t *Table) Close() error {
	if err := t.close(); err != nil {
		return fmt.Errorf("closing rows: %w", err)
	}
	return nil
}

// readTable reads CSV or NDJSON once.
func readTable(ctx context.Context, f *os.File, path string, o TableOptions) (*Table, error) {
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	in := &progress{in: f, stop: ctx.Err, report: o.Progress}
	if info, err := f.Stat(); err == nil {
		in.size = info.Size()
	}
	text, err := uncompressed(in)
	if err != nil {
		return nil, located(path, 0, err)
	}
	kept := &spill{budget: o.Memory}
	t := &Table{path: path, source: kept}
	t.close = func() error {
		if t.times == nil {
			return kept.close()
		}
		return errors.Join(kept.close(), t.times.close())
	}
	var line int
	if how := format(path, text); how == formatNDJSON {
		line, err = t.readNDJSON(&ndjsonTable{kept: kept}, text, o)
	} else {
		comma := byte(',')
		if how == formatTSV {
			comma = '\t'
		}
		source, at, e := newCSV(text, comma, o.Map)
		switch {
		case errors.Is(e, errEmptyCSV) && len(o.Map) == 0:
		case e != nil:
			line, err = at, e
		default:
			line, err = t.readCSV(source, kept, o)
		}
	}
	if err == nil {
		line, err = 0, kept.finish()
	}
	if err == nil && t.times != nil {
		err = t.times.finish()
	}
	switch {
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return nil, errors.Join(ctx.Err(), t.close())
	}
	return nil, errors.Join(located(path, line, err), t.close())
}

// progress reports how much of a file was read, and stops when asked to.
type progress struct {
	in     io.Reader
	stop   func() error
	report func(float64)
	size   int64
	done   int64
}

func (p *progress) Read(b []byte) (int, error) {
	if err := p.stop(); err != nil {
		return 0, err
	}
	n, err := p.in.Read(b)
	p.done += int64(n)
	if p.report != nil && p.size > 0 {
		p.report(min(float64(p.done)/float64(p.size), 1))
	}
	return n, err //nolint:wrapcheck // a reader passes on what it is told
}

// readCSV keeps all rows. The line is that of an error.
func (t *Table) readCSV(s *csvSource, kept *spill, o TableOptions) (line int, err error) {
	mapped := inverse(o.Map)
	literal := make([]bool, len(s.columns))
	for i, c := range s.columns {
		t.columns = append(t.columns, newColumn(string(c.name), c.role, mapped))
		kept.columns = append(kept.columns, &spillColumn{})
		literal[i] = slices.Contains(o.Text, string(c.name)) || slices.Contains(o.Text, t.columns[i].Name)
	}
	for {
		record, err := s.record()
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return s.at, err
		}
		t.rows++
		for i := range record {
			v := cell(record[i].text)
			if literal[i] && (len(record[i].text) > 0 || record[i].quoted) {
				v = event.Value{Kind: event.ValueString, Num: 0, Str: record[i].text}
			}
			if err := kept.add(i, v); err != nil {
				return s.at, err
			}
		}
	}
}

func newColumn(header, role string, mapped map[string]string) Column {
	c := Column{Header: header, Name: header, Role: role}
	if c.Prediction() {
		c.Name = role
	}
	_, c.Mapped = mapped[header]
	return c
}

// ndjsonTable collects rows whose columns are known by their names only.
type ndjsonTable struct {
	kept   *spill
	index  map[columnKey]int
	keys   []columnKey   // by column
	order  []int         // the columns of the row before, in its order, which the next one mostly repeats
	values []event.Value // of the row, by column
	set    []uint64      // the row in which a value was set
	at     int           // the next place in order
}

type columnKey struct {
	prediction bool
	name       string
}

// readNDJSON keeps all rows. Whether the file holds events or flat rows, its first record says.
func (t *Table) readNDJSON(n *ndjsonTable, text *bufio.Reader, o TableOptions) (line int, err error) {
	s, err := newNDJSON(text, o.Map)
	if err != nil {
		return 0, err
	}
	n.index = map[columnKey]int{}
	mapped := inverse(o.Map)
	events, decided := false, false
	for {
		data, err := s.nextLine()
		if errors.Is(err, io.EOF) {
			return 0, t.checkMapped(o.Map)
		}
		if err != nil {
			return s.at, err
		}
		if !decided {
			if events, decided = s.isEvent(data), true; events {
				t.times = newTimes()
			}
			if events && len(o.Map) > 0 {
				return s.at, errMappedEvent
			}
		}
		if events {
			e, rejected := s.decode(data)
			switch {
			case rejected != nil:
				return s.at, rejected
			case e.IsLabel && len(e.Features) == 0:
				t.labels++
				continue
			}
			t.rows++
			if err := keepTime(t.times, e); err != nil {
				return s.at, err
			}
			for i := range e.Prediction {
				n.put(t, true, e.Prediction[i].Name, e.Prediction[i].Value, nil)
			}
			for i := range e.Features {
				n.put(t, false, e.Features[i].Name, e.Features[i].Value, nil)
			}
		} else {
			wrapped, err := s.wrap(data)
			if err != nil {
				return s.at, err
			}
			t.rows++
			for i := range wrapped.Features {
				f := &wrapped.Features[i]
				n.put(t, false, f.Name, f.Value, func(name string) Column {
					name = column([]byte(name))
					return newColumn(name, roleOf(name, s.byColumn, o.Map), mapped)
				})
			}
		}
		if len(t.columns) > maxColumns {
			return s.at, fmt.Errorf("more than %d columns; keys of an object that are data belong into values", maxColumns)
		}
		if err := n.end(t.rows); err != nil {
			return s.at, err
		}
	}
}

// checkMapped checks that the mapped columns came up, unless there were no rows at all.
func (t *Table) checkMapped(mapping map[string]string) error {
	if t.rows == 0 {
		return nil
	}
	seen, names := map[string]bool{}, make([]string, 0, len(t.columns))
	for _, c := range t.columns {
		seen[c.Header] = true
		names = append(names, c.Header)
	}
	return checkMapped(mapping, seen, names)
}

// put sets the value of a column in the current row; the last one of a name wins. describe tells what a new column is.
func (n *ndjsonTable) put(t *Table, prediction bool, name []byte, v event.Value, describe func(string) Column) {
	i := -1
	if n.at < len(n.order) {
		if k := n.order[n.at]; n.keys[k].prediction == prediction && n.keys[k].name == string(name) {
			i = k
		}
	}
	if i < 0 {
		key := columnKey{prediction, string(name)}
		var ok bool
		if i, ok = n.index[key]; !ok {
			i = n.grow(t, key, describe)
		}
		n.order = append(n.order[:min(n.at, len(n.order))], i)
	}
	n.at++
	n.values[i], n.set[i] = v, t.rows
}

// grow adds a column, missing in all rows so far.
func (n *ndjsonTable) grow(t *Table, key columnKey, describe func(string) Column) int {
	i := len(t.columns)
	n.index[key] = i
	c := Column{Header: key.name, Name: key.name, Role: "", Mapped: false}
	switch {
	case key.prediction:
		c.Role = key.name
	case describe != nil:
		c = describe(key.name)
	}
	t.columns = append(t.columns, c)
	n.keys = append(n.keys, key)
	n.kept.columns = append(n.kept.columns, &spillColumn{})
	n.values = append(n.values, event.Value{})
	n.set = append(n.set, 0)
	_ = n.kept.nulls(i, t.rows-1) // one run never fills a block
	return i
}

// end keeps the current row.
func (n *ndjsonTable) end(row uint64) error {
	n.at = 0
	for i := range n.values {
		v := n.values[i]
		if n.set[i] != row {
			v = event.Value{Kind: event.ValueNull, Num: 0, Str: nil}
		}
		if err := n.kept.add(i, v); err != nil {
			return err
		}
	}
	return nil
}
