package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
)

// growthFigures is what an event of so many features costs where so many models share a stream and a reference.
type growthFigures struct {
	Models   int     `json:"models"`
	Features int     `json:"numeric_features"`
	Values   int     `json:"values_per_event"`
	Events   int     `json:"events_per_message"`
	Interval string  `json:"commit_interval"`
	Fold     float64 `json:"in_memory_cpu_us_per_event"` // without a broker, and without a commit
	Daemon   sample  `json:"daemon"`
}

const (
	growthValues = 3_000_000 // of the events in memory
	startUp      = 3         // seconds of counting before there were two commits
	// So many features that change between two commits, of all models together, are too much for one each second.
	seldomFeatures = 50_000
	seldom         = 10 // seconds
)

// grow measures NDJSON with more and more features and models. A message has about as many bytes however wide an event is.
func grow(ctx context.Context, o *options, r *report, out io.Writer) error {
	for _, features := range []int{1, 10, 100, widestFeatures} {
		g := *o
		g.features = features
		ref, err := workerReference(&g, 0, referenceRows)
		if err != nil {
			return err
		}
		for _, g.models = range []int{1, 10, mostModels} {
			f, err := growTo(ctx, &g, ref)
			if err != nil {
				return fmt.Errorf("measuring %d features and %d models: %w", features, g.models, err)
			}
			r.Growth = append(r.Growth, *f)
			fmt.Fprintf(out, "%4d features, %3d models: in memory %.2f µs of CPU an event; the daemon %.2f, %.0f events/s, at most %.0f MiB\n",
				features, g.models, f.Fold, f.Daemon.CPU, f.Daemon.Rate, f.Daemon.Peak)
		}
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "numeric features\tmodels\tvalues\tin memory, µs an event\tns a value\tdaemon, µs an event\tns a value\tevents/s\tMiB\tcommit every\t")
	for _, f := range r.Growth {
		n := float64(f.Values) / 1000
		fmt.Fprintf(w, "%d\t%d\t%d\t%.2f\t%.0f\t%.2f\t%.0f\t%.0f\t%.0f\t%s\t\n",
			f.Features, f.Models, f.Values, f.Fold, f.Fold/n, f.Daemon.CPU, f.Daemon.CPU/n, f.Daemon.Rate, f.Daemon.Peak, f.Interval)
	}
	_ = w.Flush() // as good as the writes to out
	return nil
}

func growTo(ctx context.Context, o *options, ref *reference.Reference) (f *growthFigures, err error) {
	s := *shapes()[1]
	s.batch = max(1, min(s.batch, s.batch*baseValues/o.values()))
	f = &growthFigures{Models: o.models, Features: o.features, Values: o.values(), Events: s.batch} //nolint:exhaustruct // not measured yet
	events := min(workerEvents, growthValues/o.values()) / s.batch * s.batch
	if _, f.Fold, err = foldAll(ref, [][]fold.Message{workerStream(o, 1, events, s.batch)}, events, events/s.batch/2); err != nil {
		return nil, err
	}
	b, d, done, err := pair(ctx, o)
	if err != nil {
		return nil, err
	}
	defer done()
	m := &measured{EventsPerMessage: s.batch} //nolint:exhaustruct // nothing is measured yet
	start := float64(startUp)
	if o.models*o.features > seldomFeatures {
		d.commit, start = map[string]any{"interval": fmt.Sprintf("%ds", seldom), "max_bytes": "256MiB"}, 3.5*seldom
	}
	f.Interval = fmt.Sprint(d.commit["interval"])
	events = int((start + o.seconds) * 1e6 / f.Fold) // as many as are counted at best
	if err := b.fill(ctx, newGenerator(o), &s, events, m); err != nil {
		return nil, fmt.Errorf("filling the stream: %w", err)
	}
	if err := d.reference(ctx); err != nil {
		return nil, err
	}
	d.enough = time.Duration(o.seconds * float64(time.Second))
	if f.Daemon, err = d.run(ctx, 0, m); err != nil {
		return nil, err
	}
	return f, nil
}

// drawGrowth draws the cost of an event over its values.
func drawGrowth(r *report, dir string) error {
	c := chart{
		title: "The CPU of an event grows with its values", x: "values an event", y: "µs of CPU an event", log: true, lines: nil,
	}
	for _, models := range []int{1, 10, mostModels} {
		l := line{name: fmt.Sprintf("daemon, models: %d", models)} //nolint:exhaustruct // no points yet
		for _, f := range r.Growth {
			if f.Models == models {
				l.xs, l.ys = append(l.xs, float64(f.Values)), append(l.ys, f.Daemon.CPU)
			}
		}
		c.lines = append(c.lines, l)
	}
	l := line{name: "in memory, 1 model, no commits"} //nolint:exhaustruct // no points yet
	for _, f := range r.Growth {
		if f.Models == 1 {
			l.xs, l.ys = append(l.xs, float64(f.Values)), append(l.ys, f.Fold)
		}
	}
	c.lines = append(c.lines, l)
	return c.save(filepath.Join(dir, "growth.svg"))
}

// drawLong draws the cost of an event, and the memory, over the events that were seen.
func drawLong(r *report, dir string) error {
	cost, mem := line{name: "CPU an event"}, line{name: "resident memory"} //nolint:exhaustruct // no points yet
	for _, p := range r.Long.Parts {
		cost.xs, cost.ys = append(cost.xs, float64(p.Events)/1e6), append(cost.ys, p.CPU)
		mem.xs, mem.ys = append(mem.xs, float64(p.Events)/1e6), append(mem.ys, p.Now)
	}
	c := chart{title: "… and not with the events seen", x: "millions of events", y: "µs of CPU an event", log: false, lines: []line{cost}}
	if err := c.save(filepath.Join(dir, "growth-events.svg")); err != nil {
		return err
	}
	c = chart{title: "Resident memory does not grow with the events seen", x: "millions of events", y: "MiB", log: false, lines: []line{mem}}
	return c.save(filepath.Join(dir, "growth-memory.svg"))
}
