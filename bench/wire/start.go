package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"
)

const (
	startRepeats   = 3
	startEvents    = 1500           // of each model
	startSpan      = 60 * 60 * 1000 // milliseconds over which a state's events are: four panes
	countingWithin = 2 * time.Minute
)

// startFigures is how long a daemon takes from its start until it is ready, with a state to restore.
type startFigures struct {
	Models   int       `json:"models"`
	Features int       `json:"numeric_features"`
	StateMB  float64   `json:"state_mb"`
	Ready    []float64 `json:"ready_seconds"`
	CPU      []float64 `json:"cpu_seconds"`
	Peak     float64   `json:"peak_mib"`
}

// starts measures states of several sizes: from nothing, and the ids alone, to 10,000 features.
func starts(ctx context.Context, o *options, r *report, out io.Writer) error {
	for _, size := range [][2]int{{1, 1}, {1, 100}, {10, 100}, {100, 100}, {10, 1000}} {
		g := *o
		g.models, g.features = size[0], size[1]
		f, err := start(ctx, &g)
		if err != nil {
			return fmt.Errorf("measuring the start with %d models of %d features: %w", size[0], size[1], err)
		}
		r.Starts = append(r.Starts, f)
		fmt.Fprintf(out, "start: %3d models of %4d features, a state of %6.1f MB: ready in %.2f s, %.2f s of CPU, at most %.0f MiB\n",
			f.Models, f.Features, f.StateMB, median(f.Ready), median(f.CPU), f.Peak)
	}
	least, most := r.Starts[0], r.Starts[0]
	for _, f := range r.Starts {
		if f.StateMB > most.StateMB {
			most = f
		}
	}
	fmt.Fprintf(out, "start: %.1f s of CPU and %.1f s more for a GB of state, from the largest and the least\n",
		1000*(median(most.CPU)-median(least.CPU))/(most.StateMB-least.StateMB), 1000*(median(most.Ready)-median(least.Ready))/(most.StateMB-least.StateMB))
	return nil
}

func start(ctx context.Context, o *options) (f *startFigures, err error) {
	b, d, done, err := pair(ctx, o)
	if err != nil {
		return nil, err
	}
	defer done()
	s := *shapes()[1]
	s.batch = max(1, min(s.batch, s.batch*baseValues/o.values()))
	events := startEvents * o.models
	g, m := newGenerator(o), &measured{Shape: s.name} //nolint:exhaustruct // nothing is measured yet
	g.step = max(1, startSpan/int64(events))
	if err := b.fill(ctx, g, &s, events, m); err != nil {
		return nil, fmt.Errorf("filling the stream: %w", err)
	}
	if err := d.reference(ctx); err != nil {
		return nil, err
	}
	if err := b.clean(ctx); err != nil {
		return nil, err
	}
	commits, unwatch, err := b.watch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unwatch()) }()
	data := filepath.Join(d.dir, "data")
	if _, err := d.begin(ctx, data); err != nil {
		return nil, err
	}
	if err := d.await(ctx, commits, m.Messages, countingWithin); err != nil {
		d.kill()
		return nil, err
	}
	if err := d.stop(); err != nil {
		return nil, err
	}
	state, err := b.js.Stream(ctx, "DRIFTD_STATE_0")
	if err != nil {
		return nil, err
	}
	f = &startFigures{Models: o.models, Features: o.features, StateMB: float64(state.CachedInfo().State.Bytes) / 1e6} //nolint:exhaustruct // not measured yet
	for range startRepeats {
		ready, err := d.begin(ctx, data)
		if err != nil {
			return nil, err
		}
		cpu, err := cpuOf(d.cmd.Process.Pid)
		if err != nil {
			d.kill()
			return nil, err
		}
		mem, err := memoryOf(d.cmd.Process.Pid)
		if err := errors.Join(err, d.stop()); err != nil {
			return nil, err
		}
		f.Ready, f.CPU, f.Peak = append(f.Ready, ready.Seconds()), append(f.CPU, cpu), max(f.Peak, mem.Peak)
	}
	return f, nil
}
