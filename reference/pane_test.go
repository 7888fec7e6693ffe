package reference_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
)

const (
	minute = int64(60_000)
	hour   = 60 * minute
	day    = 24 * hour
	monday = int64(1_709_510_400_000) // 2024-03-04T00:00:00Z
)

// timedRows are n rows over some hours, with every kind of value that a column may hold.
func timedRows(n int, r *rand.Rand) []*event.Event {
	rows := make([]*event.Event, n)
	for i := range rows {
		e := row("x", num(r.NormFloat64()), "k", num(float64(r.IntN(4))), "c", str(string(rune('a'+r.IntN(3)))), "b", boolean(r.IntN(2) == 0))
		switch i % 17 {
		case 3:
			e.Features[0].Value = null
		case 4:
			e.Features[0].Value = str("Infinity")
		case 5:
			e.Features[0].Value = array
		case 6:
			e.Features = e.Features[1:]
		}
		e.Time, e.HasTime = monday+r.Int64N(7*hour), true
		if i%5 > 0 {
			e.Latency, e.HasLatency = float64(1+r.IntN(100)), true
		}
		rows[i] = e
	}
	return rows
}

// countOver counts rows over a reference's cells by the methods that count live events: the oracle of the counts by pane.
func countOver(f *reference.Feature, rows []*event.Event) []byte {
	c := cells.NewCounts(f.Space)
	for _, e := range rows {
		v := event.Value{Kind: event.ValueNull}
		for _, field := range e.Features {
			if string(field.Name) == f.Name {
				v = field.Value
			}
		}
		var class event.Class
		if f.Space.Kind() == cells.Numeric {
			var x float64
			if x, class = v.Float(); class == event.ClassValue {
				c.AddNumber(x)
			}
		} else {
			var s []byte
			if s, class = v.AppendCategory(nil); class == event.ClassValue {
				c.AddCategory(s)
			}
		}
		switch class {
		case event.ClassMissing:
			c.AddMissing()
		case event.ClassInf:
			c.AddInf()
		case event.ClassInvalid:
			c.AddInvalid()
		case event.ClassValue:
		}
	}
	return c.AppendBinary(nil)
}

func TestChunksCountTheirRows(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	rows := timedRows(2000, r)
	for _, e := range rows[:50] {
		e.HasTime, e.Time = false, 0 // in the whole, in no pane
	}
	o := reference.Options{Resolution: 50, Pane: 15 * minute, Kinds: map[string]cells.Kind{"k": cells.Categorical}}
	ref := build(t, o, rows...)
	back, err := reference.Decode(ref.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Encode(), ref.Encode()) {
		t.Fatal("decoded bytes encode differently")
	}
	for _, tt := range []struct {
		size, phase int64
		chunks      int
	}{{hour, 0, 7}, {hour, 15 * minute, 6}, {7 * hour, 0, 0}, {7 * hour, monday % (7 * hour), 1}, {15 * minute, 0, 28}, {10 * minute, 0, 0}, {hour, minute, 0}} {
		chunks := back.Chunks(tt.size, tt.phase)
		if len(chunks) != tt.chunks {
			t.Errorf("%d chunks of %d ms at %d, want %d", len(chunks), tt.size, tt.phase, tt.chunks)
		}
		for _, c := range chunks {
			var in []*event.Event
			for _, e := range rows {
				if e.HasTime && e.Time >= c.Start && e.Time < c.End {
					in = append(in, e)
				}
			}
			if c.Rows != uint64(len(in)) || c.End-c.Start != tt.size || (c.Start-tt.phase)%tt.size != 0 {
				t.Errorf("chunk %+v, want %d rows", c, len(in))
			}
			for i := range back.Features {
				f := &back.Features[i]
				if got := f.ChunkCounts(c).AppendBinary(nil); !bytes.Equal(got, countOver(f, in)) {
					t.Fatalf("%s in %+v: counts differ from those of its rows", f.Name, c)
				}
			}
		}
	}
	whole, ok := back.In(monday, monday+day)
	if !ok || whole.Rows != 1950 {
		t.Errorf("the day has %d rows, want 1950", whole.Rows)
	}
	for i := range back.Features {
		rest := back.Features[i].Counts.Clone()
		if err := rest.Subtract(back.Features[i].ChunkCounts(whole)); err != nil {
			t.Errorf("%s: %v", back.Features[i].Name, err)
		}
		if n := rest.N() + rest.Missing + rest.Inf + rest.Invalid; n != 50 {
			t.Errorf("%s: %d rows in no pane, want 50", back.Features[i].Name, n)
		}
	}
	if _, ok := back.In(monday-day, monday); ok {
		t.Error("a day without rows is a chunk")
	}
}

