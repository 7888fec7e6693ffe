package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/result"
)

const (
	deadPack      = 512 << 10 // bytes of one message of dead letters
	maxDeadText   = 512       // bytes of a subject or detail
	deadLetterLen = 400       // bytes that a dead letter takes beside its texts, at most
	maxDeadList   = 100_000
)

// DeadLetter points at a record that was not accepted; texts are cut at 512 bytes when it is committed.
type DeadLetter = result.DeadLetter

func boundDead(d DeadLetter) DeadLetter {
	d.Subject, d.Detail = clip(d.Subject, maxDeadText), clip(d.Detail, maxDeadText)
	d.Stream, d.Model, d.Reason = clip(d.Stream, 256), clip(d.Model, maxModelLen), clip(d.Reason, 64)
	d.SHA256 = clip(d.SHA256, 64)
	return d
}

// countDead is an estimate from above, without encoding.
func countDead(ds []DeadLetter) (messages, size int) {
	if len(ds) == 0 {
		return 0, 0
	}
	for _, d := range ds {
		d = boundDead(d)
		// Texts that need escaping are rare and at most six times longer; the bound of a batch has room for it.
		size += deadLetterLen + 2*(len(d.Subject)+len(d.Detail)+len(d.Stream)+len(d.Model)+len(d.Reason)+len(d.SHA256))
	}
	messages = size/(deadPack/2) + 1
	return messages, size + messages*messageOverhead
}

// deadMsgs packs dead letters into as few messages as their size allows.
func (j *Journal) deadMsgs(ds []DeadLetter) ([]*nats.Msg, error) {
	var msgs []*nats.Msg
	var b bytes.Buffer
	flush := func() {
		if b.Len() == 0 {
			return
		}
		b.WriteByte(']')
		m := newMsg(j.subj.dead, bytes.Clone(b.Bytes()))
		m.Header.Set(headerTTL, seconds(j.opts.DeadLetterTTL))
		msgs = append(msgs, m)
		b.Reset()
	}
	for _, d := range ds {
		e, err := json.Marshal(boundDead(d))
		if err != nil {
			return nil, fmt.Errorf("encoding dead letter of sequence %d: %w", d.Seq, err)
		}
		if b.Len()+len(e)+2 > deadPack {
			flush()
		}
		if b.Len() == 0 {
			b.WriteByte('[')
		} else {
			b.WriteByte(',')
		}
		b.Write(e)
	}
	flush()
	return msgs, nil
}

// ListDeadLetters returns the newest dead letters of a partition, oldest first, at most limit of them (0: as many as are
// kept, but no more than 100,000).
func ListDeadLetters(ctx context.Context, js jetstream.JetStream, partition, limit int) ([]DeadLetter, error) {
	if limit <= 0 || limit > maxDeadList {
		limit = maxDeadList
	}
	stream := StateStream(partition)
	var all []DeadLetter
	err := readAll(ctx, js, stream, jetstream.ConsumerConfig{
		FilterSubject: stateSubjects(partition).dead, DeliverPolicy: jetstream.DeliverAllPolicy,
	}, func(m jetstream.Msg, md *jetstream.MsgMetadata) error {
		var ds []DeadLetter
		if err := json.Unmarshal(m.Data(), &ds); err != nil {
			return fmt.Errorf("sequence %d: %w", md.Sequence.Stream, err)
		}
		all = append(all, ds...)
		if len(all) > 2*limit { // keeps memory bounded without moving at every message
			all = slices.Clone(all[len(all)-limit:])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing dead letters of stream %s: %w", stream, err)
	}
	return all[max(0, len(all)-limit):], nil
}

// keptDead is how many messages of dead letters survive any pressure.
const keptDead = 16

// trimDeadLetters removes the older half of the dead letters when the state stream is more than half full, so that a flood
// of bad input cannot stop the counting. The numbers by reason stay in the results. It returns how many messages went.
func trimDeadLetters(ctx context.Context, s jetstream.Stream, dead string) (uint64, error) {
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(dead))
	if err != nil {
		return 0, fmt.Errorf("reading state stream: %w", err)
	}
	most, n := info.Config.MaxBytes, info.State.Subjects[dead]
	if most <= 0 || info.State.Bytes <= uint64(most)/2 || n <= keptDead {
		return 0, nil
	}
	keep := max(n/2, keptDead)
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(dead), jetstream.WithPurgeKeep(keep)); err != nil {
		return 0, fmt.Errorf("trimming dead letters: %w", err)
	}
	return n - keep, nil
}
