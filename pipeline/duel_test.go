package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/pipeline"
)

// fenced is a journal with several owners: the one that acquired it last may commit.
type fenced struct {
	*memory

	owner     *atomic.Int32
	acquired  *atomic.Int32
	committed *atomic.Bool
	id        int32
}

func (f fenced) Acquire(ctx context.Context, culprit uint64) (pipeline.State, error) {
	f.owner.Store(f.id)
	if !f.committed.Load() {
		f.acquired.Add(1)
	}
	return f.memory.Acquire(ctx, culprit)
}

func (f fenced) Commit(ctx context.Context, b pipeline.Batch) error {
	if f.owner.Load() != f.id {
		return fmt.Errorf("%w: fenced", pipeline.ErrReload)
	}
	f.committed.Store(true)
	return f.memory.Commit(ctx, b)
}

// Two owners that begin half an interval apart fence each other before either can commit. One of them must wait for so long that the other
// one commits: with waits that begin anew at every ownership they would go on for a hundred ownerships.
func TestTwoOwnersMakeProgress(t *testing.T) {
	m := newMemory()
	m.add("ml.events.m", `{"ts":1}`)
	shared := fenced{m, &atomic.Int32{}, &atomic.Int32{}, &atomic.Bool{}, 0}
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	const interval = 400 * time.Millisecond
	for id := range int32(2) {
		j := shared
		j.id = id + 1
		w := pipeline.New(pipeline.Options{ //nolint:exhaustruct // the rest is not needed
			Stream: "IN", Journal: j, Input: m, Live: m, References: nil, Counting: counting(), Interval: interval,
			Budget: fold.Budget{Messages: 900, Bytes: 1 << 20}, Logger: slog.New(slog.DiscardHandler),
		})
		before := shared.acquired.Load()
		workers.Go(func() {
			if err := w.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		testenv.Eventually(t, time.Minute, "it has begun", func() bool { return shared.acquired.Load() > before })
		if id == 0 {
			half, stop := context.WithTimeout(t.Context(), interval/2)
			<-half.Done()
			stop()
		}
	}
	testenv.Eventually(t, time.Minute, "one of the two commits", shared.committed.Load)
	if n := shared.acquired.Load(); n > 30 {
		t.Errorf("the first commit came after %d ownerships, want at most 30", n)
	}
}

// slow is a journal whose commits take until they are let go.
type slow struct {
	*memory

	begun, proceed chan struct{}
	once           sync.Once
}

func (s *slow) Commit(ctx context.Context, b pipeline.Batch) error {
	s.once.Do(func() { close(s.begun) })
	select {
	case <-s.proceed:
		return s.memory.Commit(ctx, b)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", pipeline.ErrReload, ctx.Err())
	}
}

// A worker that is stopped while a commit is on its way does not tear it.
func TestStopDuringCommit(t *testing.T) {
	m := newMemory()
	m.add("ml.events.m", `{"ts":1}`)
	j := &slow{m, make(chan struct{}), make(chan struct{}), sync.Once{}}
	w := pipeline.New(pipeline.Options{ //nolint:exhaustruct // the rest is not needed
		Stream: "IN", Journal: j, Input: m, Live: m, References: nil, Counting: counting(), Interval: 10 * time.Millisecond,
		Budget: fold.Budget{Messages: 900, Bytes: 1 << 20}, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-j.begun
	cancel()
	close(j.proceed)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if m.state.Fresh {
		t.Error("the commit that was on its way is lost")
	}
}
