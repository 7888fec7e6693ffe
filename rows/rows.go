// Package rows reads tables of predictions and features from files: CSV with a header, NDJSON of flat rows or of events, plain
// or packed with gzip or zstd, and Parquet, each known by its first bytes. A Reader turns every row into an event.Event; a
// Table gives the columns, each on its own. It belongs to the shell: it opens files.
package rows

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/event"
)

// Options says how a file is read.
type Options struct {
	// Map names the columns of flat rows that are no features: role to column. The roles are ts, id, version, model, latency_ms,
	// status, prediction, prediction.label, prediction.score, prediction.score.<class>, label and segment.<dimension>. A column that
	// is not mapped and has the name of a role that is not mapped either takes that role; all others are features.
	Map map[string]string
}

// Error says where a file cannot be read, and what to do about it.
type Error struct {
	Path string
	Line int // from 1; 0: the file as a whole
	Err  error
}

// Error implements error: path:line: what.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// source is one format of rows.
type source interface {
	// next returns the next row, valid until the call after, or io.EOF.
	next() (*event.Event, error)
	// line returns the line of the row that next returned or failed at.
	line() int
}

// Reader reads the rows of one file in order. It is not safe for concurrent use.
type Reader struct {
	path   string
	file   io.Closer
	source source
	err    error // the first error, which stays
}

// Open opens a file. The caller closes the Reader.
func Open(path string, o Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening rows: %w", err)
	}
	if isParquet(f) {
		return openParquetRows(f, path, o)
	}
	r, err := NewReader(f, path, o)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	r.file = f
	return r, nil
}

// NewReader reads rows from in. name is that of the file: it stands in errors, and its extension (.csv, .tsv, .ndjson, .jsonl or
// .json, with or without .gz) says the format; without one of these the first byte does.
func NewReader(in io.Reader, name string, o Options) (*Reader, error) {
	r := &Reader{path: name, file: nil, source: nil, err: nil}
	text, err := uncompressed(in)
	if err != nil {
		return nil, r.fail(0, err)
	}
	if err := checkRoles(o.Map); err != nil {
		return nil, r.fail(0, err)
	}
	line := 0
	switch format(name, text) {
	case formatNDJSON:
		r.source, err = newNDJSON(text, o.Map)
	case formatTSV:
		r.source, line, err = newCSV(text, '\t', o.Map)
	case formatCSV:
		r.source, line, err = newCSV(text, ',', o.Map)
	}
	if err != nil {
		return nil, r.fail(line, err)
	}
	return r, nil
}

// Next returns the next row as an event, or io.EOF after the last. The event and all that it points to are valid until the
// next call. After an error, which is an *Error, every call returns it again.
func (r *Reader) Next() (*event.Event, error) {
	if r.err != nil {
		return nil, r.err
	}
	e, err := r.source.next()
	switch {
	case err == nil:
		return e, nil
	case errors.Is(err, io.EOF):
		r.err = io.EOF
	default:
		r.err = r.fail(r.source.line(), err)
	}
	return nil, r.err
}

// Close closes the file.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("closing rows: %w", err)
	}
	return nil
}

func (r *Reader) fail(line int, err error) error { return located(r.path, line, err) }

// located says where an error is, and what to do where the compression is to blame.
func located(path string, line int, err error) error {
	for _, damage := range []error{
		io.ErrUnexpectedEOF, gzip.ErrChecksum, gzip.ErrHeader, zstd.ErrCRCMismatch, zstd.ErrMagicMismatch,
		zstd.ErrReservedBlockType, zstd.ErrCompressedSizeTooBig, zstd.ErrFrameSizeExceeded, zstd.ErrFrameSizeMismatch,
	} {
		if errors.Is(err, damage) {
			err = fmt.Errorf("the compressed data is cut off or damaged; fetch or write the file again: %w", err)
			break
		}
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("packed over a window of more than %d MiB; pack it again without --long and --ultra: %w", maxWindow>>20, err)
	}
	return &Error{Path: path, Line: line, Err: err}
}

const bufferSize = 64 << 10

// maxColumns bounds the columns of a file.
const maxColumns = 1 << 16

// Compressed text may unpack to unpackFreely bytes; what is larger may be up to maxRatio times the size of the file: text of rows
// packs to a tenth, rarely to a hundredth. A few kilobytes that unpack to terabytes are a mistake, or an attack.
const (
	unpackFreely = 1 << 30
	maxRatio     = 200
	maxWindow    = 128 << 20 // of zstd; what its own command line unpacks unless told otherwise
)

