package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	metaSchema = 1

	defaultCommitTimeout = 10 * time.Second
	defaultDeadTTL       = 168 * time.Hour
	askTimeout           = 2 * time.Second // of one question to the leader, repeated while the caller's context lives
	acquireAttempts      = 20
	restoreAttempts      = 10
)

// Options of a journal; the zero value is good.
type Options struct {
	Stream        string        // state stream; default StateStream(partition)
	CommitTimeout time.Duration // how long to wait for the broker's answer before asking what became of a batch; default 10 s
	DeadLetterTTL time.Duration // how long dead letters are kept; default 168 h
	Logger        *slog.Logger  // nil discards

	tombstoneTTL time.Duration // of the empty message of a deleted shard; tests shorten it
}

// Journal is one owner's handle on a partition's state stream. It is not safe for concurrent use.
type Journal struct {
	nc        *nats.Conn
	js        jetstream.JetStream
	stream    jetstream.Stream
	partition int
	subj      subjects
	opts      Options
	owner     string // unique to this handle, so that an owner never mistakes another's commit for its own

	owned  bool
	head   metaDoc           // what is committed
	rev    uint64            // stream sequence of head
	hashes map[string]digest // of every live shard
	sum    digest            // of hashes
}

// State is what a partition has committed.
type State struct {
	Position []byte            // of the last commit; nil if Fresh
	Meta     []byte            // of the last commit
	Shards   map[string][]byte // every live shard by name
	Fresh    bool              // nothing was ever committed
	Epoch    uint64            // of this ownership

	Fruitless int    // ownerships in a row before this one that committed nothing
	Suspect   uint64 // the message that killed a process last, as AcquireBlaming was told; 0: none
	Deaths    int    // how many processes it killed in a row
}

// metaDoc is the checkpoint message. Owner, epoch and gen together name one commit and no other.
type metaDoc struct {
	Schema     int             `json:"schema"`
	Owner      string          `json:"owner"`
	Epoch      uint64          `json:"epoch"`             // grows by one with every ownership
	Gen        uint64          `json:"gen"`               // commits of this epoch
	BatchCount int             `json:"batch_count"`       // messages of the batch that this one begins
	Shards     int             `json:"shards"`            // live shards
	Digest     string          `json:"digest"`            // of the set of live shards
	Docs       uint64          `json:"docs"`              // documents ever committed: the number of the newest
	Owners     int             `json:"owners,omitempty"`  // ownerships since the last commit, this one counted
	Suspect    uint64          `json:"suspect,omitempty"` // see State
	Deaths     int             `json:"deaths,omitempty"`
	Position   json.RawMessage `json:"position,omitempty"`
	Meta       []byte          `json:"meta,omitempty"`
}

