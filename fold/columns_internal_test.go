package fold

import (
	"errors"
	"fmt"
	"testing"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/columnstest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// Records of many messages are counted together. Where counting panics nobody knows for which of them; counted alone, the partition does.
func TestAPanicAmongRecordsCountedTogether(t *testing.T) {
	message := func(i int) Message {
		return Message{Seq: uint64(i), Subject: "ml.events.m", Time: 60_000, Data: fmt.Appendf(nil, `{"id":"%d","ts":60000,"features":{"x":%d}}`, i, i)}
	}
	b := reference.NewBuilder(reference.Options{Name: "r"}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for i := range 100 {
		d.Reset(message(i).Data)
		d.Next()
		ev, rejected := d.Event()
		if rejected != nil {
			t.Fatal(rejected)
		}
		if err := b.Add(ev); err != nil {
			t.Fatal(err)
		}
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	counting := Counting{ //nolint:exhaustruct // the rest is off
		Defaults: ModelConfig{ //nolint:exhaustruct // no rules
			Reference: ref.Fingerprint(), Detectors: detectors.Default(),
			Timing: window.Timing{Windows: []window.Spec{{Size: 900_000, Every: 900_000}}, Pane: 900_000}, //nolint:exhaustruct // not extended
		},
		UnknownModels: UnknownAuto, MaxModels: 10, MaxVersions: 5, FutureTolerance: 300_000, DedupIDs: 1000, Limits: event.DefaultLimits(), MaxMessage: 1 << 20,
	}
	const last = 20
	// broken returns the first error of a partition that cannot count a feature any more from message 10 on.
	broken := func(alone uint64) error {
		p := New("IN", counting, [2]uint64{1, 2}, func(string) (*reference.Reference, error) { return ref, nil }, Budget{Messages: 1 << 30, Bytes: 1 << 40})
		p.CountAlone(alone)
		var out Output
		for i := 1; i <= last; i++ {
			if i == 10 {
				for _, pane := range p.sources["m"].Panes {
					clear(pane.Features)
				}
			}
			if done, err := p.Apply(message(i), &out); err != nil || !done {
				return err
			}
		}
		_, err := p.Settle(&out, true)
		return err
	}
	var poison *PanicError
	if err := broken(0); !errors.As(err, &poison) || !poison.Several || poison.Seq != last {
		t.Errorf("counted together: %+v, want a panic of several records up to message %d", err, last)
	}
	if err := broken(last); !errors.As(err, &poison) || poison.Several || poison.Seq != 10 || poison.Index != 0 {
		t.Errorf("counted alone: %+v, want a panic of record 0 of message 10", err)
	}
}

// Rows of a columnar message are folded together. Where that panics nobody knows for which of them; folded one by one, the partition does.
func TestAPanicAmongRowsFoldedTogether(t *testing.T) {
	counting := plainCounting()
	message := func(seq uint64) Message {
		table := columnstest.Table{Names: []string{"id", "latency_ms"}, Values: [][]any{{}, {}}}
		for i := range 10 {
			table.Values[0] = append(table.Values[0], fmt.Sprint(seq, ".", i))
			table.Values[1] = append(table.Values[1], any(nil))
		}
		table.Values[1][7] = 1.5 // the only one that needs the histogram
		return Message{Seq: seq, Subject: "ml.events.m", Time: 60_000, Data: table.Protobuf()}
	}
	for _, alone := range []uint64{0, 3} {
		p := New("IN", counting, [2]uint64{1, 2}, func(string) (*reference.Reference, error) { return nil, ErrNoReference }, Budget{Messages: 1 << 30, Bytes: 1 << 40})
		p.CountAlone(alone)
		var out Output
		for seq := uint64(1); seq <= 2; seq++ {
			if done, err := p.Apply(message(seq), &out); err != nil || !done {
				t.Fatal(done, err)
			}
		}
		for _, pane := range p.sources["m"].Panes {
			pane.Latency = nil
		}
		_, err := p.Apply(message(3), &out)
		var poison *PanicError
		if !errors.As(err, &poison) || poison.Seq != 3 || poison.Several != (alone == 0) || alone > 0 && poison.Index != 7 {
			t.Errorf("one by one up to %d: %+v, want a panic of message 3, on its own of record 7", alone, err)
		}
	}
}

// The same of messages of one record each.
func TestAPanicAmongMessagesFoldedTogether(t *testing.T) {
	counting := plainCounting()
	const last = 20
	some := make([]Message, last)
	for i := range some {
		latency := "null"
		if i == 12 {
			latency = "1.5" // the only one that needs the histogram
		}
		some[i] = Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: 60_000, Data: fmt.Appendf(nil, `{"id":"%d","ts":60000,"latency_ms":%s}`, 100+i, latency)}
	}
	for _, alone := range []uint64{0, last} {
		p := New("IN", counting, [2]uint64{1, 2}, func(string) (*reference.Reference, error) { return nil, ErrNoReference }, Budget{Messages: 1 << 30, Bytes: 1 << 40})
		p.CountAlone(alone)
		var out Output
		var err error
		for rest := some; len(rest) > 0 && err == nil; {
			var n int
			if n, _, err = p.ApplySome(rest, &out); n > 0 {
				rest = rest[n:]
			}
			for _, pane := range p.sources["m"].Panes {
				pane.Latency = nil
			}
		}
		var poison *PanicError
		if !errors.As(err, &poison) || poison.Several != (alone == 0) || alone == 0 && poison.Seq != last || alone > 0 && (poison.Seq != 13 || poison.Index != 0) {
			t.Errorf("one by one up to %d: %+v, want a panic up to message %d, on its own of message 13", alone, err, last)
		}
	}
}

// Where decoding panics, it is one of several messages, and on its own that message as a whole.
func TestAPanicOfDecodingMessagesTogether(t *testing.T) {
	const last = 10
	some := make([]Message, last)
	for i := range some {
		some[i] = Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: 60_000, Data: fmt.Appendf(nil, `{"id":"%d","ts":60000}`, 100+i)}
	}
	for _, alone := range []bool{false, true} {
		p := New("IN", plainCounting(), [2]uint64{1, 2}, func(string) (*reference.Reference, error) { return nil, ErrNoReference }, Budget{Messages: 1 << 30, Bytes: 1 << 40})
		var out Output
		for i := range 2 {
			if done, err := p.Apply(some[i], &out); err != nil || !done {
				t.Fatal(done, err)
			}
		}
		p.decoder = nil
		rest := some[2:]
		if alone {
			rest = rest[:1]
		}
		_, _, err := p.ApplySome(rest, &out)
		var poison *PanicError
		if !errors.As(err, &poison) || poison.Several == alone || poison.Index != -1 || alone && poison.Seq != 3 || !alone && poison.Seq != last {
			t.Errorf("alone %v: %+v", alone, err)
		}
	}
}

// plainCounting counts windows of 15 minutes without a reference.
func plainCounting() Counting {
	return Counting{ //nolint:exhaustruct // the rest is off
		Defaults: ModelConfig{ //nolint:exhaustruct // no rules
			Timing: window.Timing{Windows: []window.Spec{{Size: 900_000, Every: 900_000}}, Pane: 900_000}, //nolint:exhaustruct // not extended
		},
		UnknownModels: UnknownAuto, MaxModels: 10, MaxVersions: 5, FutureTolerance: 300_000, DedupIDs: 1000, Limits: event.DefaultLimits(), MaxMessage: 1 << 20,
	}
}
