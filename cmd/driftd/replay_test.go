package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

// At twice event time a record ten seconds later is due after five; one out of order, or without a time, waits for nobody.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		flushes := 0
		flush := func(context.Context) error { flushes++; return nil }
		p := pace{speed: 2, start: start}
		var got []time.Duration
		for _, to := range []route{
			{time: 100_000, hasTime: true}, {time: 110_000, hasTime: true}, {time: 90_000, hasTime: true}, {}, {time: 111_000, hasTime: true},
		} {
			if err := p.wait(t.Context(), to, flush); err != nil {
				t.Fatal(err)
			}
			got = append(got, time.Since(start))
		}
		want := []time.Duration{0, 5 * time.Second, 5 * time.Second, 5 * time.Second, 5500 * time.Millisecond}
		if diff := cmp.Diff(want, got); diff != "" || flushes != 2 {
			t.Errorf("%d flushes, want one before each of two waits; times differ (-want +got):\n%s", flushes, diff)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := p.wait(ctx, route{time: 500_000, hasTime: true}, flush); err == nil || err.Error() != "interrupted" {
			t.Errorf("error %v, want interrupted", err)
		}
	})
}

func TestBadLinesAreBounded(t *testing.T) {
	var b badLines
	for i := range 1_234 {
		reason := "malformed"
		if i%2 == 0 {
			reason = "no_model"
		}
		b.add(badLine{"a.ndjson", i + 1, "what\nit is"}, reason)
	}
	lines := strings.Split(b.report(), "\n")
	if len(lines) != 1+maxBadLines+1 {
		t.Errorf("the report has %d lines, want %d", len(lines), maxBadLines+2)
	}
	want := []string{
		"1,234 lines were not published:", "  a.ndjson:1: what it is",
		"  … and 1,214 more; in all: malformed 617, no_model 617",
	}
	if diff := cmp.Diff(want, []string{lines[0], lines[1], lines[len(lines)-1]}); diff != "" {
		t.Errorf("report differs (-want +got):\n%s", diff)
	}
}

// TestReplayRealLog publishes the real log of 83,765 records and finds every one of them in the stream, in order. 41,014 have a
// label: `zcat events.ndjson.gz | grep -c '"label":'`.
func TestReplayRealLog(t *testing.T) {
	log := testenv.Shared(t, "data", "serving-log-elec2", "events.ndjson.gz")
	want, _, err := readLines(t, log, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	address, shutdown, err := startBroker(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shutdown)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"replay", log, "--data-dir", dir}, strings.NewReader(""), &stdout, &stderr, nil); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	t.Log(stdout.String())
	if !strings.HasPrefix(stdout.String(), "published 42,751 events and 41,014 labels of 1 model in ") {
		t.Errorf("summary %q", stdout.String())
	}
	err = withJetStream(address, func(ctx context.Context, _ *nats.Conn, js jetstream.JetStream) error {
		c, err := js.OrderedConsumer(ctx, journal.InputStream(0), jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		it, err := c.Messages()
		if err != nil {
			return err
		}
		defer it.Stop()
		for i, line := range want {
			m, err := it.Next()
			if err != nil {
				return err
			}
			subject := "ml.events.elec2-up"
			if strings.Contains(line, `"label":`) {
				subject = "ml.labels.elec2-up"
			}
			if string(m.Data()) != line || m.Subject() != subject {
				t.Fatalf("message %d is %s %s, want %s %s", i+1, m.Subject(), m.Data(), subject, line)
			}
		}
		m, err := it.Next()
		if err != nil {
			return err
		}
		// The newest ts of the file: `zcat events.ndjson.gz | jq -r .ts | sort | tail -1`.
		if got, want := string(m.Data()), `{"schema":1,"watermark":"2024-04-03T01:45:25.689Z","source":"elec2-up","end":true}`; got != want {
			t.Errorf("marker %s, want %s", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An interruption leaves no doubt: what was sent is acknowledged, there is no marker, and the exit code says that it is not done.
func TestReplayInterrupted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, shutdown, err := startBroker(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shutdown)
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan struct{})
	var stdout, stderr bytes.Buffer
	code := -1
	go func() {
		defer close(done)
		defer func() { _ = in.Close() }() // nobody reads any more
		code = run(ctx, []string{"replay", "-", "--data-dir", dir}, in, &stdout, &stderr, nil)
	}()
	line := []byte(`{"model":"churn","id":"1","ts":"2026-11-22T10:00:00Z"}` + strings.Repeat(" ", 1000) + "\n")
	for range 2500 { // more than any buffer between here and the broker: some were sent when this is over
		if _, err := out.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for err := error(nil); err == nil; { // the signal is looked at between lines
		_, err = out.Write(line)
	}
	<-done
	if code != exitFailed || !strings.Contains(stderr.String(), "interrupted (stopped: ") ||
		!strings.Contains(stderr.String(), "no marker published") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want an interruption", code, stdout.String(), stderr.String())
	}
}
