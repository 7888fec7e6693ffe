package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
)

const (
	widestFeatures = 1000
	mostModels     = 100
	paneEvents     = 200  // of each model in a pane
	heapRows       = 1500 // of a reference: enough for 1,000 cut points
	heapGrowth     = 20   // percent of garbage, so that the whole fits into a small machine
	limitedEvents  = 1_000_000
	limitedWithin  = 3 * time.Minute
	sayWithin      = 5 * time.Second
)

// limits of GOMEMLIMIT that the daemon is given; none: it has none.
func memoryLimits() []string { return []string{"", "96MiB", "80MiB", "64MiB"} }

// heapFigures is what 1,000 features of each of 100 models take in the fold, in MB of live heap.
type heapFigures struct {
	References int     `json:"references"`
	Reference  float64 `json:"references_mb"`    // with their tables
	Newest     float64 `json:"newest_panes_mb"`  // one for each model
	Older      float64 `json:"older_panes_mb"`   // one more for each model, packed
	Plans      float64 `json:"plans_mb"`         // how each feature of each model is judged, from its first window on
	Cells      float64 `json:"older_pane_cells"` // that are not empty, of a feature
}

// limitFigures is what a daemon does under a limit.
type limitFigures struct {
	Limit   string  `json:"gomemlimit"`
	Own     float64 `json:"anonymous_peak_mib"`
	Peak    float64 `json:"resident_peak_mib"`
	CPU     float64 `json:"cpu_us_per_event"`
	Counted int     `json:"events_counted"`
}

// memories measures what counting holds in memory.
func memories(ctx context.Context, o *options, r *report, out io.Writer) error {
	defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	for _, references := range []int{1, mostModels} {
		f, err := heap(ctx, o, references)
		if err != nil {
			return fmt.Errorf("measuring panes: %w", err)
		}
		r.Heap = append(r.Heap, *f)
		features := float64(mostModels * widestFeatures)
		fmt.Fprintf(out, "memory: %d models of %d features, %d references: %.0f MB of references (%.1f KB a feature), %.0f MB of newest panes (%.1f KB), %.0f MB of older ones (%.1f KB, of about %.0f cells), %.0f MB of plans (%.1f KB)\n",
			mostModels, widestFeatures, f.References, f.Reference, f.Reference*1000/float64(f.References*widestFeatures), f.Newest, f.Newest*1000/features,
			f.Older, f.Older*1000/features, f.Cells, f.Plans, f.Plans*1000/features)
	}
	return nil
}

