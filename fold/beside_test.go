package fold_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/window"
)

// besideStart is a full hour.
const besideStart = int64(1_800_000_000_000)

// idler begins jobs that run when somebody waits for them, and not before.
type idler struct{ waited int }

func (i *idler) begin(job func()) func(bool) bool {
	done := false
	return func(wait bool) bool {
		if wait && !done {
			done = true
			i.waited++
			job()
		}
		return done
	}
}

// besideStream makes messages one after the other.
type besideStream []fold.Message

func (s *besideStream) add(subject string, at int64, data []byte) {
	*s = append(*s, fold.Message{Seq: uint64(len(*s)) + 1, Subject: subject, Time: besideStart + at*minute + 1000, Data: data}) //nolint:exhaustruct // not sourced
}

// event adds an event of a model, a minute and a version.
func (s *besideStream) event(model string, at int64, version string) {
	s.add("ml.events."+model, at, fmt.Appendf(nil, `{"id":"%s%d","ts":%d,"version":%q,"latency_ms":%d,"status":"ok","prediction":0.5,"features":{"x":%d.5,"c":"k%d"}}`,
		model, len(*s), besideStart+at*minute, version, 1+at%7, at%5-2, at%3))
}

func (s *besideStream) control(at int64, c event.Control) { s.add("driftd.control.0", at, c.Encode()) }

// repeat adds a message again.
func (s *besideStream) repeat(i int) {
	m := (*s)[i]
	m.Seq = uint64(len(*s)) + 1
	*s = append(*s, m)
}

// closing is an hour of two versions of model m and the event that closes its windows.
func closing() *besideStream {
	s := &besideStream{}
	for i := range int64(60) {
		s.event("m", i, []string{"v1", "v2"}[i%2])
	}
	s.event("m", 60, "v1")
	return s
}

func besideCounting(fp string) fold.Counting {
	c := smallCounting()
	c.MaxVersions, c.DedupIDs = 4, 1000
	c.Defaults.Reference, c.Defaults.ReferenceName = fp, "r"
	c.Defaults.Timing = timing(30, window.Spec{Size: 60 * minute, Every: 60 * minute}, window.Spec{Size: 30 * minute, Every: 15 * minute}) //nolint:exhaustruct // not extended
	return c
}

