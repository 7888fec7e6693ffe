// Package app wires driftd together: it is the only package that knows all the others, and it is imported by cmd and by
// tests alone. New does everything that can fail before anything runs; Run starts the parts and stops them in the order of
// the data: first the reading, then the forwarding, then the sinks, then HTTP, then the broker.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/crash"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/lease"
	"github.com/driftd/driftd/web"
)

// stopTimeout bounds each stage of a shutdown.
const stopTimeout = 15 * time.Second

// storeConsumer is the outbox's consumer for the embedded store; where the broker is an external one, the daemon's name follows.
const storeConsumer = "driftd-store"

// Options of an App.
type Options struct {
	Config     *config.Config
	ConfigPath string // read again by Reload; empty: there is none
	// Override puts the settings of the command line over a configuration that Reload has read; nil: there are none.
	Override func(*config.Config)
	Logger   *slog.Logger
	Version  string
	Stdout   io.Writer // for the lines that tell a person where the daemon is; nil: none
}

// App is a running driftd.
type App struct {
	o       Options
	log     *slog.Logger
	cleanup []namedCleanup

	witness    *crash.Recorder
	embedded   *broker.Embedded
	nc         *nats.Conn
	js         jetstream.JetStream
	refs       *journal.References
	references *references
	reader     web.Reader
	influx     *influx.DB // nil with the embedded store
	web        *web.Server
	partitions []*partition
	leases     *lease.Keeper
	node       string                  // this daemon's name, from its data directory
	halt       context.CancelCauseFunc // of Run
	sink       *sink
	metrics    *metrics
	delays     *prometheus.HistogramVec
	last       *lastResults
	notifiers  *notifiers
	selfwatch  *selfwatch
	shutting   atomic.Bool

	mu      sync.Mutex // guards what a reload replaces
	config  *config.Config
	missing []string // references that the configuration names and nobody stored
}

type namedCleanup struct {
	name string
	do   func() error
}

// New builds everything: it starts the embedded broker or connects to the configured one, creates or verifies the streams,
// opens the store and binds the listener. What it built is taken down again when a step fails.
func New(ctx context.Context, o Options) (_ *App, err error) {
	a := &App{o: o, log: o.Logger, config: o.Config, delays: newDelays()} //nolint:exhaustruct // built below
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	// A step that asks the broker may begin anew: what it registers, it registers in the end.
	patient := func(step func(context.Context) error) func(context.Context) error {
		return func(ctx context.Context) error { return a.await(ctx, step) }
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"opening the data directory", a.openDataDir},
		{"connecting to the broker", a.openBroker},
		{"preparing the streams", patient(a.openStreams)},
		{"opening the store", a.openStore},
		{"preparing the partitions", patient(a.openPartitions)},
		{"preparing the leases", a.openLeases},
		{"preparing the notifiers", patient(a.openNotifiers)},
		{"starting HTTP", a.openWeb},
	} {
		if err := step.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return a, nil
}

// onClose registers how a step is undone; the last step is undone first.
func (a *App) onClose(name string, do func() error) {
	a.cleanup = append(a.cleanup, namedCleanup{name, do})
}

func (a *App) close() error {
	var errs []error
	for _, v := range slices.Backward(a.cleanup) {
		if err := v.do(); err != nil {
			errs = append(errs, fmt.Errorf("closing %s: %w", v.name, err))
		}
	}
	a.cleanup = nil
	return errors.Join(errs...)
}

// openDataDir takes the data directory for this process alone: a second daemon would overwrite the record of the first one
// and take turns with it at its partition.
func (a *App) openDataDir(context.Context) error {
	if err := os.MkdirAll(a.config.DataDir, 0o750); err != nil {
		return err
	}
	release, err := broker.LockDataDir(a.config.DataDir)
	if err != nil {
		return err
	}
	a.onClose("the data directory", release)
	if a.witness, err = crash.Open(a.config.DataDir); err != nil {
		return err
	}
	a.onClose("the report of a crash", a.witness.Close)
	if report := a.witness.Before(); report != "" {
		first, _, _ := strings.Cut(report, "\n")
		a.log.Error("the process before crashed", slog.String("report", first), slog.String("file", filepath.Join(a.config.DataDir, crash.LastFile)))
	}
	a.node, err = broker.NodeID(a.config.DataDir)
	return err
}

