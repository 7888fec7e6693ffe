package fold_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// recordLabels is recordState for a state with labels.
var recordLabels = flag.String("record-labels", "", "`DIR`: record a state with labels of the present version there, which must not exist")

// storedLabels is a recorded state with what waited for labels.
type storedLabels struct {
	storedState

	Tag    json.RawMessage `json:"tag"`
	Groups []labels.Change `json:"groups"`
}

// storedLabelsCounting has a segment dimension from before quality was counted by segment.
func storedLabelsCounting() fold.Counting {
	c := smallCounting()
	m := &c.Defaults
	m.Rules, m.Timing.Lateness, m.Timing.WatermarkDelay = nil, 30*minute, 0
	m.Timing.Windows = []window.Spec{{Size: 60 * minute, Every: 60 * minute}}
	m.Segments = []fold.SegmentConfig{{Dimension: "c", Values: []string{"a"}}}
	m.Labels = &fold.Labels{
		Join: labels.Config{Mode: labels.ModeFull, Rate: labels.Million, Horizon: 240 * minute, MaxPending: 1000, Maturities: []int64{60 * minute, 180 * minute}},
		Task: "binary", Threshold: 0.5,
	}
	return c
}

// TestRecordLabels makes a recording when it is asked to.
func TestRecordLabels(t *testing.T) {
	if *recordLabels == "" {
		return
	}
	if _, err := os.Stat(*recordLabels); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s exists: a recorded state is never written again", *recordLabels)
	}
	before, _ := storedMessages(t, "labels-messages.txt", 1_795_444_200_000) // 2026-11-23T14:30:00Z
	p := fold.New("IN", storedLabelsCounting(), [2]uint64{1, 2}, nil, plenty())
	var out fold.Output
	for _, m := range before {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatal(done, err)
		}
	}
	j := &journal{head: nil, shards: map[string][]byte{}, outcome: outcome{docs: nil, dead: nil}, largest: 0, commits: 0, crashes: 0}
	j.commit(p, &out)
	groups, _ := p.TakePending()
	data, err := json.MarshalIndent(storedLabels{storedState{Header: j.head, Shards: j.shards}, p.PendingTag(), groups}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(*recordLabels, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*recordLabels, "state.json"), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every state with labels that was recorded is restored and counted on, with what waited for labels as it was recorded and read again from
// the stream. What is expected was counted by hand from testdata/labels-messages.txt.
func TestStoredLabels(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("testdata", "labels-v*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("recorded states: %v, %v; want at least that of version 1", dirs, err)
	}
	for _, dir := range dirs {
		for _, kept := range []bool{true, false} {
			name := filepath.Base(dir) + "/kept"
			if !kept {
				name = filepath.Base(dir) + "/lost"
			}
			t.Run(name, func(t *testing.T) { restoreLabels(t, dir, kept) })
		}
	}
}

func restoreLabels(t *testing.T, dir string, kept bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	var st storedLabels
	if err := json.Unmarshal(data, &st); err != nil {
		t.Fatal(err)
	}
	before, after := storedMessages(t, "labels-messages.txt", 1_795_444_200_000) // 2026-11-23T14:30:00Z
	p, err := fold.Restore("IN", st.Header, st.Shards, nil, plenty())
	if err != nil {
		t.Fatal(err)
	}
	store, tag := labels.NewMemory(), []byte(nil)
	if kept {
		store.Apply(st.Groups, nil)
		tag = st.Tag
	}
	again, clean := p.Relive(tag)
	if from, reread := again.From(); clean == kept || reread == kept {
		t.Fatalf("clean %v, read again %v from %d", clean, reread, from)
	}
	p.UsePending(store)
	if !kept {
		for _, m := range before {
			if err := again.Apply(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	again.Finish()
	var out fold.Output
	for _, m := range after {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	type line struct {
		Version, Segment    string
		Hours               int64
		Predictions, Labels uint64
		Matrix              [][]uint64
	}
	var got []line
	for _, d := range out.Docs {
		if q, ok := readQuality(t, d); ok && q.Window.Start%(24*60*minute) == 10*60*minute {
			got = append(got, line{q.Key.Version, q.Key.Segment, q.Maturity / (60 * minute), q.Predictions, q.Labels, q.Confusion.Matrix})
		}
	}
	want := []line{
		{result.All, result.All, 1, 6, 5, [][]uint64{{1, 0}, {2, 2}}},
		{"1", result.All, 1, 4, 4, [][]uint64{{1, 0}, {1, 2}}},
		{"2", result.All, 1, 2, 1, [][]uint64{{0, 0}, {1, 0}}},
		{result.All, result.All, 3, 6, 6, [][]uint64{{1, 1}, {2, 2}}},
		{"1", result.All, 3, 4, 4, [][]uint64{{1, 0}, {1, 2}}},
		{"2", result.All, 3, 2, 2, [][]uint64{{0, 1}, {1, 0}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the quality after the restart (-by hand +got):\n%s", diff)
	}
}
