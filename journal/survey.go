package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// StreamRole says what a stream is for.
type StreamRole string

// The roles of driftd's streams.
const (
	RoleInput      StreamRole = "input"
	RoleState      StreamRole = "state"
	RoleOutbox     StreamRole = "outbox"
	RoleReferences StreamRole = "references"
)

// StreamSurvey is what is known of one stream.
type StreamSurvey struct {
	Name       string
	Role       StreamRole
	Partition  int                   // of an input or a state stream
	Own        bool                  // driftd creates it; false: a user's own stream
	Subject    string                // one of its subjects that driftd writes to
	Info       *jetstream.StreamInfo // nil with Err
	Err        error                 // jetstream.ErrStreamNotFound, or why it could not be read
	Mismatches []*MismatchError      // settings that driftd refuses
	Warnings   []string              // settings that weaken a guarantee
}

// Survey returns what a broker says of every stream of a layout. It creates and changes nothing, and goes on after a failure:
// that is a finding.
func Survey(ctx context.Context, js jetstream.JetStream, l Layout) []StreamSurvey {
	if len(l.Partitions) == 0 {
		l.Partitions = []Partition{{}}
	}
	var out []StreamSurvey
	own := func(role StreamRole, partition int, subject string, want jetstream.StreamConfig, lim limits) {
		s := StreamSurvey{Name: want.Name, Role: role, Partition: partition, Own: true, Subject: subject}
		if s.look(ctx, js) {
			s.mismatch(verifyOwn(s.Info.Config, want, lim))
		}
		out = append(out, s)
	}
	for _, p := range l.Partitions {
		if p.Stream == "" {
			own(RoleInput, p.Number, ControlSubject(p.Number), inputConfig(p, l), limits{l.InputMaxBytes, l.InputMaxAge, l.Replicas})
		} else {
			s := StreamSurvey{Name: p.Stream, Role: RoleInput, Partition: p.Number, Subject: ControlSubject(p.Number)}
			if s.look(ctx, js) {
				s.mismatch(verifyForeign(ctx, js, p, func(_, w string) { s.Warnings = append(s.Warnings, w) }))
			}
			out = append(out, s)
		}
		own(RoleState, p.Number, stateSubjects(p.Number).meta, stateConfig(p.Number, l), limits{l.StateMaxBytes, 0, l.Replicas})
	}
	own(RoleOutbox, 0, resultSubject+"doctor", outboxConfig(l), limits{l.OutboxMaxBytes, l.OutboxMaxAge, l.Replicas})
	own(RoleReferences, 0, referenceSubject+"doctor", referencesConfig(l), limits{l.ReferencesBytes, 0, l.Replicas})
	return out
}

func (s *StreamSurvey) look(ctx context.Context, js jetstream.JetStream) bool {
	actx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := js.Stream(actx, s.Name)
	if err != nil {
		s.Err = err
		return false
	}
	s.Info = stream.CachedInfo()
	return true
}

// mismatch takes a joined error apart.
func (s *StreamSurvey) mismatch(err error) {
	var one *MismatchError
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			s.mismatch(e)
		}
	case errors.As(err, &one):
		s.Mismatches = append(s.Mismatches, one)
	default:
		s.Err = err
	}
}

// probeStream is the name of a stream that does not exist: a message that expects it is refused by every other.
const probeStream = "DRIFTD_DOCTOR_PROBE"

// codeWrongStream is the server's answer to a message that expects another stream.
const codeWrongStream = 10060

// Probe tests whether this connection may publish to a subject and which stream would store it, without storing anything: the
// message expects a stream that does not exist, so the stream that captures the subject refuses it. nil says that it may.
func Probe(ctx context.Context, nc *nats.Conn, subject string) error {
	actx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m := newMsg(subject, nil)
	m.Header.Set(jetstream.ExpectedStreamHeader, probeStream)
	ack, err := request(actx, nc, m)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("publishing to %s: no stream captures this subject", subject)
	case err != nil:
		return fmt.Errorf("publishing to %s: %w", subject, err)
	case ack.Error != nil && ack.Error.ErrorCode == codeWrongStream:
		return nil
	case ack.Error != nil:
		return fmt.Errorf("publishing to %s: %w", subject, ack.Error)
	}
	return fmt.Errorf("publishing to %s: the server stored a message that it had to refuse: it ignores %s", subject, jetstream.ExpectedStreamHeader)
}

// Checkpoint is what a partition has committed last.
type Checkpoint struct {
	Owner    string // of the partition
	Epoch    uint64
	Docs     uint64          // documents ever committed
	Shards   int             // of the state
	Position json.RawMessage // nil: nothing was committed yet
	Meta     []byte          // the fold's header
	Time     time.Time       // when the broker stored it
}

// ReadCheckpoint returns a partition's checkpoint, or nil where there is none yet.
func ReadCheckpoint(ctx context.Context, js jetstream.JetStream, partition int) (*Checkpoint, error) {
	doc, at, err := readMeta(ctx, js, partition)
	if err != nil || at.IsZero() {
		return nil, err
	}
	return &Checkpoint{doc.Owner, doc.Epoch, doc.Docs, doc.Shards, doc.Position, doc.Meta, at}, nil
}

func readMeta(ctx context.Context, js jetstream.JetStream, partition int) (metaDoc, time.Time, error) {
	fail := func(err error) (metaDoc, time.Time, error) {
		return metaDoc{}, time.Time{}, fmt.Errorf("reading the checkpoint of partition %d: %w", partition, err)
	}
	s, err := js.Stream(ctx, StateStream(partition))
	if err != nil {
		return fail(err)
	}
	m, err := s.GetLastMsgForSubject(ctx, stateSubjects(partition).meta)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return metaDoc{}, time.Time{}, nil
	}
	if err != nil {
		return fail(err)
	}
	doc, err := decodeMeta(m.Data)
	if err != nil {
		return fail(err)
	}
	return doc, m.Time, nil
}

// checkAttempts is how often CheckState reads a state again that was being changed.
const checkAttempts = 5

// ErrBusy says that the state changed faster than it could be read.
var ErrBusy = errors.New("the state changes faster than it can be read")

// ReadState reads every shard of a partition's state and compares them with the checkpoint's digest, as a restart would, without
// becoming the owner. The error is *RestoreError where they do not fit, and wraps ErrBusy where a running daemon changes them all the
// time.
func ReadState(ctx context.Context, js jetstream.JetStream, partition int) (shards map[string][]byte, err error) {
	j := &Journal{
		js: js, partition: partition, subj: stateSubjects(partition), opts: Options{Stream: StateStream(partition)},
	}
	for attempt := range checkAttempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrBusy, err)
			}
		}
		before, _, err := readMeta(ctx, js, partition)
		if err != nil {
			return nil, err
		}
		if shards, err = j.readShards(ctx); err != nil {
			return nil, err
		}
		sum := digest{}
		for name, data := range shards {
			sum = sum.plus(shardDigest(name, data))
		}
		after, _, err := readMeta(ctx, js, partition)
		switch {
		case err != nil:
			return nil, err
		case before.Digest == "" && len(shards) == 0, sum.String() == before.Digest && len(shards) == before.Shards:
			return shards, nil
		case after.Owner == before.Owner && after.Epoch == before.Epoch && after.Gen == before.Gen:
			return nil, &RestoreError{
				Stream: StateStream(partition), WantedShards: before.Shards, ReadShards: len(shards), Wanted: before.Digest, Read: sum.String(),
			}
		}
	}
	return nil, ErrBusy
}