// heap folds a pane of every model, and then the beginning of the next one, and looks at the heap in between.
func heap(ctx context.Context, o *options, references int) (*heapFigures, error) {
	wide := *o
	wide.features, wide.models = widestFeatures, 1
	f := &heapFigures{References: references} //nolint:exhaustruct // not measured yet
	g := newGenerator(&wide)
	rows := make([][]byte, paneEvents)
	for i := range rows {
		rows[i] = g.ndjson(1)
	}
	before := liveHeap()
	refs := map[string]*reference.Reference{}
	names := make([]string, mostModels)
	for i := range names {
		if i < references {
			ref, err := workerReference(&wide, uint64(i), heapRows)
			if err != nil {
				return nil, err
			}
			names[i], refs[ref.Fingerprint()] = ref.Fingerprint(), ref
		} else {
			names[i] = names[0]
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	f.Reference = liveHeap() - before
	counting := workerCounting(names[0])
	counting.Models = map[string]fold.ModelConfig{}
	for i, name := range names {
		m := counting.Defaults
		m.Reference = name
		counting.Models[modelName(i)] = m
	}
	lookUp := func(name string) (*reference.Reference, error) { return refs[name], nil }
	part := fold.New(inputStream, counting, [2]uint64{1, 2}, lookUp, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
	empty := liveHeap()
	seq := 0
	count := func(rows [][]byte, ahead int64) error {
		for _, row := range rows {
			for i := range mostModels {
				if _, err := part.Apply(another(row, i, seq, ahead), &fold.Output{}); err != nil { //nolint:exhaustruct // empty
					return err
				}
				seq++
			}
		}
		if _, err := part.Settle(&fold.Output{}, true); err != nil { //nolint:exhaustruct // empty
			return err
		}
		return ctx.Err()
	}
	if err := count(rows, 0); err != nil {
		return nil, err
	}
	f.Newest = liveHeap() - empty
	if err := count(rows[:1], workerPaneTime); err != nil {
		return nil, err
	}
	f.Plans = mostModels * plansOf(refs[names[0]], counting.Defaults.Detectors)
	f.Older = liveHeap() - empty - f.Newest - f.Plans
	f.Cells = cellsOf(paneEvents)
	if n := part.Stats().Events; int(n) != seq {
		return nil, fmt.Errorf("%d events were counted of %d", n, seq)
	}
	runtime.KeepAlive(rows)
	return f, nil
}

// plansOf returns what the plans of a model's features take, which the first window that is over has made.
func plansOf(ref *reference.Reference, config detectors.Config) float64 {
	before := liveHeap()
	memo, plans := detectors.NewMemo(), make([]*detectors.Plan, len(ref.Features))
	for i := range plans {
		f := &ref.Features[i]
		plans[i] = detectors.NewPlan(f, config, detectors.ChunksFor(ref, f, workerPaneTime, config), memo)
	}
	size := liveHeap() - before
	runtime.KeepAlive(plans)
	return size
}

// cellsOf returns how many cells of a reference of 1,000 cut points so many of its values are expected to be in: there are 1,001 gaps, and few
// values are points.
func cellsOf(values int) float64 {
	empty := 1.0
	for range values {
		empty *= 1 - 1.0/(resolution+1)
	}
	return (resolution + 1) * (1 - empty)
}

// another returns an event again as one of a model, with an id of its own, so many milliseconds ahead.
func another(row []byte, model, seq int, ahead int64) fold.Message {
	data := bytes.Replace(row, []byte(`"model":"`+modelName(0)+`"`), []byte(`"model":"`+modelName(model)+`"`), 1)
	renew(data, seq, beginning+ahead)
	return fold.Message{Seq: uint64(seq) + 1, Subject: inputSubject, Time: beginning + 2*workerPaneTime, Data: data, Retry: "", Source: ""}
}

// liveHeap returns the bytes of live objects in MB.
func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // what the first one let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1e6
}

// limited lets the daemon count the same stream with less and less memory.
func limited(ctx context.Context, o *options, r *report, out io.Writer) error {
	b, d, done, err := pair(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	s, m := shapes()[1], &measured{} //nolint:exhaustruct // of no interest
	if err := b.fill(ctx, newGenerator(o), s, limitedEvents, m); err != nil {
		return fmt.Errorf("filling the stream: %w", err)
	}
	if err := d.reference(ctx); err != nil {
		return err
	}
	for i, limit := range memoryLimits() {
		f, err := d.under(ctx, filepath.Join(d.dir, "limited"+strconv.Itoa(i)), limit, m)
		if err != nil {
			return fmt.Errorf("counting with GOMEMLIMIT=%s: %w", limit, err)
		}
		r.Limits = append(r.Limits, *f)
		fmt.Fprintf(out, "memory: GOMEMLIMIT=%-7s at most %4.0f MiB anonymous, %4.0f MiB resident, %.2f µs of CPU an event, %d events counted\n",
			limit, f.Own, f.Peak, f.CPU, f.Counted)
	}
	return nil
}

func (d *daemon) under(ctx context.Context, data, limit string, m *measured) (f *limitFigures, err error) {
	if err := d.broker.clean(ctx); err != nil {
		return nil, err
	}
	commits, unwatch, err := d.broker.watch()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unwatch()) }()
	d.env = nil
	if limit != "" {
		d.env = []string{"GOMEMLIMIT=" + limit}
	}
	if err := d.start(data); err != nil {
		return nil, err
	}
	defer d.kill()
	pid := d.cmd.Process.Pid
	most := mostOwn(ctx, pid)
	if err := d.await(ctx, commits, m.Messages, limitedWithin); err != nil {
		return nil, err
	}
	f = &limitFigures{Limit: limit, Own: most(), Peak: 0, CPU: 0, Counted: 0}
	used, err := cpuOf(pid)
	if err != nil {
		return nil, err
	}
	mem, err := memoryOf(pid)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(sayWithin); f.Counted != m.Events; { // it says so when it knows that the commit is stored
		if f.Counted, err = d.counted(ctx, data); err != nil {
			return nil, err
		}
		if f.Counted != m.Events && time.Now().After(end) {
			return nil, fmt.Errorf("%d events were counted of %d", f.Counted, m.Events)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
	f.Peak, f.CPU = mem.Peak, used*1e6/float64(m.Events)
	return f, nil
}
