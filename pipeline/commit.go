package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
)

// A commit is taken in one moment, encoded and stored in its own time: counting goes on meanwhile, and pauses only while what changed is copied.
// There is one commit on its way at most, so they land in order. What is counted behind it is not committed, as ever; if it is not
// stored, the session ends and all of that is read again.

// flight is a commit that is on its way.
type flight struct {
	batch    Batch // its shards are there when it is done
	taken    *fold.Taken
	position fold.Position
	sources  []fold.SourceInfo
	stats    fold.Stats
	begin    time.Time
	pause    time.Duration
	done     chan error // 1: the answer waits for whoever looks

	pending Pending // what changed of pending labels goes there when the commit is stored; nil: there are none
	changed []labels.Change
	dropped []uint64
	tag     []byte
	cache   error // why it did not
}

// commit begins to store everything since the last commit, as soon as that one is stored: with all that is due. What does not go into it makes
// another one.
func (s *session) commit(ctx context.Context) error {
	for {
		if err := s.settle(ctx); err != nil {
			return err
		}
		if !s.committable() {
			return nil
		}
		begin := time.Now()
		all, err := s.part.Settle(&s.out, true)
		if err != nil {
			return fmt.Errorf("emitting windows: %w", err)
		}
		if err := s.takeOff(ctx, begin); err != nil || all {
			return err
		}
		s.changedAt = begin // as if the rest came now
	}
}

// takeOff begins to store everything since the last commit.
func (s *session) takeOff(ctx context.Context, begin time.Time) error {
	if s.mark == nil {
		mark, err := s.o.Input.Mark(ctx, s.last)
		if err != nil {
			return fmt.Errorf("marking the position: %w", err)
		}
		s.mark = mark
	}
	f := &flight{
		batch: Batch{Mark: s.mark, Header: s.part.Header(), Shards: nil, Docs: s.out.Docs, DeadLetters: s.out.DeadLetters}, taken: s.part.Take(),
		position: s.part.Position(), sources: s.part.Sources(), stats: s.part.Stats(), begin: begin, pause: 0, done: make(chan error, 1),
		pending: nil, changed: nil, dropped: nil, tag: nil, cache: nil,
	}
	if s.keepPending(ctx); s.pending != nil {
		f.pending, f.tag = s.pending, s.part.PendingTag()
		f.changed, f.dropped = s.part.TakePending()
	}
	s.part.Committed()
	s.out = fold.Output{Docs: nil, DeadLetters: nil, Bytes: 0, Results: 0}
	s.changedAt, s.next = time.Time{}, begin.Add(s.o.Interval)
	s.flight = f
	go func() {
		late, cancel := outlive(ctx, lastCommit)
		defer cancel()
		f.batch.Shards = f.taken.Shards()
		err := s.o.Journal.Commit(late, f.batch)
		if err == nil {
			f.remember()
		}
		f.done <- err
	}()
	f.pause = time.Since(begin)
	return nil
}

// landed looks whether the commit on its way has ended, without waiting.
func (s *session) landed(ctx context.Context) error {
	if s.flight == nil || len(s.flight.done) == 0 {
		return nil
	}
	return s.settle(ctx)
}

// settle waits until no commit is on its way. Where the journal has no room it waits for some and commits the same batch again: nothing
// is read meanwhile, and nothing is lost.
func (s *session) settle(ctx context.Context) error {
	f := s.flight
	err := s.land()
	if errors.Is(err, ErrFull) {
		late, cancel := outlive(ctx, lastCommit)
		defer cancel()
		if err = s.awaitRoom(late, f.batch, err); err == nil {
			f.remember()
			err = s.stored(f)
		}
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// land waits for the answer to the commit on its way.
func (s *session) land() error {
	f := s.flight
	if f == nil {
		return nil
	}
	err := <-f.done
	s.flight = nil
	if err == nil {
		err = s.stored(f)
	}
	return err
}

// remember puts what changed of pending labels into their cache.
func (f *flight) remember() {
	if f.pending != nil {
		f.cache = f.pending.Put(f.changed, f.dropped, f.tag)
	}
}

// stored notes that a commit is stored. It returns an error where the cache of pending labels is not: then the next session does without
// what that holds.
func (s *session) stored(f *flight) error {
	s.backoff.reset() // not before: of two owners that undo each other's work, one must wait for long enough
	s.snap.Commits++
	s.snap.Fruitless = 0
	s.snap.LastCommit, s.snap.LastPause = time.Since(f.begin), f.pause
	s.snap.Position, s.snap.Sources = f.position, f.sources
	s.snap.Stats, s.snap.Quarantine = AddStats(s.base, f.stats), len(s.quarantine)
	s.observe()
	if f.cache != nil {
		s.distrust = true
		return fmt.Errorf("%w: %w", labels.ErrStore, f.cache)
	}
	s.part.Stored(f.taken)
	s.part.PendingStored()
	return nil
}

// mostFullWait bounds the wait between two attempts to commit into a full state stream.
const mostFullWait = 5 * time.Second

// awaitRoom commits a batch again and again until the state stream has room for it.
func (s *session) awaitRoom(ctx context.Context, b Batch, err error) error {
	s.o.Logger.ErrorContext(ctx, "the state stream is full: counting waits for room", slog.Int("partition", s.o.Partition), slog.Any("err", err))
	began := time.Now()
	s.snap.Running, s.snap.Err = false, err
	s.observe()
	for wait := firstWait; errors.Is(err, ErrFull); wait = min(2*wait, mostFullWait) {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
		err = s.o.Journal.Commit(ctx, b)
	}
	if err == nil {
		s.snap.Running, s.snap.Err = true, nil
		s.o.Logger.InfoContext(ctx, "the state stream has room again", slog.Int("partition", s.o.Partition), slog.Duration("after", time.Since(began)))
	}
	return err
}
