package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/journal"
)

// deadLetter is a pointer to a refused record.
type deadLetter = journal.DeadLetter

func deadLettersCommand() command {
	return command{
		name:  "driftd dead-letters",
		short: "list, show and retry records that could not be counted",
		args:  "COMMAND",
		about: `A record that cannot be counted is refused with a reason, and the stream goes on. What is kept of it is a pointer: stream,
sequence, index in its message, size and hash. The record itself stays in the input stream, for as long as that keeps it.`,
		examples: []example{
			{"what was refused lately, and why", "driftd dead-letters list --limit 20"},
			{"the record itself: the third one of message 8291", "driftd dead-letters show 8291.2"},
		},
		sub: []command{deadLettersListCommand(), deadLettersShowCommand(), deadLettersRetryCommand()},
	}
}

func deadLettersListCommand() command {
	return command{
		name:  "driftd dead-letters list",
		short: "list refused records, newest last",
		args:  "[--limit N] [--json] [flags]",
		about: "Lists the pointers of refused records with their reasons.\n\n" + findBroker,
		examples: []example{
			{"the last 20 of the daemon on this machine", "driftd dead-letters list --limit 20"},
			{
				"all that are kept, one JSON object a line, counted by reason",
				"driftd dead-letters list --limit 0 --json | jq -r .reason | sort | uniq -c",
			},
		},
		exits: brokerExits("done, also when there are none"),
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			limit := fs.Int("limit", 50, "`N`: list that many of the newest; 0 lists all that are kept")
			asJSON := fs.Bool("json", false, "print one JSON object a line")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				if *limit < 0 {
					return usageError("--limit %d: must be 0 (all) or more", *limit)
				}
				l, err := where.connect(ctx)
				if err != nil {
					return err
				}
				defer l.close()
				letters, err := listDeadLetters(ctx, l, *limit)
				if err != nil {
					return err
				}
				return writeDeadLetters(con, letters, *asJSON)
			}
		},
	}
}

// brokerExits are the exit codes of a command that talks to a broker.
func brokerExits(done string) []exit {
	return []exit{{exitDone, done}, {exitFailed, "the broker cannot be reached or refused"}, {exitUsage, "wrong usage, or no broker is known"}}
}

// listDeadLetters returns the newest dead letters of all partitions, oldest first; none where no daemon has committed yet.
func listDeadLetters(ctx context.Context, l *link, limit int) ([]deadLetter, error) {
	partitions, err := l.partitions(ctx)
	if err == nil && len(partitions) == 0 {
		err = jetstream.ErrStreamNotFound
	}
	var all []deadLetter
	for _, p := range partitions {
		letters, lerr := journal.ListDeadLetters(ctx, l.js, p, limit)
		if err = lerr; err != nil {
			break
		}
		all = append(all, letters...)
	}
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("this broker has no state of driftd: has `driftd run` ever used it? (%w)", err)
	}
	if len(partitions) > 1 {
		slices.SortStableFunc(all, func(a, b deadLetter) int { return cmp.Compare(a.Time, b.Time) })
	}
	if limit > 0 && len(all) > limit {
		all = all[len(all)-limit:]
	}
	return all, err
}

func writeDeadLetters(con *console, letters []deadLetter, asJSON bool) error {
	if asJSON {
		for _, d := range letters {
			if err := writeLine(con.stdout, d); err != nil {
				return err
			}
		}
		return nil
	}
	if len(letters) == 0 {
		_, err := fmt.Fprintln(con.stdout, "no dead letters")
		return err
	}
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	several := slices.ContainsFunc(letters, func(d deadLetter) bool { return d.Stream != letters[0].Stream })
	column := func(text string) string {
		if several {
			return text + "\t"
		}
		return ""
	}
	fmt.Fprintln(w, column("STREAM")+"SEQ.INDEX\tTIME\tMODEL\tREASON\tBYTES\tDETAIL")
	for _, d := range letters {
		fmt.Fprintf(w, "%s%d.%d\t%s\t%s\t%s\t%d\t%s\n", column(d.Stream), d.Seq, d.Index, instant(d.Time), orDash(d.Model), d.Reason, d.Size, plainText(d.Detail))
	}
	return w.Flush()
}

