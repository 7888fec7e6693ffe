package event_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
)

// tightLimits are small enough for a fuzzer to reach them.
func tightLimits() event.Limits {
	return event.Limits{MaxRecord: 400, MaxDepth: 5, MaxFields: 6, MaxName: 20}
}

// checkMessage compares the decoder with the oracle and checks what holds for every message.
func checkMessage(t *testing.T, message []byte, limits event.Limits) {
	t.Helper()
	before := bytes.Clone(message)
	d := event.NewDecoder(limits)
	got := decodeAll(d, message)
	if want := oracleDecode(message, limits); !cmp.Equal(want, got) {
		t.Fatalf("message %q (limits %+v): decoder differs from the oracle (-oracle +decoder):\n%s", message, limits, cmp.Diff(want, got))
	}
	if again := decodeAll(d, message); !cmp.Equal(again, got) {
		t.Fatalf("message %q: a second reading differs (-second +first):\n%s", message, cmp.Diff(again, got))
	}
	if !bytes.Equal(before, message) {
		t.Fatalf("message %q was changed to %q", before, message)
	}
	end, index := 0, 0
	for d.Reset(message); d.Next(); index++ {
		if d.Index() != index {
			t.Fatalf("message %q: record %d has index %d", message, index, d.Index())
		}
		raw := d.Raw()
		at := bytes.Index(message[end:], raw)
		if at < 0 {
			t.Fatalf("message %q: record %d is %q, which does not follow the one before", message, index, raw)
		}
		ev, err := d.Event()
		switch {
		case (ev == nil) == (err == nil):
			t.Fatalf("message %q: record %d has event %v and error %v", message, index, ev, err)
		case ev != nil && !bytes.Equal(ev.Raw, raw):
			t.Fatalf("message %q: record %d: Event.Raw %q, Raw %q", message, index, ev.Raw, raw)
		case err != nil && (err.Offset < 0 || err.Offset > len(message) || err.Detail == ""):
			t.Fatalf("message %q: record %d: bad error %+v", message, index, err)
		case ev != nil:
			checkValues(t, ev)
		}
		end += at + len(raw)
	}
	if ev, err := d.Event(); len(message) == 0 && (ev != nil || err == nil) {
		t.Fatalf("an empty message has event %v, error %v", ev, err)
	}
}

// checkValues checks that every value has one class in either reading.
func checkValues(t *testing.T, ev *event.Event) {
	t.Helper()
	for _, fields := range [][]event.Field{ev.Prediction, ev.Features, ev.Segments} {
		for _, f := range fields {
			if _, class := f.Float(); class < event.ClassValue || class > event.ClassInvalid {
				t.Fatalf("%s: class %v", f.Name, class)
			}
			category, class := f.AppendCategory([]byte("x"))
			if (class == event.ClassInf) || !bytes.HasPrefix(category, []byte("x")) || class != event.ClassValue && len(category) > 1 {
				t.Fatalf("%s: class %v, category %q", f.Name, class, category)
			}
		}
	}
}

