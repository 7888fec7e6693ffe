package journal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

func position(n int) []byte { return fmt.Appendf(nil, `{"seq":%d,"note":"<&>"}`, n) }

func TestCommitAndAcquireAgain(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	j := open(t, nc, js, journal.Options{})
	if err := j.Commit(ctx, journal.Batch{Position: position(1)}); !errors.Is(err, journal.ErrNotAcquired) {
		t.Fatalf("commit before acquire = %v", err)
	}
	if s := acquire(t, j); !s.Fresh || s.Position != nil || len(s.Shards) != 0 || s.Epoch != 1 {
		t.Fatalf("fresh state = %+v", s)
	}
	b := journal.Batch{
		Position: position(7), Meta: []byte{0, 1, 255},
		Shards: []journal.Shard{{Name: "panes.0", Data: []byte("a")}, {Name: "panes.1", Data: []byte{0}}, {Name: "absent", Data: nil}},
		Docs:   []result.Doc{{ID: "r1", Model: "churn", Data: []byte("{}")}},
		DeadLetters: []journal.DeadLetter{
			{Stream: "DRIFTD_IN_0", Seq: 3, Index: 1, Subject: "ml.events.x", Reason: "malformed", Detail: strings.Repeat("é", 4000)},
		},
	}
	if err := j.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	if err := j.Commit(ctx, journal.Batch{Position: position(8), Meta: []byte("m")}); err != nil {
		t.Fatal(err)
	}
	s := acquire(t, open(t, nc, js, journal.Options{}))
	want := &journal.State{
		Position: position(8), Meta: []byte("m"), Shards: map[string][]byte{"panes.0": []byte("a"), "panes.1": {0}}, Epoch: 2,
	}
	if d := cmp.Diff(want, s); d != "" {
		t.Errorf("state after restart (-want +got):\n%s", d)
	}
	ds, err := journal.ListDeadLetters(ctx, js, 0, 10)
	if err != nil || len(ds) != 1 || ds[0].Seq != 3 || len(ds[0].Detail) != 512 || !strings.HasPrefix(b.DeadLetters[0].Detail, ds[0].Detail) {
		t.Errorf("dead letters = %+v, %v; want one with its detail cut to 512 bytes", ds, err)
	}
	// The checkpoint, two shards, one document, one message of dead letters: nothing else grows.
	if n := streamInfo(t, js, "DRIFTD_STATE_0", ">").State.Msgs; n != 5 {
		t.Errorf("the state stream holds %d messages, want 5", n)
	}
}

// A property test against a map: after every few random commits the restored state is the map.
func TestRestoreEqualsModel(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	for seed := range uint64(3) {
		rng := rand.New(rand.NewPCG(seed, 2))
		j := open(t, nc, js, journal.Options{})
		model := acquire(t, j).Shards
		for n := range 120 {
			b := journal.Batch{Position: position(n)}
			for _, i := range rng.Perm(40)[:rng.IntN(12)] {
				name := fmt.Sprintf("s.%d", i)
				if rng.IntN(3) == 0 {
					b.Shards = append(b.Shards, journal.Shard{Name: name})
					delete(model, name)
					continue
				}
				data := make([]byte, 1+rng.IntN(2000))
				for k := range data {
					data[k] = byte(rng.Uint32())
				}
				b.Shards = append(b.Shards, journal.Shard{Name: name, Data: data})
				model[name] = data
			}
			if err := j.Commit(ctx, b); err != nil {
				t.Fatal(err)
			}
			if n%30 == 29 {
				j = open(t, nc, js, journal.Options{})
				s := acquire(t, j)
				if d := cmp.Diff(model, s.Shards); d != "" || !bytes.Equal(s.Position, position(n)) {
					t.Fatalf("seed %d, commit %d: position %s, shards (-want +got):\n%s", seed, n, s.Position, d)
				}
			}
		}
	}
}

func TestFencing(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	a, b := open(t, nc, js, journal.Options{}), open(t, nc, js, journal.Options{})
	acquire(t, a)
	acquire(t, b)
	err := a.Commit(ctx, journal.Batch{
		Position: position(1), Shards: []journal.Shard{{Name: "s", Data: []byte("a")}},
		Docs: []result.Doc{{ID: "zombie", Model: "m", Data: []byte("x")}},
	})
	if _, ok := errors.AsType[*journal.FencedError](err); !ok {
		t.Fatalf("commit of the old owner = %v, want *FencedError", err)
	}
	if err := a.Commit(ctx, journal.Batch{Position: position(1)}); !errors.Is(err, journal.ErrNotAcquired) {
		t.Errorf("second commit of the old owner = %v", err)
	}
	if n := streamInfo(t, js, "DRIFTD_STATE_0", ">").State.Msgs; n != 1 {
		t.Errorf("the state stream holds %d messages, want the checkpoint alone: a fenced batch writes nothing", n)
	}
	if err := b.Commit(ctx, journal.Batch{Position: position(2)}); err != nil {
		t.Fatal(err)
	}
}

