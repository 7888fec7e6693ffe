package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A terminal sees one line that fits in it and is gone at the end; a pipe sees nothing, and neither does a terminal in a short run.
func TestProgressBar(t *testing.T) {
	const wipe = "\r\x1b[K"
	for _, tt := range []struct {
		name  string
		width int
		every time.Duration
		want  string // of the last line; empty: nothing is shown
	}{
		{"a pipe", 0, time.Second, ""},
		{"a short run", 120, 10 * time.Millisecond, ""},
		{"wide", 120, time.Second, "reading the reference ██████████░░░░░░░░░░  50 %  reading the current file █████░░░░░░░░░░░░░░░  25 %"},
		{"80 columns", 80, time.Second, "reading the reference ████░░░░  50 %  reading the current file ██░░░░░░  25 %"},
		{"too narrow for bars", 64, time.Second, "reading the reference  50 %  reading the current file  25 %"},
		{"narrow", 20, time.Second, "reading the referen"},
		{"one column", 1, time.Second, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			clock := time.Unix(0, 0)
			b := newProgressBar(&out, tt.width, func() time.Time { return clock })
			for _, what := range []string{"reading the reference", "reading the current file"} {
				for _, share := range []float64{0.1, 0.25} {
					clock = clock.Add(tt.every)
					b.update(what, share)
				}
			}
			clock = clock.Add(tt.every)
			b.update("reading the reference", 0.5)
			b.clear()
			b.update("comparing", 1) // one that comes late
			lines := strings.Split(out.String(), wipe)
			for _, line := range lines {
				if utf8.RuneCountInString(line) >= max(tt.width, 1) {
					t.Errorf("%q does not fit in %d columns", line, tt.width)
				}
			}
			if tt.want == "" && strings.Trim(out.String(), wipe) == "" {
				return
			}
			if n := len(lines); n < 3 || lines[n-1] != "" || lines[n-2] != tt.want {
				t.Errorf("%q, want the line %q, and it cleared", lines, tt.want)
			}
		})
	}
}

// What is not a file is no terminal.
func TestTerminalWidth(t *testing.T) {
	if w := terminalWidth(new(bytes.Buffer)); w != 0 {
		t.Errorf("a buffer is a terminal of %d columns", w)
	}
}
