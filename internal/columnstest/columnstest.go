// Package columnstest writes records in each of the encodings that a message of the input stream may have, so that tests can compare what
// becomes of them.
package columnstest

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/encoding/protowire"
)

// Table is records as columns: nil is null, and a column has one type: float64, int64, bool or string.
type Table struct {
	Names  []string
	Values [][]any // by column
}

// Rows returns how many records there are.
func (t Table) Rows() int { return len(t.Values[0]) }

// JSON writes a record a line. Names with dots are nested as the documentation says.
func (t Table) JSON(tb testing.TB) []byte {
	tb.Helper()
	var out bytes.Buffer
	for row := range t.Rows() {
		record := map[string]any{}
		for i, name := range t.Names {
			v := t.Values[i][row]
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

// Protobuf writes a driftd.v1.Events. Strings have a dictionary in every other column.
func (t Table) Protobuf() []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(t.Rows()))
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	for i, name := range t.Names {
		col := field(nil, 1, []byte(name))
		var packed, indices []byte
		num := protowire.Number(0)
		nulls, words := make([]byte, (t.Rows()+7)/8), map[string]int{}
		for _, v := range t.Values[i] {
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
		for row, v := range t.Values[i] {
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

// Arrow writes an Arrow IPC stream of two record batches, and strings with a dictionary in every other column.
func (t Table) Arrow(tb testing.TB) []byte {
	tb.Helper()
	mem := memory.NewGoAllocator()
	var fields []arrow.Field
	builders := make([]array.Builder, len(t.Names))
	for i, name := range t.Names {
		typ := arrow.PrimitiveTypes.Float64
		for _, v := range t.Values[i] {
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
	for row := range t.Rows() {
		for i, b := range builders {
			switch v := t.Values[i][row].(type) {
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
		if since++; row == t.Rows()/2 {
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
