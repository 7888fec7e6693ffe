package window_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/window"
)

const minute = int64(60_000)

// drive feeds a source with a script and returns what it emitted: a line a window.
//
//	ev T [version]   an event at minute T
//	marker T         a marker with watermark T
//	end              the end of a file
//	config SIZE/EVERY… fp   a new configuration
func drive(t *testing.T, s *window.Source, script string) []string {
	t.Helper()
	var got []string
	for line := range strings.Lines(script) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var at int64
		if len(f) > 1 {
			if _, err := fmt.Sscan(f[1], &at); err != nil && f[0] != "config" {
				t.Fatalf("line %q: %v", line, err)
			}
		}
		switch f[0] {
		case "ev":
			version := "v1"
			if len(f) > 2 {
				version = f[2]
			}
			place := s.Place(at * minute)
			if place.TooLate {
				got = append(got, fmt.Sprintf("late %d", at))
				break
			}
			key := window.PaneKey{Start: place.Start, Version: version, Fingerprint: place.Epoch.Fingerprint, Segment: ""}
			if s.Panes[key] == nil {
				s.Insert(window.NewPane(key, nil, nil), place)
			}
			s.Panes[key].Tally.Events++
			if place.Revises {
				s.Touch(place, version, "")
			}
			s.Observe(at * minute)
		case "marker":
			s.Advance(at * minute)
		case "end":
			s.Flush()
		case "config":
			var size, every int64
			if _, err := fmt.Sscanf(f[1], "%d/%d", &size, &every); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			s.Configure(window.Timing{
				Windows: []window.Spec{{Size: size * minute, Every: every * minute}}, Pane: 5 * minute, Lateness: 10 * minute, WatermarkDelay: minute,
			}, f[2])
		default:
			t.Fatalf("unknown command %q", f[0])
		}
		for w := s.Due(); w != nil; w = s.Due() {
			var n uint64
			for _, p := range s.In(w.ID, empty) {
				n += p.Tally.Events
			}
			got = append(got, fmt.Sprintf("[%d,%d)%s r%d n=%d %s", w.ID.Start()/minute, w.ID.End/minute, w.ID.Fingerprint, w.Emitted, n,
				strings.Join(w.Changed, ",")))
			s.Emitted(w)
		}
		for s.Sweep() != nil {
		}
		for into, _ := s.Join(empty); into != nil; into, _ = s.Join(empty) {
		}
	}
	return got
}

func empty(key window.PaneKey) *window.Pane { return window.NewPane(key, nil, nil) }

// The expected lines follow from the rules of design section 6 by hand: windows of 10 minutes, panes of 5, a watermark one
// minute behind the newest event, a lateness of 10 minutes.
func TestSource(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         []string
	}{
		{
			"a window is emitted when the watermark passes its end",
			"config 10/10 a\nev 1\nev 9\nev 10\nev 11\nev 12",
			[]string{"[0,10)a r0 n=2 "},
		},
		{
			"a late event revises at the end of the lateness, once",
			"config 10/10 a\nev 1\nev 11\nev 8\nev 9 v2\nev 20\nev 21",
			[]string{"[0,10)a r0 n=1 ", "[0,10)a r1 n=3 v1,v2", "[10,20)a r0 n=1 "},
		},
		{
			"after the lateness an event is late, and counts no more",
			"config 10/10 a\nev 1\nev 21\nev 8\nev 19",
			[]string{"[0,10)a r0 n=1 ", "late 8"},
		},
		{
			"a jump over end and lateness emits one result that holds everything",
			"config 10/10 a\nev 1\nev 8\nev 100",
			[]string{"[0,10)a r0 n=2 "},
		},
		{
			"the end of a file emits what is open and makes nothing late",
			"config 10/10 a\nev 1\nev 12\nend\nev 13\nev 14\nev 31\nend",
			[]string{"[0,10)a r0 n=1 ", "[10,20)a r0 n=1 ", "[10,20)a r1 n=3 v1", "[30,40)a r0 n=1 "},
		},
		{
			"a marker moves the watermark",
			"config 10/10 a\nev 1\nmarker 10",
			[]string{"[0,10)a r0 n=1 "},
		},
		{
			"sliding windows share panes",
			"config 10/5 a\nev 1\nev 6\nev 16\nmarker 40",
			[]string{"[-5,5)a r0 n=1 ", "[0,10)a r0 n=2 ", "[5,15)a r0 n=1 ", "[10,20)a r0 n=1 ", "[15,25)a r0 n=1 "},
		},
		{
			"a change of reference inside a window gives two results",
			"config 10/10 a\nev 1\nconfig 10/10 b\nev 4\nev 6\nmarker 10",
			[]string{"[0,10)a r0 n=2 ", "[0,10)b r0 n=1 "},
		},
		{
			"a window that gets its first event late is emitted at the end of its lateness",
			"config 10/10 a\nev 25\nev 18\nev 31\nmarker 50",
			[]string{"[10,20)a r0 n=1 v1", "[20,30)a r0 n=1 ", "[30,40)a r0 n=1 "},
		},
		{
			"times before 1970 have windows like any other",
			"config 10/10 a\nev -7\nev -2\nmarker 5",
			[]string{"[-10,0)a r0 n=2 "},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := window.NewSource("m")
			got := drive(t, s, test.script)
			if test.name == "a window that gets its first event late is emitted at the end of its lateness" {
				// Both fall due at 30; the order is by the due time, then by the end.
				test.want[0] = "[10,20)a r0 n=1 "
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("emitted (-want +got):\n%s", diff)
			}
		})
	}
}

// A source that is stored and restored between any two steps emits the same.
func TestSourceRestore(t *testing.T) {
	const script = "config 10/5 a\nev 1\nev 11\nev 8\nev 9 v2\nev 20\nconfig 20/20 b\nev 21\nev 45\nend\nev 44\nmarker 90"
	want := drive(t, window.NewSource("m"), script)
	s := window.NewSource("m")
	var got []string
	for line := range strings.Lines(script) {
		got = append(got, drive(t, s, line)...)
		data, err := json.Marshal(s.State())
		if err != nil {
			t.Fatal(err)
		}
		var st window.State
		if err := json.Unmarshal(data, &st); err != nil {
			t.Fatal(err)
		}
		next := window.Restore(st)
		for _, p := range s.Panes {
			next.Adopt(p)
		}
		s = next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("emitted (-undisturbed +restored):\n%s", diff)
	}
	if len(s.Panes) != 0 {
		t.Errorf("%d panes stay behind the last lateness", len(s.Panes))
	}
}