// While a window is judged, what cannot change what it says is folded, and the rest waits. The documents are those of a fold that judges every window
// where it is due.
func TestWhatWaitsForWindowsThatAreJudged(t *testing.T) {
	refs, fps := references(t, 400)
	other := besideCounting(fps[0])
	other.Defaults.Timing.Lateness = 0
	config, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		waits bool
		then  func(s *besideStream)
	}{
		{"events in order", false, func(s *besideStream) {
			for i := int64(61); i < 75; i++ {
				s.event("m", i, []string{"v1", "v2", "v3"}[i%3])
			}
		}},
		{"the end of the next window", true, func(s *besideStream) { s.event("m", 75, "v1") }},
		{"an event of a window that is judged", true, func(s *besideStream) { s.event("m", 59, "v1") }},
		{"an event that is too late for the hour", true, func(s *besideStream) { s.event("m", 10, "v1") }},
		{"an event that is too late", true, func(s *besideStream) { s.event("m", -300, "v1") }},
		{"an event of a pane that is over", true, func(s *besideStream) { s.event("m", 74, "v1"); s.event("m", 44, "v2") }},
		{"an event ahead of the pane", true, func(s *besideStream) { s.event("m", 63, "v1"); s.event("m", 80, "v2") }},
		{"more versions than are told apart", true, func(s *besideStream) { s.event("m", 61, "v3"); s.event("m", 62, "v4"); s.event("m", 63, "v5") }},
		{"an event without a time", false, func(s *besideStream) {
			s.add("ml.events.m", 61, []byte(`{"id":"now","features":{"x":1,"c":"k1"}}`))
		}},
		{"a repeated event", false, func(s *besideStream) { s.repeat(60) }},
		{"a repeated event of a window that is judged", true, func(s *besideStream) { s.repeat(30) }},
		{"a refused record", false, func(s *besideStream) { s.add("ml.events.m", 61, []byte("not json")) }},
		{"lost messages", false, func(s *besideStream) {
			s.event("m", 61, "v1")
			s.event("m", 62, "v2")
			*s = append((*s)[:len(*s)-2], (*s)[len(*s)-1])
		}},
		{"a label", true, func(s *besideStream) {
			s.add("ml.labels.m", 61, fmt.Appendf(nil, `{"id":"m3","ts":%d,"label":1}`, besideStart+61*minute))
		}},
		{"another model", false, func(s *besideStream) { s.event("n", 61, "v1"); s.event("n", 62, "v1") }},
		{"another model's windows", false, func(s *besideStream) {
			s.event("n", 50, "v1")
			s.event("n", 61, "v1")
			s.event("m", 62, "v1")
			s.event("n", 63, "v1")
		}},
		{"another model's label ahead of its events", true, func(s *besideStream) {
			s.event("n", 50, "v1")
			s.add("ml.labels.n", 61, fmt.Appendf(nil, `{"id":"n3","ts":%d,"label":1}`, besideStart+61*minute))
		}},
		{"a marker", true, func(s *besideStream) {
			s.control(61, event.Control{Kind: event.ControlMarker, Source: "m", Watermark: besideStart + 61*minute}) //nolint:exhaustruct // a marker
		}},
		{"the end of a file", true, func(s *besideStream) {
			s.control(61, event.Control{Kind: event.ControlMarker, Watermark: besideStart + 61*minute, End: true}) //nolint:exhaustruct // a marker
		}},
		{"a configuration", true, func(s *besideStream) {
			s.control(61, event.Control{Kind: event.ControlConfig, ConfigHash: other.Hash(), Models: config}) //nolint:exhaustruct // a configuration
		}},
		{"another reference", true, func(s *besideStream) {
			s.control(61, event.Control{Kind: event.ControlActivation, Model: "m", Name: "r1", Reference: fps[1]}) //nolint:exhaustruct // a reference
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := closing()
			c.then(s)
			lazy := &idler{waited: 0}
			p, out := fold.New("IN", besideCounting(fps[0]), [2]uint64{1, 2}, refs, unlimited()), fold.Output{} //nolint:exhaustruct // empty
			p.JudgeBeside(lazy.begin)
			for i, m := range *s {
				if next := p.Position().Next(); next < m.Seq {
					if err := p.Lose(next, m.Seq-1); err != nil {
						t.Fatal(err)
					}
				}
				if done, err := p.Apply(m, &out); !done || err != nil {
					t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
				}
				if i == 60 { // the windows before were judged and waited for
					lazy.waited = 0
				}
			}
			if waits := lazy.waited > 0; waits != c.waits {
				t.Errorf("waited %v, want %v", waits, c.waits)
			}
			// The rest of the stream closes everything.
			s.event("m", 300, "v1")
			s.control(2000, event.Control{Kind: event.ControlMarker, Watermark: besideStart + 2000*minute}) //nolint:exhaustruct // a marker
			want := run(t, besideCounting(fps[0]), refs, *s, undisturbed())
			beside := undisturbed()
			beside.beside = lazy.begin
			equal(t, want, run(t, besideCounting(fps[0]), refs, *s, beside))
			if len(want.docs) < 20 {
				t.Errorf("%d documents prove nothing", len(want.docs))
			}
		})
	}
}

