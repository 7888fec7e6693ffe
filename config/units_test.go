package config_test

import (
	"math"
	"testing"
	"time"

	"github.com/driftd/driftd/config"
)

func TestDuration(t *testing.T) {
	const h = config.Duration(time.Hour)
	for _, tt := range []struct {
		text, canonical string
		want            config.Duration
	}{
		{"0s", "0s", 0},
		{"1h30m", "1h30m", h + h/2},
		{"7d", "7d", 7 * 24 * h},
		{"1w", "7d", 7 * 24 * h},
		{"1w2d3h", "9d3h", 9*24*h + 3*h},
		{"1.5d", "1d12h", 36 * h},
		{"90s", "1m30s", h / 40},
		{"1500ms", "1.5s", config.Duration(1500 * time.Millisecond)},
		{"10us", "10us", config.Duration(10 * time.Microsecond)},
		{"10µs", "10us", config.Duration(10 * time.Microsecond)},
		{"1ns", "1ns", 1},
		{"-1d1h", "-1d1h", -25 * h},
		{"9223372036854775807ns", "106751d23h47m16.854775807s", math.MaxInt64},
	} {
		got, err := config.ParseDuration(tt.text)
		if err != nil || got != tt.want || got.String() != tt.canonical {
			t.Errorf("ParseDuration(%q) = %v (%d), %v; want %s (%d)", tt.text, got, got, err, tt.canonical, tt.want)
		}
		if back, err := config.ParseDuration(got.String()); err != nil || back != got {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v back", got, back, err, got)
		}
	}
	for _, text := range []string{
		"", "-", "5", "0", "1h5", "d", "1x", "1 h", "1h 5m", "h1", ".h", "1..5h", "1e3s", "٣h", "106752d", "200000w", "106751d24h", "--1h",
		"99999999999999999999h",
	} {
		if got, err := config.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestBytes(t *testing.T) {
	for _, tt := range []struct {
		text, canonical string
		want            config.Bytes
	}{
		{"0", "0", 0},
		{"0GiB", "0", 0},
		{"8MiB", "8MiB", 8 << 20},
		{"1GB", "1GB", 1e9},
		{"1024MiB", "1GiB", 1 << 30},
		{"1048576", "1MiB", 1 << 20},
		{"12 KB", "12kB", 12000},
		{"17B", "17", 17},
		{"9223372036854775807", "9223372036854775807", math.MaxInt64},
	} {
		got, err := config.ParseBytes(tt.text)
		if err != nil || got != tt.want || got.String() != tt.canonical {
			t.Errorf("ParseBytes(%q) = %v (%d), %v; want %s (%d)", tt.text, got, got, err, tt.canonical, tt.want)
		}
		if back, err := config.ParseBytes(got.String()); err != nil || back != got {
			t.Errorf("ParseBytes(%q) = %v, %v; want %v back", got, back, err, got)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1.5MiB", "1 mib", "1M", "8 megabytes", "9223372036854775808", "8388608TiB", "1__0"} {
		if got, err := config.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %v, want an error", text, got)
		}
	}
}

func TestTime(t *testing.T) {
	for text, want := range map[string]struct {
		ms    config.Time
		canon string
	}{ // GNU date -d … +%s%3N
		"2026-11-22T10:00:00Z":           {1795341600000, "2026-11-22T10:00:00Z"},
		"2026-11-22T11:00:00.250+01:00":  {1795341600250, "2026-11-22T10:00:00.25Z"},
		"9999-12-31T23:59:59.999Z":       {253402300799999, "9999-12-31T23:59:59.999Z"},
		"1960-01-01T00:00:00Z":           {-315619200000, "1960-01-01T00:00:00Z"},
		"2026-11-22T10:00:00.000000000Z": {1795341600000, "2026-11-22T10:00:00Z"},
	} {
		got, err := config.ParseTime(text)
		if err != nil || got != want.ms || got.String() != want.canon {
			t.Errorf("ParseTime(%q) = %d (%s), %v; want %d (%s)", text, got, got, err, want.ms, want.canon)
		}
	}
	for _, text := range []string{"", "2026-11-22", "2026-11-22T10:00:00", "2026-11-22 10:00:00Z", "1795341600000", "2026-11-22T10:00:00.0001Z"} {
		if got, err := config.ParseTime(text); err == nil {
			t.Errorf("ParseTime(%q) = %s, want an error", text, got)
		}
	}
}
