// Package pipeline is the engine of a partition: it owns the goroutine that reads the stored stream, folds it, and commits.
// Position, state and results of a commit become visible together or not at all; what was not committed never happened
// (design section 7). It is a shell package: it has the clock and the retries, the fold has the meaning.
package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// ErrReload is wrapped by errors of a Journal after which nothing of the state in memory may be trusted: another owner
// committed, or the commit's fate was looked up and it had not happened. Acquire again.
var ErrReload = errors.New("the partition's state must be read again")

// ErrFull is wrapped by errors of a Journal that has no room: consumption stops until there is, and nothing is lost.
var ErrFull = errors.New("the state stream is full")

// ErrHalt is wrapped by errors that no retry can mend: an operator must look.
var ErrHalt = errors.New("the partition is halted")

// LossError is returned by a Source once for every gap: messages From to To, both included, are gone from the stream. The next
// call goes on behind them.
type LossError struct {
	From, To uint64
	Err      error
}

// Error implements error.
func (e *LossError) Error() string {
	return fmt.Sprintf("messages %d to %d are lost: %v", e.From, e.To, e.Err)
}

// Unwrap returns the cause.
func (e *LossError) Unwrap() error { return e.Err }

// State is what a journal knows of a partition.
type State struct {
	Mark   []byte            // identity of the last folded message, as Input.Mark gave it; nil when Fresh
	Header []byte            // of the fold
	Shards map[string][]byte // of the fold
	Fresh  bool              // nothing was ever committed

	Fruitless int    // ownerships in a row before this one that committed nothing
	Suspect   uint64 // the message whose folding killed a process last; 0: none ever did
	Deaths    int    // how many processes it killed in a row
}

// Batch is one commit.
type Batch struct {
	Mark        []byte
	Header      []byte
	Shards      []fold.Shard
	Docs        []result.Doc
	DeadLetters []result.DeadLetter
}

// Journal keeps a partition's state. Acquire fences every older owner, and stores which message killed the process before (0:
// none); Commit stores a batch whole or not at all, and after a nil error it is stored. An error that wraps ErrReload
// invalidates what was acquired.
type Journal interface {
	Acquire(ctx context.Context, culprit uint64) (State, error)
	Commit(ctx context.Context, b Batch) error
}

// Source reads a partition's messages one after the other without a gap; Next returns those that are there, at least one: it waits for that,
// but not beyond until, and then returns ErrNoMessage. Only waiting ends there: a Source that must first find its way back to the broker gets
// on with it at every call, however short the time is. The messages' slice is valid until the next call. pending is how many more messages
// the broker has behind them. It is used by one goroutine.
type Source interface {
	Next(ctx context.Context, until time.Time) (ms []fold.Message, pending uint64, err error)
	Close()
}

// ErrNoMessage says that no message came in the time that was given.
var ErrNoMessage = errors.New("no message in time")

// Input is a partition's stored stream. Verify checks that the stream is still the one that a mark was taken from, and
// returns an error that wraps ErrHalt when it is not; without a mark any stream is right. Mark returns the identity of a message that was folded. Open reads from a
// sequence.
type Input interface {
	Verify(ctx context.Context, mark []byte) error
	Mark(ctx context.Context, m fold.Message) ([]byte, error)
	Open(ctx context.Context, from uint64) (Source, error)
}

// Stream is what else a worker needs of the stream. First returns its first sequence, Now the broker's clock and its last one.
// Control stores a control message behind it, and returns ErrReadOnly when driftd may not write to it.
type Stream interface {
	First(ctx context.Context) (uint64, error)
	Now(ctx context.Context) (ms int64, last uint64, err error)
	Control(ctx context.Context, data []byte) error
}

// ErrReadOnly says that driftd may not write to the input stream.
var ErrReadOnly = errors.New("driftd may not write to the input stream")

// Options of a Worker. All fields but Witness, OpenPending, Observe and Delay are needed.
type Options struct {
	Partition   int
	Stream      string
	Journal     Journal
	Input       Input
	Live        Stream
	References  fold.References
	Counting    fold.Counting // what the configuration wants
	Interval    time.Duration // between commits
	Budget      fold.Budget
	IdleTimeout time.Duration // silence of a source after which its windows are closed; 0: never
	HaltOnLoss  bool          // proven loss halts the partition; else it is counted into the results and the fold goes on
	Witness     Witness       // nil: a message that kills the process is not found
	OpenPending OpenPending   // nil: what waits for its label is kept in memory, and read again at every start
	Logger      *slog.Logger
	Observe     func(Snapshot)      // called after every commit, and when the worker's state changes
	Delay       func(time.Duration) // called with the time from the broker's storing a message to its being folded, of a sample of them
}

