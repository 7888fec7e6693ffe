package config

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Marshal returns c as YAML that Parse reads back to an equal Config: every setting, in the order of the types, names
// sorted, and with everything that was inherited written out. It holds the names of secret files and no secrets.
func (c *Config) Marshal() []byte {
	var b strings.Builder
	emit(&b, reflect.ValueOf(*c), 0)
	return []byte(b.String())
}

// emit writes a value after its key: a scalar on the same line, anything else on lines of its own.
func emit(b *strings.Builder, v reflect.Value, depth int) {
	indent := strings.Repeat("  ", depth)
	if depth > 0 && v.Kind() != reflect.Struct && (v.Kind() != reflect.Map && v.Kind() != reflect.Slice || v.Len() == 0) {
		b.WriteString(" " + scalarText(v) + "\n")
		return
	}
	if depth > 0 {
		b.WriteByte('\n')
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(v.Type()) {
			if name := yamlName(f); name != "" {
				b.WriteString(indent + name + ":")
				emit(b, v.FieldByIndex(f.Index), depth+1)
			}
		}
	case reflect.Map:
		for _, key := range sortedKeys(v) {
			b.WriteString(indent + quote(key) + ":")
			emit(b, v.MapIndex(reflect.ValueOf(key)), depth+1)
		}
	default: // a slice
		for i := range v.Len() {
			b.WriteString(indent + "-")
			emit(b, v.Index(i), depth+1)
		}
	}
}

func sortedKeys(v reflect.Value) []string {
	keys := make([]string, 0, v.Len())
	for _, key := range v.MapKeys() {
		keys = append(keys, key.String())
	}
	slices.Sort(keys)
	return keys
}

// scalarText returns the text of a value that fits a line.
func scalarText(v reflect.Value) string {
	if text, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok {
		data, err := text.MarshalText()
		if err != nil {
			panic("BUG: config: a unit that cannot be written: " + err.Error())
		}
		return string(data)
	}
	switch v.Kind() {
	case reflect.String:
		return quote(v.String())
	case reflect.Map:
		return "{}"
	case reflect.Slice:
		return "[]"
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return fmt.Sprint(v.Interface())
	}
}

// plainText matches what needs no quotes and cannot be taken for anything but text.
var (
	plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)
	wordText  = regexp.MustCompile(`(?i)^(true|false|null|yes|no|on|off|y|n|inf|nan)$`)
)

// quote returns a text as YAML: plain where that is safe, else in double quotes.
func quote(s string) string {
	if plainText.MatchString(s) && !wordText.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r) || r > 0xffff:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
