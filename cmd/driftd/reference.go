package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/journal"
)

func referenceCommand() command {
	return command{
		name:  "driftd reference",
		short: "create, list, show, activate and delete references",
		args:  "COMMAND",
		about: `A reference is what a model's data looked like when all was well, as a rule the data it was trained on. It is frozen once,
named, identified by the hash of its bytes, and stored in the broker; windows are compared with it.`,
		examples: []example{
			{
				"from training data: a CSV file with a header",
				"driftd reference create --name churn-2026-11 --model churn --from training.csv --activate",
			},
			{
				"from a week of the serving log",
				"driftd reference create --name churn-week-1 --from events.ndjson.gz --start 2026-11-01 --end 2026-11-08",
			},
			{"what there is", "driftd reference list"},
		},
		sub: []command{
			referenceCreateCommand(), referenceListCommand(), referenceShowCommand(), referenceActivateCommand(), referenceDeleteCommand(),
		},
	}
}

// openReferences connects and opens the store of references.
func openReferences(ctx context.Context, t *target) (*link, *journal.References, error) {
	l, err := t.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	refs, err := journal.OpenReferences(ctx, l.js)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = fmt.Errorf("this broker has no store of references: start `driftd run` once, which creates it (%w)", err)
	}
	if err != nil {
		l.close()
		return nil, nil, err
	}
	return l, refs, nil
}

func referenceListCommand() command {
	return command{
		name:  "driftd reference list",
		short: "list the stored references",
		args:  "[--json] [flags]",
		about: "Lists the stored references by name.\n\n" + findBroker,
		examples: []example{
			{"those of the daemon on this machine", "driftd reference list"},
			{"the names alone", "driftd reference list --json | jq -r .name"},
		},
		exits: brokerExits("done, also when there are none"),
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			asJSON := fs.Bool("json", false, "print one JSON object a line")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				l, refs, err := openReferences(ctx, where)
				if err != nil {
					return err
				}
				defer l.close()
				all, err := refs.List(ctx)
				if err != nil {
					return err
				}
				return writeReferences(con, all, *asJSON)
			}
		},
	}
}

