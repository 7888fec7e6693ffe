package event_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
)

// odd is a message and what each of its records becomes: a reason, or `features` as describeFields writes them.
type odd struct {
	name    string
	message string
	want    []string
}

// feature returns a record whose feature x is the literal.
func feature(literal string) string { return `{"model":"m","features":{"x":` + literal + `}}` }

// number says what feature(literal) becomes for a number; bits are those of the nearest float64.
func number(literal string, bits uint64) string {
	return fmt.Sprintf(`"x"=number %s %x`, literal, bits)
}

// oddInputs are the kinds of odd input that the survey of JSON libraries tried (duplicate keys to long fractions), and
// those that a user must not lose anything by. Bits of float64 are from IEEE 754's definition: 2^53 is 4340000000000000,
// 1 is 3ff0000000000000; those of 0.1 and of the 30 digits of 1/3 are Python's struct.pack('>d', …).
func oddInputs() []odd {
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	return []odd{
		{
			"duplicate feature: both are kept in order, the last wins", `{"features":{"x":1,"x":2}}`,
			[]string{number("1", 0x3ff0000000000000) + " " + number("2", 0x4000000000000000)},
		},
		{"duplicate object", `{"features":{"x":1},"features":{"y":true}}`, []string{`"y"=bool true`}},
		{"invalid UTF-8 in a value", feature("\"\xff\""), []string{"malformed"}},
		{"overlong UTF-8", feature("\"\xc0\xaf\""), []string{"malformed"}},
		{"UTF-8 of a surrogate", feature("\"\xed\xa0\x80\""), []string{"malformed"}},
		{"invalid UTF-8 in a key", "{\"\xfe\":1}", []string{"malformed"}},
		{"cut off UTF-8", feature("\"\xc3\""), []string{"malformed"}},
		{"NaN", feature("NaN"), []string{"bare_nan"}},
		{"Infinity", feature("Infinity"), []string{"bare_nan"}},
		{"-Infinity", feature("-Infinity"), []string{"bare_nan"}},
		{"1e400", feature("1e400"), []string{"malformed"}},
		{"-1e400 in a key that nobody reads", `{"other":[-1e400]}`, []string{"malformed"}},
		{"01", feature("01"), []string{"malformed"}},
		{"-01", feature("-01"), []string{"malformed"}},
		{"1.", feature("1."), []string{"malformed"}},
		{".5", feature(".5"), []string{"malformed"}},
		{"1_0", feature("1_0"), []string{"malformed"}},
		{"+1", feature("+1"), []string{"malformed"}},
		{"0x10", feature("0x10"), []string{"malformed"}},
		{"1e", feature("1e"), []string{"malformed"}},
		{"-", feature("-"), []string{"malformed"}},
		{"-0 keeps its sign", feature("-0"), []string{number("-0", 0x8000000000000000)}},
		{"number as a string stays a string", feature(`"12"`), []string{`"x"=string "12"`}},
		{"null is missing", feature("null"), []string{`"x"=null`}},
		{"boolean", feature("true"), []string{`"x"=bool true`}},
		{"raw control character", feature("\"a\x01b\""), []string{"malformed"}},
		{"raw tab", feature("\"a\tb\""), []string{"malformed"}},
		{"DEL is no control character of JSON", feature("\"\x7f\""), []string{`"x"=string "\x7f"`}},
		{"trailing garbage", feature("1") + "x", []string{"malformed"}},
		{"trailing garbage behind a space", feature("1") + " x", []string{"malformed"}},
		{"trailing comma in an object", `{"features":{"x":1,}}`, []string{"malformed"}},
		{"trailing comma in an array", feature("[1,]"), []string{"malformed"}},
		{"trailing comma behind the record", feature("null") + ",", []string{"malformed"}},
		{"depth 20,000 in a key that nobody reads", `{"other":` + deep(20_000) + `}`, []string{"limits"}},
		{"depth 63 below the record", `{"other":` + deep(63) + `,"features":{"x":null}}`, []string{`"x"=null`}},
		{"depth 64 below the record", `{"other":` + deep(64) + `}`, []string{"limits"}},
		{"key in another case is another key", `{"Features":{"x":1},"features":{"x":null}}`, []string{`"x"=null`}},
		{"2^53+1", feature("9007199254740993"), []string{number("9007199254740993", 0x4340000000000000)}},
		{"25 digits", feature("1" + strings.Repeat("0", 24)), []string{number("1"+strings.Repeat("0", 24), 0x44ea784379d99db4)}},
		{"30 digits of a fraction", feature("0." + strings.Repeat("3", 30)), []string{number("0."+strings.Repeat("3", 30), 0x3fd5555555555555)}},
		{"0.1", feature("0.1"), []string{number("0.1", 0x3fb999999999999a)}},
		{"lone high surrogate", feature(`"\ud800"`), []string{"malformed"}},
		{"lone low surrogate", feature(`"\udc00"`), []string{"malformed"}},
		{"two high surrogates", feature(`"\ud800\ud800"`), []string{"malformed"}},
		{"surrogate pair", feature(`"\ud83d\ude00"`), []string{`"x"=string "😀"`}},
		{"bad escape", feature(`"\x41"`), []string{"malformed"}},
		{"bad unicode escape", feature(`"\u00g0"`), []string{"malformed"}},
		{"every escape", feature(`"\"\\\/\b\f\n\r\t\u0041\u00e9"`), []string{`"x"=string "\"\\/\b\f\n\r\tAé"`}},
		{"single quotes", `{'model':'m'}`, []string{"malformed"}},
		{"bare key", `{model:1}`, []string{"malformed"}},
		{"comment", `{"features":{}} // x`, []string{"malformed"}},
		{"TRUE", feature("TRUE"), []string{"malformed"}},
		{"nul", feature("nul"), []string{"malformed"}},
		{"None", feature("None"), []string{"malformed"}},
		{"undefined", feature("undefined"), []string{"malformed"}},
		{"no JSON at all", "age=41 country=DE", []string{"malformed"}},
		{"a number", "17", []string{"malformed"}},
		{"a string", `"{}"`, []string{"malformed"}},
		{"an empty message", "", []string{"malformed"}},
		{"white space", " \r\n\t", nil},
		{"a byte order mark", "\ufeff" + feature("null"), []string{`"x"=null`}},
		{"a byte order mark in the middle", feature("null") + "\n\ufeff" + feature("null"), []string{`"x"=null`, "malformed"}},
		{"UTF-16", "{\x00}\x00", []string{"malformed"}},
		{"cut off", `{"model":"m","features":{"x":1`, []string{"malformed"}},
	}
}

func TestOddInputs(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	for _, o := range oddInputs() {
		t.Run(o.name, func(t *testing.T) {
			var got []string
			for d.Reset([]byte(o.message)); d.Next(); {
				if ev, err := d.Event(); err != nil {
					got = append(got, err.Reason.String())
				} else {
					got = append(got, strings.Join(describeFields(ev.Features), " "))
				}
			}
			if !cmp.Equal(o.want, got) {
				t.Errorf("(-want +got):\n%s", cmp.Diff(o.want, got))
			}
		})
	}
}
