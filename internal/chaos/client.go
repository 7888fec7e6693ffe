package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/journal"
)

// client is the connection of the producer and of the comparison: straight to the brokers.
type client struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// connect waits for a cluster that can keep a stream on all its servers.
func connect(ctx context.Context, urls []string) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	nc, err := broker.Connect(ctx, broker.ConnectOptions{URL: strings.Join(urls, ","), Name: "chaos"}) //nolint:exhaustruct // no secrets
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	for {
		const probe = "CHAOS_PROBE"
		actx, cancel := context.WithTimeout(ctx, 2*time.Second)                                                                    // without a leader there is no answer
		_, err := js.CreateStream(actx, jetstream.StreamConfig{Name: probe, Subjects: []string{"chaos.probe"}, Replicas: brokers}) //nolint:exhaustruct // a probe
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return &client{nc, js}, js.DeleteStream(ctx, probe)
		}
		if !pause(ctx, 200*time.Millisecond) {
			nc.Close()
			return nil, errors.Join(errBroker, err)
		}
	}
}

// standing returns how far the input is committed, and its end.
func (c *client) standing(ctx context.Context) (position, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, journal.InputStream(0))
	if err != nil {
		return 0, 0, err
	}
	head, err := journal.ReadCheckpoint(ctx, c.js, 0)
	if err != nil || head == nil || head.Position == nil {
		return 0, s.CachedInfo().State.LastSeq, err
	}
	var id ingest.Identity
	if err := json.Unmarshal(head.Position, &id); err != nil {
		return 0, 0, fmt.Errorf("reading the committed position: %w", err)
	}
	return id.Seq, s.CachedInfo().State.LastSeq, nil
}

// forwarded says whether every committed document is in the outbox.
func (c *client) forwarded(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	s, err := c.js.Stream(ctx, journal.StateStream(0))
	if err != nil {
		return false, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter("driftd.state.0.out.>"))
	if err != nil {
		return false, err
	}
	return len(info.State.Subjects) == 0, nil
}
