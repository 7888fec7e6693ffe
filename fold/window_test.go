package fold_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// midnight is 15 January 2027, 00:00 UTC.
const midnight = int64(1_799_971_200_000)

// script makes messages of model m: an event with the given minute after midnight for each number, -1 for what control holds next.
func script(minutes []int64, control ...event.Control) []fold.Message {
	var out []fold.Message
	for i, at := range minutes {
		m := fold.Message{Seq: uint64(i + 1), Subject: "ml.events.m", Time: midnight + at*minute, Data: nil}
		if at < 0 {
			m.Subject, m.Data, m.Time = "driftd.control.0", control[0].Encode(), out[i-1].Time
			control = control[1:]
		} else {
			m.Data = fmt.Appendf(nil, `{"id":"%d","ts":%d,"prediction":0.5,"features":{"x":%d}}`, i, m.Time, i)
		}
		out = append(out, m)
	}
	return out
}

// spans returns the results of all versions together, in minutes after midnight: [start,end) events, and the reference.
func spans(t *testing.T, j *journal, names map[string]string) []string {
	t.Helper()
	var out []string
	for _, d := range j.docs {
		if !bytes.HasPrefix(d.Data, []byte(`{"schema":1,"type":"summary"`)) {
			continue
		}
		var s result.Summary
		if err := json.Unmarshal(d.Data, &s); err != nil {
			t.Fatal(err)
		}
		if s.Key.Version != result.All {
			continue
		}
		line := fmt.Sprintf("[%d,%d) %d", (s.Window.Start-midnight)/minute, (s.Window.End-midnight)/minute, s.Counts.Events)
		if s.Ref != nil {
			line += " " + names[s.Ref.Fingerprint]
		}
		if s.Revision > 0 {
			line += fmt.Sprintf(" r%d", s.Revision)
		}
		out = append(out, line)
	}
	return out
}

func timing(lateness int64, w ...window.Spec) window.Timing {
	return window.Timing{Windows: w, Pane: 15 * minute, Lateness: lateness * minute, WatermarkDelay: 0}
}

// Windows of an hour that hold at least four events and become three hours long at most. The expected lines follow from the rules
// of docs/windows.md by hand.
func TestExtendedWindows(t *testing.T) {
	for _, test := range []struct {
		name    string
		minutes []int64
		want    []string
	}{
		{"enough at its end", []int64{1, 2, 3, 4, 61, 241}, []string{"[0,60) 4", "[60,240) 1"}},
		{"extended by panes until it has enough", []int64{1, 20, 62, 70, 75, 91}, []string{"[0,75) 4"}},
		{"an end is looked at once: what comes late does not move it back", []int64{1, 2, 3, 80, 50, 91}, []string{"[0,90) 5"}},
		{"as long as it may be", []int64{1, 179, 181, 182, 183, 184, 245}, []string{"[0,180) 2", "[180,240) 4"}},
		{"the next one begins on the grid after a silence", []int64{1, 2, 3, 4, 500, 501, 502, 503, 541}, []string{"[0,60) 4", "[480,540) 4"}},
		{"late events revise it where it ended", []int64{1, 2, 3, 4, 61, 59, 95}, []string{"[0,60) 4", "[0,60) 5 r1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			counting := smallCounting()
			counting.Defaults.Timing = timing(30, window.Spec{Size: 60 * minute, Every: 60 * minute, MinEvents: 4, ExtendTo: 180 * minute})
			refs, _ := references(t, 40)
			got := spans(t, run(t, counting, refs, script(test.minutes), undisturbed()), nil)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

// A change of the reference inside of a window gives two results for it, one by each, and no event is in both: the reference's
// fingerprint is part of a pane's key. It takes effect at the next pane, here at minute 30.
func TestReferenceChangesInsideWindow(t *testing.T) {
	refs, fps := references(t, 40)
	counting := smallCounting()
	counting.Defaults.Reference = fps[0]
	counting.Defaults.Timing = timing(30, window.Spec{Size: 60 * minute, Every: 60 * minute})
	activate := event.Control{Kind: event.ControlActivation, Model: "m", Name: "second", Reference: fps[1]} //nolint:exhaustruct // its kind has these
	msgs := script([]int64{5, 20, -1, 25, 35, 50, 65, 10, 55, 125}, activate)
	want := []string{"[0,60) 3 old", "[0,60) 2 new", "[0,60) 4 old r1", "[0,60) 3 new r1", "[60,120) 1 new"}
	got := spans(t, run(t, counting, refs, msgs, undisturbed()), map[string]string{fps[0]: "old", fps[1]: "new"})
	if fps[1] < fps[0] { // results that are due at one time come in the order of their fingerprints
		want = []string{want[1], want[0], want[3], want[2], want[4]}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// A change of the slide alone, here from an hour to half an hour at minute 30, gives one hour two results: what the windows of the
// hour saw, and what those that overlap saw. They are two results with an id each.
func TestSlideChangesInsideWindow(t *testing.T) {
	refs, _ := references(t, 40)
	counting := smallCounting()
	counting.Defaults.Timing = timing(0, window.Spec{Size: 60 * minute, Every: 60 * minute})
	next := smallCounting()
	next.Defaults.Timing = timing(0, window.Spec{Size: 60 * minute, Every: 30 * minute})
	data, err := json.Marshal(next)
	if err != nil {
		t.Fatal(err)
	}
	change := event.Control{Kind: event.ControlConfig, ConfigHash: next.Hash(), Models: data} //nolint:exhaustruct // its kind has these
	j := run(t, counting, refs, script([]int64{5, 20, -1, 25, 35, 50, 65}, change), undisturbed())
	if diff := cmp.Diff([]string{"[0,60) 2", "[0,60) 3"}, spans(t, j, nil)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	ids := map[string]bool{}
	for _, d := range j.docs {
		var s result.Summary
		if err := json.Unmarshal(d.Data, &s); err != nil {
			t.Fatal(err)
		}
		if s.Type == "summary" {
			if ids[s.ResultID] {
				t.Errorf("two results have the id %s", s.ResultID)
			}
			ids[s.ResultID] = true
		}
	}
}
