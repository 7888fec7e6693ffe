package journal

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrNotAcquired says that a journal does not own its partition: it never did, or an earlier commit ended in doubt.
var ErrNotAcquired = errors.New("the partition is not acquired: call Acquire first")

// FencedError says that another owner has taken the partition. Nothing of the batch was written. All local state must be
// dropped; Acquire takes the partition back.
type FencedError struct {
	Partition int
	Owner     string // the new owner, "" if not known
	Epoch     uint64 // its epoch, 0 if not known
	Err       error
}

func (e *FencedError) Error() string {
	by := "another owner"
	if e.Owner != "" {
		by = fmt.Sprintf("owner %s with epoch %d", e.Owner, e.Epoch)
	}
	return fmt.Sprintf("committing partition %d: fenced by %s: nothing was written, reload the state", e.Partition, by)
}

func (e *FencedError) Unwrap() error { return e.Err }

// UncommittedError says that a batch was not committed when last looked at, for a reason that may pass. The caller must
// Acquire again: it returns what is committed and makes sure that the batch cannot land late.
type UncommittedError struct {
	Partition int
	Err       error
}

func (e *UncommittedError) Error() string {
	return fmt.Sprintf("committing partition %d: not committed: %v", e.Partition, e.Err)
}

func (e *UncommittedError) Unwrap() error { return e.Err }

// AmbiguousError says that it could not be found out whether a batch was committed, because the broker could not be asked
// in time. The caller must Acquire again, which settles it.
type AmbiguousError struct {
	Partition int
	Err       error
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("committing partition %d: outcome unknown: %v", e.Partition, e.Err)
}

func (e *AmbiguousError) Unwrap() error { return e.Err }

// FullError says that the state stream, its account or its disk is full. Nothing was written and the journal still owns
// the partition: the same batch may be committed again once there is room.
type FullError struct {
	Stream string
	Err    error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("committing to stream %s: it is full (%v): raise its max_bytes or the account's limit, or let the forwarder empty it",
		e.Stream, e.Err)
}

func (e *FullError) Unwrap() error { return e.Err }

// TooLargeError says that a batch, or one part of it, is larger than can be committed. Nothing was sent.
type TooLargeError struct {
	What       string
	Size, Most int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("committing: %s is %d, at most %d is possible: commit earlier or cut it smaller", e.What, e.Size, e.Most)
}

// RestoreError says that the shards that were read do not make up the committed state.
type RestoreError struct {
	Stream                   string
	WantedShards, ReadShards int
	Wanted, Read             string // digests
}

func (e *RestoreError) Error() string {
	return fmt.Sprintf("restoring from stream %s: the checkpoint stands for %d shards with digest %s, but %d with digest %s were read: "+
		"a replica lags for long, or the stream was edited or lost data; see `nats stream info %s`, then retry or restore a backup",
		e.Stream, e.WantedShards, e.Wanted, e.ReadShards, e.Read, e.Stream)
}

// Error codes of nats-server (server/errors.json).
const (
	codeInsufficientResources jetstream.ErrorCode = 10023
	codeMemoryExceeded        jetstream.ErrorCode = 10028
	codeStorageExceeded       jetstream.ErrorCode = 10047
	codeSubjectOverlap        jetstream.ErrorCode = 10065
	codeWrongLastSequence     jetstream.ErrorCode = 10071
	codeStoreFailed           jetstream.ErrorCode = 10077
	codeMaxBytesLimit         jetstream.ErrorCode = 10122
	codeConflict              jetstream.ErrorCode = 10164
)

func isConflict(e *jetstream.APIError) bool {
	return e.ErrorCode == codeWrongLastSequence || e.ErrorCode == codeConflict
}

// isFull recognises what a full stream, account or disk answers; 10077 carries "maximum bytes exceeded" and the like.
func isFull(e *jetstream.APIError) bool {
	switch e.ErrorCode {
	case codeInsufficientResources, codeMemoryExceeded, codeStorageExceeded, codeStoreFailed:
		return true
	}
	return false
}
