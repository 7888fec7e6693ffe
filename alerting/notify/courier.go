package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// Message is one committed transition on its way here.
type Message struct {
	Data []byte
	Time time.Time // of the broker, when it was published
	Ack  func() error
}

// Source hands out committed transitions, each at least once.
type Source interface {
	// Fetch waits for the first message as long as ctx lives, and returns it with those that are there already.
	Fetch(ctx context.Context, limit int) ([]Message, error)
}

// Options of a Courier.
type Options struct {
	Name     string // of the notifier, as it is configured
	Notifier Notifier
	Source   func(context.Context) (Source, error)
	Records  jetstream.KeyValue // nil: nothing is kept over a restart
	Silences func() []alerting.Silence
	Match    func(labels map[string]string) bool // which notices are told here; nil: all
	Logger   *slog.Logger
	Now      func() time.Time // the wall clock

	Timeout  time.Duration // of one delivery
	MaxWait  time.Duration // between two tries while the receiver is away
	Grouping time.Duration // how long a change waits for others of the same moment
}

// Courier brings the transitions of incidents to one notifier.
type Courier struct {
	o       Options
	records records
	known   map[string]*record
	retryAt time.Time
	wait    time.Duration
	each    bool // the notifier wants every transition by itself
	paused  bool // the last delivery ended with the receiver asking for a pause
	down    atomic.Bool

	told, failed, refused atomic.Uint64
	pending               atomic.Int64
	since                 atomic.Int64 // Unix milliseconds since when the receiver is away; 0: it is not
}

// Stats are a courier's figures.
type Stats struct {
	Told    uint64 // notices that the receiver took
	Failed  uint64 // deliveries that failed and are tried again
	Refused uint64 // notices that the receiver will not have
	Pending int64  // notices that wait
	Down    bool   // the receiver does not answer
	Since   time.Time
}

// Bounds of a courier.
const (
	fetchLimit   = 500
	deliverLimit = 500              // notices of one delivery: what belongs together goes out together
	maxPause     = 15 * time.Minute // the longest pause that a receiver is given
	firstWait    = 1 * time.Second
	noteTime     = 5 * time.Second // to note what was told of one incident
	keepEnded    = 24 * time.Hour  // what was told of an incident that is over is kept so long, against late repetitions
)

// NewCourier returns a courier; Run makes it work.
func NewCourier(o Options) *Courier {
	_, each := o.Notifier.(Follower)
	return &Courier{o: o, records: records{kv: o.Records, name: o.Name}, known: nil, wait: firstWait, each: each} //nolint:exhaustruct // counters begin at zero
}

// Stats returns the courier's figures; safe to call at any time.
func (c *Courier) Stats() Stats {
	s := Stats{
		Told: c.told.Load(), Failed: c.failed.Load(), Refused: c.refused.Load(), Pending: c.pending.Load(),
		Down: c.down.Load(), Since: time.Time{},
	}
	if ms := c.since.Load(); ms > 0 {
		s.Since = time.UnixMilli(ms)
	}
	return s
}

// Name returns the notifier's name.
func (c *Courier) Name() string { return c.o.Name }

// Run works until ctx ends. A broker or a receiver that is away is waited for.
func (c *Courier) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop
		}
		if errors.Is(err, errStale) {
			continue // another process told something: read again what is known
		}
		c.o.Logger.WarnContext(ctx, "a notifier cannot read what there is to tell", slog.String("notifier", c.o.Name), slog.Any("err", err))
		select {
		case <-ctx.Done():
		case <-time.After(c.o.MaxWait/10 + time.Duration(rand.Int64N(int64(firstWait)))): //nolint:gosec // jitter is no secret
		}
	}
	return nil
}

func (c *Courier) session(ctx context.Context) error {
	known, err := c.records.load(ctx)
	if err != nil {
		return err
	}
	c.known = known
	source, err := c.o.Source(ctx)
	if err != nil {
		return err
	}
	for {
		if err := c.deliver(ctx); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, c.nextWait())
		msgs, err := c.fetch(wait, source)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return err
		case len(msgs) == 0:
			continue
		}
		if err := c.take(ctx, msgs); err != nil {
			return err
		}
		c.gather(ctx, source)
	}
}

