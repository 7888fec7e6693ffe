package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/doctor"
	"github.com/driftd/driftd/journal"
)

func doctorCommand() command {
	return command{
		name:  "driftd doctor",
		short: "say which guarantees hold now, and what to change",
		args:  "[--json] [flags]",
		about: `Reads the broker, driftd's streams in it, the store and the clocks, and says in plain words what survives a killed daemon, a
killed broker, a power loss and a lost disk; then what was looked at, and what to do about it. It changes nothing, and may
run beside the daemon. With --config the streams are compared with the configuration too.

` + findBroker,
		examples: []example{
			{"the daemon on this machine", "driftd doctor"},
			{"a broker of your own, before the first start or at any time", "driftd doctor --config driftd.yaml"},
			{"for a check that pages somebody", "driftd doctor --config driftd.yaml --json | jq -r '.checks[] | select(.status==\"broken\") | .finding'"},
		},
		exits: []exit{
			{exitDone, "every promise holds; there may be advice"},
			{exitFailed, "a promise does not hold: a check says broken"},
			{exitUsage, "wrong usage, or no broker is known"},
		},
		setup: func(fs *flag.FlagSet) action {
			where := targetFlags(fs)
			asJSON := fs.Bool("json", false, "print the report as JSON")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				return examine(ctx, con, where, *asJSON)
			}
		},
	}
}

func examine(ctx context.Context, con *console, where *target, asJSON bool) error {
	cfg := config.Default()
	if where.config != "" {
		var err error
		if cfg, err = loadConfig(where.config); err != nil {
			return err
		}
	}
	found, err := where.find(cfg)
	if err != nil {
		return err
	}
	found.Name = "driftd doctor"
	dir := where.dataDir
	if dir == "" {
		dir = cfg.DataDir
	}
	o := doctor.Options{
		Conn: nil, ConnectErr: nil, Embedded: found.Token != "", // only the record of an embedded broker has one
		Layout: (&link{nc: nil, js: nil, cfg: cfg}).layout(), References: map[string]string{},
		Tolerance: cfg.Limits.FutureTolerance.Std(), StorePath: filepath.Join(dir, "store.db"),
	}
	if where.config != "" {
		limited(&o.Layout, cfg)
	}
	for name := range cfg.Models {
		if ref := cfg.Model(name).Reference.Name; ref != "" {
			o.References[name] = ref
		}
	}
	dial, cancel := context.WithTimeout(ctx, found.timeout)
	defer cancel()
	nc, err := broker.Connect(dial, found.ConnectOptions)
	if err == nil {
		defer nc.Close()
		o.Conn = nc
	} else {
		o.ConnectErr = fmt.Errorf("%s (the address is from %s)", plainText(err.Error()), found.origin)
	}
	report, err := doctor.Examine(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(con.stdout, report)
	} else {
		err = writeReport(con.stdout, report)
	}
	if err == nil && report.Broken > 0 {
		err = fmt.Errorf("%s broken", count(report.Broken, "promise is", "promises are"))
	}
	return err
}

// limited adds what the configuration asks of the streams.
func limited(l *journal.Layout, cfg *config.Config) {
	n := &cfg.NATS
	l.Replicas = n.Replicas
	l.InputMaxBytes, l.InputMaxAge = int64(n.Input.MaxBytes), n.Input.MaxAge.Std()
	l.StateMaxBytes = int64(n.State.MaxBytes)
	l.OutboxMaxBytes, l.OutboxMaxAge = int64(n.Outbox.MaxBytes), n.Outbox.MaxAge.Std()
}

func writeReport(out io.Writer, r *doctor.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SURVIVES\tHOLDS\tBECAUSE")
	for _, g := range r.Guarantees {
		fmt.Fprintf(w, "%s\t%s\t%s\n", g.Survives, g.Holds, plainText(g.Because))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "CHECK\tSTATUS\tFINDING")
	for _, c := range r.Checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", plainText(c.Name), c.Status, plainText(c.Finding))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	var todo []string
	add := func(what, remedy string) {
		if remedy != "" {
			todo = append(todo, fmt.Sprintf("* %s: %s", plainText(what), plainText(remedy)))
		}
	}
	for _, c := range r.Checks {
		add(c.Name, c.Remedy)
	}
	for _, g := range r.Guarantees {
		add(g.Survives, g.Remedy)
	}
	if len(todo) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "\nWhat to change:\n%s\n", strings.Join(todo, "\n"))
	return err
}
