package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/driftd/driftd/result"
)

const (
	defaultTombstoneTTL = time.Minute // a deleted shard's empty message vanishes after it
	messageOverhead     = 256         // bytes of subject, headers and framing, for Count
	maxMeta             = 1 << 20
)

// Shard is one named part of the state. Data of length 0 deletes it.
type Shard struct {
	Name string // plain subject tokens, separated by dots
	Data []byte // at most 1 MiB
}

// Batch is what one commit writes, all of it or nothing.
type Batch struct {
	Position    []byte       // JSON: how far the input was folded; it comes back compacted
	Meta        []byte       // small state of the fold, opaque
	Shards      []Shard      // changed ones only, each name once
	Docs        []result.Doc // finished results, in order
	DeadLetters []DeadLetter
}

// Count returns how many messages and about how many bytes a batch takes. A caller commits before 900 messages or 32 MB.
func Count(b Batch) (messages, bytes int) {
	messages, bytes = 1, messageOverhead*2+len(b.Position)+len(b.Meta)*4/3
	for _, s := range b.Shards {
		messages++
		bytes += messageOverhead + len(s.Name) + len(s.Data)
	}
	for _, d := range b.Docs {
		messages++
		bytes += messageOverhead + len(d.ID) + len(d.Model) + len(d.Data)
	}
	m, n := countDead(b.DeadLetters)
	return messages + m, bytes + n
}

// Commit writes a batch atomically. A nil error means that it is committed. After FullError and TooLargeError nothing was
// written and the journal still owns the partition; after any other error Acquire must be called before the next Commit.
// It is never retried here: only the caller knows what to do with a state that may have moved on.
func (j *Journal) Commit(ctx context.Context, b Batch) error {
	if !j.owned {
		return fmt.Errorf("committing partition %d: %w", j.partition, ErrNotAcquired)
	}
	p, err := j.prepare(b)
	if err != nil {
		return err
	}
	rctx, cancel := context.WithTimeout(ctx, j.opts.CommitTimeout)
	ack, err := publishBatch(rctx, j.nc, p.msgs)
	cancel()
	switch {
	case errors.Is(err, errUnsent):
		j.owned = false
		return &UncommittedError{Partition: j.partition, Err: err}
	case err != nil:
		return j.resolve(ctx, p, err)
	case ack.Error != nil && isConflict(ack.Error):
		j.owned = false
		j.note("fenced at once", ack.Error)
		return &FencedError{Partition: j.partition, Err: ack.Error}
	case ack.Error != nil:
		// The server checks a batch before it stores it, yet a store may fail half-way: look before believing.
		err := j.resolve(ctx, p, ack.Error)
		var no *UncommittedError
		if errors.As(err, &no) && isFull(ack.Error) {
			j.owned = true // nothing can land late: the server has answered
			return &FullError{Stream: j.opts.Stream, Err: ack.Error}
		}
		if err == nil {
			j.owned = false
			return &AmbiguousError{Partition: j.partition, Err: fmt.Errorf("the checkpoint was stored although the batch was refused: %w", ack.Error)}
		}
		return err
	}
	j.accept(p, ack.Seq-uint64(ack.Count)+1)
	return nil
}

// resolve asks the leader what became of a batch whose answer is missing, or says no.
func (j *Journal) resolve(ctx context.Context, p *prepared, cause error) error {
	j.owned = false
	head, rev, err := j.ask(ctx)
	switch {
	case err != nil:
		return &AmbiguousError{Partition: j.partition, Err: errors.Join(cause, err)}
	case head.Owner == p.head.Owner && head.Epoch == p.head.Epoch && head.Gen == p.head.Gen:
		j.accept(p, rev)
		j.owned = true
		j.note("stored", cause)
		return nil
	case head.Owner == j.head.Owner && head.Epoch == j.head.Epoch && head.Gen == j.head.Gen:
		j.note("not stored", cause)
		return &UncommittedError{Partition: j.partition, Err: cause}
	}
	j.note("fenced", cause)
	return &FencedError{Partition: j.partition, Owner: head.Owner, Epoch: head.Epoch, Err: cause}
}

// note says what became of a commit that was not simply stored.
func (j *Journal) note(what string, cause error) {
	j.opts.Logger.Info("a commit was not simply acknowledged", slog.Int("partition", j.partition), slog.String("outcome", what),
		slog.Uint64("epoch", j.head.Epoch), slog.Any("err", cause))
}

func (j *Journal) accept(p *prepared, rev uint64) {
	j.head, j.rev, j.sum = p.head, rev, p.sum
	for name, d := range p.changed {
		if d == nil {
			delete(j.hashes, name)
		} else {
			j.hashes[name] = *d
		}
	}
}

// prepared is a batch on the wire and what the journal knows once it is committed.
type prepared struct {
	msgs    []*nats.Msg
	head    metaDoc
	sum     digest
	changed map[string]*digest // nil: deleted
}

