package main

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/protobuf/encoding/protowire"
)

// column is one column of n events: numbers, or words with their indices.
type column struct {
	name    string
	doubles []float64
	ints    []int64
	words   []string
	index   []int // nil: a word for each event
}

// columns returns n events like those of appendJSON, but with all digits.
func (g *generator) columns(n int) []column {
	model, version, id := column{name: "model", index: make([]int, n)}, column{name: "version", words: []string{"2026-11-01"}, index: make([]int, n)}, column{name: "id"}
	ts, latency, status := column{name: "ts"}, column{name: "latency_ms"}, column{name: "status", words: []string{"ok"}, index: make([]int, n)}
	prediction := column{name: "prediction"}
	for i := range g.models {
		model.words = append(model.words, modelName(g.first+i))
	}
	for i := range n {
		model.index[i] = g.n % g.models
		id.words = append(id.words, fmt.Sprintf("%08x-4b5a-4c6d-8e7f-%012x", g.rng.Uint32(), g.n))
		ts.ints = append(ts.ints, beginning+int64(g.n)*g.step)
		latency.doubles = append(latency.doubles, 5+20*g.rng.ExpFloat64())
		prediction.doubles = append(prediction.doubles, g.rng.Float64())
		g.n++
	}
	out := append(make([]column, 0, 7+g.features+len(words)), model, version, id, ts, latency, status, prediction)
	for f := range g.features {
		c := column{name: "features.f" + strconv.Itoa(f), doubles: make([]float64, n)}
		for i := range n {
			c.doubles[i] = math.Round((100+10*g.rng.NormFloat64())*1000) / 1000
		}
		out = append(out, c)
	}
	for f, w := range words {
		c := column{name: "features.c" + strconv.Itoa(f), words: w, index: make([]int, n)}
		for i := range n {
			c.index[i] = g.rng.IntN(len(w))
		}
		out = append(out, c)
	}
	return out
}

// protobuf writes a driftd.v1.Events.
func (g *generator) protobuf(n int) []byte {
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(n))
	for _, c := range g.columns(n) {
		col := field(nil, 1, []byte(c.name))
		var packed []byte
		for _, x := range c.doubles {
			packed = protowire.AppendFixed64(packed, math.Float64bits(x))
		}
		if packed != nil {
			col = field(col, 2, packed)
		}
		packed = nil
		for _, x := range c.ints {
			packed = protowire.AppendVarint(packed, uint64(x))
		}
		if packed != nil {
			col = field(col, 3, packed)
		}
		for _, w := range c.words {
			col = field(col, 5, []byte(w))
		}
		packed = nil
		for _, i := range c.index {
			packed = protowire.AppendVarint(packed, uint64(i))
		}
		if packed != nil {
			col = field(col, 6, packed)
		}
		out = field(out, 2, col)
	}
	return out
}

// arrow writes an Arrow IPC stream of one record batch.
func (g *generator) arrow(n int) []byte {
	mem := memory.NewGoAllocator()
	columns := g.columns(n)
	fields, arrays := make([]arrow.Field, 0, len(columns)), make([]arrow.Array, 0, len(columns))
	for _, c := range columns {
		var arr arrow.Array
		switch {
		case c.doubles != nil:
			floats := array.NewFloat64Builder(mem)
			floats.AppendValues(c.doubles, nil)
			arr = floats.NewArray()
		case c.ints != nil:
			ints := array.NewInt64Builder(mem)
			ints.AppendValues(c.ints, nil)
			arr = ints.NewArray()
		default:
			text := array.NewStringBuilder(mem)
			text.AppendValues(c.words, nil)
			if arr = text.NewArray(); c.index != nil {
				index := array.NewInt8Builder(mem)
				for _, i := range c.index {
					index.Append(int8(i))
				}
				arr = array.NewDictionaryArray(&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: arrow.BinaryTypes.String}, index.NewArray(), arr)
			}
		}
		fields, arrays = append(fields, arrow.Field{Name: c.name, Type: arr.DataType()}), append(arrays, arr)
	}
	schema := arrow.NewSchema(fields, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema), ipc.WithAllocator(mem))
	if err := w.Write(array.NewRecordBatch(schema, arrays, int64(n))); err != nil {
		panic("BUG: bench/wire: " + err.Error())
	}
	if err := w.Close(); err != nil {
		panic("BUG: bench/wire: " + err.Error())
	}
	return out.Bytes()
}
