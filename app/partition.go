package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// ledger is a journal as the pipeline sees it.
type ledger struct {
	j         *journal.Journal
	committed func([]result.Doc) // called after a commit was stored
}

func (l ledger) Acquire(ctx context.Context, culprit uint64) (pipeline.State, error) {
	st, err := l.j.AcquireBlaming(ctx, culprit)
	if err != nil {
		return pipeline.State{}, sentinel(err)
	}
	return pipeline.State{
		Mark: st.Position, Header: st.Meta, Shards: st.Shards, Fresh: st.Fresh,
		Fruitless: st.Fruitless, Suspect: st.Suspect, Deaths: st.Deaths,
	}, nil
}

func (l ledger) Commit(ctx context.Context, b pipeline.Batch) error {
	shards := make([]journal.Shard, len(b.Shards))
	for i, s := range b.Shards {
		shards[i] = journal.Shard{Name: s.Name, Data: s.Data}
	}
	err := l.j.Commit(ctx, journal.Batch{
		Position: b.Mark, Meta: b.Header, Shards: shards, Docs: b.Docs, DeadLetters: b.DeadLetters,
	})
	if err == nil {
		l.committed(b.Docs)
	}
	return sentinel(err)
}

// sentinel turns the journal's typed errors into what the pipeline decides by.
func sentinel(err error) error {
	var (
		full  *journal.FullError
		large *journal.TooLargeError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &full):
		return fmt.Errorf("%w: %w", pipeline.ErrFull, err)
	case errors.As(err, &large):
		return fmt.Errorf("%w: %w", pipeline.ErrHalt, err)
	}
	return fmt.Errorf("%w: %w", pipeline.ErrReload, err)
}

// input is a partition's stream as the pipeline sees it.
type input struct {
	js        jetstream.JetStream
	stream    string
	partition int
	log       *slog.Logger
	identity  ingest.Identity // what the open consumer continues
}

func newInput(js jetstream.JetStream, stream string, partition int, log *slog.Logger) *input {
	return &input{js: js, stream: stream, partition: partition, log: log, identity: ingest.Identity{}} //nolint:exhaustruct // nothing is open
}

func (in *input) Verify(ctx context.Context, mark []byte) error {
	if mark == nil {
		in.identity = ingest.Identity{} //nolint:exhaustruct // nothing was counted of any stream: whatever is there now is read
		return nil
	}
	var id ingest.Identity
	if err := json.Unmarshal(mark, &id); err != nil {
		return fmt.Errorf("%w: the stored mark is unreadable: %w", pipeline.ErrHalt, err)
	}
	in.identity = id
	err := ingest.Verify(ctx, in.js, id)
	if _, gap := errors.AsType[*ingest.GapError](err); gap {
		return nil // reading from there says so again, and what is lost is counted
	}
	return halting(err)
}

// halting marks an error by which the stream is not the one of the checkpoint: no retry brings that back.
func halting(err error) error {
	if _, ok := errors.AsType[*ingest.IdentityError](err); ok {
		return fmt.Errorf("%w: %w", pipeline.ErrHalt, err)
	}
	return err
}

func (in *input) Mark(_ context.Context, m fold.Message) ([]byte, error) {
	return json.Marshal(in.identity.At(ingest.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data, Retry: m.Retry, Source: m.Source, Pending: 0}))
}

func (in *input) Open(ctx context.Context, from uint64) (pipeline.Source, error) {
	if in.identity.Created.IsZero() {
		id, err := ingest.IdentityOf(ctx, in.js, in.stream)
		if err != nil {
			return nil, err
		}
		in.identity = id
	}
	c, err := ingest.OpenConsumer(ctx, in.js, in.stream, from, ingest.ConsumerOptions{Identity: in.identity, PullBytes: 0, Logger: in.log})
	if err != nil {
		return nil, err
	}
	return &source{c: c, some: make([]ingest.Message, 0, atOnce), out: make([]fold.Message, 0, atOnce)}, nil
}

func (in *input) Control(ctx context.Context, data []byte) error {
	if in.stream != journal.InputStream(in.partition) {
		return fmt.Errorf("%w: %s is not a stream of driftd's own", pipeline.ErrReadOnly, in.stream)
	}
	_, err := in.js.Publish(ctx, journal.ControlSubject(in.partition), data)
	return err
}

func (in *input) First(ctx context.Context) (uint64, error) {
	s, err := in.js.Stream(ctx, in.stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.FirstSeq, nil
}

func (in *input) Now(ctx context.Context) (int64, uint64, error) {
	return ingest.BrokerNow(ctx, in.js, in.stream)
}

// atOnce is how many messages the pipeline is given at a time.
const atOnce = 64

// source is an open consumer as the pipeline sees it.
type source struct {
	c    *ingest.Consumer
	some []ingest.Message
	out  []fold.Message
}

func (s *source) Next(ctx context.Context, until time.Time) ([]fold.Message, uint64, error) {
	some, err := s.c.NextSome(ctx, until, s.some[:0])
	if errors.Is(err, ingest.ErrNoMessage) {
		return nil, 0, pipeline.ErrNoMessage
	}
	if err != nil {
		if gap, ok := errors.AsType[*ingest.GapError](err); ok {
			return nil, 0, &pipeline.LossError{From: gap.From, To: gap.To, Err: err}
		}
		if _, ok := errors.AsType[*ingest.IdentityError](err); ok {
			// It may concern only what was not committed, which a reload reads anew: the checkpoint's own message decides.
			return nil, 0, fmt.Errorf("%w: %w", pipeline.ErrReload, err)
		}
		return nil, 0, err
	}
	s.out = s.out[:0]
	for i := range some {
		m := &some[i]
		s.out = append(s.out, fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data, Retry: m.Retry, Source: m.Source})
	}
	pending := some[len(some)-1].Pending
	clear(some) // the payloads may be collected
	return s.out, pending, nil
}

func (s *source) Close() { s.c.Close() }

// references loads references by fingerprint and keeps them: they never change.
type references struct {
	store *journal.References

	mu    sync.Mutex
	known map[string]*reference.Reference
}

func newReferences(store *journal.References) *references {
	return &references{store: store, mu: sync.Mutex{}, known: map[string]*reference.Reference{}}
}

func (r *references) load(ctx context.Context, fingerprint string) (*reference.Reference, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ref := r.known[fingerprint]; ref != nil {
		return ref, nil
	}
	data, err := r.store.Get(ctx, fingerprint)
	if errors.Is(err, journal.ErrReferenceNotFound) {
		return nil, fmt.Errorf("%w: %w", fold.ErrNoReference, err)
	}
	if err != nil {
		return nil, err
	}
	ref, err := reference.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: reading %s: %w", fold.ErrNoReference, fingerprint, err)
	}
	r.known[fingerprint] = ref
	return ref, nil
}
