package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
)

const (
	numerics     = 16
	categoricals = 4

	repeatWithin = 2000 // a repeated id is one of the last so many
	labelDelay   = 1000 // events between a prediction and its label

	repeatShare = 0.01  // of the events
	lateShare   = 0.01  // behind the end of their window, within the lateness
	staleShare  = 0.001 // behind every lateness
	labelShare  = 0.1

	step = 10 * time.Millisecond // between two bursts
)

func models() []string   { return []string{"soak-a", "soak-b"} }
func versions() []string { return []string{"1", "2"} }

// generator makes events with values of a fixed distribution.
type generator struct{ rng *rand.Rand }

func newGenerator(rng *rand.Rand) *generator { return &generator{rng: rng} }

// event returns one event as it is published.
func (g *generator) event(model, id string, at time.Time) []byte {
	r := g.rng
	b := make([]byte, 0, 768)
	b = fmt.Appendf(b, `{"model":%q,"version":%q,"id":%q,"ts":%d,"latency_ms":%.2f,"status":"ok","prediction":%.3f,"features":{`,
		model, versions()[r.IntN(2)], id, at.UnixMilli(), math.Exp(1+r.NormFloat64()), r.Float64())
	for i := range numerics {
		b = fmt.Appendf(b, `"n%02d":`, i)
		if i == 0 && r.Float64() < 0.02 {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, math.Round(100*(float64(i)+r.NormFloat64()))/100, 'g', -1, 64)
		}
		b = append(b, ',')
	}
	for i := range categoricals {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `"c%02d":"k%d"`, i, r.IntN(8)*r.IntN(4))
	}
	return append(b, "}}"...)
}

// sent is what was published, and what the windows must say of it.
type sent struct {
	events  uint64 // each id once, in time or late within the lateness
	stale   uint64 // too late for any window
	repeats uint64
	labels  uint64
	late    uint64 // of the events: behind the end of their window
}

// producer publishes at a steady rate and waits for every acknowledgement.
type producer struct {
	o      options
	gen    *generator
	pub    *ingest.Publisher
	failed chan error // the first failure, for whoever watches
	sent   sent
	number uint64
	recent []published // ring of the last ones, for repetitions and labels
}

type published struct{ subject, model, id, body string }

func newProducer(js jetstream.JetStream, o options) *producer {
	return &producer{
		o: o, gen: newGenerator(rand.New(rand.NewPCG(o.seed, 2))), //nolint:gosec // a test's values
		pub: ingest.NewPublisher(js), failed: make(chan error, 1), sent: sent{}, number: 0, recent: make([]published, repeatWithin),
	}
}

// acknowledged returns how many messages the broker has acknowledged; safe at any time.
func (p *producer) acknowledged() uint64 {
	n, _ := p.pub.Acknowledged()
	return n
}

// run publishes until ctx ends.
func (p *producer) run(ctx context.Context) error {
	begin := time.Now()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for due := uint64(time.Since(begin).Seconds() * p.o.rate); p.number < due; {
			// An event that is begun is finished: what was sent is counted.
			if err := p.one(context.WithoutCancel(ctx), time.Since(begin)); err != nil {
				p.failed <- err
				return err
			}
		}
	}
}

// one publishes the next event: a new one, a late one or a repetition; and now and then a label.
func (p *producer) one(ctx context.Context, running time.Duration) error {
	p.number++
	r := p.gen.rng
	slot := &p.recent[p.number%repeatWithin]
	draw := r.Float64()
	if draw < repeatShare {
		old := p.recent[r.IntN(repeatWithin)]
		if old.id != "" {
			p.sent.repeats++
			return p.publish(ctx, old.subject, []byte(old.body))
		}
	}
	model := models()[r.IntN(2)]
	at := time.Now()
	stale := draw >= repeatShare+lateShare && draw < repeatShare+lateShare+staleShare && running > 2*p.o.window
	switch {
	case stale:
		at = at.Add(-15 * p.o.window)
		p.sent.stale++
	case draw < repeatShare+lateShare:
		at = at.Add(-p.o.window - time.Duration(r.Int64N(int64(p.o.window/2))))
		p.sent.events++
		p.sent.late++
	default:
		p.sent.events++
	}
	id := fmt.Sprintf("%s-%d", model, p.number)
	body, subject := p.gen.event(model, id, at), "ml.events."+model
	*slot = published{subject, model, id, string(body)}
	if stale {
		slot.id = "" // it is never accepted: sent again, it would be too late again
	}
	if err := p.publish(ctx, subject, body); err != nil {
		return err
	}
	if old := p.recent[(p.number-labelDelay)%repeatWithin]; old.id != "" && r.Float64() < labelShare {
		return p.label(ctx, old)
	}
	return nil
}

func (p *producer) label(ctx context.Context, of published) error {
	body, err := json.Marshal(map[string]any{"model": of.model, "id": of.id, "ts": time.Now().UnixMilli(), "label": p.number % 2})
	if err != nil {
		return err
	}
	// One label an event: a second one could say the same, and would be a repetition.
	p.recent[(p.number-labelDelay)%repeatWithin].id = ""
	p.sent.labels++
	return p.publish(ctx, "ml.labels."+of.model, body)
}

func (p *producer) publish(ctx context.Context, subject string, body []byte) error {
	return p.pub.Publish(ctx, subject, "", body, int(p.number))
}

// finish waits for the last acknowledgements, and publishes the marker that closes the last windows.
func (p *producer) finish(ctx context.Context) error {
	if err := p.pub.Flush(ctx); err != nil {
		return err
	}
	for _, m := range models() {
		c := event.Control{Kind: event.ControlMarker, Watermark: time.Now().UnixMilli(), Source: m, End: true} //nolint:exhaustruct // a marker
		if err := p.publish(ctx, journal.ControlSubject(0), c.Encode()); err != nil {
			return err
		}
	}
	if err := p.pub.Flush(ctx); err != nil {
		return err
	}
	return p.pub.Close()
}
