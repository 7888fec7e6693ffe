package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

func TestPublisherWaitsForEveryAcknowledgement(t *testing.T) {
	_, js := brokertest.New(t)
	s := makeStream(t, js, nil)
	p := ingest.NewPublisher(js)
	for n := range 5000 {
		if err := p.Publish(deadline(t), "ml.events.m", fmt.Sprint("id", n/2), []byte("x"), n+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	if stored, dups := p.Acknowledged(); stored != 5000 || dups != 2500 || info.State.Msgs != 2500 {
		t.Errorf("acknowledged %d, duplicates %d, in the stream %d; want 5000, 2500, 2500", stored, dups, info.State.Msgs)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Publish(deadline(t), "ml.events.m", "", nil, 1); !errors.Is(err, ingest.ErrClosed) {
		t.Errorf("publishing after close = %v", err)
	}
}

func TestPublisherKeepsTheFirstFailureWithItsLine(t *testing.T) {
	_, js := brokertest.New(t)
	makeStream(t, js, func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 10, jetstream.DiscardNew })
	p := ingest.NewPublisher(js)
	for n := 1; n <= 50; n++ {
		if err := p.Publish(deadline(t), "ml.events.m", "", []byte("x"), n); err != nil {
			break // the failure may already be known
		}
	}
	err := p.Flush(deadline(t))
	var pe *ingest.PublishError
	if !errors.As(err, &pe) || pe.Line != 11 || pe.Stored != 10 {
		t.Fatalf("flush = %v, want *PublishError of line 11 after 10 stored messages", err)
	}
	if again := p.Close(); !errors.Is(again, err) {
		t.Errorf("close = %v, want the first failure again", again)
	}
}

func TestPublisherExplainsAMissingStream(t *testing.T) {
	_, js := brokertest.New(t)
	p := ingest.NewPublisher(js)
	if err := p.Publish(deadline(t), "nowhere", "", []byte("x"), 7); err != nil {
		t.Fatal(err)
	}
	err := p.Flush(deadline(t))
	if err == nil || !strings.Contains(err.Error(), "line 7 to nowhere") || !strings.Contains(err.Error(), "no stream captures this subject") {
		t.Errorf("flush = %v", err)
	}
	if p.Close() == nil {
		t.Error("close forgot the failure")
	}
}

func TestPublisherReportsALostConnection(t *testing.T) {
	e := brokertest.Start(t, "")
	_, direct := brokertest.Connect(t, e.URL(), e.Token())
	makeStream(t, direct, nil)
	proxy := brokertest.NewProxy(t, e.URL())
	_, js := brokertest.Connect(t, proxy.URL(), e.Token())
	p := ingest.NewPublisher(js)
	proxy.CutAfter("precious")
	if err := p.Publish(deadline(t), "ml.events.m", "", []byte("precious"), 1); err != nil {
		t.Fatal(err)
	}
	var pe *ingest.PublishError
	if err := p.Flush(deadline(t)); !errors.As(err, &pe) || pe.Line != 1 {
		t.Errorf("flush = %v, want *PublishError of line 1: its acknowledgement never came", err)
	}
	if p.Close() == nil {
		t.Error("close forgot the failure")
	}
}

func TestSink(t *testing.T) {
	_, js := brokertest.New(t)
	ctx := deadline(t)
	if err := journal.EnsureStreams(ctx, js, journal.Layout{}); err != nil { // creates the outbox by the name that Outbox opens
		t.Fatal(err)
	}
	send := func(from, to int) {
		for n := from; n <= to; n++ {
			if _, err := js.Publish(ctx, "driftd.result.m", []byte(strconv.Itoa(n)), jetstream.WithMsgID(fmt.Sprint("r", n))); err != nil {
				t.Fatal(err)
			}
		}
	}
	open := func() *ingest.Sink {
		s, err := ingest.Outbox(ctx, js, "store")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	send(1, 100)
	s := open()
	got, err := s.Fetch(ctx, 70)
	if err != nil || len(got) != 70 || got[69].ID != "r70" || got[69].Subject != "driftd.result.m" || string(got[69].Data) != "70" {
		t.Fatalf("fetch = %d messages, %v", len(got), err)
	}
	for _, m := range got[:69] {
		if err := m.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := got[69].Nak(0); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for len(seen) < 31 { // 70 again, and 71 to 100
		if got, err = s.Fetch(ctx, 1000); err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			seen[m.ID] = true
			if err := m.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !seen["r70"] || !seen["r100"] || s.Lost() != 0 {
		t.Errorf("seen %v, lost %d", seen, s.Lost())
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := s.Fetch(short, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("fetch at the end = %v, want the deadline", err)
	}
	// A document that comes while a fetch waits is handed out at once.
	if _, err := js.PublishAsync("driftd.result.m", []byte("101"), jetstream.WithMsgID("r101")); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Fetch(ctx, 10); err != nil || len(got) != 1 || got[0].ID != "r101" {
		t.Fatalf("fetch = %v, %v", got, err)
	}
	if err := got[0].Ack(); err != nil {
		t.Fatal(err)
	}
	// The outbox drops what the sink has not seen: the sink counts it, also over its own restart.
	send(102, 110)
	out, err := js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		t.Fatal(err)
	}
	cfg := out.CachedInfo().Config
	cfg.MaxMsgs = 4 // as a limit of bytes or age would, this removes the oldest
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	s = open()
	got = nil
	for len(got) < 4 { // a fetch takes what the broker has ready, one document at the least
		more, err := s.Fetch(ctx, 10)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, more...)
	}
	if len(got) != 4 || s.Lost() != 5 {
		t.Errorf("fetched %d messages, lost %d; want 4 and 5", len(got), s.Lost())
	}
	if n, err := s.Pending(ctx); err != nil || n != 4 {
		t.Errorf("pending = %d, %v; want the 4 that are not acknowledged", n, err)
	}
	// What was given back and expires before it comes again is lost too; what is in hand may still be stored.
	if err := got[0].Nak(time.Minute); err != nil {
		t.Fatal(err)
	}
	cfg.MaxMsgs = 1
	if _, err := js.UpdateStream(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	send(111, 112)                                                                          // 111 is never delivered
	testenv.Eventually(t, 10*time.Second, "the consumer knows of what waits", func() bool { // the broker counts it a moment later
		st, err := s.Look(ctx)
		return err == nil && st.Waiting > 0 && st.Share >= 1
	})
	if s.Lost() != 7 {
		t.Errorf("lost %d; want 7: five, one that was given back, one that was never delivered", s.Lost())
	}
	if _, err := js.CreateConsumer(ctx, journal.OutboxStream, jetstream.ConsumerConfig{Durable: "other", AckPolicy: jetstream.AckNonePolicy}); err != nil {
		t.Fatal(err)
	}
	if _, err := ingest.Outbox(ctx, js, "other"); err == nil || !strings.Contains(err.Error(), "nats consumer rm DRIFTD_OUTBOX other") {
		t.Errorf("a foreign consumer = %v", err)
	}
}
