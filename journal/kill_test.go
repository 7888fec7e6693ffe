package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// helperEnv makes this test binary a broker process: its value is the store directory and the port.
const helperEnv = "DRIFTD_TEST_BROKER"

// helper runs the embedded broker until its standard input ends or it is killed.
func helper() {
	dir, port, _ := strings.Cut(os.Getenv(helperEnv), "|")
	n, err := strconv.Atoi(port)
	if err == nil {
		var e *broker.Embedded
		if e, err = broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: n, Token: "t"}); err == nil {
			fmt.Println(e.URL())
			_, _ = io.Copy(io.Discard, os.Stdin)
			e.Shutdown()
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// brokerProcess is a broker in a process of its own, which can be killed with signal 9.
type brokerProcess struct {
	cmd *exec.Cmd
	in  io.Closer
	url string
}

func startProcess(t *testing.T, dir, port string) *brokerProcess {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), helperEnv+"="+dir+"|"+port)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("the broker process did not start: %v", err)
	}
	return &brokerProcess{cmd: cmd, in: in, url: strings.TrimSpace(url)}
}

func (b *brokerProcess) kill() {
	_ = b.cmd.Process.Kill() // signal 9
	_ = b.cmd.Wait()
	_ = b.in.Close()
}

// The broker is killed with signal 9 again and again while an owner commits and a forwarder forwards. Every commit that
// was acknowledged is there, none is half there, and every result is in the outbox exactly once.
func TestKilledBrokerLosesNothingAndDoublesNothing(t *testing.T) {
	dir := t.TempDir()
	b := startProcess(t, dir, "-1")
	port := b.url[strings.LastIndex(b.url, ":")+1:]
	nc, js := brokertest.Connect(t, b.url, "t")
	ctx := deadline(t)
	if err := journal.EnsureStreams(ctx, js, journal.Layout{}); err != nil {
		t.Fatal(err)
	}
	f := journal.NewForwarder(js, 0, journal.ForwarderOptions{})
	fctx, stop := context.WithCancel(ctx)
	forwarded := make(chan error, 1)
	go func() { forwarded <- f.Run(fctx) }()

	done := make(chan error, 1)
	const commits = 400
	j := open(t, nc, js, journal.Options{CommitTimeout: 500 * time.Millisecond})
	go func() { done <- commitChain(ctx, j, commits) }()
	rng, kills := rand.New(rand.NewPCG(1, 1)), 0
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running = false
		case <-time.After(time.Duration(100+rng.IntN(300)) * time.Millisecond):
			if kills < 6 {
				b.kill()
				b = startProcess(t, dir, port)
				kills++
			}
		}
	}
	defer b.kill()
	if kills < 3 {
		t.Errorf("only %d kills happened: the test shows nothing", kills)
	}
	s := acquire(t, open(t, nc, js, journal.Options{}))
	if string(s.Shards["sum"]) != strconv.Itoa(commits) || !bytes.Equal(s.Position, position(commits)) {
		t.Errorf("state = %s at %s, want %d commits", s.Shards["sum"], s.Position, commits)
	}
	stop()
	if err := <-forwarded; err != nil {
		t.Error(err)
	}
	if err := f.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	checkOutbox(t, js, commits)
	t.Logf("%d kills, %d passes failed, %d duplicates recognised", kills, f.Stats().Errors.Load(), f.Stats().Duplicates.Load())
}

// commitChain commits result after result; each commit follows from the state it read, as the fold's do.
func commitChain(ctx context.Context, j *journal.Journal, commits int) error {
	n, owned := 0, false
	for n < commits {
		if !owned {
			s, err := j.Acquire(ctx)
			if err != nil {
				if ctx.Err() != nil {
					return err
				}
				continue // the broker is away; the next try waits for it
			}
			n, owned = 0, true
			if s.Shards["sum"] != nil {
				if n, err = strconv.Atoi(string(s.Shards["sum"])); err != nil {
					return err
				}
			}
			if !s.Fresh && !bytes.Equal(s.Position, position(n)) {
				return fmt.Errorf("position %s beside sum %d: a commit is half there", s.Position, n)
			}
			continue
		}
		err := j.Commit(ctx, journal.Batch{
			Position: position(n + 1), Shards: []journal.Shard{{Name: "sum", Data: []byte(strconv.Itoa(n + 1))}},
			Docs: []result.Doc{{ID: fmt.Sprint("r", n+1), Model: "m", Data: []byte(strconv.Itoa(n + 1))}},
		})
		if _, ok := errors.AsType[*journal.FencedError](err); ok {
			return err // nobody competes here
		}
		if owned = err == nil; owned {
			n++
		}
	}
	return nil
}
