package pipeline_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a journal and a stream in memory: what the tests of this package need of a broker. The real ones are tested with
// this worker in package e2e.
type memory struct {
	mu    sync.Mutex
	msgs  []fold.Message
	more  chan struct{} // closed and replaced when a message is added
	state pipeline.State
	docs  []result.Doc
	dead  []result.DeadLetter
	fail  []error   // of the next commits
	read  uint64    // highest sequence that was handed out
	lost  [2]uint64 // messages that are gone, both included
	now   func() int64
	away  atomic.Bool   // the next control message is not stored
	gate  chan struct{} // not nil: a commit is stored only after it has taken a token from here
	busy  atomic.Bool   // a commit is on its way
	crash atomic.Int64  // how often the partition was acquired while one was
	met   atomic.Bool   // the loss was told
	hasty atomic.Int64  // how often a message was asked for with no time left to wait for it
}

var (
	_ pipeline.Journal = (*memory)(nil)
	_ pipeline.Input   = (*memory)(nil)
	_ pipeline.Stream  = (*memory)(nil)
	_ pipeline.Source  = (*reader)(nil)
)

func newMemory() *memory {
	return &memory{
		more: make(chan struct{}), state: pipeline.State{Fresh: true, Shards: map[string][]byte{}},
		now: func() int64 { return 1_800_000_000_000 },
	}
}

func (m *memory) add(subject, data string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.msgs = append(m.msgs, fold.Message{Seq: uint64(len(m.msgs) + 1), Subject: subject, Time: m.now(), Data: []byte(data)})
	close(m.more)
	m.more = make(chan struct{})
}

func (m *memory) Acquire(_ context.Context, culprit uint64) (pipeline.State, error) {
	if m.busy.Load() {
		m.crash.Add(1)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if culprit != 0 && culprit != m.state.Suspect {
		m.state.Suspect, m.state.Deaths = culprit, 0
	}
	if culprit != 0 {
		m.state.Deaths++
	}
	st := m.state
	m.state.Fruitless++
	st.Shards = maps.Clone(st.Shards)
	return st, nil
}

func (m *memory) Commit(_ context.Context, b pipeline.Batch) error {
	m.busy.Store(true)
	defer m.busy.Store(false)
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.fail) > 0 {
		err := m.fail[0]
		m.fail = m.fail[1:]
		if err != nil {
			return err
		}
	}
	m.state.Fresh, m.state.Fruitless, m.state.Mark, m.state.Header = false, 0, b.Mark, bytes.Clone(b.Header)
	for _, s := range b.Shards {
		if s.Data == nil {
			delete(m.state.Shards, s.Name)
		} else {
			m.state.Shards[s.Name] = bytes.Clone(s.Data)
		}
	}
	m.docs, m.dead = append(m.docs, b.Docs...), append(m.dead, b.DeadLetters...)
	return nil
}

func (m *memory) Verify(context.Context, []byte) error { return nil }
func (m *memory) Mark(_ context.Context, msg fold.Message) ([]byte, error) {
	return json.Marshal(msg.Seq)
}

func (m *memory) Open(_ context.Context, from uint64) (pipeline.Source, error) {
	return &reader{m, from}, nil
}
func (m *memory) First(context.Context) (uint64, error) { return 1, nil }
func (m *memory) Now(context.Context) (int64, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now(), uint64(len(m.msgs)), nil
}

func (m *memory) Control(_ context.Context, data []byte) error {
	if m.away.CompareAndSwap(true, false) {
		return errors.New("the broker is away")
	}
	m.add("driftd.control.0", string(data))
	return nil
}

// controls counts the control messages that hold a text.
func (m *memory) controls(text string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, msg := range m.msgs {
		if msg.Subject == "driftd.control.0" && strings.Contains(string(msg.Data), text) {
			n++
		}
	}
	return n
}

// summaries lists the committed summaries of all versions together.
func (m *memory) summaries(t *testing.T) []string {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, d := range m.docs {
		var s result.Summary
		if !bytes.Contains(d.Data, []byte(`"type":"summary"`)) {
			continue
		}
		if err := json.Unmarshal(d.Data, &s); err != nil {
			t.Fatal(err)
		}
		if s.Key.Version == result.All {
			out = append(out, fmt.Sprintf("%s %d r%d n=%d", s.Key.Model, s.Window.Start/60_000, s.Revision, s.Counts.Events))
		}
	}
	return out
}

type reader struct {
	m    *memory
	next uint64
}

