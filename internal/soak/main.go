// Command soak runs a real driftd with its embedded broker under a steady stream of events, late events, repeated ids and
// labels, and watches whether what it takes stays flat: memory, goroutines, file descriptors, the size of every stream and of
// the store, the lag. In the end it compares what the windows counted with what the broker acknowledged. `make soak` runs it.
//
// It prints a table in Markdown and a verdict a quantity, and exits 1 where something grew or the counts differ.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// judgedFrom is the shortest run whose growth is judged: the shortest retention of the outbox is a minute, and the first
// quarter must hold several.
const judgedFrom = 20 * time.Minute

// options of a run.
type options struct {
	binary   string        // driftd
	duration time.Duration // of the traffic
	rate     float64       // events a second
	every    time.Duration // between two samples
	window   time.Duration // the size of a window and of a pane
	seed     uint64
	keep     bool // leave the data directory in place
}

// retention is how long results are kept, so that the store and the outbox are full long before the first quarter is over.
func (o options) retention() time.Duration { return max(time.Minute, o.duration/12) }

// inputBytes bounds the input stream: about a twelfth of what is published, at 700 bytes a message.
func (o options) inputBytes() int64 {
	return max(2<<20, int64(o.rate*o.duration.Seconds()/12*700))
}

// rememberedIDs is for how many ids a repetition is recognised: full in the first quarter.
func (o options) rememberedIDs() int {
	return max(3*repeatWithin, int(o.rate*min(90, o.duration.Seconds()/8)))
}

func main() {
	var o options
	flag.StringVar(&o.binary, "driftd", "", "`FILE`: the binary to run")
	flag.DurationVar(&o.duration, "duration", time.Hour, "how long events are published")
	flag.Float64Var(&o.rate, "rate", 500, "events a second")
	flag.DurationVar(&o.every, "every", 0, "the time between two samples (default 10s, less in a run below 10m)")
	flag.DurationVar(&o.window, "window", 0, "the size of a window and of a pane (default 1m, 5s in a run below 20m)")
	flag.Uint64Var(&o.seed, "seed", 1, "of the values and of what is late or repeated")
	flag.BoolVar(&o.keep, "keep", false, "leave the data directory in place")
	flag.Parse()
	if o.every == 0 {
		o.every = min(10*time.Second, o.duration/60)
	}
	if o.window == 0 {
		if o.window = time.Minute; o.duration < judgedFrom {
			o.window = 5 * time.Second
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// run is one soak; what it measured is printed whatever came of it.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	switch {
	case o.binary == "":
		return errors.New("which driftd? give --driftd FILE")
	case o.duration < o.every*minSamples:
		return fmt.Errorf("a duration of %v has fewer than %d samples every %v: give more time, or --every", o.duration, minSamples, o.every)
	}
	d, err := startDaemon(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop(out, err != nil)) }()
	fmt.Fprintf(out, "driftd process %d in %s: %v at %.0f events a second, %d features, %d models, seed %d\n",
		d.cmd.Process.Pid, d.dir, o.duration, o.rate, numerics+categoricals, len(models()), o.seed)
	led, err := openLedger(ctx, d.js)
	if err != nil {
		return err
	}
	defer led.close()

	traffic, stopTraffic := context.WithTimeout(ctx, o.duration)
	defer stopTraffic()
	p := newProducer(d.js, o)
	produced := make(chan error, 1)
	go func() { produced <- p.run(traffic) }()
	samples, err := collect(traffic, d, led, p, o, out)
	stopTraffic() // an error ends the traffic, too
	err = errors.Join(err, <-produced)
	if ctx.Err() != nil {
		return errors.Join(err, errors.New("interrupted"))
	}
	if err != nil {
		return err
	}
	if err := p.finish(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out)
	writeTable(out, samples, tableRows)
	fmt.Fprintln(out)
	judgements := judge(samples)
	writeJudgements(out, judgements)
	exact, err := settle(ctx, d, led, p)
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	err = exact.report(out)
	if o.duration < judgedFrom {
		fmt.Fprintf(out, "\nA run below %v is a trial: caches and retention have not filled, growth is shown and not judged.\n", judgedFrom)
		return err
	}
	return errors.Join(err, grown(judgements))
}

// collect samples until the traffic ends.
func collect(ctx context.Context, d *daemon, led *ledger, p *producer, o options, out io.Writer) ([]sample, error) {
	begin := time.Now()
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	var samples []sample
	for {
		select {
		case <-ctx.Done():
			return samples, nil
		case <-d.exited:
			return samples, errors.New("driftd ended")
		case err := <-p.failed:
			return samples, err
		case <-tick.C:
		}
		s, err := d.sample(ctx)
		if ctx.Err() != nil {
			return samples, nil // the last sample was cut off by the end
		}
		if err != nil {
			return samples, fmt.Errorf("taking a sample: %w", err)
		}
		s.after, s.published, s.results = time.Since(begin), p.acknowledged(), led.results()
		samples = append(samples, s)
		if len(samples)%6 == 1 {
			fmt.Fprintln(out, s)
		}
	}
}