// Two owners compete for one partition; each adds 1 to a counter that it read. No addition is lost or doubled.
func TestCompetingOwnersCountExactly(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	const each = 40
	errs := make(chan error, 2)
	for range 2 {
		j := open(t, nc, js, journal.Options{})
		go func() { errs <- addCompeting(ctx, j, each) }()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	s := acquire(t, open(t, nc, js, journal.Options{}))
	if got := string(s.Shards["n"]); got != strconv.Itoa(2*each) {
		t.Errorf("counter = %s, want %d", got, 2*each)
	}
}

func addCompeting(ctx context.Context, j *journal.Journal, times int) error {
	var s *journal.State
	for done := 0; done < times; {
		if s == nil {
			var err error
			var fenced *journal.FencedError
			if s, err = j.Acquire(ctx); errors.As(err, &fenced) {
				continue
			} else if err != nil {
				return err
			}
		}
		n := 0
		if b := s.Shards["n"]; b != nil {
			if _, err := fmt.Sscan(string(b), &n); err != nil {
				return err
			}
		}
		data := fmt.Append(nil, n+1)
		err := j.Commit(ctx, journal.Batch{Position: position(n), Shards: []journal.Shard{{Name: "n", Data: data}}})
		var fenced *journal.FencedError
		switch {
		case errors.As(err, &fenced):
			s = nil
		case err != nil:
			return err
		default:
			s.Shards["n"] = data
			done++
		}
	}
	return nil
}

// viaProxy opens a journal whose connection runs through a proxy.
func viaProxy(t *testing.T) (p *brokertest.Proxy, j *journal.Journal, nc *nats.Conn, direct jetstream.JetStream) {
	t.Helper()
	e := brokertest.Start(t, "")
	_, direct = brokertest.Connect(t, e.URL(), e.Token())
	if err := journal.EnsureStreams(deadline(t), direct, journal.Layout{}); err != nil {
		t.Fatal(err)
	}
	p = brokertest.NewProxy(t, e.URL())
	nc, js := brokertest.Connect(t, p.URL(), e.Token())
	return p, open(t, nc, js, journal.Options{CommitTimeout: 300 * time.Millisecond}), nc, direct
}

func TestAmbiguousCommitThatHappened(t *testing.T) {
	p, j, _, _ := viaProxy(t)
	ctx := deadline(t)
	acquire(t, j)
	for n := range 3 { // the journal stays usable: nothing is fenced, nothing written twice
		p.CutAfter("Nats-Batch-Commit")
		err := j.Commit(ctx, journal.Batch{Position: position(n), Shards: []journal.Shard{{Name: fmt.Sprint("s", n), Data: []byte("x")}}})
		if err != nil {
			t.Fatalf("commit %d whose acknowledgement was lost = %v, want nil: the leader has it", n, err)
		}
	}
	if s := acquire(t, j); !bytes.Equal(s.Position, position(2)) || len(s.Shards) != 3 {
		t.Errorf("state = %s, %d shards", s.Position, len(s.Shards))
	}
}

func TestAmbiguousCommitThatDidNotHappen(t *testing.T) {
	p, j, _, _ := viaProxy(t)
	ctx := deadline(t)
	acquire(t, j)
	if err := j.Commit(ctx, journal.Batch{Position: position(1)}); err != nil {
		t.Fatal(err)
	}
	p.CutBefore("Nats-Batch-Commit")
	err := j.Commit(ctx, journal.Batch{Position: position(2), Shards: []journal.Shard{{Name: "s", Data: []byte("x")}}})
	if _, ok := errors.AsType[*journal.UncommittedError](err); !ok {
		t.Fatalf("commit that never reached the server = %v, want *UncommittedError", err)
	}
	if err := j.Commit(ctx, journal.Batch{Position: position(2)}); !errors.Is(err, journal.ErrNotAcquired) {
		t.Errorf("next commit = %v, want ErrNotAcquired: the state must be reloaded", err)
	}
	if s := acquire(t, j); !bytes.Equal(s.Position, position(1)) || len(s.Shards) != 0 {
		t.Errorf("state = %s, %d shards", s.Position, len(s.Shards))
	}
}

// A lost connection is reason enough to ask what became of a commit: the answer is not waited for until the timeout, which would be an hour
// here.
func TestAmbiguousCommitAsksAtOnce(t *testing.T) {
	p, _, nc, _ := viaProxy(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, nc, js, journal.Options{CommitTimeout: time.Hour})
	acquire(t, j)
	p.CutAfter("Nats-Batch-Commit")
	if err := j.Commit(deadline(t), journal.Batch{Position: position(1)}); err != nil {
		t.Fatalf("commit whose acknowledgement was lost = %v, want nil: the leader has it", err)
	}
	p.CutBefore("Nats-Batch-Commit")
	err = j.Commit(deadline(t), journal.Batch{Position: position(2)})
	if _, ok := errors.AsType[*journal.UncommittedError](err); !ok {
		t.Fatalf("commit that never reached the server = %v, want *UncommittedError", err)
	}
}

func TestAmbiguousCommitWithoutBroker(t *testing.T) {
	p, j, _, _ := viaProxy(t)
	acquire(t, j)
	p.SetDown(true)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := j.Commit(ctx, journal.Batch{Position: position(1)})
	if _, ok := errors.AsType[*journal.AmbiguousError](err); !ok {
		t.Fatalf("commit without a broker = %v, want *AmbiguousError", err)
	}
	p.SetDown(false)
	s := acquire(t, j) // either outcome is right; it is settled now
	if s.Position != nil && !bytes.Equal(s.Position, position(1)) {
		t.Errorf("position = %s", s.Position)
	}
	if err := j.Commit(deadline(t), journal.Batch{Position: position(2)}); err != nil {
		t.Fatal(err)
	}
}

func TestAcquireSurvivesLostAcknowledgement(t *testing.T) {
	p, j, _, _ := viaProxy(t)
	p.CutAfter("Nats-Expected-Last-Subject-Sequence")
	if s := acquire(t, j); s.Epoch != 1 {
		t.Errorf("epoch = %d, want 1: the lost bump must be recognised as our own", s.Epoch)
	}
}

func TestDigestMismatchIsRefused(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	if err := j.Commit(ctx, journal.Batch{Position: position(1), Shards: []journal.Shard{
		{Name: "a", Data: []byte("1")}, {Name: "b", Data: []byte("2")},
	}}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(ctx, "DRIFTD_STATE_0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject("driftd.state.0.shard.b")); err != nil {
		t.Fatal(err)
	}
	_, err = open(t, nc, js, journal.Options{}).Acquire(ctx)
	var damaged *journal.RestoreError
	if !errors.As(err, &damaged) || damaged.WantedShards != 2 || damaged.ReadShards != 1 {
		t.Fatalf("acquire of a damaged state = %v, want *RestoreError", err)
	}
}

func TestFullStateStreamWritesNothingAndRecovers(t *testing.T) {
	nc, js := setup(t, journal.Layout{StateMaxBytes: 1 << 20})
	ctx := deadline(t)
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	big := func(n int) journal.Batch {
		b := journal.Batch{Position: position(n)}
		for i := range 10 {
			b.Shards = append(b.Shards, journal.Shard{Name: fmt.Sprint("s", i), Data: bytes.Repeat([]byte{byte(n)}, n)})
		}
		return b
	}
	if err := j.Commit(ctx, big(50<<10)); err != nil {
		t.Fatal(err)
	}
	before := streamInfo(t, js, "DRIFTD_STATE_0", ">").State
	err := j.Commit(ctx, big(200<<10))
	if _, ok := errors.AsType[*journal.FullError](err); !ok {
		t.Fatalf("commit beyond max_bytes = %v, want *FullError", err)
	}
	after := streamInfo(t, js, "DRIFTD_STATE_0", ">").State
	if before.Msgs != after.Msgs || before.Bytes != after.Bytes || before.LastSeq != after.LastSeq {
		t.Errorf("the refused batch changed the stream: %+v, then %+v", before, after)
	}
	if err := j.Commit(ctx, big(20<<10)); err != nil {
		t.Fatalf("a smaller batch right after = %v: the journal still owns the partition", err)
	}
}

func TestTombstonesVanish(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	j := open(t, nc, js, journal.WithTombstoneTTL(time.Second))
	acquire(t, j)
	shards := []journal.Shard{{Name: "a", Data: []byte("1")}, {Name: "b", Data: []byte("2")}}
	if err := j.Commit(ctx, journal.Batch{Position: position(1), Shards: shards}); err != nil {
		t.Fatal(err)
	}
	if err := j.Commit(ctx, journal.Batch{Position: position(2), Shards: []journal.Shard{{Name: "a"}}}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the tombstone expires and the checkpoint and shard b stay", func() bool {
		return streamInfo(t, js, "DRIFTD_STATE_0", ">").State.Msgs == 2
	})
	if s := acquire(t, j); len(s.Shards) != 1 || string(s.Shards["b"]) != "2" {
		t.Errorf("shards = %v", s.Shards)
	}
}

func TestBadBatchesAreRefusedByName(t *testing.T) {
	nc, js := setup(t, journal.Layout{})
	ctx := deadline(t)
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	many := make([]journal.Shard, 1000)
	for i := range many {
		many[i] = journal.Shard{Name: fmt.Sprint("s", i), Data: []byte("x")}
	}
	huge := make([]result.Doc, 80)
	for i := range huge {
		huge[i] = result.Doc{ID: strconv.Itoa(i), Model: "m", Data: make([]byte, 1<<20)}
	}
	for name, b := range map[string]journal.Batch{
		"1001 messages":      {Position: position(1), Shards: many},
		"large shard":        {Position: position(1), Shards: []journal.Shard{{Name: "s", Data: make([]byte, 1<<20+1)}}},
		"large meta":         {Position: position(1), Meta: make([]byte, 1<<20)},
		"large batch":        {Position: position(1), Docs: huge},
		"position not JSON":  {Position: []byte("{")},
		"no position":        {},
		"shard twice":        {Position: position(1), Shards: []journal.Shard{{Name: "s", Data: []byte("1")}, {Name: "s"}}},
		"wildcard shard":     {Position: position(1), Shards: []journal.Shard{{Name: "a.*", Data: []byte("1")}}},
		"empty shard token":  {Position: position(1), Shards: []journal.Shard{{Name: "a..b", Data: []byte("1")}}},
		"no shard name":      {Position: position(1), Shards: []journal.Shard{{Data: []byte("1")}}},
		"model with a dot":   {Position: position(1), Docs: []result.Doc{{ID: "i", Model: "a.b", Data: []byte("1")}}},
		"unknown kind":       {Position: position(1), Docs: []result.Doc{{ID: "i", Kind: "x", Model: "a", Data: []byte("1")}}},
		"id with a new line": {Position: position(1), Docs: []result.Doc{{ID: "i\r\nNats-TTL: 1", Model: "a", Data: []byte("1")}}},
	} {
		if err := j.Commit(ctx, b); err == nil || errors.Is(err, journal.ErrNotAcquired) {
			t.Errorf("%s: commit = %v, want a refusal that keeps the ownership", name, err)
		}
	}
	if err := j.Commit(ctx, journal.Batch{Position: position(1), Shards: many[:999]}); err != nil {
		t.Errorf("commit of exactly 1,000 messages = %v", err)
	}
}

func TestCountIsAnUpperEstimate(t *testing.T) {
	b := journal.Batch{
		Position: position(1), Shards: []journal.Shard{{Name: "s", Data: make([]byte, 1000)}},
		Docs: []result.Doc{{ID: "a", Model: "m", Data: make([]byte, 2000)}},
	}
	for range 5000 {
		b.DeadLetters = append(b.DeadLetters, journal.DeadLetter{Stream: "S", Reason: "malformed", Detail: strings.Repeat("x", 200)})
	}
	messages, size := journal.Count(b)
	nc, js := setup(t, journal.Layout{})
	j := open(t, nc, js, journal.Options{})
	acquire(t, j)
	if err := j.Commit(deadline(t), b); err != nil {
		t.Fatal(err)
	}
	st := streamInfo(t, js, "DRIFTD_STATE_0", ">").State
	if uint64(messages) < st.Msgs || uint64(size) < st.Bytes {
		t.Errorf("Count = %d messages, %d bytes; stored %d, %d", messages, size, st.Msgs, st.Bytes)
	}
	ds, err := journal.ListDeadLetters(deadline(t), js, 0, 0)
	if err != nil || len(ds) != 5000 {
		t.Errorf("listed %d dead letters, %v; want 5000", len(ds), err)
	}
	if ds, err = journal.ListDeadLetters(deadline(t), js, 0, 3); err != nil || len(ds) != 3 {
		t.Errorf("listed %d dead letters, %v; want the newest 3", len(ds), err)
	}
}

func TestOpenRefusesUnfitStream(t *testing.T) {
	nc, js := brokertest.New(t)
	ctx := deadline(t)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "DRIFTD_STATE_0", Subjects: []string{"driftd.state.0.>"}}); err != nil {
		t.Fatal(err)
	}
	_, err := journal.Open(ctx, js, nc, 0, journal.Options{})
	var mm *journal.MismatchError
	if !errors.As(err, &mm) || !strings.Contains(err.Error(), "allow_atomic must be true, found false") {
		t.Errorf("open = %v", err)
	}
}
