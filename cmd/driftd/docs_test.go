package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/internal/testenv"
)

// block is one fenced block of a page: the words behind the fence, and what is in it.
type block struct {
	lang, name string // ```csv training.csv
	body       string
}

func blocks(page string) []block {
	var all []block
	inside := false
	for line := range strings.Lines(page) {
		fence, is := strings.CutPrefix(line, "```")
		switch {
		case is && !inside:
			lang, name, _ := strings.Cut(strings.TrimSpace(fence), " ")
			all = append(all, block{lang, name, ""})
			inside = true
		case is:
			inside = false
		case inside:
			all[len(all)-1].body += line
		}
	}
	return all
}

// TestCommandLinePage runs docs/cli.md: a block with a file's name is that file; each `$` line of a console block is
// run by a shell, and must print what follows it. `…` stands for anything within a line; a line with it alone for any lines.
// Blocks of other kinds (sh) need what a test has not got, and are held to their flags by TestReadersFindTheCommands.
func TestCommandLinePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	startDaemon(t, dir)
	ran := 0
	for _, b := range blocks(string(page)) {
		switch {
		case b.name != "":
			if err := os.WriteFile(filepath.Join(dir, b.name), []byte(b.body), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.lang == "console":
			for _, step := range strings.Split("\n"+b.body, "\n$ ")[1:] {
				command, want, _ := strings.Cut(step, "\n")
				ran++
				got := shell(t, dir, command)
				if strings.Contains(command, "dead-letters") { // the daemon counts when it has read
					testenv.Eventually(t, 30*time.Second, "$ "+command+" printing what the page says", func() bool {
						got = shell(t, dir, command)
						return like(want, got)
					})
				}
				if !like(want, got) {
					t.Errorf("$ %s\nprinted\n%s\nbut the page says\n%s", command, got, want)
				}
			}
		}
	}
	if ran < 10 {
		t.Errorf("only %d commands of the page were run", ran)
	}
}

// startDaemon runs `driftd run` in dir until the test ends, and returns when it has recorded itself.
func startDaemon(t *testing.T, dir string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command("driftd", "run", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
		if err != nil || t.Failed() {
			t.Errorf("the daemon ended with %v; its output:\n%s", err, log.String())
		}
	})
	testenv.Eventually(t, 30*time.Second, "the daemon records where its broker is", func() bool {
		_, err := broker.ReadRuntime(filepath.Join(dir, "driftd-data"))
		return err == nil
	})
}

// shell runs one line as a reader would, and returns what a terminal shows.
func shell(t *testing.T, dir, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("$ %s: %v", line, err)
	}
	return string(out) // a page may show what fails: the output decides
}

// like reports whether text is what the pattern says.
func like(pattern, text string) bool {
	quoted := regexp.QuoteMeta(strings.TrimRight(pattern, "\n"))
	quoted = regexp.MustCompile(`(?m)^…$`).ReplaceAllString(quoted, `(?s:.*)`)
	quoted = strings.ReplaceAll(quoted, "…", `[^\n]*`)
	return regexp.MustCompile(`^` + quoted + `$`).MatchString(strings.TrimRight(text, "\n"))
}

func TestLike(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"a\nb\n", "a\nb\n", true},
		{"a … c", "a bbb c", true},
		{"a … c", "a b\n c", false},
		{"a\n…\nc", "a\nb\nb\nc\n", true},
		{"a", "ab", false},
		{"a.c", "abc", false},
	} {
		if got := like(test.pattern, test.text); got != test.want {
			t.Errorf("like(%q, %q) = %v, want %v", test.pattern, test.text, got, test.want)
		}
	}
}
