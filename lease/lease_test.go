package lease_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ttl      = lease.MinTTL
	patience = 60 * time.Second
)

// member is a keeper whose work is to be there.
type member struct {
	*lease.Keeper

	t       *testing.T
	stop    context.CancelFunc
	done    chan error
	working []atomic.Int32 // by partition: how many works run at once
	begun   atomic.Int32
	broken  atomic.Bool // work fails at once
	stuck   atomic.Bool // work never runs well
}

func join(t *testing.T, js jetstream.JetStream, node string, partitions int, d time.Duration) *member {
	t.Helper()
	//nolint:exhaustruct // it does nothing yet
	m := &member{t: t, done: make(chan error, 1), working: make([]atomic.Int32, partitions)}
	var err error
	m.Keeper, err = lease.New(js, lease.Options{
		TTL: d, Node: node, Partitions: partitions, Replicas: 1, Logger: nil,
		Work: func(ctx context.Context, p int) error {
			m.begun.Add(1)
			if m.broken.Load() {
				return errors.New("it cannot be worked on")
			}
			m.working[p].Add(1)
			<-ctx.Done()
			m.working[p].Add(-1)
			return nil
		},
		Running: func(int) bool { return !m.stuck.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	m.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-m.done; err != nil {
				t.Errorf("member %s: %v", node, err)
			}
		})
	}
	go func() { m.done <- m.Run(ctx) }()
	t.Cleanup(m.stop)
	return m
}

func (m *member) holds() (n int) {
	for _, h := range m.Status().Held {
		if h {
			n++
		}
	}
	return n
}

func (m *member) lost() (n uint64) {
	for _, l := range m.Status().Lost {
		n += l
	}
	return n
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	testenv.Eventually(t, patience, what, ok)
}

// shared says whether every partition is worked on by exactly one of the members, and each has its share.
func shared(partitions int, members ...*member) bool {
	total := 0
	for _, m := range members {
		n := m.holds()
		if n > (partitions+len(members)-1)/len(members) || n == 0 && partitions >= len(members) {
			return false
		}
		total += n
	}
	for p := range partitions {
		n := int32(0)
		for _, m := range members {
			n += m.working[p].Load()
		}
		if n != 1 {
			return false
		}
	}
	return total == partitions
}

// Members come and go in order: every partition has one owner, and no lease is ever lost.
func TestSharing(t *testing.T) {
	_, js := brokertest.New(t)
	const partitions = 4
	begin := time.Now()
	a := join(t, js, "a", partitions, ttl)
	eventually(t, "the only member has everything", func() bool { return shared(partitions, a) })
	t.Logf("a lone member had everything after %v", time.Since(begin))
	b := join(t, js, "b", partitions, ttl)
	eventually(t, "two share", func() bool { return shared(partitions, a, b) })
	c := join(t, js, "c", partitions, ttl)
	eventually(t, "three share", func() bool { return shared(partitions, a, b, c) })
	begin = time.Now()
	a.stop()
	eventually(t, "the two others share", func() bool { return shared(partitions, b, c) })
	t.Logf("handed over within %v", time.Since(begin))
	b.stop()
	eventually(t, "the last one has everything", func() bool { return shared(partitions, c) })
	for name, m := range map[string]*member{"a": a, "b": b, "c": c} {
		if n := m.lost(); n != 0 {
			t.Errorf("%s lost %d leases, want none", name, n)
		}
	}
}

// A member that vanishes without a word, as a killed one does, loses its partitions after the time to live and not before; the same node
// takes them back at once.
func TestKilled(t *testing.T) {
	e := brokertest.Start(t, "")
	nc, dead := brokertest.Connect(t, e.URL(), e.Token())
	_, js := brokertest.Connect(t, e.URL(), e.Token())
	const partitions = 3
	killed := join(t, dead, "a", partitions, 2*ttl)
	eventually(t, "the first has everything", func() bool { return shared(partitions, killed) })
	brokertest.CloseAndWait(nc) // it can say nothing more
	begin := time.Now()
	again := join(t, js, "a", partitions, 2*ttl)
	eventually(t, "the same node is back", func() bool { return again.holds() == partitions })
	if took := time.Since(begin); took > ttl {
		t.Errorf("the same node waited %v for its own leases", took)
	}
	eventually(t, "the first knows that its leases are lost", func() bool { return killed.lost() == partitions && killed.holds() == 0 })
	if !shared(partitions, again) {
		t.Error("the work of the lost leases still runs beside that of the new ones")
	}
}

func TestExpiry(t *testing.T) {
	e := brokertest.Start(t, "")
	nc, dead := brokertest.Connect(t, e.URL(), e.Token())
	_, js := brokertest.Connect(t, e.URL(), e.Token())
	const partitions = 4
	a, b := join(t, dead, "a", partitions, ttl), join(t, js, "b", partitions, ttl)
	eventually(t, "two share", func() bool { return shared(partitions, a, b) })
	brokertest.CloseAndWait(nc)
	begin := time.Now()
	eventually(t, "the other has everything", func() bool { return b.holds() == partitions })
	t.Logf("taken over after %v, time to live %v", time.Since(begin), ttl)
	eventually(t, "the first has stopped", func() bool { return a.holds() == 0 && a.lost() == partitions/2 })
}

// A member that cannot work on a partition leaves it to another one, and one that only does not get it to run does so too.
func TestStandDown(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*member){
		"fails":        func(m *member) { m.broken.Store(true) },
		"does not run": func(m *member) { m.stuck.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, js := brokertest.New(t)
			const partitions = 2
			a := join(t, js, "a", partitions, ttl)
			spoil(a)
			eventually(t, "the bad one has begun", func() bool { return a.begun.Load() >= partitions || a.holds() > 0 })
			b := join(t, js, "b", partitions, ttl)
			eventually(t, "the good one has everything", func() bool { return b.holds() == partitions && a.holds() == 0 })
		})
	}
}

// Without leases a member works on everything, beside any other.
func TestSolo(t *testing.T) {
	_, js := brokertest.New(t)
	a, b := join(t, js, "a", 2, 0), join(t, js, "b", 2, 0)
	eventually(t, "both have everything", func() bool { return shared(2, a) && shared(2, b) })
	if _, err := js.KeyValue(t.Context(), lease.Bucket); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("the bucket of leases: %v, want that there is none", err)
	}
}

// The bucket's own time to live counts, and a bucket that keeps its keys for ever is refused.
func TestForeignBucket(t *testing.T) {
	_, js := brokertest.New(t)
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: lease.Bucket}); err != nil {
		t.Fatal(err)
	}
	k, err := lease.New(js, lease.Options{TTL: ttl, Node: "a", Partitions: 1, Work: func(context.Context, int) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Run(t.Context()); err == nil {
		t.Error("a bucket without expiry was taken")
	}
}

func TestOptions(t *testing.T) {
	work := func(context.Context, int) error { return nil }
	for i, o := range []lease.Options{
		{TTL: ttl / 2, Node: "a", Partitions: 1, Work: work},
		{TTL: ttl, Node: "", Partitions: 1, Work: work},
		{TTL: ttl, Node: "a", Partitions: 0, Work: work},
		{TTL: ttl, Node: "a", Partitions: 1, Work: nil},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			if _, err := lease.New(nil, o); err == nil {
				t.Errorf("%+v was accepted", o)
			}
		})
	}
}
