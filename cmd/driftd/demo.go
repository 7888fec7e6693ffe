package main

import (
	"context"
	"flag"
	"slices"
	"strings"
)

// demoSpeed shows six days a second: five months in about 25 seconds.
const demoSpeed = 518_400

// demoFlags are the settings of the demo.
type demoFlags struct {
	exit            bool
	dataDir, listen string
	speed           float64
	alertmanagers   []string
	notifiers       string
	logs            string
}

func demoCommand() command {
	return command{
		name:  "driftd demo",
		short: "watch real data drift: everything embedded, one command",
		args:  "[--exit] [--data-dir DIR] [--listen HOST:PORT] [--speed N] [--alertmanager URL,…] [--notifiers FILE] [--logs DIR]",
		about: `Runs a broker, a store and the daemon in this process, makes a reference of the log of a flight-delay model in January 2001,
and replays the log of February to June through the broker: real flights, a small real model, three injected incidents. Every
alert is printed when it fires and when it clears; a summary says what was found, and what in the data had really changed.
The page shows the same and stays up until Ctrl-C.

It is made of the other commands: run with a driftd.yaml, reference create, and replay. docs/demo.md has the details.`,
		examples: []example{
			{"half a minute, then the page until Ctrl-C", "driftd demo"},
			{"as fast as this machine can, ending after the summary", "driftd demo --exit --speed 0"},
			{"keep what it made, to run the daemon on it later", "driftd demo --data-dir ./flights"},
			{"write the two logs only, for a daemon, a broker and a store of your own", "driftd demo --logs ./flights"},
			{"tell two Alertmanagers of the incidents", "driftd demo --alertmanager http://127.0.0.1:9093,http://127.0.0.1:9094"},
			{"tell the notifiers of a configuration, such as Slack", "driftd demo --notifiers driftd.yaml"},
		},
		exits: []exit{
			{exitDone, "stopped after the summary; with --exit: every injected incident was found"},
			{exitFailed, "an injected incident was not found (with --exit), or something failed"},
			{exitUsage, "wrong usage, or the directory has something in it"},
		},
		setup: func(fs *flag.FlagSet) action {
			var f demoFlags
			fs.BoolVar(&f.exit, "exit", false, "end after the summary instead of keeping the page")
			fs.StringVar(&f.dataDir, "data-dir", "", "`DIR`: keep broker, store, logs and configuration there (default: a temporary directory, removed at the end)")
			fs.StringVar(&f.listen, "listen", "", "`HOST:PORT`: where the page listens (default 127.0.0.1:8790, or a free port if it is taken)")
			fs.Float64Var(&f.speed, "speed", demoSpeed, "`N`: times event time; 0 as fast as possible (default 518400: six days a second)")
			fs.Func("alertmanager", "`URL`: tell this Alertmanager of the incidents; several separated by commas, or the flag again (default: none)", func(urls string) error {
				f.alertmanagers = slices.Concat(f.alertmanagers, strings.Split(urls, ","))
				return nil
			})
			fs.StringVar(&f.notifiers, "notifiers", "", "`FILE`: tell the notifiers of this driftd.yaml of the incidents (default: none)")
			fs.StringVar(&f.logs, "logs", "", "`DIR`: write the logs of January and of February to June there, and end (default: none)")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				if f.logs != "" {
					return writeDemoLogs(con, f.logs)
				}
				if !(f.speed >= 0) { // nor not a number
					return usageError("--speed %v: must be 0 (as fast as possible) or more", f.speed)
				}
				return runDemo(ctx, con, f)
			}
		},
	}
}