func (r *reader) Next(ctx context.Context, until time.Time) ([]fold.Message, uint64, error) {
	if time.Now().After(until) {
		r.m.hasty.Add(1)
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		r.m.mu.Lock()
		if from, to := r.m.lost[0], r.m.lost[1]; from > 0 && r.next >= from && r.next <= to {
			err := &pipeline.LossError{From: r.next, To: to, Err: errors.New("retention")}
			r.next = to + 1
			r.m.met.Store(true)
			r.m.mu.Unlock()
			return nil, 0, err
		}
		if n := uint64(len(r.m.msgs)); r.next <= n {
			to := min(n, r.next+r.next%3) // one to three at a time
			if from := r.m.lost[0]; from > r.next {
				to = min(to, from-1)
			}
			some := r.m.msgs[r.next-1 : to : to]
			r.next = to + 1
			r.m.read = max(r.m.read, to)
			r.m.mu.Unlock()
			return some, n - to, nil
		}
		more := r.m.more
		r.m.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-timer.C:
			return nil, 0, pipeline.ErrNoMessage
		case <-more:
		}
	}
}

func (r *reader) Close() {}

func counting() fold.Counting {
	return fold.Counting{
		Defaults: fold.ModelConfig{
			Timing:    window.Timing{Windows: []window.Spec{{Size: 900_000, Every: 900_000}}, Pane: 900_000, Lateness: 0, WatermarkDelay: 0},
			Detectors: detectors.Default(), Rules: alerting.Defaults(),
		},
		UnknownModels: fold.UnknownAuto, MaxModels: 10, MaxVersions: 5, FutureTolerance: 300_000, DedupIDs: 1000,
		Limits: event.DefaultLimits(), MaxMessage: 1 << 20,
	}
}

// options returns quick options on a memory.
func options(m *memory) pipeline.Options {
	return pipeline.Options{
		Stream: "IN", Journal: m, Input: m, Live: m, Counting: counting(), Interval: 5 * time.Millisecond,
		References: func(string) (*reference.Reference, error) { return nil, fold.ErrNoReference },
		Budget:     fold.Budget{Messages: 900, Bytes: 32 << 20}, Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs a worker until the test ends or stop is called.
func start(t *testing.T, o pipeline.Options) (w *pipeline.Worker, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w = pipeline.New(o)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.Run(ctx); err != nil && !errors.Is(err, pipeline.ErrHalt) {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return w, stop
}

func eventAt(minute int) string {
	return fmt.Sprintf(`{"model":"m","id":"e%d","ts":%d}`, minute, int64(minute)*60_000)
}

func TestEveryFailureOfACommitGivesTheSameResults(t *testing.T) {
	for name, fail := range map[string]error{
		"fenced":  fmt.Errorf("%w: another owner", pipeline.ErrReload),
		"full":    fmt.Errorf("%w: no room", pipeline.ErrFull),
		"unknown": errors.New("the broker is away"),
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.fail = []error{fail, fail}
			start(t, options(m))
			for i := range 50 {
				m.add("ml.events.m", eventAt(i))
			}
			// Windows of 15 minutes; the watermark is the newest event, 49: three are complete.
			want := []string{"m 0 r0 n=15", "m 15 r0 n=15", "m 30 r0 n=15"}
			testenv.Eventually(t, 10*time.Second, "three windows", func() bool { return slices.Equal(m.summaries(t), want) })
			testenv.Eventually(t, 10*time.Second, "every failure met", func() bool {
				m.mu.Lock()
				defer m.mu.Unlock()
				return len(m.fail) == 0
			})
		})
	}
}

// The broker's clock is a minute behind here, so that what is told is known up to how long the test takes.
func TestDelayIsToldOfASample(t *testing.T) {
	const minute, messages = time.Minute, 640
	begun := time.Now()
	m := newMemory()
	m.now = func() int64 { return begun.Add(-minute).UnixMilli() }
	for i := range messages {
		m.add("ml.events.m", eventAt(i))
	}
	var mu sync.Mutex
	var told []time.Duration
	o := options(m)
	o.Delay = func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, d)
	}
	_, stop := start(t, o)
	testenv.Eventually(t, 10*time.Second, "one message in 64 is looked at", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) >= messages/64
	})
	stop()
	for _, d := range told {
		if most := minute + time.Since(begun) + time.Millisecond; d < minute || d > most {
			t.Errorf("told %v, want %v to %v", d, minute, most)
		}
	}
}