// Snapshot is what a worker can say about itself.
type Snapshot struct {
	Partition  int
	Running    bool
	Err        error // why it is not running, or nil
	Position   fold.Position
	Last       uint64 // last sequence of the stream as far as it is known
	Stats      fold.Stats
	Sources    []fold.SourceInfo
	Commits    uint64
	Reloads    uint64
	LastCommit time.Duration // how long the last commit took
	LastPause  time.Duration // how long it kept counting waiting
	Quarantine int
	Fruitless  int    // ownerships in a row that committed nothing, this one not counted
	AloneTo    uint64 // messages up to this one are folded alone; 0: none

	PendingTrouble string // why labels that wait for their predictions, and predictions, are kept in memory only; empty: they are not
}

// Worker folds one partition.
type Worker struct {
	o          Options
	want       atomic.Pointer[fold.Counting]
	changed    chan struct{} // 1: a new configuration is to be published; one is enough, the newest wins
	quarantine map[[2]uint64]*fold.PanicError
	culprit    uint64 // the message that killed the process before, until that is stored; 0: none
	alone      uint64 // messages up to this one are counted record by record, because one of them panics
	distrust   bool   // the cache of pending labels failed: what it holds is not used
	snap       Snapshot
	base       fold.Stats // of earlier sessions
}

// New returns a worker that has not started.
func New(o Options) *Worker {
	w := &Worker{
		o: o, want: atomic.Pointer[fold.Counting]{}, changed: make(chan struct{}, 1), quarantine: map[[2]uint64]*fold.PanicError{},
		culprit: 0, alone: 0, distrust: false, snap: Snapshot{Partition: o.Partition}, base: fold.Stats{}, //nolint:exhaustruct // nothing happened yet
	}
	if o.Witness != nil {
		w.culprit = o.Witness.Culprit(o.Partition)
	}
	w.want.Store(&o.Counting)
	return w
}

// SetCounting asks for another counting configuration: it is published into the stream, and holds from where it lies there.
func (w *Worker) SetCounting(c fold.Counting) {
	w.want.Store(&c)
	select {
	case w.changed <- struct{}{}:
	default: // one is waiting already, and will take the newest
	}
}

// Run folds until the context ends, and commits what it folded before it returns nil. It returns an error only when the
// partition is halted.
func (w *Worker) Run(ctx context.Context) error {
	backoff := newBackoff()
	for ctx.Err() == nil {
		begin := time.Now()
		err := w.session(ctx, backoff)
		if ctx.Err() != nil {
			break
		}
		if time.Since(begin) > mostWait {
			backoff.reset() // it ran for long: what ended it is new
		}
		w.snap.Running, w.snap.Err = false, err
		w.observe()
		switch {
		case errors.Is(err, ErrHalt):
			return err
		case errors.Is(err, ErrReload):
			w.snap.Reloads++
			w.o.Logger.WarnContext(ctx, "reloading the partition", slog.Int("partition", w.o.Partition), slog.Any("err", err))
		default:
			w.o.Logger.WarnContext(ctx, "partition interrupted", slog.Int("partition", w.o.Partition), slog.Any("err", err),
				slog.Duration("retry_in", backoff.next))
		}
		backoff.wait(ctx)
	}
	w.snap.Running, w.snap.Err = false, nil
	w.observe()
	return nil //nolint:nilerr // the context ended: that is how a worker is stopped
}

func (w *Worker) observe() {
	if w.o.Observe != nil {
		w.o.Observe(w.snap)
	}
}

// session is one ownership of the partition: from acquiring its state to the first error.
type session struct {
	*Worker
	part        *fold.Partition
	out         fold.Output
	last        fold.Message // the last one that was folded whole or in part
	mark        []byte
	next        time.Time // of the commit
	changedAt   time.Time // when something was folded that is not committed; zero: nothing is
	published   string    // hash of the configuration that was published last
	retryConfig time.Time // when to publish it again; zero: it is published
	caughtUp    bool
	idleAt      time.Time // when to look for idle sources next
	careful     careful
	backoff     *backoff
	flight      *flight // the commit that is on its way; nil: none
	begin       fold.Begin
	jobs        sync.WaitGroup // that began
	now         time.Time      // when the last message was read, or waiting for one ended
	sampled     time.Time      // when the delay of a message was looked at last

	pending      Pending // nil: nothing waits for a label
	closePending func() error
}

