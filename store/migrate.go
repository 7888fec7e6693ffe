package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
)

// migrate recognises the file and brings it to this version's schema, all in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return s.fail("opening", err)
	}
	from, to, err := s.migrateTx(ctx, tx)
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return s.fail("opening", err)
	}
	if from != to {
		s.log.LogAttrs(ctx, slog.LevelInfo, "store schema migrated", slog.String("path", s.path), slog.Int("from", from), slog.Int("to", to))
	}
	return nil
}

// querier is what a transaction and a database have in common here.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// inspect recognises the file without changing it, and returns its schema version: 0 for an empty one.
func (s *Store) inspect(ctx context.Context, q querier) (int, error) {
	var app, version, tables int
	for _, ask := range []struct {
		query string
		into  *int
	}{
		{"PRAGMA application_id", &app}, {"PRAGMA user_version", &version}, {"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := q.QueryRowContext(ctx, ask.query).Scan(ask.into); err != nil {
			return 0, s.fail("opening", err)
		}
	}
	switch {
	case app != applicationID && (tables > 0 || app != 0):
		return 0, &FileError{
			Path: s.path, Problem: "is a SQLite database of another program",
			Remedy: "name another file for the store; this one was not changed",
		}
	case version > len(migrations()):
		return 0, &FileError{
			Path: s.path, Problem: fmt.Sprintf("has schema version %d, and this driftd knows %d", version, len(migrations())),
			Remedy: "start the newer driftd that wrote it, or name another file; this one was not changed",
		}
	}
	return version, nil
}

func (s *Store) migrateTx(ctx context.Context, tx *sql.Tx) (from, to int, err error) {
	all := migrations()
	if from, err = s.inspect(ctx, tx); err != nil || from == len(all) {
		return from, from, err
	}
	// PRAGMA takes no parameters; the numbers are ours.
	statements := []string{
		fmt.Sprintf("PRAGMA application_id = %d", applicationID),
		"CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT",
	}
	for i := from; i < len(all); i++ {
		statements = append(statements, all[i].statements...)
		statements = append(statements, fmt.Sprintf("INSERT INTO migration (version, name) VALUES (%d, '%s')", i+1, all[i].name))
	}
	statements = append(statements, fmt.Sprintf("PRAGMA user_version = %d", len(all)))
	for _, q := range statements {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return 0, 0, s.fail("migrating", err)
		}
	}
	return from, len(all), nil
}
