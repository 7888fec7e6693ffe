// Package lease says which member of a group works on which partition. Members and leases are keys of a JetStream bucket that expire
// unless they are renewed; every member computes the same assignment from the keys that it sees, and takes, keeps or hands over its
// part. A lease is a hint that saves work: what keeps two owners from harm is the compare-and-swap of each commit (package journal),
// so a wrong lease costs time and never a result. No clock is compared with another one: only the broker's expiry and the time that
// passed here count.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Bucket is the name of the bucket that holds members and leases.
const Bucket = "DRIFTD_LEASES"

// MinTTL is the shortest time to live.
const MinTTL = time.Second

const (
	renewals  = 3                // in a time to live
	mostMoves = 4                // partitions that a member hands over between two renewals
	unwell    = 3                // times to live after which a partition that does not run is left to another member
	standDown = 10               // times to live for which a member then leaves it alone
	soloDown  = 2 * time.Minute  // the same without leases
	releasing = 2 * time.Second  // bound of a request that gives something back
	mostRetry = 10 * time.Second // between two attempts to reach the bucket
)

// Options of a Keeper.
type Options struct {
	TTL        time.Duration // after which an unrenewed lease is free, at least MinTTL; 0: there are no leases, every partition is held
	Node       string        // names this member across restarts; no two living processes may share it
	Partitions int
	Replicas   int // of the bucket, where it is created
	// Work works on a partition until ctx ends, and returns when it has written its last. An error that it returns while ctx lives
	// means that it cannot: the member leaves the partition alone for a while.
	Work func(ctx context.Context, partition int) error
	// Running says whether the work on a partition goes on well. A member that does not get it to run for three times TTL leaves it to
	// another one, if there is one. nil: always.
	Running func(partition int) bool
	Logger  *slog.Logger // nil discards
}

// Status is what a Keeper knows.
type Status struct {
	Settled bool     // the first look at the bucket is done: what can be held is held
	Held    []bool   // by partition
	Lost    []uint64 // by partition: leases that ended before they were given back
	Members int      // living ones, as far as seen
}

// Keeper is one member of the group.
type Keeper struct {
	o       Options
	js      jetstream.JetStream
	session string // tells this process from an earlier one of the same node
	ttl     time.Duration

	// All below belongs to the goroutine of Run, which does nothing but renewing and deciding: the work has goroutines of its own.
	kv        jetstream.KeyValue
	watcher   jetstream.KeyWatcher
	unwatched context.CancelFunc // ends what belongs to the watcher
	watched   time.Time          // when the watch showed the own member key last
	members   map[string]seen    // by node
	leases    map[int]seen       // by partition
	held      map[int]*held      // by partition
	ended     chan int           // partitions whose work has returned
	away      map[int]time.Time  // partitions that this member leaves alone, until when
	moves     int                // handed over since the last renewal
	leaving   bool

	mu     sync.Mutex
	status Status
}

// held is a lease of this member.
type held struct {
	rev      uint64
	renewed  time.Time // when the last renewal that succeeded was asked for
	well     time.Time // when the work was last seen running
	cancel   context.CancelFunc
	err      error // of the work, once it has returned
	stopping bool
	lost     bool
}

// New returns a keeper that has not started.
func New(js jetstream.JetStream, o Options) (*Keeper, error) {
	switch {
	case o.Partitions < 1 || o.Work == nil:
		return nil, errors.New("keeping leases: there is nothing to work on")
	case o.TTL != 0 && o.TTL < MinTTL:
		return nil, fmt.Errorf("keeping leases: a time to live of %v is shorter than %v", o.TTL, MinTTL)
	case o.TTL != 0 && o.Node == "":
		return nil, errors.New("keeping leases: this member has no name")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Running == nil {
		o.Running = func(int) bool { return true }
	}
	//nolint:exhaustruct // nothing is known yet
	return &Keeper{
		o: o, js: js, session: nuid.Next(), ttl: o.TTL,
		members: map[string]seen{}, leases: map[int]seen{}, held: map[int]*held{}, ended: make(chan int, o.Partitions), away: map[int]time.Time{},
		status: Status{Settled: false, Held: make([]bool, o.Partitions), Lost: make([]uint64, o.Partitions), Members: 1},
	}, nil
}

// Status returns what the keeper knows; safe at any time.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Held, s.Lost = slices.Clone(s.Held), slices.Clone(s.Lost)
	return s
}

// note changes the status.
func (k *Keeper) note(change func(*Status)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(&k.status)
}

