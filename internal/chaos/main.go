// Command chaos proves that nothing is lost and nothing counted twice. It runs three real brokers as one cluster, a producer that waits for
// every acknowledgement, and two real driftd without leases, which compete for the same partition all the time; it kills -9 the
// daemons every few seconds and a broker every ten, and cuts the answers of commits so that their fate is unknown. In the end it
// folds the stored input once more, undisturbed, and compares what was committed with it byte for byte. `make chaos` runs it.
//
// It prints a table and writes it as JSON; it exits 1 where anything differs. The seed decides what is sent, who is killed when and which
// commits are cut; what real processes make of it differs from run to run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// options of a run.
type options struct {
	binary   string        // driftd
	duration time.Duration // of the traffic and the kills
	rate     float64       // events a second
	seed     uint64
	out      string // the figures as JSON; empty: nowhere
	keep     bool   // leave the directory in place
}

// brokers of the cluster, and daemons that compete.
const (
	brokers = 3
	daemons = 2
)

func main() {
	if beBroker() {
		return
	}
	var o options
	flag.StringVar(&o.binary, "driftd", "", "`FILE`: the binary to run")
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long events are published and processes killed")
	flag.Float64Var(&o.rate, "rate", 1800, "events a second")
	flag.Uint64Var(&o.seed, "seed", 0, "of the events, the kills and the cuts (default: drawn, and printed)")
	flag.StringVar(&o.out, "out", "", "`FILE`: write the figures there as JSON")
	flag.BoolVar(&o.keep, "keep", false, "leave the directory in place")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64() //nolint:gosec // a seed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	r, err := run(ctx, o, os.Stdout)
	stop()
	if err == nil && r.Differences > 0 {
		err = fmt.Errorf("%d differences", r.Differences)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// random returns the source of chance of one part of a run.
func (o options) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(o.seed, part)) } //nolint:gosec // a schedule

// run is one run. The report holds what was found; an error says that nothing could be found out.
func run(ctx context.Context, o options, out io.Writer) (*report, error) {
	if o.binary == "" {
		return nil, errors.New("which driftd? give --driftd FILE")
	}
	dir, err := os.MkdirTemp("", "driftd-chaos-")
	if err != nil {
		return nil, err
	}
	w := &world{o: o, dir: dir, out: out} //nolint:exhaustruct // built below
	fmt.Fprintf(out, "chaos in %s: %v at %.0f events a second, seed %d\n", dir, o.duration, o.rate, o.seed)
	r, err := w.run(ctx)
	if err = errors.Join(err, w.close()); err == nil && r.Differences == 0 && !o.keep {
		err = os.RemoveAll(dir)
	} else {
		fmt.Fprintf(out, "everything is left in %s\n", dir)
	}
	if r != nil {
		r.write(out)
		if o.out != "" {
			err = errors.Join(err, r.save(o.out))
		}
	}
	return r, err
}

// world is everything that runs.
type world struct {
	o       options
	dir     string
	out     io.Writer
	servers []*server
	proxies []*proxy
	daemons []*daemon
	client  *client
}

func (w *world) run(ctx context.Context) (*report, error) {
	begin := time.Now()
	if err := w.begin(ctx); err != nil {
		return nil, err
	}
	p := newProducer(w.client, w.o)
	chaos, calm := context.WithTimeout(ctx, w.o.duration)
	defer calm()
	var parts sync.WaitGroup
	for i, d := range w.daemons {
		parts.Go(func() { d.torment(chaos, w.o.random(uint64(10+i)), 4*time.Second, 10*time.Second, time.Second) })
	}
	parts.Go(func() { w.killBrokers(chaos) })
	parts.Go(func() { w.tell(chaos, p) })
	for i, x := range w.proxies {
		x.cut(w.o.random(uint64(20+i)), cutShare)
	}
	err := p.run(chaos)
	calm()
	parts.Wait()
	for _, x := range w.proxies {
		x.cut(nil, 0)
	}
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	if err != nil {
		return nil, err
	}
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	r, err := w.compare(ctx, p)
	if r != nil {
		r.Seconds = time.Since(begin).Round(time.Second).Seconds()
	}
	return r, err
}

