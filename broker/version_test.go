package broker

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckVersion(t *testing.T) {
	for _, tc := range []struct {
		in string
		ok bool
	}{
		{"2.12.1", true},
		{"2.12.0", false},
		{"2.11.9", false},
		{"2.9.10", false},
		{"1.99.99", false},
		{"3.0.0", true},
		{"2.15.2", true},
		{"v2.15.2", true},
		{"2.12.1-beta.1", false},
		{"2.12.2-RC.1", true},
		{"2.12.1+build7", true},
		{"", false},
		{"2.12", false},
		{"2.x.1", false},
		{"2.-1.1", false},
		{"2.99999999999.1", false},
	} {
		err := checkVersion(tc.in)
		if (err == nil) != tc.ok {
			t.Errorf("checkVersion(%q) = %v, want accepted: %v", tc.in, err, tc.ok)
		}
		var ve *VersionError
		if err != nil && (!errors.As(err, &ve) || !strings.Contains(err.Error(), "2.12.1 or later")) {
			t.Errorf("checkVersion(%q) = %v, want a *VersionError that names what is needed", tc.in, err)
		}
	}
	if err := checkLevel("2.12.1", 1); err == nil || !strings.Contains(err.Error(), "API level 1") {
		t.Errorf("checkLevel(1) = %v", err)
	}
	if err := checkLevel("2.12.1", 2); err != nil {
		t.Errorf("checkLevel(2) = %v", err)
	}
}

// The fixed versions are those of nats-server #8376, #8305 and #8265.
func TestAdvice(t *testing.T) {
	for v, want := range map[string]bool{
		"2.12.1": true, "2.12.15": false, "2.14.3": true, "2.14.4": false, "2.15.2": false, "nonsense": false,
	} {
		if got := Advice(v) != ""; got != want {
			t.Errorf("Advice(%q) says something: %v, want %v", v, got, want)
		}
	}
}
