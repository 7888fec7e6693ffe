package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/ingest"
)

const (
	sinkBatch   = 500 // documents of one write
	sinkAhead   = 2   // writes that are read ahead while one is under way
	sinkWorking = 4 * time.Second
	firstWait   = 100 * time.Millisecond
	longestWait = 30 * time.Second
)

// sink writes committed documents into a store: it acknowledges after the write, so that an outage or a crash delivers them
// again, and a repetition changes nothing.
type sink struct {
	js      jetstream.JetStream
	durable string
	to      target
	log     *slog.Logger

	written, failed atomic.Uint64
	refused         sync.Map // influx.Reason → *atomic.Uint64
	pending         atomic.Uint64
	trouble         atomic.Pointer[string] // why the store takes nothing; nil while it does
	unwritten       atomic.Bool            // the last write failed

	outbox atomic.Pointer[ingest.Sink] // nil: to be opened
	gone   atomic.Uint64               // documents that expired unread under earlier readers
}

func newSink(js jetstream.JetStream, durable string, to target, log *slog.Logger) *sink {
	return &sink{js: js, durable: durable, to: to, log: log} //nolint:exhaustruct // counters begin at zero
}

// open opens the outbox. Daemons that write to one InfluxDB share the work.
func (s *sink) open(ctx context.Context) (*ingest.Sink, error) {
	if s.durable == influxConsumer {
		return ingest.SharedOutbox(ctx, s.js, s.durable)
	}
	return ingest.Outbox(ctx, s.js, s.durable)
}

