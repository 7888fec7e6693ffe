package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	driftbroker "github.com/driftd/driftd/broker"
)

const (
	readyWithin = 30 * time.Second
	runWithin   = 90 * time.Second
	clockTick   = 100 // a second, of /proc/PID/stat
	logTail     = 4 << 10
)

// checkpoints is the subject on which every commit of the first partition is published, its position in it.
const checkpoints = "driftd.state.0.meta"

// daemon is driftd in one process after the other.
type daemon struct {
	o          *options
	broker     *broker
	dir        string
	partitions []any          // of the configuration
	env        []string       // of the process, beside this one's
	commit     map[string]any // of the configuration
	enough     time.Duration  // of measuring; 0: to the end of the stream
	cmd        *exec.Cmd
	log        string
}

// newDaemon returns one that does not run, whose only partition is the input stream.
func newDaemon(o *options, b *broker, dir string) *daemon {
	return &daemon{o: o, broker: b, dir: dir, partitions: []any{map[string]any{"stream": inputStream}}, env: nil, commit: map[string]any{"interval": "1s"}, enough: 0, cmd: nil, log: ""}
}

// configure writes JSON, which is YAML. Everything is on and has its default: deduplication, a commit every second, all detectors.
func (d *daemon) configure(data string) (string, error) {
	models := map[string]any{}
	for i := range d.o.models {
		models[modelName(i)] = map[string]any{"reference": referenceName}
	}
	text, err := json.Marshal(map[string]any{
		"data_dir": data,
		"web":      map[string]any{"listen": "127.0.0.1:0"},
		"nats": map[string]any{
			"url": d.broker.url, "partitions": d.partitions, "lease_ttl": "0s",
		},
		"commit": d.commit,
		"models": models,
		"log":    map[string]any{"level": "warn"},
	})
	if err != nil {
		return "", err
	}
	path := data + ".yaml"
	return path, os.WriteFile(path, text, 0o600)
}

// reference stores the reference of all models. The store of references is there once driftd ran.
func (d *daemon) reference(ctx context.Context) error {
	data := filepath.Join(d.dir, "reference")
	if _, err := d.begin(ctx, data); err != nil {
		return err
	}
	d.kill()
	rows, config := filepath.Join(d.dir, "reference.ndjson"), data+".yaml"
	g := newGenerator(d.o)
	g.models = 1 // all have the same values
	if err := os.WriteFile(rows, g.ndjson(referenceRows), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, d.o.driftd, "reference", "create", "--config", config, "--from", rows, "--name", referenceName,
		"--resolution", strconv.Itoa(resolution))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("creating the reference: %w: %s", err, out)
	}
	return nil
}

// commit is one checkpoint as it was seen.
type commit struct {
	at  time.Time
	seq int
	cpu float64 // seconds, of the daemon until then
}

// watch delivers the commits of the first partition until it is told to stop.
func (b *broker) watch() (commits <-chan *nats.Msg, stop func() error, err error) {
	ch := make(chan *nats.Msg, 1024) // of a daemon that commits every second
	sub, err := b.nc.ChanSubscribe(checkpoints, ch)
	if err != nil {
		return nil, nil, err
	}
	if err := b.nc.Flush(); err != nil {
		return nil, nil, errors.Join(err, sub.Unsubscribe())
	}
	return ch, sub.Unsubscribe, nil
}

// positionOf returns the sequence up to which a commit has counted.
func positionOf(msg *nats.Msg) (int, error) {
	var head struct {
		Position struct {
			Seq int `json:"seq"`
		} `json:"position"`
	}
	err := decode(msg.Data, &head)
	return head.Position.Seq, err
}

// begin starts the daemon and waits until it is ready.
func (d *daemon) begin(ctx context.Context, data string) (time.Duration, error) {
	started := time.Now()
	if err := d.start(data); err != nil {
		return 0, err
	}
	took := awaitReady(ctx, data, started)
	if took == 0 {
		d.kill()
		return 0, fmt.Errorf("driftd was not ready within %v\n%s", readyWithin, d.tail())
	}
	return took, nil
}

// await waits until a commit has counted so many messages.
func (d *daemon) await(ctx context.Context, commits <-chan *nats.Msg, messages int, within time.Duration) error {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	seq := 0
	for seq < messages {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return fmt.Errorf("driftd counted %d of %d messages within %v\n%s", seq, messages, within, d.tail())
		case msg := <-commits:
			var err error
			if seq, err = positionOf(msg); err != nil {
				return err
			}
		}
	}
	return nil
}