func (a *App) openBroker(ctx context.Context) error {
	c := a.config.NATS
	opts := broker.ConnectOptions{
		URL: c.URL, CredentialsFile: c.CredentialsFile, NKeyFile: c.NKeyFile, User: c.User, PasswordFile: c.PasswordFile,
		TokenFile: c.TokenFile, TLS: broker.TLS{CAFile: c.TLS.CAFile, CertFile: c.TLS.CertFile, KeyFile: c.TLS.KeyFile},
		Name: "driftd", Logger: a.log,
	}
	if c.URL == "" {
		host, port, err := net.SplitHostPort(c.Embedded.Listen)
		if err != nil {
			return fmt.Errorf("reading nats.embedded.listen: %w", err)
		}
		number, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("reading the port of nats.embedded.listen: %w", err)
		}
		if number == 0 {
			number = -1 // the broker's word for a free port; its 0 is 4222
		}
		a.embedded, err = broker.StartEmbedded(broker.EmbeddedOptions{ //nolint:contextcheck // choosing a port takes no time
			StoreDir: filepath.Join(a.config.DataDir, "jetstream"), Host: host, Port: number, MaxPayload: int(c.Embedded.MaxPayload), Logger: a.log,
		})
		if err != nil {
			return err
		}
		a.onClose("the embedded broker", func() error { a.embedded.Shutdown(); return nil })
		opts.URL, opts.Token = a.embedded.URL(), a.embedded.Token()
	}
	nc, err := broker.Connect(ctx, opts)
	if err != nil {
		return err
	}
	a.nc = nc
	a.onClose("the connection to the broker", func() error { nc.Close(); return nil })
	if err := a.await(ctx, func(ctx context.Context) error { return broker.CheckServer(ctx, nc) }); err != nil {
		return err
	}
	a.js, err = jetstream.New(nc)
	return err
}

// A broker that is connected may have no JetStream to speak of yet: a cluster that starts elects its leaders first. Longer than
// answerWithin nobody waits: a user without the permission to ask gets no answer either.
const (
	answerWithin = time.Minute
	askAgain     = 500 * time.Millisecond
)

// await asks the broker again while its answer may be that of one that is away, and says so once.
func (a *App) await(ctx context.Context, ask func(context.Context) error) error {
	end := time.Now().Add(answerWithin)
	for waits := false; ; waits = true {
		err := ask(ctx)
		switch {
		case err == nil && waits:
			a.log.Info("the broker answers")
			return nil
		case err == nil || !broker.Away(err) || ctx.Err() != nil || time.Now().After(end):
			return err
		case !waits:
			a.log.Warn("the broker does not answer yet: waiting for it", slog.Duration("at_most", answerWithin), slog.Any("err", err))
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(askAgain):
		}
	}
}

func (a *App) openStreams(ctx context.Context) error {
	c := a.config.NATS
	layout := journal.Layout{
		Partitions: Partitions(&c), Replicas: c.Replicas,
		InputMaxBytes: int64(c.Input.MaxBytes), InputMaxAge: c.Input.MaxAge.Std(),
		StateMaxBytes: int64(c.State.MaxBytes), OutboxMaxBytes: int64(c.Outbox.MaxBytes), OutboxMaxAge: c.Outbox.MaxAge.Std(),
		Warn: func(stream, warning string) {
			a.log.Warn("a stream's setting weakens a guarantee", slog.String("stream", stream), slog.String("warning", warning))
		},
	}
	if a.embedded != nil {
		layout = layout.Fit(a.embedded.StoreLimit())
	}
	if err := journal.EnsureStreams(ctx, a.js, layout); err != nil {
		return err
	}
	refs, err := journal.OpenReferences(ctx, a.js)
	if err != nil {
		return err
	}
	a.refs, a.references = refs, newReferences(refs)
	return nil
}

