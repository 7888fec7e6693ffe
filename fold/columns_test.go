package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// columnarEvent is an event of the test below; nil is null.
type columnarEvent struct {
	id       string
	ts       int64
	x, n     *float64
	country  *string
	strange  float64 // of a name that the reference has not got
	latency  float64
	decision string
}

func (e *columnarEvent) json() string {
	data, err := json.Marshal(map[string]any{
		"id": e.id, "ts": e.ts, "latency_ms": e.latency, "prediction": map[string]any{"label": e.decision},
		"features": map[string]any{"f0": e.x, "f1": e.n, "c0": e.country, "strange": e.strange},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}

// columns writes events as a driftd.v1.Events.
func columns(events []columnarEvent) []byte {
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	out := protowire.AppendVarint([]byte{8}, uint64(len(events)))
	numbers := func(name string, f func(*columnarEvent) *float64) {
		var packed []byte
		nulls := make([]byte, (len(events)+7)/8)
		for i := range events {
			v := f(&events[i])
			if v == nil {
				nulls[i/8] |= 1 << (i % 8)
				v = new(float64)
			}
			packed = protowire.AppendFixed64(packed, math.Float64bits(*v))
		}
		out = field(out, 2, field(field(field(nil, 1, []byte(name)), 2, packed), 7, nulls))
	}
	words := func(name string, f func(*columnarEvent) *string) {
		col, index := field(nil, 1, []byte(name)), []byte(nil)
		var dictionary []string
		nulls := make([]byte, (len(events)+7)/8)
		for i := range events {
			v := f(&events[i])
			if v == nil {
				nulls[i/8] |= 1 << (i % 8)
				v = new(string)
			}
			at := slices.Index(dictionary, *v)
			if at < 0 {
				at = len(dictionary)
				dictionary = append(dictionary, *v)
				col = field(col, 5, []byte(*v))
			}
			index = protowire.AppendVarint(index, uint64(at))
		}
		if col = field(col, 6, index); !bytes.Equal(nulls, make([]byte, len(nulls))) {
			col = field(col, 7, nulls)
		}
		out = field(out, 2, col)
	}
	words("id", func(e *columnarEvent) *string { return &e.id })
	numbers("ts", func(e *columnarEvent) *float64 { x := float64(e.ts); return &x })
	numbers("latency_ms", func(e *columnarEvent) *float64 { return &e.latency })
	words("prediction.label", func(e *columnarEvent) *string { return &e.decision })
	numbers("features.f0", func(e *columnarEvent) *float64 { return e.x })
	numbers("features.f1", func(e *columnarEvent) *float64 { return e.n })
	words("features.c0", func(e *columnarEvent) *string { return e.country })
	numbers("features.strange", func(e *columnarEvent) *float64 { return &e.strange })
	return out
}

// The same events as columns and as NDJSON give the same results, to the byte: over several panes and windows, with repeated ids, late
// events, nulls and unknown names, and wherever commits and crashes fall.
func TestColumnarMessagesGiveTheSameResults(t *testing.T) {
	stream := newWireStream(t, 2, 1)
	model := fold.ModelConfig{ //nolint:exhaustruct // no rules
		Reference: stream.ref.Fingerprint(), Detectors: detectors.Default(),
		Timing: timing(15, window.Spec{Size: 60 * minute, Every: 15 * minute}), //nolint:exhaustruct // not extended
	}
	counting := stream.counting(model)
	rng := rand.New(rand.NewPCG(31, 32))
	base := int64(1_795_000_000_000)
	var lines, cols []fold.Message
	for seq := uint64(1); seq <= 120; seq++ {
		events := make([]columnarEvent, 1+rng.IntN(64))
		for i := range events {
			x, n, c := 100+10*rng.NormFloat64(), 90+20*rng.Float64(), []string{"alpha", "beta", "new"}[rng.IntN(3)]
			e := columnarEvent{
				id: fmt.Sprint(seq, ".", i), ts: base + int64(seq)*3*minute + int64(i)*minute/8, x: &x, n: &n, country: &c,
				strange: 1, latency: rng.ExpFloat64(), decision: []string{"yes", "no"}[rng.IntN(2)],
			}
			switch rng.IntN(12) {
			case 0:
				e.id = fmt.Sprint(seq, ".", i/2) // repeated
			case 1:
				e.ts -= int64(rng.IntN(200)) * minute // late
			case 2:
				e.x, e.country = nil, nil
			}
			events[i] = e
		}
		var data []byte
		for i := range events {
			data = append(append(data, events[i].json()...), '\n')
		}
		m := fold.Message{Seq: seq, Subject: "ml.events.m", Time: base + int64(seq)*3*minute + 10*minute, Data: data} //nolint:exhaustruct // no retry
		lines = append(lines, m)
		m.Data = columns(events)
		cols = append(cols, m)
	}
	budget := fold.Budget{Messages: 900, Bytes: 32 << 20}
	want := run(t, counting, stream.refs, lines, chance{rng: rng, commit: 0.1, crash: 0, budget: budget, poison: nil})
	if len(want.docs) < 20 {
		t.Fatalf("only %d documents", len(want.docs))
	}
	for _, crash := range []float64{0, 0.1} {
		got := run(t, counting, stream.refs, cols, chance{rng: rng, commit: 0.2, crash: crash, budget: budget, poison: nil})
		if diff := cmp.Diff(texts(want.docs), texts(got.docs)); diff != "" {
			t.Fatalf("crashes %v: (-NDJSON +columns)\n%s", crash, diff)
		}
	}
}

func texts(docs []result.Doc) []string {
	out := make([]string, len(docs))
	for i, d := range docs {
		out[i] = d.ID + " " + string(d.Data)
	}
	return out
}

// A refused row is dead-lettered under its own index, the others count; a message that cannot be read is one dead letter.
func TestColumnarDeadLetters(t *testing.T) {
	stream := newWireStream(t, 2, 1)
	x := 1.0
	data := columns([]columnarEvent{{id: "a", ts: 1000, x: &x}, {id: "b", ts: math.MaxInt64, x: &x}, {id: "c", ts: 3000, x: &x}})
	p, out := stream.partition(), fold.Output{} //nolint:exhaustruct // empty
	for i, data := range [][]byte{data, data[:len(data)-3]} {
		m := fold.Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: 5000, Data: data} //nolint:exhaustruct // no retry
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatal(done, err)
		}
	}
	var got []string
	for _, d := range out.DeadLetters {
		got = append(got, fmt.Sprint(d.Seq, ".", d.Index, " ", d.Reason))
	}
	if diff := cmp.Diff([]string{"1.1 bad_time", "2.0 malformed"}, got); diff != "" {
		t.Error(diff)
	}
	if n := p.Stats().Events; n != 2 {
		t.Errorf("%d events counted, want 2", n)
	}
}
