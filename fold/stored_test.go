package fold_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// recordState writes the state of the present version, where none is recorded. A recorded one is never written again: it is what
// the users of that version have (docs/adr/0007-state-survives-an-upgrade.md).
var recordState = flag.String("record-state", "", "`DIR`: record the state of the present version there, which must not exist")

// storedState is a recorded state: what a state stream holds.
type storedState struct {
	Header json.RawMessage   `json:"header"`
	Shards map[string][]byte `json:"shards"`
}

// storedMessages are the messages of the recording. Those before the line `restore` were folded when it was made.
func storedMessages(tb testing.TB, name string, stored int64) (before, after []fold.Message) {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		tb.Fatal(err)
	}
	into := &before
	seq := uint64(0)
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
			continue
		case line == "restore":
			into = &after
			continue
		}
		seq++
		subject, body, _ := strings.Cut(line, " ")
		*into = append(*into, fold.Message{Seq: seq, Subject: subject, Time: stored + int64(seq), Data: []byte(body)})
	}
	return before, after
}

// storedReference has 40 rows: x is 1, 2, 3 and 4, ten times each; c is a or b in turn; the latency is 10 ms.
func storedReference(tb testing.TB) *reference.Reference {
	tb.Helper()
	b := reference.NewBuilder(reference.Options{Name: "r", Model: "m"}) //nolint:exhaustruct // the defaults are meant
	d := event.NewDecoder(event.DefaultLimits())
	for i := range 40 {
		d.Reset(fmt.Appendf(nil, `{"model":"m","id":"r%d","latency_ms":10,"features":{"x":%d,"c":%q}}`, i, i%4+1, []string{"a", "b"}[i%2]))
		for d.Next() {
			ev, rej := d.Event()
			if rej != nil {
				tb.Fatal(rej)
			}
			if err := b.Add(ev); err != nil {
				tb.Fatal(err)
			}
		}
	}
	ref, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return ref
}

// storedCounting has hourly windows with half an hour of lateness, and a watermark that is the newest event.
func storedCounting(fingerprint string) fold.Counting {
	const hour = 3_600_000
	c := elec2Counting(fingerprint)
	m := c.Models["elec2-up"]
	m.ReferenceName, m.Detectors = "r", detectors.Default()
	m.Timing.Windows[0].Size, m.Timing.Windows[0].Every = hour, hour
	m.Timing.Lateness, m.Timing.WatermarkDelay = hour/2, 0
	c.Defaults, c.Models, c.DedupIDs = m, map[string]fold.ModelConfig{"m": m}, 100
	return c
}

// plenty is a budget that nothing here reaches.
func plenty() fold.Budget { return fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt} }