func TestStopCommitsWhatWasFolded(t *testing.T) {
	m := newMemory()
	o := options(m)
	o.Interval = time.Hour
	_, stop := start(t, o)
	for i := range 20 {
		m.add("ml.events.m", eventAt(i))
	}
	testenv.Eventually(t, 10*time.Second, "everything is read", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.read == uint64(len(m.msgs))
	})
	if got := m.summaries(t); len(got) != 0 {
		t.Fatalf("committed before the interval was over: %v", got)
	}
	stop()
	if got, want := m.summaries(t), []string{"m 0 r0 n=15"}; !slices.Equal(got, want) {
		t.Errorf("committed at the stop: %v, want %v", got, want)
	}
}

func TestConfigurationTravelsOnceInTheStream(t *testing.T) {
	m := newMemory()
	m.away.Store(true) // once: it is published again
	w, stop := start(t, options(m))
	testenv.Eventually(t, 10*time.Second, "the configuration", func() bool { return m.controls(`"config"`) == 1 })
	next := counting()
	next.Defaults.Timing.Lateness = 60_000
	w.SetCounting(next)
	testenv.Eventually(t, 10*time.Second, "the next configuration", func() bool { return m.controls(next.Hash()) == 1 })
	m.add("ml.events.m", eventAt(1))
	testenv.Eventually(t, 10*time.Second, "a commit", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return strings.Contains(string(m.state.Header), next.Hash())
	})
	stop()
	o := options(m)
	o.Counting = next
	_, stop = start(t, o)
	m.add("ml.events.m", eventAt(2))
	testenv.Eventually(t, 10*time.Second, "the restarted worker commits", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return strings.Contains(string(m.state.Header), fmt.Sprintf(`"seq":%d,`, len(m.msgs)))
	})
	stop()
	if n := m.controls(`"config"`); n != 2 {
		t.Errorf("%d configurations in the stream, want 2: the same one is not published again", n)
	}
}

func TestPoisonIsQuarantined(t *testing.T) {
	m := newMemory()
	o := options(m)
	o.References = func(string) (*reference.Reference, error) { panic("a bug") }
	start(t, o)
	m.add("ml.events.m", eventAt(1))
	m.add("driftd.control.0", fmt.Sprintf(`{"schema":1,"activate":{"model":"m","reference":"sha256:%064d"}}`, 1))
	m.add("ml.events.m", eventAt(20))
	testenv.Eventually(t, 10*time.Second, "the stream goes on", func() bool { return slices.Contains(m.summaries(t), "m 0 r0 n=1") })
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.dead) != 1 || m.dead[0].Reason != "panic" || m.dead[0].Subject != "driftd.control.0" {
		t.Errorf("dead letters: %+v", m.dead)
	}
}

// A record is found to be poison while the commit before it is on its way: the partition is not acquired again before that has ended.
// A journal serves one caller at a time.
func TestPoisonBehindACommitOnItsWay(t *testing.T) {
	m := newMemory()
	m.gate = make(chan struct{})
	o := options(m)
	poisoned := make(chan struct{})
	var once sync.Once
	o.References = func(string) (*reference.Reference, error) {
		once.Do(func() { close(poisoned) })
		panic("a bug")
	}
	start(t, o)
	m.add("ml.events.m", eventAt(1))
	testenv.Eventually(t, 10*time.Second, "a commit is on its way", m.busy.Load)
	m.add("driftd.control.0", fmt.Sprintf(`{"schema":1,"activate":{"model":"m","reference":"sha256:%064d"}}`, 1))
	m.add("ml.events.m", eventAt(20))
	<-poisoned
	<-time.After(20 * o.Interval) // a partition that does not wait is acquired long before
	close(m.gate)
	testenv.Eventually(t, 10*time.Second, "the stream goes on", func() bool { return slices.Contains(m.summaries(t), "m 0 r0 n=1") })
	if n := m.crash.Load(); n != 0 {
		t.Errorf("the partition was acquired %d times while a commit was on its way", n)
	}
}

func TestIdleSourceClosesItsWindow(t *testing.T) {
	m := newMemory()
	began := time.Now()
	m.now = func() int64 { return 1_800_000_000_000 + 3_600_000*time.Since(began).Milliseconds()/100 } // an hour in 100 ms
	o := options(m)
	o.IdleTimeout = 200 * time.Millisecond
	start(t, o)
	m.add("ml.events.m", eventAt(1))
	testenv.Eventually(t, 10*time.Second, "the last window closes by itself", func() bool {
		return slices.Contains(m.summaries(t), "m 0 r0 n=1")
	})
	if m.controls(`"watermark"`) == 0 {
		t.Error("it closed without a marker: a second reading would not close it there")
	}
}

