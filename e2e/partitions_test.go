package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
)

const (
	partitions = 4
	leaseTTL   = 2 * time.Second
)

// owned returns how many partitions a daemon works on.
func (d *daemon) owned() int {
	d.tb.Helper()
	n, all := 0, d.metrics()
	for p := range partitions {
		of := fmt.Sprintf(`{partition="%d"}`, p)
		if all["driftd_partition_owner"+of] == 1 && all["driftd_pipeline_running"+of] == 1 {
			n++
		}
	}
	return n
}

// share waits until the daemons work on all partitions, and on as many as they should.
func share(t *testing.T, what string, want map[*daemon]int) {
	t.Helper()
	begin := time.Now()
	eventually(t, what, func() bool {
		for d, n := range want {
			if d.owned() != n {
				return false
			}
		}
		return true
	})
	t.Logf("%s: after %v", what, time.Since(begin).Round(time.Millisecond))
}

// Two daemons, then three, share four partitions while events come; one is killed, one is stopped, one comes back. The results are those
// of an undisturbed reading of the four streams.
func TestPartitionsMove(t *testing.T) {
	e := startBroker(t)
	binary(t)
	config := e.config() + fmt.Sprintf("  lease_ttl: %v\n", leaseTTL)
	config += "  state: {max_bytes: 128MiB}\n  input: {max_bytes: 128MiB}\n  outbox: {max_bytes: 128MiB}\n  partitions:\n"
	config += "    - models: [m0, n0]\n    - models: [m1, n1]\n    - models: [m2, n2]\n    - models: [m3, n3]\n"
	config += `commit: {interval: 100ms}
limits: {idle_timeout: 1s}
defaults: {windows: [{size: 5s}, {size: 10s, every: 5s}], pane: 1s, lateness: 5s, watermark_delay: 1s}
`
	a, b, c := newDaemon(t, config), newDaemon(t, config), newDaemon(t, config)
	if took := a.start(); took > 5*time.Second {
		t.Errorf("the first daemon was ready after %v although nobody held a lease", took)
	}
	_, js := brokertest.Connect(t, e.url, e.token)
	if _, err := js.Publish(t.Context(), "ml.events.unknown", []byte(`{"ts":1}`)); err == nil {
		t.Error("the broker took an event of a model that no partition names")
	}
	events, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	defer sending.Wait()
	defer stop()
	sending.Go(func() { sendAll(t, events, js) })

	share(t, "one daemon has everything", map[*daemon]int{a: 4})
	b.start()
	share(t, "two share", map[*daemon]int{a: 2, b: 2})
	c.start()
	eventually(t, "three share", func() bool {
		x, y, z := a.owned(), b.owned(), c.owned()
		return x+y+z == partitions && x > 0 && y > 0 && z > 0
	})
	a.kill()
	share(t, "two share after a kill", map[*daemon]int{b: 2, c: 2})
	a.start()
	eventually(t, "three share again", func() bool {
		x, y, z := a.owned(), b.owned(), c.owned()
		return x+y+z == partitions && x > 0 && y > 0 && z > 0
	})
	b.stop()
	share(t, "two share after SIGTERM", map[*daemon]int{a: 2, c: 2})
	c.stop()
	share(t, "the last one has everything", map[*daemon]int{a: 4})
	stop()
	sending.Wait()
	eventually(t, "everything is committed, and every window closed", func() bool { return a.quiet(js) })
	a.stop()
	sameInEveryPartition(t, js, a.config)
}

// sendAll publishes events of all models, a second of event time a round, until ctx ends.
func sendAll(t *testing.T, ctx context.Context, js jetstream.JetStream) { //nolint:revive // the test comes first
	begin := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		for p := range partitions {
			for _, model := range []string{"m", "n"} {
				at := begin.Add(time.Duration(n) * time.Second)
				if n%17 == 0 {
					at = at.Add(-5 * time.Second)
				}
				body := fmt.Sprintf(`{"id":"e%d","version":"%d","ts":%d,"prediction":%d,"features":{"x":%d}}`, n-n%50%2, n%3, at.UnixMilli(), n%7, n%11)
				if _, err := js.Publish(context.WithoutCancel(ctx), fmt.Sprintf("ml.events.%s%d", model, p), []byte(body)); err != nil {
					t.Error(err)
					return
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
	}
}

// quiet says whether every message of every partition is committed and forwarded, and the markers of idle sources too.
func (d *daemon) quiet(js jetstream.JetStream) bool {
	for p := range partitions {
		in, err := js.Stream(d.tb.Context(), journal.InputStream(p))
		if err != nil || time.Since(in.CachedInfo().State.LastTime) < 3*time.Second {
			return false
		}
		head, err := journal.ReadCheckpoint(d.tb.Context(), js, p)
		if err != nil || head == nil {
			return false
		}
		var id ingest.Identity
		if err := json.Unmarshal(head.Position, &id); err != nil || id.Seq != in.CachedInfo().State.LastSeq {
			return false
		}
		state, err := js.Stream(d.tb.Context(), journal.StateStream(p))
		if err != nil {
			return false
		}
		info, err := state.Info(d.tb.Context(), jetstream.WithSubjectFilter(fmt.Sprintf("driftd.state.%d.out.>", p)))
		if err != nil || len(info.State.Subjects) > 0 {
			return false
		}
	}
	return true
}

// sameInEveryPartition fails unless the outbox has, of every partition, what an undisturbed reading gives, in numbers without a gap.
func sameInEveryPartition(t *testing.T, js jetstream.JetStream, config string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), journal.OutboxStream)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string][]byte{}
	numbers := map[string]map[string]bool{}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		p := m.Header.Get(journal.HeaderPartition)
		if got[p] == nil {
			got[p], numbers[p] = map[string][]byte{}, map[string]bool{}
		}
		id, number := m.Header.Get(jetstream.MsgIDHeader), m.Header.Get(journal.HeaderDocNumber)
		if got[p][id] != nil || numbers[p][number] {
			t.Errorf("partition %s: document %s with the number %s is there twice", p, id, number)
		}
		got[p][id], numbers[p][number] = m.Data, true
	}
	for p := range partitions {
		want, stats := refoldStream(t, js, config, journal.InputStream(p))
		name := strconv.Itoa(p)
		if len(want.Docs) == 0 || len(got[name]) != len(want.Docs) {
			t.Errorf("partition %d: %d documents, an undisturbed reading has %d", p, len(got[name]), len(want.Docs))
		}
		for i, d := range want.Docs {
			if !bytes.Equal(got[name][d.ID], d.Data) {
				t.Fatalf("partition %d: document %s differs\nundisturbed %s\noutbox      %s", p, d.ID, d.Data, got[name][d.ID])
			}
			if !numbers[name][strconv.Itoa(i+1)] {
				t.Errorf("partition %d: no document has the number %d", p, i+1)
			}
		}
		t.Logf("partition %d: compared %d documents of %d messages", p, len(want.Docs), stats.Messages)
	}
}
