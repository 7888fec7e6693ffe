package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/elec2test"
)

// The real log while driftd is killed every two seconds, its broker living on: the outbox holds the very bytes of an undisturbed
// reading of the same stored input, and they are those that expected.json wants.
func TestKillDaemon(t *testing.T) {
	const (
		kills = 10
		every = 2 * time.Second
	)
	ext := startBroker(t)
	d := startDaemon(t, ext.config()+elec2Config+"commit: {interval: 200ms}\n")
	d.run.Token = ext.token
	createElec2(t, d, elec2test.ExactResolution)
	_, js := brokertest.Connect(t, ext.url, ext.token)

	// The log spans 33 days: at this speed it lasts longer than all the kills.
	start, last := span(t)
	speed := last.Sub(start).Seconds() / (every * (kills + 1)).Seconds()
	done := make(chan string, 1)
	go func() {
		stdout, stderr, code := d.cli("replay", "--speed", fmt.Sprintf("%.0f", speed), elec2test.File(t))
		done <- fmt.Sprintf("exit %d: %s%s", code, stdout, stderr)
	}()
	killed, commits, slowest := 0, 0.0, time.Duration(0)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var replayed string
	for replayed == "" {
		select {
		case replayed = <-done:
		case <-tick.C:
			commits += d.metric("driftd_pipeline_commits_total")
			d.kill()
			killed++
			slowest = max(slowest, d.start())
		}
	}
	if !strings.HasPrefix(replayed, "exit 0: published 42,751 events and 41,014 labels") {
		t.Fatalf("replay: %s", replayed)
	}
	d.settled(js)
	commits += d.metric("driftd_pipeline_commits_total")
	documents, stats := sameAsUndisturbed(t, js, d.config)
	if killed < kills || stats.Events != elec2test.Events || stats.Labels != elec2test.Labels || stats.Duplicates != elec2test.Duplicates {
		t.Errorf("%d kills; %d events, %d labels, %d duplicates in the stored input", killed, stats.Events, stats.Labels, stats.Duplicates)
	}
	t.Logf("%d kills, about %.0f commits, %d documents compared, slowest start %v", killed, commits, documents, slowest)
	got := apiResults(t, d, elec2test.Model)
	elec2test.ReadExpected(t).Compare(t, got, true)
	d.stop()
}

// span returns the first and the last time of an event of the log.
func span(t *testing.T) (first, last time.Time) {
	t.Helper()
	lines := elec2test.Lines(t)
	for _, line := range lines {
		var r struct{ TS time.Time }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if first.IsZero() || r.TS.Before(first) {
			first = r.TS
		}
		if r.TS.After(last) {
			last = r.TS
		}
	}
	return first, last
}

// The embedded broker dies with driftd. A publisher sends again whatever was not acknowledged; what the broker acknowledged is
// counted once, and the outbox holds the bytes of an undisturbed reading of what the broker kept.
func TestKillDaemonAndBroker(t *testing.T) {
	const (
		kills = 6
		lines = 24_000
		batch = 500
	)
	d := startDaemon(t, elec2Config+"commit: {interval: 100ms}\n")
	createElec2(t, d, elec2test.ExactResolution)
	records := elec2test.Lines(t)[:lines]
	nc, js := dial(t, d)
	repeated, killed, commits := 0, 0, 0.0
	for at := 0; at < len(records); {
		acked := publish(t, js, records[at:min(at+batch, len(records))], func(sent int) {
			// In the middle of a batch: some messages are acknowledged, some are stored, some are neither.
			if sent == batch/2 && killed < kills && at >= (killed+1)*lines/(kills+2) {
				if killed%2 == 0 { // every other life ends before its first commit, or in it
					eventually(t, "a commit", func() bool { return d.metric("driftd_pipeline_commits_total") >= 1 })
				}
				commits += d.metric("driftd_pipeline_commits_total")
				d.kill()
				killed++
			}
		})
		at += acked
		if d.cmd == nil {
			repeated += batch - acked
			nc.Close()
			d.start()
			nc, js = dial(t, d)
		}
	}
	marker := event.Control{Kind: event.ControlMarker, Source: elec2test.Model, Watermark: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), End: true}
	if _, err := js.Publish(t.Context(), "driftd.control.0", marker.Encode()); err != nil {
		t.Fatal(err)
	}
	d.settled(js)
	commits += d.metric("driftd_pipeline_commits_total")
	documents, stats := sameAsUndisturbed(t, js, d.config)
	distinct := map[string]bool{}
	for _, line := range records {
		var r struct {
			ID    string
			Label *int
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		distinct[fmt.Sprint(r.ID, r.Label != nil, deref(r.Label))] = true
	}
	if got := stats.Events + stats.Labels; got != uint64(len(distinct)) || killed != kills {
		t.Errorf("%d records were counted, want the %d distinct ones; %d kills, want %d", got, len(distinct), killed, kills)
	}
	t.Logf("%d kills, about %.0f commits, %d records sent again, %d duplicates dropped, %d documents compared", killed, commits, repeated,
		stats.Duplicates, documents)
	nc.Close()
	d.stop()
}

func deref(p *int) int {
	if p == nil {
		return -1
	}
	return *p
}

// dial connects to the daemon's broker; the caller closes the connection, because the broker is going to die.
func dial(t *testing.T, d *daemon) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: d.run.URL, Token: d.run.Token})
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// publish sends records in order, many in flight, and returns how many of them, from the first on, were acknowledged.
func publish(t *testing.T, js jetstream.JetStream, records [][]byte, sent func(n int)) int {
	t.Helper()
	acks := make([]jetstream.PubAckFuture, 0, len(records))
	for i, line := range records {
		subject := "ml.events." + elec2test.Model
		if strings.Contains(string(line), `"label":`) {
			subject = "ml.labels." + elec2test.Model
		}
		ack, err := js.PublishAsync(subject, line)
		if err != nil {
			break // the connection is gone: the rest is sent again
		}
		acks = append(acks, ack)
		sent(i)
	}
	for i, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			t.Logf("%d of %d records were acknowledged before: %v", i, len(records), err)
			return i
		case <-time.After(2 * time.Second):
			return i
		}
	}
	return len(acks)
}
