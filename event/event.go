// Package event turns the bytes of a message into events, labels and markers, and says why a record is refused.
// It is a leaf: it knows the wire format of design section 5 and nothing about models, references or windows.
package event

import (
	"fmt"
	"strings"
)

// ValueKind says what a decoded value is on the wire.
type ValueKind uint8

// The kinds of a decoded value. Invalid is a value that no feature can take: an array, or an object where none is allowed.
const (
	ValueNull ValueKind = iota + 1
	ValueNumber
	ValueBool
	ValueString
	ValueInvalid
)

// Value is one scalar of a record. Str is a view into the message (or the decoder's scratch) and is valid until the
// next call of Decoder.Next; for numbers it holds the literal as written, for booleans `true` or `false`.
type Value struct {
	Kind ValueKind
	Num  float64 // the nearest float64 of a number; 0 or 1 for a boolean
	Str  []byte
}

// Field is a named value: a feature, a part of the prediction, or a segment dimension. Nested objects are flattened with '.'.
type Field struct {
	Name []byte
	Value
}

// Reserved names of the parts of a prediction; user features live in a name space of their own.
const (
	PredictionName        = "prediction"
	PredictionLabelName   = "prediction.label"
	PredictionScoreName   = "prediction.score"
	PredictionScorePrefix = "prediction.score."
)

// Event is one decoded record: a prediction event or a label. All byte slices are views that live until the next call of
// Decoder.Next. Fields keep the order of the record, and a name may occur twice: the last one wins.
type Event struct {
	IsLabel bool   // the record has a top-level "label" (one that is null beside a prediction or features does not count)
	Model   []byte // from the body; empty when the body names none
	Version []byte // empty means `unknown`
	ID      []byte // empty: the record has none and is never deduplicated

	Time    int64 // Unix milliseconds, UTC
	HasTime bool  // false: use the broker's time

	Latency        float64 // milliseconds
	HasLatency     bool
	LatencyInvalid bool   // present, but not a finite number ≥ 0
	Status         []byte // as written; empty when absent. see Succeeded

	Prediction []Field
	Features   []Field
	Segments   []Field

	Columns *Columns // the features, instead of Features, where Decoder.KeepColumns was asked for and they are in columns
	Row     int      // of the event in them

	Label          Value // of a label
	PredictionTime int64 // `prediction_ts` of a self-contained label
	HasPredTime    bool

	DuplicateKeys int // known top-level keys that came again: the last one wins
	UnknownKeys   int // keys of the record or of its prediction object that the format does not know: ignored, counted
	WrongType     int // known keys whose value has a type that the format does not allow there: taken as absent, counted

	Raw []byte // the record's own bytes, see Decoder.Raw; empty beside the Columns of a columnar message
}

// RejectReason says why a record cannot be counted. It is a closed set: also the metric label and the dead-letter reason.
type RejectReason uint8

// The reasons for rejection.
const (
	RejectMalformed     RejectReason = iota + 1 // not JSON, or not an object
	RejectBareNaN                               // NaN or Infinity outside of a string: not JSON
	RejectOversize                              // larger than the limit
	RejectNoModel                               // neither body nor subject name a model
	RejectModelName                             // a model name outside [A-Za-z0-9_-]{1,128}
	RejectModelMismatch                         // subject and body disagree
	RejectBadTime                               // `ts` cannot be read
	RejectLimits                                // too deep, too many features, a name too long
	RejectNoLabelID                             // a label without id
	RejectUnknownModel                          // the configuration names its models, or has as many as it may
	RejectControl                               // a control message that cannot be applied
	RejectPanic                                 // the decoder or the fold panicked on it
	RejectUnsupported                           // well formed, but of a kind or schema that this version cannot count
)

var rejectNames = [...]string{
	RejectMalformed: "malformed", RejectBareNaN: "bare_nan", RejectOversize: "oversize", RejectNoModel: "no_model",
	RejectModelName: "model_name", RejectModelMismatch: "model_mismatch", RejectBadTime: "bad_time",
	RejectLimits: "limits", RejectNoLabelID: "label_without_id", RejectUnknownModel: "unknown_model",
	RejectControl: "control", RejectPanic: "panic",
	RejectUnsupported: "unsupported",
}

// String returns the reason's name as it stands in metrics, results and dead letters.
func (r RejectReason) String() string {
	if int(r) < len(rejectNames) && rejectNames[r] != "" {
		return rejectNames[r]
	}
	return fmt.Sprintf("RejectReason(%d)", uint8(r))
}

// RejectReasons lists every reason, for metrics that start at zero.
func RejectReasons() []RejectReason {
	out := make([]RejectReason, 0, len(rejectNames))
	for r := RejectMalformed; int(r) < len(rejectNames); r++ {
		out = append(out, r)
	}
	return out
}

// RejectError says why one record of a message was refused, and where. One that the Decoder returns is its own and is
// valid until the next call of Decoder.Next.
type RejectError struct {
	Reason RejectReason
	Offset int    // byte offset in the message
	Detail string // for people: what was found, what to do
	Model  []byte // the model as far as the record named one, unchecked; a view like those of Event
}

// Error implements error.
func (e *RejectError) Error() string {
	return fmt.Sprintf("%s at byte %d: %s", e.Reason, e.Offset, e.Detail)
}

// Succeeded reports whether a response status is a success: `ok`, `success`, or an HTTP status 2xx or 3xx.
func Succeeded(status []byte) bool {
	if len(status) == 3 && (status[0] == '2' || status[0] == '3') {
		return true
	}
	return strings.EqualFold(string(status), "ok") || strings.EqualFold(string(status), "success")
}
