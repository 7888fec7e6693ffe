package window_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/window"
)

// What a numeric feature may take in memory at 1,000 cut points (docs/performance.md): 20 KB shared by all that is counted over its reference,
// 8 KB in the newest pane, while no cell has more than 65,535 values, at most 5 bytes a cell that is not empty in an older one. feature is what
// a pane holds of a feature beside its cells, whatever their number: both exact sums, the extremes, what is missing or in no cell.
const (
	mostShared  = 20 << 10
	mostNewest  = 8 << 10
	mostSparse  = 5
	mostFeature = 1 << 10
)

func TestMemoryOfAFeature(t *testing.T) {
	const features, cutPoints, few, many = 100, 1000, 300, 30_000
	rng := rand.New(rand.NewPCG(1, 2))
	before := liveHeap()
	ref := normalReference(t, rng, features, cutPoints)
	if got := (liveHeap() - before) / features; got > mostShared {
		t.Errorf("the reference takes %d bytes a feature, want at most %d", got, mostShared)
	}

	before = liveHeap()
	newest := window.NewPane(window.PaneKey{Start: 0, Version: "v", Fingerprint: "", Segment: ""}, ref, window.BlockBounds(ref))
	count := func(p *window.Pane, values int) {
		for _, c := range p.Features {
			for range values {
				c.AddNumber(rng.NormFloat64())
			}
		}
	}
	count(newest, few)
	first := (liveHeap() - before) / features
	if first > mostNewest {
		t.Errorf("the newest pane takes %d bytes a feature, want at most %d", first, mostNewest)
	}
	count(newest, many)
	if got := (liveHeap() - before) / features; got > first+first/20 { // what grows, ever more slowly, is the cells of values beyond the reference
		t.Errorf("the pane takes %d bytes a feature after %d values, and %d after %d: want it constant", first, few, got, few+many)
	}

	before = liveHeap()
	older := window.NewPane(window.PaneKey{Start: 1, Version: "v", Fingerprint: "", Segment: ""}, ref, window.BlockBounds(ref))
	count(older, few)
	older.Compact()
	if got := (liveHeap() - before) / features; got > few*mostSparse+mostFeature { // no more cells than values
		t.Errorf("an older pane of %d values takes %d bytes a feature, want at most %d", few, got, few*mostSparse+mostFeature)
	}
	runtime.KeepAlive(ref)
	runtime.KeepAlive(newest)
	runtime.KeepAlive(older)
}

func normalReference(t *testing.T, rng *rand.Rand, features, cutPoints int) *reference.Reference {
	t.Helper()
	b := reference.NewBuilder(reference.Options{Name: "normal", Model: "m", Resolution: cutPoints}) //nolint:exhaustruct // the defaults are meant
	fields := make([]event.Field, features)
	for i := range fields {
		fields[i].Name = fmt.Appendf(nil, "f%d", i)
	}
	for range 5 * cutPoints {
		for i := range fields {
			fields[i].Value = event.Value{Kind: event.ValueNumber, Num: rng.NormFloat64(), Str: nil}
		}
		if err := b.Add(&event.Event{Features: fields}); err != nil { //nolint:exhaustruct // an event without anything else
			t.Fatal(err)
		}
	}
	ref, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// liveHeap returns the bytes of live objects. No test of this package runs beside another one.
func liveHeap() int {
	runtime.GC()
	runtime.GC() // what the first one let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
