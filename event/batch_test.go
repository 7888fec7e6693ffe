package event_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/columnstest"
)

// checkBatch compares what a batch says of every row with what Next says of it, from some record on, and reports whether there is one.
func checkBatch(tb testing.TB, message []byte, from int) bool {
	tb.Helper()
	rows, batched := event.NewDecoder(event.DefaultLimits()), event.NewDecoder(event.DefaultLimits())
	for _, d := range []*event.Decoder{rows, batched} {
		d.KeepColumns()
		d.Reset(message)
		for range from {
			d.Next()
		}
	}
	b := batched.Batch()
	if b == nil {
		return false
	}
	for row := b.Row; row < b.End; row++ {
		if !rows.Next() {
			tb.Fatalf("there is no row %d", row)
		}
		sameRow(tb, b, row, rows)
	}
	return true
}

// sameRow compares what a batch says of a row with what a decoder says of the same record.
func sameRow(tb testing.TB, b *event.Batch, row int, d *event.Decoder) {
	tb.Helper()
	ev, rejected := d.Event()
	if rejected != nil || ev.IsLabel || ev.WrongType > 0 || ev.DuplicateKeys > 0 {
		tb.Fatalf("row %d of a batch is refused, a label or has something wrong: %v, %+v", row, rejected, ev)
	}
	var id, status []byte
	at, timed, latency := int64(0), b.Times != nil, math.NaN()
	k := row - b.First
	if b.IDs != nil {
		id = b.IDs[k]
	}
	if timed {
		at = b.Times[k]
	}
	if b.Latencies != nil {
		latency = b.Latencies[k]
	}
	if b.Statuses != nil && b.StatusIndex != nil {
		status = b.Statuses[b.StatusIndex[k]]
	} else if b.Statuses != nil {
		status = b.Statuses[k]
	}
	got := fmt.Sprintf("%q %q %q %d %v %q %d", b.Model, b.Version, id, at, timed, status, b.UnknownKeys)
	want := fmt.Sprintf("%q %q %q %d %v %q %d", ev.Model, ev.Version, ev.ID, ev.Time, ev.HasTime, ev.Status, ev.UnknownKeys)
	if got != want {
		tb.Fatalf("row %d is %s in the batch, %s on its own", row, got, want)
	}
	has := latency >= 0 && !math.IsInf(latency, 0)
	if has != ev.HasLatency || has && latency != ev.Latency || !math.IsNaN(latency) && !has != ev.LatencyInvalid {
		tb.Fatalf("row %d has the latency %v in the batch, on its own %+v", row, latency, ev)
	}
	d.Fields()
	values := map[string]string{}
	say := func(name string, v event.Value) string {
		category, class := v.AppendCategory(nil)
		return fmt.Sprint(name, " is ", string(category), class)
	}
	for _, fields := range [][]event.Field{ev.Prediction, ev.Features} {
		for _, f := range fields {
			values[string(f.Name)] = say(string(f.Name), f.Value)
		}
	}
	for i := range b.Columns.Len() {
		c := b.Columns.Column(i)
		if !c.IsFeature() && !c.IsPrediction() {
			continue
		}
		got, want := say(string(c.Name()), c.Value(row)), values[string(c.Name())]
		if want == "" { // a null instead of a prediction is none
			want = say(event.PredictionName, event.Value{Kind: event.ValueNull})
		}
		if got != want {
			tb.Fatalf("row %d: %s in the batch, on its own %s", row, got, want)
		}
	}
}

func TestBatchIsTheSameAsItsRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(25, 26))
	batches := 0
	for range 400 {
		tab := randomTable(rng, 1+rng.IntN(20))
		clean := rng.IntN(4) > 0 // else most of them are none
		for i, name := range tab.Names {
			if name == "label" {
				tab.Names = slices.Delete(slices.Clone(tab.Names), i, i+1)
				tab.Values = slices.Delete(tab.Values, i, i+1)
				break
			}
		}
		for i, name := range tab.Names {
			for row := range tab.Values[i] {
				v := &tab.Values[i][row]
				switch name {
				case "version":
					*v = "v1"
				case "ts":
					if *v = any(int64(1_795_000_000_000 + row)); !clean && rng.IntN(9) == 0 {
						*v = nil
					}
				case "id":
					if rng.IntN(2) == 0 && clean {
						*v = nil
					}
				}
			}
			if name == "id" && rng.IntN(3) == 0 {
				for row := range tab.Values[i] {
					tab.Values[i][row] = int64(row)
				}
			}
			if name == "ts" && rng.IntN(3) == 0 {
				for row := range tab.Values[i] {
					tab.Values[i][row] = fmt.Sprintf("2026-11-29T10:00:%02d.5+01:00", row)
				}
			}
		}
		for _, message := range [][]byte{tab.Protobuf(), tab.Arrow(t)} {
			if checkBatch(t, message, rng.IntN(tab.Rows())) {
				batches++
			}
		}
	}
	if batches < 200 {
		t.Errorf("only %d batches", batches)
	}
}

