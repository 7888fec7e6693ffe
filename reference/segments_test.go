package reference_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
)

// segmentOf names the segment of a row of TestSegmentsCountTheirRows, of which a, b and c are counted on their own.
func segmentOf(e *event.Event) string {
	for _, f := range e.Segments {
		switch {
		case string(f.Name) != "region":
			continue
		case f.Kind == event.ValueNull:
			return "(missing)"
		case slices.Contains([]string{"a", "b", "c"}, string(f.Str)):
			return string(f.Str)
		}
		return "other"
	}
	return "(missing)"
}

// Every segment's counts are those of its rows, counted one by one as events are; a saved reference says the same.
func TestSegmentsCountTheirRows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 11))
	rows := timedRows(2000, r)
	for i, e := range rows {
		v := str(string("aaaaabbbbcccde"[r.IntN(14)]))
		switch i % 100 {
		case 99: // no dimension at all
		case 98:
			e.Segments = []event.Field{{Name: []byte("region"), Value: null}}
		default:
			e.Segments = []event.Field{{Name: []byte("plan"), Value: num(1)}, {Name: []byte("region"), Value: v}}
		}
	}
	o := reference.Options{Resolution: 50, Pane: 15 * minute, Kinds: map[string]cells.Kind{"k": cells.Categorical}}
	plain := build(t, o, rows...)
	o.Segments = []reference.SegmentBy{{Name: "region", Largest: 3}, {Name: "c"}}
	ref := build(t, o, rows...)
	if ref.Fingerprint() == plain.Fingerprint() {
		t.Error("a reference with segments is another one than without")
	}
	back, err := reference.Decode(ref.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Encode(), ref.Encode()) {
		t.Fatal("decoded bytes encode differently")
	}
	var values []string
	for _, s := range back.Dimension("region").Segments {
		values = append(values, s.Value)
		var in []*event.Event
		latencies := uint64(0)
		for _, e := range rows {
			if segmentOf(e) == s.Value {
				if in = append(in, e); e.HasLatency {
					latencies++
				}
			}
		}
		part := back.Segment("region", s.Value)
		if part.Rows != uint64(len(in)) || s.Rows != part.Rows || part.Latency.Count() != latencies {
			t.Errorf("segment %s has %d rows and %d latencies, want %d and %d", s.Value, part.Rows, part.Latency.Count(), len(in), latencies)
		}
		alone := build(t, reference.Options{Resolution: 50, Kinds: map[string]cells.Kind{"k": cells.Categorical}}, in...)
		for i := range part.Features {
			f := &part.Features[i]
			if !bytes.Equal(f.Counts.AppendBinary(nil), countOver(f, in)) {
				t.Errorf("%s of segment %s: counts differ from those of its rows", f.Name, s.Value)
			}
			if want, _ := alone.Find(f.Role, f.Name); f.Distinct != want.Distinct || f.Singletons != want.Singletons {
				t.Errorf("%s of segment %s: %d distinct, %d once; a reference of these rows has %d and %d",
					f.Name, s.Value, f.Distinct, f.Singletons, want.Distinct, want.Singletons)
			}
		}
	}
	if diff := cmp.Diff([]string{"(missing)", "a", "b", "c", "other"}, values); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
	if got := back.Dimension("region").Largest(2); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the two largest are %v, want a and b: 5 and 4 of 14", got)
	}
	if back.Dimension("c") == nil || back.Segment("c", "a") == nil {
		t.Error("the feature c is a dimension too")
	}
	if back.Segment("region", "z") != nil || back.Segment("shoe size", "a") != nil {
		t.Error("a segment without rows, or without a dimension, is there")
	}
}

// Values that are named are counted on their own however few they are, and nothing else is.
func TestNamedSegments(t *testing.T) {
	var rows []*event.Event
	for i := range 40 {
		rows = append(rows, row("x", num(float64(i)), "r", num(float64(i%4))))
	}
	ref := build(t, reference.Options{Segments: []reference.SegmentBy{{Name: "r", Values: []string{"3", "nobody"}}}}, rows...)
	got := map[string]uint64{}
	for _, s := range ref.Dimension("r").Segments {
		got[s.Value] = s.Rows
	}
	if diff := cmp.Diff(map[string]uint64{"3": 10, "other": 30}, got); diff != "" {
		t.Errorf("rows by segment (-want +got):\n%s", diff)
	}
}

func TestBadSegments(t *testing.T) {
	many := make([]string, reference.MaxSegments+1)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for what, by := range map[string][]reference.SegmentBy{
		"an empty name":    {{Name: ""}},
		"a name with =":    {{Name: "a=b"}},
		"the same twice":   {{Name: "a"}, {Name: "a"}},
		"too many values":  {{Name: "a", Values: many}},
		"too many largest": {{Name: "a", Largest: reference.MaxSegments + 1}},
		"a long value":     {{Name: "a", Values: []string{strings.Repeat("x", 257)}}},
	} {
		if _, err := tryBuild(reference.Options{Segments: by}, row("x", num(1))); err == nil {
			t.Errorf("%s is accepted", what)
		}
	}
	ids := make([]*event.Event, 1<<16+1)
	for i := range ids {
		ids[i] = row("id", num(float64(i)))
	}
	if _, err := tryBuild(reference.Options{Segments: []reference.SegmentBy{{Name: "id"}}}, ids...); err == nil || !strings.Contains(err.Error(), "name those") {
		t.Errorf("a dimension that says which row it is: %v; want advice", err)
	}
}

// Bytes whose segments are not the rows of the whole are refused.
func TestCorruptSegments(t *testing.T) {
	rows := timedRows(200, rand.New(rand.NewPCG(7, 12)))
	ref := build(t, reference.Options{Resolution: 20, Segments: []reference.SegmentBy{{Name: "c"}}}, rows...)
	good := ref.Encode()
	for cut := len(good) - 1; cut > len(good)-200; cut-- {
		if _, err := reference.Decode(good[:cut]); !errors.Is(err, reference.ErrNotReference) {
			t.Fatalf("the first %d of %d bytes: %v", cut, len(good), err)
		}
	}
	less := *ref
	less.Dimensions = []reference.Dimension{{Name: "c", Segments: ref.Dimensions[0].Segments[1:]}}
	if _, err := reference.Decode(less.Encode()); !errors.Is(err, reference.ErrNotReference) {
		t.Errorf("a segment left out: %v", err)
	}
}
