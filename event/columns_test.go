package event_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/internal/columnstest"
)

// randomTable has every role and type, and nulls, NaN and infinities.
func randomTable(rng *rand.Rand, rows int) columnstest.Table {
	t := columnstest.Table{Names: []string{
		"model", "version", "id", "ts", "latency_ms", "status", "prediction.label", "prediction.score", "prediction.score.yes", "features.x",
		"features.n", "features.flag", "features.country", "features.empty", "features.nested.y", "segment.region", "segment.tier", "more", "schema", "label",
	}}
	words := []string{"", "DE", "FR", "a \"quoted\" word", "grün", "true"}
	number := func() any {
		return []any{rng.NormFloat64(), 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300, nil}[rng.IntN(8)]
	}
	for _, name := range t.Names {
		col := make([]any, rows)
		for i := range col {
			word := words[rng.IntN(len(words))]
			switch name {
			case "model":
				col[i] = "m"
			case "id":
				col[i] = fmt.Sprintf("id-%d", i)
			case "ts":
				col[i] = int64(1_795_000_000_000 + i)
			case "schema":
				col[i] = int64(1)
			case "features.n", "segment.tier":
				col[i] = int64(rng.IntN(5)) - 2
			case "features.flag":
				col[i] = rng.IntN(2) == 0
			case "version", "status", "prediction.label", "features.country", "segment.region", "more":
				col[i] = word
			case "label":
				if rng.IntN(3) == 0 {
					col[i] = int64(1)
				}
			case "features.empty":
			default:
				col[i] = number()
			}
			if name != "model" && rng.IntN(9) == 0 {
				col[i] = nil
			}
		}
		t.Values = append(t.Values, col)
	}
	return t
}

// facts is what counting asks of a record, in no order of names.
func facts(tb testing.TB, message []byte, keep bool) []string {
	tb.Helper()
	d := event.NewDecoder(event.DefaultLimits())
	if keep {
		d.KeepColumns()
	}
	d.Reset(message)
	var out []string
	for d.Next() {
		ev, rejected := d.Event()
		if rejected != nil {
			out = append(out, fmt.Sprintf("%d: %s", d.Index(), rejected.Reason))
			continue
		}
		d.Fields()
		text := fmt.Sprintf("%d: label=%v model=%s version=%s id=%s ts=%d/%v latency=%v/%v/%v status=%s unknown=%d wrong=%d", d.Index(), ev.IsLabel,
			ev.Model, ev.Version, ev.ID, ev.Time, ev.HasTime, ev.Latency, ev.HasLatency, ev.LatencyInvalid, ev.Status, ev.UnknownKeys, ev.WrongType)
		for what, fields := range map[string][]event.Field{"prediction": ev.Prediction, "features": ev.Features, "segment": ev.Segments} {
			all := map[string]string{}
			for _, f := range fields {
				x, class := f.Float()
				cat, catClass := f.AppendCategory(nil)
				all[string(f.Name)] = fmt.Sprint(x+0, class, string(cat), catClass)
			}
			line, err := json.Marshal(all)
			if err != nil {
				tb.Fatal(err)
			}
			out = append(out, fmt.Sprintf("%d %s %s", d.Index(), what, line))
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func TestColumnarIsTheSameAsJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for range 60 {
		tab := randomTable(rng, 1+rng.IntN(70))
		want := facts(t, tab.JSON(t), false)
		for name, message := range map[string][]byte{"protobuf": tab.Protobuf(), "arrow": tab.Arrow(t)} {
			for _, keep := range []bool{false, true} {
				if diff := cmp.Diff(want, facts(t, message, keep)); diff != "" {
					t.Fatalf("%s, columns kept %v: (-JSON +columns)\n%s", name, keep, diff)
				}
			}
			// A row's JSON is the same record again.
			d := event.NewDecoder(event.DefaultLimits())
			d.Reset(message)
			var lines []byte
			for d.Next() {
				lines = append(append(lines, d.Raw()...), '\n')
			}
			if diff := cmp.Diff(want, facts(t, lines, false)); diff != "" {
				t.Fatalf("%s: its rows as JSON: %s", name, diff)
			}
		}
	}
}

func TestColumnarRefusals(t *testing.T) {
	good := columnstest.Table{Names: []string{"model", "features.x"}, Values: [][]any{{"m", "m"}, {1.5, 2.5}}}
	twice := columnstest.Table{Names: []string{"model", "model"}, Values: [][]any{{"m"}, {"m"}}}
	noUTF8 := columnstest.Table{Names: []string{"model", "features.x"}, Values: [][]any{{"m", "m"}, {"a\xffb", "ok"}}}
	oddModel := columnstest.Table{Names: []string{"model", "features.x"}, Values: [][]any{{int64(7)}, {1.5}}}
	for _, c := range []struct {
		name    string
		message []byte
		want    []string // by record: the reason, or empty
	}{
		{"good", good.Protobuf(), []string{"", ""}},
		{"a column twice", twice.Protobuf(), []string{"malformed"}},
		{"a column twice, Arrow", twice.Arrow(t), []string{"malformed"}},
		{"invalid UTF-8 refuses its row", noUTF8.Protobuf(), []string{"malformed", ""}},
		{"a model that is a number", oddModel.Protobuf(), []string{"no_model"}},
		{"no rows", []byte{8, 0}, []string{"malformed"}},
		{"too many rows", protowire.AppendVarint([]byte{8}, 1<<40), []string{"malformed"}},
		{"only the marker", []byte{0xff, 0xff, 0xff, 0xff}, []string{"malformed"}},
		{"values that are missing", good.Protobuf()[:len(good.Protobuf())-8], []string{"malformed"}},
		{"an Arrow stream that was cut off", good.Arrow(t)[:300], []string{"malformed"}},
	} {
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset(c.message)
		var got []string
		for d.Next() {
			_, rejected := d.Event()
			if got = append(got, ""); rejected != nil {
				got[len(got)-1] = rejected.Reason.String()
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func FuzzColumns(f *testing.F) {
	rng := rand.New(rand.NewPCG(23, 24))
	for range 3 {
		tab := randomTable(rng, 5)
		f.Add(tab.Protobuf())
		f.Add(tab.Arrow(f))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if event.EncodingOf(message) == event.EncodingJSON {
			return
		}
		checkBatch(t, message, 0)
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset(message)
		for d.Next() {
			ev, rejected := d.Event()
			if (ev == nil) == (rejected == nil) {
				t.Fatal("a record is neither good nor refused, or both")
			}
			if rejected != nil {
				continue
			}
			again := event.NewDecoder(event.DefaultLimits())
			again.Reset(d.Raw())
			if !again.Next() {
				t.Fatalf("the JSON of a row is no record: %s", d.Raw())
			}
			if _, refused := again.Event(); refused != nil {
				t.Fatalf("the JSON of a good row is refused: %v: %s", refused, d.Raw())
			}
		}
	})
}
