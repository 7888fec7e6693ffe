package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time. Its text form is a sequence of decimal numbers, each with a unit: ns, us, ms, s, m, h, d
// (24 hours) or w (7 days), such as `90s`, `1h30m`, `1.5d` or `2w`. A number without a unit is refused.
type Duration time.Duration

// Units of a Duration that package time has not got. A day is 24 hours: driftd thinks in UTC.
const (
	Day  = Duration(24 * time.Hour)
	Week = 7 * Day
)

// ParseDuration reads the text form of a Duration. The error says what is wrong with the text, without repeating it.
func ParseDuration(text string) (Duration, error) {
	rest, sign := strings.CutPrefix(text, "-")
	if rest == "" {
		return 0, errDuration
	}
	total := Duration(0)
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if digits < 0 {
			return 0, fmt.Errorf("must be a duration with a unit (ms, s, m, h, d or w), such as %ss or %sh", rest, rest)
		}
		if digits == 0 {
			return 0, errDuration
		}
		end := digits + strings.IndexFunc(rest[digits:]+"0", func(r rune) bool { return r == '.' || (r >= '0' && r <= '9') })
		part, err := parsePart(rest[:digits], rest[digits:end])
		if err != nil {
			return 0, err
		}
		if total += part; total < 0 {
			return 0, errDurationRange
		}
		rest = rest[end:]
	}
	if sign {
		total = -total
	}
	return total, nil
}

var (
	errDuration      = errors.New("must be a duration such as 90s, 1h30m or 7d")
	errDurationRange = errors.New("must be a duration below 292 years")
)

// parsePart reads one number with its unit.
func parsePart(number, unit string) (Duration, error) {
	scale := Duration(1)
	switch unit {
	case "w":
		scale, unit = Week/Duration(time.Hour), "h"
	case "d":
		scale, unit = Day/Duration(time.Hour), "h"
	case "h", "m", "s", "ms", "us", "µs", "μs", "ns":
	default:
		return 0, fmt.Errorf("must be a duration with the units ns, us, ms, s, m, h, d and w; %q is none of them", shorten(strings.TrimSpace(unit)))
	}
	part, err := time.ParseDuration(number + unit)
	switch {
	case err == nil && Duration(part) <= math.MaxInt64/scale:
		return Duration(part) * scale, nil
	case strings.Count(number, ".") > 1 || number == ".":
		return 0, errDuration
	default:
		return 0, errDurationRange
	}
}

// String returns the canonical text form: days, hours, minutes and seconds without zero parts. ParseDuration reads it back.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	if d == math.MinInt64 { // its positive does not exist
		return time.Duration(d).String()
	}
	var b strings.Builder
	if d < 0 {
		b.WriteByte('-')
		d = -d
	}
	for _, u := range []struct {
		unit Duration
		name string
	}{{Day, "d"}, {Duration(time.Hour), "h"}, {Duration(time.Minute), "m"}} {
		if n := d / u.unit; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d %= u.unit
		}
	}
	if d > 0 {
		b.WriteString(strings.Replace(time.Duration(d).String(), "µ", "u", 1))
	}
	return b.String()
}

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Milliseconds returns d in milliseconds, the unit of event time, rounded towards zero.
func (d Duration) Milliseconds() int64 { return time.Duration(d).Milliseconds() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err == nil {
		*d = v
	}
	return err
}

// Bytes is a number of bytes. Its text form is a whole number with a unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB,
// GiB, TiB (powers of 1024), such as `8MiB`. A number without a unit means bytes.
type Bytes int64

// Units of Bytes.
const (
	KiB Bytes = 1 << 10
	MiB Bytes = 1 << 20
	GiB Bytes = 1 << 30
	TiB Bytes = 1 << 40
)

// byteUnits lists the units from the preferred one down: String takes the first that divides the number.
var byteUnits = [...]struct {
	name string
	size Bytes
}{
	{"TiB", TiB},
	{"GiB", GiB},
	{"MiB", MiB},
	{"KiB", KiB},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
}

// ParseBytes reads the text form of Bytes. The error says what is wrong with the text, without repeating it.
func ParseBytes(text string) (Bytes, error) {
	end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	number, unit := text, ""
	if end >= 0 {
		number, unit = text[:end], strings.TrimPrefix(text[end:], " ")
	}
	if number == "" || strings.HasPrefix(unit, ".") {
		return 0, errors.New("must be a size in whole units such as 8MiB, 512KiB or 1GB")
	}
	scale := Bytes(1)
	if unit != "" && unit != "B" {
		scale = 0
		for _, u := range byteUnits {
			if u.name == unit || (u.name == "kB" && unit == "KB") {
				scale = u.size
			}
		}
		if scale == 0 {
			return 0, fmt.Errorf("must be a size with one of the units B, kB, MB, GB, TB, KiB, MiB, GiB, TiB; %q is none of them", shorten(unit))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || Bytes(n) > math.MaxInt64/scale {
		return 0, errors.New("must be a size below 8388608TiB")
	}
	return Bytes(n) * scale, nil
}

// String returns the canonical text form: the largest binary unit that divides the number, else the largest decimal one.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	v, err := ParseBytes(string(text))
	if err == nil {
		*b = v
	}
	return err
}

// Time is a moment in Unix milliseconds. Its text form is RFC 3339 with a zone, in whole milliseconds.
type Time int64

// timeLayout writes milliseconds only where there are some.
const timeLayout = "2006-01-02T15:04:05.999Z07:00"

// ParseTime reads the text form of a Time. The error says what is wrong with the text, without repeating it.
func ParseTime(text string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil:
		return 0, errors.New("must be a time in RFC 3339 with a zone, such as 2026-11-22T10:00:00Z")
	case t.Nanosecond()%int(time.Millisecond) != 0:
		return 0, errors.New("must be a time in whole milliseconds")
	}
	return Time(t.UnixMilli()), nil
}

// String returns the canonical text form, in UTC. ParseTime reads it back.
func (t Time) String() string { return time.UnixMilli(int64(t)).UTC().Format(timeLayout) }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(text []byte) error {
	v, err := ParseTime(string(text))
	if err == nil {
		*t = v
	}
	return err
}

// shorten cuts a text for a message.
func shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
