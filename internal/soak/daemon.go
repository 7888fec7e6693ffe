package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
)

const (
	readyWithin = 30 * time.Second
	stopWithin  = 60 * time.Second
	logTail     = 4 << 10 // bytes of the log that are shown after a failure
)

// daemon is a driftd with its own data directory.
type daemon struct {
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
	keep   bool
	where  broker.Runtime
	nc     *nats.Conn
	js     jetstream.JetStream
	http   *http.Client
}

// startDaemon starts driftd and gives it a reference for each model.
func startDaemon(ctx context.Context, o options) (*daemon, error) {
	dir, err := os.MkdirTemp("", "driftd-soak-")
	if err != nil {
		return nil, err
	}
	d := &daemon{
		dir: dir, cmd: nil, exited: make(chan struct{}), keep: o.keep, where: broker.Runtime{}, nc: nil, js: nil,
		http: &http.Client{Timeout: 10 * time.Second},
	}
	if err := d.start(ctx, o); err != nil {
		return nil, errors.Join(err, d.stop(io.Discard, true))
	}
	return d, nil
}

// configuration is JSON, which is YAML.
func configuration(o options, dir string) ([]byte, error) {
	entries := map[string]any{}
	for _, m := range models() {
		entries[m] = map[string]any{"reference": m + "-reference"}
	}
	return json.MarshalIndent(map[string]any{
		"data_dir": filepath.Join(dir, "data"),
		"web":      map[string]any{"listen": "127.0.0.1:0"},
		"nats": map[string]any{
			"embedded": map[string]any{"listen": "127.0.0.1:0"},
			"input":    map[string]any{"max_bytes": fmt.Sprintf("%dMiB", o.inputBytes()>>20)},
			"state":    map[string]any{"max_bytes": "1GiB"},
			"outbox":   map[string]any{"max_age": o.retention().String(), "max_bytes": "1GiB"},
		},
		"store":  map[string]any{"retention": o.retention().String()},
		"limits": map[string]any{"dedup_ids": o.rememberedIDs()},
		"defaults": map[string]any{
			"windows": []any{map[string]any{"size": o.window.String()}}, "pane": o.window.String(),
			"lateness": (2 * o.window).String(), "watermark_delay": "5s",
		},
		"models": entries,
		"log":    map[string]any{"level": "warn"},
	}, "", "  ")
}

func (d *daemon) start(ctx context.Context, o options) error {
	config, err := configuration(o, d.dir)
	if err != nil {
		return err
	}
	path := filepath.Join(d.dir, "driftd.yaml")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(d.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                      // the daemon has its own handle
	d.cmd = exec.Command(o.binary, "run", "--config", path) //nolint:gosec,noctx // the binary under test; it is stopped by a signal
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", o.binary, err)
	}
	go func() {
		_ = d.cmd.Wait() // its state says how it ended
		close(d.exited)
	}()
	if err := d.ready(ctx); err != nil {
		return err
	}
	d.nc, err = broker.Connect(ctx, broker.ConnectOptions{URL: d.where.URL, Token: d.where.Token, Name: "soak"}) //nolint:exhaustruct // no TLS
	if err != nil {
		return err
	}
	if d.js, err = jetstream.New(d.nc); err != nil {
		return err
	}
	return d.references(ctx, o, path)
}

// ready waits for the daemon to say where it is and that it is ready.
func (d *daemon) ready(ctx context.Context) error {
	end := time.Now().Add(readyWithin)
	for time.Now().Before(end) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.exited:
			return fmt.Errorf("starting driftd: it ended: %v", d.cmd.ProcessState)
		case <-time.After(50 * time.Millisecond):
		}
		where, err := broker.ReadRuntime(filepath.Join(d.dir, "data"))
		if err != nil {
			continue
		}
		d.where = where
		if _, err := d.get(ctx, "/-/ready"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("starting driftd: it was not ready within %v", readyWithin)
}

// references creates a reference for each model, which the configuration names already.
func (d *daemon) references(ctx context.Context, o options, config string) error {
	g := newGenerator(rand.New(rand.NewPCG(o.seed, 1))) //nolint:gosec // a test's values
	for _, m := range models() {
		var rows strings.Builder
		for i := range 10_000 {
			rows.Write(g.event(m, fmt.Sprintf("%s-r%d", m, i), time.UnixMilli(int64(i))))
			rows.WriteByte('\n')
		}
		path := filepath.Join(d.dir, m+".ndjson")
		if err := os.WriteFile(path, []byte(rows.String()), 0o600); err != nil {
			return err
		}
		args := []string{"reference", "create", "--config", config, "--from", path, "--name", m + "-reference", "--model", m}
		out, err := exec.CommandContext(ctx, o.binary, args...).CombinedOutput() //nolint:gosec // the binary under test
		if err != nil {
			return fmt.Errorf("creating the reference of %s: %w: %s", m, err, out)
		}
	}
	return nil
}

// get reads a path of the daemon's HTTP API.
func (d *daemon) get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.where.WebURL, "/")+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := d.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it was read
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("reading %s: %s", path, res.Status)
	}
	return body, err
}

// stop ends the daemon and removes what it left; after a failure the end of its log is shown first.
func (d *daemon) stop(out io.Writer, failed bool) error {
	if d.nc != nil {
		d.nc.Close()
	}
	var err error
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-d.exited:
		case <-time.After(stopWithin):
			err = fmt.Errorf("stopping driftd: it did not end within %v", stopWithin)
			_ = d.cmd.Process.Kill()
			<-d.exited
		}
		if code := d.cmd.ProcessState.ExitCode(); err == nil && code != 0 {
			err = fmt.Errorf("stopping driftd: exit code %d", code)
		}
	}
	log, _ := os.ReadFile(filepath.Join(d.dir, "log")) // it may not have got so far
	if len(log) > logTail {
		log = log[len(log)-logTail:]
	}
	if (failed || err != nil) && len(log) > 0 {
		fmt.Fprintf(out, "the end of driftd's log:\n%s\n", log)
	}
	if d.keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}
