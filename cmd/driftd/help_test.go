package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// leaves returns every command that can be run.
func leaves(c command) []command {
	if len(c.sub) == 0 {
		return []command{c}
	}
	var all []command
	for _, s := range c.sub {
		all = append(all, leaves(s)...)
	}
	return all
}

// invocations returns the arguments of each call of driftd in a line of shell.
func invocations(line string) [][]string {
	var calls [][]string
	for _, part := range strings.FieldsFunc(line, func(r rune) bool { return r == '|' || r == '&' || r == ';' || r == '>' }) {
		words := strings.Fields(part)
		if len(words) > 0 && words[0] == "driftd" {
			calls = append(calls, words[1:])
		}
	}
	return calls
}

// parses reports why a command line is wrong before it does anything.
func parses(args []string) error {
	root := command{name: "driftd", sub: commands()}
	c, rest, err := root.find(args)
	if err != nil {
		return err
	}
	fs, _ := c.flags()
	_, err = parseFlags(fs, rest)
	return err
}

// TestHelpTeaches holds every command to the shape of the help: what it does, examples that its own flags accept, what its
// exit codes mean.
func TestHelpTeaches(t *testing.T) {
	root := command{name: "driftd", sub: commands()}
	for _, c := range leaves(root) {
		if c.short == "" || c.about == "" || len(c.examples) == 0 || len(c.exits) < 2 || c.setup == nil {
			t.Errorf("%s: help needs a line, a text, an example and exit codes", c.name)
		}
		for _, e := range c.examples {
			calls := invocations(e.line)
			if len(calls) == 0 {
				t.Errorf("%s: the example %q does not call driftd", c.name, e.line)
			}
			for _, args := range calls {
				if err := parses(args); err != nil {
					t.Errorf("%s: the example %q is wrong: %v", c.name, e.line, err)
				}
			}
		}
		var help bytes.Buffer
		c.writeHelp(&help)
		for line := range strings.Lines(help.String()) {
			if len([]rune(line)) > 141 {
				t.Errorf("%s: help has a line of %d characters: %q", c.name, len([]rune(line)), line)
			}
		}
	}
}

// TestReadersFindTheCommands holds the README and docs to the command line: every `driftd …` in a shell block parses, and
// docs/cli.md has a heading for each command.
func TestReadersFindTheCommands(t *testing.T) {
	root := testenv.Root(t)
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blocks(string(text)) {
			if b.lang != "sh" && b.lang != "console" {
				continue
			}
			for line := range strings.Lines(b.body) {
				line, _, _ = strings.Cut(strings.ReplaceAll(line, "bin/driftd", "driftd"), " #")
				if b.lang == "console" && !strings.HasPrefix(line, "$ ") {
					continue
				}
				for _, args := range invocations(strings.TrimPrefix(line, "$ ")) {
					calls++
					if err := parses(args); err != nil && !slices.Contains(args, "--help") {
						t.Errorf("%s: %q is wrong: %v", filepath.Base(page), strings.TrimSpace(line), err)
					}
				}
			}
		}
	}
	if calls == 0 {
		t.Error("no page has a call of driftd in a shell block: the test looks at the wrong place")
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range leaves(command{name: "driftd", sub: commands()}) {
		if !strings.Contains(string(text), "# "+c.name+"\n") {
			t.Errorf("docs/cli.md has no heading for %s", c.name)
		}
	}
}

func TestClosest(t *testing.T) {
	names := []string{"run", "check", "replay", "reference", "dead-letters", "version"}
	for word, want := range map[string]string{
		"reply": "replay", "chekc": "check", "Run": "run", "ref": "reference", "deadletters": "dead-letters", "versions": "version",
		"analyse": "", "x": "", strings.Repeat("run", 100): "run",
	} {
		if got := closest(word, names); got != want {
			t.Errorf("closest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

// Flags may stand anywhere; behind -- nothing is a flag.
func TestFlagsStandAnywhere(t *testing.T) {
	for _, test := range []struct{ args, words, json string }{
		{"a b --json", "a b", "true"},
		{"--json a b", "a b", "true"},
		{"a --json b", "a b", "true"},
		{"a -json=false b", "a b", "false"},
		{"a -- --json b", "a --json b", "false"},
		{"-", "-", "false"},
		{"", "", "false"},
	} {
		c := versionCommand()
		fs, _ := c.flags()
		words, err := parseFlags(fs, strings.Fields(test.args))
		if err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if got := strings.Join(words, " "); got != test.words || fs.Lookup("json").Value.String() != test.json {
			t.Errorf("%q: words %q, json %s; want %q, %s", test.args, got, fs.Lookup("json").Value, test.words, test.json)
		}
	}
}

func TestGetenv(t *testing.T) {
	con := console{stdin: nil, stdout: io.Discard, stderr: io.Discard, environ: []string{"TERM=xterm", "X=1", "TERM=dumb"}}
	if got := con.getenv("TERM"); got != "dumb" { // the last one wins, as in os/exec
		t.Errorf("TERM = %q, want dumb", got)
	}
	if got := con.getenv("NONE"); got != "" {
		t.Errorf("NONE = %q, want nothing", got)
	}
}
