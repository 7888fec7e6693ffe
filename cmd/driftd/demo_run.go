package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/demo"
)

// conductor is one run of the demo.
type conductor struct {
	demoFlags
	con   *console
	dir   string
	cfg   *config.Config
	file  string // of the configuration, as it is used
	level *slog.LevelVar
	show  *stage
	model *demo.Model
	past  []demo.Flight // that the reference is made of
	next  []demo.Flight // that are replayed
}

func runDemo(ctx context.Context, con *console, f demoFlags) (err error) {
	start := time.Now()
	c := &conductor{demoFlags: f, con: con, level: &slog.LevelVar{}} //nolint:exhaustruct // prepared below
	remove, err := c.prepare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	a, err := app.New(ctx, app.Options{
		Config: c.cfg, ConfigPath: c.file, Version: thisBuild().Version, Stdout: nil,
		Logger: slog.New(slog.NewTextHandler(con.stderr, &slog.HandlerOptions{Level: c.level})),
	})
	if err != nil {
		return err
	}
	run, stop := context.WithCancelCause(ctx)
	var daemon sync.WaitGroup
	var failed error
	defer func() { stop(nil); daemon.Wait(); err = errors.Join(err, failed) }()
	c.open(a.URL())
	err = c.reference(ctx)
	if err == nil {
		// The daemon has not begun to count: the first event already finds the reference.
		err = a.Reload(ctx)
	}
	if err == nil {
		err = c.level.UnmarshalText([]byte(c.cfg.Log.Level))
	}
	if err != nil {
		stop(err) // Run takes down what New built
	}
	daemon.Go(func() {
		failed = a.Run(run)
		stop(failed)
	})
	if err != nil {
		return err
	}
	report, err := c.play(run)
	if err == nil {
		err = c.told(run, a)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return errors.New("interrupted")
	case err != nil:
		return err
	}
	c.show.text(report.Summary(time.Since(start), slices.Concat(c.past, c.next)))
	switch missed := report.Missed(); {
	case !f.exit:
		c.show.line("The page stays at %s: Ctrl-C ends the demo.", a.URL())
		<-run.Done()
	case len(missed) > 0:
		return fmt.Errorf("%s not found", count(len(missed), "injected incident was", "injected incidents were"))
	}
	return nil
}

// demoSpan is what is replayed, from a month to before another; the month before it is the reference.
func demoSpan() (from, end time.Time) {
	return time.Date(2001, time.February, 1, 0, 0, 0, 0, time.UTC), time.Date(2001, time.July, 1, 0, 0, 0, 0, time.UTC)
}

// replayed is the log of the flights of the span, up to the end of the day after it: what is reported later is not known yet.
func (c *conductor) replayed() *demo.Log {
	_, end := demoSpan()
	return &demo.Log{Flights: c.next, Model: c.model, Incidents: demo.Incidents(), End: end.AddDate(0, 0, 1).UnixMilli()}
}

// before is the log that the reference is made of.
func (c *conductor) before() *demo.Log {
	return &demo.Log{Flights: c.past, Model: c.model, Incidents: nil, End: 0}
}

// prepare makes what the demo runs on, and returns what removes it again.
func (c *conductor) prepare() (remove func() error, err error) {
	c.show = newStage(c.con)
	if err := c.load(); err != nil {
		return nil, err
	}
	remove = func() error { return nil }
	if c.dataDir == "" {
		c.dir, err = os.MkdirTemp("", "driftd-demo-")
		remove = func() error { return os.RemoveAll(c.dir) }
	} else {
		c.dir, err = newDirectory("--data-dir", c.dataDir)
	}
	if err != nil {
		return nil, err
	}
	if err := c.configure(); err != nil {
		return nil, errors.Join(err, remove())
	}
	return remove, nil
}

// load reads the flights and the model.
func (c *conductor) load() error {
	flights, err := demo.Flights()
	if err != nil {
		return err
	}
	if c.model, err = demo.EmbeddedModel(); err != nil {
		return err
	}
	from, end := demoSpan()
	c.past = demo.Between(flights, 0, from.UnixMilli())
	c.next = demo.Between(flights, from.UnixMilli(), end.UnixMilli())
	return nil
}

// newDirectory makes a directory, or takes one that is empty: the demo counts from the beginning. It returns the whole path,
// which the configuration that is kept there needs.
func newDirectory(flag, name string) (string, error) {
	dir, err := filepath.Abs(name)
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		return "", inputError(fmt.Errorf("making %s: %w", flag, err))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", inputError(fmt.Errorf("reading %s: %w", flag, err))
	}
	if len(entries) > 0 {
		return "", usageError("%s %s is not empty: the demo begins in a new directory", flag, name)
	}
	return dir, nil
}

