package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/driftd/driftd/demo"
)

// TestDemo runs the whole demo in this process, as fast as it can: every injected incident is found within three days. Those
// whose subject goes on clear within three days of their end; nobody clears a version that sends nothing more.
func TestDemo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	var stdout, stderr bytes.Buffer
	con := &console{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, environ: nil}
	err := runDemo(t.Context(), con, demoFlags{exit: true, dataDir: dir, listen: "127.0.0.1:0", speed: 0})
	text := stdout.String()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("the demo ended with %v; stderr:\n%s\nstdout:\n%s", err, stderr.String(), text)
	}
	if first, _, _ := strings.Cut(text, "\n"); !strings.HasPrefix(first, "page      http://127.0.0.1:") {
		t.Errorf("the first line is %q, want the page's address", first)
	}
	// Every flight of February to June is counted once (data/README.md: 100,000 less 16,942), and every day is judged; July has
	// the last reports. One of 20 flights has none, 4,153 of the rows 16,943 to 100,000; some reports come after the log's end.
	labels := 0
	var c conductor
	if err := c.load(); err != nil {
		t.Fatal(err)
	}
	for r := range c.replayed().Records() {
		if r.Label {
			labels++
		}
	}
	if most := 83058 - 4153; labels > most || labels < most-100 {
		t.Errorf("%d labels, want a few less than %d", labels, most)
	}
	if want := fmt.Sprintf("151 windows of a day judged, 83058 events and %d labels", labels); !strings.Contains(text, want) {
		t.Errorf("the summary does not say %q", want)
	}
	// The log ends with 1 July: the days up to 27 June, 147 of them, are over by three days.
	if want := "quality   of 147 days, 72 hours after each: labels of 95.0 % of the predictions"; !strings.Contains(text, want) {
		t.Errorf("the summary does not say %q:\n%s", want, text)
	}
	outcome := regexp.MustCompile(`found at the end of \S+, ([0-9.]+) days? after it began; cleared at the end of \S+, ([0-9.]+) days? after it ended`)
	found := outcome.FindAllStringSubmatch(text, -1)
	if len(found) != len(demo.Incidents()) {
		t.Fatalf("%d of %d incidents are found:\n%s", len(found), len(demo.Incidents()), text)
	}
	for _, f := range found {
		for _, days := range f[1:] {
			if n, err := strconv.ParseFloat(days, 64); days != "" && (err != nil || n > 3) {
				t.Errorf("%s: more than three days", f[0])
			}
		}
	}
	fired, resolved := strings.Count(text, "  FIRING  "), strings.Count(text, "  RESOLVED  ")
	if also := strings.Count(text, "no other alert"); also == 1 && fired != len(found) || resolved != fired {
		t.Errorf("%d alerts fired and %d were resolved:\n%s", fired, resolved, text)
	}
	if _, err := loadConfig(filepath.Join(dir, "driftd.yaml")); err != nil {
		t.Errorf("the configuration that is kept: %v", err)
	}
	if err := runDemo(t.Context(), con, demoFlags{exit: true, dataDir: dir, listen: "", speed: 0}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a second demo in the same directory: %v", err)
	}
}

// TestDemoInterrupted: Ctrl-C in the middle stops everything, and leaves nothing behind.
func TestDemoInterrupted(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &trigger{word: "February", do: interrupt} //nolint:exhaustruct // nothing was written
	con := &console{stdin: strings.NewReader(""), stdout: out, stderr: out, environ: nil}
	if err := runDemo(ctx, con, demoFlags{exit: false, dataDir: "", listen: "127.0.0.1:0", speed: demoSpeed}); err == nil || err.Error() != "interrupted" {
		t.Errorf("the demo ended with %v, want interrupted; it said:\n%s", err, out.text.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v, %v", left, err)
	}
}

// trigger calls do when a word is written.
type trigger struct {
	word string
	do   func()
	text bytes.Buffer
}

func (w *trigger) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	if strings.Contains(w.text.String(), w.word) {
		w.do()
	}
	return n, err
}
