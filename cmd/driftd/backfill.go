package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

func backfillCommand() command {
	return command{
		name:  "driftd backfill",
		short: "write results again into a new or restored InfluxDB",
		args:  "--from outbox|store|input --config FILE [--start TIME --end TIME] [flags]",
		about: `Writes committed results into the InfluxDB of the configuration: from the outbox, for as long as that keeps them; from the embedded
store, which is opened in the data directory; or from the input stream, which is folded again from its first message: that takes
a stream that still has all of it. A daemon may run meanwhile. What is there already is overwritten by itself: it can be stopped
and started again at any time. --start and --end choose windows by their end.

` + findBroker,
		examples: []example{
			{"everything that the outbox still has", "driftd backfill --from outbox --config driftd.yaml"},
			{"move from the embedded store to InfluxDB", "driftd backfill --from store --config driftd.yaml"},
			{
				"fold a month again", "driftd backfill --from input --config driftd.yaml --start 2026-10-01T00:00:00Z --end 2026-11-01T00:00:00Z",
			},
		},
		exits: []exit{
			{exitDone, "everything that was found is in InfluxDB"},
			{exitFailed, "InfluxDB or the broker cannot be reached or refused, or lines were refused for good"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			from := fs.String("from", "", "`SOURCE`: outbox, store or input")
			start := fs.String("start", "", "`TIME`: windows that end at or after it, in RFC 3339")
			end := fs.String("end", "", "`TIME`: windows that end before it, in RFC 3339")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				span, err := parseSpan(*start, *end)
				if err != nil {
					return err
				}
				if where.config == "" {
					return usageError("which InfluxDB? give --config FILE with store.influxdb")
				}
				return backfill(ctx, con, where, *from, span)
			}
		},
	}
}

// endSpan selects windows by their end, [from, to) in Unix milliseconds.
type endSpan struct{ from, to int64 }

func parseSpan(start, end string) (endSpan, error) {
	s := endSpan{math.MinInt64, math.MaxInt64}
	for _, f := range []struct {
		flag, text string
		into       *int64
	}{{"--start", start, &s.from}, {"--end", end, &s.to}} {
		if f.text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, f.text)
		if err != nil {
			return s, usageError("%s %s: must be a time such as 2026-11-22T10:00:00Z", f.flag, f.text)
		}
		*f.into = t.UnixMilli()
	}
	if s.from >= s.to {
		return s, usageError("--end must be after --start")
	}
	return s, nil
}

// refill gathers documents and writes them in batches.
type refill struct {
	db      *influx.DB
	span    endSpan
	batch   []influx.Document
	written int
	refused map[influx.Reason]int
	example string
}

const refillBatch = 500

func (r *refill) add(ctx context.Context, d influx.Document) error {
	var head struct {
		Window result.Window `json:"window"`
	}
	if err := json.Unmarshal(d.Data, &head); err != nil {
		return fmt.Errorf("reading document %s: %w", d.ID, err)
	}
	if end := head.Window.End; end < r.span.from || end >= r.span.to {
		return nil
	}
	if r.batch = append(r.batch, d); len(r.batch) < refillBatch {
		return nil
	}
	return r.flush(ctx)
}

// flush writes the batch, again where InfluxDB only asks to wait.
func (r *refill) flush(ctx context.Context) error {
	for try := 0; len(r.batch) > 0; try++ {
		refused, err := r.db.Write(ctx, r.batch)
		busy, isBusy := errors.AsType[*influx.UnavailableError](err)
		switch {
		case err == nil:
			for _, f := range refused {
				r.refused[f.Reason]++
				r.example = f.ID + ": " + f.Detail
			}
			r.written += len(r.batch)
			r.batch = r.batch[:0]
			return nil
		case !isBusy || try == 5:
			return fmt.Errorf("after %s: %w", count(r.written, "document", "documents"), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(busy.After, time.Second<<try)):
		}
	}
	return nil
}

