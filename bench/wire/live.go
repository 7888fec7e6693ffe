package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	driftbroker "github.com/driftd/driftd/broker"
)

const (
	delayMetric    = "driftd_pipeline_delay_seconds"
	latencySeconds = 20
	warmUp         = 3 * time.Second
	mostSeconds    = 8  // of the live maximum, behind the warm-up
	trickleRate    = 90 // a second: so few that the delay of every message is looked at
	behind         = 1_000_000
	quietSeconds   = 5
	catchUpWithin  = 3 * time.Minute
)

// delays is the histogram of the time from the broker's storing a message to its being counted: how many messages took at most so long.
type delays struct {
	bounds []float64
	counts []uint64
	total  uint64
}

// delaysOf reads the histogram of a partition from the daemon's /metrics.
func (d *daemon) delaysOf(ctx context.Context, data, partition string) (h delays, err error) {
	text, err := d.metrics(ctx, data)
	if err != nil {
		return h, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return h, fmt.Errorf("reading /metrics: %w", err)
	}
	for _, m := range families[delayMetric].GetMetric() {
		if labels := m.GetLabel(); len(labels) != 1 || labels[0].GetValue() != partition {
			continue
		}
		h.total = m.GetHistogram().GetSampleCount()
		for _, b := range m.GetHistogram().GetBucket() {
			h.bounds, h.counts = append(h.bounds, b.GetUpperBound()), append(h.counts, b.GetCumulativeCount())
		}
		return h, nil
	}
	return h, fmt.Errorf("/metrics has no %s of partition %s", delayMetric, partition)
}

// counted reads how many events were counted and committed.
func (d *daemon) counted(ctx context.Context, data string) (int, error) {
	text, err := d.metrics(ctx, data)
	if err != nil {
		return 0, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return 0, fmt.Errorf("reading /metrics: %w", err)
	}
	for _, m := range families["driftd_ingest_records_total"].GetMetric() {
		if labels := m.GetLabel(); len(labels) == 1 && labels[0].GetValue() == "event" {
			return int(m.GetCounter().GetValue()), nil
		}
	}
	return 0, errors.New("/metrics does not say how many events were counted")
}

// metrics reads the daemon's /metrics.
func (d *daemon) metrics(ctx context.Context, data string) (text io.Reader, err error) {
	where, err := driftbroker.ReadRuntime(data)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(where.WebURL, "/")+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	all, err := io.ReadAll(res.Body)
	return bytes.NewReader(all), err
}

// since returns what came behind an earlier reading.
func (h delays) since(earlier delays) delays {
	out := delays{bounds: h.bounds, counts: slices.Clone(h.counts), total: h.total - earlier.total}
	for i := range out.counts {
		out.counts[i] -= earlier.counts[i]
	}
	return out
}

// atMost returns the bound of the bucket that has the quantile q: so many messages, or more, took no longer.
func (h delays) atMost(q float64) float64 {
	for i, n := range h.counts {
		if float64(n) >= q*float64(h.total) {
			return h.bounds[i]
		}
	}
	return math.Inf(1)
}

// delayFigures is what is reported of a histogram, in seconds: bounds of its buckets.
type delayFigures struct {
	Looked int     `json:"messages_looked_at"`
	Median float64 `json:"median_at_most_seconds"`
	P99    float64 `json:"p99_at_most_seconds"`
	P999   float64 `json:"p999_at_most_seconds"`
	Most   float64 `json:"most_at_most_seconds"`
}

func (h delays) figures() delayFigures {
	return delayFigures{Looked: int(h.total), Median: h.atMost(0.5), P99: h.atMost(0.99), P999: h.atMost(0.999), Most: h.atMost(1)}
}

func (f delayFigures) String() string {
	ms := func(s float64) string {
		if math.IsInf(s, 1) {
			return "beyond the last bound"
		}
		return fmt.Sprintf("%.0f ms", s*1000)
	}
	return fmt.Sprintf("half of the messages within %s, 99 %% within %s, 99.9 %% within %s, all within %s (%d looked at)",
		ms(f.Median), ms(f.P99), ms(f.P999), ms(f.Most), f.Looked)
}

