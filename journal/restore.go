package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	readBatch = 32 // messages of at most maxPart bytes: far below the server's 64 MiB of pending bytes for a client
	maxPart   = 1 << 20
)

// restore reads the live shards and takes them only if their digest is the committed one. The consumer may be served by a
// replica that lags behind the leader, so it is read again until it fits; this owner's epoch keeps everybody else from
// writing meanwhile.
func (j *Journal) restore(ctx context.Context) (map[string][]byte, error) {
	var last error
	for attempt := range restoreAttempts {
		if attempt > 0 {
			if err := pause(ctx, attempt); err != nil {
				return nil, errors.Join(fmt.Errorf("restoring partition %d: %w", j.partition, err), last)
			}
			head, _, err := j.ask(ctx)
			if err != nil {
				return nil, fmt.Errorf("restoring partition %d: %w", j.partition, err)
			}
			if head.Owner != j.owner || head.Epoch != j.head.Epoch {
				return nil, &FencedError{Partition: j.partition, Owner: head.Owner, Epoch: head.Epoch, Err: last}
			}
		}
		shards, err := j.readShards(ctx)
		if err != nil {
			last = err
			continue
		}
		hashes, sum := make(map[string]digest, len(shards)), digest{}
		for name, data := range shards {
			d := shardDigest(name, data)
			hashes[name] = d
			sum = sum.plus(d) // addition commutes: the map's order does not matter
		}
		if sum.String() == j.head.Digest && len(shards) == j.head.Shards {
			j.hashes, j.sum = hashes, sum
			return shards, nil
		}
		last = &RestoreError{
			Stream: j.opts.Stream, WantedShards: j.head.Shards, ReadShards: len(shards), Wanted: j.head.Digest, Read: sum.String(),
		}
		j.opts.Logger.Warn("restored shards do not fit the checkpoint, reading again",
			slog.Int("partition", j.partition), slog.Int("shards", len(shards)), slog.Int("wanted", j.head.Shards))
	}
	return nil, last
}

// readShards reads the last message of every shard subject, in sequence order. An empty one stands for a deleted shard.
func (j *Journal) readShards(ctx context.Context) (map[string][]byte, error) {
	shards := map[string][]byte{}
	err := readAll(ctx, j.js, j.opts.Stream, jetstream.ConsumerConfig{
		FilterSubject: j.subj.shard + ">", DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy,
	}, func(m jetstream.Msg, _ *jetstream.MsgMetadata) error {
		name := strings.TrimPrefix(m.Subject(), j.subj.shard)
		if len(m.Data()) == 0 {
			delete(shards, name)
			return nil
		}
		shards[name] = m.Data()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading shards of stream %s: %w", j.opts.Stream, err)
	}
	return shards, nil
}

// readAll calls f with every message that a fresh consumer finds, and returns at the stream's present end.
func readAll(
	ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.ConsumerConfig,
	f func(jetstream.Msg, *jetstream.MsgMetadata) error,
) error {
	cfg.AckPolicy, cfg.MemoryStorage, cfg.Replicas, cfg.InactiveThreshold = jetstream.AckNonePolicy, true, 1, time.Minute
	c, err := js.CreateConsumer(ctx, stream, cfg)
	if err != nil {
		return err
	}
	defer deleteConsumer(ctx, js, stream, c.CachedInfo().Name)
	pending, silent := c.CachedInfo().NumPending, 0
	for pending > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, err := c.FetchNoWait(readBatch)
		if err != nil {
			return err
		}
		got := 0
		for m := range batch.Messages() {
			md, err := m.Metadata()
			if err != nil {
				return err
			}
			got++
			pending = md.NumPending
			if err := f(m, md); err != nil {
				return err
			}
		}
		err = batch.Error()
		// In a cluster the server that has the consumer may not listen yet when another says that it was created.
		if got == 0 && errors.Is(err, nats.ErrNoResponders) && silent < restoreAttempts {
			silent++
			if err := pause(ctx, silent); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if got == 0 {
			return nil // what was pending has expired since
		}
	}
	return nil
}

// deleteConsumer is a courtesy: the server forgets an unused consumer by itself after a while.
func deleteConsumer(ctx context.Context, js jetstream.JetStream, stream, name string) {
	dctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	_ = js.DeleteConsumer(dctx, stream, name)
}
