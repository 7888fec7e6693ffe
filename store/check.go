package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// CheckFile reads the whole file of a store, which another process may be using, and reports damage as a *FileError. It
// neither creates nor migrates nor changes anything; an absent file is fs.ErrNotExist.
func CheckFile(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("checking store: %w", err)
	}
	if !info.Mode().IsRegular() {
		return &FileError{Path: path, Problem: "is not a regular file", Remedy: "name a regular file", Err: nil}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("checking store: %w", err)
	}
	s := &Store{path: path} //nolint:exhaustruct // it reads only
	if err := s.look(ctx, abs); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(abs, "query_only(1)")); err != nil {
		return fmt.Errorf("checking store: %w", err)
	}
	return errors.Join(s.Check(ctx), s.read.Close())
}
