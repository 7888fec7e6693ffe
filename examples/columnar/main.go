// Command columnar publishes a few events by columns: once as protobuf and once as an Arrow IPC stream.
//
//	go run ./examples/columnar -url nats://127.0.0.1:4222
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protowire"
)

// events is what a service has at hand, by columns.
type events struct {
	ids       []string
	times     []int64 // epoch milliseconds
	ages      []float64
	countries []string
	scores    []float64
}

func main() {
	url := flag.String("url", nats.DefaultURL, "the broker")
	flag.Parse()
	if err := run(*url); err != nil {
		fmt.Fprintln(os.Stderr, "columnar:", err)
		os.Exit(1)
	}
}

func run(url string) error {
	now := time.Now().UnixMilli()
	e := events{
		ids: []string{"a", "b", "c"}, times: []int64{now, now, now}, ages: []float64{41, 28, math.NaN()}, // the last one is missing
		countries: []string{"DE", "FR", "DE"}, scores: []float64{0.2, 0.7, 0.4},
	}
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	stream, err := e.arrow()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, message := range [][]byte{e.protobuf(), stream} {
		if _, err := js.Publish(ctx, "ml.events.credit-risk", message); err != nil {
			return err
		}
	}
	return nil
}

// protobuf writes a driftd.v1.Events of docs/schema/events.proto. Code that protoc generates does the same.
func (e *events) protobuf() []byte {
	field := func(b []byte, num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), body)
	}
	out := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(len(e.ids))) // rows, first
	doubles := func(name string, values []float64) {
		var packed []byte
		for _, x := range values {
			packed = protowire.AppendFixed64(packed, math.Float64bits(x))
		}
		out = field(out, 2, field(field(nil, 1, []byte(name)), 2, packed))
	}
	strings := func(name string, values []string) {
		column := field(nil, 1, []byte(name))
		for _, s := range values {
			column = field(column, 5, []byte(s))
		}
		out = field(out, 2, column)
	}
	var packed []byte
	for _, t := range e.times {
		packed = protowire.AppendVarint(packed, uint64(t))
	}
	out = field(out, 2, field(field(nil, 1, []byte("ts")), 3, packed))
	strings("id", e.ids)
	doubles("features.age", e.ages)
	strings("features.country", e.countries)
	doubles("prediction", e.scores)
	return out
}

// arrow writes an Arrow IPC stream of one record batch.
func (e *events) arrow() ([]byte, error) {
	mem := memory.NewGoAllocator()
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "ts", Type: arrow.PrimitiveTypes.Int64},
		{Name: "id", Type: arrow.BinaryTypes.String},
		{Name: "features.age", Type: arrow.PrimitiveTypes.Float64},
		{Name: "features.country", Type: arrow.BinaryTypes.String},
		{Name: "prediction", Type: arrow.PrimitiveTypes.Float64},
	}, nil)
	b := array.NewRecordBuilder(mem, schema)
	defer b.Release()
	times, ok1 := b.Field(0).(*array.Int64Builder)
	ids, ok2 := b.Field(1).(*array.StringBuilder)
	ages, ok3 := b.Field(2).(*array.Float64Builder)
	countries, ok4 := b.Field(3).(*array.StringBuilder)
	scores, ok5 := b.Field(4).(*array.Float64Builder)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return nil, errors.New("a builder is not of its field's type")
	}
	times.AppendValues(e.times, nil)
	ids.AppendValues(e.ids, nil)
	ages.AppendValues(e.ages, nil)
	countries.AppendValues(e.countries, nil)
	scores.AppendValues(e.scores, nil)
	var out bytes.Buffer
	w := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := w.Write(b.NewRecordBatch()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
