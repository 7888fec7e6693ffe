package rows_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/rows"
)

// kept keeps the values of a column as texts.
type kept struct{ values []string }

func (k *kept) Numbers(xs []float64) {
	for _, x := range xs {
		k.values = append(k.values, strconv.FormatFloat(x, 'g', -1, 64))
	}
}
func (k *kept) Nulls(n int)         { k.values = append(k.values, make([]string, n)...) }
func (k *kept) Value(v event.Value) { k.values = append(k.values, string(v.Str)) }

// What a codec of Parquet packed comes back as it was, in pages that shrink and in pages that do not.
func TestParquetCodecs(t *testing.T) {
	type row struct {
		Noise float64 `parquet:"noise"`
		Text  string  `parquet:"text,plain"`
		Same  float64 `parquet:"same"`
	}
	rng := rand.New(rand.NewPCG(1, 2))
	data, want := make([]row, 20_000), [3]kept{}
	for i := range data {
		data[i] = row{rng.Float64(), "text " + strconv.Itoa(i/100), 7}
		want[0].Numbers([]float64{data[i].Noise})
		want[1].values = append(want[1].values, data[i].Text)
		want[2].Numbers([]float64{7})
	}
	for name, tt := range map[string]struct {
		codec   compress.Codec
		refused bool
	}{
		"none": {&parquet.Uncompressed, false}, "snappy": {&parquet.Snappy, false}, "gzip": {&parquet.Gzip, false}, "brotli": {&parquet.Brotli, false},
		"zstd": {&parquet.Zstd, false}, "lz4": {&parquet.Lz4Raw, true},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			if err := parquet.Write(&file, data, parquet.Compression(tt.codec)); err != nil {
				t.Fatal(err)
			}
			table, err := rows.OpenTable(context.Background(), write(t, "a.parquet", file.String()), rows.TableOptions{})
			if tt.refused { // parquet-go reads zeros without an error: its issue 608
				if !errors.As(err, new(*rows.Error)) || !strings.Contains(err.Error(), "compressed by LZ4") {
					t.Fatalf("err = %v, want a *rows.Error", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer table.Close()
			for i, c := range table.Columns() {
				got := kept{}
				if err := table.Read(context.Background(), i, &got); err != nil {
					t.Fatal(err)
				}
				which := map[string]int{"noise": 0, "text": 1, "same": 2}[c.Name]
				if diff := cmp.Diff(want[which].values, got.values); diff != "" {
					t.Errorf("column %s (-want +got):\n%.500s", c.Name, diff)
				}
			}
		})
	}
}

// Limits of a file are told, not run into.
func TestFilesBeyondLimits(t *testing.T) {
	var wide strings.Builder
	for i := range 70_000 {
		wide.WriteString("c" + strconv.Itoa(i) + ",")
	}
	wide.WriteString("last\n")
	var keys strings.Builder
	for i := range 70 {
		keys.WriteByte('{')
		for k := range 1000 {
			if k > 0 {
				keys.WriteByte(',')
			}
			keys.WriteString(`"k` + strconv.Itoa(1000*i+k) + `":1`)
		}
		keys.WriteString("}\n")
	}
	var window bytes.Buffer
	z, err := zstd.NewWriter(&window, zstd.WithWindowSize(512<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // more than one block, else there is no window
		if _, err := z.Write([]byte("x\n" + strings.Repeat("1\n", 1<<20))); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ file, text, want string }{
		"columns":          {"a.csv", wide.String(), "a.csv:1: 70001 columns, not more than 65536"},
		"keys":             {"a.ndjson", keys.String(), "a.ndjson:66: more than 65536 columns"},
		"window":           {"a.csv", window.String(), "packed over a window of more than 128 MiB"},
		"carriage returns": {"a.csv", "x,y\r1,2\r", "the lines end with a carriage return alone"},
		"bare numbers":     {"a.ndjson", "1\n2\n", "a.ndjson:1: malformed at byte 0"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.file, tt.text)
			_, err := rows.OpenTable(context.Background(), path, rows.TableOptions{})
			if err == nil || !strings.Contains(strings.TrimPrefix(err.Error(), filepath.Dir(path)+"/"), tt.want) {
				t.Errorf("err = %.300v, want %q", err, tt.want)
			}
		})
	}
}