// fetch waits for what there is to tell. A follower is given one transition after the other: while one waits, the next stays in
// the stream.
func (c *Courier) fetch(ctx context.Context, source Source) ([]Message, error) {
	if !c.each {
		return source.Fetch(ctx, fetchLimit)
	}
	if c.pending.Load() > 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return source.Fetch(ctx, 1)
}

// gather waits a moment for what belongs to the same window: it goes out together.
func (c *Courier) gather(ctx context.Context, source Source) {
	if c.o.Grouping <= 0 || c.each {
		return
	}
	wait, cancel := context.WithTimeout(ctx, c.o.Grouping)
	defer cancel()
	for {
		msgs, err := source.Fetch(wait, fetchLimit)
		if err != nil || len(msgs) == 0 {
			return
		}
		if c.take(ctx, msgs) != nil {
			return // not acknowledged: they come again
		}
	}
}

// take notes transitions, and acknowledges them when they are noted.
func (c *Courier) take(ctx context.Context, msgs []Message) error {
	changed := map[string]*record{}
	for _, m := range msgs {
		var t result.Transition
		if err := json.Unmarshal(m.Data, &t); err != nil || t.Incident == "" {
			c.o.Logger.ErrorContext(ctx, "a transition cannot be read and is left out", slog.String("notifier", c.o.Name), slog.Any("err", err))
			continue
		}
		if c.o.Match != nil && !c.o.Match(alerting.Labels(&t)) {
			continue
		}
		rec := c.known[t.Incident]
		if rec == nil {
			if !c.each && t.To != result.Firing && t.To != result.Resolved {
				continue // nothing that anybody was told, or needs to be
			}
			rec = &record{} //nolint:exhaustruct // filled by note
		}
		if rec.note(&t, m.Time) {
			c.known[t.Incident], changed[t.Incident] = rec, rec
		}
	}
	for _, incident := range slices.Sorted(maps.Keys(changed)) {
		if err := c.records.save(ctx, changed[incident]); err != nil {
			return err
		}
	}
	c.pending.Add(int64(len(changed))) // before they are acknowledged: whoever looks finds them in one place or the other; due counts anew
	for _, m := range msgs {
		if err := m.Ack(); err != nil {
			return fmt.Errorf("acknowledging a transition: %w", err)
		}
	}
	return nil
}

// due lists what is to be told now, the oldest first.
func (c *Courier) due(now time.Time) []*record {
	every, after := time.Duration(0), time.Duration(0)
	if r, ok := c.o.Notifier.(Repeater); ok {
		every, after = r.Repeat()
	}
	silences := c.o.Silences()
	var out []*record
	pending := 0
	for _, rec := range c.known {
		changed := rec.Told != rec.Latest.ID && rec.Refused == ""
		repeat := every > 0 && rec.Told != "" && now.Sub(rec.At) >= every && (rec.Ended.IsZero() || now.Sub(rec.Ended) < after)
		over := rec.Latest.To == result.Resolved
		switch {
		case !changed && !repeat:
			continue
		case c.each: // it reads for itself what the transition says
		case rec.Latest.To != result.Firing && !over:
			continue
		case !over && rec.Latest.InhibitedBy != "":
			continue // another incident says it
		case over && rec.Told == "" && rec.Latest.InhibitedBy != "":
			continue
		}
		if !over && !c.each && alerting.Silenced(silences, &rec.Latest, now) != nil {
			continue
		}
		if changed {
			pending++
		}
		out = append(out, rec)
	}
	c.pending.Store(int64(pending))
	slices.SortFunc(out, func(a, b *record) int {
		return cmp.Or(cmp.Compare(a.Latest.Window.End, b.Latest.Window.End), cmp.Compare(a.Latest.Incident, b.Latest.Incident))
	})
	return out
}

// deliver tells what is due, and forgets what is over.
func (c *Courier) deliver(ctx context.Context) error {
	now := c.o.Now()
	if now.Before(c.retryAt) {
		return nil
	}
	for {
		due := c.due(now)
		if len(due) == 0 {
			break
		}
		due = due[:min(len(due), deliverLimit)]
		more, err := c.tell(ctx, due, now)
		if err != nil {
			return err
		}
		if !more {
			break
		}
	}
	return c.forget(ctx, now)
}

