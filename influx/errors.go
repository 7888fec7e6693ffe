package influx

import (
	"fmt"
	"time"
)

// UnavailableError says that InfluxDB could not take a write now: it is away, overloaded or failing. The same write can be
// tried again as it is.
type UnavailableError struct {
	After time.Duration // how long the server asks to wait; 0: it did not say
	Err   error
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return "InfluxDB does not answer as it should: " + e.Err.Error()
}

// Unwrap returns what the client said.
func (e *UnavailableError) Unwrap() error { return e.Err }

// PausedError says that InfluxDB refuses everything until an operator changes something: the token, the bucket, a limit.
// Nothing is lost meanwhile: what was not written waits in the outbox.
type PausedError struct {
	Status int
	Remedy string
	Err    error
}

// Error implements error.
func (e *PausedError) Error() string {
	return fmt.Sprintf("InfluxDB refuses writes (%d): %v; %s", e.Status, e.Err, e.Remedy)
}

// Unwrap returns what the client said.
func (e *PausedError) Unwrap() error { return e.Err }

// Reason says why InfluxDB did not take a line, or driftd did not take a document.
type Reason string

// The reasons of a Refusal.
const (
	ReasonMalformed   Reason = "malformed"        // the document is none that driftd commits
	ReasonRetention   Reason = "beyond_retention" // older than the bucket keeps
	ReasonType        Reason = "type_conflict"    // a field has another type in the bucket
	ReasonUnparsable  Reason = "unparsable"       // the server cannot read the line
	ReasonTooLarge    Reason = "too_large"        // one line alone is above the server's limit
	ReasonConflict    Reason = "conflict"         // the embedded store has other bytes under the document's id
	ReasonUnexplained Reason = "rejected"         // 400 or 422 with a text that driftd does not know
)

// Reasons returns all reasons of a Refusal.
func Reasons() []Reason {
	return []Reason{ReasonMalformed, ReasonRetention, ReasonType, ReasonUnparsable, ReasonTooLarge, ReasonConflict, ReasonUnexplained}
}

// Refusal is one line, or one whole document, that is not in InfluxDB and will not get there by trying again.
type Refusal struct {
	ID     string `json:"id"`     // of the document in the outbox
	Reason Reason `json:"reason"` // one of Reasons
	Detail string `json:"detail"` // what the server said
	Line   string `json:"line"`   // the line, cut at 4 KiB; empty where the document made none
}
