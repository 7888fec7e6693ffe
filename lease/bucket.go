package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// schema is the version of what the keys hold.
const schema = 1

const (
	memberKey    = "member."
	partitionKey = "partition."
)

// owner is what a lease says.
type owner struct {
	Schema  int    `json:"schema"`
	Node    string `json:"node"`
	Session string `json:"session"`
}

// seen is a key as the watch showed it last.
type seen struct {
	rev    uint64
	at     time.Time // when, by the clock of this process
	member member
	owner  owner
}

// open creates the bucket or takes the one that exists, and tries until ctx ends.
func (k *Keeper) open(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, mostRetry) {
		kv, err := k.bucket(ctx)
		switch {
		case err == nil:
			return k.adopt(ctx, kv)
		case ctx.Err() != nil:
			return nil //nolint:nilerr // asked to stop
		}
		k.o.Logger.Warn("the bucket of leases is out of reach: no partition is worked on", slog.Any("err", err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (k *Keeper) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, mostRetry)
	defer cancel()
	kv, err := k.js.KeyValue(ctx, Bucket)
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	kv, err = k.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{ //nolint:exhaustruct // the rest stays as it is by default
		Bucket: Bucket, Description: "driftd: which daemon works on which partition", History: 1, TTL: k.o.TTL, LimitMarkerTTL: max(k.o.TTL, time.Second),
		Storage: jetstream.FileStorage, Replicas: max(1, k.o.Replicas),
	})
	if errors.Is(err, jetstream.ErrBucketExists) {
		return k.js.KeyValue(ctx, Bucket) // another member was faster
	}
	return kv, err
}

// adopt begins to use a bucket. Its own time to live counts: all members must renew by the same one.
func (k *Keeper) adopt(ctx context.Context, kv jetstream.KeyValue) error {
	ctx, cancel := context.WithTimeout(ctx, mostRetry)
	defer cancel()
	status, err := kv.Status(ctx)
	if err != nil {
		return fmt.Errorf("reading bucket %s: %w", Bucket, err)
	}
	if status.TTL() < MinTTL {
		return fmt.Errorf("bucket %s keeps its keys for %v, which leases cannot do with: delete it with `nats kv del %s`, and driftd makes it anew",
			Bucket, status.TTL(), Bucket)
	}
	if status.TTL() != k.o.TTL {
		k.o.Logger.Warn("leases live as long as the bucket says, not the configuration: delete the bucket while no daemon runs to change that",
			slog.String("bucket", Bucket), slog.Duration("bucket_ttl", status.TTL()), slog.Duration("lease_ttl", k.o.TTL))
	}
	k.kv, k.ttl = kv, status.TTL()
	return nil
}

// request bounds one question to the bucket: a lease must not run out while another one is waited for.
func (k *Keeper) request(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, max(k.ttl/6, 500*time.Millisecond))
}

func (k *Keeper) watch(ctx context.Context) error {
	wctx, cancel := context.WithCancel(ctx)
	w, err := k.kv.WatchAll(wctx)
	if err != nil {
		cancel()
		return err
	}
	k.watcher, k.unwatched, k.watched = w, cancel, time.Now()
	return nil
}

func (k *Keeper) unwatch() {
	if k.watcher != nil {
		_ = k.watcher.Stop() // it may have ended already
		k.unwatched()
		k.watcher = nil
	}
}

func (k *Keeper) updates() <-chan jetstream.KeyValueEntry {
	if k.watcher == nil {
		return nil
	}
	return k.watcher.Updates()
}

// take notes what the watch says. Nil marks the end of what was there when it began.
func (k *Keeper) take(e jetstream.KeyValueEntry, ok bool) {
	switch {
	case !ok:
		k.unwatch()
		return
	case e == nil:
		k.note(func(s *Status) { s.Settled = true })
		return
	}
	s := seen{rev: e.Revision(), at: time.Now(), member: member{}, owner: owner{}} //nolint:exhaustruct // one of the two is read below
	gone := e.Operation() != jetstream.KeyValuePut
	if node, is := strings.CutPrefix(e.Key(), memberKey); is {
		if node == k.o.Node {
			k.watched = s.at
		}
		if gone || json.Unmarshal(e.Value(), &s.member) != nil {
			delete(k.members, node)
		} else {
			k.members[node] = s
		}
		return
	}
	number, is := strings.CutPrefix(e.Key(), partitionKey)
	p, err := strconv.Atoi(number)
	switch {
	case !is || err != nil:
	case gone || json.Unmarshal(e.Value(), &s.owner) != nil:
		delete(k.leases, p)
	default:
		k.leases[p] = s
	}
}