func (a *App) openWeb(ctx context.Context) error {
	registry := prometheus.NewRegistry()
	a.metrics, a.selfwatch = newMetrics(registry, a), newSelfwatch(a)
	registry.MustRegister(a.selfwatch, a.notifiers, a.last)
	c, nats := a.config.Web, a.config.NATS // no reload changes them
	server, err := web.New(web.Options{
		Reader: a.reader, Publish: a.publish, Takes: func(model string) bool { _, ok := nats.PartitionOf(model); return ok },
		Counted: a.counted, Health: a.health, Self: a.selfwatch.firing, Silences: a.notifiers.silences, Reload: a.Reload, Registry: registry, Logger: a.log,
		WebConfigFile: c.ConfigFile, Listen: c.Listen, AllowedHosts: c.AllowedHosts, Version: a.o.Version, Annotations: a.annotations, MaxBody: 0,
	})
	if err != nil {
		return err
	}
	if err := server.Listen(); err != nil { //nolint:contextcheck // binding a listener takes no time
		return err
	}
	a.web = server
	r := broker.Runtime{URL: a.config.NATS.URL, Token: "", WebURL: a.URL(), PID: os.Getpid()}
	if a.embedded != nil {
		r.URL, r.Token = a.embedded.URL(), a.embedded.Token()
	}
	if err := broker.WriteRuntime(a.config.DataDir, r); err != nil {
		return err
	}
	a.onClose("the record of the running daemon", func() error { return broker.RemoveRuntime(a.config.DataDir) })
	return nil
}

// URL returns the address of the page.
func (a *App) URL() string { return a.web.URL() }

// BrokerURL returns the address of the broker in use, without credentials.
func (a *App) BrokerURL() string {
	if a.embedded != nil {
		return a.embedded.URL()
	}
	return a.config.NATS.URL
}

