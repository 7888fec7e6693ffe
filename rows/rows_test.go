package rows_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/rows"
)

// show renders what a row says, in one line.
func show(e *event.Event) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, format+" ", args...) }
	value := func(v event.Value) string {
		switch v.Kind {
		case event.ValueNull:
			return "null"
		case event.ValueNumber:
			return fmt.Sprintf("%v", v.Num)
		case event.ValueBool:
			return fmt.Sprintf("bool %v", v.Num)
		case event.ValueString:
			return fmt.Sprintf("%q", v.Str)
		case event.ValueInvalid:
		}
		return "invalid"
	}
	if e.HasTime {
		add("ts=%d", e.Time)
	}
	for _, f := range []struct{ name, v string }{
		{"model", string(e.Model)}, {"version", string(e.Version)}, {"id", string(e.ID)}, {"status", string(e.Status)},
	} {
		if f.v != "" {
			add("%s=%s", f.name, f.v)
		}
	}
	if e.HasLatency {
		add("latency=%v", e.Latency)
	}
	if e.LatencyInvalid {
		add("latency=invalid")
	}
	if e.IsLabel || e.Label.Kind != 0 {
		add("label=%s", value(e.Label))
	}
	for _, f := range e.Prediction {
		add("%s=%s", f.Name, value(f.Value))
	}
	for _, f := range e.Segments {
		add("segment.%s=%s", f.Name, value(f.Value))
	}
	for _, f := range e.Features {
		add("[%s]=%s", f.Name, value(f.Value))
	}
	return strings.TrimSpace(b.String())
}

func read(name, text string, mapping map[string]string) ([]string, error) {
	r, err := rows.NewReader(strings.NewReader(text), name, rows.Options{Map: mapping})
	if err != nil {
		return nil, err
	}
	out := []string{}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, show(e))
	}
}

func TestRead(t *testing.T) {
	tests := map[string]struct {
		name, text string
		mapping    map[string]string
		want       []string
	}{
		"csv": {
			"a.csv", "age,country,ts,id,prediction\n41,DE,2026-11-22T10:00:00.5Z,x1,0.25\n,\"F,R\",2026-11-22 10:00:00,,\n", nil,
			[]string{
				`ts=1795341600500 id=x1 prediction=0.25 [age]=41 [country]="DE"`,
				`ts=1795341600000 prediction=null [age]=null [country]="F,R"`,
			},
		},
		"csv values": {
			"a.csv", "a,b\nNaN,-Infinity\n007,1e3\ntrue,1e999\n-0.5,.5\n+1,0x10\n", nil,
			[]string{
				`[a]="NaN" [b]="-Infinity"`, `[a]="007" [b]=1000`, `[a]="true" [b]=invalid`, `[a]=-0.5 [b]=".5"`, `[a]="+1" [b]="0x10"`,
			},
		},
		"csv roles": {
			"a.csv", "model,version,latency_ms,status,prediction.label,prediction.score.yes,segment.region,label,prediction.score.\n" +
				"m,1,12.5,ok,yes,0.75,eu,no,1\nm,1,-1,,,,,,\n", nil,
			[]string{
				`model=m version=1 status=ok latency=12.5 label="no" prediction.label="yes" prediction.score.yes=0.75 segment.region="eu" [prediction.score.]=1`,
				`model=m version=1 latency=invalid label=null prediction.label=null prediction.score.yes=null segment.region=null [prediction.score.]=null`,
			},
		},
		"csv mapped": {
			"a.csv", "when,ts,score\n2026-11-22,5,0.5\n",
			map[string]string{"ts": "when", "prediction": "score"},
			[]string{`ts=1795305600000 prediction=0.5 [ts]=5`},
		},
		"one column": {
			"a.csv", "x\n1\n\n\r\n\"2\n2\"\n\n3\n\n\n", nil,
			[]string{"[x]=1", "[x]=null", "[x]=null", `[x]="2\n2"`, "[x]=null", "[x]=3", "[x]=null", "[x]=null"},
		},
		"one column, blank first, no newline last": {"a.csv", "x\n\n1", nil, []string{"[x]=null", "[x]=1"}},
		"one column, blank only":                   {"a.csv", "x\n\n", nil, []string{"[x]=null"}},
		"header only":                              {"a.csv", "x,y\n", nil, []string{}},
		"byte order mark":                          {"a.csv", "\xef\xbb\xbfx,y\r\n1,2\r\n", nil, []string{"[x]=1 [y]=2"}},
		"tsv":                                      {"a.tsv", "x\ty\n1\ta b\n", nil, []string{`[x]=1 [y]="a b"`}},
		"csv by content":                           {"-", "x,y\n1,2\n", nil, []string{"[x]=1 [y]=2"}},
		"ndjson flat": {
			"a.ndjson", `{"age":41,"country":"DE","ts":"2026-11-22 10:00:00","a":{"b":true,"c":[1]}}` + "\n\n" + `{"age":null,"label":1}`, nil,
			[]string{`ts=1795341600000 [age]=41 [country]="DE" [a.b]=bool 1 [a.c]=invalid`, `label=1 [age]=null`},
		},
		"ndjson flat, prediction object": {
			"a.jsonl", `{"x":1,"prediction":{"label":"a","scores":{"a":0.5}},"segment":{"region":"eu"}}`, nil,
			[]string{`prediction.label="a" prediction.score.a=0.5 segment.region="eu" [x]=1`},
		},
		"ndjson events": {
			"a.ndjson.gz", `{"model":"m","id":"1","ts":1000,"prediction":0.5,"features":{"x":1}}` + "\n" + `{"model":"m","id":"1","label":1}` + "\r\n", nil,
			[]string{"ts=1000 model=m id=1 prediction=0.5 [x]=1", "model=m id=1 label=1"},
		},
		"ndjson by content": {"-", "\n {\"x\":1}", nil, []string{"[x]=1"}},
		"ndjson mapped":     {"-", `{"t":5,"x":1}`, map[string]string{"ts": "t"}, []string{"ts=5 [x]=1"}},
		"ndjson empty":      {"a.ndjson", "", nil, []string{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := read(tt.name, tt.text, tt.mapping)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
		})
	}
}

