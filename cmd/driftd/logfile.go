package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// stdinName stands for standard input among the files of a command line.
const stdinName = "-"

// logFile is one log of records, a line each. Compression is recognised by the first bytes, whatever the name says.
type logFile struct {
	name    string
	lines   *bufio.Reader
	closers []func() error
	line    int // number of the last line that next returned, from 1
	max     int // bytes of the longest line that is returned whole
}

// openLog opens a log whose lines may have up to max bytes. An empty one is an error.
func openLog(name string, stdin io.Reader, limit int) (*logFile, error) {
	f := &logFile{name: name, max: limit}
	raw := stdin
	if name == stdinName {
		f.name = "standard input"
	} else {
		file, err := os.Open(name) //nolint:gosec // reading the file that the user names is what this is for
		if err != nil {
			return nil, fmt.Errorf("opening log: %w", err)
		}
		f.closers = append(f.closers, file.Close)
		if info, err := file.Stat(); err == nil && info.IsDir() {
			return nil, errors.Join(fmt.Errorf("opening log: %s is a directory: name its files", name), f.close())
		}
		raw = file
	}
	text, err := f.decompress(bufio.NewReaderSize(raw, 64<<10))
	if err == nil {
		f.lines = bufio.NewReaderSize(text, 256<<10)
		_, err = f.lines.Peek(1)
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.Join(fmt.Errorf("%s is empty: there is nothing to replay", f.name), f.close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("reading %s: %w", f.name, err), f.close())
	}
	return f, nil
}

// decompress looks at the magic number of r.
func (f *logFile) decompress(r *bufio.Reader) (io.Reader, error) {
	magic, err := r.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, err
		}
		f.closers = append(f.closers, z.Close)
		return z, nil
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		f.closers = append(f.closers, func() error { z.Close(); return nil })
		return z, nil
	}
	return r, nil
}

func (f *logFile) close() error {
	var errs []error
	for _, closer := range slices.Backward(f.closers) {
		errs = append(errs, closer())
	}
	return errors.Join(errs...)
}

// next returns the next line without its end; the caller may keep it. Of a line that is longer than the limit only the
// length is returned. The error is io.EOF behind the last line.
func (f *logFile) next() (line []byte, length int, err error) {
	for {
		part, err := f.lines.ReadSlice('\n')
		length += len(part)
		if length <= f.max+2 {
			line = append(line, part...)
		} else {
			line = nil
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && length > 0:
			f.line++
			if line == nil {
				return nil, length, nil
			}
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(line) > f.max {
				return nil, length, nil
			}
			return line, len(line), nil
		case errors.Is(err, io.EOF):
			return nil, 0, io.EOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, 0, fmt.Errorf("reading %s behind line %d: %w", f.name, f.line, err)
		}
	}
}

// probeLogs opens every file once and looks for a line that is not blank, so that nothing is published before it is
// certain that all of them can be read. Standard input can be read once only: it is looked at when its turn comes.
func probeLogs(names []string, limit int) error {
	for _, name := range names {
		if name == stdinName {
			continue
		}
		if err := probeLog(name, limit); err != nil {
			return err
		}
	}
	return nil
}

func probeLog(name string, limit int) error {
	f, err := openLog(name, nil, limit)
	if err != nil {
		return err
	}
	defer func() { _ = f.close() }() // it was only read
	for {
		line, length, err := f.next()
		switch {
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%s has blank lines only: there is nothing to replay", f.name)
		case err != nil:
			return err
		case length > len(line) || len(bytes.TrimSpace(line)) > 0:
			return nil
		}
	}
}
