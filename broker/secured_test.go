package broker_test

import (
	"context"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

// Every way to prove who one is works against a real server, up to an atomic batch; a wrong secret fails at once and says what to
// look at.
func TestSecured(t *testing.T) {
	for _, kind := range brokertest.SecuredKinds() {
		t.Run(kind, func(t *testing.T) {
			s := brokertest.NewSecured(t, kind)
			ctx := deadline(t)
			nc, err := broker.Connect(ctx, s.Good)
			if err != nil {
				t.Fatal(err)
			}
			defer brokertest.CloseAndWait(nc)
			if err := broker.CheckServer(ctx, nc); err != nil {
				t.Fatal(err)
			}
			if wantTLS := strings.HasSuffix(kind, "tls"); wantTLS != nc.TLSRequired() {
				t.Errorf("the connection has TLS: %v", nc.TLSRequired())
			}
			js, err := jetstream.New(nc)
			if err != nil {
				t.Fatal(err)
			}
			if err := journal.EnsureStreams(ctx, js, journal.Layout{}); err != nil {
				t.Fatal(err)
			}
			j, err := journal.Open(ctx, js, nc, 0, journal.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := j.Acquire(ctx); err != nil {
				t.Fatal(err)
			}
			if err := j.Commit(ctx, journal.Batch{Position: []byte(`{}`), Shards: []journal.Shard{{Name: "a", Data: []byte("x")}}}); err != nil {
				t.Fatal(err)
			}

			bad, err := broker.Connect(ctx, s.Bad)
			var refused *broker.ConnectError
			if err == nil {
				bad.Close()
				t.Fatal("a client with a wrong secret is connected")
			}
			if !errors.As(err, &refused) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(refused.Remedy, "check the") {
				t.Errorf("a wrong secret: %v; want a *ConnectError before the deadline that says what to check", err)
			}
			if strings.Contains(err.Error(), "wrong") || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("the error shows the secret: %v", err)
			}
			none, err := broker.Connect(ctx, broker.ConnectOptions{URL: s.Good.URL})
			if err == nil {
				none.Close()
				t.Error("a client without a secret is connected")
			}
		})
	}
}

// A server that knows no atomic batch is refused with what it is and what is needed: that of Debian 12 is 2.9.
func TestOldServer(t *testing.T) {
	binary, err := exec.LookPath("nats-server")
	if err != nil {
		testenv.Missing(t, "nats-server below 2.12.1 (Debian: the package nats-server)")
	}
	port := testenv.FreePort(t)
	cmd := exec.Command(binary, "-a", "127.0.0.1", "-p", strconv.Itoa(port), "-js", "-sd", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: "nats://127.0.0.1:" + strconv.Itoa(port)})
	if err != nil {
		t.Fatal(err)
	}
	defer brokertest.CloseAndWait(nc)
	v := nc.ConnectedServerVersion()
	if !strings.HasPrefix(v, "2.") || newer(nc) {
		testenv.Missing(t, "nats-server below 2.12.1 (found "+v+")")
	}
	err = broker.CheckServer(ctx, nc)
	var old *broker.VersionError
	if !errors.As(err, &old) || old.Server != v || !strings.Contains(err.Error(), "2.12.1 or later") || !strings.Contains(err.Error(), "upgrade") {
		t.Errorf("nats-server %s: %v; want a *VersionError that says what is needed", v, err)
	}
	t.Log(err)
}

// newer says whether a server has JetStream's API of level 2, which came with 2.12.
func newer(nc *nats.Conn) bool {
	js, err := jetstream.New(nc)
	if err != nil {
		return false
	}
	info, err := js.AccountInfo(context.Background())
	return err == nil && info.API.Level >= 2
}