// Run runs until ctx ends, then stops in the order of the data: what was read is committed, what was committed is forwarded,
// what was forwarded is stored. It returns nil after an orderly stop.
func (a *App) Run(ctx context.Context) error {
	defer func() {
		if err := a.close(); err != nil {
			a.log.Error("closing", slog.Any("err", err))
		}
	}()
	a.announce()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.halt = cancel
	work := start(run, cancel, "the partitions", a.leases.Run)
	watch := start(run, cancel, "the watch over references", a.watchReferences)
	// The later stages outlive the earlier ones: each is stopped when the one before is done.
	late := context.WithoutCancel(ctx)
	sinks := start(late, cancel, "the sink of the store", a.sink.Run)
	self := start(late, cancel, "the watch over driftd itself", a.selfwatch.Run)
	samples := start(late, cancel, "the samples of health", a.sample)
	recalled := start(run, cancel, "the last results", a.recall)
	tellers := a.notifiers.run(late, cancel)
	server := start(late, cancel, "HTTP", a.web.Run)
	<-run.Done()
	a.shutting.Store(true)
	a.log.Info("stopping")
	err := work.wait()
	err = errors.Join(err, watch.wait(), recalled.wait())
	drain, stop := context.WithTimeout(late, stopTimeout)
	defer stop()
	if a.nc.IsConnected() {
		if ferr := a.drainForwarders(drain); ferr != nil {
			a.log.Warn("results wait in the state stream for the next start", slog.Any("err", ferr))
		} else if serr := a.sink.drain(drain); serr != nil {
			a.log.Warn("results wait in the outbox for the next start", slog.Any("err", serr))
		}
	}
	a.web.Drain()
	for _, t := range tellers {
		err = errors.Join(err, t.stop())
	}
	err = errors.Join(err, self.stop(), sinks.stop(), samples.stop(), server.stop())
	if cause := context.Cause(run); ctx.Err() == nil && cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

func (a *App) announce() {
	a.log.Info("driftd is running", slog.String("version", a.o.Version), slog.String("page", a.URL()), slog.String("broker", a.BrokerURL()),
		slog.String("data_dir", a.config.DataDir))
	if a.o.Stdout != nil {
		fmt.Fprintf(a.o.Stdout, "driftd %s\n  page    %s\n  broker  %s\n  data    %s\n", a.o.Version, a.URL(), a.BrokerURL(), a.config.DataDir)
	}
}

// Reload reads the configuration file again. All that can fail is done first; then the counting-relevant part is published
// into the input stream, where it holds from the next pane. What a running process cannot change is named and left.
func (a *App) Reload(ctx context.Context) (err error) {
	defer func() { a.metrics.reloaded(err) }()
	if a.o.ConfigPath == "" {
		return errors.New("there is no configuration file to reload: start driftd with --config")
	}
	next, err := config.Load(a.o.ConfigPath)
	if err != nil {
		return err
	}
	if a.o.Override != nil {
		a.o.Override(next)
	}
	want, missing, err := counting(ctx, next, a.refs)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, section := range []struct {
		name     string
		old, new any
	}{
		{"nats", a.config.NATS, next.NATS},
		{"data_dir", a.config.DataDir, next.DataDir},
		{"web", a.config.Web, next.Web},
		{"store", a.config.Store, next.Store},
		{"commit", a.config.Commit, next.Commit},
		{"limits.idle_timeout", a.config.Limits.IdleTimeout, next.Limits.IdleTimeout},
		{"log", a.config.Log, next.Log},
	} {
		if !reflect.DeepEqual(section.old, section.new) {
			a.log.Warn("a reload does not change this: restart driftd", slog.String("section", section.name))
		}
	}
	next.NATS, next.DataDir, next.Web, next.Store = a.config.NATS, a.config.DataDir, a.config.Web, a.config.Store
	next.Commit, next.Limits.IdleTimeout, next.Log = a.config.Commit, a.config.Limits.IdleTimeout, a.config.Log
	a.config, a.missing = next, missing
	warnMissing(a.log, missing)
	a.setCounting(want, next.NATS.Layout())
	a.log.Info("configuration reloaded", slog.String("hash", want.Hash()[:12]))
	return nil
}

// watchReferences looks for references that the configuration names and that were not stored at start: when one appears, the
// configuration that uses it is published.
func (a *App) watchReferences(ctx context.Context) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		a.mu.Lock()
		c, before := a.config, len(a.missing)
		a.mu.Unlock()
		if before == 0 {
			continue
		}
		want, missing, err := counting(ctx, c, a.refs)
		if err != nil || len(missing) == before {
			continue
		}
		a.mu.Lock()
		a.missing = missing
		a.mu.Unlock()
		a.setCounting(want, c.NATS.Layout())
		a.log.Info("a reference was stored: its models are judged from their next pane on")
	}
}

// publish stores one record of the HTTP API in the input stream.
func (a *App) publish(ctx context.Context, subject string, data []byte) error {
	_, err := a.js.Publish(ctx, subject, data)
	return err
}

// part is one running goroutine.
type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// start runs f until its context ends; a failure stops the whole.
func start(ctx context.Context, fail context.CancelCauseFunc, name string, f func(context.Context) error) *part {
	run, cancel := context.WithCancel(ctx)
	p := &part{cancel: cancel, done: make(chan struct{}), err: nil}
	go func() {
		defer close(p.done)
		if err := f(run); err != nil && run.Err() == nil {
			p.err = fmt.Errorf("running %s: %w", name, err)
			fail(p.err)
		}
	}()
	return p
}

// wait returns when the part has ended.
func (p *part) wait() error {
	<-p.done
	p.cancel()
	return p.err
}

// stop ends the part.
func (p *part) stop() error {
	p.cancel()
	return p.wait()
}
