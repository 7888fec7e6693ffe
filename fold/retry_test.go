package fold_test

import (
	"fmt"
	"testing"

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
