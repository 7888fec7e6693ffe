package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/driftd/driftd/config"
)

func checkCommand() command {
	return command{
		name:  "driftd check",
		short: "report every mistake of a configuration, with its line",
		args:  "--config FILE",
		about: `Reads one configuration exactly as the daemon would at its start, and nothing else: no broker, no reference, no file that
the configuration names. Every mistake is reported at once, with file, line, column and setting, and what to do.`,
		examples: []example{
			{"before a start or a reload", "driftd check --config driftd.yaml"},
			{"in a pipeline: reload only what is valid", "driftd check --config driftd.yaml && kill -HUP 4711"},
		},
		exits: []exit{
			{exitDone, "the configuration is valid"}, {exitFailed, "it has mistakes"}, {exitUsage, "wrong usage, or the file cannot be read"},
		},
		setup: func(fs *flag.FlagSet) action {
			file := fs.String("config", "", "`FILE`: the configuration to check")
			return func(_ context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				return check(con, *file)
			}
		},
	}
}

func check(con *console, file string) error {
	if file == "" {
		return usageError("which configuration? give --config FILE")
	}
	cfg, err := loadConfig(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(con.stdout, "%s: valid: %s\n", file, summary(cfg))
	return err
}

// loadConfig reads a configuration. One with mistakes is exit code 1, one that cannot be read is 2.
func loadConfig(file string) (*config.Config, error) {
	cfg, err := config.Load(file)
	var mistakes config.Errors
	switch {
	case err == nil:
		return cfg, nil
	case errors.As(err, &mistakes):
		return nil, fmt.Errorf("%s has %s\n%w", file, count(len(mistakes), "mistake", "mistakes"), mistakes)
	default:
		return nil, inputError(err)
	}
}

// summary says in one line what a configuration asks for.
func summary(cfg *config.Config) string {
	parts := []string{"embedded broker"}
	if cfg.NATS.URL != "" {
		parts[0] = "broker " + cfg.NATS.URL
	}
	parts = append(parts, count(len(cfg.Models), "model", "models")+" configured")
	if cfg.UnknownModels == "reject" {
		parts = append(parts, "all others rejected")
	} else {
		parts = append(parts, "all others counted with the defaults")
	}
	return strings.Join(parts, ", ")
}