// configure writes the configuration that is used into the directory, where `driftd run --config` finds it later.
func (c *conductor) configure() (err error) {
	text := demo.Config()
	if len(c.alertmanagers) > 0 {
		urls, err := json.Marshal(c.alertmanagers) // YAML too
		if err != nil {
			return err
		}
		text = fmt.Appendf(slices.Clip(text), "\nnotifiers:\n  alertmanager: {type: alertmanager, urls: %s}\n", urls)
	}
	if c.cfg, err = config.Parse("demo/driftd.yaml", text); err != nil {
		return fmt.Errorf("reading the configuration of the demo: %w", err)
	}
	if c.notifiers != "" {
		more, err := loadConfig(c.notifiers)
		if err != nil {
			return err
		}
		maps.Copy(c.cfg.Notifiers, more.Notifiers)
	}
	c.cfg.DataDir = c.dir
	if c.listen != "" {
		c.cfg.Web.Listen = c.listen
	}
	if err := c.cfg.Validate(); err != nil {
		return usageError("the flags do not fit: %w", err)
	}
	// Until the reference is made, the daemon would warn that it is missing.
	c.level.Set(slog.LevelError)
	c.file = filepath.Join(c.dir, "driftd.yaml")
	return os.WriteFile(c.file, c.cfg.Marshal(), 0o600)
}

// open prints where the page is, and what is going to happen.
func (c *conductor) open(url string) {
	kept := ""
	if c.dataDir != "" {
		kept = ", kept in " + c.dataDir
	}
	from, end := demoSpan()
	c.show.line("page      %s", url)
	c.show.line("data      %s flights of January 2001 are the reference, %s from %s to %s are replayed%s",
		grouped(uint64(len(c.past))), grouped(uint64(len(c.next))), from.Format(time.DateOnly), end.AddDate(0, 0, -1).Format(time.DateOnly), kept)
	c.show.line("          real flights and labels, a small model fitted on January; the latency is simulated (docs/demo.md)")
	for i, in := range demo.Incidents() {
		head := ""
		if i == 0 {
			head = "injected"
		}
		c.show.line("%-8s  %s", head, in)
	}
	c.tell()
	c.show.line("")
}

// The logs of the demo as files.
const (
	demoReferenceLog = "january.ndjson"
	demoReplayLog    = "february-to-june.ndjson"
)

// writeDemoLogs writes what the demo makes its reference of, and what it replays.
func writeDemoLogs(con *console, dir string) error {
	dir, err := newDirectory("--logs", dir)
	if err != nil {
		return err
	}
	var c conductor
	if err := c.load(); err != nil {
		return err
	}
	for _, log := range []struct {
		name string
		of   *demo.Log
	}{
		{demoReferenceLog, c.before()},
		{demoReplayLog, c.replayed()},
	} {
		n, err := writeLog(filepath.Join(dir, log.name), log.of)
		if err != nil {
			return err
		}
		fmt.Fprintf(con.stdout, "%s records in %s\n", grouped(n), filepath.Join(dir, log.name))
	}
	return nil
}

// writeLog writes a log to a file, and returns how many records it has.
func writeLog(file string, log *demo.Log) (n uint64, err error) {
	var text bytes.Buffer
	for r := range log.Records() {
		text.Write(r.Line)
		n++
	}
	return n, os.WriteFile(file, text.Bytes(), 0o600)
}

// reference writes the log of January and freezes it with the command that does that.
func (c *conductor) reference(ctx context.Context) error {
	log := filepath.Join(c.dir, demoReferenceLog)
	if _, err := writeLog(log, c.before()); err != nil {
		return err
	}
	return c.command(ctx, nil, referenceCreateCommand(), "--from", log, "--name", demo.ReferenceName, "--model", demo.ModelName, "--data-dir", c.dir)
}

// command runs one of the other commands, on the daemon of the demo. What it says is shown if it fails.
func (c *conductor) command(ctx context.Context, stdin io.Reader, cmd command, args ...string) error {
	var out bytes.Buffer
	if err := cmd.execute(ctx, &console{stdin: stdin, stdout: &out, stderr: &out, environ: c.con.environ}, args); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd.name, err, out.Bytes())
	}
	return nil
}

// play replays the log and watches what is found, until the last window is judged.
func (c *conductor) play(ctx context.Context) (*demo.Report, error) {
	in := newLogReader(c.replayed().Records())
	defer in.stop()
	watch, err := c.watch(ctx, in)
	if err != nil {
		return nil, err
	}
	defer watch.close()
	if err := c.command(ctx, in, replayCommand(), "--speed", strconv.FormatFloat(c.speed, 'g', -1, 64), "--data-dir", c.dir, stdinName); err != nil {
		return nil, err
	}
	return watch.finish(ctx, in.newest.Load())
}

// logReader reads a log as a stream of bytes.
type logReader struct {
	next   func() (demo.Record, bool)
	stop   func()
	rest   []byte
	read   atomic.Uint64 // records
	newest atomic.Int64  // time of a record
}

func newLogReader(records iter.Seq[demo.Record]) *logReader {
	r := &logReader{} //nolint:exhaustruct // nothing was read
	r.next, r.stop = iter.Pull(records)
	return r
}

// Read implements io.Reader.
func (r *logReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		record, ok := r.next()
		if !ok {
			return 0, io.EOF
		}
		r.rest = record.Line
		r.read.Add(1)
		r.newest.Store(record.Time)
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
