// Package brokertest runs real brokers for tests: the embedded server on a free port of loopback with file storage in the
// test's directory, and a TCP proxy that cuts the line at a chosen moment. Test code only.
package brokertest

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
)

// Start runs an embedded broker over dir until the test ends; dir "" is a fresh directory.
func Start(tb testing.TB, dir string) *broker.Embedded {
	tb.Helper()
	if dir == "" {
		dir = tb.TempDir()
	}
	e, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: dir, Port: -1})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(e.Shutdown)
	return e
}

// Connect connects to a broker at url until the test ends.
func Connect(tb testing.TB, url, token string) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: url, Token: token})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { CloseAndWait(nc) })
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return nc, js
}

// New starts a broker in a fresh directory and connects to it.
func New(tb testing.TB) (*nats.Conn, jetstream.JetStream) {
	tb.Helper()
	e := Start(tb, "")
	return Connect(tb, e.URL(), e.Token())
}

// CloseAndWait closes a connection and waits until its goroutines have been told.
func CloseAndWait(nc *nats.Conn) {
	done := make(chan struct{})
	if nc.IsClosed() {
		return
	}
	nc.SetClosedHandler(func(*nats.Conn) { close(done) })
	nc.Close()
	<-done
}