func writeReferences(con *console, all []journal.ReferenceMeta, asJSON bool) error {
	if asJSON {
		for _, m := range all {
			if err := writeLine(con.stdout, m); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(con.stdout, "no references: create one with `driftd reference create --from FILE`")
		return err
	}
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMODEL\tROWS\tFROM\tTO\tCREATED\tFINGERPRINT")
	for _, m := range all {
		from, to := "-", "-"
		if m.Start != 0 || m.End != 0 {
			from, to = instant(m.Start), instant(m.End)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n",
			plainText(m.Name), orDash(m.Model), m.Rows, from, to, instant(m.Created), short(m.Fingerprint))
	}
	return w.Flush()
}

// short cuts a fingerprint for people: enough to tell two apart.
func short(fingerprint string) string {
	const head = len("sha256:") + 12
	if len(fingerprint) <= head {
		return fingerprint
	}
	return fingerprint[:head] + "…"
}

func referenceActivateCommand() command {
	return command{
		name:  "driftd reference activate",
		short: "compare a model's windows with a reference from now on",
		args:  "MODEL NAME [flags]",
		about: `Publishes into the input stream that MODEL is compared with the reference NAME. It holds from the model's next pane on, also
in a second reading of the stream. A reference that the configuration names for the model is replaced until the
configuration names another one.

` + findBroker,
		examples: []example{
			{"after a training", "driftd reference activate churn churn-2026-11"},
		},
		exits: []exit{
			{exitDone, "it is in the stream"},
			{exitFailed, "there is no such reference, it is another model's, or the broker failed"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 2 {
					return usageError("give the model and the reference's name: driftd reference activate MODEL NAME")
				}
				if !event.ValidModel(args[0]) {
					return usageError("%q is no model: a model's name is 1 to 128 of A-Z, a-z, 0-9, '_' and '-'", args[0])
				}
				l, refs, err := openReferences(ctx, where)
				if err != nil {
					return err
				}
				defer l.close()
				meta, err := resolveReference(ctx, refs, args[1])
				if err != nil {
					return err
				}
				return activate(ctx, con, l, args[0], meta)
			}
		},
	}
}

// resolveReference finds a reference by its name or, where no name matches, by its fingerprint.
func resolveReference(ctx context.Context, refs *journal.References, name string) (journal.ReferenceMeta, error) {
	meta, err := refs.Resolve(ctx, name)
	if err == nil || !errors.Is(err, journal.ErrReferenceNotFound) {
		return meta, err
	}
	all, listErr := refs.List(ctx)
	if listErr != nil {
		return meta, listErr
	}
	names := make([]string, 0, len(all))
	for _, m := range all {
		if m.Fingerprint == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	if near := closest(name, names); near != "" {
		return meta, fmt.Errorf("there is no reference %q; did you mean %s?", name, near)
	}
	return meta, fmt.Errorf("there is no reference %q: `driftd reference list` shows all", name)
}

// activate publishes an activation.
func activate(ctx context.Context, con *console, l *link, model string, meta journal.ReferenceMeta) error {
	if meta.Model != "" && meta.Model != model {
		return fmt.Errorf("reference %q was made for model %q, not %q: create one from the rows of %s", meta.Name, meta.Model, model, model)
	}
	c := event.Control{Kind: event.ControlActivation, Model: model, Reference: meta.Fingerprint, Name: meta.Name}
	where, err := l.homeOf(ctx, model)
	if err != nil {
		return err
	}
	subject := where.control()
	ack, err := l.js.Publish(ctx, subject, c.Encode())
	if errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("no stream of this broker takes %s: start `driftd run` once, which creates its streams", subject)
	}
	if err != nil {
		return fmt.Errorf("publishing the activation: %w", err)
	}
	if ack.Stream != where.stream {
		return fmt.Errorf("the activation was stored in stream %s, which is not the %s that the daemon reads: give its --config",
			ack.Stream, where.stream)
	}
	_, err = fmt.Fprintf(con.stdout, "activated %s for model %s from its next pane on (message %d of stream %s)\n",
		meta.Name, model, ack.Sequence, ack.Stream)
	return err
}

func referenceDeleteCommand() command {
	return command{
		name:  "driftd reference delete",
		short: "delete a reference that nothing uses any more",
		args:  "NAME [--force] [flags]",
		about: `Deletes a reference. It is refused while something is known to use it: an activation or a configuration that the input
stream still holds, or the configuration of --config. A second reading of the stream needs it, and so does the daemon at its
next start; results that were judged against it stay as they are.

` + findBroker,
		examples: []example{
			{"one that was made by mistake", "driftd reference delete churn-tets"},
			{"in use, but by a model that will never come back", "driftd reference delete churn-2024 --force"},
		},
		exits: []exit{
			{exitDone, "deleted"},
			{exitFailed, "it is in use, there is no such reference, or the broker failed"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			force := fs.Bool("force", false, "delete it even if it is in use")
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 1 {
					return usageError("give one name: driftd reference delete NAME")
				}
				l, refs, err := openReferences(ctx, where)
				if err != nil {
					return err
				}
				defer l.close()
				return deleteReference(ctx, con, l, refs, args[0], *force)
			}
		},
	}
}

func deleteReference(ctx context.Context, con *console, l *link, refs *journal.References, name string, force bool) error {
	meta, err := resolveReference(ctx, refs, name)
	if err != nil {
		return err
	}
	users, err := referenceUsers(ctx, l, meta)
	if err != nil && !force {
		return fmt.Errorf("looking for users of reference %s: %w (--force deletes it unseen)", meta.Name, err)
	}
	if len(users) > 0 && !force {
		return fmt.Errorf("reference %s is in use: %s; the daemon may not start without it. Activate another one, or give --force",
			meta.Name, strings.Join(users, "; "))
	}
	if err := refs.Delete(ctx, meta.Name); err != nil {
		return err
	}
	for _, u := range users {
		fmt.Fprintf(con.stderr, "warning: %s\n", u)
	}
	_, err = fmt.Fprintf(con.stdout, "deleted %s (%s)\n", meta.Name, meta.Fingerprint)
	return err
}

// referenceUsers says what is known to use a reference: models of the configuration, and control messages that the input
// stream still holds. Fingerprints stand in those as they are, so that one is found in whatever kind of message.
func referenceUsers(ctx context.Context, l *link, meta journal.ReferenceMeta) ([]string, error) {
	var users []string
	for _, model := range sortedKeys(l.cfg.Models) {
		if ref := l.cfg.Models[model].Reference.Name; ref == meta.Name || ref == meta.Fingerprint {
			users = append(users, "the configuration names it for model "+model)
		}
	}
	partitions, err := l.partitions(ctx)
	if err != nil {
		return users, err
	}
	for _, p := range partitions {
		user, err := streamUser(ctx, l, p, meta)
		if err != nil {
			return users, err
		}
		if user != "" {
			users = append(users, user)
		}
	}
	return users, nil
}

// streamUser says which control message of a partition's stream names a reference; empty: none.
func streamUser(ctx context.Context, l *link, p int, meta journal.ReferenceMeta) (string, error) {
	name := journal.InputStream(p)
	if all := l.layout().Partitions; p < len(all) {
		name = all[p].InputName()
	}
	s, err := l.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for seq := uint64(1); ; {
		m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(journal.ControlSubject(p)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if bytes.Contains(m.Data, []byte(meta.Fingerprint)) {
			return fmt.Sprintf("message %d of stream %s binds it to a model", m.Sequence, name), nil
		}
		seq = m.Sequence + 1
	}
}
