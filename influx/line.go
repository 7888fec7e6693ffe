package influx

import (
	"math"
	"strconv"
	"strings"

	"github.com/driftd/driftd/result"
)

// tag is one tag of a point. A point's tags are given in the order of their keys: that is the order in which the servers
// keep them, and it makes the bytes of a line a function of its content.
type tag struct{ key, value string }

// line is one point in line protocol, and which document it came from.
type line struct {
	text string
	time int64 // Unix milliseconds
	doc  int   // index in the Write's documents
}

// point builds one line. A number that does not exist is left out; a point without fields is no point.
type point struct {
	b      []byte
	fields int
}

func newPoint(measurement string, tags []tag) *point {
	p := &point{b: make([]byte, 0, 512), fields: 0}
	p.b = append(p.b, measurement...) // our own names need no escape
	for _, t := range tags {
		p.b = append(p.b, ',')
		p.b = append(p.b, t.key...)
		p.b = append(p.b, '=')
		p.b = appendTag(p.b, t.value)
	}
	return p
}

func (p *point) key(name string) {
	c := byte(',')
	if p.fields == 0 {
		c = ' '
	}
	p.b = append(append(append(p.b, c), name...), '=')
	p.fields++
}

func (p *point) float(name string, v *float64) {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) { // no document holds the last two
		return
	}
	p.key(name)
	p.b = strconv.AppendFloat(p.b, *v, 'g', -1, 64) // the shortest digits that give the same bits
}

func (p *point) int(name string, v int64) {
	p.key(name)
	p.b = append(strconv.AppendInt(p.b, v, 10), 'i')
}

func (p *point) bool(name string, v bool) {
	p.key(name)
	p.b = strconv.AppendBool(p.b, v)
}

func (p *point) string(name, v string) {
	p.key(name)
	p.b = append(p.b, '"')
	for i := range len(v) {
		if v[i] == '"' || v[i] == '\\' {
			p.b = append(p.b, '\\')
		}
		p.b = append(p.b, v[i])
	}
	p.b = append(p.b, '"')
}

func (p *point) end(ms int64) string {
	p.b = append(p.b, ' ')
	return string(strconv.AppendInt(p.b, ms, 10))
}

const upperHex = "0123456789ABCDEF"

// appendTag writes a tag's value: commas, blanks and equal signs with a backslash, as line protocol wants, and what it
// cannot carry (a backslash, whose meaning hangs on what follows, and control characters) as %5C, %0A and so on. A percent
// sign before two hexadecimal digits is %25, so that Name gives every name back. An empty value is None.
func appendTag(b []byte, v string) []byte {
	if v == "" {
		return append(b, None...)
	}
	for i := range len(v) {
		switch c := v[i]; {
		case c < 0x20, c == 0x7f, c == '\\', c == '%' && hexPair(v[i+1:]):
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		case c == ',', c == ' ', c == '=':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return b
}

// tagText is the value of a tag as the server keeps it: what queries compare with.
func tagText(v string) string {
	return strings.NewReplacer(`\,`, `,`, `\ `, ` `, `\=`, `=`).Replace(string(appendTag(nil, v)))
}

// Name gives the name back that a tag's value stands for.
func Name(tagValue string) string {
	if !strings.Contains(tagValue, "%") {
		return tagValue
	}
	b := make([]byte, 0, len(tagValue))
	for i := 0; i < len(tagValue); i++ {
		if tagValue[i] == '%' && hexPair(tagValue[i+1:]) {
			b = append(b, unhex(tagValue[i+1])<<4|unhex(tagValue[i+2]))
			i += 2
			continue
		}
		b = append(b, tagValue[i])
	}
	return string(b)
}

func hexPair(s string) bool {
	return len(s) >= 2 && strings.IndexByte(upperHex, s[0]) >= 0 && strings.IndexByte(upperHex, s[1]) >= 0
}

func unhex(c byte) byte { return byte(strings.IndexByte(upperHex, c)) }

// WindowTag is the value of the tag `window`: the size in the largest unit that divides it.
func WindowTag(ms int64) string {
	for _, u := range windowUnits {
		if ms%u.ms == 0 {
			return strconv.FormatInt(ms/u.ms, 10) + u.name
		}
	}
	return strconv.FormatInt(ms, 10) + "ms"
}

// windowSize reads the tag `window`; 0 for what driftd did not write.
func windowSize(v string) int64 {
	i := strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	if i <= 0 {
		return 0
	}
	n, err := strconv.ParseInt(v[:i], 10, 64)
	if err != nil {
		return 0
	}
	for _, u := range windowUnits {
		if u.name == v[i:] {
			return n * u.ms
		}
	}
	return 0
}

var windowUnits = [...]struct {
	name string
	ms   int64
}{{"d", 86_400_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}}

// ReferenceTag is the value of the tag `reference`: the first twelve digits of the fingerprint.
func ReferenceTag(ref *result.ReferenceID) string {
	if ref == nil || ref.Fingerprint == "" {
		return None
	}
	digits := strings.TrimPrefix(ref.Fingerprint, "sha256:")
	return digits[:min(12, len(digits))]
}
