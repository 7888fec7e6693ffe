package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/driftd/driftd/ingest"
)

const (
	longParts  = 20
	longHeld   = 1 << 30 // bytes of the input stream: it lets go of what was counted
	longAhead  = 4000    // messages that are published and not counted yet
	longWithin = 10 * time.Minute
)

// longFigures is what an event costs, and what the daemon takes, in the parts of one long stream.
type longFigures struct {
	Events int        `json:"events"`
	Parts  []longPart `json:"parts"`
}

type longPart struct {
	Events int     `json:"events_seen"` // at its end
	CPU    float64 `json:"cpu_us_per_event"`
	resident
}

// quarters returns the medians of each quarter of the parts. The very first part, in which the daemon starts, is in none.
func (f *longFigures) quarters() (out [4]longPart) {
	parts := f.Parts[1:]
	for i := range out {
		quarter := parts[i*len(parts)/len(out) : (i+1)*len(parts)/len(out)]
		cpus, sizes := make([]float64, len(quarter)), make([]float64, len(quarter))
		for k, p := range quarter {
			cpus[k], sizes[k] = p.CPU, p.Now
		}
		out[i].CPU, out[i].Now = median(cpus), median(sizes)
	}
	return out
}

// long counts so many events that what grew with them would show. They are published while they are counted.
func long(ctx context.Context, o *options, r *report, out io.Writer) (err error) {
	b, d, done, err := pair(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	if err := b.create(ctx, inputStream, inputSubject, longHeld); err != nil {
		return err
	}
	if err := d.reference(ctx); err != nil {
		return err
	}
	if err := b.clean(ctx); err != nil {
		return err
	}
	commits, unwatch, err := b.watch()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unwatch()) }()
	if _, err := d.begin(ctx, filepath.Join(d.dir, "data")); err != nil {
		return err
	}
	defer d.kill()
	s := shapes()[1]
	ctx, cancel := context.WithTimeout(ctx, longWithin)
	defer cancel()
	var counted atomic.Int64
	published := make(chan error, 1) // one publisher, one answer
	go func() { published <- b.keepAhead(ctx, newGenerator(o), s, o.events/s.batch, &counted) }()
	f, err := d.parts(ctx, commits, s.batch, &counted)
	cancel()
	if other := <-published; err == nil && !errors.Is(other, context.Canceled) {
		err = other
	}
	if err != nil {
		return fmt.Errorf("counting a long stream: %w\n%s", err, d.tail())
	}
	r.Long = f
	fmt.Fprintf(out, "long: %d events, in four quarters:", f.Events)
	for _, q := range f.quarters() {
		fmt.Fprintf(out, "  %.2f µs of CPU an event, %.0f MiB", q.CPU, q.Now)
	}
	fmt.Fprintln(out)
	return nil
}

// keepAhead publishes messages as fast as they are counted.
func (b *broker) keepAhead(ctx context.Context, g *generator, s *shape, messages int, counted *atomic.Int64) error {
	p := ingest.NewPublisher(b.js)
	for i := range messages {
		for int64(i)-counted.Load() > longAhead {
			if err := pause(ctx, 5*time.Millisecond); err != nil {
				return errors.Join(err, p.Close())
			}
		}
		if err := p.Publish(ctx, inputSubject, "", s.encode(g, s.batch), i); err != nil {
			return errors.Join(err, p.Close())
		}
	}
	return errors.Join(p.Flush(ctx), p.Close())
}

// parts follows the commits to the last message and cuts what they tell into parts of about as many events.
func (d *daemon) parts(ctx context.Context, commits <-chan *nats.Msg, batch int, counted *atomic.Int64) (*longFigures, error) {
	messages := d.o.events / batch
	f := &longFigures{Events: messages * batch, Parts: nil}
	begin := commit{at: time.Now(), seq: 0, cpu: 0}
	for len(f.Parts) == 0 || f.Parts[len(f.Parts)-1].Events < f.Events {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w after %d of %d messages", ctx.Err(), counted.Load(), messages)
		case msg := <-commits:
			seq, err := positionOf(msg)
			if err != nil {
				return nil, err
			}
			counted.Store(int64(seq))
			if seq < messages && seq < messages*(len(f.Parts)+1)/longParts {
				continue
			}
			used, err := cpuOf(d.cmd.Process.Pid)
			if err != nil {
				return nil, err
			}
			mem, err := memoryOf(d.cmd.Process.Pid)
			if err != nil {
				return nil, err
			}
			if seq == begin.seq {
				continue
			}
			f.Parts = append(f.Parts, longPart{Events: seq * batch, CPU: (used - begin.cpu) * 1e6 / float64((seq-begin.seq)*batch), resident: mem})
			begin.seq, begin.cpu = seq, used
		}
	}
	return f, nil
}