func (m *metaDoc) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the position comes back byte for byte
	if err := enc.Encode(m); err != nil {
		return nil, fmt.Errorf("encoding checkpoint: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Open prepares a journal for a partition whose state stream exists (EnsureStreams). It reads nothing yet.
func Open(ctx context.Context, js jetstream.JetStream, nc *nats.Conn, partition int, opts Options) (*Journal, error) {
	if partition < 0 {
		return nil, fmt.Errorf("opening journal: partition %d is negative", partition)
	}
	if opts.Stream == "" {
		opts.Stream = StateStream(partition)
	}
	if opts.CommitTimeout <= 0 {
		opts.CommitTimeout = defaultCommitTimeout
	}
	if opts.DeadLetterTTL <= 0 {
		opts.DeadLetterTTL = defaultDeadTTL
	}
	if opts.tombstoneTTL <= 0 {
		opts.tombstoneTTL = defaultTombstoneTTL
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := js.Stream(ctx, opts.Stream)
	if err != nil {
		return nil, fmt.Errorf("opening state stream %s: %w", opts.Stream, err)
	}
	// With direct gets any replica may answer; a stale checkpoint would only cost a reload, but there is no need to.
	if err := verifyOwn(s.CachedInfo().Config, stateLike(s.CachedInfo().Config, partition), limits{}); err != nil {
		return nil, fmt.Errorf("opening state stream: %w", err)
	}
	return &Journal{
		nc: nc, js: js, stream: s, partition: partition, subj: stateSubjects(partition), opts: opts, owner: nuid.Next(),
	}, nil
}

// stateLike is what a state stream of any name must look like.
func stateLike(found jetstream.StreamConfig, partition int) jetstream.StreamConfig {
	want := stateConfig(partition, Layout{})
	want.Name = found.Name
	return want
}

// Acquire makes this journal the partition's owner, which fences every older one, and returns the committed state. It
// must be called first, and again after FencedError, UncommittedError and AmbiguousError.
func (j *Journal) Acquire(ctx context.Context) (*State, error) { return j.AcquireBlaming(ctx, 0) }

// AcquireBlaming is Acquire, and stores with the ownership that folding a message killed a process. culprit is the message's
// sequence; 0 blames none.
func (j *Journal) AcquireBlaming(ctx context.Context, culprit uint64) (*State, error) {
	j.owned = false
	if err := j.bumpEpoch(ctx, culprit); err != nil {
		return nil, err
	}
	shards, err := j.restore(ctx)
	if err != nil {
		return nil, err
	}
	j.owned = true
	return &State{
		Position: j.head.Position, Meta: j.head.Meta, Shards: shards, Fresh: j.head.Position == nil, Epoch: j.head.Epoch,
		Fruitless: j.head.Owners - 1, Suspect: j.head.Suspect, Deaths: j.head.Deaths,
	}, nil
}

// bumpEpoch writes the committed checkpoint again with the next epoch and this owner, under compare-and-swap. From then on
// a batch of an older owner fails, also one that is already on its way.
func (j *Journal) bumpEpoch(ctx context.Context, culprit uint64) error {
	var last error
	for attempt := range acquireAttempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return errors.Join(fmt.Errorf("acquiring partition %d: %w", j.partition, err), last)
			}
		}
		head, rev, err := j.ask(ctx)
		if err != nil {
			return fmt.Errorf("acquiring partition %d: %w", j.partition, err)
		}
		if head.Owner == j.owner && head.Epoch > j.head.Epoch {
			// The answer to our own bump was lost.
			j.head, j.rev = head, rev
			return nil
		}
		next := head
		next.Schema, next.Owner, next.Epoch, next.Gen, next.BatchCount = metaSchema, j.owner, head.Epoch+1, 0, 1
		next.Owners++
		if culprit != 0 && culprit != head.Suspect {
			next.Suspect, next.Deaths = culprit, 0
		}
		if culprit != 0 {
			next.Deaths++
		}
		if head.Digest == "" {
			next.Digest = digest{}.String()
		}
		data, err := next.encode()
		if err != nil {
			return err
		}
		rctx, cancel := context.WithTimeout(ctx, j.opts.CommitTimeout)
		ack, err := request(rctx, j.nc, j.metaMsg(data, rev))
		cancel()
		switch {
		case err != nil:
			last = err // in doubt: the next look at the leader tells
		case ack.Error != nil && isConflict(ack.Error):
			last = ack.Error // somebody else commits or acquires right now
		case ack.Error != nil && isFull(ack.Error):
			return &FullError{Stream: j.opts.Stream, Err: ack.Error}
		case ack.Error != nil:
			return fmt.Errorf("acquiring partition %d: %w", j.partition, ack.Error)
		default:
			j.head, j.rev = next, ack.Seq
			j.opts.Logger.Debug("partition acquired", slog.Int("partition", j.partition), slog.Uint64("epoch", next.Epoch))
			return nil
		}
	}
	return &FencedError{Partition: j.partition, Err: last}
}

// metaMsg is the checkpoint message: it replaces the last one, whose sequence must be rev (0: there is none).
func (j *Journal) metaMsg(data []byte, rev uint64) *nats.Msg {
	m := newMsg(j.subj.meta, data)
	m.Header.Set(headerRollup, "sub")
	m.Header.Set(headerExpectedLast, strconv.FormatUint(rev, 10))
	return m
}

// ask reads the checkpoint from the stream's leader, for as long as ctx lives. Without one the document is zero and the
// revision 0.
func (j *Journal) ask(ctx context.Context) (metaDoc, uint64, error) {
	var last error
	for attempt := 0; ; attempt++ {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return metaDoc{}, 0, errors.Join(err, last)
			}
		}
		actx, cancel := context.WithTimeout(ctx, askTimeout)
		m, err := j.stream.GetLastMsgForSubject(actx, j.subj.meta)
		cancel()
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return metaDoc{}, 0, nil
		}
		if err != nil {
			if errors.Is(err, jetstream.ErrStreamNotFound) {
				return metaDoc{}, 0, fmt.Errorf("reading checkpoint of stream %s: %w", j.opts.Stream, err)
			}
			last = err
			continue
		}
		doc, err := decodeMeta(m.Data)
		if err != nil {
			return metaDoc{}, 0, fmt.Errorf("reading checkpoint of stream %s, sequence %d: %w", j.opts.Stream, m.Sequence, err)
		}
		return doc, m.Sequence, nil
	}
}

func decodeMeta(data []byte) (metaDoc, error) {
	var doc metaDoc
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&doc); err != nil {
		return doc, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return doc, errors.New("trailing bytes after the document")
	}
	if doc.Schema != metaSchema {
		return doc, fmt.Errorf("schema %d is not understood by this driftd (it knows %d): run the version that wrote it", doc.Schema, metaSchema)
	}
	return doc, nil
}

// pause waits with doubling delays of 10 ms to 1 s.
func pause(ctx context.Context, attempt int) error {
	d := min(10*time.Millisecond<<min(attempt, 10), time.Second)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
