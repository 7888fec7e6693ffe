package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/driftd/driftd/dashboards"
)

func dashboardsCommand() command {
	return command{
		name:  "driftd dashboards",
		short: "dashboards of Grafana",
		args:  "COMMAND",
		about: "What Grafana shows of driftd: docs/dashboards.md has the panels.",
		examples: []example{
			{"for Grafana's provisioning", "driftd dashboards export --dir ./grafana"},
		},
		sub: []command{dashboardsExportCommand()},
	}
}

func dashboardsExportCommand() command {
	return command{
		name:  "driftd dashboards export",
		short: "write the dashboards and Grafana's provisioning files to a directory",
		args:  "--dir DIR",
		about: `Writes twelve dashboards (fleet, model, feature and pipeline, each in Flux and InfluxQL for InfluxDB and for Prometheus), and the files
with which Grafana provisions them, their data sources and alert rules. Files of these names are overwritten; others are left alone.`,
		examples: []example{
			{"for Grafana's provisioning", "driftd dashboards export --dir ./grafana"},
		},
		exits: []exit{
			{exitDone, "all files are written"},
			{exitFailed, "a file cannot be written"},
			{exitUsage, "wrong usage"},
		},
		setup: func(fs *flag.FlagSet) action {
			dir := fs.String("dir", "", "`DIR`: where to write; it is made if it is missing")
			return func(_ context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				if *dir == "" {
					return usageError("where to? give --dir DIR")
				}
				n, err := exportDashboards(*dir)
				if err != nil {
					return fmt.Errorf("writing the dashboards: %w", err)
				}
				fmt.Fprintf(con.stdout, "%d files in %s\n", n, *dir)
				return nil
			}
		},
	}
}

// exportDashboards writes every file, and returns how many there are.
func exportDashboards(dir string) (n int, err error) {
	all := dashboards.Files()
	err = fs.WalkDir(all, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(all, name)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // for Grafana to read
			return err
		}
		n++
		return os.WriteFile(path, data, 0o644) //nolint:gosec // for Grafana to read
	})
	return n, err
}
