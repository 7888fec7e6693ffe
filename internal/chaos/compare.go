package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// compare reads the stored input once more, undisturbed, and holds what was committed against it.
func (w *world) compare(ctx context.Context, p *producer) (*report, error) {
	r := w.figures(p)
	want, stats, err := w.refold(ctx)
	if err != nil {
		return r, fmt.Errorf("folding the stored input once more: %w", err)
	}
	got, err := w.outbox(ctx, r)
	if err != nil {
		return r, fmt.Errorf("reading the outbox: %w", err)
	}
	r.Messages, r.Counted, r.Duplicates, r.Late, r.Results = stats.Messages, stats.Events, stats.Duplicates, stats.Late, stats.Results
	for _, n := range stats.Rejected {
		r.Rejected += n
	}
	r.documents(want.Docs, got)
	r.Documents = len(want.Docs)
	dead, err := journal.ListDeadLetters(ctx, w.client.js, 0, 0)
	if err != nil {
		return r, fmt.Errorf("reading the dead letters: %w", err)
	}
	r.DeadLetters = len(dead)
	if !slices.Equal(dead, want.DeadLetters) {
		r.differ("%d dead letters, an undisturbed reading has %d, or they differ", len(dead), len(want.DeadLetters))
	}
	// What was acknowledged is stored: each message once, for its id says so.
	if stored := stats.Messages - stats.Markers - stats.Controls; stored != p.messages.Load() {
		r.differ("%d messages are stored, %d were acknowledged", stored, p.messages.Load())
	}
	return r, nil
}

// documents holds what was committed against an undisturbed reading.
func (r *report) documents(want []result.Doc, got map[string][]byte) {
	for _, d := range want {
		data, ok := got[d.ID]
		delete(got, d.ID)
		if !ok || !bytes.Equal(data, d.Data) {
			r.differ("document %s: in the outbox %v\nundisturbed %s\noutbox      %s", d.ID, ok, d.Data, data)
		}
	}
	for id, data := range got {
		r.differ("document %s is in the outbox, but not in an undisturbed reading: %s", id, data)
	}
}

// refold is an undisturbed reading: every message of the stream, folded in memory as package pipeline does, beginning with the first
// configuration, in which no reference was stored yet.
func (w *world) refold(ctx context.Context) (*fold.Output, fold.Stats, error) {
	var none fold.Stats
	cfg, err := config.Load(w.daemons[0].config)
	if err != nil {
		return nil, none, err
	}
	js := w.client.js
	stored, err := journal.OpenReferences(ctx, js)
	if err != nil {
		return nil, none, err
	}
	refs := func(fingerprint string) (*reference.Reference, error) {
		data, err := stored.Get(ctx, fingerprint)
		if err != nil {
			return nil, err
		}
		return reference.Decode(data)
	}
	name := journal.InputStream(0)
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return nil, none, err
	}
	state := stream.CachedInfo().State
	if state.FirstSeq != 1 {
		return nil, none, fmt.Errorf("the input begins at %d: nothing can be compared", state.FirstSeq)
	}
	in, err := ingest.OpenConsumer(ctx, js, name, 1, ingest.ConsumerOptions{}) //nolint:exhaustruct // the zero value is good
	if err != nil {
		return nil, none, err
	}
	defer in.Close() //nolint:contextcheck // it closes when the context has ended, too
	part := fold.New(name, cfg.Counting(), [2]uint64{1, 2}, refs, fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt})
	out := &fold.Output{} //nolint:exhaustruct // filled by Apply
	for seq := uint64(1); seq <= state.LastSeq; seq++ {
		m, err := in.Next(ctx)
		if err != nil {
			return nil, none, fmt.Errorf("reading message %d: %w", seq, err)
		}
		done, err := part.Apply(fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data, Retry: m.Retry, Source: m.Source}, out)
		if err != nil || !done {
			return nil, none, fmt.Errorf("folding message %d: done %v, %w", m.Seq, done, err)
		}
	}
	return out, part.Stats(), nil
}

// outbox reads all documents by their id. Their numbers must be those from 1 to the last, each once: results chain without gap or overlap.
func (w *world) outbox(ctx context.Context, r *report) (map[string][]byte, error) {
	stream, err := w.client.js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	if state.Msgs > 0 && state.FirstSeq != 1 {
		return nil, errors.New("its oldest documents have expired")
	}
	in, err := ingest.OpenConsumer(ctx, w.client.js, journal.OutboxStream, 1, ingest.ConsumerOptions{}) //nolint:exhaustruct // the zero value is good
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:contextcheck // it closes when the context has ended, too
	docs, numbers := map[string][]byte{}, map[uint64]bool{}
	for range state.Msgs {
		m, err := in.Next(ctx)
		if err != nil {
			return nil, err
		}
		full, err := stream.GetMsg(ctx, m.Seq) // with its headers
		if err != nil {
			return nil, err
		}
		id := full.Header.Get(jetstream.MsgIDHeader)
		if _, twice := docs[id]; twice || id == "" {
			r.differ("document %q is in the outbox twice, or has no id (message %d)", id, m.Seq)
		}
		number, err := strconv.ParseUint(full.Header.Get(journal.HeaderDocNumber), 10, 64)
		if err != nil || numbers[number] {
			r.differ("document %s has the number %q: unreadable, or given twice", id, full.Header.Get(journal.HeaderDocNumber))
		}
		docs[id], numbers[number] = full.Data, true
	}
	for n := uint64(1); n <= uint64(len(docs)); n++ {
		if !numbers[n] {
			r.differ("no document has the number %d of %d", n, len(docs))
		}
	}
	return docs, nil
}
