package fold_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
)

// A dead letter that is published again several times is folded once, also where its records have no id, over a restart, and when
// the process is restarted in the middle of it.
func TestRetryCountsOnce(t *testing.T) {
	refs := func(string) (*reference.Reference, error) { return nil, fold.ErrNoReference }
	counting := elec2Counting("")
	counting.UnknownModels, counting.Models = fold.UnknownAuto, nil
	two := `{"ts":60000}` + "\n" + `{"ts":60000}`
	msgs := []fold.Message{
		{Subject: "ml.events.m", Data: []byte(two)}, // no retry: counted, whoever sent the same before
		{Subject: "ml.events.m", Data: []byte(two), Retry: "7.1"},
		{Subject: "ml.events.m", Data: []byte(two), Retry: "7.1"},
		{Subject: "ml.events.m", Data: []byte(two), Retry: "7.2"},
		{Subject: "ml.events.m", Data: []byte(`{"id":"x","ts":60000}`)},
		{Subject: "ml.events.m", Data: []byte(`{"id":"x","ts":60000}`), Retry: "7.3"}, // it was sent again before it was retried
		{Subject: "ml.events.m", Data: []byte(two), Retry: "7.1"},
	}
	for i := range msgs {
		msgs[i].Seq, msgs[i].Time = uint64(i+1), 60_000
	}
	for name, budget := range map[string]fold.Budget{"whole": {Messages: 900, Bytes: 1 << 20}, "a commit a record": {Messages: 1, Bytes: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0}
			var out fold.Output
			var events, duplicates uint64
			p := fold.New("IN", counting, [2]uint64{1, 2}, refs, budget)
			for next := uint64(1); next <= uint64(len(msgs)); next = p.Position().Next() {
				if _, err := p.Apply(msgs[next-1], &out); err != nil {
					t.Fatal(err)
				}
				events, duplicates = events+p.Stats().Events, duplicates+p.Stats().Duplicates
				j.commit(p, &out)
				var err error
				if p, err = fold.Restore("IN", j.head, j.shards, refs, budget); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := fmt.Sprint(events, duplicates), "7 3"; got != want { // 2+2+2+1 events; two repeated retries, one id
				t.Errorf("events and duplicates %s, want %s", got, want)
			}
			if len(j.dead) != 0 {
				t.Errorf("dead letters %+v", j.dead)
			}
		})
	}
}

// sourced is a message that the broker sourced: the header has the form that nats-server 2.15 gives it in TestSourcedStream of
// package e2e.
func sourced(seq uint64, origin string, at uint64, data string) fold.Message {
	return fold.Message{
		Seq: seq, Subject: "ml.events.m", Time: 60_000, Data: []byte(data), Source: fmt.Sprintf("%s %d > > ml.events.m", origin, at),
	}
}

// A message that the broker sources twice is folded once; one that has the sequence of another message is another message.
func TestSourcedCountsOnce(t *testing.T) {
	refs := func(string) (*reference.Reference, error) { return nil, fold.ErrNoReference }
	counting := elec2Counting("")
	counting.UnknownModels, counting.Models = fold.UnknownAuto, nil
	const one, two = `{"ts":60000}`, `{"ts":60000}` + "\n" + `{"ts":60000}`
	msgs := []fold.Message{
		sourced(1, "A", 5, two),
		sourced(2, "A", 7, one), // a filter leaves gaps
		sourced(3, "B", 5, two), // another origin
		sourced(4, "A", 5, two), // again
		sourced(5, "A", 7, one),
		sourced(6, "A", 8, one),
		sourced(7, "A", 1, one), // the origin was made again
		sourced(8, "A", 2, one),
		sourced(9, "A", 2, one),  // again
		sourced(10, "A", 2, two), // and made again at once
		{Seq: 11, Subject: "ml.events.m", Time: 60_000, Data: []byte(one), Source: "nonsense"}, // no header of the broker
		{Seq: 12, Subject: "ml.events.m", Time: 60_000, Data: []byte(one), Source: "nonsense"},
	}
	for name, budget := range map[string]fold.Budget{"whole": {Messages: 900, Bytes: 1 << 20}, "a commit a record": {Messages: 1, Bytes: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0}
			var out fold.Output
			var sum [4]uint64
			p := fold.New("IN", counting, [2]uint64{1, 2}, refs, budget)
			for next := uint64(1); next <= uint64(len(msgs)); next = p.Position().Next() {
				if _, err := p.Apply(msgs[next-1], &out); err != nil {
					t.Fatal(err)
				}
				s := p.Stats()
				for i, n := range []uint64{s.Events, s.Duplicates, s.SourcedTwice, s.SourcedBack} {
					sum[i] += n
				}
				j.commit(p, &out)
				var err error
				if p, err = fold.Restore("IN", j.head, j.shards, refs, budget); err != nil {
					t.Fatal(err)
				}
			}
			// Events: 2+1+2+1+1+1+2+1+1. Repeated: 4, 5 and 9. Back: 7 and 10.
			if want := [4]uint64{12, 3, 3, 2}; sum != want {
				t.Errorf("events, duplicates, sourced twice, went back: %v, want %v", sum, want)
			}
		})
	}
	t.Run("as rows of a reference", func(t *testing.T) {
		rows := fold.NewRows(counting, [2]uint64{1, 2})
		n := 0
		for _, m := range msgs {
			if err := rows.Each(m, func(*event.Event) error { n++; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if s := rows.Stats(); n != 12 || s.Duplicates != 3 {
			t.Errorf("%d rows, %d duplicates; want 12 and 3", n, s.Duplicates)
		}
	})
}

// However many origins there are, the state follows 64: the one that was silent longest is forgotten, and begins anew.
func TestManyOrigins(t *testing.T) {
	refs := func(string) (*reference.Reference, error) { return nil, fold.ErrNoReference }
	counting := elec2Counting("")
	counting.UnknownModels, counting.Models = fold.UnknownAuto, nil
	p := fold.New("IN", counting, [2]uint64{1, 2}, refs, unlimited())
	var out fold.Output
	seq := uint64(0)
	send := func(origin int, at uint64) {
		t.Helper()
		seq++
		if _, err := p.Apply(sourced(seq, fmt.Sprint("O", origin), at, fmt.Sprintf(`{"ts":60000,"id":"%d"}`, seq)), &out); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 64 {
		send(i, 100)
	}
	send(0, 101)
	send(64, 100) // forgets 1
	send(0, 50)   // is known, and goes back
	send(1, 50)   // is not
	var head struct{ Origins map[string]any }
	if err := json.Unmarshal(p.Header(), &head); err != nil || len(head.Origins) != 64 || p.Stats().SourcedBack != 1 {
		t.Errorf("%d origins are followed, %d went back, %v; want 64 and 1", len(head.Origins), p.Stats().SourcedBack, err)
	}
}