// unpacked is text that was compressed. It ends with an error where it grows beyond all measure.
type unpacked struct {
	in     io.Reader
	packed *counted
	size   int64
}

// counted counts the bytes of a reader.
type counted struct {
	in   io.Reader
	size int64
}

// Read implements io.Reader.
func (c *counted) Read(b []byte) (int, error) {
	n, err := c.in.Read(b)
	c.size += int64(n)
	return n, err //nolint:wrapcheck // a reader passes on what it is told
}

// Read implements io.Reader.
func (u *unpacked) Read(b []byte) (int, error) {
	n, err := u.in.Read(b)
	u.size += int64(n)
	if u.size > unpackFreely && u.size/maxRatio > u.packed.size {
		return 0, fmt.Errorf("the file unpacks to more than %d times its size: not read on; if it is meant to be so, unpack it first", maxRatio)
	}
	return n, err //nolint:wrapcheck // as above
}

// uncompressed returns the text of in, which may be gzip or zstd, without a byte order mark.
func uncompressed(in io.Reader) (*bufio.Reader, error) {
	packed := &counted{in: in, size: 0}
	text := bufio.NewReaderSize(packed, bufferSize)
	head, _ := text.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(text)
		if err != nil {
			return nil, fmt.Errorf("reading gzip: %w", err)
		}
		text = bufio.NewReaderSize(&unpacked{in: z, packed: packed, size: 0}, bufferSize)
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(text, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), // no goroutines: nothing to close
			zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("reading zstd: %w", err)
		}
		text = bufio.NewReaderSize(&unpacked{in: z, packed: packed, size: 0}, bufferSize)
	}
	if head, _ := text.Peek(4); string(head) == parquetMagic {
		return nil, errors.New("the file is Parquet, compressed as a whole or not readable at random; unpack it (Parquet compresses itself)")
	}
	if head, _ := text.Peek(3); string(head) == "\xef\xbb\xbf" {
		_, _ = text.Discard(3) // cannot fail: they were just peeked
	}
	return text, nil
}

type fileFormat uint8

const (
	formatCSV fileFormat = iota + 1
	formatTSV
	formatNDJSON
)

func format(name string, text *bufio.Reader) fileFormat {
	name = strings.ToLower(name)
	for _, packed := range []string{".gz", ".zst", ".zstd"} {
		name = strings.TrimSuffix(name, packed)
	}
	switch {
	case strings.HasSuffix(name, ".csv"):
		return formatCSV
	case strings.HasSuffix(name, ".tsv"):
		return formatTSV
	case strings.HasSuffix(name, ".ndjson"), strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".json"):
		return formatNDJSON
	}
	head, _ := text.Peek(bufferSize)
	if head = bytes.TrimLeft(head, " \t\r\n"); len(head) > 0 && (head[0] == '{' || head[0] == '[') {
		return formatNDJSON
	}
	return formatCSV
}

// Roles lists the roles that a column can be mapped to; the last two stand for any class and any dimension.
func Roles() []string {
	return []string{
		"ts", "id", "version", "model", "latency_ms", "status", "label", "prediction", event.PredictionLabelName,
		event.PredictionScoreName, event.PredictionScorePrefix + "<class>", segmentPrefix + "<dimension>",
	}
}

const segmentPrefix = "segment."

// isRole reports whether name is a role.
func isRole(name string) bool {
	for _, prefix := range []string{event.PredictionScorePrefix, segmentPrefix} {
		if strings.HasPrefix(name, prefix) {
			return len(name) > len(prefix)
		}
	}
	return slices.Contains(Roles(), name)
}

// checkRoles checks the mapping of roles to columns.
func checkRoles(mapping map[string]string) error {
	taken := map[string]string{}
	for _, role := range slices.Sorted(maps.Keys(mapping)) {
		column := mapping[role]
		if !isRole(role) {
			return fmt.Errorf("%q is no role; map one of %s", role, strings.Join(Roles(), ", "))
		}
		if other, ok := taken[column]; ok {
			return fmt.Errorf("the column %q is mapped to both %s and %s", column, other, role)
		}
		taken[column] = role
	}
	return nil
}

// roleOf returns the role of a column, empty for a feature.
func roleOf(column string, byColumn map[string]string, mapping map[string]string) string {
	if role, ok := byColumn[column]; ok {
		return role
	}
	if _, taken := mapping[column]; !taken && isRole(column) {
		return column
	}
	return ""
}

func inverse(mapping map[string]string) map[string]string {
	byColumn := make(map[string]string, len(mapping))
	for role, column := range mapping {
		byColumn[column] = role
	}
	return byColumn
}
