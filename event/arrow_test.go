package event_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/endian"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/driftd/driftd/event"
)

// arrowStream writes a column of each field in every batch.
func arrowStream(t *testing.T, schema *arrow.Schema, batches, rows int, column func(batch, i int) arrow.Array, opts ...ipc.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := ipc.NewWriter(&b, append(opts, ipc.WithSchema(schema))...)
	for batch := range batches {
		columns := make([]arrow.Array, schema.NumFields())
		for i := range columns {
			columns[i] = column(batch, i)
		}
		if err := w.Write(array.NewRecordBatch(schema, columns, int64(rows))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func words(values ...string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	b.AppendValues(values, nil)
	return b.NewArray()
}

// Arrow streams that say more than they have, or more than a process should hold, are refused for what they are. None may end the process.
func TestArrowThatIsRefused(t *testing.T) {
	of := func(names []string, typ arrow.DataType) *arrow.Schema {
		fields := make([]arrow.Field, len(names))
		for i, name := range names {
			fields[i] = arrow.Field{Name: name, Type: typ, Nullable: true, Metadata: arrow.Metadata{}}
		}
		return arrow.NewSchema(fields, nil)
	}
	names := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprint("features.f", i)
		}
		return out
	}
	text := arrow.BinaryTypes.String
	one := func(int, int) arrow.Array { return words("m") }
	good := arrowStream(t, of([]string{"model"}, text), 1, 1, one)
	dictionary := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int8, ValueType: text, Ordered: false}
	long := words(strings.Repeat("x", 1<<20))
	index := array.NewInt8Builder(memory.DefaultAllocator)
	index.Append(0)
	same := array.NewDictionaryArray(dictionary, index.NewArray(), long)
	nested := arrow.DataType(text)
	for range 70 {
		nested = arrow.StructOf(arrow.Field{Name: "s", Type: nested, Nullable: true, Metadata: arrow.Metadata{}})
	}
	for _, c := range []struct {
		name    string
		message []byte
		want    string
	}{
		{"columns that take no bytes", arrowStream(t, of(names(3000), arrow.Null), 1, 60_000, func(int, int) arrow.Array { return array.NewNull(60_000) }), "the message takes more than 134217728 bytes unpacked"},
		{"a dictionary that is kept for every batch", arrowStream(t, of([]string{"features.c"}, dictionary), 300, 1, func(int, int) arrow.Array { return same }), "the message takes more than 134217728 bytes unpacked"},
		{"big-endian", arrowStream(t, of([]string{"model"}, text).WithEndianness(endian.BigEndian), 1, 1, one), "big-endian"},
		{"a type that is none", arrowStream(t, of([]string{"features.x"}, arrow.PrimitiveTypes.Date32), 1, 0, func(int, int) arrow.Array {
			return array.NewDate32Builder(memory.DefaultAllocator).NewArray()
		}), `column "features.x": its type`},
		{"more columns than twice max_fields", arrowStream(t, of(names(2*event.DefaultLimits().MaxFields+1), arrow.Null), 1, 1, func(int, int) arrow.Array { return array.NewNull(1) }), "max_fields"},
		{"structs in structs", arrowStream(t, of([]string{"features"}, nested), 0, 0, one), "nested"},
		{"metadata that is longer than the message", append(bytes.Clone(good[:4]), 0xff, 0xff, 0xff, 0x7f), "cut off"},
		{"a body that is longer than the message", good[:len(good)-40], "cut off"},
	} {
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset(c.message)
		d.Next()
		if _, rejected := d.Event(); rejected == nil || rejected.Reason != event.RejectMalformed || !strings.Contains(rejected.Detail, c.want) ||
			strings.Contains(c.want, "takes more") && strings.Contains(rejected.Detail, "broken") {
			t.Errorf("%s: %v, want a detail with %q", c.name, rejected, c.want)
		}
	}
	for name, message := range map[string][]byte{
		"plain": good, "Zstandard": arrowStream(t, of([]string{"model"}, text), 1, 1, one, ipc.WithZstd()),
		"LZ4": arrowStream(t, of([]string{"model"}, text), 1, 1, one, ipc.WithLZ4()),
	} {
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset(message)
		d.Next()
		if ev, rejected := d.Event(); rejected != nil || string(ev.Model) != "m" {
			t.Errorf("a good stream, %s: %v", name, rejected)
		}
	}
}