func (w *Worker) session(ctx context.Context, backoff *backoff) (err error) {
	s, err := w.acquire(ctx)
	if err != nil {
		return err
	}
	s.backoff = backoff
	defer s.jobs.Wait()
	defer func() {
		s.releasePending(ctx)
		w.distrust = w.distrust || errors.Is(err, labels.ErrStore)
	}()
	if err := s.recall(ctx); err != nil {
		return err
	}
	src, err := w.o.Input.Open(ctx, s.part.Position().Next())
	if err != nil {
		return fmt.Errorf("opening the input: %w", err)
	}
	defer src.Close()
	if err := s.beCareful(ctx); err != nil {
		return err
	}
	s.part.CountAlone(max(s.careful.to, w.alone))
	w.snap.Running, w.snap.Err = true, nil
	w.snap.Position, w.snap.Sources = s.part.Position(), s.part.Sources()
	w.observe()
	if err := s.publishConfig(ctx); err != nil {
		return err
	}
	if err = s.resume(); err == nil {
		err = s.loop(ctx, src)
	}
	landed := s.land()    // the next session must find what this one committed, and a journal serves one caller at a time
	w.base = w.snap.Stats // what was not committed is counted by the next session
	if poison, ok := errors.AsType[*fold.PanicError](err); ok && poison.Several {
		w.alone = poison.Seq
		w.o.Logger.WarnContext(ctx, "counting panicked: the records are counted again, one by one", slog.Uint64("to", poison.Seq), slog.Any("err", err))
		return fmt.Errorf("%w: %w", ErrReload, err)
	} else if ok {
		w.quarantine[[2]uint64{poison.Seq, uint64(poison.Index + 1)}] = poison
		w.o.Logger.ErrorContext(ctx, "record quarantined", slog.Uint64("seq", poison.Seq), slog.Int("index", poison.Index),
			slog.Any("err", err))
		return fmt.Errorf("%w: %w", ErrReload, err)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		// Asked to stop: what was folded is good, and committing it saves the next owner the work.
		final, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCommit)
		defer cancel()
		if landed == nil {
			landed = s.commit(final)
		}
		if landed == nil {
			landed = s.settle(final)
		}
		if landed != nil {
			w.o.Logger.WarnContext(ctx, "the last commit failed: the next start folds again what it held", slog.Any("err", landed))
		}
	}
	return err
}

// acquire takes the partition over and restores it.
func (w *Worker) acquire(ctx context.Context) (*session, error) {
	st, err := w.o.Journal.Acquire(ctx, w.culprit)
	if err != nil {
		return nil, fmt.Errorf("acquiring the partition: %w", err)
	}
	w.culprit, w.snap.Fruitless, w.snap.AloneTo = 0, st.Fruitless, 0
	s := &session{Worker: w, mark: st.Mark, next: time.Now().Add(w.o.Interval)} //nolint:exhaustruct // nothing folded yet
	s.begin = s.goes
	if st.Fresh {
		var seed [16]byte
		if _, err := rand.Read(seed[:]); err != nil {
			return nil, fmt.Errorf("drawing the key of ids: %w", err)
		}
		if err := w.o.Input.Verify(ctx, nil); err != nil {
			return nil, fmt.Errorf("verifying the input: %w", err)
		}
		key := [2]uint64{binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])}
		s.part = fold.New(w.o.Stream, *w.want.Load(), key, w.o.References, w.o.Budget)
		first, err := w.o.Live.First(ctx)
		if err != nil {
			return nil, fmt.Errorf("reading the input's first sequence: %w", err)
		}
		s.part.StartAt(max(first, 1) - 1)
	} else {
		if s.part, err = fold.Restore(w.o.Stream, st.Header, st.Shards, w.o.References, w.o.Budget); err != nil {
			return nil, fmt.Errorf("restoring the partition: %w", err)
		}
		if err := w.o.Input.Verify(ctx, st.Mark); err != nil {
			return nil, fmt.Errorf("verifying the input: %w", err)
		}
	}
	s.suspect(ctx, st)
	for _, q := range w.quarantine {
		s.part.Quarantine(q.Seq, q.Index)
	}
	return s, nil
}

