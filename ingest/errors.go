// Package ingest reads a partition's input stream from JetStream and publishes to it. JetStream may skip or repeat messages
// without an error in several ways; here every reading is checked for identity and continuity, so that what is lost is
// reported, never skipped quietly (research on the pipeline, section 1.5). It also holds the consumer by which stores and
// notifiers read the outbox.
package ingest

import (
	"errors"
	"fmt"
)

// IdentityError says that a stream is not the one that a checkpoint was taken from, or no longer holds what it held.
type IdentityError struct {
	Stream        string
	Check         string // created, last_seq or message
	Stored, Found string
	Remedy        string
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("checking stream %s: %s was %s at the checkpoint and is %s now: %s", e.Stream, e.Check, e.Stored, e.Found, e.Remedy)
}

// GapError says that messages From to To, both included, are not in the stream (any more). The consumer stands behind
// them: the next message is To+1.
type GapError struct {
	Stream   string
	From, To uint64
	Cause    string // retention, or interior delete or expiry
}

const causeRetention = "retention overtook the reader"

func (e *GapError) Error() string {
	return fmt.Sprintf("reading stream %s: messages %d to %d are lost (%s): raise max_bytes or max_age so that retention cannot overtake "+
		"driftd, and deny deletes on the stream", e.Stream, e.From, e.To, e.Cause)
}

// Lost returns how many messages are gone.
func (e *GapError) Lost() uint64 { return e.To - e.From + 1 }

// ErrClosed says that a consumer or publisher was used after Close.
var ErrClosed = errors.New("closed")

// ErrNoMessage says that no message came in the time that was given.
var ErrNoMessage = errors.New("no message in time")
