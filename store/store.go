// Package store is the embedded time-series store of a single node: committed results in one SQLite file, written
// idempotently and read by model, window and feature. It is a sink: everything in it can be written again from the outbox
// with the same bytes, and nothing else in driftd reads its own state from here.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Options configures a Store. The zero value keeps everything and logs nothing.
type Options struct {
	// Retention is how far back, in event time, windows are kept: a window is removed once it ends more than Retention
	// before the end of the newest window of its model. It is never measured on the wall clock, so a replayed history
	// stays. Zero keeps everything.
	Retention time.Duration
	// Logger receives lifecycle and retention messages; nil discards them.
	Logger *slog.Logger
}

// readers is the size of the read pool: queries are short and the machine small; more connections only hold page caches.
const readers = 4

// Store holds results as time series. All methods may be called from several goroutines; writes are serialised.
type Store struct {
	path      string
	retention time.Duration
	log       *slog.Logger
	write     *sql.DB // one connection: SQLite has one writer
	read      *sql.DB
	enc       *zstd.Encoder
	dec       *zstd.Decoder

	mu    sync.Mutex // guards cache and serialises Write
	cache ids
}

// Open opens or creates the store at path. The file is created for its owner alone. It fails with a *FileError when the
// file is no store of driftd, damaged, or written by a newer version.
func Open(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Retention < 0 {
		return nil, fmt.Errorf("opening store %s: retention %v is negative; use 0 to keep everything", path, o.Retention)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := prepareFile(path); err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("opening store: %w", err)
	}
	s := &Store{path: path, retention: o.Retention, log: o.Logger, cache: newIDs()}
	if err := s.open(ctx, abs); err != nil {
		return nil, errors.Join(err, s.closeAll())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, abs string) error {
	var err error
	if s.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	if s.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(readers), zstd.WithDecoderMaxMemory(maxDocument)); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	if err := s.look(ctx, abs); err != nil {
		return err
	}
	// synchronous=full: the sink acknowledges to the outbox after a write, so a committed write must survive a power cut.
	// auto_vacuum must stand before the first table; it lets retention give pages back.
	if s.write, err = sql.Open("sqlite", dsn(abs, "auto_vacuum(incremental)", "journal_mode(wal)", "synchronous(full)",
		"journal_size_limit(67108864)", "cache_size(-32768)")+"&_txlock=immediate"); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	s.write.SetMaxOpenConns(1)
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(abs, "query_only(1)", "cache_size(-16384)")); err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return nil
}

// look inspects the file through a connection without any setting: journal_mode alone would rewrite a foreign file.
func (s *Store) look(ctx context.Context, abs string) error {
	db, err := sql.Open("sqlite", dsn(abs))
	if err != nil {
		return fmt.Errorf("opening store: %w", err)
	}
	_, err = s.inspect(ctx, db)
	return errors.Join(err, db.Close())
}

// dsn returns SQLite's address of the file: an escaped file URI, so that ?, # and % in a path mean themselves.
func dsn(abs string, pragmas ...string) string {
	p := filepath.ToSlash(abs)
	if runtime.GOOS == "windows" {
		p = "/" + p
	}
	q := url.Values{"_pragma": append([]string{"busy_timeout(5000)"}, pragmas...)}
	return "file:" + (&url.URL{Path: p}).EscapedPath() + "?" + q.Encode()
}

// prepareFile creates an empty file for its owner alone, or checks that what is there can be a database.
func prepareFile(path string) error {
	if path == "" {
		return errors.New("no path given")
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		return f.Close()
	case err != nil:
		return err
	case info.IsDir():
		return &FileError{Path: path, Problem: "is a directory", Remedy: "name a file in it"}
	case !info.Mode().IsRegular():
		return &FileError{Path: path, Problem: "is not a regular file", Remedy: "name a regular file"}
	}
	return nil
}

// Close writes the log back into the file and releases everything. The store must not be used afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeAll()
}

func (s *Store) closeAll() error {
	var errs []error
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close()) // the last connection's close checkpoints the log
	}
	if s.enc != nil {
		errs = append(errs, s.enc.Close())
	}
	if s.dec != nil {
		s.dec.Close()
	}
	return errors.Join(errs...)
}

// Check reads the whole file and reports damage as a *FileError. It takes about a second a gigabyte and blocks nobody.
func (s *Store) Check(ctx context.Context) error {
	rows, err := s.read.QueryContext(ctx, "PRAGMA integrity_check(5)")
	if err != nil {
		return s.fail("checking", err)
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return s.fail("checking", err)
		}
		if line != "ok" {
			found = append(found, line)
		}
	}
	if err := rows.Err(); err != nil {
		return s.fail("checking", err)
	}
	if len(found) > 0 {
		return s.damaged(errors.New(strings.Join(found, "; ")))
	}
	return nil
}

// fail wraps an error of SQLite with what was being done, and turns damage into a *FileError.
func (s *Store) fail(doing string, err error) error {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		switch se.Code() & 0xff { // the low byte is the primary code
		case sqlite3.SQLITE_NOTADB:
			return &FileError{
				Path: s.path, Problem: "is not a SQLite database", Err: err,
				Remedy: "name another file, or move this one away",
			}
		case sqlite3.SQLITE_CORRUPT:
			return s.damaged(err)
		case sqlite3.SQLITE_FULL:
			return fmt.Errorf("%s store %s: the disk is full: %w", doing, s.path, err)
		case sqlite3.SQLITE_BUSY:
			return fmt.Errorf("%s store %s: another process holds the file: %w", doing, s.path, err)
		}
	}
	return fmt.Errorf("%s store %s: %w", doing, s.path, err)
}

func (s *Store) damaged(err error) error {
	return &FileError{
		Path: s.path, Problem: "is damaged", Err: err,
		Remedy: "stop driftd, move the file and its -wal and -shm away and start again; committed results are written again from the outbox",
	}
}