// FuzzDecode compares the decoder with the oracle on any bytes, with the default and with tight limits. Its seeds are
// those of seedMessages, the odd inputs among them, and testdata/fuzz/FuzzDecode.
func FuzzDecode(f *testing.F) {
	for _, s := range seedMessages() {
		if len(s) < 1000 { // longer ones keep the fuzzer busy with making them short
			f.Add([]byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if event.EncodingOf(message) != event.EncodingJSON {
			return // see FuzzColumns
		}
		checkMessage(t, message, event.DefaultLimits())
		checkMessage(t, message, tightLimits())
	})
}

// seedMessages returns messages that between them use every part of the format.
func seedMessages() []string {
	seeds := []string{
		"", " \n\t", "\ufeff", "\ufeff{}", "[]", "[ ]x", "{}", "{}{}", "{} {}\n{}", "[{},{}]", "[{}", "[{},]", "[,{}]",
		"[{} {}]", "[1,{},null,[2]]",
		"{}\nbad\n{}", "{\"a\":1\n{\"b\":2}\n{}", "{\n \"a\": 1\n}\n{\n \"b\":,\n}\n{}", "{}x\n{}", "{},\n{}", "{\"a\":[\n{}\n{}\n{}",
		"[NaN]", "NaN",
		"{\"a\":\"x\n{}\"}\n", "\r\n{}\r\n{}\r\n", "{}\n[{}]\n{}", "[{}]\n{}", "[{\"a\":NaN},{\"b\":-Infinity},{\"c\":+inf}]", `{"a":"\ud800"}`,
		`{"a":"\ud83d\ude00"}`, `{"a":"\ud83d\u0041"}`, "[{\"a\":\"\xff\"},{}]", `{"a":1e400}`, `{"features":{"a":{"b":{"c":1}}}}`,
		`{"features":{"a":{},"b":[1,{"c":2}],"a":null}}`, `{"a":{"b":{"c":{"d":{"e":{"f":1}}}}}}`, `[[[[[[[1]]]]]]]`,
	}
	for _, o := range oddInputs() {
		seeds = append(seeds, o.message)
	}
	for _, members := range []string{
		`"model":"m"`, `"model":5`, `"model":null`, `"model":""`, `"version":"1"`, `"version":1.50`,
		`"version":true`, `"version":"abcdefghijklmnopqrstu"`,
		`"id":"e-1"`, `"id":17`, `"id":[1]`, `"status":"ok"`, `"status":200`, `"status":{}`, `"latency_ms":12.5`, `"latency_ms":-0`,
		`"latency_ms":-1`, `"latency_ms":"5"`, `"latency_ms":null`, `"ts":"2026-11-22T10:00:00.123Z"`, `"ts":"2026-11-22t10:00:00.9999+02:00"`,
		`"ts":1763805600123.9`, `"ts":-0.5`, `"ts":null`, `"ts":"2026-11-22 10:00:00Z"`, `"ts":"2026-11-22T10:00:00"`, `"ts":1e300`, `"ts":[]`,
		`"ts":"2016-12-31T23:59:60Z"`, `"prediction_ts":"2026-11-22T10:00:00z"`, `"prediction_ts":false`, `"prediction":0.5`, `"prediction":"up"`,
		`"prediction":true`, `"prediction":null`, `"prediction":[1]`, `"prediction":{"label":"a","score":0.5,"x":1}`,
		`"prediction":{"scores":{"a":0.1,"b":0.9}}`, `"prediction":{"scores":[1]}`,
		`"prediction":{"label":{"a":1},"scores":{"a":{"b":1}},"score":null}`,
		`"features":{"age":41,"country":"DE","income":null,"ok":true}`, `"features":[1]`, `"features":null`,
		`"features":{"abcdefghijklmnopqrst":{}}`,
		`"segment":{"region":"eu","tier":{"x":1.0}}`, `"segment":{"region":"a long value of a segment"}`, `"label":1`, `"label":null`,
		`"label":{"a":1}`, `"label":"x","id":"1"`, `"label":0,"prediction":1`, `"schema":1`, `"schema":"1"`, `"other":{"a":[1,2,{"b":"\u00e9"}]}`,
		`"Model":"M"`, `"\u006dodel":"escaped"`, `"features":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7}`, `"latency_ms":NaN`,
	} {
		seeds = append(seeds, "{"+members+"}", `{"model":"m","id":"1",`+members+`,"ts":0}`, "{"+members+","+members+"}")
	}
	return seeds
}

// TestDecodeEqualsOracle is FuzzDecode without a fuzzer: the seeds, joined, cut and damaged at random.
func TestDecodeEqualsOracle(t *testing.T) {
	const seed1, seed2 = 20261122, 22
	rng := rand.New(rand.NewPCG(seed1, seed2))
	seeds := seedMessages()
	for _, s := range seeds {
		checkMessage(t, []byte(s), event.DefaultLimits())
		checkMessage(t, []byte(s), tightLimits())
	}
	seeds = slices.DeleteFunc(seeds, func(s string) bool { return len(s) > 1000 }) // the oracle is slow on purpose
	joints := []string{"\n", "\n", "\r\n", " ", "", ",", "\n\n", "\n "}
	damage := []string{
		"", "\"", "{", "}", "[", "]", ",", ":", "\n", "\n{", "\\", "\\u", "NaN", "-", "0", ".", "e", "1",
		"\xff", "é", "\x00", " ", "null", "}\n{",
	}
	n := 15_000
	if testing.Short() {
		n = 3000
	}
	for range n {
		var b strings.Builder
		joint := joints[rng.IntN(len(joints))]
		array := rng.IntN(3) == 0
		if array {
			b.WriteByte('[')
			joint = ","
		}
		for k := range 1 + rng.IntN(4) {
			if k > 0 {
				b.WriteString(joint)
			}
			b.WriteString(seeds[rng.IntN(len(seeds))])
		}
		if array {
			b.WriteByte(']')
		}
		s := b.String()
		for range rng.IntN(4) {
			i := rng.IntN(len(s) + 1)
			j := min(len(s), i+rng.IntN(3))
			s = s[:i] + damage[rng.IntN(len(damage))] + s[j:]
		}
		if rng.IntN(5) == 0 {
			s = s[:rng.IntN(len(s)+1)]
		}
		checkMessage(t, []byte(s), event.DefaultLimits())
		checkMessage(t, []byte(s), tightLimits())
	}
}
