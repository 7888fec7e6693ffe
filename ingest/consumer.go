package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	defaultPullBytes = 16 << 20
	maxPullBytes     = 32 << 20 // the server cuts a client off at 64 MiB of pending bytes, and AckNone messages are gone then
	heartbeat        = 5 * time.Second
	pullExpiry       = 30 * time.Second
	idleCheck        = 10 * time.Second // of silence, after which the stream is asked whether it really has nothing more
	forgetAfter      = 5 * time.Minute  // the server deletes the consumer of a reader that vanished
	apiTimeout       = 5 * time.Second
)

// HeaderRetry is the header of a message that repeats a dead letter: its pointer, SEQ.INDEX.
const HeaderRetry = "Driftd-Retry"

// headerSource is the broker's header of a message that it sourced from another stream.
const headerSource = "Nats-Stream-Source"

// Message is one message of an input stream. Data belongs to the receiver.
type Message struct {
	Seq     uint64
	Subject string
	Time    int64 // broker's time, Unix milliseconds
	Data    []byte
	Retry   string // value of HeaderRetry
	Source  string // where the broker sourced it from: its stream, sequence, filter and more; empty: it was published here
	Pending uint64 // messages that the stream had behind this one when it was delivered
}

// ConsumerOptions of a consumer; the zero value is good.
type ConsumerOptions struct {
	// Identity of the checkpoint that is continued. Without one (zero Created) the stream is taken as it is found.
	Identity  Identity
	PullBytes int          // bytes asked for at a time, 1 to 32 MiB; default 16 MiB, and never less than two messages
	Logger    *slog.Logger // nil discards
}

// Consumer reads a stream from a sequence on, whole and in order. Each message follows the last one by exactly one; when
// the broker skips, repeats or falls silent, the consumer begins again behind the last good message, and reports only what
// the stream really lacks. Nothing is acknowledged: the position is the caller's. It is not safe for concurrent use.
type Consumer struct {
	js     jetstream.JetStream
	stream string
	opts   ConsumerOptions
	id     Identity // Created of the stream; Seq is the last message handed out
	last   Message  // the last one handed out, if it was not lost

	feed   *feed
	name   string    // of the present consumer on the server
	fails  int       // openings in a row that brought no message
	again  time.Time // when to open next; zero: at once
	doubt  uint64    // the sequence that the stream seemed to have, and the consumer did not deliver, at the last silence
	closed bool

	recreated atomic.Uint64
}

// OpenConsumer starts reading at fromSeq (1: the beginning). Where the stream no longer has it, the first Next says so.
func OpenConsumer(ctx context.Context, js jetstream.JetStream, stream string, fromSeq uint64, opts ConsumerOptions) (*Consumer, error) {
	if fromSeq == 0 {
		return nil, fmt.Errorf("opening consumer of %s: sequences start at 1", stream)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.PullBytes <= 0 {
		opts.PullBytes = defaultPullBytes
	}
	opts.PullBytes = min(max(opts.PullBytes, 2*int(js.Conn().MaxPayload()), 1<<20), maxPullBytes)
	c := &Consumer{js: js, stream: stream, opts: opts, id: opts.Identity}
	if c.id.Created.IsZero() {
		id, err := IdentityOf(ctx, js, stream)
		if err != nil {
			return nil, fmt.Errorf("opening consumer: %w", err)
		}
		c.id = id
	}
	c.id.Stream, c.id.Seq = stream, fromSeq-1
	return c, nil
}

// Recreated returns how often the consumer had to begin again; safe to call at any time.
func (c *Consumer) Recreated() uint64 { return c.recreated.Load() }

// Created returns when the stream that is read was created.
func (c *Consumer) Created() time.Time { return c.id.Created }

// Next returns the next message, and waits for it as long as ctx lives. *GapError: messages are lost, the next call
// continues behind them. *IdentityError: this is another stream, or it was rolled back; no call will succeed.
func (c *Consumer) Next(ctx context.Context) (Message, error) { return c.NextUntil(ctx, time.Time{}) }

// NextUntil is Next that waits no longer than until and then returns ErrNoMessage; the zero time is never. Only waiting ends
// there: what must be asked of the broker, such as opening again, takes the time it takes, else a caller that never has long
// would never read again.
func (c *Consumer) NextUntil(ctx context.Context, until time.Time) (Message, error) {
	for {
		if c.closed {
			return Message{}, fmt.Errorf("reading stream %s: %w", c.stream, ErrClosed)
		}
		if c.feed == nil {
			if err := c.open(ctx, until); err != nil {
				return Message{}, err
			}
		}
		m, err := c.feed.next(ctx, until)
		switch {
		case err == nil && m.Seq == c.id.Seq+1:
			c.id.Seq, c.last, c.fails, c.again = m.Seq, m, 0, time.Time{}
			return m, nil
		case err == nil:
			if err := c.discontinuous(ctx, m.Seq); err != nil {
				return Message{}, err
			}
		case errors.Is(err, errSilent):
			c.checkSilence(ctx)
		case errors.Is(err, ErrNoMessage):
			return Message{}, err
		case ctx.Err() != nil:
			return Message{}, ctx.Err()
		default:
			c.restart(ctx, "the consumer failed", err)
		}
	}
}

// someBytes bounds how much NextSome returns at a time.
const someBytes = 256 << 10

// NextSome appends the next message to some, for which it waits as NextUntil does, and those behind it that are there already, as far as the
// capacity of some and 256 KiB go. It returns none only with an error.
func (c *Consumer) NextSome(ctx context.Context, until time.Time, some []Message) ([]Message, error) {
	m, err := c.NextUntil(ctx, until)
	if err != nil {
		return some, err
	}
	some = append(some, m)
	for size := len(m.Data); len(some) < cap(some) && size < someBytes; {
		next := c.feed.peek()
		if next == nil || next.Seq != c.id.Seq+1 {
			break // what is wrong with it, the next call says
		}
		some = append(some, *next)
		c.feed.skip()
		c.id.Seq++
		size += len(some[len(some)-1].Data)
	}
	c.last = some[len(some)-1]
	return some, nil
}

// discontinuous decides what a message means that is not the next one: an error of delivery, or a hole in the stream. Only
// the stream's leader can tell.
func (c *Consumer) discontinuous(ctx context.Context, got uint64) error {
	want := c.id.Seq + 1
	c.restart(ctx, "the sequence is not continuous", fmt.Errorf("got message %d, want %d", got, want))
	if got < want {
		return nil
	}
	return c.gapAt(ctx, want)
}

// gapAt returns *GapError if the stream has no message want but later ones, and steps over them.
func (c *Consumer) gapAt(ctx context.Context, want uint64) error {
	actx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	m, err := leaderGet(actx, c.js, c.stream, want, true)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil // nothing there yet, or everything purged: opening finds out which
	case err != nil:
		c.opts.Logger.Warn("cannot ask the stream's leader", slog.String("stream", c.stream), slog.Any("err", err))
		return nil // opening again retries
	case m.Seq == want:
		return nil
	}
	cause := "interior delete or expiry"
	if s, err := c.js.Stream(actx, c.stream); err == nil && s.CachedInfo().State.FirstSeq >= m.Seq {
		cause = causeRetention
	}
	c.id.Seq = m.Seq - 1
	return &GapError{Stream: c.stream, From: want, To: m.Seq - 1, Cause: cause}
}

