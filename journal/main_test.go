package journal_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/journal"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
		return
	}
	goleak.VerifyTestMain(m)
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// setup runs a broker with partition 0.
func setup(t testing.TB, l journal.Layout) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, js := brokertest.New(t)
	if err := journal.EnsureStreams(deadline(t), js, l); err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func open(t testing.TB, nc *nats.Conn, js jetstream.JetStream, o journal.Options) *journal.Journal {
	t.Helper()
	j, err := journal.Open(deadline(t), js, nc, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func acquire(t testing.TB, j *journal.Journal) *journal.State {
	t.Helper()
	s, err := j.Acquire(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func streamInfo(t testing.TB, js jetstream.JetStream, name, filter string) *jetstream.StreamInfo {
	t.Helper()
	s, err := js.Stream(deadline(t), name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(deadline(t), jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatal(err)
	}
	return info
}
