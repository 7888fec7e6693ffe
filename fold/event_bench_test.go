package fold_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/columnstest"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// BenchmarkEvents is the way of an event from the bytes of a message to the counts, with everything on: 20 numeric features of 1,000
// cells and 5 categorical ones, prediction, latency, status, and ids that are all new. It does not commit.
func BenchmarkEvents(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("records=%d", batch), func(b *testing.B) {
			stream := newWireStream(b, 20, batch)
			p, out := stream.partition(), fold.Output{} //nolint:exhaustruct // empty
			messages := stream.messages(4096 / batch)
			seq, bytes := uint64(0), 0
			some := make([]fold.Message, 64/batch) // as many as are handed over at once
			apply := func() {
				for i := range some {
					m := messages[seq%uint64(len(messages))]
					if seq++; seq > uint64(len(messages)) {
						stream.renew(m.Data, seq)
					}
					m.Seq = seq
					some[i] = m
					bytes += len(m.Data)
				}
				for rest := some; len(rest) > 0; {
					n, done, err := p.ApplySome(rest, &out)
					if err != nil || !done {
						b.Fatal(done, err)
					}
					rest = rest[n:]
				}
			}
			for range 2 * len(messages) / len(some) {
				apply()
			}
			bytes = 0
			b.ReportAllocs()
			for b.Loop() {
				apply()
			}
			b.SetBytes(int64(bytes / b.N))
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*64), "ns/event")
		})
	}
}

// BenchmarkColumnarEvents is BenchmarkEvents for protobuf by columns. Its ids are known again only after twice as many as are remembered.
func BenchmarkColumnarEvents(b *testing.B) {
	const events = 1 << 17
	for _, batch := range []int{64, 1024} {
		b.Run(fmt.Sprintf("records=%d", batch), func(b *testing.B) {
			stream := newWireStream(b, 20, batch)
			messages := make([]fold.Message, events/batch)
			for i := range messages {
				messages[i] = fold.Message{Subject: "ml.events.m", Time: 61_000, Data: stream.table().Protobuf()} //nolint:exhaustruct // numbered below
			}
			c := stream.counting(fold.ModelConfig{ //nolint:exhaustruct // no rules
				Reference: stream.ref.Fingerprint(), Timing: timing(60, window.Spec{Size: 60 * minute, Every: 60 * minute}), Detectors: detectors.Default(), //nolint:exhaustruct // not extended
			})
			c.DedupIDs = events / 2
			p, out, seq := fold.New("IN", c, [2]uint64{1, 2}, stream.refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40}), fold.Output{}, uint64(0) //nolint:exhaustruct // empty
			apply := func() {
				m := messages[seq%uint64(len(messages))]
				seq++
				m.Seq = seq
				if done, err := p.Apply(m, &out); err != nil || !done {
					b.Fatal(done, err)
				}
			}
			for range messages {
				apply()
			}
			if s := p.Stats(); s.Events != events || s.Duplicates > 0 || s.WrongTypes > 0 || s.UnknownFeatures > 0 {
				b.Fatalf("counted %+v", s)
			}
			b.ReportAllocs()
			for b.Loop() {
				apply()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
		})
	}
}

// table returns a message's events by columns.
func (s *wireStream) table() columnstest.Table {
	t := columnstest.Table{Names: []string{"model", "version", "id", "ts", "latency_ms", "status", "prediction"}, Values: nil}
	for i := range s.features {
		t.Names = append(t.Names, fmt.Sprintf("features.f%d", i))
	}
	for i := range 5 {
		t.Names = append(t.Names, fmt.Sprintf("features.c%d", i))
	}
	t.Values = make([][]any, len(t.Names))
	words := []string{"alpha", "beta", "gamma", "delta", "web", "mobile"}
	for range s.batch {
		row := []any{"m", "2026-11-01", fmt.Sprintf("9f1c2d3e-4b5a-4c6d-8e7f-%012x", s.n), int64(60_000 + s.n%1000), 5 + 20*s.rng.ExpFloat64(), "ok", s.rng.Float64()}
		for range s.features {
			row = append(row, 100+10*s.rng.NormFloat64())
		}
		for range 5 {
			row = append(row, words[s.rng.IntN(len(words))])
		}
		for i, v := range row {
			t.Values[i] = append(t.Values[i], v)
		}
		s.n++
	}
	return t
}

// wireStream makes messages of the event that bench/wire sends.
type wireStream struct {
	ref      *reference.Reference
	rng      *rand.Rand
	features int
	batch    int
	n        int
}

