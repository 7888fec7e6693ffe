// Package secret holds a text that must never be shown. Whatever prints, marshals or logs a String shows Redacted instead;
// only Reveal gives the text. It is a leaf package.
package secret

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Redacted is what a String shows of itself, whether it holds a text or not: even emptiness is not told.
const Redacted = "<redacted>"

// MaxFile is the largest secret file that ReadFile reads, in bytes. NATS credentials are below 4 KiB.
const MaxFile = 64 << 10

// String is a secret text. The zero String is empty. The text lies behind a pointer, so that a formatter that reaches it
// by reflection (through an unexported field, where no method can be called) prints an address and not the text.
type String struct{ text *string }

// New returns a String that holds text.
func New(text string) String { return String{text: &text} }

// ReadFile returns what the file at path holds, without the line end that editors add. It is meant to be called each time
// that the secret is used, so that a rotated file needs no restart. An error names the path and never the content: the
// file is missing or unreadable, larger than MaxFile, or empty.
func ReadFile(path string) (String, error) {
	file, err := os.Open(path)
	if err != nil {
		return String{}, fmt.Errorf("reading secret: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(file, MaxFile+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return String{}, fmt.Errorf("reading secret: %w", err)
	}
	if len(data) > MaxFile {
		return String{}, fmt.Errorf("reading secret: %s is larger than %d bytes", path, MaxFile)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 {
		return String{}, fmt.Errorf("reading secret: %s is empty", path)
	}
	return New(string(data)), nil
}

// FromEnv returns what the variable of the environment holds. An error names the variable: it is not set, or empty.
func FromEnv(name string) (String, error) {
	text := os.Getenv(name)
	if text == "" {
		return String{}, fmt.Errorf("reading secret: the environment has no %s, or it is empty", name)
	}
	return New(text), nil
}

// Reveal returns the text itself, for the one place that hands it to a server.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s String) IsZero() bool { return s.Reveal() == "" }

// Equal reports whether two secrets hold the same text, in a time that depends on their lengths only.
func (s String) Equal(o String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(o.Reveal())) == 1
}

// Format implements fmt.Formatter: every verb prints Redacted.
func (s String) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) } // a State of fmt never fails

// String implements fmt.Stringer.
func (s String) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (s String) GoString() string { return Redacted }

// MarshalText implements encoding.TextMarshaler: XML, map keys, and every encoder that knows nothing better.
func (s String) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler.
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalYAML implements the interface of the YAML encoders.
func (s String) MarshalYAML() (any, error) { return Redacted, nil }

// LogValue implements slog.LogValuer.
func (s String) LogValue() slog.Value { return slog.StringValue(Redacted) }
