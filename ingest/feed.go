package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// errSilent says that no message came for idleCheck. It is a question, not a fault.
var errSilent = errors.New("no message for a while")

var errBadReply = errors.New("the reply subject of a message is not understood")

// feedBytes is how much the queue holds before the library's reader has to wait. It adds to what is pulled.
const feedBytes = 4 << 20

// feed hands the messages of one JetStream consumer from the library's goroutine to the reader, many at a time, and
// remembers the first error. A reader that falls behind blocks the library, which then pulls no more: memory is bounded by
// the bytes of a pull and of the queue.
type feed struct {
	cc jetstream.ConsumeContext

	mu    sync.Mutex
	queue []Message
	bytes int
	err   error

	ready chan struct{} // one token: there is something to take
	space chan struct{} // one token: there is room again
	quit  chan struct{}

	// The reader's own side.
	batch  []Message
	pos    int
	timer  *time.Timer
	silent time.Time // when there was no message for idleCheck, over however many calls
}

func newFeed(cons jetstream.Consumer, pullBytes int) (*feed, error) {
	f := &feed{
		ready: make(chan struct{}, 1), space: make(chan struct{}, 1), quit: make(chan struct{}),
		timer: time.NewTimer(idleCheck), silent: time.Now().Add(idleCheck),
	}
	cc, err := cons.Consume(f.take, jetstream.PullMaxBytes(pullBytes), jetstream.PullHeartbeat(heartbeat),
		jetstream.PullExpiry(pullExpiry), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) { f.fail(err) }))
	if err != nil {
		return nil, fmt.Errorf("pulling: %w", err)
	}
	f.cc = cc
	return f, nil
}

// take runs on the library's goroutine.
func (f *feed) take(m jetstream.Msg) {
	d, ok := parseReply(m.Reply())
	if !ok {
		f.fail(errBadReply)
		return
	}
	msg := Message{
		Seq: d.streamSeq, Subject: m.Subject(), Time: d.timeNS / int64(time.Millisecond), Data: m.Data(), Retry: m.Headers().Get(HeaderRetry),
		Source: m.Headers().Get(headerSource), Pending: d.pending,
	}
	f.mu.Lock()
	f.queue = append(f.queue, msg)
	first := len(f.queue) == 1
	f.bytes += len(msg.Data) + len(msg.Subject)
	full := f.bytes > feedBytes
	f.mu.Unlock()
	if first { // the reader takes all at once, and looks before it waits
		signal(f.ready)
	}
	for full {
		select {
		case <-f.space:
		case <-f.quit:
			return
		}
		f.mu.Lock()
		full = f.bytes > feedBytes
		f.mu.Unlock()
	}
}

// fail remembers the first error; what came before it is still read.
func (f *feed) fail(err error) {
	f.mu.Lock()
	if f.err == nil {
		f.err = err
	}
	f.mu.Unlock()
	signal(f.ready)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// next waits no longer than until, which is ErrNoMessage; the zero time is never.
func (f *feed) next(ctx context.Context, until time.Time) (Message, error) {
	for f.pos == len(f.batch) {
		if err := f.refill(ctx, until); err != nil {
			return Message{}, err
		}
	}
	m := f.batch[f.pos]
	f.skip()
	return m, nil
}

// peek returns the next message if it is at hand, else nil.
func (f *feed) peek() *Message {
	if f.pos == len(f.batch) {
		return nil
	}
	return &f.batch[f.pos]
}

// skip steps behind the message that peek returned.
func (f *feed) skip() {
	f.batch[f.pos] = Message{} // the payload may be collected
	f.pos++
}

// refill swaps the reader's empty batch for everything that is queued.
func (f *feed) refill(ctx context.Context, until time.Time) error {
	f.mu.Lock()
	if len(f.queue) > 0 {
		f.batch, f.queue, f.pos = f.queue, f.batch[:0], 0
		f.bytes = 0
		f.mu.Unlock()
		signal(f.space)
		f.silent = time.Now().Add(idleCheck)
		return nil
	}
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	wake, why := f.silent, errSilent
	if !until.IsZero() && until.Before(wake) {
		wake, why = until, ErrNoMessage
	}
	f.timer.Reset(time.Until(wake))
	select {
	case <-f.ready:
		return nil
	case <-f.timer.C:
		if errors.Is(why, errSilent) {
			f.silent = time.Now().Add(idleCheck)
		}
		return why
	case <-ctx.Done():
		return ctx.Err()
	}
}

// empty says whether nothing waits for the reader.
func (f *feed) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pos == len(f.batch) && len(f.queue) == 0
}

// close stops pulling and waits until the library has let go.
func (f *feed) close() {
	close(f.quit)
	f.timer.Stop()
	f.cc.Stop()
	<-f.cc.Closed()
}
