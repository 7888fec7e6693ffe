package fold_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// BenchmarkTurns is BenchmarkEvents where models take turns message by message: models whose features have the same names, and models
// whose features have names of their own, so that no two write the same record.
func BenchmarkTurns(b *testing.B) {
	for _, own := range []bool{false, true} {
		for _, models := range []int{1, 10, 100} {
			for _, batch := range []int{1, 64} {
				b.Run(fmt.Sprintf("own=%v/models=%d/records=%d", own, models, batch), func(b *testing.B) { benchmarkTurns(b, own, models, batch) })
			}
		}
	}
}

func benchmarkTurns(b *testing.B, own bool, models, batch int) {
	stream := newWireStream(b, 20, batch)
	refs, c := map[string]*reference.Reference{}, stream.counting(fold.ModelConfig{}) //nolint:exhaustruct // every model has one
	c.MaxModels, c.Models = models, map[string]fold.ModelConfig{}
	for i := range models {
		ref := stream.ref
		if own {
			ref = stream.renamed(b, i)
		}
		refs[ref.Fingerprint()] = ref
		c.Models[fmt.Sprintf("m%d", i)] = fold.ModelConfig{ //nolint:exhaustruct // no rules
			Reference: ref.Fingerprint(), Timing: timing(60, window.Spec{Size: 60 * minute, Every: 60 * minute}), Detectors: detectors.Default(), //nolint:exhaustruct // not extended
		}
	}
	c.Defaults = c.Models["m0"]
	messages := stream.messages(max(4096/batch, models))
	for i := range messages {
		m := &messages[i]
		name := fmt.Appendf(nil, `"m%d"`, i%models)
		if m.Data = bytes.ReplaceAll(m.Data, []byte(`"m"`), name); own {
			m.Data = ownNames(m.Data, i%models)
		}
		m.Subject = fmt.Sprintf("ml.events.m%d", i%models)
	}
	refOf := func(fingerprint string) (*reference.Reference, error) { return refs[fingerprint], nil }
	p, out := fold.New("IN", c, [2]uint64{1, 2}, refOf, fold.Budget{Messages: 1 << 30, Bytes: 1 << 40}), fold.Output{} //nolint:exhaustruct // empty
	seq := uint64(0)
	apply := func() {
		m := messages[seq%uint64(len(messages))]
		if seq++; seq > uint64(len(messages)) {
			stream.renew(m.Data, seq)
		}
		m.Seq = seq
		if done, err := p.Apply(m, &out); err != nil || !done {
			b.Fatal(done, err)
		}
	}
	for range 2 * len(messages) {
		apply()
	}
	if s := p.Stats(); s.Duplicates > 0 || s.UnknownFeatures > 0 || s.WrongTypes > 0 || s.Events != uint64(2*len(messages)*batch) {
		b.Fatalf("counted %+v", s)
	}
	b.ReportAllocs()
	for b.Loop() {
		apply()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
}

// ownNames gives the features of events names that only one model has.
func ownNames(data []byte, model int) []byte {
	for _, kind := range []string{"f", "c"} {
		for i := range 20 {
			data = bytes.ReplaceAll(data, fmt.Appendf(nil, `"%s%d":`, kind, i), fmt.Appendf(nil, `"%s%d_%d":`, kind, model, i))
		}
	}
	return data
}

// renamed returns a reference of the features that ownNames names.
func (s *wireStream) renamed(tb testing.TB, model int) *reference.Reference {
	tb.Helper()
	builder := reference.NewBuilder(reference.Options{Name: fmt.Sprint("wire", model), Resolution: 1000}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for range 3000 {
		d.Reset(ownNames(s.appendEvent(nil), model))
		for d.Next() {
			if ev, _ := d.Event(); ev == nil || builder.Add(ev) != nil {
				tb.Fatal("an event that the reference does not take")
			}
		}
	}
	ref, err := builder.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}
