package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/journal"
)

// surely publishes one event for each quarter of an hour in [from, to), each until it is acknowledged: the id makes the broker keep
// one of several attempts.
func surely(tb testing.TB, js jetstream.JetStream, from, to int) {
	tb.Helper()
	for i := from; i < to; i++ {
		data := fmt.Appendf(nil, `{"id":"q%d","ts":%d,"latency_ms":%d}`, i, at.UnixMilli()+int64(i)*300_000, i%17)
		eventually(tb, "an event is stored", func() bool {
			_, err := js.Publish(tb.Context(), "ml.events.m", data, jetstream.WithMsgID(fmt.Sprint("q", i)))
			return err == nil
		})
	}
}

// stored returns the summaries of model m as they were committed.
func stored(tb testing.TB, d *daemon) string {
	tb.Helper()
	var docs []json.RawMessage
	d.get("/api/v1/models/m/windows?limit=1000", &docs)
	var b strings.Builder
	for _, doc := range docs {
		b.Write(doc)
		b.WriteByte('\n')
	}
	return b.String()
}

// shutLeader ends the server that leads a stream.
func shutLeader(tb testing.TB, js jetstream.JetStream, servers []*server.Server, stream string) {
	tb.Helper()
	s, err := js.Stream(tb.Context(), stream)
	if err != nil {
		tb.Fatal(err)
	}
	leader := s.CachedInfo().Cluster.Leader
	for _, s := range servers {
		if s.Name() == leader {
			s.Shutdown()
			s.WaitForShutdown()
			return
		}
	}
	tb.Fatalf("stream %s is led by %q, which is no server of this test", stream, leader)
}

const clusterModels = `
commit: {interval: 20ms}
models:
  m: {windows: [{size: 15m}], pane: 15m, lateness: 0s, watermark_delay: 0s}
`

// Three servers with three copies of every stream. The one that leads the state stream goes away in the middle: counting goes on with
// two, and the results are byte for byte those of one broker that nothing happened to.
func TestClusterWithoutItsLeader(t *testing.T) {
	t.Parallel()
	const n = 300
	quiet := startDaemon(t, "nats: {embedded: {listen: \"127.0.0.1:0\"}}\n"+clusterModels)
	_, js := quiet.connect()
	surely(t, js, 0, n)
	quiet.settled(js)
	want := stored(t, quiet)

	servers := brokertest.Cluster(t, 3)
	urls := make([]string, len(servers))
	for i, s := range servers {
		urls[i] = s.ClientURL()
	}
	d := newDaemon(t, "nats:\n  url: "+strings.Join(urls, ",")+"\n  replicas: 3\n"+clusterModels)
	d.start()
	_, js = brokertest.Connect(t, strings.Join(urls, ","), "")
	surely(t, js, 0, n/2)
	shutLeader(t, js, servers, journal.StateStream(0))
	surely(t, js, n/2, n)
	d.settled(js)
	if got := stored(t, d); got != want {
		t.Errorf("the windows are not those of the quiet run:\n%.2000s\nwant\n%.2000s", got, want)
	}
	info, err := js.Stream(t.Context(), journal.StateStream(0))
	if err != nil {
		t.Fatal(err)
	}
	if r := info.CachedInfo().Config.Replicas; r != 3 {
		t.Errorf("the state stream has %d copies, want 3", r)
	}
}
