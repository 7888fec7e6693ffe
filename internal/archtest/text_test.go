package archtest_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/driftd/driftd/internal/testenv"
)

// leftOver matches the marks of unfinished work. They are put together here so that this file does not match itself.
var leftOver = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|HA` + `CK|X{3})\b`)

// machinePath matches a path of the machine on which somebody works: a home directory, or the folder above this module.
func machinePath(root, home string) *regexp.Regexp {
	folders := []string{`/ho` + `me/[a-z]`, `/Us` + `ers/[A-Za-z]`}
	for _, folder := range []string{filepath.Dir(root), home} {
		// A folder right below the root of the file system may be an ordinary word of a text: only with a slash behind it.
		if len(folder) > 1 {
			folders = append(folders, regexp.QuoteMeta(filepath.ToSlash(folder)+"/"))
		}
	}
	return regexp.MustCompile(`(^|[^A-Za-z0-9_.}/-])(` + strings.Join(folders, "|") + `)`)
}

// checkText finds the matches of a pattern, one finding a line.
func checkText(name string, content []byte, pattern *regexp.Regexp, what string) []string {
	var findings []string
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if match := pattern.Find(line); match != nil {
			findings = append(findings, fmt.Sprintf("%s:%d: %s: %q", name, number, what, bytes.TrimSpace(match)))
		}
	}
	return findings
}

func TestTextsAreFinishedAndPortable(t *testing.T) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // a machine without a home directory has no path in it
	}
	paths := machinePath(testenv.Root(t), home)
	walk(t, func(name string) {
		content := read(t, name)
		if !utf8.Valid(content) || strings.HasSuffix(name, ".sum") {
			return
		}
		report(t, checkText(name, content, leftOver, "left-over mark"))
		report(t, checkText(name, content, paths, "path of one machine"))
	})
}

func TestTextRulesFire(t *testing.T) {
	paths := machinePath("/src/driftd", "/roo"+"t")
	for _, text := range []string{"cd /src/driftd", "in \"/roo" + "t/go\"", "/ho" + "me/ann/x"} {
		if len(checkText("a", []byte(text), paths, "path")) != 1 {
			t.Errorf("no finding in %q", text)
		}
	}
	for _, text := range []string{"shared/src/x", "https://example.org/src/", "the root"} {
		if got := checkText("a", []byte(text), paths, "path"); len(got) != 0 {
			t.Errorf("got findings %q in %q, want none", got, text)
		}
	}
	if got := checkText("a", []byte("fine\n// TO"+"DO later\n"), leftOver, "mark"); len(got) != 1 || !strings.HasPrefix(got[0], "a:2:") {
		t.Errorf("got findings %q, want one in line 2", got)
	}
}

// maxTitle is where a terminal of 80 columns breaks the line. The aim is 72 (CONTRIBUTING.md); a title between the two is
// not worth the rewriting of a history that others build on.
const maxTitle = 80

// title is the first line of a commit: `area[/sub][, area]: lower-case imperative`, without a full stop.
var title = regexp.MustCompile(`^[A-Za-z0-9._/-]+(, [A-Za-z0-9._/-]+)*: [^A-Z\s].*[^.\s]$`)

func checkTitle(line string) string {
	switch {
	case utf8.RuneCountInString(line) > maxTitle:
		return fmt.Sprintf("commit %q is longer than %d characters", line, maxTitle)
	case !title.MatchString(line):
		return fmt.Sprintf("commit %q: want `area: lower-case imperative` without a full stop", line)
	}
	return ""
}

// Only the last commits are held to the form: a new mistake can still be mended, an old one is history. Where there is
// no git history (an archive, a build container) there is nothing to hold.
func TestCommitTitles(t *testing.T) {
	log := exec.CommandContext(t.Context(), "git", "log", "-20", "--no-merges", "--format=%s")
	log.Dir = testenv.Root(t)
	out, err := log.Output()
	if err != nil {
		t.Logf("no git history to look at: %v", err)
		return
	}
	for line := range strings.Lines(string(out)) {
		if finding := checkTitle(strings.TrimSuffix(line, "\n")); finding != "" {
			t.Error(finding)
		}
	}
}

func TestTitleRuleFires(t *testing.T) {
	for _, good := range []string{"window: close at the marker", "event, cells: lay the contracts", ".ci: run the linter", "alerting/notify: retry"} {
		if finding := checkTitle(good); finding != "" {
			t.Error(finding)
		}
	}
	for _, bad := range []string{"fix things", "window: Close at the marker", "window: close.", "window:close", "w: " + strings.Repeat("x", maxTitle)} {
		if checkTitle(bad) == "" {
			t.Errorf("no finding for %q", bad)
		}
	}
}