// What a row may be refused for, or is to be looked at for on its own, is in no batch.
func TestNoBatch(t *testing.T) {
	for _, c := range []struct {
		name  string
		of    string
		value [2]any
	}{
		{"a label", "label", [2]any{1.0, nil}},
		{"two models", "model", [2]any{"m", "n"}},
		{"two versions", "version", [2]any{"a", "b"}},
		{"a model that is a number", "model", [2]any{int64(7), int64(7)}},
		{"a row without a version", "version", [2]any{"a", nil}},
		{"a row without a time", "ts", [2]any{int64(1), nil}},
		{"a time that is none", "ts", [2]any{"2026-11-29T10:00:00Z", "today"}},
		{"a time beyond the years", "ts", [2]any{int64(1), int64(math.MaxInt64)}},
		{"an id that is a boolean", "id", [2]any{true, false}},
		{"a latency that is a string", "latency_ms", [2]any{"fast", "slow"}},
		{"a schema that is a string", "schema", [2]any{"1", "1"}},
		{"a long segment", "segment.region", [2]any{string(make([]byte, 300)), "eu"}},
		{"no UTF-8", "features.y", [2]any{"a\xffb", "ok"}},
	} {
		tab := columnstest.Table{Names: []string{"features.x", c.of}, Values: [][]any{{1.5, 2.5}, c.value[:]}}
		d := event.NewDecoder(event.DefaultLimits())
		d.KeepColumns()
		d.Reset(tab.Protobuf())
		if d.Batch() != nil {
			t.Errorf("%s: it is a batch", c.name)
		}
	}
}

// Rows that were skipped are behind: Next goes on with the one after them.
func TestSkip(t *testing.T) {
	tab := columnstest.Table{Names: []string{"model", "id"}, Values: [][]any{{"m", "m", "m", "m"}, {"a", "b", "c", "d"}}}
	d := event.NewDecoder(event.DefaultLimits())
	d.KeepColumns()
	d.Reset(tab.Protobuf())
	if d.Batch() == nil {
		t.Fatal("it is no batch")
	}
	d.Skip(2)
	if !d.Next() || d.Index() != 2 {
		t.Fatalf("the next record is %d, want 2", d.Index())
	}
	if ev, rejected := d.Event(); rejected != nil || string(ev.ID) != "c" || string(d.Raw()) != `{"model":"m","id":"c"}` {
		t.Errorf("it is %v, %v, %s, want c", ev, rejected, d.Raw())
	}
	if d.Skip(1); d.Batch() != nil || d.Next() {
		t.Error("there is a record behind the last one")
	}
}

// The key of a field of a later version is not always ASCII: behind a string that ends within a character it looks like the rest of that.
func TestUTF8AcrossFields(t *testing.T) {
	col := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), []byte("features.x"))
	col = protowire.AppendBytes(protowire.AppendTag(col, 5, protowire.BytesType), []byte("a\xc2"))
	col = protowire.AppendVarint(protowire.AppendTag(col, 16, protowire.VarintType), 1) // 0x80 0x01
	message := protowire.AppendBytes(protowire.AppendTag([]byte{8, 1}, 2, protowire.BytesType), col)
	d := event.NewDecoder(event.DefaultLimits())
	d.Reset(message)
	if !d.Next() {
		t.Fatal("there is no record")
	}
	if _, rejected := d.Event(); rejected == nil || rejected.Reason != event.RejectMalformed {
		t.Errorf("refused for %v, want %v", rejected, event.RejectMalformed)
	}
}

// Columns of a columnar message that are held stay as they are while further messages are read, until they are released.
func TestHeldColumnarMessages(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	d.KeepColumns()
	held := map[*event.Columns]float64{}
	for i := range 20 {
		x := float64(i)
		tab := columnstest.Table{Names: []string{"id", "features.x"}, Values: [][]any{{"a", "b"}, {x, x}}}
		d.Reset(tab.Protobuf())
		if !d.Next() {
			t.Fatal("there is no record")
		}
		ev, rejected := d.Event()
		if rejected != nil {
			t.Fatal(rejected)
		}
		if _, known := held[ev.Columns]; known {
			t.Fatalf("message %d has columns that are held", i)
		}
		if !ev.Columns.Hold() {
			t.Fatal("the columns cannot be held")
		}
		held[ev.Columns] = x
		for c, x := range held {
			if got := c.Column(1).Numbers(); c.Rows() != 2 || got[0] != x || got[1] != x {
				t.Fatalf("behind message %d: %d rows of %v, want 2 of %v", i, c.Rows(), got, x)
			}
		}
		for c := range held {
			if len(held) < 4 || i%3 == 0 {
				break
			}
			c.Release()
			delete(held, c)
		}
	}
	d.Reset(columnstest.Table{Names: []string{"features.x"}, Values: [][]any{{1.5}}}.Arrow(t))
	d.Next()
	if ev, _ := d.Event(); ev.Columns.Hold() {
		t.Error("columns of an Arrow message can be held")
	}
}