// begin starts the brokers, the proxies before them and the daemons, and gives the models their references.
func (w *world) begin(ctx context.Context) (err error) {
	if w.servers, err = startServers(ctx, filepath.Join(w.dir, "brokers")); err != nil {
		return err
	}
	urls := make([]string, 0, brokers)
	through := make([]string, 0, brokers)
	for _, s := range w.servers {
		x, err := newProxy(s.address)
		if err != nil {
			return err
		}
		w.proxies = append(w.proxies, x)
		urls, through = append(urls, "nats://"+s.address), append(through, "nats://"+x.address())
	}
	if w.client, err = connect(ctx, urls); err != nil {
		return err
	}
	for i := range daemons {
		d, err := newDaemon(w.o, filepath.Join(w.dir, fmt.Sprintf("driftd-%d", i+1)), through)
		if err != nil {
			return err
		}
		w.daemons = append(w.daemons, d)
		if err := d.start(); err != nil {
			return err
		}
		if err := d.ready(ctx); err != nil { // one after the other: the first one makes the streams
			return err
		}
	}
	return w.daemons[0].references(ctx, w.o, urls)
}

// killBrokers kills a broker about every ten seconds and starts it again.
func (w *world) killBrokers(ctx context.Context) {
	rng := w.o.random(1)
	for {
		s := w.servers[rng.IntN(brokers)]
		if !pause(ctx, within(rng, 8*time.Second, 12*time.Second)) {
			return
		}
		s.kill()
		_ = pause(ctx, within(rng, 200*time.Millisecond, 2*time.Second)) // it is started whatever comes
		if err := s.start(); err != nil {
			fmt.Fprintf(w.out, "starting broker %s again: %v\n", s.name, err)
		}
	}
}

// tell says now and then how far it is.
func (w *world) tell(ctx context.Context, p *producer) {
	begin := time.Now()
	for pause(ctx, 15*time.Second) {
		position, last, err := w.client.standing(ctx)
		daemonKills, brokerKills := 0, 0
		for _, d := range w.daemons {
			daemonKills += int(d.kills.Load())
		}
		for _, s := range w.servers {
			brokerKills += int(s.kills.Load())
		}
		fmt.Fprintf(w.out, "%4.0f s: %d events acknowledged, %d of %d messages committed, killed: %d driftd, %d brokers %s\n",
			time.Since(begin).Seconds(), p.events.Load(), position, last, daemonKills, brokerKills, text(err))
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return "(" + err.Error() + ")"
}

// settle waits until everything that is stored is committed and forwarded, and the idle markers behind it too.
func (w *world) settle(ctx context.Context) error {
	w.daemons[1].kill() // it may have been started just now
	begin := time.Now()
	quiet, before := time.Now(), uint64(0)
	for time.Since(begin) < 10*time.Minute {
		if !pause(ctx, 500*time.Millisecond) {
			return errors.New("interrupted")
		}
		if w.daemons[0].ended() { // the broker was away at its start
			w.daemons[0].unasked()
			if err := w.daemons[0].start(); err != nil {
				return err
			}
		}
		position, last, err := w.client.standing(ctx)
		done, derr := w.client.forwarded(ctx)
		if err != nil || derr != nil || !done || position != last || last != before {
			quiet, before = time.Now(), last
			continue
		}
		if time.Since(quiet) > 4*idleTimeout {
			return w.daemons[0].stop()
		}
	}
	return fmt.Errorf("not everything is committed ten minutes after the last event:\n%s", w.daemons[0].tail())
}

func (w *world) close() error {
	errs := make([]error, 0, len(w.proxies))
	for _, d := range w.daemons {
		d.kill()
	}
	if w.client != nil {
		w.client.nc.Close()
	}
	for _, x := range w.proxies {
		errs = append(errs, x.close())
	}
	for _, s := range w.servers {
		s.end()
	}
	return errors.Join(errs...)
}

// pause waits; false says that ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// within draws a duration.
func within(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}
