package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/reference"
)

// buildFromStream reads the input stream up to its present end. What the stream says is what counts: a span that retention may
// have cut into is an error, unless --partial accepts it.
func (c *create) buildFromStream(ctx context.Context, con *console, l *link) (*reference.Reference, reference.Stats, error) {
	var none reference.Stats
	where, err := l.homeOf(ctx, c.model)
	if err != nil {
		return nil, none, err
	}
	name := where.stream
	s, err := l.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, none, fmt.Errorf("there is no stream %s on this broker: give the --config of the daemon that reads another one", name)
	}
	if err != nil {
		return nil, none, fmt.Errorf("reading stream %s: %w", name, err)
	}
	state := s.CachedInfo().State
	o := c.options("stream " + name)
	o.Deduplicated = true
	b := reference.NewBuilder(o)
	rows := fold.NewRows(l.cfg.Counting(), [2]uint64{})
	if state.Msgs > 0 {
		if err := c.readStream(ctx, con, l, s.CachedInfo(), rows, b); err != nil {
			return nil, b.Stats(), err
		}
	}
	if n := rows.Stats().Rejected; n > 0 {
		fmt.Fprintf(con.stderr, "left out: %s records that counting refuses as well\n", grouped(n))
	}
	if n := rows.Stats().Duplicates; n > 0 {
		fmt.Fprintf(con.stderr, "left out: %s records with a repeated id\n", grouped(n))
	}
	return c.freeze(b)
}

func (c *create) readStream(
	ctx context.Context, con *console, l *link, info *jetstream.StreamInfo, rows *fold.Rows, b *reference.Builder,
) error {
	stream, state := info.Config.Name, info.State
	if state.FirstSeq > 1 {
		removed := fmt.Errorf("messages 1 to %d of stream %s are gone (retention)", state.FirstSeq-1, stream)
		if err := c.lacking(con, removed, state.FirstTime.UnixMilli(), rows.FutureTolerance()); err != nil {
			return err
		}
	}
	in, err := ingest.OpenConsumer(ctx, l.js, stream, max(1, state.FirstSeq), ingest.ConsumerOptions{}) //nolint:exhaustruct // the zero value is good
	if err != nil {
		return err
	}
	defer in.Close() //nolint:contextcheck // closing has a deadline of its own
	newest := int64(0)
	for last := uint64(0); last < state.LastSeq; {
		m, err := in.Next(ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if gap, ok := errors.AsType[*ingest.GapError](err); ok {
			if err := c.lacking(con, err, 0, 0); err != nil {
				return err
			}
			last = gap.To
			continue
		}
		if err != nil {
			return err
		}
		err = rows.Each(fold.Message{Seq: m.Seq, Subject: m.Subject, Time: m.Time, Data: m.Data, Retry: m.Retry, Source: m.Source}, func(ev *event.Event) error {
			if c.version != "" && cmp.Or(string(ev.Version), fold.UnknownVersion) != c.version {
				return nil
			}
			if c.model == "" || string(ev.Model) == c.model {
				newest = max(newest, ev.Time)
			}
			return b.Add(ev)
		})
		if err != nil {
			return addError(err)
		}
		last = m.Seq
	}
	if newest != 0 && c.end > newest+1 {
		fmt.Fprintf(con.stderr, "warning: the stream's newest event is of %s, before --end: more of the span may still come\n", instant(newest))
	}
	return nil
}

// lacking decides what a missing part of the stream means. What was removed before firstKept, the broker's time of the first
// message that is left, may hold event times up to the future tolerance behind that; a span that begins later has lost nothing.
func (c *create) lacking(con *console, what error, firstKept, tolerance int64) error {
	switch {
	case c.start != 0 && firstKept != 0 && c.start > firstKept+tolerance:
		return nil
	case c.partial, c.start == 0 && firstKept != 0:
		fmt.Fprintf(con.stderr, "warning: %v: the reference is made of what is left\n", what)
		return nil
	}
	return fmt.Errorf("%w: a part of the span may be among them; choose a later --start, or give --partial to take what is left", what)
}

// takeUp is how long a running daemon is waited for that has been asked for a reference.
const takeUp = 5 * time.Second

// awaitDaemon waits until a daemon whose configuration names the reference has put it in force, so that what is published next is
// counted against it. The daemon says so in the input stream; no daemon's configuration names it: nothing is waited for.
func awaitDaemon(ctx context.Context, con *console, l *link, meta journal.ReferenceMeta) error {
	wait, cancel := context.WithTimeout(ctx, takeUp)
	defer cancel()
	where, err := l.homeOf(wait, meta.Model)
	if err != nil {
		return err
	}
	c, err := l.js.OrderedConsumer(wait, where.stream, jetstream.OrderedConsumerConfig{ //nolint:exhaustruct // the defaults are meant
		FilterSubjects: []string{where.control()}, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking whether a daemon waits for the reference: %w", err)
	}
	info := c.CachedInfo()
	if info == nil || info.NumPending == 0 {
		return nil // no daemon of this stream has a configuration
	}
	it, err := c.Messages()
	if err != nil {
		return fmt.Errorf("looking whether a daemon waits for the reference: %w", err)
	}
	defer it.Stop()
	waits, taken := false, uint64(0)
	for {
		m, err := it.Next(jetstream.NextContext(wait))
		if wait.Err() != nil && ctx.Err() == nil {
			fmt.Fprintf(con.stderr, "warning: the configuration of a daemon names %s, but none has taken it up within %s: it will at its next start\n",
				plainText(meta.Name), takeUp)
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for the daemon: %w", err)
		}
		md, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("waiting for the daemon: %w", err)
		}
		if lacks, ok := lacksReference(m.Data(), meta); ok {
			if waits && !lacks {
				taken = md.Sequence.Stream
			}
			waits = lacks
		}
		if waits || md.NumPending > 0 {
			continue
		}
		if taken > 0 {
			_, err = fmt.Fprintf(con.stdout, "the daemon counts with it from message %d of stream %s on\n", taken, md.Stream)
		}
		return err
	}
}

// lacksReference reports whether a configuration message names a reference whose fingerprint it does not know yet; ok is false for
// any other message.
func lacksReference(data []byte, meta journal.ReferenceMeta) (lacks, ok bool) {
	c, rejected := event.DecodeControl(data)
	if rejected != nil || c.Kind != event.ControlConfig {
		return false, false
	}
	var counting fold.Counting
	if err := json.Unmarshal(c.Models, &counting); err != nil {
		return false, false
	}
	for _, m := range counting.Models {
		lacks = lacks || m.ReferenceName == meta.Name && m.Reference == ""
	}
	return lacks, true
}
