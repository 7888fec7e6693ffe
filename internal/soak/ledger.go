package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// settleWithin bounds the wait for the results of what was published last.
const settleWithin = 60 * time.Second

// window names what a result is about.
type window struct {
	key         result.Key
	start       int64
	fingerprint string // a change of reference inside of a window gives two results
}

// ledger reads the outbox as a subscriber of results would, and keeps of each window the newest revision's counts.
type ledger struct {
	consume jetstream.ConsumeContext

	mu     sync.Mutex
	newest map[window]result.Summary
	n      uint64
	err    error
}

func openLedger(ctx context.Context, js jetstream.JetStream) (*ledger, error) {
	l := &ledger{consume: nil, mu: sync.Mutex{}, newest: map[window]result.Summary{}, n: 0, err: nil}
	//nolint:exhaustruct // everything from the beginning
	cons, err := js.OrderedConsumer(ctx, journal.OutboxStream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"driftd.result.>"}})
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	if l.consume, err = cons.Consume(func(m jetstream.Msg) { l.take(m.Data()) }); err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return l, nil
}

func (l *ledger) close() { l.consume.Stop() }

func (l *ledger) take(doc []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kind struct{ Type string }
	var s result.Summary
	err := json.Unmarshal(doc, &kind)
	if err == nil && kind.Type == "summary" {
		err = json.Unmarshal(doc, &s)
	}
	switch {
	case l.err != nil: // the first is enough
		return
	case err != nil:
		l.err = fmt.Errorf("reading a result: %w", err)
		return
	case kind.Type != "summary":
		return
	}
	l.n++
	w := window{s.Key, s.Window.Start, ""}
	if s.Ref != nil {
		w.fingerprint = s.Ref.Fingerprint
	}
	last := -1
	if old, ok := l.newest[w]; ok {
		last = old.Revision
	}
	// A revision has those versions only whose counts it changes: theirs may have gaps, that of all together may not.
	if s.Revision <= last || w.key.Version == result.All && s.Revision != last+1 {
		l.err = fmt.Errorf("window %d of %v: revision %d came behind %d", w.start, w.key, s.Revision, last)
	}
	l.newest[w] = s
}

// results returns how many results came.
func (l *ledger) results() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// comparison is what was sent beside what the windows say.
type comparison struct {
	rows       []compared
	windows    int
	incomplete int
	err        error
}

type compared struct {
	what      string
	got, want uint64
}

func (l *ledger) compare(p *producer) comparison {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all, versions, labels, late, repeats uint64
	c := comparison{rows: nil, windows: 0, incomplete: 0, err: l.err}
	for w, s := range l.newest {
		if !s.Complete {
			c.incomplete++
		}
		if w.key.Version != result.All {
			versions += s.Counts.Events
			continue
		}
		c.windows++
		all += s.Counts.Events
		labels += s.Counts.Labels
		late += s.Counts.Late
		repeats += s.Counts.Duplicate
	}
	c.rows = []compared{
		{"events in the windows", all, p.sent.events},
		{"events in the windows of each version", versions, p.sent.events},
		{"labels", labels, p.sent.labels},
		{"too late", late, p.sent.stale},
		{"repeated ids, dropped", repeats, p.sent.repeats},
	}
	return c
}

func (c comparison) equal() bool {
	for _, r := range c.rows {
		if r.got != r.want {
			return false
		}
	}
	return c.err == nil && c.incomplete == 0
}

// settle waits until the windows say what was sent, or for so long that they never will.
func settle(ctx context.Context, d *daemon, l *ledger, p *producer) (comparison, error) {
	end := time.Now().Add(settleWithin)
	for {
		c := l.compare(p)
		if c.equal() || time.Now().After(end) {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-d.exited:
			return c, errors.New("driftd ended")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// report prints the comparison, and is an error where something differs.
func (c comparison) report(out io.Writer) error {
	fmt.Fprintf(out, "| %d windows of %d models | counted | acknowledged by the broker | difference |\n|---|---:|---:|---:|\n", c.windows, len(models()))
	for _, r := range c.rows {
		fmt.Fprintf(out, "| %s | %d | %d | %d |\n", r.what, r.got, r.want, int64(r.got)-int64(r.want))
	}
	if c.equal() {
		return nil
	}
	return errors.Join(c.err, fmt.Errorf("the windows differ from what was sent, or are incomplete (%d of them)", c.incomplete))
}