// Rows in another order, values before and after the first row with a time: the same bytes.
func TestPanesDoNotDependOnOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	rows := timedRows(500, r)
	for _, e := range rows[:20] {
		e.HasTime = false
	}
	want := build(t, reference.Options{Pane: 5 * minute}, rows...).Fingerprint()
	for range 5 {
		r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		if got := build(t, reference.Options{Pane: 5 * minute}, rows...).Fingerprint(); got != want {
			t.Fatalf("fingerprint %s, want %s", got, want)
		}
	}
}

// A reference without panes keeps the bytes of format version 1: TestGoldenFingerprint. One with panes is version 2.
func TestFormatVersions(t *testing.T) {
	if b := sample(t).Encode(); b[len(reference.Magic)] != 1 {
		t.Errorf("format %d, want 1", b[len(reference.Magic)])
	}
	rows := timedRows(20, rand.New(rand.NewPCG(9, 9)))
	b := build(t, reference.Options{Pane: hour}, rows...).Encode()
	if b[len(reference.Magic)] != 2 {
		t.Errorf("format %d, want 2", b[len(reference.Magic)])
	}
	for i := range b {
		if _, err := reference.Decode(b[:i]); !errors.Is(err, reference.ErrNotReference) {
			t.Fatalf("cut at %d: %v, want ErrNotReference", i, err)
		}
	}
	b[len(reference.Magic)] = 3
	if _, err := reference.Decode(b); !errors.Is(err, reference.ErrNotReference) {
		t.Errorf("version 3: %v, want ErrNotReference", err)
	}
	if ref := build(t, reference.Options{Pane: hour}, row("x", num(1))); ref.Pane != 0 || ref.Encode()[len(reference.Magic)] != 1 {
		t.Error("rows without times have panes")
	}
	if _, err := tryBuild(reference.Options{Pane: 7 * minute}, rows...); err == nil {
		t.Error("panes of 7 minutes, which do not divide a day: no error")
	}
}

// Counts that would exceed the bound are over longer panes, or there are none.
func TestPanesAreBounded(t *testing.T) {
	rows := timedRows(3000, rand.New(rand.NewPCG(10, 10)))
	length := func(limit int) int64 {
		return build(t, reference.Options{Pane: minute, PaneBytes: limit}, rows...).Pane
	}
	if got := length(0); got != minute {
		t.Errorf("panes of %d ms, want a minute", got)
	}
	before, seen := minute, map[int64]bool{}
	for limit := 200_000; limit > 100; limit = limit * 2 / 3 {
		pane := length(limit)
		seen[pane] = true
		if pane == 0 {
			break
		}
		if pane < before {
			t.Errorf("panes of %d ms within %d bytes, %d ms within more", pane, limit, before)
		}
		before = pane
		ref := build(t, reference.Options{Pane: minute, PaneBytes: limit}, rows...)
		whole := build(t, reference.Options{}, rows...)
		if extra := len(ref.Encode()) - len(whole.Encode()); extra > limit+2000 { // the panes' own rows and latencies
			t.Errorf("%d bytes of counts, the bound is %d", extra, limit)
		}
	}
	if !seen[minute] || !seen[hour] || !seen[0] {
		t.Errorf("lengths %v, want a minute, an hour and none among them", seen)
	}
}
