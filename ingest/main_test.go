package ingest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

const stream = "DRIFTD_IN_0"

// makeStream creates an input stream that a test may damage.
func makeStream(t testing.TB, js jetstream.JetStream, change func(*jetstream.StreamConfig)) jetstream.Stream {
	t.Helper()
	c := jetstream.StreamConfig{Name: stream, Subjects: []string{"ml.events.*"}, MaxMsgs: -1}
	if change != nil {
		change(&c)
	}
	s, err := js.CreateOrUpdateStream(deadline(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func body(n int) string { return fmt.Sprintf("event %d", n) }

// publish stores messages from to to; message n is body(n), so that in a fresh stream its sequence is n.
func publish(t testing.TB, js jetstream.JetStream, from, to int) {
	t.Helper()
	p := ingest.NewPublisher(js)
	for n := from; n <= to; n++ {
		if err := p.Publish(deadline(t), "ml.events.m", "", []byte(body(n)), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

func openAt(t testing.TB, js jetstream.JetStream, seq uint64, o ingest.ConsumerOptions) *ingest.Consumer {
	t.Helper()
	c, err := ingest.OpenConsumer(deadline(t), js, stream, seq, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// expect reads messages from to to.
func expect(t testing.TB, c *ingest.Consumer, from, to int) (last ingest.Message) {
	t.Helper()
	for n := from; n <= to; n++ {
		m, err := c.Next(deadline(t))
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if m.Seq != uint64(n) || string(m.Data) != body(n) {
			t.Fatalf("got message %d %q, want %d", m.Seq, m.Data, n)
		}
		last = m
	}
	return last
}
