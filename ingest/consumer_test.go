package ingest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/internal/testenv"
)

func TestConsumeFromASequence(t *testing.T) {
	_, js := brokertest.New(t)
	makeStream(t, js, nil)
	publish(t, js, 1, 1000)
	before := time.Now().Add(-time.Minute).UnixMilli()
	c := openAt(t, js, 401, ingest.ConsumerOptions{})
	m := expect(t, c, 401, 1000)
	if m.Subject != "ml.events.m" || m.Pending != 0 || m.Time < before || m.Time > time.Now().Add(time.Minute).UnixMilli() {
		t.Errorf("last message = %+v", m)
	}
	publish(t, js, 1001, 1003)
	expect(t, c, 1001, 1003)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("next at the end = %v, want the deadline", err)
	}
	publish(t, js, 1004, 1004)
	expect(t, c, 1004, 1004)
	if c.Recreated() != 0 {
		t.Errorf("began again %d times", c.Recreated())
	}
	now, last, err := ingest.BrokerNow(deadline(t), js, stream)
	if err != nil || last != 1004 || now < before {
		t.Errorf("BrokerNow = %d, %d, %v", now, last, err)
	}
	c.Close()
	if _, err := c.Next(deadline(t)); !errors.Is(err, ingest.ErrClosed) {
		t.Errorf("next after close = %v", err)
	}
}

// A slow reader of large messages: what is in flight stays below the server's limit, and nothing is dropped.
func TestSlowReaderOfLargeMessages(t *testing.T) {
	_, js := brokertest.New(t)
	makeStream(t, js, nil)
	p := ingest.NewPublisher(js)
	const n = 60
	for i := range n { // 120 MB in messages of 2 MB
		if err := p.Publish(deadline(t), "ml.events.m", "", make([]byte, 2<<20), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(p.Flush(deadline(t)), p.Close()); err != nil {
		t.Fatal(err)
	}
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for i := range n {
		m, err := c.Next(deadline(t))
		if err != nil || m.Seq != uint64(i+1) || len(m.Data) != 2<<20 {
			t.Fatalf("message %d: %v", i+1, err)
		}
		<-tick.C
	}
	if c.Recreated() != 0 {
		t.Errorf("began again %d times", c.Recreated())
	}
}

func TestInteriorGapIsReportedOnce(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, nil)
	publish(t, js, 1, 30)
	for _, seq := range []uint64{11, 12, 13, 20} {
		if err := s.DeleteMsg(deadline(t), seq); err != nil {
			t.Fatal(err)
		}
	}
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	expect(t, c, 1, 10)
	wantGap(t, c, 11, 13)
	expect(t, c, 14, 19)
	wantGap(t, c, 20, 20)
	expect(t, c, 21, 30)
}

// Many messages at a time are the same ones in the same order, and a gap ends what is given at a time.
func TestSomeAtATime(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, nil)
	const last, most = 100, 7
	publish(t, js, 1, last)
	if err := s.DeleteMsg(deadline(t), 50); err != nil {
		t.Fatal(err)
	}
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	calls := 0
	for next := uint64(1); next <= last; {
		some, err := c.NextSome(deadline(t), time.Time{}, make([]ingest.Message, 0, most))
		var gap *ingest.GapError
		switch {
		case errors.As(err, &gap) && next == 50 && gap.From == 50 && gap.To == 50 && len(some) == 0:
			next = 51
			continue
		case err != nil || len(some) == 0 || len(some) > most:
			t.Fatalf("at %d: %d messages, %v", next, len(some), err)
		}
		calls++
		for _, m := range some {
			if m.Seq != next || next == 50 {
				t.Fatalf("got message %d, want %d", m.Seq, next)
			}
			next++
		}
	}
	if calls == last-1 {
		t.Errorf("every call gave one message")
	}
}

func wantGap(t *testing.T, c *ingest.Consumer, from, to uint64) {
	t.Helper()
	m, err := c.Next(deadline(t))
	var gap *ingest.GapError
	if !errors.As(err, &gap) || gap.From != from || gap.To != to || gap.Lost() != to-from+1 {
		t.Fatalf("next = %+v, %v; want *GapError %d to %d", m, err, from, to)
	}
}