// loop reads, folds and commits until an error.
func (s *session) loop(ctx context.Context, src Source) error {
	s.now = time.Now()
	s.idleAt = s.now.Add(s.idleEvery())
	for {
		ms, pending, err := s.read(ctx, src)
		s.now = time.Now()
		if err := s.landed(ctx); err != nil {
			return err
		}
		switch {
		case errors.Is(err, ErrNoMessage):
			if err := s.tick(ctx); err != nil {
				return err
			}
			continue
		case err != nil:
			if err := s.lose(ctx, err); err != nil {
				return err
			}
			continue
		}
		s.caughtUp = pending == 0
		s.snap.Last = ms[len(ms)-1].Seq + pending
		if err := s.applyAll(ctx, ms); err != nil {
			return err
		}
		// On one core the connection's reader has its turn, else the broker waits for it: nothing here blocks as long as messages are at hand.
		runtime.Gosched()
	}
}

// applyAll folds messages, and commits when that is due.
func (s *session) applyAll(ctx context.Context, ms []fold.Message) error {
	for len(ms) > 0 {
		n, err := s.apply(ctx, ms)
		if err != nil {
			return err
		}
		for i := range ms[:n] {
			s.sampleDelay(&ms[i])
		}
		alone := s.commitsAlone(ms[n-1].Seq)
		ms = ms[n:]
		if alone || s.due() {
			if err := s.commit(ctx); err != nil {
				return err
			}
		}
		if alone {
			if err := s.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// Of a fast stream one message in delayEvery is looked at, and of a slow one every message that comes delayWithin behind the last such one.
const (
	delayEvery  = 64
	delayWithin = 10 * time.Millisecond
)

// sampleDelay tells how long it took from the broker's storing a message to its being folded, of few enough messages that it costs nothing.
func (s *session) sampleDelay(m *fold.Message) {
	if s.o.Delay == nil || m.Seq%delayEvery != 0 && s.now.Sub(s.sampled) < delayWithin {
		return
	}
	s.sampled = s.now
	s.o.Delay(time.Since(time.UnixMilli(m.Time)))
}

// lose folds a proven loss, or returns the error that was none.
func (s *session) lose(ctx context.Context, err error) error {
	loss, ok := errors.AsType[*LossError](err)
	switch {
	case !ok:
		return err
	case s.o.HaltOnLoss:
		return fmt.Errorf("%w: %w: nats.input.on_loss is halt: look, then restart with continue", ErrHalt, err)
	}
	s.o.Logger.ErrorContext(ctx, "messages were lost before they were counted: the present windows are incomplete",
		slog.Uint64("from", loss.From), slog.Uint64("to", loss.To), slog.Any("err", loss.Err))
	return s.part.Lose(loss.From, loss.To)
}

// configRetry is the wait before a configuration is published again that the broker did not take.
const configRetry = time.Second

// read waits for messages until the next commit or look at idle sources is due.
func (s *session) read(ctx context.Context, src Source) ([]fold.Message, uint64, error) {
	select {
	case <-s.changed:
		if err := s.publishConfig(ctx); err != nil {
			return nil, 0, err
		}
	default:
		if !s.retryConfig.IsZero() && s.now.After(s.retryConfig) {
			if err := s.publishConfig(ctx); err != nil {
				return nil, 0, err
			}
		}
	}
	until, judging := s.idleAt, s.part.Judging()
	if s.committable() && !judging && s.next.Before(until) {
		until = s.next
	}
	poll := 250 * time.Millisecond // a new configuration does not wait for an event
	if s.flight != nil || judging {
		poll = 10 * time.Millisecond // nor do those who want to know that a commit is stored, or that a window has been judged
	}
	if poll := s.now.Add(poll); poll.Before(until) {
		until = poll
	}
	ms, pending, err := src.Next(ctx, until)
	if err != nil && ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	return ms, pending, err
}

// committable says whether there is something to commit and a message to mark the position with: after a loss the message behind it
// is folded first, for only a message that is there can be the mark.
func (s *session) committable() bool {
	return !s.changedAt.IsZero() && s.part.Position().Seq == s.last.Seq
}

// tick does what is due when nothing comes.
func (s *session) tick(ctx context.Context) error {
	if s.part.Judging() {
		switch fits, err := s.part.Settle(&s.out, false); {
		case err != nil:
			return fmt.Errorf("emitting windows: %w", err)
		case !fits:
			return s.commit(ctx)
		}
	}
	if s.committable() && s.due() {
		if err := s.commit(ctx); err != nil {
			return err
		}
	}
	if !s.now.Before(s.idleAt) {
		s.idleAt = s.now.Add(s.idleEvery())
		s.closeIdle(ctx)
	}
	return nil
}

// apply folds the first of messages, and those that can be folded together with it, committing whenever a commit is full, and returns how many.
func (s *session) apply(ctx context.Context, ms []fold.Message) (n int, err error) {
	if s.changedAt.IsZero() {
		s.changedAt = s.now
		s.next = s.changedAt.Add(s.o.Interval)
	}
	for {
		begun, done, err := s.fold(ms[n:])
		if err != nil {
			return n, fmt.Errorf("folding message %d: %w", ms[n].Seq, err)
		}
		n += begun
		if m := &ms[n-1]; s.last.Seq != m.Seq {
			s.last, s.mark = *m, nil
		}
		if done {
			return n, nil
		}
		n-- // what is left of it
		before := s.part.Position()
		if err := s.commit(ctx); err != nil {
			return n, err
		}
		if len(s.out.Docs) == 0 && before == s.part.Position() && s.part.Stuck(&s.out) {
			return n, fmt.Errorf("%w: message %d makes more state than a commit holds: raise commit.max_messages or commit.max_bytes",
				ErrHalt, ms[n].Seq)
		}
	}
}

// publishConfig publishes the wanted configuration where the stream's is another one. In a stream that driftd may not write to
// it takes effect at once instead.
func (s *session) publishConfig(ctx context.Context) error {
	want := *s.want.Load()
	hash := want.Hash()
	if hash == s.part.ConfigHash() && s.published == "" || hash == s.published {
		return nil
	}
	data, err := configMessage(want)
	if err == nil {
		err = s.o.Live.Control(ctx, data)
	}
	switch {
	case errors.Is(err, ErrReadOnly):
		s.o.Logger.WarnContext(ctx, "the configuration takes effect here and now, because it cannot travel in the input stream: "+
			"another reading of the stream may count by another one", slog.Any("err", err))
		if err := s.emitAll(ctx); err != nil {
			return err
		}
		if err := s.part.Reconfigure(want); err != nil {
			return fmt.Errorf("%w: configuring the partition: %w", ErrReload, err)
		}
	case err != nil:
		s.o.Logger.WarnContext(ctx, "the configuration could not be published and will be again", slog.Any("err", err))
		s.retryConfig = time.Now().Add(configRetry)
		return nil
	}
	s.published, s.retryConfig = hash, time.Time{}
	return nil
}

func (s *session) idleEvery() time.Duration {
	if s.o.IdleTimeout <= 0 {
		return time.Hour
	}
	return max(s.o.IdleTimeout/4, 100*time.Millisecond)
}

// closeIdle publishes a marker for every source that has been silent for the idle timeout, by the broker's clock, while
// everything that is stored was read: its watermark moves on by the silence, never to "now minus something". When nothing is left
// to close, one marker for each window goes on saying that there are no data, until the rule about that has fired.
func (s *session) closeIdle(ctx context.Context) {
	if s.o.IdleTimeout <= 0 || !s.caughtUp || s.part.Judging() {
		return // or it is not known yet which windows wait
	}
	now, last, err := s.o.Live.Now(ctx)
	if err != nil || last != s.part.Position().Seq || !s.part.Position().Done {
		return // away, or not caught up after all
	}
	for _, info := range s.part.Sources() {
		silence := now - info.LastSeen
		if !info.Waiting || info.Watermark == window.Unset || silence < max(s.o.IdleTimeout.Milliseconds(), info.Wait) {
			continue
		}
		m := event.Control{Kind: event.ControlMarker, Source: info.Model, Watermark: info.Watermark + silence} //nolint:exhaustruct // a marker
		if err := s.o.Live.Control(ctx, m.Encode()); err != nil {
			s.o.Logger.WarnContext(ctx, "publishing an idle marker", slog.String("model", info.Model), slog.Any("err", err))
			return
		}
	}
}