// tell delivers some notices. more is false when the receiver is away.
func (c *Courier) tell(ctx context.Context, due []*record, now time.Time) (more bool, err error) {
	notices := make([]Notice, 0, len(due))
	for _, rec := range due {
		notices = append(notices, Notice{
			Transition: rec.Latest, Fired: rec.Fired, Ended: rec.Ended, New: rec.Told == "", Changed: rec.Told != rec.Latest.ID, Memory: rec.Memory,
		})
	}
	bounded, cancel := context.WithTimeout(ctx, c.o.Timeout)
	outcomes := c.o.Notifier.Deliver(bounded, notices)
	cancel()
	stopped := ctx.Err() != nil
	var away error
	var pause time.Duration
	moved := false
	for i, o := range outcomes {
		rec := due[i]
		rec.Memory = o.Memory
		switch {
		case o.Later:
		case o.Err == nil:
			if rec.Told != rec.Latest.ID {
				c.told.Add(1)
			}
			rec.Told, rec.At, moved = rec.Latest.ID, now, true
		case o.Refused:
			c.refused.Add(1)
			rec.Refused, moved = o.Err.Error(), true
			c.o.Logger.ErrorContext(ctx, "a receiver refused a notice; the incident is on the page, and its next change is told",
				slog.String("notifier", c.o.Name), slog.String("incident", rec.Latest.Incident), slog.String("title", rec.Latest.Title), slog.Any("err", o.Err))
		case stopped:
		default:
			c.failed.Add(1)
			away, pause = o.Err, max(pause, min(o.Pause, maxPause))
		}
		if o.Err == nil && !o.Later || o.Refused || o.Memory != nil {
			if err := c.keep(ctx, rec); err != nil {
				return false, err
			}
		}
	}
	if stopped {
		return false, context.Canceled
	}
	if away == nil && !moved {
		away = errors.New("there was no time to tell anything: raise its timeout")
	}
	if away == nil {
		c.back(ctx)
		return true, nil
	}
	c.away(ctx, away, pause, now)
	return false, nil
}

// keep notes what was told, also when the courier is stopped in this moment: an orderly stop repeats nothing.
func (c *Courier) keep(ctx context.Context, rec *record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer cancel()
	return c.records.save(ctx, rec)
}

// away notes that the receiver could not be told, and when to try again. One that asks for a pause is not away, unless it asks
// again when the pause is over.
func (c *Courier) away(ctx context.Context, err error, pause time.Duration, now time.Time) {
	asks := pause > 0 && !c.paused
	c.paused = pause > 0
	if !asks && c.down.CompareAndSwap(false, true) {
		c.since.Store(now.UnixMilli())
		c.o.Logger.WarnContext(ctx, "a receiver of alerts does not answer; what there is to tell waits",
			slog.String("notifier", c.o.Name), slog.Any("err", err))
	}
	c.retryAt = now.Add(max(pause, c.wait+time.Duration(rand.Int64N(int64(c.wait)/5+1)))) //nolint:gosec // jitter is no secret
	c.wait = min(2*c.wait, c.o.MaxWait)
}

func (c *Courier) back(ctx context.Context) {
	c.wait, c.retryAt, c.paused = firstWait, time.Time{}, false
	c.since.Store(0)
	if c.down.CompareAndSwap(true, false) {
		c.o.Logger.InfoContext(ctx, "a receiver of alerts answers again", slog.String("notifier", c.o.Name))
	}
}

// nextWait returns how long to wait for new transitions before something else is due.
func (c *Courier) nextWait() time.Duration {
	wait := time.Second // silences end, repetitions are due: looking costs nothing
	if now := c.o.Now(); now.Before(c.retryAt) {
		wait = min(wait, c.retryAt.Sub(now))
	}
	return max(wait, 10*time.Millisecond)
}

// forget removes what was told of incidents that have been over for long.
func (c *Courier) forget(ctx context.Context, now time.Time) error {
	for incident, rec := range c.known {
		over := rec.Latest.To == result.Resolved || rec.Latest.To == result.Inactive
		if !over || now.Sub(rec.Ended) < keepEnded {
			continue
		}
		if err := c.records.forget(ctx, rec); err != nil {
			return err
		}
		delete(c.known, incident)
	}
	return nil
}
