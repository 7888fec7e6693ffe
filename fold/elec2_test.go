package fold_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

const day = int64(24 * 3_600_000)

// elec2Lines returns the lines of the real serving log.
func elec2Lines(tb testing.TB) [][]byte {
	tb.Helper()
	f, err := os.Open(testenv.Shared(tb, "data", "serving-log-elec2", "events.ndjson.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	var lines [][]byte
	for sc := bufio.NewScanner(gz); sc.Scan(); {
		lines = append(lines, bytes.Clone(sc.Bytes()))
	}
	return lines
}

// elec2Expected is what of expected.json is compared.
type elec2Expected struct {
	Windows []struct {
		Start, End   time.Time
		NPredictions uint64 `json:"n_predictions"`
		Drift        map[string]struct {
			NRef     uint64   `json:"n_ref"`
			NCur     uint64   `json:"n_cur"`
			NMissing uint64   `json:"n_missing_cur"`
			PSI      *float64 `json:"psi_quantile10_eps1e-4"`
			PSIcat   *float64 `json:"psi_eps1e-4"`
			KL       *float64 `json:"kl_cur_ref_quantile10_eps1e-4"`
			KLcat    *float64 `json:"kl_cur_ref_eps1e-4"`
			KS       *float64 `json:"ks_d"`
		}
	}
}

func readElec2Expected(tb testing.TB) elec2Expected {
	tb.Helper()
	data, err := os.ReadFile(testenv.Shared(tb, "data", "serving-log-elec2", "expected.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var e elec2Expected
	if err := json.Unmarshal(data, &e); err != nil {
		tb.Fatal(err)
	}
	return e
}

// elec2Reference is the stated reference week.
func elec2Reference(tb testing.TB, lines [][]byte, resolution int) *reference.Reference {
	tb.Helper()
	b := reference.NewBuilder(reference.Options{ //nolint:exhaustruct // the defaults are meant
		Name: "elec2-week", Model: "elec2-up", Resolution: resolution,
		Start: time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), End: time.Date(2024, 3, 8, 0, 0, 0, 0, time.UTC).UnixMilli(),
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
		Defaults: m, Models: map[string]fold.ModelConfig{"elec2-up": m}, UnknownModels: fold.UnknownReject, MaxModels: 10, MaxVersions: 20,
		FutureTolerance: 300_000, DedupIDs: 1_000_000, Limits: event.DefaultLimits(), MaxMessage: 8 << 20,
	}
}

// messages makes stored messages of lines, and the marker that replay puts at the end of a file.
func messages(lines [][]byte, marker bool) []fold.Message {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC).UnixMilli()
	out := make([]fold.Message, 0, len(lines)+1)
	for i, line := range lines {
		out = append(out, fold.Message{Seq: uint64(i + 1), Subject: "ml.events.elec2-up", Time: now + int64(i), Data: line})
	}
	if marker {
		c := event.Control{Kind: event.ControlMarker, Watermark: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), Source: "elec2-up", End: true}
		out = append(out, fold.Message{Seq: uint64(len(lines) + 1), Subject: "driftd.control.0", Time: now, Data: c.Encode()})
	}
	return out
}

// outcome is everything that a partition published.
type outcome struct {
	docs []result.Doc
	dead []result.DeadLetter
}

// final returns the last revision of every day of all versions together.
func (o *outcome) final(tb testing.TB) (map[int64]result.Summary, map[string]map[string]result.Feature) {
	tb.Helper()
	sums, features := map[int64]result.Summary{}, map[string]map[string]result.Feature{}
	for _, d := range o.docs {
		var head struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(d.Data, &head); err != nil {
			tb.Fatal(err)
		}
		switch head.Type {
		case "summary":
			var s result.Summary
			if err := json.Unmarshal(d.Data, &s); err != nil {
				tb.Fatal(err)
			}
			if old, ok := sums[s.Window.Start]; s.Key.Version == result.All && (!ok || s.Revision > old.Revision) {
				sums[s.Window.Start] = s
			}
		case "features":
			var f result.FeatureDoc
			if err := json.Unmarshal(d.Data, &f); err != nil {
				tb.Fatal(err)
			}
			if features[f.ResultID] == nil {
				features[f.ResultID] = map[string]result.Feature{}
			}
			for _, x := range f.Features {
				features[f.ResultID][x.Feature] = x
			}
		}
	}
	return sums, features
}

// Every window and feature of the real log gives the counts, PSI, KL and KS of expected.json (SciPy 1.10.1 and plain
// implementations, see ../shared/vectors/README.md). With the default resolution the interval contains the KS.
func TestElec2(t *testing.T) {
	lines, want := elec2Lines(t), readElec2Expected(t)
	for _, resolution := range []int{10_000, reference.DefaultResolution} {
		t.Run(fmt.Sprintf("resolution=%d", resolution), func(t *testing.T) {
			ref := elec2Reference(t, lines, resolution)
			if ref.Rows != 9408 {
				t.Errorf("reference has %d rows, want 9408", ref.Rows)
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
			compareElec2(t, want, &outcome{docs: out.Docs, dead: out.DeadLetters}, resolution == 10_000)
			st := p.Stats()
			// The counts of expected.json's "log".
			if st.Events != 42_624 || st.Labels != 40_923+20 || st.Duplicates != 127+71 || st.Late != 0 {
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

func compareElec2(t *testing.T, want elec2Expected, got *outcome, exact bool) {
	t.Helper()
	sums, features := got.final(t)
	compared := 0
	for _, w := range want.Windows {
		s, ok := sums[w.Start.UnixMilli()]
		if !ok {
			t.Errorf("no result for %s", w.Start)
			continue
		}
		if s.Counts.Events != w.NPredictions {
			t.Errorf("%s: %d events, want %d", w.Start, s.Counts.Events, w.NPredictions)
		}
		for name, d := range w.Drift {
			f, ok := features[s.ResultID][name]
			if !ok {
				t.Errorf("%s %s: no result", w.Start, name)
				continue
			}
			if f.Current.Count != d.NCur || f.Current.Missing != d.NMissing || f.Reference.Count != d.NRef {
				t.Errorf("%s %s: n %d missing %d reference %d, want %d, %d, %d", w.Start, name, f.Current.Count, f.Current.Missing,
					f.Reference.Count, d.NCur, d.NMissing, d.NRef)
			}
			psi, kl := d.PSI, d.KL
			if psi == nil {
				psi, kl = d.PSIcat, d.KLcat
			}
			near(t, w.Start, name, "psi", f.Statistics["psi"].Value, psi, 1e-9)
			near(t, w.Start, name, "kl", f.Statistics["kl"].Value, kl, 1e-9)
			ks := f.Statistics["ks"]
			switch {
			case d.KS == nil:
			case exact:
				near(t, w.Start, name, "ks", ks.Value, d.KS, 1e-9)
			case ks.Lower == nil || ks.Upper == nil || *ks.Lower > *d.KS+1e-12 || *ks.Upper < *d.KS-1e-12:
				t.Errorf("%s %s: ks %v is not within its interval %+v", w.Start, name, *d.KS, ks)
			}
			compared++
		}
	}
	t.Logf("compared %d windows, %d features", len(want.Windows), compared)
}

// near compares a statistic with the tolerances of ../shared/vectors/README.md.
func near(t *testing.T, at time.Time, feature, what string, got, want *float64, relative float64) {
	t.Helper()
	switch {
	case got == nil && want == nil:
	case got == nil || want == nil:
		t.Errorf("%s %s %s: got %v, want %v", at, feature, what, got, want)
	case math.Abs(*got-*want) > max(1e-12, relative*math.Abs(*want)):
		t.Errorf("%s %s %s: got %v, want %v", at, feature, what, *got, *want)
	}
}
