package rows_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/rows"
)

// printer writes down the values of a column.
type printer struct{ b strings.Builder }

func (p *printer) Numbers(xs []float64) {
	for _, x := range xs {
		fmt.Fprintf(&p.b, "%v ", x)
	}
}

func (p *printer) Nulls(n int) { p.b.WriteString(strings.Repeat("null ", n)) }

func (p *printer) Value(v event.Value) {
	switch v.Kind {
	case event.ValueNumber:
		fmt.Fprintf(&p.b, "%v ", v.Num)
	case event.ValueBool:
		fmt.Fprintf(&p.b, "bool %v ", v.Num)
	case event.ValueString:
		fmt.Fprintf(&p.b, "%q ", v.Str)
	default:
		p.b.WriteString("invalid ")
	}
}

func columns(t *testing.T, path string, o rows.TableOptions) map[string]string {
	t.Helper()
	table, err := rows.OpenTable(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	out := map[string]string{}
	for i, c := range table.Columns() {
		var p printer
		if err := table.Read(context.Background(), i, &p); err != nil {
			t.Fatal(err)
		}
		out[c.Name] = strings.TrimSpace(p.b.String())
	}
	return out
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testdata/kinds.parquet was written by pyarrow 26 with row groups of 4 rows, data pages of version 2, zstd and dictionaries; the
// expected values are those that its writer was given.
func kinds() map[string]string {
	return map[string]string{
		"d": "1.5 null NaN +Inf -0 2.5", "i": "1 2 null 4 5 1.099511627776e+12", "u": "1 2 3 4 5 4.294967295e+09",
		"f": "0.5 1 2 3 4 null", "s": `"a" "b" null "" "é" "a"`, "b": "bool 1 bool 0 null bool 1 bool 1 bool 0",
		"l": "invalid invalid invalid invalid invalid invalid", "g.x": "1 null null 4 5 6", "g.y": `"q" "r" null null "s" "t"`,
		"ts":  "1.7953416e+12 1.795341601e+12 1.795341602e+12 1.795341603e+12 1.795341604e+12 1.795341605e+12",
		"dec": "1.25 null -3.5 0.01 2 3", "date": strings.TrimSpace(strings.Repeat("8.64e+07 ", 6)),
		"cat": `"x" "y" "x" "x" "y" "x"`, "n": "null null null null null null",
	}
}

func TestParquetColumns(t *testing.T) {
	if diff := cmp.Diff(kinds(), columns(t, "testdata/kinds.parquet", rows.TableOptions{})); diff != "" {
		t.Errorf("columns (-want +got):\n%s", diff)
	}
}

// Row by row Parquet has the same values, and its columns take roles.
func TestParquetRows(t *testing.T) {
	r, err := rows.Open("testdata/kinds.parquet", rows.Options{Map: map[string]string{"id": "i"}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, show(e))
	}
	if len(got) != 6 {
		t.Fatalf("%d rows, want 6", len(got))
	}
	want := `ts=1795341601000 id=2 [d]=null [u]=2 [f]=1 [s]="b" [b]=bool 0 [l]=invalid [g.x]=null [g.y]="r" [dec]=null [date]=8.64e+07 [cat]="y" [n]=null`
	if got[1] != want {
		t.Errorf("row 2\n%s\nwant\n%s", got[1], want)
	}
}

// A Parquet file that is cut or changed anywhere is an error or other values, never a panic.
func TestDamagedParquet(t *testing.T) {
	good, err := os.ReadFile("testdata/kinds.parquet")
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		table, err := rows.OpenTable(context.Background(), write(t, "a.parquet", string(data)), rows.TableOptions{})
		if err != nil {
			return err
		}
		defer table.Close()
		for i := range table.Columns() {
			if e := table.Read(context.Background(), i, &printer{}); e != nil {
				err = e
			}
		}
		return err
	}
	for _, n := range []int{4, 8, 100, len(good) / 2, len(good) - 1} {
		if err := read(good[:n]); !errors.As(err, new(*rows.Error)) {
			t.Errorf("cut to %d bytes: %v, want a *rows.Error", n, err)
		}
	}
	for at := 4; at < len(good); at += 7 {
		bad := bytes.Clone(good)
		bad[at] ^= 0x55
		if err := read(bad); err != nil && !errors.As(err, new(*rows.Error)) {
			t.Errorf("byte %d changed: %#v, want a *rows.Error", at, err)
		}
	}
}

// What does not fit in memory goes through a file, and comes back the same.
func TestSpilledColumns(t *testing.T) {
	var csv strings.Builder
	csv.WriteString("x,s,m\n")
	for i := range 20_000 {
		fmt.Fprintf(&csv, "%d,text %d,", i, i%11)
		if i%3 == 0 {
			csv.WriteString("NaN")
		}
		csv.WriteByte('\n')
	}
	path := write(t, "a.csv", csv.String())
	want := columns(t, path, rows.TableOptions{})
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if diff := cmp.Diff(want, columns(t, path, rows.TableOptions{Memory: 1})); diff != "" {
		t.Errorf("spilled columns differ:\n%.2000s", diff)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTableColumns(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path string
		o    rows.TableOptions
		want map[string]string
	}{
		"csv":     {write(t, "a.csv", "x,ts\n1,2\n,\"\"\n1.0,noon\n"), rows.TableOptions{}, map[string]string{"x": "1 null 1", "ts": `2 null "noon"`}},
		"literal": {write(t, "a.csv", "x,y\n1,\n\"\",1\n1.0,\n"), rows.TableOptions{Text: []string{"x"}}, map[string]string{"x": `"1" "" "1.0"`, "y": "null 1 null"}},
		"mapped":  {write(t, "a.csv", "x,p\n1,0.5\n"), rows.TableOptions{Map: map[string]string{"prediction": "p"}}, map[string]string{"x": "1", "prediction": "0.5"}},
		"zstd":    {write(t, "a", string(z.EncodeAll([]byte("x\n1\n\n2\n"), nil))), rows.TableOptions{}, map[string]string{"x": "1 null 2"}},
		"empty":   {write(t, "a.csv", ""), rows.TableOptions{}, map[string]string{}},
		"ndjson, columns come and go": {
			write(t, "a.ndjson", `{"x":1,"x":2}`+"\n"+`{"y":{"z":"NaN"},"x":3}`+"\n\n"+`{"y":{"z":[1]}}`),
			rows.TableOptions{},
			map[string]string{"x": "2 3 null", "y.z": `null "NaN" invalid`},
		},
		"ndjson with names of roles": {
			write(t, "a.ndjson", `{"latency_ms":1,"label":2}`), rows.TableOptions{}, map[string]string{"latency_ms": "1", "label": "2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, columns(t, tt.path, tt.o)); diff != "" {
				t.Errorf("columns (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := rows.OpenTable(context.Background(), "testdata/kinds.parquet", rows.TableOptions{Map: map[string]string{"id": "nope"}}); err == nil ||
		!strings.Contains(err.Error(), `"nope", which is not there`) {
		t.Errorf("mapped to nothing: %v", err)
	}
	stopped, stop := context.WithCancel(context.Background())
	stop()
	if _, err := rows.OpenTable(stopped, tests["csv"].path, rows.TableOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// Whatever the bytes, columns are as long as the table, and errors say where.
func FuzzTable(f *testing.F) {
	f.Add("a.csv", []byte("x,y\n1,\"a\"\"b\"\n"), int64(1))
	f.Add("a.ndjson", []byte(`{"x":1}`+"\n"+`{"y":2}`), int64(0))
	if data, err := os.ReadFile("testdata/kinds.parquet"); err == nil {
		f.Add("a", data, int64(0))
	}
	f.Fuzz(func(t *testing.T, name string, data []byte, memory int64) {
		if strings.ContainsAny(name, "/\x00") || len(name) > 50 || len(data) > 1<<16 {
			return
		}
		table, err := rows.OpenTable(context.Background(), write(t, "f"+name, string(data)), rows.TableOptions{Memory: memory})
		if err != nil {
			if !errors.As(err, new(*rows.Error)) {
				t.Errorf("err = %#v, want a *rows.Error", err)
			}
			return
		}
		defer table.Close()
		for i, c := range table.Columns() {
			n := counter(0)
			if err := table.Read(context.Background(), i, &n); err != nil {
				if !errors.As(err, new(*rows.Error)) {
					t.Errorf("err = %#v, want a *rows.Error", err)
				}
			} else if uint64(n) != table.Rows() {
				t.Errorf("column %q has %d values in %d rows", c.Name, n, table.Rows())
			}
		}
	})
}

// counter counts the values of a column.
type counter uint64

func (c *counter) Numbers(xs []float64) { *c += counter(len(xs)) }
func (c *counter) Nulls(n int)          { *c += counter(n) }
func (c *counter) Value(v event.Value) {
	*c++
	if v.Kind == event.ValueNumber && math.IsNaN(v.Num) && len(v.Str) > 0 {
		panic("a number with a text that is none")
	}
}