// checkSilence looks whether there is something that the consumer does not deliver.
func (c *Consumer) checkSilence(ctx context.Context) {
	actx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := c.js.Stream(actx, c.stream)
	if err != nil {
		return // heartbeats and reconnects deal with a broker that is away
	}
	info := s.CachedInfo()
	if info.State.LastSeq == c.id.Seq && info.Created.Equal(c.id.Created) || !c.feed.empty() {
		return // there is nothing more, or it came just now
	}
	if next := c.id.Seq + 1; c.doubt != next {
		c.doubt = next // it may be on its way: the next silence tells
		return
	}
	c.restart(ctx, "the consumer is silent although the stream goes on", nil)
}

func (c *Consumer) restart(ctx context.Context, why string, err error) {
	c.opts.Logger.Warn("reading begins again behind the last good message", slog.String("stream", c.stream),
		slog.Uint64("seq", c.id.Seq), slog.String("why", why), slog.Any("err", err))
	c.recreated.Add(1)
	c.stop(ctx)
}

func (c *Consumer) stop(ctx context.Context) {
	if c.feed != nil {
		c.feed.close()
		c.feed = nil
		if c.js.Conn().IsConnected() { // a courtesy: the server forgets an unused consumer by itself
			dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = c.js.DeleteConsumer(dctx, c.stream, c.name)
		}
	}
}

// open checks the stream and creates a consumer behind the last good message. It retries while the broker is away, with doubling
// delays of 20 ms to 2 s, and returns ErrNoMessage where the next try is due later than until.
func (c *Consumer) open(ctx context.Context, until time.Time) error {
	for {
		if err := sleepUntil(ctx, c.again, until); err != nil {
			return err
		}
		c.fails++ // until a message arrives
		c.again = time.Now().Add(min(10*time.Millisecond<<min(c.fails, 10), 2*time.Second))
		actx, cancel := context.WithTimeout(ctx, apiTimeout)
		err := c.tryOpen(actx)
		cancel()
		var identity *IdentityError
		var gap *GapError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &gap):
			c.id.Seq = gap.To
			return err
		case errors.As(err, &identity):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		}
		c.opts.Logger.Warn("opening consumer fails", slog.String("stream", c.stream), slog.Any("err", err))
	}
}

func (c *Consumer) tryOpen(ctx context.Context) error {
	if !c.js.Conn().IsConnected() {
		return nats.ErrConnectionReconnecting // asking would wait for nothing
	}
	s, err := c.js.Stream(ctx, c.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &IdentityError{
			Stream: c.stream, Check: "created", Stored: c.id.Created.UTC().Format(time.RFC3339Nano), Found: "absent",
			Remedy: "the stream was deleted; restore it, or start the partition afresh",
		}
	}
	if err != nil {
		return err
	}
	if err := checkInfo(c.id, s.CachedInfo()); err != nil {
		return err
	}
	if c.last.Seq != 0 && c.last.Seq == c.id.Seq {
		// The broker may have been rolled back and have used sequences again while the reader was away.
		if err := verifyLast(ctx, c.js, c.id.At(c.last), s.CachedInfo()); err != nil {
			return err
		}
	}
	cons, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: c.id.Seq + 1, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: forgetAfter,
	})
	if err != nil {
		return err
	}
	f, err := newFeed(cons, c.opts.PullBytes)
	if err != nil {
		return err
	}
	c.feed, c.name = f, cons.CachedInfo().Name
	return nil
}

// Close stops reading.
func (c *Consumer) Close() {
	c.closed = true
	c.stop(context.Background())
}

// sleepUntil waits for a time, but not beyond until, which is ErrNoMessage.
func sleepUntil(ctx context.Context, at, until time.Time) error {
	late := !until.IsZero() && at.After(until)
	if late {
		at = until
	}
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	}
	if late {
		return ErrNoMessage
	}
	return nil
}
