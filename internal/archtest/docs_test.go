package archtest_test

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	makeCommand  = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+(?:-[a-z]+)*)\\b")
)

// checkLinks finds the relative links of a Markdown file that lead nowhere; exists says whether a path of the module does.
func checkLinks(name string, content []byte, exists func(string) bool) []string {
	var findings []string
	for _, match := range markdownLink.FindAllSubmatch(content, -1) {
		target, _, _ := strings.Cut(string(match[1]), "#")
		if target == "" || strings.Contains(target, "://") {
			continue
		}
		if !exists(path.Join(path.Dir(name), target)) {
			findings = append(findings, fmt.Sprintf("%s: the link to %s leads nowhere", name, target))
		}
	}
	return findings
}

// checkTargets finds the make commands of a Markdown file that the Makefile does not know.
func checkTargets(name string, content []byte, makefile string) []string {
	var findings []string
	for _, match := range makeCommand.FindAllSubmatch(content, -1) {
		if target := string(match[1]); !strings.Contains(makefile, "\n"+target+":") {
			findings = append(findings, fmt.Sprintf("%s: there is no `make %s`", name, target))
		}
	}
	return findings
}

func TestDocumentsPointSomewhere(t *testing.T) {
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(testenv.Root(t), filepath.FromSlash(name)))
		return err == nil
	}
	makefile := string(read(t, "Makefile"))
	index := string(read(t, "docs/adr/README.md"))
	walk(t, func(name string) {
		if path.Ext(name) != ".md" {
			return
		}
		content := read(t, name)
		report(t, checkLinks(name, content, exists))
		report(t, checkTargets(name, content, makefile))
		if file := path.Base(name); path.Dir(name) == "docs/adr" && file != "README.md" && !strings.Contains(index, "("+file+")") {
			t.Errorf("docs/adr/README.md does not list %s", file)
		}
	})
}

func TestDocumentRulesFire(t *testing.T) {
	exists := func(name string) bool { return name == "docs/a.md" }
	text := []byte("[a](a.md#x) [b](b.md) [c](https://example.org/) [d](#here)\n`make test` or\nmake nothing\nthey make sense\n")
	if got := checkLinks("docs/x.md", text, exists); len(got) != 1 || !strings.Contains(got[0], "b.md") {
		t.Errorf("got findings %q, want one about b.md", got)
	}
	if got := checkTargets("docs/x.md", text, "all:\n\ntest: ## run\n"); len(got) != 1 || !strings.Contains(got[0], "make nothing") {
		t.Errorf("got findings %q, want one about make nothing", got)
	}
}
