package pipeline_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/pending"
	"github.com/driftd/driftd/pipeline"
	"github.com/driftd/driftd/result"
)

// smallDisk is a disk that is full or is not: writes fail, and it says how much room there is.
type smallDisk struct {
	vfs.FS

	full *atomic.Bool
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if d.full.Load() {
		return vfs.DiskUsage{AvailBytes: 0, TotalBytes: 1 << 30, UsedBytes: 1 << 30}, nil
	}
	return vfs.DiskUsage{AvailBytes: 1 << 30, TotalBytes: 1 << 30, UsedBytes: 0}, nil
}

// The disk of the cache fills up while predictions wait for their labels: counting goes on in memory and says so, and when there is room again the next
// session keeps them on disk. The documents are those of a worker without a disk, to the byte.
func TestFullDiskUnderLabels(t *testing.T) {
	const n = 60
	label := strings.Repeat("x", 400_000) // the cache has 8 MiB in memory before it writes
	phase := func(m *memory, k int) {
		for i := range n {
			id := fmt.Sprintf("%d.%d", k, i)
			m.add("ml.events.m", fmt.Sprintf(`{"id":%q,"ts":%d,"prediction":"yes"}`, id, (k*n+i)*1000))
			m.add("ml.labels.m", fmt.Sprintf(`{"id":%q,"ts":%d,"label":"%s%d"}`, id, (k*n+i)*1000, label, i))
			if k > 0 { // one of the phase before is corrected: it must be known
				m.add("ml.labels.m", fmt.Sprintf(`{"id":"%d.%d","ts":%d,"label":"yes"}`, k-1, i, (k*n+i)*1000))
			}
		}
	}
	finish := func(m *memory) {
		end := event.Control{Kind: event.ControlMarker, Watermark: 2 * 3_600_000} //nolint:exhaustruct // a marker
		m.add("driftd.control.0", string(end.Encode()))
	}
	quality := func(m *memory) (out []string) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, d := range m.docs {
			out = append(out, string(d.Data))
		}
		return out
	}
	opts := func(m *memory) pipeline.Options {
		o := options(m)
		o.Counting.Defaults.Labels = &fold.Labels{ //nolint:exhaustruct // of two classes
			Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 3_600_000, MaxPending: 1000, Maturities: []int64{1_800_000}},
			Task: "binary", Positive: "yes", Threshold: 0.5,
		}
		m.now = func() int64 { return 1_800_000_000_000 }
		return o
	}
	plain := newMemory()
	for k := range 3 {
		phase(plain, k)
	}
	finish(plain)
	_, stop := start(t, opts(plain))
	done := func(m *memory) func() bool {
		return func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return slices.ContainsFunc(m.docs, func(d result.Doc) bool { return strings.Contains(string(d.Data), `"final":true`) })
		}
	}
	testenv.Eventually(t, 60*time.Second, "the undisturbed worker is done", done(plain))
	stop()

	var full atomic.Bool
	disk := &smallDisk{full: &full, FS: errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWrite {
			return syscall.ENOSPC
		}
		return nil
	}))}
	var last atomic.Pointer[pipeline.Snapshot]
	m := newMemory()
	o := opts(m)
	o.Observe = func(s pipeline.Snapshot) { last.Store(&s) }
	o.OpenPending = func(int) (pipeline.Pending, []byte, func() error, error) {
		s, err := pending.Open("labels", pending.Options{Logger: slog.New(slog.DiscardHandler), FS: disk, Free: 1})
		if err != nil {
			return nil, nil, nil, err
		}
		tag, err := s.Tag()
		if err != nil {
			return nil, nil, nil, errors.Join(err, s.Close())
		}
		return s, tag, s.Close, nil
	}
	folded := func() bool {
		s := last.Load()
		m.mu.Lock()
		defer m.mu.Unlock()
		return s != nil && s.Running && s.Position.Seq == uint64(len(m.msgs))
	}
	_, stop = start(t, o)
	phase(m, 0)
	testenv.Eventually(t, 60*time.Second, "all is kept on disk", func() bool { return folded() && last.Load().PendingTrouble == "" })
	full.Store(true)
	phase(m, 1)
	testenv.Eventually(t, 60*time.Second, "counting goes on in memory, and says so", func() bool { return folded() && last.Load().PendingTrouble != "" })
	t.Logf("told: %s", last.Load().PendingTrouble)
	stop()
	full.Store(false)
	_, stop = start(t, o)
	phase(m, 2)
	finish(m)
	testenv.Eventually(t, 60*time.Second, "all is kept on disk again", func() bool { return folded() && done(m)() && last.Load().PendingTrouble == "" })
	if s := last.Load().Stats; s.LabelsLost > 0 {
		t.Errorf("%d records are lost", s.LabelsLost)
	}
	stop()
	if diff := cmp.Diff(quality(plain), quality(m)); diff != "" {
		t.Errorf("documents (-without a disk +with one that was full)\n%.2000s", diff)
	}
	if text := strings.Join(quality(m), ""); !strings.Contains(text, fmt.Sprintf(`"corrected":%d,`, 2*n)) {
		t.Errorf("no document has %d corrections", 2*n)
	}
}