func TestRetentionOverran(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, nil)
	publish(t, js, 1, 100)
	if err := s.Purge(deadline(t), jetstream.WithPurgeSequence(91)); err != nil { // 91 is the first that stays
		t.Fatal(err)
	}
	c := openAt(t, js, 50, ingest.ConsumerOptions{})
	wantGap(t, c, 50, 90)
	expect(t, c, 91, 100)
	// Everything is removed behind the reader's back.
	publish(t, js, 101, 110)
	expect(t, c, 101, 105)
	if err := s.Purge(deadline(t)); err != nil {
		t.Fatal(err)
	}
	publish(t, js, 111, 111)
	for { // what was delivered before the purge may still come
		m, err := c.Next(deadline(t))
		if gap, ok := errors.AsType[*ingest.GapError](err); ok {
			if gap.To != 110 {
				t.Errorf("gap = %+v, want its end at 110", gap)
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Seq == 111 {
			return
		}
	}
	expect(t, c, 111, 111)
}

func TestStreamCreatedAgain(t *testing.T) {
	_, js := brokertest.New(t)
	makeStream(t, js, nil)
	publish(t, js, 1, 10)
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	last := expect(t, c, 1, 10)
	id := ingest.Identity{Stream: stream, Created: c.Created()}.At(last)
	if err := ingest.Verify(deadline(t), js, id); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(deadline(t), stream); err != nil {
		t.Fatal(err)
	}
	makeStream(t, js, nil)
	publish(t, js, 1, 20)
	wantIdentity(t, ingest.Verify(deadline(t), js, id), "created")
	_, err := c.Next(deadline(t))
	wantIdentity(t, err, "created")
	_, err = openAt(t, js, 11, ingest.ConsumerOptions{Identity: id}).Next(deadline(t))
	wantIdentity(t, err, "created")
}

func wantIdentity(t *testing.T, err error, check string) {
	t.Helper()
	var id *ingest.IdentityError
	if !errors.As(err, &id) || id.Check != check || id.Remedy == "" {
		t.Fatalf("error = %v, want *IdentityError about %s", err, check)
	}
}

func TestVerify(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, func(c *jetstream.StreamConfig) { c.AllowDirect = true })
	publish(t, js, 1, 20)
	fresh, err := ingest.IdentityOf(deadline(t), js, stream)
	if err != nil {
		t.Fatal(err)
	}
	m := expect(t, openAt(t, js, 10, ingest.ConsumerOptions{}), 10, 10)
	id := fresh.At(m)
	for name, good := range map[string]ingest.Identity{"fresh": fresh, "at 10": id} {
		if err := ingest.Verify(deadline(t), js, good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := id
	bad.Hash = ingest.HashOf([]byte("another"))
	wantIdentity(t, ingest.Verify(deadline(t), js, bad), "message 10")
	bad = id
	bad.Time++
	wantIdentity(t, ingest.Verify(deadline(t), js, bad), "message 10")
	bad = id
	bad.Seq = 21
	wantIdentity(t, ingest.Verify(deadline(t), js, bad), "last_seq")
	if err := s.DeleteMsg(deadline(t), 10); err != nil {
		t.Fatal(err)
	}
	wantIdentity(t, ingest.Verify(deadline(t), js, id), "message 10")
	if err := s.Purge(deadline(t), jetstream.WithPurgeSequence(11)); err != nil {
		t.Fatal(err)
	}
	if err := ingest.Verify(deadline(t), js, id); err != nil {
		t.Errorf("retention up to the position itself loses nothing: %v", err)
	}
	if err := s.Purge(deadline(t), jetstream.WithPurgeSequence(15)); err != nil {
		t.Fatal(err)
	}
	var gap *ingest.GapError
	if err := ingest.Verify(deadline(t), js, id); !errors.As(err, &gap) || gap.From != 11 || gap.To != 14 {
		t.Errorf("retention beyond the position = %v, want a gap of 11 to 14", err)
	}
}

// The server forgets the consumer; the reader begins again and loses nothing.
func TestDeletedConsumerIsReplaced(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, nil)
	publish(t, js, 1, 5)
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	expect(t, c, 1, 5)
	for name := range s.ConsumerNames(deadline(t)).Name() {
		if err := s.DeleteConsumer(deadline(t), name); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, js, 6, 10)
	expect(t, c, 6, 10)
	if c.Recreated() == 0 {
		t.Error("the deletion was not noticed")
	}
}

// The line is cut again and again while messages are read. AckNone messages in flight are gone; none is missed.
func TestCutConnectionsLoseNothing(t *testing.T) {
	e := brokertest.Start(t, "")
	_, direct := brokertest.Connect(t, e.URL(), e.Token())
	makeStream(t, direct, nil)
	publish(t, direct, 1, 20_000)
	p := brokertest.NewProxy(t, e.URL())
	_, js := brokertest.Connect(t, p.URL(), e.Token())
	c := openAt(t, js, 1, ingest.ConsumerOptions{PullBytes: 1 << 20})
	for n := 1; n <= 20_000; n++ {
		expect(t, c, n, n)
		if n%5000 == 2500 {
			p.SetDown(true)
			p.SetDown(false)
		}
	}
}

// nextAtOnce asks again and again without time to wait.
func nextAtOnce(t *testing.T, c *ingest.Consumer) (m ingest.Message, err error) {
	t.Helper()
	testenv.Eventually(t, 60*time.Second, "a message, or an error", func() bool {
		m, err = c.NextUntil(t.Context(), time.Now())
		return !errors.Is(err, ingest.ErrNoMessage)
	})
	return m, err
}

// A caller that never has time to wait reads on all the same: behind gaps, where the consumer begins again, and after an outage
// that was longer than the waits between the tries to open it.
func TestShortWaitsDoNotKeepItFromReading(t *testing.T) {
	e := brokertest.Start(t, "")
	_, direct := brokertest.Connect(t, e.URL(), e.Token())
	s := makeStream(t, direct, nil)
	publish(t, direct, 1, 30)
	for _, seq := range []uint64{11, 20} {
		if err := s.DeleteMsg(deadline(t), seq); err != nil {
			t.Fatal(err)
		}
	}
	p := brokertest.NewProxy(t, e.URL())
	_, js := brokertest.Connect(t, p.URL(), e.Token())
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	p.SetDown(true)
	testenv.Eventually(t, 10*time.Second, "the connection is cut", func() bool { return !js.Conn().IsConnected() })
	for range 10 { // as often as it takes for the longest wait between two tries
		if _, err := c.NextUntil(t.Context(), time.Now().Add(100*time.Millisecond)); !errors.Is(err, ingest.ErrNoMessage) {
			t.Fatalf("next while the broker is away = %v, want ErrNoMessage", err)
		}
	}
	p.SetDown(false)
	for want := uint64(1); want <= 30; want++ {
		m, err := nextAtOnce(t, c)
		var gap *ingest.GapError
		switch {
		case want == 11 || want == 20:
			if !errors.As(err, &gap) || gap.From != want || gap.To != want {
				t.Fatalf("next = %+v, %v; want the gap at %d", m, err, want)
			}
		case err != nil || m.Seq != want:
			t.Fatalf("next = %+v, %v; want message %d", m, err, want)
		}
	}
}

func TestRestartedBroker(t *testing.T) {
	dir := t.TempDir()
	e := brokertest.Start(t, dir)
	p := brokertest.NewProxy(t, e.URL())
	_, js := brokertest.Connect(t, p.URL(), e.Token())
	makeStream(t, js, nil)
	publish(t, js, 1, 100)
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	expect(t, c, 1, 50)
	p.SetDown(true)
	e.Shutdown()
	e = brokertest.Start(t, dir)
	p.Retarget(t, e.URL())
	p.SetDown(false)
	expect(t, c, 51, 100)
	testenv.Eventually(t, 10*time.Second, "reconnected", js.Conn().IsConnected)
	publish(t, js, 101, 105)
	expect(t, c, 101, 105)
}

// The broker comes back from an older copy of its files and uses sequences again, all while nobody reads. Sequences alone would
// go on as if nothing had happened; the message that was read last tells.
func TestRolledBackBroker(t *testing.T) {
	dir, old := t.TempDir(), filepath.Join(t.TempDir(), "old")
	e := brokertest.Start(t, dir)
	p := brokertest.NewProxy(t, e.URL())
	_, js := brokertest.Connect(t, p.URL(), e.Token())
	makeStream(t, js, nil)
	publish(t, js, 1, 90)
	e.Shutdown()
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	restart := func(dir string) {
		p.SetDown(true)
		e.Shutdown()
		e = brokertest.Start(t, dir)
		p.Retarget(t, e.URL())
		p.SetDown(false)
		testenv.Eventually(t, 10*time.Second, "reconnected", js.Conn().IsConnected)
	}
	restart(dir)
	publish(t, js, 91, 100)
	c := openAt(t, js, 1, ingest.ConsumerOptions{})
	last := expect(t, c, 1, 100)
	id := ingest.Identity{Stream: stream, Created: c.Created()}.At(last)
	restart(old)
	wantIdentity(t, ingest.Verify(deadline(t), js, id), "last_seq")
	publish(t, js, 1091, 1120) // in the place of 91 to 100, and further
	wantIdentity(t, ingest.Verify(deadline(t), js, id), "message 100")
	_, err := c.Next(deadline(t))
	wantIdentity(t, err, "message 100")
}
