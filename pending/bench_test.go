package pending_test

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/pending"
)

// The store at a million ids that wait: written in commits of 20,000, each then read with its label, as a label does.
// `go test ./pending -run '^$' -bench Million -benchtime 1x`.
func BenchmarkMillion(b *testing.B) {
	const ids, commit = 1_000_000, 20_000
	key := func(n int) (k labels.Key) {
		x := uint64(n)*0x9e3779b97f4a7c15 + 1 // spread as a hash spreads
		binary.LittleEndian.PutUint64(k[:8], x)
		binary.LittleEndian.PutUint64(k[8:], x*0xbf58476d1ce4e5b9)
		return k
	}
	for b.Loop() {
		b.StopTimer()
		s, err := pending.Open(b.TempDir(), pending.Options{Logger: slog.New(slog.DiscardHandler), FS: nil, Free: 1})
		if err != nil {
			b.Fatal(err)
		}
		batches := make([][]labels.Change, 0, ids/commit)
		for n := range ids {
			if n%commit == 0 {
				batches = append(batches, make([]labels.Change, 0, commit))
			}
			segment := uint64(n / 8192)
			g := labels.Group{Segment: segment, Began: int64(n), Predictions: []labels.Prediction{ //nolint:exhaustruct // no label yet
				{Time: int64(n), Pane: int64(n) - 1000, Epoch: 1, Version: "2026-11-01", Other: false, Data: make([]byte, 13)},
			}}
			last := &batches[len(batches)-1]
			*last = append(*last, labels.Change{Key: key(n), Segment: segment, Value: g.AppendBinary(nil)})
		}
		b.StartTimer()
		begin := time.Now()
		for _, changed := range batches {
			if err := s.Put(changed, nil, []byte("tag")); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		b.ReportMetric(ids/time.Since(begin).Seconds(), "puts/s")
		if err := s.Flush(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.DiskBytes())/ids, "disk-B/id")
		b.ReportMetric(float64(s.MemoryBytes())/(1<<20), "memory-MiB")
		b.StartTimer()
		begin = time.Now()
		for n := 0; n < ids; n += 5 {
			data, err := s.Get(key(n))
			if err != nil || data == nil {
				b.Fatal(n, err)
			}
			g, err := labels.DecodeGroup(data)
			if err != nil {
				b.Fatal(err)
			}
			g.Label = &labels.Label{Time: 1, Value: event.Value{Kind: event.ValueNumber, Num: 1, Str: nil}}
		}
		b.StopTimer()
		b.ReportMetric(ids/5/time.Since(begin).Seconds(), "gets/s")
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
