// Command wire measures how near driftd comes to the wire: the rate of the real daemon, with everything on, as a ratio to a consumer of
// the same stream that throws every message away. The broker is a process of its own with file storage on one core, the client has the
// other. It fails where driftd falls short of what it must reach. See `make bench-wire`.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if beDiscarding() || beWaiting() {
		return
	}
	os.Exit(measureAll())
}

// measureAll returns the exit code.
func measureAll() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench/wire:", err)
		return 1
	}
	return 0
}

type options struct {
	driftd, broker, dir, out string
	only                     string
	repeats                  int
	seconds                  float64
	features, models         int
	measure, images          string
	events                   int
}

// measurement is one thing that can be measured beside the ratio to the wire.
type measurement struct {
	name, what string
	run        func(ctx context.Context, o *options, r *report, out io.Writer) error
	draw       func(r *report, dir string) error
}

func measurements() []measurement {
	return []measurement{
		{"catchup", "how long a partition's messages wait while another one catches up", catchUp, nil},
		{"growth", "the growth with features and models", grow, drawGrowth},
		{"latency", "from publishing to counting at half of the maximum rate", latency, nil},
		{"long", "whether the cost and the memory grow with the events seen", long, drawLong},
		{"memlimit", "memory and CPU of counting under GOMEMLIMIT", limited, nil},
		{"memory", "what 100 models of 1,000 features hold", memories, nil},
		{"start", "from the start until ready, with states of several sizes", starts, nil},
		{wireName, "the ratio to a consumer that throws every message away", compare, nil},
	}
}

const wireName = "wire"

func measurementNames() []string {
	all := measurements()
	out := make([]string, len(all))
	for i, m := range all {
		out[i] = m.name
	}
	return out
}

func run(ctx context.Context, out io.Writer) (err error) {
	var o options
	quick := flag.Bool("quick", false, "two repeats of short streams: about a minute")
	flag.StringVar(&o.driftd, "driftd", "bin/driftd", "the binary")
	flag.StringVar(&o.broker, "broker", "bin/nats-server", "the broker's binary, of the module that go.mod names")
	flag.StringVar(&o.dir, "dir", "", "where the streams are stored (default: a directory of its own, removed at the end)")
	flag.StringVar(&o.out, "out", "", "where the JSON goes (default: build/bench-MEASURE.json)")
	flag.StringVar(&o.only, "only", "", "the shapes to measure, with commas: "+strings.Join(append(shapeNames(), workersName), ", ")+" (default: all)")
	flag.IntVar(&o.repeats, "repeats", 5, "of each shape, driftd and discarding in turns")
	flag.Float64Var(&o.seconds, "seconds", 4, "how long a stream should keep driftd busy at the rate it ought to have")
	flag.StringVar(&o.measure, "measure", wireName, "what to measure: "+strings.Join(measurementNames(), ", "))
	flag.StringVar(&o.images, "images", "", "draw what was measured into this directory (growth and long)")
	flag.IntVar(&o.events, "events", 10_000_000, "of the long stream")
	flag.Parse()
	at := slices.Index(measurementNames(), o.measure)
	if at < 0 {
		return fmt.Errorf("-measure %s: must be one of %s", o.measure, strings.Join(measurementNames(), ", "))
	}
	chosen := measurements()[at]
	if o.out == "" {
		o.out = "build/bench-" + o.measure + ".json"
	}
	if *quick {
		o.repeats, o.seconds = 2, 3
	}
	o.features, o.models = 20, 1
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "driftd-bench-wire-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	}
	begun := time.Now()
	r := &report{Versions: versions(&o), Pinned: pinned(), Repeats: o.repeats}
	if err := chosen.run(ctx, &o, r, out); err != nil {
		return err
	}
	r.Seconds = time.Since(begun).Seconds()
	r.print(out)
	if err := r.write(o.out); err != nil {
		return err
	}
	if o.images != "" && chosen.draw != nil {
		if err := chosen.draw(r, o.images); err != nil {
			return err
		}
	}
	if o.measure != wireName || o.only != "" {
		return nil
	}
	return r.must(out)
}