func deadLettersShowCommand() command {
	return command{
		name:  "driftd dead-letters show",
		short: "print one refused record, and why it was refused",
		args:  "SEQ[.INDEX] [--stream NAME] [--raw] [flags]",
		about: `Fetches the message SEQ from the input stream and prints its refused record INDEX with the reason. Without INDEX, all refused
records of the message are printed. The record's hash is compared with that of the moment at which it was refused.

` + findBroker,
		examples: []example{
			{"one record, as `dead-letters list` names it", "driftd dead-letters show 8291.2"},
			{"its bytes alone, to mend and publish again", "driftd dead-letters show 8291.2 --raw > record.json"},
		},
		exits: []exit{
			{exitDone, "printed, and the hash is the same"},
			{exitFailed, "there is no such dead letter, the stream no longer has the message, or the hash differs"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			stream := fs.String("stream", "", "`NAME`: the input stream, where several partitions have a dead letter of this number")
			raw := fs.Bool("raw", false, "print the record's bytes and nothing else")
			return func(ctx context.Context, con *console, args []string) error {
				p, err := parsePointer(args)
				if err != nil {
					return err
				}
				l, err := where.connect(ctx)
				if err != nil {
					return err
				}
				defer l.close()
				return showDeadLetters(ctx, con, l, p, *stream, *raw)
			}
		},
	}
}

// pointer names a message, or one record of it.
type pointer struct {
	seq   uint64
	index int // -1: all of the message
}

func (p pointer) String() string {
	if p.index < 0 {
		return strconv.FormatUint(p.seq, 10)
	}
	return fmt.Sprintf("%d.%d", p.seq, p.index)
}

func parsePointer(args []string) (pointer, error) {
	if len(args) != 1 {
		return pointer{}, usageError("give one dead letter as SEQ or SEQ.INDEX, such as 8291.2: `driftd dead-letters list` names them")
	}
	first, second, both := strings.Cut(args[0], ".")
	p := pointer{index: -1}
	var err error
	p.seq, err = strconv.ParseUint(first, 10, 64)
	if err == nil && both {
		p.index, err = strconv.Atoi(second)
	}
	if err != nil || p.seq == 0 || both && p.index < 0 {
		return pointer{}, usageError("%q is no dead letter: write SEQ or SEQ.INDEX, such as 8291.2", args[0])
	}
	return p, nil
}

func showDeadLetters(ctx context.Context, con *console, l *link, p pointer, stream string, raw bool) error {
	all, err := listDeadLetters(ctx, l, 0)
	if err != nil {
		return err
	}
	var chosen []deadLetter
	for _, d := range all {
		if d.Seq == p.seq && (stream == "" || d.Stream == stream) && (p.index < 0 || d.Index == p.index) {
			chosen = append(chosen, d)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("there is no dead letter %s: `driftd dead-letters list --limit 0` shows all that are kept", p)
	}
	if i := slices.IndexFunc(chosen, func(d deadLetter) bool { return d.Stream != chosen[0].Stream }); i > 0 && stream == "" {
		return usageError("streams %s and %s both have a dead letter %s: name one with --stream", chosen[0].Stream, chosen[i].Stream, p)
	}
	if raw && len(chosen) > 1 {
		return usageError("message %d has %d refused records: name one, such as %d.%d", p.seq, len(chosen), p.seq, chosen[0].Index)
	}
	message, err := fetch(ctx, l, chosen[0])
	var errs []error
	for i, d := range chosen {
		var record []byte
		why := err
		if why == nil {
			record, why = findRecord(message, d, int(l.cfg.Limits.MaxRecord))
		}
		if why != nil {
			errs = append(errs, why)
		}
		if raw {
			_, werr := con.stdout.Write(record)
			return errors.Join(why, werr)
		}
		if i > 0 {
			fmt.Fprintln(con.stdout)
		}
		if werr := writeDeadLetter(con, d, record, why); werr != nil {
			return werr
		}
	}
	if err != nil {
		return err // once, not for each record
	}
	return errors.Join(errs...)
}

// fetch reads the message of a dead letter from its stream.
func fetch(ctx context.Context, l *link, d deadLetter) ([]byte, error) {
	s, err := l.js.Stream(ctx, d.Stream)
	if err != nil {
		return nil, fmt.Errorf("reading stream %s: %w", d.Stream, err)
	}
	m, err := s.GetMsg(ctx, d.Seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		state := s.CachedInfo().State
		return nil, fmt.Errorf("stream %s no longer has message %d: it keeps %d to %d (see nats.input in docs/configuration.md)",
			d.Stream, d.Seq, state.FirstSeq, state.LastSeq)
	}
	if err != nil {
		return nil, fmt.Errorf("reading message %d of stream %s: %w", d.Seq, d.Stream, err)
	}
	return m.Data, nil
}

// findRecord cuts the refused record out of its message. A record that was refused for the whole message, such as one that
// is too large to be decoded, is the message. The hash decides.
func findRecord(message []byte, d deadLetter, maxRecord int) ([]byte, error) {
	if matches(message, d) {
		return message, nil
	}
	dec := event.NewDecoder(event.Limits{MaxRecord: maxRecord})
	dec.Reset(message)
	for dec.Next() {
		if dec.Index() == d.Index && matches(dec.Raw(), d) {
			return bytes.Clone(dec.Raw()), nil
		}
	}
	return nil, fmt.Errorf("message %d of stream %s has no record with the hash of dead letter %d.%d: the stream was made anew since",
		d.Seq, d.Stream, d.Seq, d.Index)
}

func matches(b []byte, d deadLetter) bool {
	sum := sha256.Sum256(b)
	return len(b) == d.Size && hex.EncodeToString(sum[:]) == d.SHA256
}

func writeDeadLetter(con *console, d deadLetter, record []byte, why error) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "dead letter\t%d.%d of stream %s\n", d.Seq, d.Index, d.Stream)
	fmt.Fprintf(w, "reason\t%s: %s\n", d.Reason, plainText(d.Detail))
	fmt.Fprintf(w, "subject\t%s\n", plainText(d.Subject))
	fmt.Fprintf(w, "model\t%s\n", orDash(d.Model))
	fmt.Fprintf(w, "received\t%s\n", instant(d.Time))
	fmt.Fprintf(w, "size\t%s\n", count(d.Size, "byte", "bytes"))
	verified := "verified"
	if why != nil {
		verified = "not verified"
	}
	fmt.Fprintf(w, "sha256\t%s (%s)\n", d.SHA256, verified)
	if err := w.Flush(); err != nil || why != nil { // why is reported as an error: there is no record to show
		return err
	}
	shown, cut := record, ""
	if len(shown) > maxShown {
		shown, cut = shown[:maxShown], fmt.Sprintf("… (%d more bytes: --raw prints all)", len(record)-maxShown)
	}
	_, err := fmt.Fprintf(con.stdout, "record\n%s%s\n", printable(string(bytes.TrimSpace(shown))), cut)
	return err
}

const maxShown = 64 << 10 // bytes of a record on a terminal

// instant writes Unix milliseconds as RFC 3339.
func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return plainText(s)
}
