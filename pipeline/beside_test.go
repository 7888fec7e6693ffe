package pipeline_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/pipeline"
)

// A window that is due in a commit and whose documents are not in it is emitted when the partition is restored, though no message comes any more.
func TestWindowThatIsDueInACommitIsEmittedAfterARestart(t *testing.T) {
	m := newMemory()
	for i := range 16 {
		m.add("ml.events.m", eventAt(i)) // the last one ends the window of the 15 before it
	}
	o := options(m)
	p, out := fold.New("IN", o.Counting, [2]uint64{1, 2}, o.References, o.Budget), fold.Output{}
	p.JudgeBeside(func(job func()) func(bool) bool { // it runs when somebody waits for it
		done := false
		return func(wait bool) bool {
			if wait && !done {
				done = true
				job()
			}
			return done
		}
	})
	for _, msg := range m.msgs {
		if done, err := p.Apply(msg, &out); !done || err != nil {
			t.Fatal(done, err)
		}
	}
	if !p.Judging() || len(out.Docs) > 0 {
		t.Fatalf("judging %v with %d documents: the window was emitted where it was due", p.Judging(), len(out.Docs))
	}
	mark, err := json.Marshal(len(m.msgs))
	if err != nil {
		t.Fatal(err)
	}
	m.state = pipeline.State{Mark: mark, Header: bytes.Clone(p.Header()), Shards: map[string][]byte{}}
	for _, s := range p.Take().Shards() {
		m.state.Shards[s.Name] = s.Data
	}
	start(t, o)
	testenv.Eventually(t, 10*time.Second, "the window", func() bool { return slices.Equal(m.summaries(t), []string{"m 0 r0 n=15"}) })
}
