package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/lease"
	"github.com/driftd/driftd/pending"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Partitions returns the streams that a configuration makes of its partitions, by number.
func Partitions(n *config.NATS) []journal.Partition {
	layout := n.Layout()
	out := make([]journal.Partition, len(layout))
	for i, p := range layout {
		out[i] = journal.Partition{Number: i, Stream: p.Stream, Subjects: nil}
		switch {
		case p.Stream == journal.InputStream(i):
			out[i].Stream = "" // driftd's own, with the default subjects
		case p.Stream == "":
			for _, m := range p.Models {
				out[i].Subjects = append(out[i].Subjects, "ml.events."+m, "ml.labels."+m)
			}
		}
	}
	return out
}

// partition is one partition as this process sees it, whether it works on it or not.
type partition struct {
	number    int
	models    []string // that it takes; empty: all that no other partition names
	worker    *pipeline.Worker
	forwarder *journal.Forwarder

	mu    sync.Mutex
	snap  pipeline.Snapshot
	seen  bool // the worker has said something since it began to work
	owned bool
	begun bool // it was owned at some time
}

// openPartitions prepares every partition; none of them works yet.
func (a *App) openPartitions(ctx context.Context) error {
	c := a.config
	a.last = newLastResults(c.Web.Metrics, a.log)
	want, missing, err := counting(ctx, c, a.refs)
	if err != nil {
		return err
	}
	layout := c.NATS.Layout()
	var all []*partition
	for i, spec := range Partitions(&c.NATS) {
		p := &partition{number: i, models: layout[i].Models} //nolint:exhaustruct // it does not work yet
		j, err := journal.Open(ctx, a.js, a.nc, i, journal.Options{Logger: a.log})
		if err != nil {
			return err
		}
		stream := spec.InputName()
		in := newInput(a.js, stream, i, a.log)
		p.worker = pipeline.New(pipeline.Options{
			Partition: i, Stream: stream, Journal: ledger{j, func(docs []result.Doc) { a.last.committed(i, docs) }}, Input: in, Live: in,
			References: func(fp string) (*reference.Reference, error) {
				load, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
				defer cancel()
				return a.references.load(load, fp)
			},
			Counting:    p.counting(want, layout),
			Interval:    c.Commit.Interval.Std(),
			Budget:      fold.Budget{Messages: c.Commit.MaxMessages, Bytes: int(c.Commit.MaxBytes)},
			IdleTimeout: c.Limits.IdleTimeout.Std(), HaltOnLoss: c.NATS.Input.OnLoss == "halt",
			Witness: a.witness, OpenPending: a.openPending, Logger: a.log, Observe: p.observe,
			Delay: delayObserver(a.delays, i),
		})
		p.forwarder = journal.NewForwarder(a.js, i, journal.ForwarderOptions{Logger: a.log})
		all = append(all, p)
	}
	a.partitions, a.missing = all, missing
	warnMissing(a.log, missing)
	return nil
}

// openPending opens the cache of what waits for its labels.
func (a *App) openPending(partition int) (pipeline.Pending, []byte, func() error, error) {
	s, err := pending.Open(pending.Dir(a.config.DataDir, partition), pending.Options{Logger: a.log, FS: nil, Free: 0})
	if err != nil {
		return nil, nil, nil, err
	}
	tag, err := s.Tag()
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.Close())
	}
	return s, tag, s.Close, nil
}

// setCounting gives every partition its part of a configuration.
func (a *App) setCounting(want fold.Counting, layout []config.Partition) {
	for _, p := range a.partitions {
		p.worker.SetCounting(p.counting(want, layout))
	}
}

// counting returns the part of a configuration that the partition needs: what is said about a model travels in its own stream only.
func (p *partition) counting(all fold.Counting, layout []config.Partition) fold.Counting {
	all.Models = maps.Clone(all.Models)
	maps.DeleteFunc(all.Models, func(model string, _ fold.ModelConfig) bool {
		if len(p.models) > 0 {
			return !slices.Contains(p.models, model)
		}
		return slices.ContainsFunc(layout, func(other config.Partition) bool { return slices.Contains(other.Models, model) })
	})
	return all
}

// work folds and forwards the partition until ctx ends, and returns when everything that was folded is committed. It returns an
// error only when the partition is halted.
func (p *partition) work(ctx context.Context, last *lastResults, log *slog.Logger) error {
	p.own(true)
	last.begin(p.number)
	defer func() { last.end(p.number); p.own(false) }()
	late, stop := context.WithCancel(context.WithoutCancel(ctx))
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		if err := p.forwarder.Run(late); err != nil {
			log.Error("forwarding results", slog.Int("partition", p.number), slog.Any("err", err))
		}
	})
	err := p.worker.Run(ctx)
	stop()
	forwarding.Wait()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("running partition %d: %w", p.number, err)
	}
	return nil
}

func (p *partition) own(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.owned, p.begun = yes, true
	p.seen = p.seen && !yes
}

func (p *partition) observe(snap pipeline.Snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snap, p.seen = snap, true
}

// look is what a partition's worker said last.
type look struct {
	pipeline.Snapshot

	Number             int
	Seen, Owned, Begun bool
	Lost               uint64 // leases
}

func (p *partition) look() look {
	p.mu.Lock()
	defer p.mu.Unlock()
	return look{Snapshot: p.snap, Number: p.number, Seen: p.seen, Owned: p.owned, Begun: p.begun, Lost: 0}
}

// looks returns what every partition said last.
func (a *App) looks() []look {
	out := make([]look, 0, len(a.partitions))
	lost := a.leases.Status().Lost
	for i, p := range a.partitions {
		l := p.look()
		l.Lost = lost[i]
		out = append(out, l)
	}
	return out
}

// openLeases prepares the sharing of partitions with other daemons.
func (a *App) openLeases(context.Context) (err error) {
	c := &a.config.NATS
	a.leases, err = lease.New(a.js, lease.Options{
		TTL: c.LeaseTTL.Std(), Node: a.node, Partitions: len(a.partitions), Replicas: c.Replicas, Logger: a.log,
		Work: a.work,
		Running: func(p int) bool {
			l := a.partitions[p].look()
			return l.Seen && l.Running
		},
	})
	return err
}

// work works on a partition until ctx ends. Where there is one partition only, a halt ends the process: nothing else is left to do.
func (a *App) work(ctx context.Context, number int) error {
	err := a.partitions[number].work(ctx, a.last, a.log)
	if err != nil && len(a.partitions) == 1 {
		a.halt(err)
	}
	return err
}

// drainForwarders forwards what is committed and waits in the state streams of the partitions that this process worked on.
func (a *App) drainForwarders(ctx context.Context) error {
	var errs []error
	for _, p := range a.partitions {
		if p.look().Begun {
			errs = append(errs, p.forwarder.Drain(ctx))
		}
	}
	return errors.Join(errs...)
}
