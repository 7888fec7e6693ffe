package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/driftd/driftd/event"
)

// The oracle decodes a message slowly and obviously: syntax is what encoding/json says, values are its token stream, and
// the meaning is written down once more, over maps and strings. It differs from encoding/json on purpose in these points:
// NaN and Infinity are tokens with a reason of their own, invalid UTF-8 and lone surrogates refuse (encoding/json
// replaces them), numbers beyond float64 refuse, nesting ends at MaxDepth, and keys match exactly.
type oracle struct {
	limits event.Limits
	msg    []byte
	out    []string
}

// oracleDecode returns one line for each record of message, as describe writes it.
func oracleDecode(message []byte, limits event.Limits) []string {
	o := &oracle{limits: limits, msg: message}
	if len(message) == 0 {
		return []string{"malformed"}
	}
	i := 0
	if bytes.HasPrefix(message, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	i = o.space(i)
	if i < len(message) && message[i] == '[' {
		o.array(i + 1)
	} else {
		o.lines(i)
	}
	return o.out
}

func (o *oracle) space(i int) int {
	return len(o.msg) - len(bytes.TrimLeft(o.msg[i:], " \t\r\n"))
}

func (o *oracle) lines(i int) {
	for i < len(o.msg) {
		if o.msg[i] != '{' {
			o.out = append(o.out, "malformed")
			i = o.space(o.behindNewline(i))
			continue
		}
		end, bad, reason := o.syntax(i)
		if reason != "" {
			o.out = append(o.out, reason)
			next := o.behindNewline(i)
			if next <= bad {
				for next < len(o.msg) && o.msg[next] != '{' {
					next = o.behindNewline(next)
				}
			}
			i = o.space(next)
			continue
		}
		behind := end + len(o.msg[end:]) - len(bytes.TrimLeft(o.msg[end:], " \t\r"))
		if behind < len(o.msg) && o.msg[behind] != '\n' && o.msg[behind] != '{' {
			o.out = append(o.out, "malformed")
			i = o.space(o.behindNewline(behind))
			continue
		}
		o.out = append(o.out, o.record(o.msg[i:end]))
		i = o.space(end)
	}
}

func (o *oracle) behindNewline(i int) int {
	if n := bytes.IndexByte(o.msg[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(o.msg)
}

func (o *oracle) array(i int) {
	for first := true; ; first = false {
		i = o.space(i)
		switch {
		case i < len(o.msg) && o.msg[i] == ']':
			if o.space(i+1) < len(o.msg) {
				o.out = append(o.out, "malformed")
			}
			return
		case !first && i < len(o.msg) && o.msg[i] == ',':
			i = o.space(i + 1)
		case !first:
			o.out = append(o.out, "malformed")
			return
		}
		if i >= len(o.msg) {
			o.out = append(o.out, "malformed")
			return
		}
		end, _, reason := o.syntax(i)
		switch {
		case reason != "":
			o.out = append(o.out, reason)
			return
		case o.msg[i] != '{':
			o.out = append(o.out, "malformed")
		default:
			o.out = append(o.out, o.record(o.msg[i:end]))
		}
		i = end
	}
}

// bareToken is a token that could be a NaN or an infinity outside of a string, and what may follow it.
var bareToken = regexp.MustCompile(`^[+-]?(?i:nan|infinity|inf)(?:[ \t\r\n,\]}]|$)`)

// withoutBare returns b with a 0 in place of every bare NaN or infinity, at the same length, and whether there was one.
func withoutBare(b []byte) (clean []byte, bare bool) {
	clean = bytes.Clone(b)
	in := false
	for i := 0; i < len(b); i++ {
		switch {
		case in && b[i] == '\\':
			i++
		case b[i] == '"':
			in = !in
		case !in && (i == 0 || strings.IndexByte(" \t\r\n,:[", b[i-1]) >= 0) && bareToken.Match(b[i:min(i+16, len(b))]):
			n := copy(clean[i:], "0")
			for ; i+n < len(b) && strings.IndexByte(" \t\r\n,]}", b[i+n]) < 0; n++ {
				clean[i+n] = ' '
			}
			bare = true
		}
	}
	return clean, bare
}

// syntax returns where the value at i ends, or the first byte that no valid text can have there, and the reason.
func (o *oracle) syntax(i int) (end, bad int, reason string) {
	text, _ := withoutBare(o.msg[i:])
	deep := o.deep(text)
	var raw json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&raw); err == nil {
		n := int(dec.InputOffset())
		for n < len(text) && text[n] == ' ' && o.msg[i+n] != ' ' {
			n++ // the rest of a NaN that is an element of the array
		}
		switch {
		case deep < n:
			return 0, i + deep, "limits"
		case leadingZero.Match(text): // encoding/json takes 01 for 0 and the start of something else
			return 0, i + n, "malformed"
		}
		return i + n, 0, ""
	}
	// The longest prefix that only lacks its end; the byte behind it is the bad one.
	low, high := 0, len(text)
	for low < high {
		mid := (low + high + 1) / 2
		if viable(text[:mid]) {
			low = mid
		} else {
			high = mid - 1
		}
	}
	if deep < low {
		return 0, i + deep, "limits"
	}
	return 0, i + low, "malformed"
}

var leadingZero = regexp.MustCompile(`^-?0[0-9]`)

// viable reports whether a valid value could start with b.
func viable(b []byte) bool {
	var raw json.RawMessage
	err := json.NewDecoder(bytes.NewReader(b)).Decode(&raw)
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// deep returns the offset of the first bracket outside of a string that opens more than MaxDepth containers.
func (o *oracle) deep(b []byte) int {
	depth, in := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case in && c == '\\':
			i++
		case c == '"':
			in = !in
		case in:
		case c == '{' || c == '[':
			if depth++; depth > o.limits.MaxDepth {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return math.MaxInt
}

// node is a JSON value: an object's members keep their order and their repetitions.
type node struct {
	value   any // string, json.Number, bool, nil; arrays and objects: json.Delim
	members []member
}

type member struct {
	key string
	node
}

func parse(dec *json.Decoder) node {
	token, err := dec.Token()
	if err != nil {
		panic(fmt.Sprintf("BUG: a text that was valid gives %v", err))
	}
	n := node{value: token}
	if delim, ok := token.(json.Delim); ok {
		for dec.More() {
			var key string
			if delim == '{' {
				token, err := dec.Token()
				if err != nil {
					panic(fmt.Sprintf("BUG: a text that was valid gives %v", err))
				}
				key = token.(string)
			}
			n.members = append(n.members, member{key, parse(dec)})
		}
		if _, err := dec.Token(); err != nil {
			panic(fmt.Sprintf("BUG: a text that was valid gives %v", err))
		}
	}
	return n
}

func (n node) isObject() bool { return n.value == json.Delim('{') }

// overflows reports whether a number anywhere in n is beyond float64.
func (n node) overflows() bool {
	if number, ok := n.value.(json.Number); ok {
		if _, err := strconv.ParseFloat(string(number), 64); err != nil {
			return true
		}
	}
	for _, m := range n.members {
		if m.overflows() {
			return true
		}
	}
	return false
}

// scalar writes a value as describe does.
func (n node) scalar() string {
	switch v := n.value.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("string %q", v)
	case bool:
		return fmt.Sprintf("bool %t", v)
	case json.Number:
		x, _ := strconv.ParseFloat(string(v), 64)
		return fmt.Sprintf("number %s %x", v, math.Float64bits(x))
	}
	return "invalid"
}

// loneSurrogate reports whether a string of the JSON text b escapes half a character.
func loneSurrogate(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		if b[i+1] != 'u' {
			i++
			continue
		}
		unit := func(at int) rune {
			if at+6 > len(b) || b[at] != '\\' || b[at+1] != 'u' {
				return 0
			}
			n, _ := strconv.ParseUint(string(b[at+2:at+6]), 16, 16)
			return rune(n)
		}
		if utf16.IsSurrogate(unit(i)) {
			if utf16.DecodeRune(unit(i), unit(i+6)) == utf8.RuneError {
				return true
			}
			i += 6
		}
		i += 5
	}
	return false
}

// record decodes one object whose syntax is right.
func (o *oracle) record(raw []byte) string {
	clean, bare := withoutBare(raw)
	dec := json.NewDecoder(bytes.NewReader(clean))
	dec.UseNumber()
	root := parse(dec)

	var e described
	last := map[string]node{}
	fields, tooLong := 0, false
	flatten := func(n node, prefix string) (out []string) {
		var walk func(n node, prefix string)
		walk = func(n node, prefix string) {
			for _, m := range n.members {
				name := prefix + m.key
				if m.isObject() && len(name) < o.limits.MaxName {
					walk(m.node, name+".")
					continue
				}
				fields++
				tooLong = tooLong || m.isObject() || len(name) > o.limits.MaxName
				out = append(out, fmt.Sprintf("%q=%s", name, m.scalar()))
			}
		}
		if n.isObject() {
			walk(n, prefix)
		} else if n.value != nil {
			e.wrongType++
		}
		return out
	}
	text := func(n node) string {
		switch v := n.value.(type) {
		case string:
			return v
		case json.Number:
			return string(v)
		case nil:
		default:
			e.wrongType++
		}
		return ""
	}
	for _, m := range root.members {
		if _, ok := last[m.key]; ok && knownKeys[m.key] {
			e.duplicates++
		}
		last[m.key] = m.node
		switch m.key {
		case "version":
			e.version = text(m.node)
		case "id":
			e.id = text(m.node)
		case "status":
			e.status = text(m.node)
		case "features":
			e.features = flatten(m.node, "")
		case "segment":
			e.segments = flatten(m.node, "")
		case "prediction":
			e.prediction = nil
			if !m.isObject() {
				fields++
				if m.value != nil {
					e.prediction = []string{fmt.Sprintf("%q=%s", "prediction", m.scalar())}
				}
			}
			for _, part := range m.members {
				switch {
				case !m.isObject():
				case part.key == "label" || part.key == "score":
					fields++
					e.prediction = append(e.prediction, fmt.Sprintf("%q=%s", "prediction."+part.key, part.scalar()))
				case part.key == "scores":
					e.prediction = append(e.prediction, flatten(part.node, "prediction.score.")...)
				default:
					e.unknown++
				}
			}
		case "schema":
			if _, ok := m.value.(json.Number); !ok && m.value != nil {
				e.wrongType++
			}
		default:
			if !knownKeys[m.key] {
				e.unknown++
			}
		}
	}
	if n, ok := last["model"]; ok {
		e.model, _ = n.value.(string)
	}
	if n, ok := last["latency_ms"]; ok && n.value != nil {
		number, _ := n.value.(json.Number)
		x, err := strconv.ParseFloat(string(number), 64)
		e.latency = "invalid"
		if err == nil && x >= 0 {
			e.latency = fmt.Sprint(math.Abs(x))
		}
	}
	label, hasLabel := last["label"]
	e.isLabel = hasLabel && (label.value != nil || len(e.prediction) == 0 && len(e.features) == 0)
	if hasLabel {
		e.label = label.scalar()
	}
	var badTime, badPredictionTime bool
	e.time, badTime = oracleTime(last["ts"])
	e.predictionTime, badPredictionTime = oracleTime(last["prediction_ts"])

	longSegment := false
	if n := last["segment"]; n.isObject() {
		longSegment = longScalar(n, o.limits.MaxName)
	}
	_, modelIsString := last["model"].value.(string)
	switch {
	case !utf8.Valid(raw) || loneSurrogate(raw) || root.overflows():
		return "malformed"
	case bare:
		return "bare_nan"
	case len(raw) > o.limits.MaxRecord:
		return "oversize"
	case last["model"].value != nil && !modelIsString:
		return "no_model"
	case badTime || e.isLabel && badPredictionTime:
		return "bad_time"
	case tooLong || longSegment || fields > o.limits.MaxFields || len(e.version) > o.limits.MaxName:
		return "limits"
	case e.isLabel && e.id == "" && len(e.prediction) == 0:
		return "label_without_id"
	}
	return e.String()
}

// longScalar reports whether a string or number below n, outside of arrays, is longer than limit.
func longScalar(n node, limit int) bool {
	switch v := n.value.(type) {
	case string:
		return len(v) > limit
	case json.Number:
		return len(v) > limit
	}
	for _, m := range n.members {
		if n.isObject() && longScalar(m.node, limit) {
			return true
		}
	}
	return false
}

var knownKeys = map[string]bool{
	"model": true, "version": true, "id": true, "ts": true, "latency_ms": true, "status": true, "prediction": true,
	"features": true, "segment": true, "label": true, "prediction_ts": true, "schema": true,
}

var strictRFC3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// oracleTime reads a time with the time package, which takes more than RFC 3339, behind an expression that is the grammar.
func oracleTime(n node) (s string, bad bool) {
	var t time.Time
	switch v := n.value.(type) {
	case nil:
		return "none", false
	case string:
		v = strings.ToUpper(v)
		var err error
		if t, err = time.Parse(time.RFC3339Nano, v); err != nil || !strictRFC3339.MatchString(v) {
			return "none", true
		}
	case json.Number:
		x, err := strconv.ParseFloat(string(v), 64)
		if err != nil || math.Abs(x) > 1e15 {
			return "none", true
		}
		t = time.UnixMilli(int64(math.Floor(x)))
	default:
		return "none", true
	}
	t = t.UTC()
	if t.Year() < 1 || t.Year() > 9999 {
		return "none", true
	}
	return strconv.FormatInt(t.UnixMilli(), 10), false
}
