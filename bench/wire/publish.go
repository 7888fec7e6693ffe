package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	publishTick  = time.Millisecond
	patterns     = 10_000           // different events that are sent by turns, each time with another id
	ackEvery     = 255              // messages; odd, as the readers look at each 64th, which must not be always one that is acknowledged
	ahead        = 16 * ackEvery    // messages that are sent and not known to be stored, a fraction of what the broker queues before it drops them
	settle       = time.Second      // what was sent is stored and counted
	storedWithin = 20 * time.Second // behind the end
)

// due returns how many messages should be sent after so long at a rate, but no more than so many ahead of the stored ones. An infinite rate is as fast
// as they are stored.
func due(rate float64, since time.Duration, stored int) int {
	most := stored + ahead
	if n := rate * since.Seconds(); n < float64(most) {
		return int(n)
	}
	return most
}

// acks is what the broker says to the last message of every burst; the others have no acknowledgement, so that publishing takes little of the machine
// that it shares with broker and daemon.
type acks struct {
	inbox  string
	before uint64       // the stream's last sequence before the first message
	stored atomic.Int64 // messages
	failed chan error   // the first failure
}

func (a *acks) received(m *nats.Msg) {
	if err := a.take(strings.TrimPrefix(m.Subject, a.inbox), m.Data); err != nil {
		select {
		case a.failed <- err:
		default: // there was one before
		}
	}
}

// take reads the acknowledgement of message number n. A stream is of one publisher: if all before n were stored, n has the sequence that is due.
func (a *acks) take(n string, data []byte) error {
	sent, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	var ack struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := decode(data, &ack); {
	case err != nil:
		return fmt.Errorf("acknowledgement of event %d: %w", sent, err)
	case ack.Error != nil:
		return fmt.Errorf("storing event %d: %s", sent, ack.Error.Description)
	case ack.Seq != a.before+uint64(sent):
		return fmt.Errorf("event %d was stored as number %d", sent, int64(ack.Seq-a.before))
	}
	a.stored.Store(int64(sent))
	return nil
}

// pace is how publishing went.
type pace struct {
	rate float64       // messages a second
	late time.Duration // behind what the rate asks for, at most; of a finite rate
}

// publish sends single events at a rate, but not more than the broker stores, until it is told to stop, and then looks whether all of them were stored.
func (b *broker) publish(ctx context.Context, g *generator, stream, subject string, rate float64, stop <-chan struct{}) (p pace, err error) {
	before, err := b.stored(ctx, stream)
	if err != nil {
		return p, err
	}
	a := &acks{inbox: nats.NewInbox() + ".", before: before, failed: make(chan error, 1)} //nolint:exhaustruct // nothing is stored yet
	sub, err := b.nc.Subscribe(a.inbox+"*", a.received)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, sub.Unsubscribe()) }()
	made := make([][]byte, patterns)
	for i := range made {
		made[i] = g.ndjson(1)
	}
	tick := time.NewTicker(publishTick)
	defer tick.Stop()
	begin, sent := time.Now(), 0
	for going := true; going; {
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case err := <-a.failed:
			return p, err
		case <-stop:
			going = false
		case <-tick.C:
		}
		since := time.Since(begin)
		if !math.IsInf(rate, 1) {
			p.late = max(p.late, since-time.Duration(float64(sent)/rate*float64(time.Second)))
		}
		for n := due(rate, since, int(a.stored.Load())); sent < n; {
			data := made[sent%patterns]
			renew(data, g.n, beginning+int64(g.n)*g.step)
			g.n++
			sent++
			if sent%ackEvery == 0 {
				err = b.nc.PublishRequest(subject, a.inbox+strconv.Itoa(sent), data)
			} else {
				err = b.nc.Publish(subject, data)
			}
			if err != nil {
				return p, err
			}
		}
	}
	p.rate = float64(sent) / time.Since(begin).Seconds()
	if err := b.nc.Flush(); err != nil {
		return p, err
	}
	for end := time.Now().Add(storedWithin); ; { // the broker takes messages before it stores them
		if err := pause(ctx, settle); err != nil {
			return p, err
		}
		after, err := b.stored(ctx, stream)
		switch {
		case err != nil:
			return p, err
		case int(after-before) == sent:
			return p, nil
		case time.Now().After(end):
			return p, fmt.Errorf("stream %s stored %d of %d events", stream, after-before, sent)
		}
	}
}

// stored returns the last sequence of a stream.
func (b *broker) stored(ctx context.Context, stream string) (uint64, error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.LastSeq, nil
}

// storedAt returns when the broker stored a message.
func (b *broker) storedAt(ctx context.Context, stream string, seq uint64) (at time.Time, err error) {
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return at, err
	}
	m, err := s.GetMsg(ctx, seq)
	if err != nil {
		return at, fmt.Errorf("reading message %d of %s: %w", seq, stream, err)
	}
	return m.Time, nil
}

// renew gives an event of ndjson(1) another id, by its number, and another time of as many digits.
func renew(data []byte, number int, time int64) {
	id := bytes.Index(data, []byte(`"id":"`)) + len(`"id":"`)
	ts := bytes.Index(data, []byte(`"ts":`)) + len(`"ts":`)
	const digits = "0123456789abcdef"
	for i, n := 0, number; i < 8; i, n = i+1, n>>4 {
		data[id+i] = digits[n&15]
	}
	strconv.AppendInt(data[ts:ts], time, 10)
}

// after returns what is closed when the time is over.
func after(d time.Duration) <-chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(d, func() { close(done) })
	return done
}