// TestRecordState makes a recording when it is asked to.
func TestRecordState(t *testing.T) {
	if *recordState == "" {
		return
	}
	if _, err := os.Stat(*recordState); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s exists: a recorded state is never written again", *recordState)
	}
	ref := storedReference(t)
	before, _ := storedMessages(t, "state-messages.txt", 1_795_435_200_000) // 2026-11-23T12:00:00Z
	j := run(t, storedCounting(ref.Fingerprint()), find(ref), before, undisturbed())
	data, err := json.MarshalIndent(storedState{Header: j.head, Shards: j.shards}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(*recordState, 0o750); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"state.json": data, "reference.bin": ref.Encode()} {
		if err := os.WriteFile(filepath.Join(*recordState, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Every state that a released version wrote is restored and counted on. What is expected was counted by hand from
// testdata/state-messages.txt, where the sums stand beside the messages.
func TestStoredStates(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join("testdata", "state-v*"))
	if err != nil || len(dirs) == 0 {
		t.Fatalf("recorded states: %v, %v; want at least that of version 1", dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { restoreStored(t, dir) })
	}
}

func restoreStored(t *testing.T, dir string) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	ref, err := reference.Decode(read("reference.bin"))
	if err != nil {
		t.Fatal(err)
	}
	var st storedState
	if err := json.Unmarshal(read("state.json"), &st); err != nil {
		t.Fatal(err)
	}
	used, err := fold.ReferencesInUse(st.Header, st.Shards)
	if err != nil || !maps.Equal(used, map[string]string{"m": ref.Fingerprint()}) {
		t.Errorf("references in use: %v, %v; want that of m", used, err)
	}
	before, after := storedMessages(t, "state-messages.txt", 1_795_435_200_000) // 2026-11-23T12:00:00Z
	p, err := fold.Restore("IN", st.Header, st.Shards, find(ref), plenty())
	if err != nil {
		t.Fatal(err)
	}
	if next := p.Position().Next(); next != uint64(len(before)+1) {
		t.Fatalf("the restored state goes on with message %d, want %d", next, len(before)+1)
	}
	var out fold.Output
	for _, m := range after {
		if done, err := p.Apply(m, &out); err != nil || !done {
			t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
		}
	}
	if len(out.DeadLetters) != 0 {
		t.Errorf("dead letters %v, want none", out.DeadLetters)
	}
	type line struct {
		Hour, Revision                                int
		Version                                       string
		Events, Labels, Duplicate, Late, LateAccepted uint64
		Malformed, Errors, Latencies                  uint64
		X, XMissing, XInvalid                         uint64
		XMean                                         string
		XMin, XMax                                    float64
		C                                             uint64
		Complete                                      bool
	}
	var got []line
	index := map[string]int{}
	for _, doc := range out.Docs {
		var s result.Summary
		var f result.FeatureDoc
		if err := json.Unmarshal(doc.Data, &f); err == nil && f.Type == "features" {
			l := &got[index[f.ResultID]]
			for _, x := range f.Features {
				switch c := x.Current; x.Feature {
				case "x":
					l.X, l.XMissing, l.XInvalid = c.Count, c.Missing, c.Invalid
					l.XMean, l.XMin, l.XMax = fmt.Sprintf("%.6f", *c.Mean), *c.Min, *c.Max
				case "c":
					l.C = c.Count
				}
			}
			continue
		}
		if err := json.Unmarshal(doc.Data, &s); err != nil {
			t.Fatalf("reading a document: %v: %s", err, doc.Data)
		}
		if s.Type != "summary" {
			continue
		}
		index[s.ResultID] = len(got)
		got = append(got, line{
			Hour: int(s.Window.Start / 3_600_000 % 24), Revision: s.Revision, Version: s.Key.Version, Complete: s.Complete,
			Events: s.Counts.Events, Labels: s.Counts.Labels, Duplicate: s.Counts.Duplicate, Late: s.Counts.Late,
			LateAccepted: s.Counts.LateAccepted, Malformed: s.Counts.Rejected["malformed"], Errors: s.Errors, Latencies: s.Latency.Count,
		})
	}
	// The sums are derived in testdata/state-messages.txt.
	want := []line{
		{Hour: 10, Revision: 1, Version: "*", Events: 9, Labels: 1, Duplicate: 1, LateAccepted: 1, Malformed: 1, Errors: 1, Latencies: 9, X: 7, XMissing: 1, XInvalid: 1, XMean: "3.285714", XMin: 1, XMax: 9, C: 9, Complete: true},
		{Hour: 10, Revision: 1, Version: "1", Events: 6, LateAccepted: 1, Latencies: 6, X: 6, XMean: "2.333333", XMin: 1, XMax: 4, C: 6, Complete: true},
		{Hour: 11, Revision: 0, Version: "*", Events: 2, Duplicate: 1, Late: 1, Latencies: 2, X: 2, XMean: "3.000000", XMin: 2, XMax: 4, C: 2, Complete: true},
		{Hour: 11, Revision: 0, Version: "1", Events: 2, Latencies: 2, X: 2, XMean: "3.000000", XMin: 2, XMax: 4, C: 2, Complete: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the windows after the restart (-by hand +got):\n%s", diff)
	}
}

// A state of a later version is refused, and says what to do; so is one that is not a state at all.
func TestForeignStates(t *testing.T) {
	for _, head := range []string{`{"version":99}`, `{"version":0}`, `{}`, `[]`, ``} {
		if _, err := fold.Restore("IN", []byte(head), nil, find(storedReference(t)), plenty()); err == nil {
			t.Errorf("header %q was restored", head)
		} else if strings.Contains(head, "99") && !strings.Contains(err.Error(), "upgrade") {
			t.Errorf("header %q: %v; want it to say what to do", head, err)
		}
		if _, err := fold.ReferencesInUse([]byte(head), nil); err == nil {
			t.Errorf("header %q has references", head)
		}
	}
}
