package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

const (
	workersName    = "workers" // of this reading, for -only
	workerBatch    = 64        // events of a message
	workerEvents   = 64_000    // of each worker; its ids are all new
	workerRepeats  = 5
	workerPaneTime = 60 * 60 * 1000
)

// workers measures decoding and counting of NDJSON that is in memory, without a broker: by one worker, and by two at a time that have as many
// events each. A worker is what folds a partition; two share nothing but the reference.
func workers(o *options, r *report, out io.Writer) error {
	before := runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	defer runtime.GOMAXPROCS(before)
	ref, err := workerReference(o, 0, referenceRows)
	if err != nil {
		return err
	}
	streams := [2][]fold.Message{workerStream(o, 1, workerEvents, workerBatch), workerStream(o, 2, workerEvents, workerBatch)}
	for i := range workerRepeats {
		one, oneCPU, err := foldAll(ref, streams[:1], workerEvents, 0)
		if err != nil {
			return err
		}
		two, twoCPU, err := foldAll(ref, streams[:], 2*workerEvents, 0)
		if err != nil {
			return err
		}
		r.Workers = append(r.Workers, workersSample{One: one, Two: two, OneCPU: oneCPU, TwoCPU: twoCPU})
		fmt.Fprintf(out, "in memory %d: one worker %8.0f events/s and %.2f µs of CPU an event, two %8.0f and %.2f, factor %.2f\n",
			i+1, one, oneCPU, two, twoCPU, two/one)
	}
	return nil
}

// workerReference returns a reference of so many events like those of the streams; each number gives another one.
func workerReference(o *options, number uint64, rows int) (*reference.Reference, error) {
	b := reference.NewBuilder(reference.Options{Name: referenceName, Resolution: resolution}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	g := newGenerator(o)
	g.models = 1
	g.rng = rand.New(rand.NewPCG(13, 17+number))
	for d.Reset(g.ndjson(rows)); d.Next(); {
		ev, rejected := d.Event()
		if rejected != nil {
			return nil, rejected
		}
		if err := b.Add(ev); err != nil {
			return nil, err
		}
	}
	return b.Build()
}

func workerStream(o *options, seed uint64, events, batch int) []fold.Message {
	g := newGenerator(o)
	g.n = int(seed) * workerEvents // other ids and times
	out := make([]fold.Message, events/batch)
	for i := range out {
		out[i] = fold.Message{
			Seq: uint64(i) + 1, Subject: inputSubject, Time: beginning + int64(g.n)*eventStep, Data: g.ndjson(batch), Retry: "", Source: "",
		}
	}
	return out
}

// workerCounting is a configuration by which every model has this reference, and windows of an hour.
func workerCounting(fingerprint string) fold.Counting {
	timing := window.Timing{
		Windows: []window.Spec{{Size: workerPaneTime, Every: workerPaneTime}}, //nolint:exhaustruct // not extended
		Pane:    workerPaneTime, Lateness: workerPaneTime, WatermarkDelay: 0,
	}
	var model fold.ModelConfig // no rules
	model.Reference, model.Timing, model.Detectors = fingerprint, timing, detectors.Default()
	return fold.Counting{ //nolint:exhaustruct // no horizon
		Defaults: model, UnknownModels: fold.UnknownAuto, MaxModels: 1000, MaxVersions: 20, FutureTolerance: 300_000, DedupIDs: 1_000_000,
		Limits: event.DefaultLimits(), MaxMessage: 8 << 20,
	}
}

// foldAll folds each stream in a goroutine of its own, each by a new partition, and returns the events of all in a second,
// and the CPU time of each in µs. The first messages of each stream, so many, are not in them.
func foldAll(ref *reference.Reference, streams [][]fold.Message, want, warm int) (rate, cpu float64, err error) {
	counting := workerCounting(ref.Fingerprint())
	refs := func(string) (*reference.Reference, error) { return ref, nil }
	parts := make([]*fold.Partition, len(streams))
	for i := range parts {
		parts[i] = fold.New(inputStream, counting, [2]uint64{1, 2}, refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
	}
	errs := make([]error, len(streams))
	apply := func(i int, messages []fold.Message) {
		var o fold.Output
		for _, m := range messages {
			if _, err := parts[i].Apply(m, &o); err != nil {
				errs[i] = fmt.Errorf("folding message %d: %w", m.Seq, err)
				return
			}
		}
	}
	var before uint64
	for i, messages := range streams {
		apply(i, messages[:warm])
		before += parts[i].Stats().Events
	}
	runtime.GC()
	begin, used := time.Now(), ownCPU()
	var all sync.WaitGroup
	for i, messages := range streams {
		all.Go(func() { apply(i, messages[warm:]) })
	}
	all.Wait()
	took := time.Since(begin)
	used = ownCPU() - used
	var events uint64
	for _, p := range parts {
		events += p.Stats().Events
	}
	if events != uint64(want) && errors.Join(errs...) == nil {
		return 0, 0, fmt.Errorf("%d events were counted of %d", events, want)
	}
	counted := float64(events - before)
	return counted / took.Seconds(), used * 1e6 / counted, errors.Join(errs...)
}
