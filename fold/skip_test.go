package fold_test

import (
	"fmt"
	"testing"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
)

// A message that is set aside after a part of it was committed is dead-lettered once, from where it stood, also when the process
// is restarted in the middle of that.
func TestQuarantineOfWhatIsLeftOfAMessage(t *testing.T) {
	refs := func(string) (*reference.Reference, error) { return nil, fold.ErrNoReference }
	one := fold.Budget{Messages: 1, Bytes: 1 << 20} // every record fills a commit
	m := fold.Message{Seq: 1, Subject: "ml.events.m", Time: 60_000, Data: nil}
	for i := range 5 {
		m.Data = fmt.Appendf(m.Data, `{"id":"e%d","ts":%d}`+"\n", i, 60_000)
	}
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0}
	var out fold.Output
	counting := elec2Counting("")
	counting.UnknownModels, counting.Models = fold.UnknownAuto, nil
	p := fold.New("IN", counting, [2]uint64{1, 2}, refs, one)
	if done, err := p.Apply(m, &out); done || err != nil {
		t.Fatalf("the first record: done %v, %v", done, err)
	}
	j.commit(p, &out)
	for restarts := 0; !p.Position().Done; restarts++ {
		if restarts == 10 {
			t.Fatalf("no end: position %+v", p.Position())
		}
		var err error
		if p, err = fold.Restore("IN", j.head, j.shards, refs, one); err != nil {
			t.Fatal(err)
		}
		p.Quarantine(1, -1)
		if _, err := p.Apply(m, &out); err != nil {
			t.Fatal(err)
		}
		j.commit(p, &out)
	}
	if len(j.dead) != 1 || j.dead[0].Seq != 1 || j.dead[0].Index != 1 || j.dead[0].Reason != "panic" || j.dead[0].Size != len(m.Data) {
		t.Errorf("dead letters = %+v, want one for what is left from record 1 on", j.dead)
	}
}
