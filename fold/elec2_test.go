package fold_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

const day = int64(24 * 3_600_000)

// elec2Reference is the stated reference week.
func elec2Reference(tb testing.TB, lines [][]byte, resolution int) *reference.Reference {
	tb.Helper()
	start, end := elec2test.Week()
	b := reference.NewBuilder(reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "elec2-week", Model: elec2test.Model, Resolution: resolution,
		Start: start.UnixMilli(), End: end.UnixMilli(),
		Quality: &reference.QualityBy{Config: quality.Default(quality.Binary), Resolution: resolution},
	})
	d := event.NewDecoder(event.DefaultLimits())
	for _, line := range lines {
		d.Reset(line)
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

// elec2Counting judges by the conventions of expected.json.
func elec2Counting(fingerprint string) fold.Counting {
	d := detectors.Default()
	d.Bins, d.Smoothing, d.Epsilon = detectors.BinsQuantile10, detectors.SmoothingFloor, 1e-4
	m := fold.ModelConfig{
		Reference: fingerprint, ReferenceName: "elec2-week",
		Timing: window.Timing{
			Windows: []window.Spec{{Size: day, Every: day}}, Pane: window.PaneUnit, Lateness: day / 4, WatermarkDelay: 30_000,
		},
		Detectors: d, Rules: alerting.Defaults(), Features: nil, Predictions: nil,
	}
	return fold.Counting{
		Defaults: m, Models: map[string]fold.ModelConfig{elec2test.Model: m}, UnknownModels: fold.UnknownReject, MaxModels: 10, MaxVersions: 20,
		FutureTolerance: 300_000, DedupIDs: 1_000_000, Limits: event.DefaultLimits(), MaxMessage: 8 << 20,
	}
}

// messages makes stored messages of lines, and the marker that replay puts at the end of a file.
func messages(lines [][]byte, marker bool) []fold.Message {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).UnixMilli()
	out := make([]fold.Message, 0, len(lines)+1)
	for i, line := range lines {
		out = append(out, fold.Message{Seq: uint64(i + 1), Subject: "ml.events." + elec2test.Model, Time: now + int64(i), Data: line})
	}
	if marker {
		c := event.Control{Kind: event.ControlMarker, Watermark: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), Source: elec2test.Model, End: true}
		out = append(out, fold.Message{Seq: uint64(len(lines) + 1), Subject: "driftd.control.0", Time: now, Data: c.Encode()})
	}
	return out
}

// outcome is everything that a partition published.
type outcome struct {
	docs []result.Doc
	dead []result.DeadLetter
}

// Every window and feature of the real log gives the counts, PSI, KL and KS of expected.json (SciPy 1.10.1 and plain
// implementations, see ../shared/vectors/README.md). With the default resolution the interval contains the KS.
func TestElec2(t *testing.T) {
	lines, want := elec2test.Lines(t), elec2test.ReadExpected(t)
	for _, resolution := range []int{elec2test.ExactResolution, reference.DefaultResolution} {
		t.Run(fmt.Sprintf("resolution=%d", resolution), func(t *testing.T) {
			ref := elec2Reference(t, lines, resolution)
			if ref.Rows != elec2test.ReferenceRows {
				t.Errorf("reference has %d rows, want %d", ref.Rows, elec2test.ReferenceRows)
			}
			counting := elec2Counting(ref.Fingerprint())
			p := fold.New("IN", counting, [2]uint64{1, 2}, find(ref), fold.Budget{Messages: math.MaxInt, Bytes: math.MaxInt})
			var out fold.Output
			for _, m := range messages(lines, true) {
				if done, err := p.Apply(m, &out); err != nil || !done {
					t.Fatalf("message %d: done %v, %v", m.Seq, done, err)
				}
			}
			if len(out.DeadLetters) != 0 {
				t.Errorf("%d dead letters, first %+v", len(out.DeadLetters), out.DeadLetters[0])
			}
			got := elec2test.NewResults()
			for _, d := range out.Docs {
				got.Add(t, d.Data)
			}
			want.Compare(t, got, resolution == elec2test.ExactResolution)
			st := p.Stats()
			if st.Events != elec2test.Events || st.Labels != elec2test.Labels || st.Duplicates != elec2test.Duplicates || st.Late != 0 {
				t.Errorf("events %d, labels %d, duplicates %d, late %d", st.Events, st.Labels, st.Duplicates, st.Late)
			}
		})
	}
}

// find returns the lookup of one reference.
func find(ref *reference.Reference) fold.References {
	fp := ref.Fingerprint()
	return func(f string) (*reference.Reference, error) {
		if f != fp {
			return nil, fold.ErrNoReference
		}
		return ref, nil
	}
}
