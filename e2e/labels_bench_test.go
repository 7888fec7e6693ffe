package e2e_test

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
)

var pendingIDs = flag.Int("pending", 1_000_000, "how many predictions wait for their labels in BenchmarkLabels, a multiple of 100")

// BenchmarkLabels is the join at a million predictions that wait, by the real way: a broker in a process of its own, the daemon, predictions and then
// their labels as NDJSON of 100; in between the daemon is killed, its cache removed, and the time taken until it is ready again with all of it.
// `make bench-labels`.
func BenchmarkLabels(b *testing.B) {
	const batch, endless = 100, 30 * time.Minute
	n := *pendingIDs / batch
	for b.Loop() {
		ext := startBroker(b)
		d := startDaemon(b, ext.config()+`
models:
  m:
    windows: [{size: 1d}]
    labels: {mode: full, task: binary, horizon: 3d, maturities: [1d], max_pending: 2000000}
`)
		d.run.Token = ext.token
		_, js := brokertest.Connect(b, ext.url, ext.token)
		// through publishes messages and returns the seconds until the daemon has committed them.
		through := func(subject, form string) float64 {
			begin := time.Now()
			for m := range n {
				var data []byte
				for i := m * batch; i < (m+1)*batch; i++ {
					data = fmt.Appendf(data, form, i, at.UnixMilli()+int64(i%3_600_000))
				}
				if _, err := js.PublishAsync(subject, data); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			awaitPosition(b, d, js, endless)
			return time.Since(begin).Seconds()
		}
		ids := float64(n * batch)
		b.ReportMetric(ids/through("ml.events.m", `{"id":"prediction-%d","version":"2026-11-01","ts":%d,"prediction":0.7}`+"\n"), "puts/s")
		b.ReportMetric(float64(d.peak())/(1<<20), "MiB-resident")
		d.kill()
		cache := filepath.Join(d.dir, "labels")
		if err := os.RemoveAll(cache); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		d.launch()
		testenv.Eventually(b, endless, "the daemon is ready with its cache made again", func() bool {
			run, err := broker.ReadRuntime(d.dir)
			if err != nil || run.PID != d.cmd.Process.Pid {
				return false
			}
			d.run = run
			d.run.Token = ext.token
			status, _, err := d.fetch("GET", "/-/ready", nil)
			return err == nil && status == 200
		})
		took := time.Since(begin).Seconds()
		b.ReportMetric(took, "rebuild-s")
		b.ReportMetric(ids/took, "rebuilt-ids/s")
		b.ReportMetric(float64(d.peak())/(1<<20), "MiB-resident-rebuilt")
		b.ReportMetric(float64(sizeOf(b, cache))/ids, "disk-B/id")
		b.ReportMetric(ids/through("ml.labels.m", `{"id":"prediction-%d","ts":%d,"label":1}`+"\n"), "labels/s")
		if got := d.metric(`driftd_labels_joined_total{result="matched"}`); got != ids {
			b.Errorf("%v labels met their predictions, want %v", got, ids)
		}
		if lost := d.metric("driftd_labels_lost_total"); lost > 0 {
			b.Errorf("%v records are lost", lost)
		}
		d.stop()
	}
}

// awaitPosition waits until the daemon has committed what the input stream holds.
func awaitPosition(b *testing.B, d *daemon, js jetstream.JetStream, patience time.Duration) {
	b.Helper()
	in, err := js.Stream(b.Context(), d.input)
	if err != nil {
		b.Fatal(err)
	}
	testenv.Eventually(b, patience, "everything is folded and committed", func() bool {
		return uint64(d.metric("driftd_pipeline_position")) >= in.CachedInfo().State.LastSeq
	})
}

func sizeOf(b *testing.B, dir string) (size int64) {
	b.Helper()
	if err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return size
}
