package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
)

// Pending keeps the predictions and labels that wait for each other, outside of the committed state: a cache that is written after a
// commit. Put stores groups, removes those of dropped segments and sets the tag, whole or not at all; a nil tag says that it holds no
// commit. Keep removes the groups of segments that do not live. Reset empties it. Get may be called while a Put is under way.
type Pending interface {
	labels.Reader
	Put(changed []labels.Change, dropped []uint64, tag []byte) error
	Keep(lives func(segment uint64) bool) error
	Reset() error
}

// OpenPending opens a partition's cache and returns the tag of the commit that it holds, or nil.
type OpenPending func(partition int) (p Pending, tag []byte, release func() error, err error)

// inMemory is a cache of nothing that outlives the session.
type inMemory struct {
	mu     sync.Mutex
	groups *labels.Memory
}

func newInMemory() *inMemory { return &inMemory{mu: sync.Mutex{}, groups: labels.NewMemory()} }

func (m *inMemory) Get(key labels.Key) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groups.Get(key)
}

func (m *inMemory) Put(changed []labels.Change, dropped []uint64, _ []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups.Apply(changed, dropped)
	return nil
}

func (*inMemory) Keep(func(uint64) bool) error { return nil }
func (*inMemory) Reset() error                 { return nil }

// reliveBatch is how many groups are stored at a time while the stream is read again.
const reliveBatch = 20_000

// recall opens the cache of pending labels and brings it up to the partition's position, from the stream where it is behind. What cannot be
// kept on disk is kept in memory: that costs memory and the time of the next start, and no number.
func (s *session) recall(ctx context.Context) error {
	if !s.part.KeepsPending() {
		return nil // a cache is opened when there is something to keep
	}
	tag := s.openPending(ctx)
	again, clean := s.part.Relive(tag)
	err := s.pending.Keep(s.part.PendingLives)
	if clean || s.distrust || err != nil {
		err = s.pending.Reset()
		again, _ = s.part.Relive(nil)
	}
	if err != nil {
		s.forgoPending(ctx, err)
	}
	s.distrust = false
	s.part.UsePending(s.pending)
	return s.relive(ctx, again)
}

// openPending opens the cache, and returns the tag of the commit that it holds.
func (s *session) openPending(ctx context.Context) (tag []byte) {
	s.pending = newInMemory()
	s.snap.PendingTrouble = ""
	if s.o.OpenPending == nil {
		return nil
	}
	pending, tag, release, err := s.o.OpenPending(s.o.Partition)
	if err != nil {
		s.forgoPending(ctx, err)
		return nil
	}
	s.pending, s.closePending = pending, release
	return tag
}

// forgoPending goes on without a cache on disk.
func (s *session) forgoPending(ctx context.Context, err error) {
	s.pending = newInMemory()
	s.snap.PendingTrouble = err.Error()
	s.o.Logger.WarnContext(ctx, "pending labels are kept in memory: their cache on disk cannot be used", slog.Int("partition", s.o.Partition), slog.Any("err", err))
}

// relive reads the stream again for what the cache does not hold.
func (s *session) relive(ctx context.Context, again *fold.Relive) error {
	from, ok := again.From()
	if !ok {
		return nil
	}
	begin := time.Now()
	s.o.Logger.InfoContext(ctx, "pending labels are read again from the stream", slog.Int("partition", s.o.Partition), slog.Uint64("from", from), slog.Uint64("to", again.To()))
	src, err := s.o.Input.Open(ctx, from)
	if err != nil {
		return fmt.Errorf("opening the input for pending labels: %w", err)
	}
	defer src.Close()
	for seq := from - 1; seq < again.To(); {
		ms, _, err := src.Next(ctx, time.Now().Add(time.Minute))
		if loss, lost := errors.AsType[*LossError](err); lost {
			seq = loss.To
			continue
		}
		if err != nil {
			return fmt.Errorf("reading pending labels again: %w", err)
		}
		for _, m := range ms {
			if seq = m.Seq; seq > again.To() {
				break
			}
			if err := again.Apply(m); err != nil {
				return fmt.Errorf("reading pending labels again: %w", err)
			}
		}
		if s.part.PendingFresh() >= reliveBatch {
			if err := s.remember(nil); err != nil {
				return err
			}
		}
	}
	if n := again.Finish(); n > 0 {
		s.o.Logger.ErrorContext(ctx, "pending labels are lost: the stream does not hold any more what they were made of", slog.Int("partition", s.o.Partition),
			slog.Int("records", n))
	}
	if err := s.remember(s.part.PendingTag()); err != nil {
		return err
	}
	s.o.Logger.InfoContext(ctx, "pending labels are complete", slog.Int("partition", s.o.Partition), slog.Duration("took", time.Since(begin)))
	return nil
}

// keepPending opens a cache where a configuration came by which there is something to keep.
func (s *session) keepPending(ctx context.Context) {
	if s.pending != nil || !s.part.KeepsPending() {
		return
	}
	s.openPending(ctx)
	if err := s.pending.Reset(); err != nil {
		s.forgoPending(ctx, err)
	}
	s.part.UsePending(s.pending)
}

// remember stores what changed of pending labels in the cache.
func (s *session) remember(tag []byte) error {
	changed, dropped := s.part.TakePending()
	if err := s.pending.Put(changed, dropped, tag); err != nil {
		return fmt.Errorf("%w: %w", labels.ErrStore, err)
	}
	s.part.PendingStored()
	return nil
}

// releasePending closes the cache.
func (s *session) releasePending(ctx context.Context) {
	if s.closePending == nil {
		return
	}
	if err := s.closePending(); err != nil {
		s.o.Logger.WarnContext(ctx, "closing the cache of pending labels", slog.Int("partition", s.o.Partition), slog.Any("err", err))
	}
}
