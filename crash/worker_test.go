package crash_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/crash"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// childEnv makes this test binary a process that folds a partition: broker, token, data directory, how to die, and up to which
// sequence.
const childEnv = "DRIFTD_TEST_CRASH"

// beWorker folds until everything is committed.
func beWorker() int {
	f := strings.Split(os.Getenv(childEnv), "|")
	until, err := strconv.ParseUint(f[4], 10, 64)
	if err == nil {
		err = work(f[0], f[1], f[2], f[3], until)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func work(url, token, dir, how string, until uint64) error {
	witness, err := crash.Open(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: url, Token: token})
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	j, err := journal.Open(ctx, js, nc, 0, journal.Options{})
	if err != nil {
		return err
	}
	in := &stream{nc: nc, js: js}
	w := pipeline.New(pipeline.Options{
		Stream: journal.InputStream(0), Journal: ledger{j}, Input: in, Live: in, References: func(string) (*reference.Reference, error) { return die(how) },
		Counting: counting(), Interval: 2 * time.Second, Budget: fold.Budget{Messages: 900, Bytes: 32 << 20}, Witness: witness, Logger: logger(),
		Observe: func(s pipeline.Snapshot) {
			if s.Position.Seq >= until {
				cancel()
			}
		},
	})
	if err := w.Run(ctx); err != nil {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return witness.Close()
}

// die ends the process in a way that nothing in it can prevent.
func die(how string) (*reference.Reference, error) {
	switch how {
	case "stack":
		debug.SetMaxStack(1 << 20)
		fmt.Println(overflow(1))
	case "map":
		m := map[int]int{1: 1, 2: 2}
		go func() {
			for i := 0; ; i++ {
				m[i%8] = i
			}
		}()
		for {
			for k := range m { // the reader is the one that finds out
				_ = k
			}
		}
	}
	return nil, fold.ErrNoReference
}

func overflow(n int) int { return overflow(n+1) + n } //nolint:staticcheck // it is to have no end

func counting() fold.Counting {
	return fold.Counting{
		Defaults: fold.ModelConfig{
			Timing:    window.Timing{Windows: []window.Spec{{Size: 900_000, Every: 900_000}}, Pane: 900_000},
			Detectors: detectors.Default(), Rules: alerting.Defaults(),
		},
		UnknownModels: fold.UnknownAuto, MaxModels: 10, MaxVersions: 5, FutureTolerance: 300_000, DedupIDs: 1000,
		Limits: event.DefaultLimits(), MaxMessage: 1 << 20,
	}
}

// ledger is a journal as the pipeline sees it.
type ledger struct{ j *journal.Journal }

func (l ledger) Acquire(ctx context.Context, culprit uint64) (pipeline.State, error) {
	st, err := l.j.AcquireBlaming(ctx, culprit)
	if err != nil {
		return pipeline.State{}, err
	}
	return pipeline.State{
		Mark: st.Position, Header: st.Meta, Shards: st.Shards, Fresh: st.Fresh, Fruitless: st.Fruitless, Suspect: st.Suspect, Deaths: st.Deaths,
	}, nil
}

func (l ledger) Commit(ctx context.Context, b pipeline.Batch) error {
	batch := journal.Batch{Position: b.Mark, Meta: b.Header, Docs: b.Docs, DeadLetters: b.DeadLetters}
	for _, s := range b.Shards {
		batch.Shards = append(batch.Shards, journal.Shard{Name: s.Name, Data: s.Data})
	}
	return l.j.Commit(ctx, batch)
}

// stream is the input as the pipeline sees it.
type stream struct {
	nc *nats.Conn
	js jetstream.JetStream
}

func (s *stream) Verify(ctx context.Context, mark []byte) error {
	if mark == nil {
		return nil
	}
	var id ingest.Identity
	if err := json.Unmarshal(mark, &id); err != nil {
		return err
	}
	return ingest.Verify(ctx, s.js, id)
}

func (s *stream) Mark(ctx context.Context, m fold.Message) ([]byte, error) {
	id, err := ingest.IdentityOf(ctx, s.js, journal.InputStream(0))
	if err != nil {
		return nil, err
	}
	return json.Marshal(id.At(ingest.Message{Seq: m.Seq, Time: m.Time, Data: m.Data}))
}

func (s *stream) Open(ctx context.Context, from uint64) (pipeline.Source, error) {
	c, err := ingest.OpenConsumer(ctx, s.js, journal.InputStream(0), from, ingest.ConsumerOptions{})
	if err != nil {
		return nil, err
	}
	return source{c}, nil
}

func (s *stream) First(context.Context) (uint64, error) { return 1, nil }

func (s *stream) Now(ctx context.Context) (int64, uint64, error) {
	return ingest.BrokerNow(ctx, s.js, journal.InputStream(0))
}

// Control leaves the stream as the test wrote it.
func (s *stream) Control(context.Context, []byte) error { return pipeline.ErrReadOnly }

type source struct{ c *ingest.Consumer }

func (s source) Next(ctx context.Context, until time.Time) (out []fold.Message, pending uint64, err error) {
	some, err := s.c.NextSome(ctx, until, make([]ingest.Message, 0, 3))
	if errors.Is(err, ingest.ErrNoMessage) {
		err = pipeline.ErrNoMessage
	}
	for _, m := range some {
		out, pending = append(out, fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data}), m.Pending
	}
	return out, pending, err
}

func (s source) Close() { s.c.Close() }
