package quality_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/quality"
)

// Every metric that can be in a document is in docs/statistics.md by its name.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "statistics.md"))
	if err != nil {
		t.Fatal(err)
	}
	documented := func(name string) bool { return strings.Contains(string(text), "`"+name+"`") }
	for _, s := range specs(t) {
		c := quality.NewCounts(s)
		for _, m := range append(quality.Evaluate(c), quality.Estimate(c).Metrics...) {
			average, of, split := strings.Cut(m.Name, "_")
			byParts := split && documented(average+"_") && documented(of)
			if !documented(m.Name) && !byParts && !documented(strings.Replace(m.Name, "absolute_error", "…", 1)) {
				t.Errorf("docs/statistics.md does not have %s", m.Name)
			}
		}
	}
	for _, a := range quality.Assumptions() {
		if a == "" {
			t.Error("an empty assumption")
		}
	}
}
