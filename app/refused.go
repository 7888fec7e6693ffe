package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/influx"
)

// The stream of what a store refused for good: 64 MiB, and at most 30 days old.
const (
	refusedStream  = "DRIFTD_REFUSED"
	refusedSubject = "driftd.refused."
	refusedAge     = 30 * 24 * time.Hour
	refusedBytes   = 64 << 20
	refusedAhead   = 500 // lines on their way to the broker at a time
)

// keepRefused stores what a store refused before the documents are acknowledged: nothing vanishes.
func keepRefused(ctx context.Context, js jetstream.JetStream, sink string, refused []influx.Refusal) error {
	if len(refused) == 0 {
		return nil
	}
	if _, err := js.Stream(ctx, refusedStream); errors.Is(err, jetstream.ErrStreamNotFound) {
		if _, err := js.CreateStream(ctx, jetstream.StreamConfig{ //nolint:exhaustruct // the rest stays the broker's default
			Name: refusedStream, Description: "driftd: lines that a store refused for good", Subjects: []string{refusedSubject + ">"},
			Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, MaxAge: refusedAge, MaxBytes: refusedBytes,
			MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
		}); err != nil {
			return fmt.Errorf("creating the stream %s: %w", refusedStream, err)
		}
	} else if err != nil {
		return fmt.Errorf("opening the stream %s: %w", refusedStream, err)
	}
	var waiting []jetstream.PubAckFuture
	for i := range refused {
		data, err := json.Marshal(refused[i])
		if err != nil {
			return fmt.Errorf("encoding a refused line of %s: %w", refused[i].ID, err)
		}
		ack, err := js.PublishAsync(refusedSubject+sink, data)
		if err != nil {
			return fmt.Errorf("keeping a refused line of %s: %w", refused[i].ID, err)
		}
		if waiting = append(waiting, ack); len(waiting) == refusedAhead || i == len(refused)-1 {
			if err := acknowledged(ctx, waiting); err != nil {
				return fmt.Errorf("keeping a refused line: %w", err)
			}
			waiting = waiting[:0]
		}
	}
	return nil
}

// acknowledged waits until the broker has stored all of them.
func acknowledged(ctx context.Context, all []jetstream.PubAckFuture) error {
	for _, ack := range all {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