func backfill(ctx context.Context, con *console, where *target, from string, span endSpan) error {
	sources := map[string]func(context.Context, *target, *refill) error{"outbox": fillFromOutbox, "store": fillFromStore, "input": fillFromInput}
	source, ok := sources[from]
	if !ok {
		return usageError("--from %q: must be outbox, store or input", from)
	}
	cfg, err := loadConfig(where.config)
	if err != nil {
		return err
	}
	db, err := app.OpenInfluxDB(cfg.Store.InfluxDB)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // everything was confirmed, or an error is on its way
	//nolint:exhaustruct // nothing written yet
	r := &refill{db: db, span: span, refused: map[influx.Reason]int{}}
	if err := source(ctx, where, r); err != nil {
		return err
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	fmt.Fprintf(con.stdout, "%s written\n", count(r.written, "document", "documents"))
	if len(r.refused) > 0 {
		return fmt.Errorf("InfluxDB refused lines for good: %v, such as of %s", r.refused, r.example)
	}
	return nil
}

func fillFromOutbox(ctx context.Context, where *target, r *refill) error {
	l, err := where.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	stream, err := l.js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		return fmt.Errorf("opening the outbox: %w", err)
	}
	last := stream.CachedInfo().State.LastSeq
	if stream.CachedInfo().State.Msgs == 0 {
		return nil
	}
	//nolint:exhaustruct // an ordered consumer's defaults
	cons, err := l.js.OrderedConsumer(ctx, journal.OutboxStream, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	msgs, err := cons.Messages()
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading the outbox: %w", err)
		}
		if err := r.add(ctx, influx.Document{ID: m.Headers().Get(jetstream.MsgIDHeader), Data: m.Data()}); err != nil {
			return err
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

func fillFromStore(ctx context.Context, where *target, r *refill) error {
	cfg, err := loadConfig(where.config)
	if err != nil {
		return err
	}
	dir := where.dataDir
	if dir == "" {
		dir = cfg.DataDir
	}
	if err := store.CheckFile(ctx, app.StorePath(dir)); err != nil {
		return inputError(err)
	}
	s, err := store.Open(ctx, app.StorePath(dir), store.Options{Retention: 0, Logger: nil})
	if err != nil {
		return err
	}
	return errors.Join(s.Each(ctx, func(d store.Document) error { return r.add(ctx, influx.Document(d)) }), s.Close())
}

// fillFromInput folds the input streams again, from their first messages to what they hold now.
func fillFromInput(ctx context.Context, where *target, r *refill) error {
	l, err := where.connect(ctx)
	if err != nil {
		return err
	}
	defer l.close()
	stored, err := journal.OpenReferences(ctx, l.js)
	if err != nil {
		return err
	}
	refs := func(fingerprint string) (*reference.Reference, error) {
		data, err := stored.Get(ctx, fingerprint)
		if err != nil {
			return nil, err
		}
		return reference.Decode(data)
	}
	for _, p := range l.layout().Partitions {
		if err := refold(ctx, l, p.InputName(), refs, r); err != nil {
			return err
		}
	}
	return nil
}

func refold(ctx context.Context, l *link, name string, refs func(string) (*reference.Reference, error), r *refill) error {
	stream, err := l.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("opening the stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	if state.FirstSeq > 1 {
		return fmt.Errorf("the stream %s begins at message %d: what was before it cannot be folded again; use --from outbox or --from store",
			name, state.FirstSeq)
	}
	if state.LastSeq == 0 {
		return nil
	}
	in, err := ingest.OpenConsumer(ctx, l.js, name, 1, ingest.ConsumerOptions{}) //nolint:exhaustruct // the defaults
	if err != nil {
		return err
	}
	defer in.Close() //nolint:contextcheck // closing takes no time
	// The first message of a stream that driftd made is its configuration; what is given here holds until then.
	p := fold.New(name, l.cfg.Counting(), [2]uint64{1, 2}, refs, fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt})
	for {
		m, err := in.Next(ctx)
		if err != nil {
			return fmt.Errorf("reading the stream %s: %w", name, err)
		}
		var out fold.Output
		if _, err := p.Apply(fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data, Retry: m.Retry, Source: m.Source}, &out); err != nil {
			return fmt.Errorf("folding message %d of the stream %s: %w", m.Seq, name, err)
		}
		for _, d := range out.Docs {
			if err := r.add(ctx, influx.Document{ID: d.ID, Data: d.Data}); err != nil {
				return err
			}
		}
		if m.Seq >= state.LastSeq {
			return nil
		}
	}
}