func (j *Journal) prepare(b Batch) (*prepared, error) {
	if !json.Valid(b.Position) {
		return nil, fmt.Errorf("committing partition %d: the position is not JSON", j.partition)
	}
	p := &prepared{head: j.head, sum: j.sum, changed: make(map[string]*digest, len(b.Shards))}
	msgs := make([]*nats.Msg, 1, 1+len(b.Shards)+len(b.Docs))
	live := len(j.hashes)
	for _, s := range b.Shards {
		m, err := j.shardMsg(p, s, &live)
		if err != nil {
			return nil, err
		}
		if m != nil {
			msgs = append(msgs, m)
		}
	}
	for _, d := range b.Docs {
		m, err := j.docMsg(d, p.head.Docs+1)
		if err != nil {
			return nil, err
		}
		p.head.Docs++
		msgs = append(msgs, m)
	}
	dead, err := j.deadMsgs(b.DeadLetters)
	if err != nil {
		return nil, err
	}
	msgs = append(msgs, dead...)

	p.head.Gen++
	p.head.BatchCount, p.head.Shards, p.head.Digest = len(msgs), live, p.sum.String()
	p.head.Position, p.head.Meta, p.head.Owners = b.Position, b.Meta, 0
	data, err := p.head.encode()
	if err != nil {
		return nil, err
	}
	msgs[0] = j.metaMsg(data, j.rev)
	p.msgs = msgs
	return p, j.bounded(msgs)
}

// bounded refuses what the server would refuse, by name and before anything is sent.
func (j *Journal) bounded(msgs []*nats.Msg) error {
	if len(msgs) > MaxBatchMessages {
		return &TooLargeError{What: "the number of messages", Size: len(msgs), Most: MaxBatchMessages}
	}
	payload := int(j.nc.MaxPayload())
	total := 0
	for _, m := range msgs {
		n := m.Size() + messageOverhead // the batch headers are still to come
		if most := min(maxMeta+4096, payload); n > most {
			return &TooLargeError{What: "the message on " + m.Subject, Size: n, Most: most}
		}
		total += n
	}
	if total > MaxBatchBytes {
		return &TooLargeError{What: "the batch's bytes", Size: total, Most: MaxBatchBytes}
	}
	return nil
}

// shardMsg returns the message of a shard, or nil where it changes nothing.
func (j *Journal) shardMsg(p *prepared, s Shard, live *int) (*nats.Msg, error) {
	if err := checkName(s.Name); err != nil {
		return nil, fmt.Errorf("committing partition %d: %w", j.partition, err)
	}
	if _, twice := p.changed[s.Name]; twice {
		return nil, fmt.Errorf("committing partition %d: shard %s is twice in the batch", j.partition, s.Name)
	}
	if len(s.Data) > maxPart {
		return nil, &TooLargeError{What: "shard " + s.Name, Size: len(s.Data), Most: maxPart}
	}
	old, had := j.hashes[s.Name]
	m := newMsg(j.subj.shard+s.Name, s.Data)
	m.Header.Set(headerRollup, "sub")
	if len(s.Data) == 0 {
		p.changed[s.Name] = nil
		if !had {
			return nil, nil
		}
		*live--
		p.sum = p.sum.minus(old)
		m.Header.Set(headerTTL, seconds(j.opts.tombstoneTTL))
		return m, nil
	}
	d := shardDigest(s.Name, s.Data)
	p.changed[s.Name] = &d
	if had && d == old {
		return nil, nil // the same bytes are already there
	}
	if had {
		p.sum = p.sum.minus(old)
	} else {
		*live++
	}
	p.sum = p.sum.plus(d)
	return m, nil
}

func (j *Journal) docMsg(d result.Doc, number uint64) (*nats.Msg, error) {
	if !isToken(d.Model, maxModelLen) {
		return nil, fmt.Errorf("committing partition %d: document of model %q: a model is 1 to %d of [A-Za-z0-9_-]",
			j.partition, clip(d.Model, 64), maxModelLen)
	}
	if d.ID == "" || len(d.ID) > maxNameLen || strings.ContainsAny(d.ID, "\r\n") {
		return nil, fmt.Errorf("committing partition %d: document id %q: must be one line of 1 to %d bytes",
			j.partition, clip(d.ID, 64), maxNameLen)
	}
	if len(d.Data) > maxPart {
		return nil, &TooLargeError{What: "document " + d.ID, Size: len(d.Data), Most: maxPart}
	}
	kind := d.Kind
	switch kind {
	case result.KindResult, result.KindTransition, result.KindVerdict:
	case "":
		kind = result.KindResult
	default:
		return nil, fmt.Errorf("committing partition %d: document %s: unknown kind %q", j.partition, d.ID, clip(string(kind), 64))
	}
	m := newMsg(j.subj.out+string(kind)+"."+d.Model, d.Data)
	m.Header.Set(HeaderDocID, d.ID)
	m.Header.Set(HeaderDocNumber, strconv.FormatUint(number, 10))
	return m, nil
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
