package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/secret"
)

func initCommand() command {
	return command{
		name:  "driftd init",
		short: "prepare what driftd writes to",
		args:  "COMMAND",
		about: "Creates once what an operator would otherwise create by hand.",
		examples: []example{
			{"bucket and token of the InfluxDB in driftd.yaml", "driftd init influxdb --config driftd.yaml --admin-token-file admin.token"},
		},
		sub: []command{initInfluxDBCommand()},
	}
}

func initInfluxDBCommand() command {
	return command{
		name:  "driftd init influxdb",
		short: "create organisation, bucket and token in InfluxDB, or print the commands",
		args:  "--config FILE [--admin-token-file FILE] [--retention LENGTH] [--print]",
		about: `Creates what store.influxdb names: the organisation and the bucket (of 1.8: the database), where they are missing, and a new
token that reads and writes this bucket and nothing else (of 1.8: a user). A new bucket keeps everything, so that a replayed
history does not vanish; --retention bounds it. The token goes into store.influxdb.token_file, which must not be there yet; without
one it is printed.`,
		examples: []example{
			{"with a token that may create buckets; of 1.8 the file holds admin:password", "driftd init influxdb --config driftd.yaml --admin-token-file admin.token"},
			{"for somebody else to run", "driftd init influxdb --config driftd.yaml --print"},
		},
		exits: []exit{
			{exitDone, "everything is there"},
			{exitFailed, "InfluxDB cannot be reached or refused, or the configuration is invalid"},
			{exitUsage, "wrong usage, or a file cannot be read"},
		},
		setup: func(fs *flag.FlagSet) action {
			file := fs.String("config", "", "`FILE`: the configuration with store.influxdb")
			admin := fs.String("admin-token-file", "", "`FILE`: holds a token that may create; of 1.8 user:password")
			retention := fs.String("retention", "0s", "`LENGTH`: how long a new bucket keeps points, such as 400d; 0s: for ever")
			user := fs.String("user", "driftd", "`NAME`: of 1.8, the user to create")
			show := fs.Bool("print", false, "print the commands and do nothing")
			return func(ctx context.Context, con *console, args []string) error {
				if err := noArguments(args); err != nil {
					return err
				}
				if *file == "" {
					return usageError("which InfluxDB? give --config FILE with store.influxdb")
				}
				keep, err := config.ParseDuration(*retention)
				if err != nil || keep < 0 {
					return usageError("--retention %s: must be a length such as 400d, or 0s", *retention)
				}
				cfg, err := loadConfig(*file)
				if err != nil {
					return err
				}
				c := cfg.Store.InfluxDB
				p := influx.Preparation{URL: c.URL, Org: c.Org, Bucket: c.Bucket, Admin: "", Retention: keep.Std(), User: *user}
				if *show {
					return printPreparation(con, p)
				}
				return prepareInfluxDB(ctx, con, c, p, *admin)
			}
		},
	}
}

func printPreparation(con *console, p influx.Preparation) error {
	two, old := influx.Commands(p)
	fmt.Fprintln(con.stdout, "# InfluxDB 2.x, with the command line influx:")
	for _, line := range two {
		fmt.Fprintln(con.stdout, line)
	}
	fmt.Fprintln(con.stdout, "\n# InfluxDB 1.8, in the shell of influx:")
	for _, line := range old {
		fmt.Fprintln(con.stdout, line)
	}
	return nil
}

func prepareInfluxDB(ctx context.Context, con *console, c config.InfluxDB, p influx.Preparation, adminFile string) error {
	if c.URL == "" {
		return usageError("the configuration names no store.influxdb.url")
	}
	if c.TokenFile != "" {
		if _, err := os.Stat(c.TokenFile); !errors.Is(err, fs.ErrNotExist) {
			return usageError("%s is there already: remove it to get a new token, or leave store.influxdb as it is", c.TokenFile)
		}
	}
	if adminFile != "" {
		token, err := secret.ReadFile(adminFile)
		if err != nil {
			return inputError(err)
		}
		p.Admin = token.Reveal()
	}
	got, err := influx.Prepare(ctx, p)
	for _, line := range got.Done {
		fmt.Fprintln(con.stdout, line)
	}
	switch {
	case err != nil:
		return fmt.Errorf("preparing InfluxDB: %w", err)
	case got.Token == "":
		return nil
	case c.TokenFile == "":
		fmt.Fprintf(con.stdout, "store.influxdb.token_file is not set; put this into a file of yours: %s\n", got.Token)
		return nil
	}
	if err := os.WriteFile(c.TokenFile, []byte(got.Token+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing store.influxdb.token_file: %w", err)
	}
	fmt.Fprintf(con.stdout, "wrote it to %s\n", c.TokenFile)
	return nil
}