// latencyFigures is the time from storing to counting while half as much comes as can be published, stored and counted.
type latencyFigures struct {
	Most      float64      `json:"most_events_per_second"` // counted of what is stored already
	Live      float64      `json:"live_most_events_per_second"`
	Stored    float64      `json:"live_stored_events_per_second"`
	Counted   float64      `json:"live_counted_events_per_second"`
	Wanted    float64      `json:"wanted_events_per_second"`
	Published float64      `json:"published_events_per_second"`
	Late      float64      `json:"published_late_at_most_seconds"`
	Discard   delayFigures `json:"stored_to_discarded"` // by a consumer that does nothing else, before
	Delay     delayFigures `json:"stored_to_counted"`
}

// latency measures the most single messages that broker and daemon take while they come, and then how long each waits at half of that.
func latency(ctx context.Context, o *options, r *report, out io.Writer) (err error) {
	one := *o
	one.repeats = 1
	m, err := measureShape(ctx, &one, shapes()[0], out)
	if err != nil {
		return err
	}
	b, d, done, err := pair(ctx, o)
	if err != nil {
		return err
	}
	defer done()
	if err := b.create(ctx, inputStream, inputSubject, 0); err != nil {
		return err
	}
	if err := d.reference(ctx); err != nil {
		return err
	}
	f := &latencyFigures{Most: m.Driftd[0].Rate} //nolint:exhaustruct // not measured yet
	g := newGenerator(o)
	if f.Stored, f.Counted, err = d.liveMost(ctx, g); err != nil {
		return fmt.Errorf("measuring the live maximum: %w", err)
	}
	f.Live = min(f.Stored, f.Counted)
	f.Wanted = f.Live / 2
	fmt.Fprintf(out, "latency: %.0f events/s are the most that was counted of what is stored already; live %.0f, %.0f stored and %.0f counted\n",
		f.Most, f.Live, f.Stored, f.Counted)
	if err := b.empty(ctx); err != nil {
		return err
	}
	if f.Discard, err = b.waiting(ctx, g, f.Wanted); err != nil {
		return err
	}
	fmt.Fprintf(out, "latency: at %.0f events/s, of a consumer that throws them away: %v\n", f.Wanted, f.Discard)
	if err := b.empty(ctx); err != nil {
		return err
	}
	if err := b.clean(ctx); err != nil {
		return err
	}
	data := filepath.Join(d.dir, "live")
	if _, err := d.begin(ctx, data); err != nil {
		return err
	}
	defer d.kill()
	if _, err := b.publish(ctx, g, inputStream, inputSubject, f.Wanted, after(warmUp)); err != nil {
		return err
	}
	before, err := d.delaysOf(ctx, data, "0")
	if err != nil {
		return err
	}
	p, err := b.publish(ctx, g, inputStream, inputSubject, f.Wanted, after(latencySeconds*time.Second))
	if err != nil {
		return err
	}
	f.Published, f.Late = p.rate, p.late.Seconds()
	h, err := d.delaysOf(ctx, data, "0")
	if err != nil {
		return err
	}
	f.Delay = h.since(before).figures()
	r.Latency = f
	fmt.Fprintf(out, "latency: of driftd, at %.0f a second of %.0f wanted, published at most %.0f ms late: %v\n", f.Published, f.Wanted, 1000*f.Late, f.Delay)
	return nil
}

// liveMost publishes as fast as the broker stores and returns how fast the same messages were stored and counted, between two commits. Where the daemon
// falls behind, counting is the slower one; where it catches up with what came in the warm-up, storing.
func (d *daemon) liveMost(ctx context.Context, g *generator) (stored, counted float64, err error) {
	if err := d.broker.clean(ctx); err != nil {
		return 0, 0, err
	}
	commits, unwatch, err := d.broker.watch()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, unwatch()) }()
	if _, err := d.begin(ctx, filepath.Join(d.dir, "most")); err != nil {
		return 0, 0, err
	}
	defer d.kill()
	live, stop := context.WithCancel(ctx)
	defer stop()
	published := make(chan error, 1) // one publisher, one answer
	go func() {
		_, err := d.broker.publish(ctx, g, inputStream, inputSubject, math.Inf(1), live.Done())
		published <- err
		stop() // without a publisher there is nothing to follow
	}()
	d.enough = warmUp + mostSeconds*time.Second
	seen, err := d.follow(live, commits, math.MaxInt)
	stop()
	if err := <-published; err != nil {
		return 0, 0, err
	}
	if err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, d.tail())
	}
	warm := slices.IndexFunc(seen, func(c commit) bool { return c.at.Sub(seen[0].at) >= warmUp })
	first, last := seen[warm], seen[len(seen)-1]
	events := float64(last.seq - first.seq)
	if events == 0 {
		return 0, 0, errors.New("driftd counted nothing behind the warm-up")
	}
	begin, err := d.broker.storedAt(ctx, inputStream, uint64(first.seq))
	if err != nil {
		return 0, 0, err
	}
	end, err := d.broker.storedAt(ctx, inputStream, uint64(last.seq))
	if err != nil {
		return 0, 0, err
	}
	return events / end.Sub(begin).Seconds(), events / last.at.Sub(first.at).Seconds(), nil
}

