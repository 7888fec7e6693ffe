package ingest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	outboxStream     = "DRIFTD_OUTBOX" // journal.OutboxStream; a test keeps them equal, shell packages do not import one another
	transitionFilter = "driftd.transition.>"
	sinkAckWait      = 10 * time.Second // so long, after a kill, do the documents wait that the killed process had fetched
	sinkMaxPending   = 20_000
	sinkChunk        = 32       // messages of at most 1 MiB: below the server's 64 MiB of pending bytes for a client
	sinkBytes        = 16 << 20 // of one Fetch, after which it returns what it has
	sinkPoll         = 5 * time.Second
)

// OutboxMsg is one committed document on its way to a sink.
type OutboxMsg struct {
	Subject    string // driftd.result.<model> or driftd.transition.<model>
	ID         string // message id: writing the same id again must change nothing
	Seq        uint64 // in the outbox
	Time       int64  // when it got there, Unix milliseconds of the broker
	Deliveries uint64 // 1: the first time
	Data       []byte

	msg  jetstream.Msg
	sink *Sink
}

// Ack says that the sink has stored the document.
func (m OutboxMsg) Ack() error { return m.msg.Ack() }

// Working asks for another ten seconds before the document is delivered again: a slow sink calls it while it writes.
func (m OutboxMsg) Working() error { return m.msg.InProgress() }

// Nak gives the document back, to be delivered again after a delay.
func (m OutboxMsg) Nak(delay time.Duration) error {
	m.sink.giveBack(m.Seq)
	return m.msg.NakWithDelay(delay)
}

// Sink reads the outbox for one store or notifier, at least once and in whatever order retries need. One goroutine may use it;
// Lost, Pending and Look may be called from others.
type Sink struct {
	filtered bool // it reads a part of the outbox: holes in the sequence say nothing
	js       jetstream.JetStream
	cons     jetstream.Consumer
	name     string
	lost     atomic.Uint64
	// shared: other processes read with the same durable name, so that a gap in what this one gets is no loss.
	shared bool

	mu   sync.Mutex
	high uint64          // highest sequence that was ever delivered to this sink, or is known to have expired before
	back map[uint64]bool // given back, and not delivered again yet
}

// Outbox returns the sink with a durable name of [A-Za-z0-9_-]; it is created on first use and then begins at the oldest
// document of the outbox.
func Outbox(ctx context.Context, js jetstream.JetStream, durable string) (*Sink, error) {
	return open(ctx, js, durable, "")
}

// Transitions is Outbox for changes of incidents alone.
func Transitions(ctx context.Context, js jetstream.JetStream, durable string) (*Sink, error) {
	return open(ctx, js, durable, transitionFilter)
}

func open(ctx context.Context, js jetstream.JetStream, durable, filter string) (*Sink, error) {
	cons, err := js.Consumer(ctx, outboxStream, durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		cons, err = js.CreateConsumer(ctx, outboxStream, jetstream.ConsumerConfig{
			Durable: durable, Description: "driftd: sink of committed results", AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: sinkAckWait, MaxDeliver: -1, MaxAckPending: sinkMaxPending, DeliverPolicy: jetstream.DeliverAllPolicy,
			FilterSubject: filter,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("opening outbox for %s: %w", durable, err)
	}
	info := cons.CachedInfo()
	if info.Config.AckPolicy != jetstream.AckExplicitPolicy || info.Config.FilterSubject != filter || info.Config.MaxDeliver > 0 {
		return nil, fmt.Errorf("opening outbox for %s: a consumer of this name exists with other settings: "+
			"delete it with `nats consumer rm %s %s` or choose another name", durable, outboxStream, durable)
	}
	s := &Sink{js: js, cons: cons, name: durable, filtered: filter != "", high: info.Delivered.Stream, back: map[uint64]bool{}} //nolint:exhaustruct // nothing lost yet
	stream, err := js.Stream(ctx, outboxStream)
	if err != nil {
		return nil, fmt.Errorf("opening outbox for %s: %w", durable, err)
	}
	first := max(stream.CachedInfo().State.FirstSeq, 1)
	switch {
	case info.Delivered.Consumer == 0:
		s.high = first - 1 // nothing was delivered yet: what expired before is not this sink's loss
	case first > s.high+1:
		s.lost.Add(uint64(max(0, info.NumAckPending))) // all that an earlier process had and did not store
	}
	return s, nil
}

// SharedOutbox is Outbox for a store that several processes write to: they share the durable name, and each document goes to
// one of them.
func SharedOutbox(ctx context.Context, js jetstream.JetStream, durable string) (*Sink, error) {
	s, err := Outbox(ctx, js, durable)
	if err == nil {
		s.shared = true
	}
	return s, err
}

// Standing says how far a sink is behind the outbox.
type Standing struct {
	Waiting uint64  // documents that it has not acknowledged
	Share   float64 // of the documents that the outbox keeps
}

// Look asks how far the sink is behind, and counts what has expired since the last look.
func (s *Sink) Look(ctx context.Context) (Standing, error) {
	stream, err := s.js.Stream(ctx, outboxStream)
	if err != nil {
		return Standing{}, fmt.Errorf("reading outbox for %s: %w", s.name, err)
	}
	info, err := s.cons.Info(ctx)
	if err != nil {
		return Standing{}, fmt.Errorf("reading outbox for %s: %w", s.name, err)
	}
	if s.shared {
		s.reach(info.Delivered.Stream)
	}
	waiting := waitingOf(info)
	state := stream.CachedInfo().State
	s.expire(max(state.FirstSeq, 1))
	return Standing{Waiting: waiting, Share: float64(waiting) / float64(max(1, state.Msgs))}, nil
}

// reach notes how far the sharing processes have come together.
func (s *Sink) reach(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.high = max(s.high, seq)
}

// expire counts the documents before first that this sink has not stored: they are gone.
func (s *Sink) expire(first uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filtered {
		return // which of the others were meant for this sink cannot be known
	}
	for seq := range s.back {
		if seq < first {
			s.lost.Add(1)
			delete(s.back, seq)
		}
	}
	if first > s.high+1 {
		s.lost.Add(first - s.high - 1)
		s.high = first - 1
	}
}

// giveBack notes a document that the sink could not store. What it has in hand may still be stored after it expired.
func (s *Sink) giveBack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back[seq] = true
}

// take notes a document that was delivered.
func (s *Sink) take(seq uint64, firstTime bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.back, seq)
	if s.filtered {
		return
	}
	if firstTime && seq > s.high {
		// The outbox has no holes of its own: what is missing has expired.
		if !s.shared {
			s.lost.Add(seq - s.high - 1)
		}
		s.high = seq
	}
}

