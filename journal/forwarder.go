package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	forwardBatch   = 256 // documents in flight to the outbox before a purge
	forwardAckWait = 30 * time.Second
	trimInterval   = 30 * time.Second
	clockSlack     = time.Minute // by which the clocks of two streams' leaders may differ
)

// ForwarderOptions of a forwarder; the zero value is good.
type ForwarderOptions struct {
	StateStream string       // default StateStream(partition)
	Logger      *slog.Logger // nil discards
}

// ForwarderStats are running totals of a forwarder, safe to read at any time.
type ForwarderStats struct {
	Forwarded   atomic.Uint64 // documents stored in the outbox
	Duplicates  atomic.Uint64 // documents that were already there, after a crash between publishing and purging
	Errors      atomic.Uint64 // passes that failed and were begun again
	DeadTrimmed atomic.Uint64 // messages of dead letters removed because the state stream was filling up
	Backlog     atomic.Uint64 // documents waiting in the state stream, as last seen
}

// Forwarder copies committed documents from a partition's state stream to the outbox and removes them from the state
// stream only when the outbox has acknowledged them. Each document is in the outbox exactly once, whenever and however
// often a forwarder dies: within the outbox's duplicate window the broker drops repetitions by message id, beyond it the
// forwarder looks into the outbox before it repeats anything.
type Forwarder struct {
	js        jetstream.JetStream
	partition int
	subj      subjects
	opts      ForwarderOptions
	stats     ForwarderStats
	afterAck  func() // a seam for tests: everything is acknowledged, nothing purged
}

// NewForwarder returns a forwarder for a partition.
func NewForwarder(js jetstream.JetStream, partition int, opts ForwarderOptions) *Forwarder {
	if opts.StateStream == "" {
		opts.StateStream = StateStream(partition)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Forwarder{js: js, partition: partition, subj: stateSubjects(partition), opts: opts}
}

// Stats returns the running totals.
func (f *Forwarder) Stats() *ForwarderStats { return &f.stats }

// Run forwards until ctx ends and then returns nil. Failures are logged, counted and retried.
func (f *Forwarder) Run(ctx context.Context) error {
	for attempt := 0; ctx.Err() == nil; attempt++ {
		before := f.stats.Forwarded.Load()
		err := f.pass(ctx)
		if ctx.Err() != nil {
			break
		}
		if f.stats.Forwarded.Load() > before {
			attempt = 0
		}
		f.stats.Errors.Add(1)
		f.opts.Logger.Warn("forwarding results is interrupted", slog.Int("partition", f.partition), slog.Any("err", err))
		_ = pause(ctx, attempt) // an ended context ends the loop
	}
	return nil //nolint:nilerr // the end of the context is how Run ends
}

// Drain forwards what the state stream holds now and returns; for a shutdown and for tests.
func (f *Forwarder) Drain(ctx context.Context) error {
	s, err := f.js.Stream(ctx, f.opts.StateStream)
	if err != nil {
		return fmt.Errorf("opening state stream: %w", err)
	}
	for {
		_, err := s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(f.subj.out+">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading state stream: %w", err)
		}
		pctx, cancel := context.WithCancel(ctx)
		err = f.passUntil(pctx, s, true)
		cancel()
		if err != nil {
			return err
		}
	}
}

func (f *Forwarder) pass(ctx context.Context) error {
	s, err := f.js.Stream(ctx, f.opts.StateStream)
	if err != nil {
		return fmt.Errorf("opening state stream: %w", err)
	}
	return f.passUntil(ctx, s, false)
}

// passUntil forwards from the oldest document on; it returns at the present end if once, else on the first error.
func (f *Forwarder) passUntil(ctx context.Context, s jetstream.Stream, once bool) error {
	c, err := f.js.CreateConsumer(ctx, f.opts.StateStream, jetstream.ConsumerConfig{
		FilterSubject: f.subj.out + ">", DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: 5 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("creating consumer: %w", err)
	}
	defer deleteConsumer(ctx, f.js, f.opts.StateStream, c.CachedInfo().Name)
	f.stats.Backlog.Store(c.CachedInfo().NumPending)
	it, err := c.Messages(jetstream.PullMaxMessages(readBatch), jetstream.PullHeartbeat(5*time.Second), jetstream.PullExpiry(30*time.Second))
	if err != nil {
		return fmt.Errorf("reading state stream: %w", err)
	}
	defer it.Stop()
	p := &forwarding{f: f, stream: s}
	trimmed := time.Time{}
	for {
		if time.Since(trimmed) > trimInterval {
			n, err := trimDeadLetters(ctx, s, f.subj.dead)
			if err != nil {
				return err
			}
			f.stats.DeadTrimmed.Add(n)
			trimmed = time.Now()
		}
		m, err := nextWithin(ctx, it, trimInterval)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue // nothing to forward: look after the dead letters again
		}
		if err != nil {
			return fmt.Errorf("reading state stream: %w", err)
		}
		pending, err := p.add(ctx, m)
		if err != nil {
			return err
		}
		f.stats.Backlog.Store(pending + uint64(len(p.acks)))
		if pending == 0 || len(p.acks) >= forwardBatch {
			if err := p.flush(ctx); err != nil {
				return err
			}
			f.stats.Backlog.Store(pending)
			if once && pending == 0 {
				return nil
			}
		}
	}
}