// catchUpFigures is what one partition's catching up does to another.
type catchUpFigures struct {
	Behind  int          `json:"events_behind"`
	Seconds float64      `json:"caught_up_after_seconds"`
	During  delayFigures `json:"other_partition_while_catching_up"`
	Quiet   delayFigures `json:"other_partition_afterwards"`
}

// catchUp measures how long the few messages of a partition wait while another one of the same daemon is far behind.
func catchUp(ctx context.Context, o *options, r *report, out io.Writer) (err error) {
	two := *o
	two.models = 2
	b, d, done, err := pair(ctx, &two)
	if err != nil {
		return err
	}
	defer done()
	d.partitions = []any{
		map[string]any{"stream": inputStream, "models": []string{modelName(0)}}, map[string]any{"stream": liveStream, "models": []string{modelName(1)}},
	}
	first, second := newGenerator(o), newGenerator(o)
	second.first = 1
	begun := time.Now()
	m := &measured{Shape: "single", EventsPerMessage: 1, Features: o.features, Models: 1} //nolint:exhaustruct // nothing is measured yet
	if err := b.fill(ctx, first, shapes()[0], behind, m); err != nil {
		return fmt.Errorf("filling the stream: %w", err)
	}
	fmt.Fprintf(out, "catch-up: %d messages of %.0f bytes stored in %.0f s\n", m.Messages, m.MessageBytes, time.Since(begun).Seconds())
	if err := b.create(ctx, liveStream, liveSubject, 0); err != nil {
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
	data := filepath.Join(d.dir, "live")
	if _, err := d.begin(ctx, data); err != nil {
		return err
	}
	defer d.kill()
	begun = time.Now()
	before, err := d.delaysOf(ctx, data, "1")
	if err != nil {
		return err
	}
	f := &catchUpFigures{Behind: behind} //nolint:exhaustruct // not measured yet
	live, stop := context.WithCancel(ctx)
	defer stop()
	published := make(chan error, 1) // one publisher, one answer
	go func() {
		_, err := b.publish(ctx, second, liveStream, liveSubject, trickleRate, live.Done())
		published <- err
	}()
	if err := d.await(ctx, commits, behind, catchUpWithin); err != nil {
		return err
	}
	f.Seconds = time.Since(begun).Seconds()
	during, err := d.delaysOf(ctx, data, "1")
	if err != nil {
		return err
	}
	if err := pause(ctx, quietSeconds*time.Second); err != nil {
		return err
	}
	stop()
	if err := <-published; err != nil {
		return err
	}
	after, err := d.delaysOf(ctx, data, "1")
	if err != nil {
		return err
	}
	f.During, f.Quiet = during.since(before).figures(), after.since(during).figures()
	r.CatchUp = f
	fmt.Fprintf(out, "catch-up: %d events behind were counted in %.1f s; another partition's meanwhile: %v; afterwards: %v\n", f.Behind, f.Seconds, f.During, f.Quiet)
	return nil
}

// pair returns a broker and a daemon that does not run yet, in a directory of their own.
func pair(ctx context.Context, o *options) (b *broker, d *daemon, done func(), err error) {
	dir, err := os.MkdirTemp(o.dir, "pair-")
	if err != nil {
		return nil, nil, nil, err
	}
	if b, err = startBroker(ctx, o.broker, filepath.Join(dir, "broker")); err != nil {
		return nil, nil, nil, err
	}
	return b, newDaemon(o, b, dir), func() {
		b.stop()
		_ = os.RemoveAll(dir) // it lies in a directory that is removed at the end
	}, nil
}
