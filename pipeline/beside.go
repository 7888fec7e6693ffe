package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/driftd/driftd/fold"
)

// Windows that are due are judged on a goroutine of their own, one at a time; see package fold for what that may not change. The session
// owns the goroutine and joins it. Where messages are folded alone nothing runs beside them: what dies then died by the message.

// goes runs a job on a goroutine of its own.
func (s *session) goes(job func()) (ended func(wait bool) bool) {
	done := make(chan struct{})
	s.jobs.Go(func() {
		defer close(done)
		job()
	})
	return func(wait bool) bool {
		if wait {
			<-done
			return true
		}
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// due reports whether it is time to commit. A commit comes with all that is due, so it waits while windows are judged; not for ever, where they
// always are.
func (s *session) due() bool {
	return !s.now.Before(s.next) && (!s.part.Judging() || !s.now.Before(s.next.Add(s.o.Interval)))
}

// resume emits what the last commit of the session before had no room for, where no message is to be folded again for it.
func (s *session) resume() error {
	at := s.part.Position()
	if !at.Done || s.mark == nil {
		return nil
	}
	if _, err := s.part.Settle(&s.out, false); err != nil {
		return fmt.Errorf("emitting windows: %w", err)
	}
	if len(s.out.Docs) > 0 || s.part.Judging() {
		s.last, s.changedAt = fold.Message{Seq: at.Seq}, time.Now() //nolint:exhaustruct // its mark is known
	}
	return nil
}

// emitAll emits all that is due where the partition stands.
func (s *session) emitAll(ctx context.Context) error {
	for s.part.Judging() {
		all, err := s.part.Settle(&s.out, true)
		if err != nil {
			return fmt.Errorf("emitting windows: %w", err)
		}
		if all {
			return nil
		}
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	return nil
}
