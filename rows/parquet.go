package rows

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	pqformat "github.com/parquet-go/parquet-go/format"
)

const parquetMagic = "PAR1"

// isParquet reports whether the file starts as Parquet does. It does not move the position.
func isParquet(f io.ReaderAt) bool {
	var head [len(parquetMagic)]byte
	n, _ := f.ReadAt(head[:], 0)
	return n == len(head) && string(head[:]) == parquetMagic
}

// parquetFile is an open Parquet file with flat columns: groups are flattened with '.', lists and maps are no values.
type parquetFile struct {
	file   *parquet.File
	leaves []parquetLeaf
	groups []parquet.RowGroup
}

// parquetLeaf is one column of the file.
type parquetLeaf struct {
	name     string
	index    int
	kind     parquet.Kind
	maxDef   byte
	repeated bool
	unsigned bool
	scale    float64 // what stored integers are multiplied by: decimals, and times, which become milliseconds; 0: nothing
}

var errParquet = errors.New("not readable as Parquet; it may be cut off or damaged: fetch or write the file again")

// guard turns a panic of the library, which damaged files can cause, into an error.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w (%v)", errParquet, p)
	}
}

func openParquet(f *os.File) (p *parquetFile, err error) {
	defer guard(&err)
	info, err := f.Stat()
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says which file
	}
	file, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(bufferSize))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errParquet, err)
	}
	p = &parquetFile{file: file, leaves: nil, groups: file.RowGroups()}
	var rows int64
	for _, g := range p.groups {
		if n := g.NumRows(); n < 0 || n > math.MaxInt64-rows {
			return nil, errParquet
		}
		rows += g.NumRows()
	}
	if rows != file.NumRows() {
		return nil, fmt.Errorf("%w (%d rows, not %d)", errParquet, rows, file.NumRows())
	}
	if err := checkCodecs(file.Metadata()); err != nil {
		return nil, err
	}
	p.walk(file.Root(), nil, false)
	slices.SortFunc(p.leaves, func(a, b parquetLeaf) int { return a.index - b.index })
	seen := map[string]bool{}
	for _, l := range p.leaves {
		switch {
		case seen[l.name]:
			return nil, fmt.Errorf("the column %q is there twice; rename one", l.name)
		case !utf8.ValidString(l.name):
			return nil, fmt.Errorf("column %q: %w", l.name, errNotUTF8)
		}
		seen[l.name] = true
	}
	return p, nil
}

// checkCodecs refuses LZ4: parquet-go 0.32 keeps the buffer from before decompression where the codec takes a larger one, and gives
// zeros for the values without an error (github.com/parquet-go/parquet-go/issues/608).
func checkCodecs(meta *pqformat.FileMetaData) error {
	if n := len(meta.Schema); n > maxColumns {
		return fmt.Errorf("%d columns, not more than %d can be read; split the file", n, maxColumns)
	}
	for g := range meta.RowGroups {
		for c := range meta.RowGroups[g].Columns {
			switch chunk := &meta.RowGroups[g].Columns[c].MetaData; chunk.Codec {
			case pqformat.Lz4, pqformat.Lz4Raw:
				return fmt.Errorf("column %q is compressed by LZ4, which cannot be read safely; write the file with zstd or snappy",
					strings.Join(chunk.PathInSchema, "."))
			default:
			}
		}
	}
	return nil
}

// walk finds the leaves. What lies in a list or a map is one column, named as that is.
func (p *parquetFile) walk(c *parquet.Column, path []string, repeated bool) {
	for _, child := range c.Columns() {
		name, deeper := append(slices.Clone(path), child.Name()), repeated || child.Repeated() || isList(child)
		if repeated {
			name = path
		}
		if !child.Leaf() {
			p.walk(child, name, deeper)
			continue
		}
		if deeper && slices.ContainsFunc(p.leaves, func(l parquetLeaf) bool { return l.name == strings.Join(name, ".") }) {
			continue // a further leaf of the same list
		}
		p.leaves = append(p.leaves, newLeaf(child, strings.Join(name, "."), deeper))
	}
}

func isList(c *parquet.Column) bool {
	t := c.Type()
	if t == nil || c.Leaf() {
		return false
	}
	l := t.LogicalType()
	if l == nil {
		return false
	}
	switch l.Value.(type) {
	case *pqformat.ListType, *pqformat.MapType:
		return true
	}
	return false
}

func newLeaf(c *parquet.Column, name string, repeated bool) parquetLeaf {
	t := c.Type()
	l := parquetLeaf{
		name: name, index: c.Index(), kind: t.Kind(), maxDef: byte(c.MaxDefinitionLevel()), repeated: repeated,
		unsigned: false, scale: 0,
	}
	lt := t.LogicalType()
	if lt == nil {
		return l
	}
	switch lt := lt.Value.(type) {
	case *pqformat.IntType:
		l.unsigned = !lt.IsSigned
	case *pqformat.DecimalType:
		l.scale = math.Pow10(-int(lt.Scale))
	case *pqformat.DateType:
		l.scale = float64(24 * time.Hour / time.Millisecond)
	case *pqformat.TimestampType:
		if lt.Unit.Value != nil {
			l.scale = float64(lt.Unit.Value.Duration()) / float64(time.Millisecond)
		}
	}
	return l
}

// read gives all values of a column to to.
func (p *parquetFile) read(i int, to Visitor, stop func() error) error {
	c := &parquetCursor{leaf: &p.leaves[i], groups: p.groups}
	defer c.close()
	for {
		if err := stop(); err != nil {
			return err
		}
		v, err := c.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		v.visit(to)
	}
}

func (p *parquetFile) names() []string {
	names := make([]string, len(p.leaves))
	for i, l := range p.leaves {
		names[i] = l.name
	}
	return names
}

func (p *parquetFile) check(mapping map[string]string) error {
	seen := map[string]bool{}
	for _, name := range p.names() {
		seen[name] = true
	}
	return checkMapped(mapping, seen, p.names())
}

func openParquetTable(f *os.File, path string, mapping map[string]string) (*Table, error) {
	p, err := openParquet(f)
	if err == nil {
		err = p.check(mapping)
	}
	if err != nil {
		return nil, errors.Join(located(path, 0, err), f.Close())
	}
	t := &Table{path: path, rows: uint64(p.file.NumRows()), labels: 0, columns: nil, source: p, close: f.Close}
	byColumn := inverse(mapping)
	for _, l := range p.leaves {
		t.columns = append(t.columns, newColumn(l.name, roleOf(l.name, byColumn, mapping), byColumn))
	}
	return t, nil
}
