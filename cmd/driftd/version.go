package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/driftd/driftd/result"
)

// build says what a binary is made of.
type build struct {
	Version    string `json:"version"`
	Commit     string `json:"commit"`      // empty: not built from a repository
	Modified   bool   `json:"modified"`    // the working tree had changes
	CommitTime string `json:"commit_time"` // RFC 3339
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	NATSServer string `json:"nats_server"` // of the embedded broker
	Schema     int    `json:"schema"`      // of events, labels and results
}

// thisBuild reads what the linker and the go command left in the binary.
func thisBuild() build {
	b := build{
		Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		NATSServer: server.VERSION, Schema: result.SchemaVersion,
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "dev" && info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version // `go install …@v1.2.3` passes no flags to the linker
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.CommitTime = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

func versionCommand() command {
	return command{
		name:  "driftd version",
		short: "print the version, and what the binary is made of",
		args:  "[--json]",
		about: `Prints the version of driftd, the commit that it was built from, and the versions that matter to its neighbours: the Go
toolchain, the embedded nats-server, and the schema of events, labels and results.`,
		examples: []example{
			{"what to write into a bug report", "driftd version"},
			{"the same for a script", "driftd version --json"},
		},
		exits: []exit{{exitDone, "always"}, {exitUsage, "wrong usage"}},
		setup: func(fs *flag.FlagSet) action {
			asJSON := fs.Bool("json", false, "print one JSON object")
			return func(_ context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				return writeVersion(con, thisBuild(), *asJSON)
			}
		},
	}
}

func writeVersion(con *console, b build, asJSON bool) error {
	if asJSON {
		return writeJSON(con.stdout, b)
	}
	commit := b.Commit
	switch {
	case commit == "":
		commit = "unknown"
	case b.Modified:
		commit += ", modified"
	}
	if b.CommitTime != "" {
		commit += " (" + b.CommitTime + ")"
	}
	_, err := fmt.Fprintf(con.stdout, "driftd %s\n  commit       %s\n  go           %s %s\n  nats-server  %s (embedded)\n  schema       %d\n",
		b.Version, commit, b.Go, b.Platform, b.NATSServer, b.Schema)
	return err
}
