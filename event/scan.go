package event

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The lexical half of the decoder: RFC 8259 and nothing beyond it. Every function takes the offset of its first byte and
// returns the offset behind its last one, or -1 after d.fail. None recurses into itself: nesting is held in d.open.

// skipSpace returns the offset of the first byte at or after i that is no JSON white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// found names the byte at i for a message.
func found(b []byte, i int) string {
	if i >= len(b) {
		return ", found the end of the message"
	}
	r, _ := utf8.DecodeRune(b[i:])
	return ", found " + strconv.QuoteRuneToASCII(r)
}

// wordAt reports whether word stands at byte i of b.
func wordAt(b []byte, i int, word string) bool {
	return len(b)-i >= len(word) && string(b[i:i+len(word)]) == word
}

// unexpected fails at byte i, where want should stand.
func (d *Decoder) unexpected(i int, want string) int {
	return d.fail(i, RejectMalformed, "expected "+want+found(d.msg, i))
}

// value reads the value at i into v. An array or object is checked and passed over, and v is ValueInvalid then; depth is
// the number of containers around it.
func (d *Decoder) value(i int, v *Value, depth int) int {
	next := d.scan(i, v, depth)
	if d.templates.learning {
		d.templates.note(i, next, v.Kind)
	}
	return next
}

func (d *Decoder) scan(i int, v *Value, depth int) int {
	b := d.msg
	if i >= len(b) {
		return d.unexpected(i, "a value")
	}
	switch b[i] {
	case '"':
		s, next := d.str(i)
		*v = Value{Kind: ValueString, Str: s}
		return next
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return d.number(i, v)
	case 't':
		if wordAt(b, i, "true") {
			*v = Value{Kind: ValueBool, Num: 1, Str: b[i : i+4 : i+4]}
			return i + 4
		}
	case 'f':
		if wordAt(b, i, "false") {
			*v = Value{Kind: ValueBool, Str: b[i : i+5 : i+5]}
			return i + 5
		}
	case 'n':
		if wordAt(b, i, "null") {
			*v = Value{Kind: ValueNull}
			return i + 4
		}
	case '{', '[':
		*v = Value{Kind: ValueInvalid}
		return d.skip(i, depth)
	}
	return d.bare(i, v)
}

// bare reads a token that is no JSON: NaN and Infinity get a reason of their own, for they are what Python's json module
// and others write for numbers that JSON has not got. The record's end stays certain behind them.
func (d *Decoder) bare(i int, v *Value) int {
	_, n := nonFinite(d.msg[i:])
	if n == 0 || i+n < len(d.msg) && !strings.ContainsRune(" \t\r\n,]}", rune(d.msg[i+n])) {
		return d.unexpected(i, "a value")
	}
	d.soft(i, RejectBareNaN, string(d.msg[i:i+n])+" is not JSON: send null for a missing value, or quote it")
	*v = Value{Kind: ValueInvalid}
	return i + n
}

// skip checks and passes over the array or object at i, which has depth containers around it.
func (d *Decoder) skip(i, depth int) int {
	b := d.msg
	d.open = d.open[:0]
	var v Value
	for {
		// A value starts at i.
		if i < len(b) && (b[i] == '{' || b[i] == '[') {
			bracket := b[i]
			if depth+len(d.open) >= d.limits.MaxDepth {
				return d.tooDeep(i)
			}
			if i = skipSpace(b, i+1); i >= len(b) || b[i] != bracket+2 {
				d.open = append(d.open, bracket)
				if bracket == '{' {
					if _, i = d.key(i); i < 0 {
						return i
					}
				}
				continue
			}
			i++
		} else if i = d.value(i, &v, 0); i < 0 {
			return i
		}
		// A value ended before i: close what closes here, up to the next comma.
		for {
			if len(d.open) == 0 {
				return i
			}
			bracket := d.open[len(d.open)-1]
			i = skipSpace(b, i)
			if i < len(b) && b[i] == ',' {
				i = skipSpace(b, i+1)
				if bracket == '{' {
					if _, i = d.key(i); i < 0 {
						return i
					}
				}
				break
			}
			if i >= len(b) || b[i] != bracket+2 { // '[' and ']', like '{' and '}', are two apart
				return d.unexpected(i, "',' or '"+string(rune(bracket+2))+"'")
			}
			d.open = d.open[:len(d.open)-1]
			i++
		}
	}
}

