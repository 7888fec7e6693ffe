package crash_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/crash"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(beWorker())
	}
	os.Exit(m.Run())
}

// killer is the activation whose folding kills the process: the worker of this test looks up its reference by dying.
var killer = fmt.Sprintf(`{"schema":1,"activate":{"model":"m","reference":"sha256:%064d"}}`, 1)

// partition is a stored stream, a data directory, and the processes that fold the one with the other.
type partition struct {
	t      *testing.T
	js     jetstream.JetStream
	dir    string
	env    string
	output bytes.Buffer // of the last process
}

func newPartition(t *testing.T) *partition {
	e := brokertest.Start(t, "")
	_, js := brokertest.Connect(t, e.URL(), e.Token())
	if err := journal.EnsureStreams(t.Context(), js, journal.Layout{}); err != nil {
		t.Fatal(err)
	}
	p := &partition{t: t, js: js, dir: t.TempDir()}
	p.env = strings.Join([]string{e.URL(), e.Token(), p.dir}, "|")
	return p
}

func (p *partition) publish(subject, data string) uint64 {
	p.t.Helper()
	ack, err := p.js.Publish(p.t.Context(), subject, []byte(data))
	if err != nil {
		p.t.Fatal(err)
	}
	return ack.Sequence
}

// events publishes events of minutes from to to, the second not included.
func (p *partition) events(from, to int) {
	for i := from; i < to; i++ {
		p.publish("ml.events.m", fmt.Sprintf(`{"id":"e%d","ts":%d}`, i, i*60_000))
	}
}

// start starts a process that ends when it has committed up to a sequence.
func (p *partition) start(how string, until uint64) *exec.Cmd {
	p.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%s|%d", childEnv, p.env, how, until))
	p.output.Reset()
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return cmd
}

func (p *partition) deadLetters() []journal.DeadLetter {
	p.t.Helper()
	ds, err := journal.ListDeadLetters(p.t.Context(), p.js, 0, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return ds
}

// counted returns how many events the committed windows have.
func (p *partition) counted() (n uint64) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	if err := journal.NewForwarder(p.js, 0, journal.ForwarderOptions{}).Drain(ctx); err != nil {
		p.t.Fatal(err)
	}
	s, err := p.js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		p.t.Fatal(err)
	}
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			p.t.Fatal(err)
		}
		var sum result.Summary
		if bytes.Contains(m.Data, []byte(`"type":"summary"`)) {
			if err := json.Unmarshal(m.Data, &sum); err != nil {
				p.t.Fatal(err)
			}
		}
		if sum.Key.Version == result.All {
			n += sum.Counts.Events
		}
	}
	return n
}

// A message that kills the process in ways that recover cannot catch is found after a bounded number of starts, and set aside
// alone: what lies before and behind it in the same batches is counted.
func TestMessageThatKillsTheProcess(t *testing.T) {
	for _, how := range []string{"stack", "map"} {
		t.Run(how, func(t *testing.T) {
			p := newPartition(t)
			p.events(0, 40)
			poison := p.publish("driftd.control.0", killer)
			p.events(40, 70)
			last := p.publish("driftd.control.0", `{"schema":1,"watermark":6000000,"end":true}`)
			deaths := 0
			for {
				cmd := p.start(how, last)
				if err := cmd.Wait(); err == nil {
					break
				}
				if deaths++; deaths > 5 { // three without progress, then two that prove it
					t.Fatalf("the process died %d times; the last one said:\n%s", deaths, tail(&p.output))
				}
				if report, err := os.ReadFile(filepath.Join(p.dir, "crash.txt")); err != nil || len(report) == 0 {
					t.Fatalf("death %d left the report %q (%v) and said:\n%s", deaths, report, err, tail(&p.output))
				}
			}
			if deaths != 5 {
				t.Errorf("it died %d times before the message was set aside, want 5", deaths)
			}
			ds := p.deadLetters()
			if len(ds) != 1 || ds[0].Seq != poison || ds[0].Index != 0 || ds[0].Reason != "panic" || ds[0].Size != len(killer) {
				t.Errorf("dead letters = %+v, want message %d alone", ds, poison)
			}
			if n := p.counted(); n != 70 {
				t.Errorf("%d events are counted, want 70", n)
			}
		})
	}
}

// However often a process is killed from outside, also while it folds message by message, no message is blamed for it.
func TestKillFromOutsideBlamesNoMessage(t *testing.T) {
	p := newPartition(t)
	p.events(0, 400)
	last := p.publish("driftd.control.0", `{"schema":1,"watermark":30000000,"end":true}`)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	signals := []os.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGSEGV, syscall.SIGABRT}
	kills, careful := 0, 0
	for kills < 40 {
		cmd := p.start("never", last)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the process ended by itself: %v\n%s", err, tail(&p.output))
			}
			t.Logf("done after %d kills", kills)
			kills = 1 << 20
		case <-time.After(time.Duration(20+rng.IntN(150)) * time.Millisecond):
			if err := cmd.Process.Signal(signals[rng.IntN(len(signals))]); err == nil {
				kills++
			}
			<-ended //nolint:errcheck // it was killed
		}
		if bytes.Contains(p.output.Bytes(), []byte("one by one")) {
			careful++
		}
	}
	if err := p.start("never", last).Wait(); err != nil {
		t.Fatalf("the last process: %v\n%s", err, tail(&p.output))
	}
	if careful == 0 {
		t.Error("no process folded message by message: the kills came too late")
	}
	if ds := p.deadLetters(); len(ds) != 0 {
		t.Errorf("dead letters = %+v, want none", ds)
	}
	if n := p.counted(); n != 400 {
		t.Errorf("%d events are counted, want 400", n)
	}
}

// What does not come from folding one message alone proves nothing.
func TestReports(t *testing.T) {
	const alone = "github.com/driftd/driftd/crash.(*Recorder).Alone(0x1)\n\tcrash.go:1\n"
	for name, c := range map[string]struct {
		report  string
		culprit uint64
	}{
		"no report":       {"", 0},
		"folded alone":    {"fatal error: stack overflow\n\nruntime stack:\nx\n\ngoroutine 7 gp=0x1 m=0 [running]:\nmain.f()\n" + alone, 8291},
		"folded in a row": {"fatal error: stack overflow\n\ngoroutine 7 [running]:\nmain.f()\n", 0},
		"another goroutine": {
			"fatal error: concurrent map writes\n\ngoroutine 9 [running]:\nmain.f()\n\ngoroutine 7 [runnable]:\n" + alone, 0,
		},
		"a signal from outside": {"SIGQUIT: quit\nPC=0x1 m=0\n\ngoroutine 7 [running]:\n" + alone, 0},
		"cut off":               {"fatal error: ", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"crash.txt": c.report, "crash.message": "0000000003 00000000000000008291\n"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := crash.Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}()
			if got := r.Culprit(3); got != c.culprit || r.Culprit(0) != 0 || r.Before() != c.report {
				t.Errorf("culprit %d, want %d; report %q", got, c.culprit, r.Before())
			}
			kept, err := os.ReadFile(filepath.Join(dir, crash.LastFile))
			if c.report != "" && (err != nil || string(kept) != c.report) {
				t.Errorf("kept report %q, %v", kept, err)
			}
		})
	}
}

func tail(b *bytes.Buffer) string {
	data := b.Bytes()
	return string(data[max(0, len(data)-4000):])
}

// logger writes what the parent looks for.
func logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Writer(os.Stderr), nil)) }
