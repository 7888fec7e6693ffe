package event_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
)

// frames returns the index, the fate and the bytes of every record of message.
func frames(message string) (out []string) {
	d := event.NewDecoder(event.DefaultLimits())
	for d.Reset([]byte(message)); d.Next(); {
		fate := "ok"
		if _, rej := d.Event(); rej != nil {
			fate = fmt.Sprintf("%s@%d", rej.Reason, rej.Offset)
		}
		out = append(out, fmt.Sprintf("%d %s %q", d.Index(), fate, d.Raw()))
	}
	return out
}

func TestFraming(t *testing.T) {
	for _, tt := range []struct {
		name, message string
		want          []string
	}{
		{"one object", `{}`, []string{`0 ok "{}"`}},
		{"NDJSON", "{}\n{}\r\n\n {}\n", []string{`0 ok "{}"`, `1 ok "{}"`, `2 ok "{}"`}},
		{"concatenated", "{}{} {}", []string{`0 ok "{}"`, `1 ok "{}"`, `2 ok "{}"`}},
		{"pretty-printed", "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{\n}\n", []string{`0 ok "{\n  \"a\": {\n    \"b\": 1\n  }\n}"`, `1 ok "{\n}"`}},
		{"array", "\n[ {} ,\n{} ]\n", []string{`0 ok "{}"`, `1 ok "{}"`}},
		{"empty array", "[ ]", nil},
		{"empty message", "", []string{`0 malformed@0 ""`}},
		{"a bad line has an index of its own", "{}\nbad\n{}\n", []string{`0 ok "{}"`, `1 malformed@3 "bad\n"`, `2 ok "{}"`}},
		{"two bad lines", "bad\nworse\n{}", []string{`0 malformed@0 "bad\n"`, `1 malformed@4 "worse\n"`, `2 ok "{}"`}},
		{"a log line of an array's look", "{}\n[info] started\n{}", []string{`0 ok "{}"`, `1 malformed@3 "[info] started\n"`, `2 ok "{}"`}},
		{"a line cut off in a string", "{\"a\":\"x\n{}", []string{`0 malformed@7 "{\"a\":\"x\n"`, `1 ok "{}"`}},
		{"a line cut off before its brace", "{\"a\":1\n{}", []string{`0 malformed@7 "{\"a\":1\n"`, `1 ok "{}"`}},
		{
			"a line cut off before a value takes the next one for it", "{\"a\":\n{\"b\":1}\n{}",
			[]string{`0 malformed@14 "{\"a\":\n"`, `1 ok "{\"b\":1}"`, `2 ok "{}"`},
		},
		{
			"a broken object of many lines is one record", "{\n  \"a\": bad,\n  \"b\": {\n  }\n}\n{}",
			[]string{`0 malformed@9 "{\n  \"a\": bad,\n  \"b\": {\n  }\n}\n"`, `1 ok "{}"`},
		},
		{"trailing garbage puts the line in doubt", "{} x\n{}", []string{`0 malformed@3 "{} x\n"`, `1 ok "{}"`}},
		{"lines with commas", "{},\n{}", []string{`0 malformed@2 "{},\n"`, `1 ok "{}"`}},
		{"the last line cut off", "{}\n{\"a\":1", []string{`0 ok "{}"`, `1 malformed@9 "{\"a\":1"`}},
		{"the array cut off", "[{},", []string{`0 ok "{}"`, `1 malformed@4 ""`}},
		{"the array cut off in an element", `[{},{"a":`, []string{`0 ok "{}"`, `1 malformed@9 "{\"a\":"`}},
		{"a syntax error ends the array", `[{},{"a":bad},{}]`, []string{`0 ok "{}"`, `1 malformed@9 "{\"a\":bad},{}]"`}},
		{"no comma", `[{} {}]`, []string{`0 ok "{}"`, `1 malformed@4 "{}]"`}},
		{"trailing comma", `[{},]`, []string{`0 ok "{}"`, `1 malformed@4 "]"`}},
		{"behind the array", "[{}]\n{}", []string{`0 ok "{}"`, `1 malformed@5 "{}"`}},
		{"elements that are no objects stand alone", `[1,{},[{}],null]`, []string{
			`0 malformed@1 "1"`, `1 ok "{}"`, `2 malformed@6 "[{}]"`, `3 malformed@11 "null"`,
		}},
		{"what leaves the end certain stands alone", "" +
			"[{\"a\":NaN},{\"b\":1e400},{\"c\":\"\xff\"},{\"d\":\"\\ud800\"},{\"ts\":0},{\"ts\":\"x\"}]", []string{
			`0 bare_nan@6 "{\"a\":NaN}"`, `1 malformed@16 "{\"b\":1e400}"`, `2 malformed@29 "{\"c\":\"\xff\"}"`,
			`3 malformed@39 "{\"d\":\"\\ud800\"}"`, `4 ok "{\"ts\":0}"`, `5 bad_time@63 "{\"ts\":\"x\"}"`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := frames(tt.message); !cmp.Equal(tt.want, got) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}

// TestEveryReason: each reason of RejectReasons is given by the decoder, ResolveModel or DecodeControl, with a text that
// says what to do. The three without a message are the pipeline's own, about records that are well formed.
func TestEveryReason(t *testing.T) {
	messages := map[event.RejectReason][]string{
		event.RejectMalformed: {"not JSON", "17", `{"a":1e999}`},
		event.RejectBareNaN:   {feature("NaN"), feature("-Infinity"), feature("inf"), feature("-nan"), `{"latency_ms":+Infinity}`},
		event.RejectOversize:  {`{"model":"m","x":"` + strings.Repeat("x", 10_000_000) + `"}`},
		event.RejectNoModel:   {`{"model":7}`, `{"model":["m"]}`, `{"id":"x"}`, `{"model":null}`, `{"model":""}`},
		event.RejectModelName: {`{"model":"a.b"}`},
		event.RejectBadTime:   {`{"ts":"yesterday"}`, `{"ts":true}`, `{"label":1,"id":"x","prediction_ts":[]}`},
		event.RejectLimits: {
			`{"x":` + strings.Repeat(`{"x":`, 64) + `1` + strings.Repeat("}", 65), feature(strings.Repeat("[", 64)),
			`{"features":{"` + strings.Repeat("n", 257) + `":1}}`,
			`{"features":{"` + strings.Repeat("n", 200) + `":{"` + strings.Repeat("n", 56) + `":1}}}`,
			`{"version":"` + strings.Repeat("v", 257) + `"}`, `{"segment":{"region":"` + strings.Repeat("v", 257) + `"}}`,
			`{"features":{` + strings.Repeat(`"x":1,`, 5000) + `"x":1}}`,
		},
		event.RejectNoLabelID:   {`{"label":1}`, `{"label":1,"id":null,"prediction":null}`, `{"label":null}`, `{"label":1,"prediction":{"score":null}}`},
		event.RejectUnsupported: {`{"schema":2}`},
		event.RejectModelMismatch: {
			`{"model":"other"}`,
		},
		event.RejectUnknownModel: nil, event.RejectControl: nil, event.RejectPanic: nil,
	}
	for _, reason := range event.RejectReasons() {
		texts, ok := messages[reason]
		if !ok {
			t.Errorf("%v has no test", reason)
		}
		for _, text := range texts {
			d := event.NewDecoder(event.DefaultLimits())
			d.Reset([]byte(text))
			if !d.Next() {
				t.Fatalf("%v: no record", reason)
			}
			ev, rej := d.Event()
			switch {
			case reason == event.RejectUnsupported:
				_, rej = event.DecodeControl([]byte(text))
			case reason == event.RejectModelMismatch:
				_, rej = event.ResolveModel("m", ev)
			case rej == nil:
				_, rej = event.ResolveModel("", ev)
			}
			if rej == nil || rej.Reason != reason || rej.Detail == "" || !strings.Contains(rej.Error(), reason.String()+" at byte ") {
				t.Errorf("%.80s: got %v, want %v", text, rej, reason)
			}
		}
	}
	if got := event.RejectReason(99).String(); got != "RejectReason(99)" {
		t.Errorf("an unknown reason is %s", got)
	}
}

// TestLimitsAreInclusive: what is exactly at a limit is good, and one more is not.
func TestLimitsAreInclusive(t *testing.T) {
	limits := event.Limits{MaxRecord: 200, MaxDepth: 3, MaxFields: 3, MaxName: 16}
	const good = `{"features":{"0123456789abcdef":1,"a.b":{"456789abcdef":2}},"prediction":1,"version":"0123456789abcdef","x":[[1]]}`
	pad := func(n int) string { return good[:len(good)-1] + strings.Repeat(" ", n-len(good)) + "}" }
	change := func(old, to string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("nothing to change: %s", old)
		}
		return strings.Replace(good, old, to, 1)
	}
	for _, tt := range []struct{ text, want string }{
		{good, ""},
		{pad(200), ""},
		{pad(201), "oversize"},
		{change(`f":1`, `fg":1`), "limits"},
		{change(`"4567`, `"34567`), "limits"},
		{change(`f","x"`, `fg","x"`), "limits"},
		{change(`"prediction":1`, `"prediction":1,"segment":{"s":1}`), "limits"},
		{change(`"prediction":1`, `"segment":{"s":1}`), ""},
		{change("[[1]]", "[[[1]]]"), "limits"},
		{change("[[1]]", `[{"a":{}}]`), "limits"},
		{change(`"456789abcdef":2`, `"4":{"6":2}`), "limits"},
	} {
		d := event.NewDecoder(limits)
		d.Reset([]byte(tt.text))
		d.Next()
		got := ""
		if _, rej := d.Event(); rej != nil {
			got = rej.Reason.String()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// TestBrokenLinesCostLinearTime: an object that is opened on every line and never closed is read at most MaxDepth+1 times
// for each line, whatever its length. 200,000 lines would be 2·10^10 steps if each were read to the end.
func TestBrokenLinesCostLinearTime(t *testing.T) {
	message := bytes.Repeat([]byte("{\"a\":\n"), 200_000)
	d := event.NewDecoder(event.DefaultLimits())
	n := 0
	for d.Reset(message); d.Next(); n++ {
		if _, rej := d.Event(); rej == nil || rej.Reason != event.RejectLimits && n < 200_000-64 {
			t.Fatalf("record %d: %v", n, rej)
		}
	}
	if n != 200_000 {
		t.Errorf("got %d records, want one for each line", n)
	}
}

// TestViewsOfARecordStayApart: names and strings that had to be unescaped do not overwrite each other when the scratch grows.
func TestViewsOfARecordStayApart(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"id":"\u0069d","features":{`)
	var want []string
	for i := range 2000 {
		fmt.Fprintf(&b, `"n\u0061me%d":"v\u0061lue%d","o":{"p%d":"\n%d"},`, i, i, i, i)
		want = append(want, fmt.Sprintf("%q=string %q", fmt.Sprintf("name%d", i), fmt.Sprintf("value%d", i)),
			fmt.Sprintf("%q=string %q", fmt.Sprintf("o.p%d", i), fmt.Sprintf("\n%d", i)))
	}
	b.WriteString(`"z":null}}`)
	want = append(want, `"z"=null`)
	d := event.NewDecoder(event.DefaultLimits())
	for range 2 {
		d.Reset([]byte(b.String()))
		if !d.Next() {
			t.Fatal("no record")
		}
		ev, rej := d.Event()
		if rej != nil || string(ev.ID) != "id" {
			t.Fatalf("id %q, %v", ev.ID, rej)
		}
		if got := describeFields(ev.Features); !cmp.Equal(want, got) {
			t.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
		}
	}
}

// TestEventWithoutNext: there is always exactly one answer.
func TestEventWithoutNext(t *testing.T) {
	d := event.NewDecoder(event.Limits{})
	if d.Next() {
		t.Error("a decoder without a message has a record")
	}
	if ev, rej := d.Event(); ev != nil || rej == nil {
		t.Errorf("got %v, %v", ev, rej)
	}
	d.Reset([]byte("{}"))
	if d.Index() != -1 {
		t.Errorf("index %d before the first Next", d.Index())
	}
	if ev, rej := d.Event(); ev != nil || rej == nil {
		t.Errorf("got %v, %v", ev, rej)
	}
}

// TestRejectNamesTheModel: a refusal is told with the model as far as the record named it.
func TestRejectNamesTheModel(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	for text, want := range map[string]string{
		`{"model":"m","ts":"x"}`: "m", `{"ts":"x","model":"m"}`: "m", `{"model":"m","x":bad}`: "m", `{"x":bad,"model":"m"}`: "",
		`{"model":7}`: "",
	} {
		d.Reset([]byte(text))
		d.Next()
		if _, rej := d.Event(); rej == nil || string(rej.Model) != want {
			t.Errorf("%s: got %+v, want model %q", text, rej, want)
		}
	}
}