// stop asks the daemon to end, and waits until it did.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := d.cmd.Wait(); err != nil {
		return fmt.Errorf("stopping driftd: %w\n%s", err, d.tail())
	}
	return nil
}

// run starts a daemon that has counted nothing and measures it from commit to commit, while there is more to read.
func (d *daemon) run(ctx context.Context, number int, m *measured) (s sample, err error) {
	if err := d.broker.clean(ctx); err != nil {
		return s, err
	}
	commits, unwatch, err := d.broker.watch()
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, unwatch()) }()
	data := filepath.Join(d.dir, "data"+strconv.Itoa(number))
	started := time.Now()
	if err := d.start(data); err != nil {
		return s, err
	}
	defer d.kill()
	ready := make(chan time.Duration, 1) // one daemon, one answer
	go func() {
		ready <- awaitReady(ctx, data, started)
	}()
	seen, err := d.follow(ctx, commits, m.Messages)
	if err != nil {
		return s, fmt.Errorf("%w\n%s", err, d.tail())
	}
	mem, err := memoryOf(d.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	first, last := seen[0], seen[len(seen)-1]
	events := (last.seq - first.seq) * m.EventsPerMessage
	s = sample{
		Rate: float64(events) / last.at.Sub(first.at).Seconds(), CPU: (last.cpu - first.cpu) * 1e6 / float64(events),
		Seconds: last.at.Sub(first.at).Seconds(), Events: events, Ready: (<-ready).Seconds(), Peak: mem.Peak,
	}
	return s, nil
}

// follow returns the commits up to the last one behind which there was more.
func (d *daemon) follow(ctx context.Context, commits <-chan *nats.Msg, messages int) (seen []commit, err error) {
	timeout := time.NewTimer(runWithin)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timeout.C:
			return nil, fmt.Errorf("driftd did not read %d messages within %v: %v", messages, runWithin, seen)
		case msg := <-commits:
			c := commit{at: time.Now(), seq: 0, cpu: 0}
			if c.seq, err = positionOf(msg); err != nil {
				return nil, err
			}
			if c.seq == 0 {
				continue
			}
			if c.cpu, err = cpuOf(d.cmd.Process.Pid); err != nil {
				return nil, err
			}
			if c.seq >= messages {
				if len(seen) < 3 {
					return nil, fmt.Errorf("only %d commits before the end: %w", len(seen), errTooShort)
				}
				return seen, nil
			}
			seen = append(seen, c)
			if d.enough > 0 && len(seen) >= 3 && c.at.Sub(seen[0].at) >= d.enough {
				return seen, nil
			}
		}
	}
}

func (d *daemon) start(data string) error {
	config, err := d.configure(data)
	if err != nil {
		return err
	}
	d.log = data + ".log"
	log, err := os.Create(d.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	d.cmd = onCore(clientCore, d.o.driftd, "run", "--config", config)
	d.cmd.Env = append(d.cmd.Env, d.env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", d.o.driftd, err)
	}
	return nil
}

func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // it is not needed any more
	_ = d.cmd.Wait()         // it was killed
}

// awaitReady returns how long the daemon took to say that it is ready; 0: it never did.
func awaitReady(ctx context.Context, data string, started time.Time) time.Duration {
	for time.Since(started) < readyWithin && pause(ctx, 10*time.Millisecond) == nil {
		where, err := driftbroker.ReadRuntime(data)
		if err != nil {
			continue
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(where.WebURL, "/")+"/-/ready", nil)
		if err != nil {
			return 0
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		_ = res.Body.Close() // the status is enough
		if res.StatusCode == http.StatusOK {
			return time.Since(started)
		}
	}
	return 0
}

// cpuOf returns the CPU time of a process in seconds.
func cpuOf(pid int) (float64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(data), ") ") // behind the name, which may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the CPU time of process %d: %q", pid, data)
	}
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	return (user + system) / clockTick, errors.Join(err1, err2)
}

func (d *daemon) tail() string {
	data, _ := os.ReadFile(d.log) // it may not have got so far
	return string(data[max(0, len(data)-logTail):])
}
