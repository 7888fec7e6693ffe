package rows_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/driftd/driftd/rows"
)

// texts reads every column of a table as texts, each cell as it is written.
func texts(t *testing.T, path string, columns []string) (map[string][]string, error) {
	t.Helper()
	table, err := rows.OpenTable(context.Background(), path, rows.TableOptions{Text: columns})
	if err != nil {
		return nil, err
	}
	defer table.Close()
	out := map[string][]string{}
	for i, c := range table.Columns() {
		k := kept{values: []string{}}
		if err := table.Read(context.Background(), i, &k); err != nil {
			return nil, err
		}
		out[c.Header] = k.values
	}
	return out, nil
}

// FuzzPacked packs any text by gzip and zstd: its columns are those of the plain text. Cut off anywhere, it is an error that says so.
func FuzzPacked(f *testing.F) {
	f.Add("a.csv", "x,y\n1,a\n,\"b\nc\"\n", uint16(7))
	f.Add("a.ndjson", `{"x":1,"y":"a"}`+"\n"+`{"x":[1]}`, uint16(30))
	f.Add("a", strings.Repeat("x\n1\n", 300), uint16(20))
	f.Fuzz(func(t *testing.T, name, text string, cut uint16) {
		if strings.ContainsAny(name, "/\x00") || len(name) > 50 || len(text) > 1<<14 {
			return
		}
		z, err := zstd.NewWriter(nil, zstd.WithEncoderCRC(true))
		if err != nil {
			t.Fatal(err)
		}
		want, wantErr := texts(t, write(t, "f"+name, text), nil)
		if wantErr != nil && !errors.As(wantErr, new(*rows.Error)) {
			t.Fatalf("err = %#v, want a *rows.Error", wantErr)
		}
		for how, packed := range map[string][]byte{"gzip": zipped(text), "zstd": z.EncodeAll([]byte(text), nil)} {
			if len(packed) == 0 {
				continue // zstd makes nothing of nothing
			}
			if strings.HasPrefix(text, "PAR1") || strings.HasPrefix(text, "\x1f\x8b") || strings.HasPrefix(text, "\x28\xb5\x2f\xfd") {
				continue // what is unpacked is not looked into again
			}
			got, err := texts(t, write(t, "f"+name, string(packed)), nil)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("%s: %v, the plain text: %v", how, err, wantErr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-plain +packed):\n%s", how, diff)
			}
			at := 4 + int(cut)%(len(packed)-4)
			if _, err := texts(t, write(t, "f"+name, string(packed[:at])), nil); !errors.As(err, new(*rows.Error)) {
				t.Errorf("%s cut to %d of %d bytes: %v, want a *rows.Error", how, at, len(packed), err)
			}
		}
	})
}

// FuzzCSV compares with encoding/csv, which splits records as RFC 4180 says: what it accepts has the same cells here, or is refused for what
// driftd asks beyond it.
func FuzzCSV(f *testing.F) {
	f.Add("x,y\n1,\"a\"\"b\"\n\n\"c\r\nd\",\r\n")
	f.Add("x,y\r\n\"\",2\r\n3,\xff\n")
	f.Add("\xef\xbb\xbfx,y\n1,2")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<14 {
			return
		}
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\xef\xbb\xbf")))
		all, err := r.ReadAll()
		if err != nil || len(all) == 0 || len(all[0]) < 2 { // of a single column blank lines are cells here
			return
		}
		got, gotErr := texts(t, write(t, "a.csv", text), all[0])
		if gotErr != nil {
			for _, beyond := range []string{"has no name", "is there twice", "not UTF-8", "carriage return alone", "cut off or damaged", "is Parquet", "reading zstd", "reading gzip"} {
				if strings.Contains(gotErr.Error(), beyond) {
					return
				}
			}
			t.Fatalf("%q: %v; encoding/csv reads it", text, gotErr)
		}
		for k, name := range all[0] {
			want := make([]string, len(all)-1)
			for i, record := range all[1:] {
				want[i] = record[k]
			}
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Errorf("%q, column %q (-encoding/csv +ours):\n%s", text, name, diff)
			}
		}
	})
}

// An end in the middle of a packed file is told as such, not as the end of the rows.
func TestCutOffAnywhere(t *testing.T) {
	text := "x,y\n" + strings.Repeat("1,a\n2,b\n", 200)
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{"gzip": zipped(text), "zstd": z.Bytes()} {
		for at := 4; at < len(packed); at++ {
			_, err := texts(t, write(t, "a.csv", string(packed[:at])), nil)
			if err == nil || !strings.Contains(err.Error(), "cut off or damaged") {
				t.Errorf("%s cut to %d of %d bytes: %v", name, at, len(packed), err)
			}
		}
	}
}
