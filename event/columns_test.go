package event_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/driftd/driftd/event"
)

// table is records as columns: nil is null, and a column has one type.
type table struct {
	names  []string
	values [][]any // by column
}

func (t table) rows() int { return len(t.values[0]) }

// json writes a record a line. Names with dots are nested as the documentation says.
func (t table) json(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	for row := range t.rows() {
		record := map[string]any{}
		for i, name := range t.names {
			v := t.values[i][row]
			if x, ok := v.(float64); ok && math.IsNaN(x) {
				v = nil
			} else if ok && math.IsInf(x, 0) {
				v = map[bool]string{true: "Infinity", false: "-Infinity"}[x > 0]
			}
			in := record
			for _, n := range []struct {
				prefix string
				path   []string
			}{
				{"features.", []string{"features"}},
				{"segment.", []string{"segment"}},
				{"prediction.score.", []string{"prediction", "scores"}},
				{"prediction.", []string{"prediction"}},
			} {
				rest, ok := strings.CutPrefix(name, n.prefix)
				if !ok {
					continue
				}
				for _, object := range n.path {
					if in[object] == nil {
						in[object] = map[string]any{}
					}
					in, _ = in[object].(map[string]any)
				}
				name = rest
				break
			}
			in[name] = v
		}
		line, err := json.Marshal(record)
		if err != nil {
			tb.Fatal(err)
		}
		out.Write(append(line, '\n'))
	}
	return out.Bytes()
}

// protobuf writes a driftd.v1.Events. Strings have a dictionary in every other column.
func (t table) protobuf() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(t.rows()))
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	for i, name := range t.names {
		col := field(nil, 1, []byte(name))
		var packed, indices []byte
		num := protowire.Number(0)
		nulls, words := make([]byte, (t.rows()+7)/8), map[string]int{}
		for _, v := range t.values[i] {
			switch v.(type) {
			case float64:
				num = 2
			case int64:
				num = 3
			case bool:
				num = 4
			case string:
				num = 5
			}
		}
		for row, v := range t.values[i] {
			if v == nil {
				nulls[row/8] |= 1 << (row % 8)
			}
			switch num {
			case 5:
				s, _ := v.(string)
				if i%2 == 0 {
					col = field(col, 5, []byte(s))
					continue
				}
				if _, ok := words[s]; !ok {
					words[s] = len(words)
					col = field(col, 5, []byte(s))
				}
				indices = protowire.AppendVarint(indices, uint64(words[s]))
			case 4:
				x, _ := v.(bool)
				packed = protowire.AppendVarint(packed, protowire.EncodeBool(x))
			case 3:
				x, _ := v.(int64)
				packed = protowire.AppendVarint(packed, uint64(x))
			default:
				num = 2
				x, _ := v.(float64)
				packed = protowire.AppendFixed64(packed, math.Float64bits(x))
			}
		}
		if packed != nil {
			col = field(col, num, packed)
		}
		if indices != nil {
			col = field(col, 6, indices)
		}
		if !bytes.Equal(nulls, make([]byte, len(nulls))) {
			col = field(col, 7, nulls)
		}
		b = field(b, 2, col)
	}
	return b
}

