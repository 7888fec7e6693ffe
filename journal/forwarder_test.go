package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// checkOutbox wants documents 1 to n in the outbox, each once and in order.
func checkOutbox(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	ctx := deadline(t)
	s, err := js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if info.State.Msgs != uint64(n) {
		t.Errorf("the outbox holds %d messages, want %d", info.State.Msgs, n)
	}
	for i := 1; i <= min(n, int(info.State.LastSeq)); i++ {
		m, err := s.GetMsg(ctx, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		if string(m.Data) != strconv.Itoa(i) || m.Header.Get("Nats-Msg-Id") != fmt.Sprint("r", i) || m.Subject != "driftd.result.m" {
			t.Fatalf("outbox message %d = %s %q with id %s", i, m.Subject, m.Data, m.Header.Get("Nats-Msg-Id"))
		}
	}
}

func commitDocs(t *testing.T, j *journal.Journal, from, to int) {
	t.Helper()
	b := journal.Batch{Position: position(to)}
	for n := from; n <= to; n++ {
		b.Docs = append(b.Docs, result.Doc{ID: fmt.Sprint("r", n), Model: "m", Data: []byte(strconv.Itoa(n))})
	}
	if err := j.Commit(deadline(t), b); err != nil {
		t.Fatal(err)
	}
}

func TestForwarderFollowsAndCleansUp(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	commitDocs(t, j, 1, 600) // a backlog of more than two purges
	f := journal.NewForwarder(js, 0, journal.ForwarderOptions{})
	ctx, stop := context.WithCancel(deadline(t))
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	empty := func() bool {
		return streamInfo(t, js, "DRIFTD_STATE_0", "driftd.state.0.out.>").State.Subjects["driftd.state.0.out.m"] == 0
	}
	testenv.Eventually(t, 10*time.Second, "the backlog is forwarded and purged", empty)
	commitDocs(t, j, 601, 605)
	testenv.Eventually(t, 10*time.Second, "new documents follow", func() bool { return f.Stats().Forwarded.Load() == 605 && empty() })
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := f.Stats().Errors.Load(); n != 0 {
		t.Errorf("%d passes failed", n)
	}
	checkOutbox(t, js, 605)
	doc := result.Doc{ID: "t1", Kind: result.KindTransition, Model: "m", Data: []byte("{}")}
	if err := j.Commit(deadline(t), journal.Batch{Position: position(605), Docs: []result.Doc{doc}}); err != nil {
		t.Fatal(err)
	}
	if err := f.Drain(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n := streamInfo(t, js, journal.OutboxStream, ">").State.Subjects["driftd.transition.m"]; n != 1 {
		t.Errorf("%d transitions in the outbox, want 1", n)
	}
	if s := acquire(t, j); !bytes.Equal(s.Position, position(605)) {
		t.Errorf("the purge took the checkpoint: position %s", s.Position)
	}
}

// A forwarder dies after the outbox acknowledged and before it purged, for longer than the outbox's duplicate window
// lasts (which is shortened to the server's minimum for the test). The next one makes no duplicate.
func TestForwarderCrashBetweenPublishAndPurge(t *testing.T) {
	for name, window := range map[string]time.Duration{"within the duplicate window": time.Minute, "beyond it": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			nc, js := setup(t, journal.Layout{})
			s, err := js.Stream(deadline(t), journal.OutboxStream)
			if err != nil {
				t.Fatal(err)
			}
			cfg := s.CachedInfo().Config
			cfg.Duplicates = window
			if _, err := js.UpdateStream(deadline(t), cfg); err != nil {
				t.Fatal(err)
			}
			j := open(t, nc, js, journal.Options{})
			acquire(t, j)
			commitDocs(t, j, 1, 50)
			ctx, crash := context.WithCancel(deadline(t))
			first := journal.NewForwarder(js, 0, journal.ForwarderOptions{})
			first.AfterAck(crash)
			if err := first.Drain(ctx); !errors.Is(err, context.Canceled) {
				t.Fatalf("the first forwarder ended with %v, want the injected crash", err)
			}
			checkOutbox(t, js, 50)
			commitDocs(t, j, 51, 60)
			if window < time.Second {
				testenv.Eventually(t, 5*time.Second, "the duplicate window has passed", windowPassed(t, js, window))
			}
			second := journal.NewForwarder(js, 0, journal.ForwarderOptions{})
			if err := second.Drain(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if d, n := second.Stats().Duplicates.Load(), second.Stats().Forwarded.Load(); d != 50 || n != 10 {
				t.Errorf("second forwarder: %d duplicates, %d forwarded; want 50 and 10", d, n)
			}
			checkOutbox(t, js, 60)
		})
	}
}

// windowPassed says whether the server's clock is past the duplicate window of the newest outbox message.
func windowPassed(t *testing.T, js jetstream.JetStream, window time.Duration) func() bool {
	return func() bool {
		info := streamInfo(t, js, journal.OutboxStream, ">")
		return info.TimeStamp.Sub(info.State.LastTime) > 3*window
	}
}

func TestForwarderTrimsDeadLettersUnderPressure(t *testing.T) {
	nc, js := setup(t, journal.Layout{StateMaxBytes: 1 << 20})
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	for n := range 100 {
		b := journal.Batch{Position: position(n)}
		for range 10 {
			b.DeadLetters = append(b.DeadLetters, journal.DeadLetter{Seq: uint64(n), Detail: fmt.Sprintf("%0500d", n)})
		}
		if err := j.Commit(deadline(t), b); err != nil {
			t.Fatal(err)
		}
	}
	commitDocs(t, j, 1, 1)
	f := journal.NewForwarder(js, 0, journal.ForwarderOptions{})
	if err := f.Drain(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n := f.Stats().DeadTrimmed.Load(); n != 50 {
		t.Errorf("%d messages of dead letters were trimmed, want the older half", n)
	}
	ds, err := journal.ListDeadLetters(deadline(t), js, 0, 0)
	if err != nil || len(ds) != 500 || ds[0].Seq != 50 {
		t.Errorf("%d dead letters are left, %v; want the newest 500", len(ds), err)
	}
}
