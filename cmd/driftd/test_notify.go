package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/alerting/picture"
	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/result"
)

// notifyTest are the settings of `driftd test notify`.
type notifyTest struct {
	*target
	dryRun  bool
	picture string
}

func testNotifyCommand() command {
	return command{
		name:  "driftd test notify",
		short: "send a test message to a receiver of alerts, or show it",
		args:  "NAME [--config FILE] [--dry-run] [--picture FILE]",
		about: `Tells a notifier of the configuration of an incident that is none, and then that it is over: whoever is told sees both, and
nothing is left firing. With --dry-run it prints what would be sent and sends nothing; NAME may then also be a type, such as slack.
A notifier of the type nats needs a broker:
` + findBroker,
		examples: []example{
			{"what a message in Slack is made of", "driftd test notify slack --dry-run"},
			{"before somebody relies on it", "driftd test notify on-call --config driftd.yaml"},
		},
		exits: []exit{
			{exitDone, "every receiver of the notifier was told, or the message was printed"},
			{exitFailed, "a receiver was not told, or the configuration has mistakes"},
			{exitUsage, "wrong usage, or there is no such notifier"},
		},
		setup: func(fs *flag.FlagSet) action {
			f := notifyTest{target: targetFlags(fs), dryRun: false, picture: ""}
			fs.BoolVar(&f.dryRun, "dry-run", false, "print what would be sent, and send nothing")
			fs.StringVar(&f.picture, "picture", "", "`FILE`: write the picture of the message there, as a PNG")
			return func(ctx context.Context, con *console, args []string) error {
				if len(args) != 1 {
					return usageError("which notifier? give the name of one")
				}
				return f.run(ctx, con, args[0])
			}
		},
	}
}

func (f *notifyTest) run(ctx context.Context, con *console, name string) error {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = loadConfig(f.config); err != nil {
			return err
		}
	}
	n, err := f.notifier(cfg, name)
	if err != nil {
		return err
	}
	now := time.Now()
	firing, over := notify.Example(now)
	host := notify.Host{
		Logger: slog.New(slog.NewTextHandler(con.stderr, nil)), Page: func() string { return cfg.Web.ExternalURL }, Now: time.Now, Broker: nil,
		Picture: func(_ context.Context, t *result.Transition) ([]byte, error) { return examplePicture(t) },
	}
	if f.picture != "" {
		png, err := examplePicture(&firing.Transition)
		if err == nil {
			err = os.WriteFile(f.picture, png, 0o600)
		}
		if err != nil {
			return fmt.Errorf("writing the picture: %w", err)
		}
	}
	if n.Type == "nats" && !f.dryRun {
		l, err := f.connect(ctx)
		if err != nil {
			return err
		}
		defer l.close()
		host.Broker = l.js
	}
	receivers, err := app.Receivers(name, n, host)
	if err != nil {
		return fmt.Errorf("notifier %s: %w", name, err)
	}
	if f.dryRun {
		return preview(con, receivers, firing)
	}
	var failed []error
	for _, r := range receivers {
		if err := tellTest(ctx, r.Notifier, n.Timeout.Std(), firing, over); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", r.Name, err))
			continue
		}
		fmt.Fprintf(con.stdout, "%s was told\n", plainText(r.Name))
	}
	return errors.Join(failed...)
}

// notifier finds a notifier by its name; to print what a type would send, its settings need not be there.
func (f *notifyTest) notifier(cfg *config.Config, name string) (config.Notifier, error) {
	if n, ok := cfg.Notifiers[name]; ok {
		return n, nil
	}
	names := slices.Sorted(maps.Keys(cfg.Notifiers))
	types := make([]string, 0, len(notify.Builtin()))
	for _, s := range notify.Builtin() {
		types = append(types, s.Type)
	}
	switch {
	case f.dryRun && slices.Contains(types, name):
		n := config.DefaultNotifier()
		n.Type = name
		switch name {
		case "slack":
			n.TokenFile, n.Channel = "none", "#ml-alerts"
		case "alertmanager", "webhook":
			n.URLs = []string{"http://127.0.0.1:9093"}
		}
		return n, nil
	case f.config == "":
		return config.Notifier{}, usageError("where is it configured? give --config FILE, or --dry-run with one of the types %s", strings.Join(types, ", "))
	case len(names) == 0:
		return config.Notifier{}, usageError("the configuration has no notifiers")
	}
	return config.Notifier{}, usageError("the configuration has no notifier %s; it has %s", name, strings.Join(names, ", "))
}

func examplePicture(t *result.Transition) ([]byte, error) {
	return picture.Example(t.Title, t.Window.Start, t.Window.End, t.Since).PNG()
}

// preview prints what each receiver would be sent.
func preview(con *console, receivers []notify.Receiver, n notify.Notice) error {
	for _, r := range receivers {
		data, err := r.Notifier.Preview(n)
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if json.Indent(&indented, data, "", "  ") == nil {
			data = indented.Bytes()
		}
		if _, err := fmt.Fprintf(con.stdout, "%s\n", bytes.TrimSpace(data)); err != nil {
			return err
		}
	}
	return nil
}

// tellTest tells a receiver that the example fires, and that it is over.
func tellTest(ctx context.Context, to notify.Notifier, timeout time.Duration, notices ...notify.Notice) error {
	var memory json.RawMessage
	for _, n := range notices {
		n.Memory = memory
		bounded, cancel := context.WithTimeout(ctx, timeout)
		out := to.Deliver(bounded, []notify.Notice{n})
		cancel()
		if out[0].Err != nil {
			return out[0].Err
		}
		memory = out[0].Memory
	}
	return nil
}
