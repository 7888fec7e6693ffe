package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	publishWindow = 1024             // messages in flight
	publishBytes  = 32 << 20         // bytes in flight
	publishWait   = 30 * time.Second // for one acknowledgement
)

// PublishError says which line of the input was not stored.
type PublishError struct {
	Line    int // as the caller counts
	Subject string
	Stored  uint64 // messages acknowledged so far; ones behind the failed one may be among them
	Err     error
}

func (e *PublishError) Error() string {
	hint := ""
	if errors.Is(e.Err, jetstream.ErrNoStreamResponse) || errors.Is(e.Err, nats.ErrNoResponders) {
		hint = ": no stream captures this subject"
	}
	return fmt.Sprintf("publishing line %d to %s: %v%s (%d messages are stored)", e.Line, e.Subject, e.Err, hint, e.Stored)
}

func (e *PublishError) Unwrap() error { return e.Err }

// Publisher publishes messages to JetStream in order and waits for every acknowledgement, many in flight. The first
// failure is kept, stops further publishing and is what every later call returns. It is not safe for concurrent use.
type Publisher struct {
	js     jetstream.JetStream
	queue  chan inFlight // its capacity bounds the messages in flight
	done   sync.WaitGroup
	acked  atomic.Uint64
	dups   atomic.Uint64
	sent   uint64
	bytes  atomic.Int64
	moved  chan struct{} // one token: an acknowledgement came
	closed bool

	mu  sync.Mutex
	err error
}

type inFlight struct {
	ack     jetstream.PubAckFuture
	line    int
	subject string
	size    int64
}

// NewPublisher returns a publisher; Close must be called.
func NewPublisher(js jetstream.JetStream) *Publisher {
	p := &Publisher{js: js, queue: make(chan inFlight, publishWindow-1), moved: make(chan struct{}, 1)}
	p.done.Go(p.collect)
	return p
}

// Acknowledged returns how many messages are stored, and how many of them the broker knew already by their id; safe to
// call at any time.
func (p *Publisher) Acknowledged() (stored, duplicates uint64) { return p.acked.Load(), p.dups.Load() }

// Publish sends one message without waiting for its acknowledgement. It blocks while too much is in flight. A message id
// lets the broker drop a repetition within its duplicate window; "" sends none. line names the message in errors.
func (p *Publisher) Publish(ctx context.Context, subject, msgID string, data []byte, line int) error {
	if p.closed {
		return fmt.Errorf("publishing line %d: %w", line, ErrClosed)
	}
	size := int64(len(data))
	for p.bytes.Load() > 0 && p.bytes.Load()+size > publishBytes {
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	if err := p.failure(); err != nil {
		return err
	}
	opts := []jetstream.PublishOpt{jetstream.WithStallWait(publishWait)}
	if msgID != "" {
		opts = append(opts, jetstream.WithMsgID(msgID))
	}
	f, err := p.js.PublishMsgAsync(&nats.Msg{Subject: subject, Data: data}, opts...)
	if err != nil {
		p.fail(&PublishError{Line: line, Subject: subject, Stored: p.acked.Load(), Err: err})
		return p.failure()
	}
	p.bytes.Add(size)
	select {
	case p.queue <- inFlight{f, line, subject, size}:
		p.sent++
		return nil
	case <-ctx.Done():
		// The message is on its way and its fate unknown: that is a failure, not a pause.
		p.fail(&PublishError{Line: line, Subject: subject, Stored: p.acked.Load(), Err: ctx.Err()})
		return p.failure()
	}
}

// Flush waits until everything published is acknowledged, and returns the first failure.
func (p *Publisher) Flush(ctx context.Context) error {
	for p.acked.Load() < p.sent {
		if err := p.failure(); err != nil {
			return err
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
	return p.failure()
}

// Close ends the publisher after the acknowledgements that are under way. It returns the first failure.
func (p *Publisher) Close() error {
	if !p.closed {
		p.closed = true
		close(p.queue)
		p.done.Wait()
	}
	return p.failure()
}

// wait sleeps until an acknowledgement or a failure comes.
func (p *Publisher) wait(ctx context.Context) error {
	if err := p.failure(); err != nil {
		return err
	}
	select {
	case <-p.moved:
		return p.failure()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// collect takes the acknowledgements in the order of publishing, so that the first failure is the first line's.
func (p *Publisher) collect() {
	for f := range p.queue {
		if p.failure() == nil {
			p.settle(f)
		}
		p.bytes.Add(-f.size)
		signal(p.moved)
	}
}

func (p *Publisher) settle(f inFlight) {
	t := time.NewTimer(publishWait)
	defer t.Stop()
	var err error
	select {
	case ack := <-f.ack.Ok():
		if ack.Duplicate {
			p.dups.Add(1)
		}
		p.acked.Add(1)
		return
	case err = <-f.ack.Err():
	case <-t.C:
		err = fmt.Errorf("no acknowledgement within %v", publishWait)
	}
	p.fail(&PublishError{Line: f.line, Subject: f.subject, Stored: p.acked.Load(), Err: err})
}

func (p *Publisher) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *Publisher) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