// arrow writes an Arrow IPC stream of two record batches, and strings with a dictionary in every other column.
func (t table) arrow(tb testing.TB) []byte {
	tb.Helper()
	mem := memory.NewGoAllocator()
	var fields []arrow.Field
	builders := make([]array.Builder, len(t.names))
	for i, name := range t.names {
		typ := arrow.PrimitiveTypes.Float64
		for _, v := range t.values[i] {
			switch v.(type) {
			case int64:
				typ = arrow.PrimitiveTypes.Int64
			case bool:
				typ = arrow.FixedWidthTypes.Boolean
			case string:
				if typ = arrow.BinaryTypes.String; i%2 == 0 {
					typ = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
				}
			}
		}
		builders[i] = array.NewBuilder(mem, typ)
		fields = append(fields, arrow.Field{Name: name, Type: typ, Nullable: true})
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithAllocator(mem), ipc.WithDictionaryDeltas(true))
	flush := func(rows int) {
		var cols []arrow.Array
		for _, b := range builders {
			cols = append(cols, b.NewArray())
		}
		if err := w.Write(array.NewRecordBatch(schema, cols, int64(rows))); err != nil {
			tb.Fatal(err)
		}
	}
	since := 0
	for row := range t.rows() {
		for i, b := range builders {
			switch v := t.values[i][row].(type) {
			case nil:
				b.AppendNull()
			case float64:
				if b, ok := b.(*array.Float64Builder); ok {
					b.Append(v)
				}
			case int64:
				if b, ok := b.(*array.Int64Builder); ok {
					b.Append(v)
				}
			case bool:
				if b, ok := b.(*array.BooleanBuilder); ok {
					b.Append(v)
				}
			case string:
				if err := b.AppendValueFromString(v); err != nil {
					tb.Fatal(err)
				}
			}
		}
		if since++; row == t.rows()/2 {
			flush(since)
			since = 0
		}
	}
	if since > 0 {
		flush(since)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// randomTable has every role and type, and nulls, NaN and infinities.
func randomTable(rng *rand.Rand, rows int) table {
	t := table{names: []string{
		"model", "version", "id", "ts", "latency_ms", "status", "prediction.label", "prediction.score", "prediction.score.yes", "features.x",
		"features.n", "features.flag", "features.country", "features.empty", "features.nested.y", "segment.region", "segment.tier", "more", "schema",
	}}
	words := []string{"", "DE", "FR", "a \"quoted\" word", "grün", "true"}
	number := func() any {
		return []any{rng.NormFloat64(), 1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e300, nil}[rng.IntN(8)]
	}
	for _, name := range t.names {
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
			case "features.empty":
			default:
				col[i] = number()
			}
			if name != "model" && rng.IntN(9) == 0 {
				col[i] = nil
			}
		}
		t.values = append(t.values, col)
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
		want := facts(t, tab.json(t), false)
		for name, message := range map[string][]byte{"protobuf": tab.protobuf(), "arrow": tab.arrow(t)} {
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
	good := table{names: []string{"model", "features.x"}, values: [][]any{{"m", "m"}, {1.5, 2.5}}}
	twice := table{names: []string{"model", "model"}, values: [][]any{{"m"}, {"m"}}}
	noUTF8 := table{names: []string{"model", "features.x"}, values: [][]any{{"m", "m"}, {"a\xffb", "ok"}}}
	oddModel := table{names: []string{"model", "features.x"}, values: [][]any{{int64(7)}, {1.5}}}
	for _, c := range []struct {
		name    string
		message []byte
		want    []string // by record: the reason, or empty
	}{
		{"good", good.protobuf(), []string{"", ""}},
		{"a column twice", twice.protobuf(), []string{"malformed"}},
		{"a column twice, Arrow", twice.arrow(t), []string{"malformed"}},
		{"invalid UTF-8 refuses its row", noUTF8.protobuf(), []string{"malformed", ""}},
		{"a model that is a number", oddModel.protobuf(), []string{"no_model"}},
		{"no rows", []byte{8, 0}, []string{"malformed"}},
		{"too many rows", protowire.AppendVarint([]byte{8}, 1<<40), []string{"malformed"}},
		{"only the marker", []byte{0xff, 0xff, 0xff, 0xff}, []string{"malformed"}},
		{"values that are missing", good.protobuf()[:len(good.protobuf())-8], []string{"malformed"}},
		{"an Arrow stream that was cut off", good.arrow(t)[:300], []string{"malformed"}},
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
		f.Add(tab.protobuf())
		f.Add(tab.arrow(f))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if event.EncodingOf(message) == event.EncodingJSON {
			return
		}
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