// A window whose documents need several commits is emitted behind a position that has moved on. After a restart between any two of them the rest comes,
// without a further message.
func TestRestartBetweenTheCommitsOfAWindow(t *testing.T) {
	refs, fps := references(t, 400)
	counting := besideCounting(fps[0])
	counting.Defaults.Segments = []fold.SegmentConfig{{Dimension: "c", Values: []string{"k0", "k1"}}} //nolint:exhaustruct // these
	budget := fold.Budget{Messages: 8, Bytes: 1 << 20}
	s := closing()
	for i := int64(61); i < 70; i++ {
		s.event("m", i, "v1")
	}
	want := run(t, counting, refs, *s, undisturbed())
	for commits := 0; ; commits++ {
		j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0, flight: nil}
		p, out := fold.New("IN", counting, [2]uint64{1, 2}, refs, budget), fold.Output{} //nolint:exhaustruct // empty
		p.JudgeBeside((&idler{waited: 0}).begin)
		for _, m := range *s {
			for done := false; !done; {
				var err error
				if done, err = p.Apply(m, &out); err != nil {
					t.Fatal(err)
				}
				if !done || m.Seq < 61 { // so that there is room for what is counted behind the hour
					j.commit(p, &out)
				}
			}
		}
		if !p.Judging() {
			t.Fatal("the windows of the hour were emitted before the end")
		}
		all := false
		for i := 0; i < commits && !all; i++ {
			var err error
			if all, err = p.Settle(&out, true); err != nil {
				t.Fatal(err)
			}
			j.commit(p, &out)
		}
		if all {
			if commits < 4 {
				t.Errorf("%d commits, want several", commits-1)
			}
			return
		}
		if j.commit(p, &out); len(j.docs) >= len(want.docs) {
			t.Fatalf("%d of %d documents in the first %d commits", len(j.docs), len(want.docs), commits)
		}
		back, err := fold.Restore("IN", j.head, j.shards, refs, budget)
		if err != nil {
			t.Fatal(err)
		}
		if at := back.Position(); !at.Done || at.Seq != uint64(len(*s)) {
			t.Fatalf("position %+v", at)
		}
		for all = false; !all; {
			if all, err = back.Settle(&out, true); err != nil {
				t.Fatal(err)
			}
			j.commit(back, &out)
		}
		equal(t, want, j)
	}
}

// What panics beside counting is met by who counts, and blamed on the record that made the window due, wherever the fold is by then.
func TestPanicOfAJob(t *testing.T) {
	for _, c := range []struct {
		name string
		then func(t *testing.T, p *fold.Partition, s *besideStream, out *fold.Output) error
	}{
		{"a record that waits", func(_ *testing.T, p *fold.Partition, s *besideStream, out *fold.Output) error {
			s.event("m", 59, "v1")
			_, err := p.Apply((*s)[len(*s)-1], out)
			return err
		}},
		{"a commit", func(_ *testing.T, p *fold.Partition, _ *besideStream, out *fold.Output) error {
			_, err := p.Settle(out, true)
			return err
		}},
		{"a commit behind further records", func(t *testing.T, p *fold.Partition, s *besideStream, out *fold.Output) error {
			t.Helper()
			s.event("m", 61, "v1")
			if done, err := p.Apply((*s)[len(*s)-1], out); !done || err != nil {
				t.Fatal(done, err)
			}
			_, err := p.Settle(out, true)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			refs, fps := references(t, 400)
			counting := besideCounting(fps[0])
			counting.Defaults.Timing.Windows = counting.Defaults.Timing.Windows[:1]
			s := closing()
			p, out := fold.New("IN", counting, [2]uint64{1, 2}, refs, unlimited()), fold.Output{} //nolint:exhaustruct // empty
			p.JudgeBeside((&idler{waited: 0}).begin)
			apply := func(m fold.Message) {
				if done, err := p.Apply(m, &out); !done || err != nil {
					t.Fatal(done, err)
				}
			}
			for _, m := range (*s)[:60] {
				apply(m)
			}
			ref, err := refs(fps[0])
			if err != nil {
				t.Fatal(err)
			}
			ref.Features[0].Counts = nil // which judging needs
			(*s)[60].Data = append(bytes.Clone((*s)[59].Data), append([]byte("\n"), (*s)[60].Data...)...)
			apply((*s)[60])
			err = c.then(t, p, s, &out)
			poison, ok := errors.AsType[*fold.PanicError](err)
			if !ok || poison.Seq != 61 || poison.Index != 1 {
				t.Errorf("err = %v, want a panic in record 1 of message 61", err)
			}
		})
	}
}
