package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/config"
)

// runFlags are the settings that the command line may override.
type runFlags struct{ config, dataDir, listen, logLevel, logFormat string }

func runCommand() command {
	return command{
		name:  "driftd run",
		short: "the daemon: count, judge, and keep the verdicts",
		args:  "[--config FILE] [--data-dir DIR] [flags]",
		about: `Reads prediction events and labels from a NATS JetStream stream, counts them into event-time windows against a reference,
judges every feature, and commits position, counts and verdicts in one transaction. Without --config it runs a broker and
a store of its own in the data directory, and says where its HTTP API listens.

SIGTERM and SIGINT stop it with everything committed; a second one ends it at once. SIGHUP reads the configuration again:
the old one stays where the new one has mistakes.`,
		examples: []example{
			{"everything in ./driftd-data: broker on 127.0.0.1:4222, API on 127.0.0.1:8790", "driftd run"},
			{"with a broker of your own, see docs/configuration.md", "driftd run --config driftd.yaml"},
			{"a second daemon beside the first, on free ports", "driftd run --data-dir /var/lib/driftd-2 --listen 127.0.0.1:0"},
			{"under a supervisor that collects JSON logs", "driftd run --config driftd.yaml --log-format json --log-level warn"},
		},
		exits: []exit{
			{exitDone, "stopped by a signal, everything committed"},
			{exitFailed, "failed, or the configuration has mistakes (all are printed)"},
			{exitUsage, "wrong usage, or the configuration cannot be read"},
		},
		setup: func(fs *flag.FlagSet) action {
			var f runFlags
			fs.StringVar(&f.config, "config", "", "`FILE`: the configuration; without it every setting has its default")
			fs.StringVar(&f.dataDir, "data-dir", "",
				"`DIR`: where broker, store and record of addresses are kept, instead of data_dir (default "+defaultDataDir+")")
			fs.StringVar(&f.listen, "listen", "", "`HOST:PORT`: where the HTTP API listens, instead of web.listen (default 127.0.0.1:8790)")
			fs.StringVar(&f.logLevel, "log-level", "", "`LEVEL`: the least severe to log: debug, info, warn or error (default info)")
			fs.StringVar(&f.logFormat, "log-format", "", "`FORMAT`: of the log, text or json (default text)")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				return runDaemon(ctx, con, f)
			}
		},
	}
}

func runDaemon(ctx context.Context, con *console, f runFlags) error {
	err := serve(ctx, con, f)
	stopped := errors.Is(err, context.Canceled) && ctx.Err() != nil // as it was asked to: while it ran, or while it waited for its broker
	if err != nil && !stopped {
		return err
	}
	return nil
}

func serve(ctx context.Context, con *console, f runFlags) error {
	cfg, err := f.resolve()
	if err != nil {
		return err
	}
	log := newLogger(con.stderr, cfg.Log)
	a, err := app.New(ctx, app.Options{
		Config: cfg, ConfigPath: f.config, Override: f.override, Logger: log, Version: thisBuild().Version, Stdout: con.stdout,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var reloads sync.WaitGroup
	defer reloads.Wait()
	defer cancel()
	hangups := make(chan os.Signal, 1) // several in a row are one
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	reloads.Go(func() { reloadOn(ctx, hangups, a, log) })
	return a.Run(ctx)
}

// reloader reads the configuration again.
type reloader interface {
	Reload(ctx context.Context) error
}

func reloadOn(ctx context.Context, hangups <-chan os.Signal, a reloader, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := a.Reload(ctx); err != nil {
				log.Error("configuration is not reloaded, the old one stays", slog.Any("err", err))
			}
		}
	}
}

// resolve reads the configuration and puts the flags over it.
func (f *runFlags) resolve() (*config.Config, error) {
	cfg := config.Default()
	if f.config != "" {
		var err error
		if cfg, err = loadConfig(f.config); err != nil {
			return nil, err
		}
	}
	f.override(cfg)
	if err := cfg.Validate(); err != nil { // the file was valid: it is the flags
		return nil, usageError("the flags do not fit: %w", err)
	}
	return cfg, nil
}

// override puts the flags over a configuration.
func (f *runFlags) override(cfg *config.Config) {
	for _, o := range []struct {
		flag    string
		setting *string
	}{
		{f.dataDir, &cfg.DataDir}, {f.listen, &cfg.Web.Listen}, {f.logLevel, &cfg.Log.Level}, {f.logFormat, &cfg.Log.Format},
	} {
		if o.flag != "" {
			*o.setting = o.flag
		}
	}
}

// newLogger returns a logger for a valid configuration.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("BUG: the configuration lets log level %q pass", c.Level))
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