func newWireStream(tb testing.TB, features, batch int) *wireStream {
	tb.Helper()
	return newWireStreamOf(tb, features, batch, 1000)
}

// newWireStreamOf is newWireStream with another number of cut points: a feature has twice as many cells, and one.
func newWireStreamOf(tb testing.TB, features, batch, cutPoints int) *wireStream {
	tb.Helper()
	s := &wireStream{ref: nil, rng: rand.New(rand.NewPCG(1, 3)), features: features, batch: batch, n: 0}
	builder := reference.NewBuilder(reference.Options{Name: "wire", Resolution: cutPoints}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for range 3000 {
		d.Reset(s.appendEvent(nil))
		for d.Next() {
			ev, rejected := d.Event()
			if rejected != nil {
				tb.Fatal(rejected)
			}
			if err := builder.Add(ev); err != nil {
				tb.Fatal(err)
			}
		}
	}
	ref, err := builder.Build()
	if err != nil {
		tb.Fatal(err)
	}
	s.ref = ref
	return s
}

// wireID is where the 12 hexadecimal digits of an event's id begin that tell it from others.
const wireID = `{"model":"m","version":"2026-11-01","id":"9f1c2d3e-4b5a-4c6d-8e7f-`

func (s *wireStream) appendEvent(b []byte) []byte {
	b = append(b, wireID...)
	b = fmt.Appendf(b, `%012x","ts":%d,"latency_ms":%.3f,"status":"ok","prediction":%.4f,"features":{`, s.n, 60_000+s.n%1000, 5+20*s.rng.ExpFloat64(), s.rng.Float64())
	for i := range s.features {
		b = fmt.Appendf(b, `"f%d":%.3f,`, i, 100+10*s.rng.NormFloat64())
	}
	words := []string{"alpha", "beta", "gamma", "delta", "web", "mobile"}
	for i := range 5 {
		b = fmt.Appendf(b, `"c%d":%q,`, i, words[s.rng.IntN(len(words))])
	}
	b[len(b)-1] = '}'
	s.n++
	return append(b, '}')
}

func (s *wireStream) messages(n int) []fold.Message {
	out := make([]fold.Message, n)
	for i := range out {
		var data []byte
		for k := range s.batch {
			if k > 0 {
				data = append(data, '\n')
			}
			data = s.appendEvent(data)
		}
		out[i] = fold.Message{Seq: uint64(i) + 1, Subject: "ml.events.m", Time: 61_000, Data: data, Retry: ""}
	}
	return out
}

// renew gives the events of a message ids that were not there.
func (s *wireStream) renew(data []byte, seq uint64) {
	for i, k := 0, 0; i < len(data); k++ {
		id := strconv.AppendUint(nil, 1<<40+seq*uint64(s.batch)+uint64(k), 16)
		copy(data[i+len(wireID)+1:], id)
		for i < len(data) && data[i] != '\n' {
			i++
		}
		i++
	}
}

// move returns an event that is some hours later.
func (s *wireStream) move(data []byte, hours int64) []byte {
	i := bytes.Index(data, []byte(`"ts":`)) + len(`"ts":`)
	end := i + bytes.IndexByte(data[i:], ',')
	t, err := strconv.ParseInt(string(data[i:end]), 10, 64)
	if err != nil {
		panic(err)
	}
	return slices.Concat(data[:i], strconv.AppendInt(nil, t+hours*60*minute, 10), data[end:])
}

func (s *wireStream) partition() *fold.Partition {
	c := s.counting(fold.ModelConfig{ //nolint:exhaustruct // no rules
		Reference: s.ref.Fingerprint(), Timing: timing(60, window.Spec{Size: 60 * minute, Every: 60 * minute}), Detectors: detectors.Default(), //nolint:exhaustruct // not extended
	})
	return fold.New("IN", c, [2]uint64{1, 2}, s.refs, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40})
}

func (s *wireStream) counting(model fold.ModelConfig) fold.Counting {
	return fold.Counting{ //nolint:exhaustruct // no horizon
		Defaults: model, UnknownModels: fold.UnknownAuto, MaxModels: 10, MaxVersions: 20, FutureTolerance: 300_000, DedupIDs: 1_000_000,
		Limits: event.DefaultLimits(), MaxMessage: 8 << 20,
	}
}

func (s *wireStream) refs(string) (*reference.Reference, error) { return s.ref, nil }