// claim takes a lease that nobody has, or that an earlier process of this node has left.
func (k *Keeper) claim(ctx context.Context, p int, now time.Time) {
	old, exists := k.leases[p]
	if exists && old.owner.Node != k.o.Node && k.alive(old, now) {
		return
	}
	value := k.lease()
	rctx, cancel := k.request(ctx)
	defer cancel()
	var rev uint64
	var err error
	if exists && old.owner.Node == k.o.Node {
		rev, err = k.kv.Update(rctx, partitionKey+strconv.Itoa(p), value, old.rev)
	} else {
		rev, err = k.kv.Create(rctx, partitionKey+strconv.Itoa(p), value)
	}
	if err != nil {
		k.o.Logger.Debug("taking a lease", slog.Int("partition", p), slog.Any("err", err))
		return // somebody else was faster, or the broker is away: the next look tells
	}
	work, stop := context.WithCancel(ctx)
	h := &held{rev: rev, renewed: now, well: now, cancel: stop, err: nil, stopping: false, lost: false}
	k.held[p] = h
	k.note(func(s *Status) { s.Held[p] = true })
	k.o.Logger.Debug("lease taken", slog.Int("partition", p))
	go func() {
		defer stop()
		h.err = k.o.Work(work, p)
		k.ended <- p
	}()
}

func (k *Keeper) lease() []byte {
	data, err := json.Marshal(owner{Schema: schema, Node: k.o.Node, Session: k.session})
	if err != nil {
		panic("BUG: lease: " + err.Error()) // a struct of texts
	}
	return data
}

// beat renews the member key and every lease, once in a third of the time to live.
func (k *Keeper) beat(ctx context.Context) {
	k.moves = 0
	if !k.leaving {
		k.putMember(ctx)
	}
	if time.Since(k.watched) > k.ttl {
		k.unwatch() // it is silent although the own key is written
	}
	for p, h := range k.held {
		if h.lost {
			continue
		}
		asked := time.Now()
		rctx, cancel := k.request(ctx)
		rev, err := k.kv.Update(rctx, partitionKey+strconv.Itoa(p), k.lease(), h.rev)
		cancel()
		switch {
		case err == nil:
			h.rev, h.renewed = rev, asked
		case conflict(err):
			k.lose(p, err)
		default:
			k.o.Logger.Debug("renewing a lease", slog.Int("partition", p), slog.Any("err", err))
			return // the broker is away: the others wait for the next beat as well
		}
		k.check(p, h, asked)
	}
}

// check leaves a partition to others when it does not run here.
func (k *Keeper) check(p int, h *held, now time.Time) {
	if h.stopping || k.o.Running(p) {
		h.well = now
		return
	}
	if now.Sub(h.well) <= unwell*k.ttl {
		return
	}
	for node, m := range k.group(now) {
		if node != k.o.Node && m.can(p) {
			k.o.Logger.Warn("a partition does not run here and is left to another daemon", slog.Int("partition", p))
			k.away[p] = now.Add(standDown * k.ttl)
			h.stopping = true
			h.cancel()
			return
		}
	}
}

func (k *Keeper) putMember(ctx context.Context) {
	data, err := json.Marshal(k.self(time.Now()))
	if err != nil {
		panic("BUG: lease: " + err.Error()) // a struct of texts and numbers
	}
	rctx, cancel := k.request(ctx)
	defer cancel()
	if _, err := k.kv.Put(rctx, memberKey+k.o.Node, data); err != nil {
		k.o.Logger.Debug("renewing the membership", slog.Any("err", err))
	}
}

func (k *Keeper) removeMember(ctx context.Context) {
	rctx, cancel := context.WithTimeout(ctx, releasing)
	defer cancel()
	if err := k.kv.Delete(rctx, memberKey+k.o.Node); err != nil {
		k.o.Logger.Debug("ending the membership: it expires", slog.Any("err", err))
	}
}

// release gives a lease back whose work has ended. One that is lost belongs to somebody else.
func (k *Keeper) release(ctx context.Context, p int) {
	h := k.held[p]
	delete(k.held, p)
	k.note(func(s *Status) { s.Held[p] = false })
	if h.err != nil {
		k.o.Logger.Error("the partition cannot be worked on here and is left alone for a while", slog.Int("partition", p), slog.Any("err", h.err))
		k.away[p] = time.Now().Add(standDown * k.ttl)
	}
	if !h.lost {
		rctx, cancel := context.WithTimeout(ctx, releasing)
		defer cancel()
		if err := k.kv.Delete(rctx, partitionKey+strconv.Itoa(p), jetstream.LastRevision(h.rev)); err != nil {
			k.o.Logger.Debug("releasing a lease: it expires", slog.Int("partition", p), slog.Any("err", err))
		}
		delete(k.leases, p)
	}
	if h.err != nil && !k.leaving {
		k.putMember(ctx) // so that others take it now
	}
}

// conflict says whether somebody else has written the key, or it has expired.
func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == 10164)
}