// Lost returns how many documents the outbox's bounds removed before this sink stored them, as far as seen by this process.
func (s *Sink) Lost() uint64 { return s.lost.Load() }

// Pending returns how many documents this sink has not acknowledged: not delivered yet, and delivered.
func (s *Sink) Pending(ctx context.Context) (uint64, error) {
	info, err := s.cons.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading outbox for %s: %w", s.name, err)
	}
	return waitingOf(info), nil
}

func waitingOf(info *jetstream.ConsumerInfo) uint64 {
	return info.NumPending + uint64(max(0, info.NumAckPending))
}

// Fetch returns at least one and at most limit documents (and not much more than 16 MiB), and waits for the first as long
// as ctx lives. Each must be acknowledged or given back within ten seconds, else it comes again.
func (s *Sink) Fetch(ctx context.Context, limit int) ([]OutboxMsg, error) {
	limit = max(1, limit)
	var out []OutboxMsg
	for size := 0; len(out) < limit && size < sinkBytes; {
		got, err := s.chunk(ctx, min(sinkChunk, limit-len(out)), len(out) == 0)
		out = append(out, got...)
		switch {
		case len(out) > 0 && (err != nil || len(got) == 0):
			return out, nil //nolint:nilerr // what was fetched is handed out; a lasting fault shows at the next call
		case err != nil:
			return nil, fmt.Errorf("reading outbox for %s: %w", s.name, err)
		}
		for _, m := range got {
			size += len(m.Data)
		}
	}
	return out, nil
}

// chunk takes what is there, or with wait the first document that comes.
func (s *Sink) chunk(ctx context.Context, n int, wait bool) ([]OutboxMsg, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	batch, err := s.cons.FetchNoWait(n)
	if err != nil {
		return nil, err
	}
	out, err := s.collect(batch)
	if err != nil || len(out) > 0 || !wait {
		return out, err
	}
	wctx, cancel := context.WithTimeout(ctx, sinkPoll)
	defer cancel()
	if d, ok := wctx.Deadline(); ok && time.Until(d) < time.Millisecond {
		<-ctx.Done() // the library refuses a context that ends right now
		return nil, ctx.Err()
	}
	if batch, err = s.cons.Fetch(1, jetstream.FetchContext(wctx)); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	out, err = s.collect(batch)
	if len(out) == 0 && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		return nil, ctx.Err() // nil: only this wait is over
	}
	return out, err
}

func (s *Sink) collect(batch jetstream.MessageBatch) ([]OutboxMsg, error) {
	var out []OutboxMsg
	for m := range batch.Messages() {
		md, err := m.Metadata()
		if err != nil {
			return out, err
		}
		seq := md.Sequence.Stream
		s.take(seq, md.NumDelivered == 1)
		out = append(out, OutboxMsg{
			Subject: m.Subject(), ID: m.Headers().Get(jetstream.MsgIDHeader), Seq: seq, Time: md.Timestamp.UnixMilli(),
			Deliveries: md.NumDelivered, Data: m.Data(), msg: m, sink: s,
		})
	}
	return out, batch.Error()
}
