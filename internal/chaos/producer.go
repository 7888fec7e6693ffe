package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	inMessage = 10 // records of most messages
	senders   = 16 // messages in flight
	lateness  = 20 * time.Second
	numerics  = 4

	repeatWithin = 2000  // a repeated id is one of the last so many
	repeatShare  = 0.01  // of the events
	lateShare    = 0.02  // within the lateness
	staleShare   = 0.003 // behind every lateness
	futureShare  = 0.001
	badShare     = 0.002 // records that are no JSON
	labelShare   = 0.05  // of the messages
)

func models() []string { return []string{"chaos-a", "chaos-b"} }

// generator makes events with values of a fixed distribution.
type generator struct{ rng *rand.Rand }

func newGenerator(rng *rand.Rand) *generator { return &generator{rng: rng} }

// event returns one event as it is published.
func (g *generator) event(model, id string, at time.Time) []byte {
	r := g.rng
	b := make([]byte, 0, 256)
	b = fmt.Appendf(b, `{"model":%q,"version":"%d","id":%q,"ts":%d,"latency_ms":%.1f,"status":"ok","prediction":%.2f,"features":{`,
		model, 1+r.IntN(2), id, at.UnixMilli(), math.Exp(1+r.NormFloat64()), r.Float64())
	for i := range numerics {
		b = fmt.Appendf(b, `"n%d":`, i)
		if i == 0 && r.Float64() < 0.02 {
			b = append(b, "null"...)
		} else {
			b = strconv.AppendFloat(b, math.Round(10*(float64(i)+r.NormFloat64()))/10, 'g', -1, 64)
		}
		b = append(b, ',')
	}
	return fmt.Appendf(b, `"c":"k%d"}}`, r.IntN(8)*r.IntN(4))
}

// message is what is published at once. Its id is the same at every attempt.
type message struct {
	subject, id string
	body        []byte
	events      uint64
	repeats     uint64
}

// producer publishes at a rate and waits for every acknowledgement: a message is sent until the broker says that it is stored.
type producer struct {
	c   *client
	o   options
	gen *generator

	events, messages, repeats, resent, known atomic.Uint64 // acknowledged; attempts that failed; stored before

	number uint64 // of events
	sent   uint64 // messages that were begun
	recent [repeatWithin][]byte
	ids    []string // of a model's last events, for labels
}

func newProducer(c *client, o options) *producer {
	return &producer{c: c, o: o, gen: newGenerator(o.random(3))} //nolint:exhaustruct // nothing was sent
}

// run publishes until ctx ends, and returns when everything that was begun is acknowledged.
func (p *producer) run(ctx context.Context) error {
	queue := make(chan message, 4*senders)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.o.duration+10*time.Minute)
	defer cancel()
	errs := make(chan error, senders)
	var all sync.WaitGroup
	for range senders {
		all.Go(func() {
			for m := range queue {
				if err := p.send(late, m); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	begin := time.Now()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var err error
	for ctx.Err() == nil && err == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		for due := uint64(time.Since(begin).Seconds() * p.o.rate); p.number < due && ctx.Err() == nil && err == nil; {
			select {
			case queue <- p.next():
			case err = <-errs:
			}
		}
	}
	close(queue)
	all.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (p *producer) send(ctx context.Context, m message) error {
	for {
		actx, cancel := context.WithTimeout(ctx, 5*time.Second)
		ack, err := p.c.js.Publish(actx, m.subject, m.body, jetstream.WithMsgID(m.id))
		cancel()
		switch {
		case err == nil:
			p.events.Add(m.events)
			p.repeats.Add(m.repeats)
			p.messages.Add(1)
			if ack.Duplicate {
				p.known.Add(1)
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("publishing message %s: %w", m.id, err)
		}
		p.resent.Add(1)
		_ = pause(ctx, 50*time.Millisecond) // the next attempt tells
	}
}

// next makes the next message: as a rule some events of one model, a line each.
func (p *producer) next() message {
	p.sent++
	r := p.gen.rng
	model := models()[r.IntN(len(models()))]
	m := message{subject: "ml.events." + model, id: fmt.Sprintf("chaos-%d-%d", p.o.seed, p.sent), body: nil, events: 0, repeats: 0}
	if len(p.ids) > 0 && r.Float64() < labelShare {
		m.subject = "ml.labels." + model
		m.body = fmt.Appendf(nil, `{"model":%q,"id":%q,"ts":%d,"label":%d}`, model, p.ids[r.IntN(len(p.ids))], time.Now().UnixMilli(), r.IntN(2))
		return m
	}
	var lines [][]byte
	for range inMessage {
		lines = append(lines, p.record(&m, model))
	}
	m.body = bytes.Join(lines, []byte("\n"))
	return m
}

func (p *producer) record(m *message, model string) []byte {
	r := p.gen.rng
	p.number++
	m.events++
	slot := p.number % repeatWithin
	draw := r.Float64()
	at := time.Now()
	passes := func(share float64) bool {
		draw -= share
		return draw < 0
	}
	switch {
	case passes(badShare):
		return []byte(`{"model":"` + model + `","features":{"n0":`)
	case passes(repeatShare):
		// Of the same model only: the body would disagree with the subject.
		if old := p.recent[r.IntN(repeatWithin)]; old != nil && bytes.Contains(old, []byte(model)) {
			m.repeats++
			return old
		}
	case passes(lateShare):
		at = at.Add(-time.Duration(r.Int64N(int64(lateness))))
	case passes(staleShare):
		at = at.Add(-10 * lateness)
	case passes(futureShare):
		at = at.Add(time.Hour)
	}
	id := fmt.Sprintf("e%d", p.number)
	body := p.gen.event(model, id, at)
	p.recent[slot] = body
	if len(p.ids) < repeatWithin {
		p.ids = append(p.ids, id)
	} else {
		p.ids[slot] = id
	}
	return body
}