func TestErrorsSayWhereAndWhat(t *testing.T) {
	tests := map[string]struct {
		name, text string
		mapping    map[string]string
		want       string
	}{
		"empty csv":          {"a.csv", "", nil, "a.csv: the file is empty"},
		"ragged":             {"a.csv", "x,y\n1,2\n3\n", nil, "a.csv:3: the row has another number of cells"},
		"quote":              {"a.csv", "x,y\n1,\"2\"3\n", nil, "a.csv:2: column"},
		"time":               {"a.csv", "x,ts\n1,2\n3,yesterday\n", nil, `a.csv:3: column "ts": the time "yesterday" cannot be read; write RFC 3339`},
		"time out of range":  {"a.csv", "x,ts\n1,1e300\n", nil, "outside of the years"},
		"unnamed column":     {"a.csv", ",x\n0,1\n", nil, "a.csv:1: column 1 has no name"},
		"twice":              {"a.csv", "x,x\n0,1\n", nil, `a.csv:1: the column "x" is there twice`},
		"semicolons":         {"a.csv", "x;y\n0;1\n", nil, "separate the columns by commas"},
		"latin1":             {"a.csv", "x,y\n1,k\xe4se\n", nil, `a.csv:2: column "y": not UTF-8`},
		"mapped to nothing":  {"a.csv", "x,y\n", map[string]string{"ts": "when"}, `a.csv:1: the role ts is mapped to the column "when", which is not there; the columns are x, y`},
		"no such role":       {"a.csv", "x,y\n", map[string]string{"time": "x"}, `a.csv: "time" is no role; map one of ts, id`},
		"mapped twice":       {"a.csv", "x,y\n", map[string]string{"ts": "x", "id": "x"}, `the column "x" is mapped to both id and ts`},
		"json array":         {"a.json", `[{"x":1}]`, nil, "one JSON array; write one object a line"},
		"not json":           {"a.ndjson", "{\"x\":1}\n\nnope\n", nil, "a.ndjson:3: malformed at byte 0"},
		"cut off":            {"a.ndjson", `{"x":1`, nil, "a.ndjson:1: malformed"},
		"bare NaN":           {"a.ndjson", `{"x":NaN}`, nil, "a.ndjson:1: bare_nan"},
		"two on a line":      {"a.ndjson", `{"x":1}{"x":2}`, nil, "a.ndjson:1: malformed"},
		"flat time":          {"a.ndjson", `{"x":1,"ts":"noon"}`, nil, `a.ndjson:1: column "ts": the time "noon" cannot be read`},
		"event time":         {"a.ndjson", `{"ts":"2026-11-22T10:00:00","features":{"x":1}}`, nil, "a.ndjson:1: bad_time"},
		"event and mapping":  {"a.ndjson", `{"features":{"x":1}}`, map[string]string{"ts": "x"}, "remove the mapping"},
		"long line":          {"a.ndjson", `{"x":"` + strings.Repeat("a", 3<<20) + `"}`, nil, "a.ndjson:1: the line is longer than"},
		"one column, quoted": {"a.csv", "x\n\n\"1\n", nil, "a.csv:3: column"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := read(tt.name, tt.text, tt.mapping)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("err = %v, want one with %q", err, tt.want)
			}
			if at := new(rows.Error); !errors.As(err, &at) || at.Path != tt.name {
				t.Errorf("err = %#v, want a *rows.Error of %s", err, tt.name)
			}
		})
	}
}

func zipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.Bytes()
}

func TestGzipByMagic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.csv") // no .gz
	if err := os.WriteFile(path, zipped("x,y\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := rows.Open(path, rows.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := r.Next()
	if err != nil || show(e) != "[x]=1 [y]=2" {
		t.Errorf("got %v, %v", e, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	cut := zipped("x,y\n" + strings.Repeat("1,2\n", 100))
	_, err = read("a.csv.gz", string(cut[:len(cut)-6]), nil)
	if err == nil || !strings.Contains(err.Error(), "cut off or damaged") {
		t.Errorf("cut gzip: %v", err)
	}
	if _, err := rows.Open(filepath.Join(t.TempDir(), "none.csv"), rows.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v, want ErrNotExist", err)
	}
	if _, err := rows.Open(t.TempDir(), rows.Options{}); err == nil {
		t.Error("a directory: no error")
	}
}

// A row of many cells and a line longer than any buffer come through whole.
func TestLongRows(t *testing.T) {
	var header, cells, object []string
	for i := range 3000 {
		header = append(header, fmt.Sprintf("feature_%d", i))
		cells = append(cells, fmt.Sprintf("value %d %s", i, strings.Repeat("x", 50)))
		object = append(object, fmt.Sprintf(`"feature_%d":"value %d %s"`, i, i, strings.Repeat("x", 50)))
	}
	for name, text := range map[string]string{
		"a.csv":    strings.Join(header, ",") + "\n" + strings.Join(cells, ",") + "\n",
		"a.ndjson": "{" + strings.Join(object, ",") + "}\n",
	} {
		r, err := rows.NewReader(strings.NewReader(text), name, rows.Options{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := r.Next()
		if err != nil || len(e.Features) != 3000 {
			t.Fatalf("%s: %v", name, err)
		}
		for i, f := range e.Features {
			if string(f.Name) != header[i] || string(f.Str) != cells[i] {
				t.Fatalf("%s: column %d is %s=%s", name, i, f.Name, f.Str)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add("a.csv", "x,ts\n1,2\n")
	f.Add("a.csv", "x\n\n1\n\"\n\"\n")
	f.Add("a.ndjson", `{"x":1,"ts":5,"prediction":{"score":1}}`)
	f.Add("-", string(zipped(`{"features":{"x":1}}`)))
	f.Fuzz(func(t *testing.T, name, text string) {
		out, err := read(name, text, nil)
		if at := new(rows.Error); err != nil && !errors.As(err, &at) {
			t.Errorf("err = %#v after %d rows, want a *rows.Error", err, len(out))
		}
	})
}