// Run takes part until ctx ends; then it stops the work, waits for its end, gives the leases back and returns nil. It returns an
// error only when the bucket is not one for leases.
func (k *Keeper) Run(ctx context.Context) error {
	if k.o.TTL == 0 {
		k.solo(ctx)
		return nil
	}
	if err := k.open(ctx); err != nil || k.kv == nil {
		return err
	}
	late := context.WithoutCancel(ctx)
	defer k.unwatch()
	tick := time.NewTicker(k.ttl / renewals)
	defer tick.Stop()
	k.beat(late)
	stop, retry := ctx.Done(), time.Duration(0)
	for !k.leaving || len(k.held) > 0 {
		var again <-chan time.Time
		if k.watcher == nil && !k.leaving {
			if err := k.watch(late); err != nil {
				k.o.Logger.Debug("watching leases", slog.Any("err", err))
				retry = min(max(2*retry, 100*time.Millisecond), mostRetry)
				again = time.After(retry)
			} else {
				retry = 0
			}
		}
		select {
		case <-stop:
			stop = nil
			k.leave(late)
		case e, ok := <-k.updates():
			k.take(e, ok)
		case p := <-k.ended:
			k.release(late, p)
		case <-tick.C:
			k.beat(late)
		case <-again:
		}
		k.decide(late)
	}
	return nil
}

// solo works on every partition, without a bucket.
func (k *Keeper) solo(ctx context.Context) {
	k.note(func(s *Status) { s.Settled = true })
	var all sync.WaitGroup
	for p := range k.o.Partitions {
		all.Go(func() {
			for ctx.Err() == nil {
				k.note(func(s *Status) { s.Held[p] = true })
				err := k.o.Work(ctx, p)
				k.note(func(s *Status) { s.Held[p] = false })
				if err == nil || ctx.Err() != nil {
					return
				}
				k.o.Logger.Error("the partition cannot be worked on here and is left alone for a while", slog.Int("partition", p), slog.Any("err", err))
				select {
				case <-ctx.Done():
				case <-time.After(soloDown):
				}
			}
		})
	}
	all.Wait()
}

// decide takes, and hands over, what the assignment says.
func (k *Keeper) decide(ctx context.Context) {
	now := time.Now()
	for p, h := range k.held {
		if !h.lost && now.Sub(h.renewed) > k.ttl {
			k.lose(p, errors.New("it could not be renewed in time"))
		}
	}
	if k.leaving || !k.Status().Settled {
		return
	}
	group := k.group(now)
	k.note(func(s *Status) { s.Members = len(group) })
	for p, node := range assign(group) {
		h := k.held[p]
		switch {
		case h == nil && node == k.o.Node:
			k.claim(ctx, p, now)
		case h != nil && node != k.o.Node && node != "" && !h.stopping && k.moves < mostMoves:
			k.moves++
			k.o.Logger.Info("handing a partition over", slog.Int("partition", p), slog.String("to", node))
			h.stopping = true
			h.cancel()
		}
	}
}

// group returns the living members, this one among them.
func (k *Keeper) group(now time.Time) map[string]member {
	group := map[string]member{k.o.Node: k.self(now)}
	for node, s := range k.members {
		if node != k.o.Node && k.alive(s, now) {
			group[node] = s.member
		}
	}
	return group
}

// self is what this member says of itself.
func (k *Keeper) self(now time.Time) member {
	m := member{Schema: schema, Session: k.session, Partitions: k.o.Partitions, Away: nil}
	for p, until := range k.away {
		if now.Before(until) {
			m.Away = append(m.Away, p)
		} else {
			delete(k.away, p)
		}
	}
	slices.Sort(m.Away)
	return m
}

// alive says whether a key that was seen can still be there: its renewal is never later than that.
func (k *Keeper) alive(s seen, now time.Time) bool {
	return now.Sub(s.at) <= k.ttl+k.ttl/renewals
}

// leave ends the work, whose leases are given back one by one as it ends. The others begin to look at once.
func (k *Keeper) leave(ctx context.Context) {
	k.leaving = true
	for _, h := range k.held {
		h.stopping = true
		h.cancel()
	}
	k.removeMember(ctx)
}

// lose ends the work on a partition whose lease is somebody else's or nobody's.
func (k *Keeper) lose(p int, why error) {
	h := k.held[p]
	h.lost, h.stopping = true, true
	h.cancel()
	k.note(func(s *Status) { s.Lost[p]++ })
	k.o.Logger.Warn("the lease of a partition is lost: its work stops", slog.Int("partition", p), slog.Any("err", why))
}
