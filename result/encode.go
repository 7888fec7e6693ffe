package result

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends f as encoding/json writes it, to the byte, several times faster: a model has thousands of features a window. A number that
// does not exist (NaN, an infinity) is an error of the program and panics.
func (f *Feature) AppendJSON(b []byte) []byte {
	b = appendString(append(b, `{"feature":`...), f.Feature)
	b = appendString(append(b, `,"role":`...), string(f.Role))
	b = appendString(append(b, `,"kind":`...), f.Kind)
	b = f.Reference.appendJSON(append(b, `,"reference":`...))
	b = f.Current.appendJSON(append(b, `,"current":`...))
	b = appendStats(append(b, `,"statistics":`...), f.Statistics)
	b = append(b, `,"bins":`...)
	if f.Bins == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '[')
		for i := range f.Bins {
			b = appendString(append(appendComma(b, i), `{"label":`...), f.Bins[i].Label)
			b = strconv.AppendUint(append(b, `,"reference":`...), f.Bins[i].Reference, 10)
			b = append(strconv.AppendUint(append(b, `,"current":`...), f.Bins[i].Current, 10), '}')
		}
		b = append(b, ']')
	}
	b = appendNumber(append(b, `,"q_value":`...), f.QValue)
	b = strconv.AppendUint(append(b, `,"n_min":`...), f.NMin, 10)
	b = appendFloat(append(b, `,"weight":`...), f.Weight)
	b = f.Thresholds.appendJSON(append(b, `,"thresholds":`...))
	b = appendString(append(b, `,"verdict":`...), string(f.Verdict))
	b = append(b, `,"reasons":`...)
	if f.Reasons == nil {
		return append(b, "null}"...)
	}
	b = append(b, '[')
	for i, s := range f.Reasons {
		b = appendString(appendComma(b, i), s)
	}
	return append(b, "]}"...)
}

func (s *Side) appendJSON(b []byte) []byte {
	b = strconv.AppendUint(append(b, `{"count":`...), s.Count, 10)
	b = strconv.AppendUint(append(b, `,"missing":`...), s.Missing, 10)
	b = strconv.AppendUint(append(b, `,"invalid":`...), s.Invalid, 10)
	b = strconv.AppendUint(append(b, `,"inf":`...), s.Inf, 10)
	b = appendNumber(append(b, `,"mean":`...), s.Mean)
	b = appendNumber(append(b, `,"std":`...), s.Std)
	b = appendNumber(append(b, `,"min":`...), s.Min)
	b = appendNumber(append(b, `,"max":`...), s.Max)
	return append(appendNumber(append(b, `,"median":`...), s.Median), '}')
}

func (t *Thresholds) appendJSON(b []byte) []byte {
	b = appendString(append(b, `{"statistic":`...), t.Statistic)
	b = appendFloat(append(b, `,"warning":`...), t.Warning)
	b = appendFloat(append(b, `,"drift":`...), t.Drift)
	if t.Auto != "" {
		b = appendString(append(b, `,"auto":`...), t.Auto)
	}
	b = appendFloat(append(b, `,"q":`...), t.Q)
	if t.EffectOnly {
		b = append(b, `,"effect_only":true`...)
	}
	b = appendFloat(append(b, `,"rate_warning":`...), t.RateWarning)
	return append(appendFloat(append(b, `,"rate_drift":`...), t.RateDrift), '}')
}

// appendStats appends statistics in the order of their names.
func appendStats(b []byte, stats map[string]Stat) []byte {
	if stats == nil {
		return append(b, "null"...)
	}
	var room [32]string
	names := room[:0]
	for name := range stats {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for i, name := range names {
		s := stats[name]
		b = appendNumber(append(appendString(appendComma(b, i), name), `:{"value":`...), s.Value)
		b = appendNumber(append(b, `,"p_value":`...), s.PValue)
		if s.Lower != nil {
			b = appendFloat(append(b, `,"lower":`...), *s.Lower)
		}
		if s.Upper != nil {
			b = appendFloat(append(b, `,"upper":`...), *s.Upper)
		}
		if s.Baseline != nil {
			b = appendFloat(append(b, `,"baseline":`...), *s.Baseline)
		}
		if s.Reason != "" {
			b = appendString(append(b, `,"reason":`...), s.Reason)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

func appendComma(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ',')
	}
	return b
}

func appendNumber(b []byte, x *float64) []byte {
	if x == nil {
		return append(b, "null"...)
	}
	return appendFloat(b, *x)
}

// appendFloat appends x as encoding/json does: the shortest form, as ECMAScript chooses between with and without an exponent.
func appendFloat(b []byte, x float64) []byte {
	switch a := math.Abs(x); {
	case x == 0 && !math.Signbit(x):
		return append(b, '0')
	case a != 0 && (a < 1e-6 || a >= 1e21):
		if x-x != 0 {
			panic(fmt.Sprintf("BUG: %v in a result", x))
		}
		b = strconv.AppendFloat(b, x, 'e', -1, 64)
		if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 is e-9
			b[n-2] = b[n-1]
			b = b[:n-1]
		}
		return b
	case a != a:
		panic("BUG: NaN in a result")
	}
	return strconv.AppendFloat(b, x, 'f', -1, 64)
}

// appendString appends s as encoding/json does, with <, > and & escaped. What needs any other escape is left to it.
func appendString(b []byte, s string) []byte {
	begin := len(b)
	b = append(b, '"')
	done := 0 // bytes of s that are appended
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '<' || c == '>' || c == '&':
			const hex = "0123456789abcdef"
			b = append(append(append(b, s[done:i]...), `\u00`...), hex[c>>4], hex[c&15])
			i++
			done = i
		case c < ' ' || c == '"' || c == '\\' || c == 0x7f:
			return appendEscaped(b[:begin], s)
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
				return appendEscaped(b[:begin], s)
			}
			i += n
		}
	}
	return append(append(b, s[done:]...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	data, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string that cannot be encoded: " + err.Error())
	}
	return append(b, data...)
}
