package journal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/driftd/driftd/journal"
)

// BenchmarkCommit measures a commit of k changed shards of 8 KB; embedded broker over loopback TCP, file storage, R1.
func BenchmarkCommit(b *testing.B) {
	for _, k := range []int{10, 50, 200} {
		b.Run(fmt.Sprintf("%dshards", k), func(b *testing.B) {
			nc, js := setup(b, journal.Layout{})
			j := open(b, nc, js, journal.Options{})
			acquire(b, j)
			ctx := deadline(b)
			var took []time.Duration
			n := 0
			for b.Loop() {
				batch := journal.Batch{Position: position(n)}
				for i := range k {
					data := make([]byte, 8<<10)
					copy(data, fmt.Sprint(n, i)) // every shard has changed
					batch.Shards = append(batch.Shards, journal.Shard{Name: fmt.Sprint("s", i), Data: data})
				}
				n++
				start := time.Now()
				if err := j.Commit(ctx, batch); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// BenchmarkRestore measures Acquire with 1,000 live shards of 8 KB.
func BenchmarkRestore(b *testing.B) {
	nc, js := setup(b, journal.Layout{})
	j := open(b, nc, js, journal.Options{})
	acquire(b, j)
	for n := range 4 {
		batch := journal.Batch{Position: position(n)}
		for i := range 250 {
			batch.Shards = append(batch.Shards, journal.Shard{Name: fmt.Sprintf("s.%d.%d", n, i), Data: make([]byte, 8<<10)})
		}
		if err := j.Commit(deadline(b), batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if s := acquire(b, j); len(s.Shards) != 1000 {
			b.Fatal("shards are missing")
		}
	}
}
