package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/driftd/driftd/broker"
)

// idleTimeout is the silence after which driftd closes the last windows.
const idleTimeout = 5 * time.Second

const (
	logTail   = 4 << 10 // bytes of a log that are shown after a failure
	exitLines = 5       // lines of a log that are kept of a daemon that ended by itself
)

// daemon is a driftd with its own data directory, in one process after the other.
type daemon struct {
	binary string
	dir    string
	config string
	log    string
	cmd    *exec.Cmd
	exited chan struct{}
	kills  atomic.Int64
	exits  []exit // without being killed, in the order in which they were seen
}

// exit is an end that nobody asked for.
type exit struct {
	Daemon string `json:"daemon"`
	Code   int    `json:"code"`
	Last   string `json:"last"` // lines of its log, the newest last
}

func newDaemon(o options, dir string, urls []string) (*daemon, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	d := &daemon{binary: o.binary, dir: dir, config: filepath.Join(dir, "driftd.yaml"), log: filepath.Join(dir, "log")} //nolint:exhaustruct // it does not run
	return d, writeConfig(d.config, filepath.Join(dir, "data"), urls)
}

// writeConfig writes JSON, which is YAML.
func writeConfig(path, data string, urls []string) error {
	entries := map[string]any{}
	for _, m := range models() {
		entries[m] = map[string]any{"reference": m + "-reference"}
	}
	text, err := json.MarshalIndent(map[string]any{
		"data_dir": data,
		"web":      map[string]any{"listen": "127.0.0.1:0"},
		"nats": map[string]any{
			"url": strings.Join(urls, ","), "replicas": brokers,
			"lease_ttl": "0s", // they compete
			"state":     map[string]any{"max_bytes": "1GiB"}, "outbox": map[string]any{"max_bytes": "2GiB"},
		},
		"commit": map[string]any{"interval": "250ms"},
		"limits": map[string]any{"idle_timeout": idleTimeout.String(), "dedup_ids": 100_000},
		"defaults": map[string]any{
			"windows": []any{map[string]any{"size": "10s"}, map[string]any{"size": "60s", "every": "20s"}}, "pane": "5s",
			"lateness": lateness.String(), "watermark_delay": "1s",
		},
		"models": entries,
		"log":    map[string]any{"level": "info", "format": "json"},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}

func (d *daemon) start() error {
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()                         // the process has its own handle
	cmd := exec.Command(d.binary, "run", "--config", d.config) //nolint:gosec,noctx // the binary under test; it is killed
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", d.binary, err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state is looked at by whoever waits for the channel
		close(exited)
	}()
	d.cmd, d.exited = cmd, exited
	return nil
}

func (d *daemon) ended() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// ready waits until the daemon says that it is.
func (d *daemon) ready(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
		if d.ended() {
			return fmt.Errorf("driftd ended:\n%s", d.tail())
		}
		where, err := broker.ReadRuntime(filepath.Join(d.dir, "data"))
		if err != nil {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(where.WebURL, "/")+"/-/ready", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		_ = res.Body.Close() // the status is enough
		if res.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("driftd is not ready within a minute:\n%s", d.tail())
}

// torment kills the process after a while and starts it again, until ctx ends; then it runs.
func (d *daemon) torment(ctx context.Context, rng *rand.Rand, shortest, longest, down time.Duration) {
	for ctx.Err() == nil {
		life := time.NewTimer(within(rng, shortest, longest))
		select {
		case <-ctx.Done():
		case <-d.exited:
			d.unasked()
		case <-life.C:
			d.kill()
			d.kills.Add(1)
		}
		life.Stop()
		_ = pause(ctx, within(rng, 0, down)) // it is started whatever comes
		if d.cmd == nil || d.ended() {
			if err := d.start(); err != nil {
				return // the settling says that it does not run
			}
		}
	}
}

// kill ends the process as kill -9 does.
func (d *daemon) kill() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.exited
	d.cmd = nil
}

// stop ends the process in order.
func (d *daemon) stop() error {
	if d.cmd == nil {
		return errors.New("driftd does not run")
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping driftd: %w\n%s", err, d.tail())
	}
	select {
	case <-d.exited:
	case <-time.After(time.Minute):
		return fmt.Errorf("driftd did not stop within a minute:\n%s", d.tail())
	}
	code := d.cmd.ProcessState.ExitCode()
	d.cmd = nil
	if code != 0 {
		return fmt.Errorf("driftd ended with exit code %d:\n%s", code, d.tail())
	}
	return nil
}

// unasked notes that the process ended by itself, and what it said last.
func (d *daemon) unasked() {
	lines := strings.Split(strings.TrimSpace(d.tail()), "\n")
	d.exits = append(d.exits, exit{filepath.Base(d.dir), d.cmd.ProcessState.ExitCode(), strings.Join(lines[max(0, len(lines)-exitLines):], "\n")})
}

func (d *daemon) tail() string {
	data, _ := os.ReadFile(d.log) // it may not have got so far
	return string(data[max(0, len(data)-logTail):])
}

// count counts lines of the log that hold all of some texts.
func (d *daemon) count(texts ...string) (n int) {
	data, _ := os.ReadFile(d.log) // it may not have got so far
	for line := range bytes.Lines(data) {
		all := true
		for _, t := range texts {
			all = all && bytes.Contains(line, []byte(t))
		}
		if all {
			n++
		}
	}
	return n
}

// references creates a reference for each model, which the configuration names already.
func (d *daemon) references(ctx context.Context, o options, urls []string) error {
	config := filepath.Join(d.dir, "direct.yaml") // the command line needs no proxy
	if err := writeConfig(config, filepath.Join(d.dir, "data"), urls); err != nil {
		return err
	}
	g := newGenerator(o.random(2))
	for _, m := range models() {
		var rows bytes.Buffer
		for i := range 5000 {
			rows.Write(g.event(m, fmt.Sprintf("%s-r%d", m, i), time.UnixMilli(int64(i))))
			rows.WriteByte('\n')
		}
		path := filepath.Join(d.dir, m+".ndjson")
		if err := os.WriteFile(path, rows.Bytes(), 0o600); err != nil {
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