func nextWithin(ctx context.Context, it jetstream.MessagesContext, d time.Duration) (jetstream.Msg, error) {
	nctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return it.Next(jetstream.NextContext(nctx))
}

// forwarding is one pass over the documents.
type forwarding struct {
	f      *Forwarder
	stream jetstream.Stream
	next   uint64          // number of the document that must come next; 0: not known yet
	known  map[string]bool // ids of documents that the outbox already has
	acks   []jetstream.PubAckFuture
	ids    []string
	last   uint64 // sequence of the newest document taken
	dups   uint64
}

// add sends one document to the outbox, without waiting, and returns how many more are pending. A skipped or repeated
// document (a consumer may do that without an error) ends the pass: what is purged must have been forwarded.
func (p *forwarding) add(ctx context.Context, m jetstream.Msg) (pending uint64, err error) {
	md, err := m.Metadata()
	if err != nil {
		return 0, fmt.Errorf("reading state stream: %w", err)
	}
	id, number, err := docHeaders(m)
	if err != nil {
		return 0, fmt.Errorf("sequence %d of %s: %w", md.Sequence.Stream, p.f.opts.StateStream, err)
	}
	if p.next == 0 {
		if err := p.begin(ctx, md, number); err != nil {
			return 0, err
		}
		p.next = number
	}
	if number != p.next {
		return 0, fmt.Errorf("reading state stream: document %d came where %d was due", number, p.next)
	}
	p.next++
	p.last = md.Sequence.Stream
	if p.known[id] {
		p.dups++
		return md.NumPending, nil
	}
	out := newMsg(outboxSubject+strings.TrimPrefix(m.Subject(), p.f.subj.out), m.Data())
	out.Header.Set(HeaderPartition, strconv.Itoa(p.f.partition))
	out.Header.Set(HeaderDocNumber, strconv.FormatUint(number, 10))
	ack, err := p.f.js.PublishMsgAsync(out, jetstream.WithMsgID(id), jetstream.WithExpectStream(OutboxStream),
		jetstream.WithStallWait(forwardAckWait))
	if err != nil {
		return 0, fmt.Errorf("publishing to the outbox: %w", err)
	}
	p.acks, p.ids = append(p.acks, ack), append(p.ids, id)
	return md.NumPending, nil
}

func docHeaders(m jetstream.Msg) (id string, number uint64, err error) {
	id = m.Headers().Get(HeaderDocID)
	number, err = strconv.ParseUint(m.Headers().Get(HeaderDocNumber), 10, 64)
	if id == "" || err != nil || number == 0 {
		return "", 0, fmt.Errorf("it is no document of driftd: %s or %s is missing", HeaderDocID, HeaderDocNumber)
	}
	return id, number, nil
}

// begin makes sure that the first document read is the oldest one the leader has, and finds out what an earlier forwarder
// published but did not get to purge.
func (p *forwarding) begin(ctx context.Context, first *jetstream.MsgMetadata, firstNumber uint64) error {
	oldest, err := p.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(p.f.subj.out+">"))
	if err != nil {
		return fmt.Errorf("reading oldest document: %w", err)
	}
	if oldest.Sequence != first.Sequence.Stream {
		return fmt.Errorf("reading state stream: sequence %d came where %d is the oldest", first.Sequence.Stream, oldest.Sequence)
	}
	since := oldest.Time.Add(-clockSlack) // it cannot have been forwarded before it was committed
	p.known = map[string]bool{}
	partition := strconv.Itoa(p.f.partition)
	err = readAll(ctx, p.f.js, OutboxStream, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since, HeadersOnly: true,
	}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		// Documents before the first one are purged, hence settled: leaving them out keeps the set as small as one batch.
		n, _ := strconv.ParseUint(m.Headers().Get(HeaderDocNumber), 10, 64)
		if m.Headers().Get(HeaderPartition) == partition && n >= firstNumber {
			p.known[m.Headers().Get(jetstream.MsgIDHeader)] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading outbox: %w", err)
	}
	return nil
}

// flush waits for the outbox to acknowledge everything sent, then removes it from the state stream.
func (p *forwarding) flush(ctx context.Context) error {
	timeout := time.NewTimer(forwardAckWait)
	defer timeout.Stop()
	for i, a := range p.acks {
		select {
		case ack := <-a.Ok():
			if ack.Duplicate {
				p.f.stats.Duplicates.Add(1)
			} else {
				p.f.stats.Forwarded.Add(1)
			}
		case err := <-a.Err():
			return fmt.Errorf("publishing document %s to the outbox: %w", p.ids[i], err)
		case <-timeout.C:
			return fmt.Errorf("publishing document %s to the outbox: no acknowledgement within %v", p.ids[i], forwardAckWait)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.f.stats.Duplicates.Add(p.dups)
	p.acks, p.ids, p.dups = p.acks[:0], p.ids[:0], 0
	if p.f.afterAck != nil {
		p.f.afterAck()
	}
	err := p.stream.Purge(ctx, jetstream.WithPurgeSubject(p.f.subj.out+">"), jetstream.WithPurgeSequence(p.last+1))
	if err != nil {
		return fmt.Errorf("purging forwarded documents: %w", err)
	}
	return nil
}
