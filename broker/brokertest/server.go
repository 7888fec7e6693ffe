package brokertest

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/driftd/driftd/internal/testenv"
)

// ready bounds the start of a server; a loaded machine is slow.
const ready = 30 * time.Second

// Serve runs a server of a user's own until the test ends: JetStream in a fresh directory and a free port of loopback, unless
// the options say otherwise. It returns when clients are accepted.
func Serve(tb testing.TB, opts *server.Options) *server.Server {
	tb.Helper()
	s := launch(tb, opts)
	if !s.ReadyForConnections(ready) {
		tb.Fatalf("the server was not ready within %v", ready)
	}
	return s
}

func launch(tb testing.TB, opts *server.Options) *server.Server {
	tb.Helper()
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if opts.StoreDir == "" {
		opts.StoreDir = tb.TempDir()
	}
	opts.JetStream, opts.NoSigs, opts.NoLog = true, true, true
	s, err := server.NewServer(opts)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

// Cluster runs n servers as one JetStream cluster until the test ends, and returns when it has a leader and all are current.
func Cluster(tb testing.TB, n int) []*server.Server {
	tb.Helper()
	// Every server needs the routes of all before it starts, so the ports are chosen first.
	routes := make([]*url.URL, n)
	ports := make([]int, n)
	for i := range n {
		ports[i] = testenv.FreePort(tb)
		routes[i] = &url.URL{Scheme: "nats-route", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[i]))} //nolint:exhaustruct // host and port
	}
	servers := make([]*server.Server, n)
	for i := range n {
		opts := &server.Options{ //nolint:exhaustruct // the rest is set by launch, or has its default
			ServerName: fmt.Sprintf("n%d", i+1), Routes: routes,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]}, //nolint:exhaustruct // loopback
		}
		servers[i] = launch(tb, opts)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(ready) {
			tb.Fatalf("server %s was not ready within %v", s.Name(), ready)
		}
	}
	testenv.Eventually(tb, ready, "the cluster has a leader and every server is current", func() bool {
		leaders := 0
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == n { // those that it has heard of
				leaders++
			}
			if !s.JetStreamIsCurrent() {
				return false
			}
		}
		return leaders == 1
	})
	return servers
}