// compare measures every shape against discarding.
func compare(ctx context.Context, o *options, r *report, out io.Writer) error {
	for _, s := range shapes() {
		if o.only == "" || strings.Contains(","+o.only+",", ","+s.name+",") {
			m, err := measureShape(ctx, o, s, out)
			if err != nil {
				return fmt.Errorf("measuring %s: %w", s.name, err)
			}
			r.Shapes = append(r.Shapes, m)
		}
	}
	if o.only == "" || strings.Contains(","+o.only+",", ","+workersName+",") {
		if err := workers(o, r, out); err != nil {
			return fmt.Errorf("measuring two workers: %w", err)
		}
	}
	r.derive()
	return nil
}

// errTooShort: the machine is so fast that a stream does not keep driftd busy for long enough to be measured.
var errTooShort = errors.New("the stream is too short, see -seconds")

// maxLonger is how many times as long as asked for a stream becomes at most where it was too short.
const maxLonger = 8

// measureShape measures a shape, in a longer stream where it must be.
func measureShape(ctx context.Context, o *options, s *shape, out io.Writer) (*measured, error) {
	m, err := measureStream(ctx, o, s, o.seconds, out)
	for longer := 2 * o.seconds; errors.Is(err, errTooShort) && longer <= maxLonger*o.seconds; longer *= 2 {
		fmt.Fprintf(out, "%s: too short a stream for this machine, once more with twice as many events\n", s.name)
		m, err = measureStream(ctx, o, s, longer, out)
	}
	return m, err
}

// measureStream fills a stream that should last for so many seconds and reads it by turns.
func measureStream(ctx context.Context, o *options, s *shape, seconds float64, out io.Writer) (*measured, error) {
	dir, err := os.MkdirTemp(o.dir, s.name+"-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it lies in a directory that is removed at the end
	b, err := startBroker(ctx, o.broker, filepath.Join(dir, "broker"))
	if err != nil {
		return nil, err
	}
	defer b.stop()
	events := max(int(s.expected*seconds)*baseValues/o.values(), 20*s.batch)
	m := &measured{Shape: s.name, EventsPerMessage: s.batch, Features: o.features, Models: o.models} //nolint:exhaustruct // nothing is measured yet
	begun := time.Now()
	if err := b.fill(ctx, newGenerator(o), s, events, m); err != nil {
		return nil, fmt.Errorf("filling the stream: %w", err)
	}
	fmt.Fprintf(out, "%s: %d messages of %.0f bytes stored in %.0f s\n", s.name, m.Messages, m.MessageBytes, time.Since(begun).Seconds())
	d := newDaemon(o, b, dir)
	if err := d.reference(ctx); err != nil {
		return nil, err
	}
	for i := range o.repeats {
		discarded, err := b.discard(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("discarding: %w", err)
		}
		counted, err := d.run(ctx, i, m)
		if err != nil {
			return nil, err
		}
		m.Discard, m.Driftd = append(m.Discard, discarded), append(m.Driftd, counted)
		fmt.Fprintf(out, "  %d: discarding %8.0f events/s, driftd %8.0f events/s, ratio %.3f, %.2f µs of CPU an event, ready in %.2f s\n",
			i+1, discarded.Rate, counted.Rate, counted.Rate/discarded.Rate, counted.CPU, counted.Ready)
	}
	return m, nil
}

// The core of the broker, and that of who reads.
const (
	brokerCore = "0"
	clientCore = "1"
)

// pinned says whether processes can be held on one core each.
func pinned() bool {
	return exec.Command("taskset", "-c", clientCore, "true").Run() == nil
}

// onCore returns a command that runs on one core, with as many threads of Go as that has; where that cannot be done it runs anywhere.
func onCore(core, name string, args ...string) *exec.Cmd {
	var cmd *exec.Cmd
	if pinned() {
		cmd = exec.Command("taskset", append([]string{"-c", core, name}, args...)...)
	} else {
		cmd = exec.Command(name, args...)
	}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	return cmd
}

func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %q: %w", data[:min(len(data), 200)], err)
	}
	return nil
}