// A model that is silent for three windows has no data: markers say so in the stream, one a window, and end when it is said.
func TestSilentModel(t *testing.T) {
	m := newMemory()
	began := time.Now()
	m.now = func() int64 { return 1_800_000_000_000 + 3_600_000*time.Since(began).Milliseconds()/1000 } // an hour a second
	o := options(m)
	o.IdleTimeout = 50 * time.Millisecond
	start(t, o)
	m.add("ml.events.m", eventAt(1))
	fired := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.ContainsFunc(m.docs, func(d result.Doc) bool {
			return bytes.Contains(d.Data, []byte(`"rule":"no-data"`)) && bytes.Contains(d.Data, []byte(`"to":"firing"`))
		})
	}
	testenv.Eventually(t, 20*time.Second, "the rule about no data fires", fired)
	markers, at := m.controls(`"watermark"`), m.now()
	testenv.Eventually(t, 20*time.Second, "two more hours", func() bool { return m.now() > at+7_200_000 })
	if more := m.controls(`"watermark"`); more > markers+1 {
		t.Errorf("%d markers after it was said", more-markers)
	}
	// The first window closes by markers every idle_timeout (3 minutes here), the others by one marker each.
	if markers > 20 {
		t.Errorf("%d markers", markers)
	}
}

// Messages that are gone are counted as lost in the present window, which says that it is incomplete, and the fold goes on;
// with HaltOnLoss it stops.
func TestLoss(t *testing.T) {
	for _, halt := range []bool{false, true} {
		t.Run(fmt.Sprint("halt=", halt), func(t *testing.T) {
			m := newMemory()
			for i := range 50 {
				m.add("ml.events.m", eventAt(i))
			}
			m.lost = [2]uint64{21, 23} // minutes 20, 21 and 22
			o := options(m)
			o.HaltOnLoss = halt
			halted := make(chan error, 100) // more than the snapshots of this test
			o.Observe = func(s pipeline.Snapshot) { halted <- s.Err }
			start(t, o)
			if halt {
				testenv.Eventually(t, 10*time.Second, "it halts", func() bool {
					select {
					case err := <-halted:
						return errors.Is(err, pipeline.ErrHalt)
					default:
						return false
					}
				})
				return
			}
			want := []string{"m 0 r0 n=15", "m 15 r0 n=12", "m 30 r0 n=15"}
			testenv.Eventually(t, 10*time.Second, "three windows", func() bool { return slices.Equal(m.summaries(t), want) })
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, d := range m.docs {
				var s result.Summary
				if bytes.Contains(d.Data, []byte(`"type":"summary"`)) {
					if err := json.Unmarshal(d.Data, &s); err != nil {
						t.Fatal(err)
					}
				}
				if hit := s.Key.Version == result.All && s.Window.Start == 900_000; s.Type == "summary" && (s.Complete == hit || (s.Lost == 3) != hit) {
					t.Errorf("window %d of %s: complete %v, lost %d", s.Window.Start, s.Key.Version, s.Complete, s.Lost)
				}
			}
		})
	}
}

// A loss leaves nothing to mark the position with until the message behind it comes. The commit that is overdue by then must not
// turn the wait for that message into a busy loop in which there is never time to find the way back to the broker.
func TestLossAtTheEndWaits(t *testing.T) {
	m := newMemory()
	m.lost = [2]uint64{20, 21} // behind the configuration and 18 events
	o := options(m)
	o.Interval = 100 * time.Millisecond // the loss is met before
	committed := func(seq string) func() bool {
		return func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return string(m.state.Mark) == seq
		}
	}
	start(t, o)
	testenv.Eventually(t, 10*time.Second, "the configuration is committed", committed("1"))
	for i := range 20 {
		m.add("ml.events.m", eventAt(i))
	}
	testenv.Eventually(t, 10*time.Second, "the loss is met", m.met.Load)
	<-time.After(2 * o.Interval)
	m.hasty.Store(0)
	<-time.After(5 * o.Interval)
	if n := m.hasty.Load(); n > 20 {
		t.Errorf("asked for a message %d times without any time to wait for it", n)
	}
	m.add("ml.events.m", eventAt(20))
	testenv.Eventually(t, 10*time.Second, "the message behind the loss is committed", committed("22"))
}
