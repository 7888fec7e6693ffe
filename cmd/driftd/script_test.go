package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

var update = flag.Bool("update", false, "write the goldens of the scripts again")

// TestMain makes this test binary stand for driftd: a script runs the real command line in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"driftd": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    cmdExits,
			"broker":   cmdBroker,
			"messages": cmdMessages,
			"refuse":   cmdRefuse,
			"retain":   cmdRetain,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("SHARED", filepath.Join(testenv.Root(t), "..", "shared"))
			return nil
		},
	})
}

// cmdExits runs driftd and wants an exit code:
//
//	exits CODE ARGS…
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec("driftd", args[1:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("running driftd: %v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// cmdBroker starts an embedded broker with driftd's streams, as a running daemon would have left it:
//
//	broker [--bare] DIR
//
// $URL is its address with its token, and DIR holds the record of it. A bare one has no streams.
func cmdBroker(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 || len(args) == 2 && args[0] != "--bare" {
		ts.Fatalf("usage: broker [--bare] DIR")
	}
	address, shutdown, err := startBroker(ts.MkAbs(args[len(args)-1]), len(args) == 2)
	ts.Check(err)
	ts.Defer(shutdown)
	ts.Setenv("URL", address)
}

// startBroker starts a broker with driftd's streams, and records it in a data directory.
func startBroker(dir string, bare bool) (address string, shutdown func(), err error) {
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: filepath.Join(dir, "jetstream"), Port: -1})
	if err != nil {
		return "", nil, err
	}
	record := broker.Runtime{URL: e.URL(), Token: e.Token(), WebURL: "", PID: os.Getpid()}
	address = strings.Replace(e.URL(), "://", "://"+e.Token()+"@", 1)
	err = broker.WriteRuntime(dir, record)
	if err == nil && !bare {
		err = withJetStream(address, func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
			return journal.EnsureStreams(ctx, js, journal.Layout{}.Fit(e.StoreLimit()))
		})
	}
	if err != nil {
		e.Shutdown()
		return "", nil, err
	}
	return address, e.Shutdown, nil
}

func withJetStream(address string, do func(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: address})
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	return do(ctx, nc, js)
}

// cmdMessages prints what the input stream holds, a message a line, with its headers where it has any:
//
//	messages
func cmdMessages(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: messages")
	}
	ts.Check(withJetStream(ts.Getenv("URL"), func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
		return writeMessages(ctx, js, ts.Stdout())
	}))
}

func writeMessages(ctx context.Context, js jetstream.JetStream, w io.Writer) error {
	s, err := js.Stream(ctx, journal.InputStream(0))
	if err != nil {
		return err
	}
	state := s.CachedInfo().State
	for seq := max(1, state.FirstSeq); seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s %s", m.Subject, m.Data)
		if len(m.Header) > 0 {
			fmt.Fprintf(w, " %v", m.Header)
		}
		fmt.Fprintln(w)
	}
	return nil
}

// cmdRetain removes what retention would have removed: the messages of the input stream before a sequence.
//
//	retain SEQ
func cmdRetain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: retain SEQ")
	}
	seq, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	ts.Check(withJetStream(ts.Getenv("URL"), func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
		s, err := js.Stream(ctx, journal.InputStream(0))
		if err != nil {
			return err
		}
		c := s.CachedInfo().Config
		c.MaxMsgs = int64(s.CachedInfo().State.LastSeq + 1 - seq) // purging is not permitted
		_, err = js.UpdateStream(ctx, c)
		return err
	}))
}

// cmdRefuse commits dead letters as the daemon would:
//
//	refuse SEQ INDEX REASON DETAIL BYTES
//
// Hash and size are those of BYTES.
func cmdRefuse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: refuse SEQ INDEX REASON DETAIL BYTES")
	}
	d := deadLetter{
		Stream: journal.InputStream(0), Subject: "ml.events.churn", Model: "churn", Reason: args[2], Detail: args[3],
		Size: len(args[4]), SHA256: hash(args[4]), Time: 1_795_341_600_123, // 2026-11-22T10:00:00.123Z
	}
	if n, err := fmt.Sscan(args[0]+" "+args[1], &d.Seq, &d.Index); n != 2 {
		ts.Fatalf("reading SEQ and INDEX: %v", err)
	}
	ts.Check(withJetStream(ts.Getenv("URL"), func(ctx context.Context, nc *nats.Conn, js jetstream.JetStream) error {
		j, err := journal.Open(ctx, js, nc, 0, journal.Options{})
		if err != nil {
			return err
		}
		if _, err := j.Acquire(ctx); err != nil {
			return err
		}
		return j.Commit(ctx, journal.Batch{Position: []byte(`{"seq":1}`), DeadLetters: []deadLetter{d}})
	}))
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// A secret in an address must never reach a message: not even when the connection fails.
func TestAddressIsShownWithoutItsSecret(t *testing.T) {
	var stderr strings.Builder
	address := (&url.URL{Scheme: "nats", User: url.User("s3cr3t"), Host: "127.0.0.1:1"}).String()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	code := run(ctx, []string{"reference", "list", "--url", address}, strings.NewReader(""), io.Discard, &stderr, nil)
	if code != exitFailed || strings.Contains(stderr.String(), "s3cr3t") {
		t.Errorf("exit code %d, want %d; stderr %q must not have the secret", code, exitFailed, stderr.String())
	}
}
