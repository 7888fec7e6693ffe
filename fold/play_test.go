package fold_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
)

// journal is the simplest thing that keeps commits: what the state stream does, in memory.
type journal struct {
	head   []byte
	shards map[string][]byte
	outcome
	largest int // messages of the largest commit, headers left out
	commits int
	crashes int
	flight  *flight // nil: none is on its way
}

// flight is a commit on its way.
type flight struct {
	part    *fold.Partition
	taken   *fold.Taken
	head    []byte
	out     fold.Output
	changes chan []fold.Shard // 1
}

func (j *journal) commit(p *fold.Partition, out *fold.Output) {
	j.begin(p, out)
	j.land()
}

// begin takes a commit that is encoded while the partition goes on, as package pipeline does it, and stored before the next one.
func (j *journal) begin(p *fold.Partition, out *fold.Output) {
	j.land()
	f := &flight{part: p, taken: nil, head: bytes.Clone(p.Header()), out: *out, changes: make(chan []fold.Shard, 1)}
	f.taken = p.Take()
	p.Committed()
	go func() { f.changes <- f.taken.Shards() }()
	*out = fold.Output{} //nolint:exhaustruct // emptied
	j.flight = f
}

// land stores the commit that is on its way.
func (j *journal) land() {
	f := j.flight
	if f == nil {
		return
	}
	j.flight = nil
	changes := <-f.changes
	f.part.Stored(f.taken)
	j.head = f.head
	j.largest = max(j.largest, len(changes)+len(f.out.Docs))
	for _, s := range changes {
		if s.Data == nil {
			delete(j.shards, s.Name)
		} else {
			j.shards[s.Name] = bytes.Clone(s.Data)
		}
	}
	j.commits++
	j.docs = append(j.docs, f.out.Docs...)
	j.dead = append(j.dead, f.out.DeadLetters...)
}

// crash loses the partition, and the commit on its way in half of the cases.
func (j *journal) crash(rng *rand.Rand) {
	j.crashes++
	if rng.IntN(2) == 0 {
		j.land()
	}
	j.flight = nil
}

// chance says how a run is disturbed: the probabilities, after a message, of a commit and of a crash. Records in poison are
// quarantined from the start, as after a panic that an earlier run met.
type chance struct {
	rng           *rand.Rand
	commit, crash float64
	budget        fold.Budget
	poison        []*fold.PanicError
	beside        fold.Begin // nil: windows are judged where they are due
	settle        float64    // the probability that a commit waits for what is judged beside counting
	alone         bool       // records are counted one by one
	some          int        // so many messages are offered at once; 0: one
}

// run is play for a test that goes no further without it.
func run(tb testing.TB, counting fold.Counting, refs fold.References, msgs []fold.Message, c chance) *journal {
	tb.Helper()
	j, err := play(counting, refs, msgs, c)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// play reads all messages, committing and crashing as chance has it, and returns what was committed. Where sequences are left
// out, those messages were lost.
func play(counting fold.Counting, refs fold.References, msgs []fold.Message, c chance) (*journal, error) {
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0, flight: nil}
	quarantine := slices.Clone(c.poison)
	var p *fold.Partition
	var out fold.Output
	open := func() error {
		p, out = fold.New("IN", counting, [2]uint64{1, 2}, refs, c.budget), fold.Output{} //nolint:exhaustruct // what was not committed is lost
		if j.head != nil {
			var err error
			if p, err = fold.Restore("IN", j.head, j.shards, refs, c.budget); err != nil {
				return fmt.Errorf("restoring: %w", err)
			}
		}
		for _, q := range quarantine {
			p.Quarantine(q.Seq, q.Index)
		}
		if c.alone {
			p.CountAlone(math.MaxUint64)
		}
		if c.beside != nil {
			p.JudgeBeside(c.beside)
		}
		return nil
	}
	if err := open(); err != nil {
		return nil, err
	}
	settle := func() error {
		for {
			if done, err := p.Settle(&out, true); done || err != nil {
				return err
			}
			j.begin(p, &out)
		}
	}
	for {
		next := p.Position().Next()
		at, there := slices.BinarySearchFunc(msgs, next, func(m fold.Message, seq uint64) int { return cmp.Compare(m.Seq, seq) })
		if at == len(msgs) {
			break
		}
		m := msgs[at]
		if !there {
			if err := p.Lose(next, m.Seq-1); err != nil {
				return nil, err
			}
		}
		end := at + 1
		for end < len(msgs) && end-at < c.some && msgs[end].Seq == m.Seq+uint64(end-at) {
			end++
		}
		_, done, err := p.ApplySome(msgs[at:end], &out)
		if poison, ok := errors.AsType[*fold.PanicError](err); ok {
			quarantine = append(quarantine, poison)
			j.land()
			if err := open(); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("message %d: %w", m.Seq, err)
		}
		if before := p.Position(); !done || c.rng.Float64() < c.commit {
			if p.Judging() && c.rng.Float64() < c.settle {
				if err := settle(); err != nil {
					return nil, err
				}
			}
			j.begin(p, &out)
			if !done && p.Stuck(&out) {
				return nil, fmt.Errorf("stuck at %+v", before)
			}
		}
		if c.rng.Float64() < c.crash {
			j.crash(c.rng)
			if err := open(); err != nil {
				return nil, err
			}
		}
	}
	if err := settle(); err != nil {
		return nil, err
	}
	j.commit(p, &out)
	j.land()
	return j, nil
}

// byModel returns what a run published, model by model.
func (j *journal) byModel() *journal {
	out := *j
	out.docs = slices.Clone(j.docs)
	slices.SortStableFunc(out.docs, func(a, b result.Doc) int { return cmp.Compare(a.Model, b.Model) })
	return &out
}

func unlimited() fold.Budget { return fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt} }

func undisturbed() chance {
	return chance{rng: rand.New(rand.NewPCG(0, 0)), commit: 0, crash: 0, budget: unlimited(), poison: nil, beside: nil, settle: 1}
}

// equal fails unless two runs published the same bytes.
func equal(t *testing.T, want, got *journal) {
	t.Helper()
	if err := differ(want, got); err != nil {
		t.Fatal(err)
	}
}

// differ says what two runs published differently, if anything.
func differ(want, got *journal) error {
	for i := range min(len(want.docs), len(got.docs)) {
		if want.docs[i].ID != got.docs[i].ID || !bytes.Equal(want.docs[i].Data, got.docs[i].Data) {
			return fmt.Errorf("document %d differs:\nwant %s %s\ngot  %s %s", i, want.docs[i].ID, want.docs[i].Data, got.docs[i].ID, got.docs[i].Data)
		}
	}
	if len(want.docs) != len(got.docs) || len(want.dead) != len(got.dead) {
		return fmt.Errorf("%d documents and %d dead letters, want %d and %d", len(got.docs), len(got.dead), len(want.docs), len(want.dead))
	}
	for i := range want.dead {
		if want.dead[i] != got.dead[i] {
			return fmt.Errorf("dead letter %d: %+v, want %+v", i, got.dead[i], want.dead[i])
		}
	}
	return nil
}