// Run consumes the outbox until ctx ends.
func (s *sink) Run(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		before := s.written.Load()
		err := s.consume(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop
		}
		if s.written.Load() != before {
			failures = 0
		}
		wait := backOff(failures, err)
		failures++
		s.report(err)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// backOff returns how long to wait after the nth failure in a row: doubling up to half a minute, between half and all of it
// by chance, so that replicas do not come back together; longer where the server asks for it.
func backOff(n int, err error) time.Duration {
	wait := min(firstWait<<min(n, 20), longestWait)
	wait = wait/2 + rand.N(wait/2+1) //nolint:gosec // no secret hangs on it
	if u, ok := errors.AsType[*influx.UnavailableError](err); ok {
		wait = max(wait, u.After)
	}
	return wait
}

// report says once that the store takes nothing, and again when the reason is another one.
func (s *sink) report(err error) {
	kind := "the store does not take results: they wait in the outbox"
	paused, isPaused := errors.AsType[*influx.PausedError](err)
	if isPaused {
		kind = fmt.Sprintf("the store refuses results (%d): they wait in the outbox until somebody looks: %s", paused.Status, paused.Remedy)
	}
	if old := s.trouble.Swap(&kind); old != nil && *old == kind {
		return
	}
	if isPaused {
		s.log.Error("the store refuses results until somebody looks: they wait in the outbox", slog.Any("err", err))
		return
	}
	s.log.Warn("the store does not take results: they wait in the outbox", slog.Any("err", err))
}

// recovered says once that the store takes results again.
func (s *sink) recovered() {
	if s.trouble.Swap(nil) != nil {
		s.log.Info("the store takes results again")
	}
}

// why returns why the store takes nothing; empty while it does.
func (s *sink) why() string {
	if text := s.trouble.Load(); text != nil {
		return *text
	}
	return ""
}

// consume reads the outbox ahead of the writes, until one fails.
func (s *sink) consume(ctx context.Context) error {
	outbox := s.outbox.Load()
	if outbox == nil {
		var err error
		if outbox, err = s.open(ctx); err != nil {
			return fmt.Errorf("opening the outbox: %w", err)
		}
		s.outbox.Store(outbox)
	}
	if err := s.to.check(ctx); err != nil {
		return fmt.Errorf("asking the store: %w", err)
	}
	if !s.unwritten.Load() { // a store that answers and does not write has not recovered
		s.recovered()
	}
	ctx, cancel := context.WithCancel(ctx)
	batches := make(chan []ingest.OutboxMsg, sinkAhead)
	read := make(chan error, 1)
	go func() {
		defer close(batches)
		for {
			if n, err := outbox.Pending(ctx); err == nil {
				if s.pending.Store(n); n == 0 {
					s.unwritten.Store(false) // what failed was written by another daemon, or has expired
					s.recovered()
				}
			}
			msgs, err := outbox.Fetch(ctx, sinkBatch)
			if err != nil {
				if ctx.Err() == nil {
					s.gone.Add(outbox.Lost())
					s.outbox.Store(nil)
				}
				read <- fmt.Errorf("reading the outbox: %w", err)
				return
			}
			if len(msgs) == 0 {
				continue
			}
			select {
			case batches <- msgs:
			case <-ctx.Done():
				giveBack(msgs, s.log) // what expires meanwhile is counted only of what was given back
				read <- ctx.Err()
				return
			}
		}
	}()
	var err error
	for msgs := range batches {
		if err = s.write(ctx, msgs); err != nil {
			break
		}
	}
	cancel()
	for msgs := range batches { // what was read ahead comes again
		giveBack(msgs, s.log)
	}
	if rerr := <-read; err == nil {
		err = rerr
	}
	return err
}

// write stores a batch and acknowledges it.
func (s *sink) write(ctx context.Context, msgs []ingest.OutboxMsg) error {
	docs := make([]document, 0, len(msgs))
	for _, m := range msgs {
		docs = append(docs, document{m.ID, m.Data})
	}
	done := keepWorking(msgs)
	refused, err := s.to.write(ctx, docs)
	if err == nil {
		err = keepRefused(ctx, s.js, s.durable, refused)
	}
	done()
	if err != nil {
		s.failed.Add(1)
		s.unwritten.Store(true)
		giveBack(msgs, s.log)
		return fmt.Errorf("writing to the store: %w", err)
	}
	s.note(refused)
	s.written.Add(uint64(len(docs)))
	s.unwritten.Store(false)
	s.recovered()
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledging %s: %w", m.ID, err)
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

// keepWorking tells the broker, while a slow write is under way, not to deliver its documents again.
func keepWorking(msgs []ingest.OutboxMsg) (done func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(sinkWorking)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, m := range msgs {
				_ = m.Working() // a failure shows when the document is acknowledged
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

func giveBack(msgs []ingest.OutboxMsg, log *slog.Logger) {
	for _, m := range msgs {
		if err := m.Nak(time.Second); err != nil {
			log.Debug("returning a document to the outbox", slog.Any("err", err))
		}
	}
}

// note counts what was refused, and says the first of each reason of a batch.
func (s *sink) note(refused []influx.Refusal) {
	seen := map[influx.Reason]bool{}
	for _, r := range refused {
		n, _ := s.refused.LoadOrStore(r.Reason, new(atomic.Uint64))
		n.(*atomic.Uint64).Add(1) //nolint:errcheck,forcetypeassert // nothing else is stored
		if !seen[r.Reason] {
			seen[r.Reason] = true
			s.log.Error("the store refused a line for good: it is in the stream of refused lines", slog.String("stream", refusedStream),
				slog.String("document", r.ID), slog.String("reason", string(r.Reason)), slog.String("detail", r.Detail))
		}
	}
}

// refusals returns how many lines were refused, by reason.
func (s *sink) refusals() map[string]uint64 {
	out := map[string]uint64{}
	s.refused.Range(func(k, v any) bool {
		out[string(k.(influx.Reason))] = v.(*atomic.Uint64).Load() //nolint:errcheck,forcetypeassert // nothing else is stored
		return true
	})
	return out
}

// drain waits until everything in the outbox is stored. A store that takes nothing is not waited for.
func (s *sink) drain(ctx context.Context) error {
	outbox, err := s.open(ctx)
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
		if why := s.why(); why != "" {
			return fmt.Errorf("%d documents wait: %s", n, why)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d documents wait: %w", n, ctx.Err())
		case <-tick.C:
		}
	}
}
