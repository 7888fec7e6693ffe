package store_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/store"
)

// BenchmarkWrite reports feature rows a second, one window of 200 features a transaction, and bytes a row on disk.
func BenchmarkWrite(b *testing.B) {
	for _, windows := range []int{1, 5} {
		b.Run(fmt.Sprintf("features=200/windows=%d", windows), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "store.db")
			s := open(b, path, store.Options{})
			i, rows, size := 0, 0, 0
			for b.Loop() {
				b.StopTimer()
				var docs []store.Document
				for range windows {
					w := hourly(i)
					w.features, w.perPart = 200, 200
					docs = append(docs, w.documents(b)...)
					i++
					rows += 200
				}
				for _, d := range docs {
					size += len(d.Data)
				}
				b.StartTimer()
				write(b, s, docs...)
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(size)/float64(rows), "document-B/row")
			if info, err := os.Stat(path); err == nil {
				b.ReportMetric(float64(info.Size())/float64(rows), "disk-B/row")
			}
		})
	}
}

// BenchmarkRead is issue 3's page: 200 features and 1,000 windows, three revisions of every tenth window.
func BenchmarkRead(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store.db"), store.Options{})
	for i := range 1000 {
		w := hourly(i)
		w.features, w.perPart = 200, 200
		write(b, s, w.documents(b)...)
		if i%10 == 0 {
			for w.revision = 1; w.revision < 3; w.revision++ {
				write(b, s, w.documents(b)...)
			}
		}
	}
	series := history.Series{Model: "credit"}
	ctx := b.Context()
	for _, bench := range []struct {
		name string
		ask  func() (any, error)
	}{
		{"models", func() (any, error) { m, _, err := s.Models(ctx, history.Page{}); return m, err }},
		{"model", func() (any, error) { return s.Model(ctx, "credit") }},
		{"windows=1000", func() (any, error) {
			return s.Windows(ctx, history.WindowsQuery{Series: series, Page: history.Page{Limit: 1000}})
		}},
		{"window/features=200", func() (any, error) {
			w := hourly(500)
			w.revision = 2
			return s.Window(ctx, "credit", w.id())
		}},
		{"features=200", func() (any, error) { return s.Features(ctx, series) }},
		{"series/windows=1000", func() (any, error) {
			return s.FeatureSeries(ctx, history.FeatureQuery{Series: series, Feature: "f100", Page: history.Page{Limit: 1000}})
		}},
		{"heat/features=200/windows=1000", func() (any, error) { return s.Heat(ctx, history.WindowsQuery{Series: series}) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			size := 0
			for b.Loop() {
				v, err := bench.ask()
				if err != nil {
					b.Fatal(err)
				}
				data, err := json.Marshal(v)
				if err != nil {
					b.Fatal(err)
				}
				size = len(data)
			}
			b.ReportMetric(float64(size), "json-B")
		})
	}
}
