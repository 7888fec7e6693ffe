package pipeline

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/driftd/driftd/fold"
)

// A message may kill the process in a way that recover cannot catch. Then nothing of its batch was committed, and the next start
// reads the same messages again. After a few ownerships that committed nothing the worker folds the messages alone and commits
// each, under a witness that survives the process. The witness is what blames a message: it knows that the process died by its
// own fault in the very call that folded it. A kill from outside leaves no such proof, whenever and however often it comes; the
// worst that it does is to make the worker careful, which changes no result.

const (
	carefulAfter = 3    // ownerships in a row that committed nothing
	guiltyAfter  = 2    // deaths in a row by the same message
	aloneCommits = 1000 // commits of one message each; behind them commits are of the usual size again, and the witness goes on
)

// Witness remembers over the death of the process which message it was folding.
type Witness interface {
	// Culprit returns the message of a partition whose folding, by proof, killed the process before; 0: none.
	Culprit(partition int) uint64
	// Alone calls f, which folds a message of a partition, while no other runs. f was not called after an error.
	Alone(partition int, seq uint64, f func()) error
}

// careful says how a session folds.
type careful struct {
	to      uint64 // messages up to this one are folded alone
	commits int    // of one message
}

// suspect acts on what is known of the message that killed the process before: it is folded alone once more, or no more.
func (s *session) suspect(ctx context.Context, st State) {
	if st.Suspect < s.part.Position().Next() || st.Deaths == 0 {
		return // it is behind: it was counted, or quarantined
	}
	attrs := []any{slog.Int("partition", s.o.Partition), slog.Uint64("seq", st.Suspect), slog.Int("deaths", st.Deaths)}
	if st.Deaths < guiltyAfter {
		s.o.Logger.WarnContext(ctx, "folding a message killed the process before: it is tried once more, alone", attrs...)
		s.careful.to = st.Suspect
		return
	}
	s.o.Logger.ErrorContext(ctx, "message quarantined: folding it kills the process", attrs...)
	s.quarantine[[2]uint64{st.Suspect, 0}] = &fold.PanicError{Seq: st.Suspect, Index: -1, Value: "the process died"}
}

// beCareful begins to fold message by message where the sessions before committed nothing. They cannot have read behind the
// stream's present end.
func (s *session) beCareful(ctx context.Context) error {
	if s.snap.Fruitless < carefulAfter || s.o.Witness == nil {
		s.snap.AloneTo = s.careful.to
		return nil
	}
	_, last, err := s.o.Live.Now(ctx)
	if err != nil {
		return fmt.Errorf("reading the input's end: %w", err)
	}
	if next := s.part.Position().Next(); last >= next {
		s.o.Logger.WarnContext(ctx, "no progress in the last starts: messages are folded and committed one by one", slog.Int("partition", s.o.Partition),
			slog.Int("starts", s.snap.Fruitless), slog.Uint64("from", next), slog.Uint64("to", last))
		s.careful.to = max(s.careful.to, last)
	}
	s.snap.AloneTo = s.careful.to
	return nil
}

// fold folds a message, or what is left of it, and those behind it that can be folded together with it. It returns how many were begun, and whether
// the last of them is done.
func (s *session) fold(ms []fold.Message) (begun int, done bool, err error) {
	m := &ms[0]
	if m.Seq > s.careful.to || s.o.Witness == nil {
		s.part.JudgeBeside(s.begin)
		return s.part.ApplySome(ms, &s.out)
	}
	if werr := s.o.Witness.Alone(s.o.Partition, m.Seq, func() { done, err = s.part.Apply(*m, &s.out) }); werr != nil {
		return 0, false, werr
	}
	return 1, done, err
}

// commitsAlone says whether a message is committed as soon as it was folded.
func (s *session) commitsAlone(seq uint64) bool {
	if seq == s.careful.to {
		s.snap.AloneTo = 0
	}
	if seq > s.careful.to || s.careful.commits == aloneCommits {
		return false
	}
	s.careful.commits++
	return true
}