// tooDeep fails for the container at i.
func (d *Decoder) tooDeep(i int) int {
	return d.fail(i, RejectLimits, "nested more than "+strconv.Itoa(d.limits.MaxDepth)+" deep")
}

// key reads the key at i and its colon, and returns the offset of the value.
func (d *Decoder) key(i int) (name []byte, next int) {
	b := d.msg
	if i >= len(b) || b[i] != '"' {
		return nil, d.unexpected(i, "a key in double quotes")
	}
	name, i = d.str(i)
	if i < 0 {
		return nil, i
	}
	if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
		return nil, d.unexpected(i, "':' after a key")
	}
	return name, skipSpace(b, i+1)
}

// str reads the string at i. The result is a view into the message, or into the scratch if it has escapes.
func (d *Decoder) str(i int) (s []byte, next int) {
	b := d.msg
	j := i + 1
	for ; j+8 <= len(b); j += 8 {
		if m := special(binary.LittleEndian.Uint64(b[j:])); m != 0 {
			j += bits.TrailingZeros64(m) >> 3
			if b[j] == '"' {
				return b[i+1 : j : j], j + 1
			}
			break
		}
	}
	return d.strSlow(i, j)
}

// special marks the bytes of w that end or break a plain run of a string: the high bit of each byte that is '"', '\\', a
// control character or not ASCII. Only the lowest mark is exact; the borrow of a hit may mark bytes above it.
func special(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote, slash := w^(ones*'"'), w^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w | w) & highs
}

// strSlow goes on with the string at i from its byte j.
func (d *Decoder) strSlow(i, j int) (s []byte, next int) {
	b := d.msg
	from, run, escaped := len(d.scratch), i+1, false
	for j < len(b) {
		switch c := b[j]; {
		case c == '"':
			if !escaped {
				return b[i+1 : j : j], j + 1
			}
			d.scratch = append(d.scratch, b[run:j]...)
			return d.scratch[from:len(d.scratch):len(d.scratch)], j + 1
		case c == '\\':
			escaped = true
			d.scratch = append(d.scratch, b[run:j]...)
			if j = d.escape(j); j < 0 {
				return nil, j
			}
			run = j
		case c < 0x20:
			return nil, d.fail(j, RejectMalformed, "a control character in a string must be escaped"+found(b, j))
		case c < utf8.RuneSelf:
			j++
		default:
			r, n := utf8.DecodeRune(b[j:])
			if r == utf8.RuneError && n == 1 {
				d.soft(j, RejectMalformed, "invalid UTF-8 in a string: encode the message as UTF-8")
			}
			j += n
		}
	}
	return nil, d.fail(j, RejectMalformed, "a string is not closed: the message may have been cut off")
}

// escape appends the character of the escape at j to the scratch.
func (d *Decoder) escape(j int) int {
	b := d.msg
	if j+1 >= len(b) {
		return d.fail(len(b), RejectMalformed, "a string is not closed: the message may have been cut off")
	}
	c := b[j+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return d.unicodeEscape(j)
	default:
		return d.fail(j+1, RejectMalformed, "unknown escape in a string"+found(b, j+1))
	}
	d.scratch = append(d.scratch, c)
	return j + 2
}

// unicodeEscape appends the character of the \u escape at j, which may be a surrogate pair.
func (d *Decoder) unicodeEscape(j int) int {
	r, bad := hex4(d.msg, j+2)
	if bad >= 0 {
		return d.unexpected(bad, "four hexadecimal digits after \\u")
	}
	next := j + 6
	if utf16.IsSurrogate(r) {
		pair := rune(utf8.RuneError)
		if next+1 < len(d.msg) && d.msg[next] == '\\' && d.msg[next+1] == 'u' {
			if low, bad := hex4(d.msg, next+2); bad < 0 {
				pair = utf16.DecodeRune(r, low)
			}
		}
		if pair == utf8.RuneError {
			d.soft(j, RejectMalformed, "a lone surrogate in a string is no character")
		} else {
			next += 6
		}
		r = pair
	}
	d.scratch = utf8.AppendRune(d.scratch, r)
	return next
}

// hex4 reads four hexadecimal digits at i; bad is the offset of the first byte that is none, or -1.
func hex4(b []byte, i int) (r rune, bad int) {
	for k := i; k < i+4; k++ {
		if k >= len(b) {
			return 0, len(b)
		}
		c := b[k]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, k
		}
		r = r<<4 | rune(c)
	}
	return r, -1
}
