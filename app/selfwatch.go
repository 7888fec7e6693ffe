package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/selfalert"
)

const (
	watchEvery = time.Second      // between two looks at what this process knows
	askEvery   = 10 * time.Second // between two questions to the broker
	askWithin  = 5 * time.Second
)

// selfwatch is the one place that raises alerts about driftd itself. They go to the log, to the metrics, and to whoever asks for
// what fires: the page and the API.
type selfwatch struct {
	app *App
	log *slog.Logger

	mu    sync.Mutex
	board *selfalert.Board

	asked   time.Time
	heard   []selfalert.Condition // from the broker, when it was asked last
	seen    map[string]uint64     // counters when they were looked at last
	pending map[int]waiting       // results on their way to the outbox, by partition
}

// waiting says since when a forwarder has had something to forward and forwarded nothing.
type waiting struct {
	forwarded uint64
	since     time.Time
}

func newSelfwatch(a *App) *selfwatch {
	return &selfwatch{
		app: a, log: a.log, mu: sync.Mutex{}, board: selfalert.NewBoard(), asked: time.Time{}, heard: nil, seen: map[string]uint64{},
		pending: map[int]waiting{},
	}
}

// Run looks until ctx ends.
func (w *selfwatch) Run(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		w.step(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// firing returns the alerts that fire now.
func (w *selfwatch) firing() []selfalert.Alert {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.board.Firing()
}

func (w *selfwatch) step(ctx context.Context, now time.Time) {
	connected := w.app.nc.IsConnected()
	if now.Sub(w.asked) >= askEvery && connected {
		w.asked, w.heard = now, w.ask(ctx)
	}
	holding := w.look(now)
	if connected {
		holding = append(holding, w.heard...)
	}
	w.mu.Lock()
	changed := w.board.Step(now.UnixMilli(), holding)
	w.mu.Unlock()
	for _, c := range changed {
		w.tell(ctx, c)
	}
}

func (w *selfwatch) tell(ctx context.Context, a selfalert.Alert) {
	attrs := []slog.Attr{
		slog.String("alert", string(a.Name)), slog.String("subject", a.Subject), slog.String("detail", a.Detail), slog.String("meaning", a.Summary),
	}
	switch {
	case a.Ended != 0:
		w.log.LogAttrs(ctx, slog.LevelInfo, "alert about driftd is over", attrs...)
	case a.Severity == selfalert.Critical:
		w.log.LogAttrs(ctx, slog.LevelError, "alert about driftd", append(attrs, slog.String("remedy", a.Remedy))...)
	default:
		w.log.LogAttrs(ctx, slog.LevelWarn, "alert about driftd", append(attrs, slog.String("remedy", a.Remedy))...)
	}
}

// conditions is a list in the making.
type conditions []selfalert.Condition

func (c *conditions) add(on bool, name selfalert.Name, subject, format string, args ...any) {
	if on {
		*c = append(*c, selfalert.Condition{Name: name, Subject: subject, Detail: fmt.Sprintf(format, args...)})
	}
}

// thresholds returns those of the configuration that holds now.
func (w *selfwatch) thresholds() config.SelfAlerts {
	w.app.mu.Lock()
	defer w.app.mu.Unlock()
	return w.app.config.SelfAlerts
}

// reaches says whether a share is at least so many percent.
func reaches(share float64, percent int) bool { return 100*share >= float64(percent) }

// look returns the conditions that this process knows of by itself.
func (w *selfwatch) look(now time.Time) conditions {
	var c conditions
	a, limits := w.app, w.thresholds()
	c.add(!a.nc.IsConnected(), selfalert.BrokerAway, "broker", "%s", a.BrokerURL())
	for _, s := range a.snapshots() {
		part := fmt.Sprintf("partition %d", s.Partition)
		stopped := !s.Running && s.Err != nil
		full := stopped && errors.Is(s.Err, pipeline.ErrFull)
		halted := stopped && errors.Is(s.Err, pipeline.ErrHalt)
		c.add(full, selfalert.StateFull, part, "%v", s.Err)
		c.add(halted, selfalert.PartitionHalted, part, "%v", s.Err)
		c.add(stopped && !full && !halted, selfalert.PartitionStopped, part, "%v", s.Err)
		behind := max(s.Last, s.Position.Seq) - s.Position.Seq
		c.add(s.Running && behind >= uint64(limits.LagMessages), selfalert.Lag, part, "%d messages", behind)
		c.add(s.AloneTo > 0, selfalert.NoProgress, part, "%d starts; message by message up to %d", s.Fruitless, s.AloneTo)
		c.add(w.grew(part+" lost", s.Stats.Lost), selfalert.MessagesLost, part, "%d since the start", s.Stats.Lost)
		c.add(w.grew(part+" sourced", s.Stats.SourcedBack), selfalert.SourcedBack, part, "%d times since the start", s.Stats.SourcedBack)
		c.add(w.grew(part+" quarantined", uint64(s.Quarantine)), selfalert.Quarantined, part, "%d since the start", s.Quarantine)
		c.add(s.PendingTrouble != "", selfalert.LabelCacheDown, part, "%s", s.PendingTrouble)
		c.add(w.grew(part+" labels", s.Stats.LabelsLost), selfalert.LabelsLost, part, "%d records since the start", s.Stats.LabelsLost)
		stats := a.forwarderStats(s.Partition)
		backlog, forwarded := stats.Backlog.Load(), stats.Forwarded.Load()
		c.add(w.stuck(s.Partition, backlog, forwarded, now), selfalert.ForwardingStopped, part, "%d documents wait", backlog)
	}
	for _, l := range a.looks() {
		part := fmt.Sprintf("partition %d", l.Number)
		c.add(w.grew(part+" leases", l.Lost), selfalert.LeaseLost, part, "%d since the start", l.Lost)
	}
	for _, courier := range a.notifiers.couriers {
		stats := courier.Stats()
		c.add(stats.Down, selfalert.NotifierDown, "notifier "+courier.Name(), "since %s, %d notices wait", stats.Since.UTC().Format(time.RFC3339), stats.Pending)
	}
	down, lost := a.sink.why(), a.sink.expired()
	c.add(down != "", selfalert.SinkDown, "store", "%s", down)
	c.add(w.grew("store expired", lost), selfalert.OutboxExpired, "store", "%d documents since the start", lost)
	return c
}

// grew says whether a counter has grown since it was looked at last. At the first look it is compared with zero.
func (w *selfwatch) grew(name string, n uint64) bool {
	before := w.seen[name]
	w.seen[name] = n
	return n > before
}

// stuck says whether something waits to be forwarded and nothing was since the last look. How long that must last says the table.
func (w *selfwatch) stuck(partition int, backlog, forwarded uint64, now time.Time) bool {
	p, known := w.pending[partition]
	if backlog == 0 || !known || p.forwarded != forwarded {
		w.pending[partition] = waiting{forwarded, now}
		return false
	}
	return true
}

// ask returns the conditions that only the broker knows of.
func (w *selfwatch) ask(ctx context.Context) conditions {
	var c conditions
	limits := w.thresholds()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	for _, s := range w.app.snapshots() {
		stream, err := w.app.js.Stream(ctx, journal.StateStream(s.Partition))
		if err != nil {
			continue // that the broker does not answer is noticed elsewhere
		}
		info := stream.CachedInfo()
		share := float64(info.State.Bytes) / float64(info.Config.MaxBytes)
		c.add(info.Config.MaxBytes > 0 && reaches(share, limits.StatePercent), selfalert.StateFilling, fmt.Sprintf("partition %d", s.Partition),
			"%d of %d bytes", info.State.Bytes, info.Config.MaxBytes)
	}
	if share, n, err := w.app.sink.behind(ctx); err == nil {
		c.add(reaches(share, limits.OutboxPercent) && n > sinkBatch, selfalert.SinkBehind, "store", "%d documents, %.0f %% of the outbox", n, 100*share)
	}
	return c
}

// Describe implements prometheus.Collector.
func (w *selfwatch) Describe(ch chan<- *prometheus.Desc) { ch <- w.desc() }

func (w *selfwatch) desc() *prometheus.Desc {
	return desc("driftd_alert", "Alerts about driftd itself: how many subjects each fires for.", "alert", "severity")
}

// Collect implements prometheus.Collector: one series for every alert of the table, so that an absent one is no silence.
func (w *selfwatch) Collect(ch chan<- prometheus.Metric) {
	n := map[selfalert.Name]float64{}
	for _, a := range w.firing() {
		n[a.Name]++
	}
	for _, r := range selfalert.Rules() {
		ch <- prometheus.MustNewConstMetric(w.desc(), prometheus.GaugeValue, n[r.Name], string(r.Name), string(r.Severity))
	}
}

// counted names the models that this process counts.
func (a *App) counted() []string {
	var out []string
	for _, s := range a.snapshots() {
		for _, source := range s.Sources {
			out = append(out, source.Model)
		}
	}
	return out
}

// snapshots returns what the workers said last of the partitions that this process works on, or could not work on.
func (a *App) snapshots() []pipeline.Snapshot {
	var out []pipeline.Snapshot
	for _, l := range a.looks() {
		if l.Seen && (l.Owned || l.Err != nil) {
			out = append(out, l.Snapshot)
		}
	}
	return out
}

// forwarderStats returns the totals of a partition's forwarder.
func (a *App) forwarderStats(partition int) *journal.ForwarderStats {
	return a.partitions[partition].forwarder.Stats()
}
