package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/ingest"
)

func deadLettersRetryCommand() command {
	return command{
		name:  "driftd dead-letters retry",
		short: "publish refused records again, to be counted once",
		args:  "SEQ[.INDEX] | --reason REASON [--stream NAME] [--force] [flags]",
		about: `Fetches a refused record from its input stream and publishes it there again, as a new message on the same subject, after what
refused it was mended: a newer driftd, a model that the configuration names now, a reference that exists now. The message says of which
dead letter it is a retry, and that is remembered with the ids of events, in the commit that counts it: however often a dead letter
is retried, it is counted once. A record that has an id is recognised by that too, so one that was sent again meanwhile is not
counted twice.

A record that the decoder of this driftd refuses as well is not published without --force. What is refused again becomes another dead
letter, of the new message. A record without a ` + "`ts`" + ` gets the time of the new message.

` + findBroker,
		examples: []example{
			{"one record, as `dead-letters list` names it", "driftd dead-letters retry 8291.2"},
			{"all records of models that the configuration did not name", "driftd dead-letters retry --reason unknown_model"},
		},
		exits: []exit{
			{exitDone, "published, and stored by the broker; also what had been published before"},
			{exitFailed, "there is no such dead letter, the stream no longer has a message, or a record would be refused again"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			o := retryOptions{reason: "", stream: "", force: false}
			fs.StringVar(&o.reason, "reason", "", "`REASON`: retry all that were refused for it, such as unknown_model")
			fs.StringVar(&o.stream, "stream", "", "`NAME`: of this input stream only")
			fs.BoolVar(&o.force, "force", false, "publish also what would be refused again")
			return func(ctx context.Context, con *console, args []string) error {
				var p pointer
				var err error
				switch {
				case o.reason == "":
					p, err = parsePointer(args)
				case len(args) > 0:
					err = usageError("give a dead letter or --reason, not both")
				default:
					err = knownReason(o.reason)
				}
				if err != nil {
					return err
				}
				l, err := where.connect(ctx)
				if err != nil {
					return err
				}
				defer l.close()
				return retryDeadLetters(ctx, con, l, p, o)
			}
		},
	}
}

// retryOptions are the flags of dead-letters retry.
type retryOptions struct {
	reason, stream string
	force          bool
}

func knownReason(name string) error {
	var known []string
	for _, r := range event.RejectReasons() {
		if r.String() == name {
			return nil
		}
		known = append(known, r.String())
	}
	return usageError("--reason %s: must be one of %s", name, strings.Join(known, ", "))
}

// retryDeadLetters retries what was chosen; it goes on after one that cannot be.
func retryDeadLetters(ctx context.Context, con *console, l *link, p pointer, o retryOptions) error {
	all, err := listDeadLetters(ctx, l, 0)
	if err != nil {
		return err
	}
	var errs []error
	chosen := 0
	for _, d := range all {
		byPointer := d.Seq == p.seq && (p.index < 0 || d.Index == p.index)
		if o.stream != "" && d.Stream != o.stream || o.reason == "" && !byPointer || o.reason != "" && d.Reason != o.reason {
			continue
		}
		chosen++
		if err := retryDeadLetter(ctx, con, l, d, o.force); err != nil {
			errs = append(errs, fmt.Errorf("dead letter %d.%d of stream %s: %w", d.Seq, d.Index, d.Stream, err))
		}
	}
	switch {
	case chosen == 0 && o.reason == "":
		return fmt.Errorf("there is no dead letter %s: `driftd dead-letters list --limit 0` shows all that are kept", p)
	case chosen == 0:
		_, err := fmt.Fprintln(con.stdout, "no dead letters of this reason")
		return err
	}
	return errors.Join(errs...)
}

func retryDeadLetter(ctx context.Context, con *console, l *link, d deadLetter, force bool) error {
	message, err := fetch(ctx, l, d)
	if err != nil {
		return err
	}
	limits := l.cfg.Counting().Limits
	record, err := findRecord(message, d, limits.MaxRecord)
	if err != nil {
		return err
	}
	if d.Index > 0 && len(record) == len(message) { // the pointer is of all that was left of the message
		record = remainder(message, d.Index, limits)
	}
	if why := refusedAgain(record, d.Subject, limits); why != nil && !force {
		return fmt.Errorf("it would be refused again: %w: mend the record (dead-letters show --raw) and publish that, or give --force", why)
	}
	s, err := l.js.Stream(ctx, d.Stream)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", d.Stream, err)
	}
	// The id spares the stream a repetition at short notice; what counts once is decided by the header, in the fold.
	id := fmt.Sprintf("driftd-retry-%d-%d.%d", s.CachedInfo().Created.UnixNano(), d.Seq, d.Index)
	msg := &nats.Msg{Subject: d.Subject, Data: record, Header: nats.Header{}} //nolint:exhaustruct // a message to publish
	msg.Header.Set(ingest.HeaderRetry, fmt.Sprintf("%d.%d", d.Seq, d.Index))
	ack, err := l.js.PublishMsg(ctx, msg, jetstream.WithMsgID(id), jetstream.WithExpectStream(d.Stream))
	if err != nil {
		return fmt.Errorf("publishing to %s: %w", d.Subject, err)
	}
	if ack.Duplicate {
		_, err = fmt.Fprintf(con.stdout, "%d.%d was published a moment ago, as message %d of stream %s\n", d.Seq, d.Index, ack.Sequence, d.Stream)
	} else {
		_, err = fmt.Fprintf(con.stdout, "%d.%d is message %d of stream %s now\n", d.Seq, d.Index, ack.Sequence, d.Stream)
	}
	return err
}

// remainder returns the records of a message from one on, one a line.
func remainder(message []byte, from int, limits event.Limits) []byte {
	dec := event.NewDecoder(limits)
	dec.Reset(message)
	var out [][]byte
	for dec.Next() {
		if dec.Index() >= from {
			out = append(out, bytes.Clone(dec.Raw()))
		}
	}
	return bytes.Join(out, []byte("\n"))
}

// refusedAgain returns why this version's decoder refuses a record of a message, or nil. What the configuration or a reference
// refuses only the daemon knows.
func refusedAgain(record []byte, subject string, limits event.Limits) error {
	if strings.HasPrefix(subject, fold.ControlPrefix) {
		if _, rejected := event.DecodeControl(record); rejected != nil {
			return rejected
		}
		return nil
	}
	dec := event.NewDecoder(limits)
	dec.Reset(record)
	for dec.Next() {
		if _, rejected := dec.Event(); rejected != nil {
			return rejected
		}
	}
	return nil
}
