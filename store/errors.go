package store

import (
	"errors"
	"fmt"
)

// ErrConflict is wrapped by a DocumentError when a document id is already stored with other bytes.
var ErrConflict = errors.New("stored with other bytes")

// ErrMalformed is wrapped by a DocumentError when a document cannot be read as a result.
var ErrMalformed = errors.New("not a document of a result")

// DocumentError says which document of a Write could not be taken. Nothing of that Write was stored, and repeating it gives
// the same error: leave the document out (and say so) or stop.
type DocumentError struct {
	ID     string
	Err    error // ErrConflict or ErrMalformed
	Detail string
}

// Error implements error.
func (e *DocumentError) Error() string {
	return fmt.Sprintf("document %q: %v: %s", e.ID, e.Err, e.Detail)
}

// Unwrap returns ErrConflict or ErrMalformed.
func (e *DocumentError) Unwrap() error { return e.Err }

// FileError says that the store's file cannot be used, and what to do.
type FileError struct {
	Path    string
	Problem string
	Remedy  string
	Err     error // what SQLite said, or nil
}

// Error implements error.
func (e *FileError) Error() string {
	msg := fmt.Sprintf("store file %s %s; %s", e.Path, e.Problem, e.Remedy)
	if e.Err != nil {
		msg += fmt.Sprintf(" (%v)", e.Err)
	}
	return msg
}

// Unwrap returns what SQLite said.
func (e *FileError) Unwrap() error { return e.Err }
