package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// ofWindow makes the span and the version of a committed result those of the rows. The result is looked up in the outbox, which
// every subscriber reads.
func (c *create) ofWindow(ctx context.Context, l *link) error {
	sum, err := findResult(ctx, l, c.model, c.window)
	if err != nil {
		return err
	}
	c.start, c.end = sum.Window.Start, sum.Window.End
	switch sum.Key.Version {
	case result.All:
	case result.Other:
		return fmt.Errorf("result %s is about all versions beyond limits.max_versions together: which those were is not kept", c.window)
	default:
		c.version = sum.Key.Version
	}
	if sum.Lost > 0 {
		return fmt.Errorf("the window of result %s is incomplete (%d messages were lost): it is no good reference", c.window, sum.Lost)
	}
	if c.source == "" {
		c.source = fmt.Sprintf("window %s to %s of version %s", instant(c.start), instant(c.end), sum.Key.Version)
	}
	return nil
}

// findResult reads the summary of a result from the outbox.
func findResult(ctx context.Context, l *link, model, id string) (*result.Summary, error) {
	gone := fmt.Errorf("the outbox has no result %s of model %s (it keeps results for nats.outbox.max_age): give --from-stream with --start and --end", id, model)
	cons, err := l.js.OrderedConsumer(ctx, journal.OutboxStream, jetstream.OrderedConsumerConfig{ //nolint:exhaustruct // the defaults are meant
		FilterSubjects: []string{"driftd.result." + model}, DeliverPolicy: jetstream.DeliverAllPolicy, HeadersOnly: true,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, gone
	}
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	if info := cons.CachedInfo(); info == nil || info.NumPending == 0 {
		return nil, gone
	}
	it, err := cons.Messages()
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	defer it.Stop()
	for {
		m, err := it.Next(jetstream.NextContext(ctx))
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		md, err := m.Metadata()
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		if m.Headers().Get(jetstream.MsgIDHeader) == id || m.Headers().Get(journal.HeaderDocID) == id {
			return readSummary(ctx, l, md.Sequence.Stream)
		}
		if md.NumPending == 0 {
			return nil, gone
		}
	}
}

func readSummary(ctx context.Context, l *link, seq uint64) (*result.Summary, error) {
	s, err := l.js.Stream(ctx, journal.OutboxStream)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	m, err := s.GetMsg(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	var sum result.Summary
	if err := json.Unmarshal(m.Data, &sum); err != nil || sum.Type != "summary" {
		return nil, fmt.Errorf("message %d of the outbox is no summary (%w)", seq, err)
	}
	return &sum, nil
}
