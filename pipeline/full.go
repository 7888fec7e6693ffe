package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// mostFullWait bounds the wait between two attempts to commit into a full state stream.
const mostFullWait = 5 * time.Second

// store commits a batch. Where the journal has no room it waits for some and commits the same batch again: nothing is read
// meanwhile, and nothing is lost.
func (s *session) store(ctx context.Context, b Batch) error {
	err := s.o.Journal.Commit(ctx, b)
	if !errors.Is(err, ErrFull) {
		return err
	}
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
