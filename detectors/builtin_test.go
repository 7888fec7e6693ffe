package detectors_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/detectors/detectortest"
	"github.com/driftd/driftd/internal/testenv"
)

func TestConformance(t *testing.T) { detectortest.Run(t, detectors.Builtin()) }

func TestBuiltin(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "statistics.md"))
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ +(.+?) *$`).FindAllStringSubmatch(string(doc), -1) {
		anchors[anchor(m[1])] = true
	}
	seen := map[string]bool{}
	for _, s := range detectors.Builtin() {
		if seen[s.Name] || !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(s.Name) {
			t.Errorf("the name %q is not unique, or not snake_case", s.Name)
		}
		seen[s.Name] = true
		if len(s.Kinds) == 0 || s.Compute == nil {
			t.Errorf("%s has no kinds, or nothing to compute", s.Name)
		}
		page, at, ok := strings.Cut(s.Doc, "#")
		if page != "docs/statistics.md" || !ok || !anchors[at] {
			t.Errorf("%s: %s is not a heading of docs/statistics.md", s.Name, s.Doc)
		}
		if !strings.Contains(string(doc), "`"+s.Name+"`") {
			t.Errorf("%s is not named in docs/statistics.md", s.Name)
		}
	}
}

// anchor is the anchor that Markdown viewers give a heading: lower case, without punctuation, spaces as dashes.
func anchor(heading string) string {
	h := strings.ToLower(strings.NewReplacer("`", "", ",", "", ":", "", "(", "", ")", "", ".", "").Replace(heading))
	return strings.ReplaceAll(h, " ", "-")
}
