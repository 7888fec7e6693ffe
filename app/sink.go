package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/store"
)

// sinkBatch is how many documents one transaction of the store takes.
const sinkBatch = 500

// sink writes committed documents into the embedded store: it acknowledges after the write, so that an outage or a crash
// delivers them again, and a repetition is a no-op.
type sink struct {
	js    jetstream.JetStream
	name  string // of its consumer
	store *store.Store
	log   *slog.Logger

	written, failed, refused atomic.Uint64
	down                     atomic.Bool

	outbox atomic.Pointer[ingest.Sink] // nil: to be opened
	gone   atomic.Uint64               // documents that expired unread under earlier readers
}

func newSink(js jetstream.JetStream, name string, s *store.Store, log *slog.Logger) *sink {
	return &sink{js: js, name: name, store: s, log: log} //nolint:exhaustruct // counters begin at zero
}

// Run consumes the outbox until ctx ends.
func (s *sink) Run(ctx context.Context) error {
	wait := 100 * time.Millisecond
	for ctx.Err() == nil {
		err := s.consume(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop
		}
		if s.down.CompareAndSwap(false, true) {
			s.log.Warn("the store does not take results: they wait in the outbox", slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, 10*time.Second)
	}
	return nil
}

func (s *sink) consume(ctx context.Context) error {
	outbox := s.outbox.Load()
	if outbox == nil {
		var err error
		if outbox, err = ingest.Outbox(ctx, s.js, s.name); err != nil {
			return fmt.Errorf("opening the outbox: %w", err)
		}
		s.outbox.Store(outbox)
	}
	for {
		msgs, err := outbox.Fetch(ctx, sinkBatch)
		if err != nil {
			s.gone.Add(outbox.Lost())
			s.outbox.Store(nil)
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if len(msgs) == 0 {
			continue
		}
		if err := s.write(ctx, msgs); err != nil {
			return err
		}
	}
}

// write stores a batch; where the store refuses a document, the others are stored one by one.
func (s *sink) write(ctx context.Context, msgs []ingest.OutboxMsg) error {
	docs := make([]store.Document, 0, len(msgs))
	for _, m := range msgs {
		docs = append(docs, store.Document{ID: m.ID, Data: m.Data})
	}
	err := s.store.Write(ctx, docs)
	_, refused := errors.AsType[*store.DocumentError](err)
	switch {
	case err == nil:
		s.written.Add(uint64(len(docs)))
	case refused && len(docs) > 1:
		for _, m := range msgs {
			if err := s.write(ctx, []ingest.OutboxMsg{m}); err != nil {
				return err
			}
		}
		return nil
	case refused:
		s.refused.Add(1)
		s.log.Error("the store refused a document; it stays in the outbox until that expires", slog.Any("err", err))
	default:
		s.failed.Add(1)
		for _, m := range msgs {
			if nerr := m.Nak(time.Second); nerr != nil {
				s.log.Debug("returning a document to the outbox", slog.Any("err", nerr))
			}
		}
		return fmt.Errorf("writing to the store: %w", err)
	}
	s.down.Store(false)
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledging %s: %w", strings.TrimSpace(m.ID), err)
		}
	}
	return nil
}

// expired returns how many documents left the outbox before the store had them.
func (s *sink) expired() uint64 {
	n := s.gone.Load()
	if o := s.outbox.Load(); o != nil {
		n += o.Lost()
	}
	return n
}

// behind returns which share of the outbox the store has not taken, and how many documents that are.
func (s *sink) behind(ctx context.Context) (share float64, n uint64, err error) {
	o := s.outbox.Load()
	if o == nil {
		return 0, 0, nil
	}
	standing, err := o.Look(ctx)
	return standing.Share, standing.Waiting, err
}

// drain waits until everything in the outbox is stored.
func (s *sink) drain(ctx context.Context) error {
	outbox, err := ingest.Outbox(ctx, s.js, s.name)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		n, err := outbox.Pending(ctx)
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d documents wait: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
}
