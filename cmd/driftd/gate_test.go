package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/internal/testenv"
)

// workflow is what the example of a workflow holds, whole: reading is strict.
type workflow struct {
	Name string `yaml:"name"`
	On   struct {
		PullRequest struct {
			Paths []string `yaml:"paths"`
		} `yaml:"pull_request"`
	} `yaml:"on"`
	Permissions map[string]string `yaml:"permissions" key:"name"`
	Jobs        map[string]job    `yaml:"jobs" key:"job"`
}

type job struct {
	RunsOn string `yaml:"runs-on"`
	Steps  []step `yaml:"steps"`
}

type step struct {
	Name string            `yaml:"name"`
	Uses string            `yaml:"uses"`
	If   string            `yaml:"if"`
	With map[string]string `yaml:"with" key:"name"`
	Run  string            `yaml:"run"`
}

// The command of the example runs as it stands there: it lets a good candidate pass, and stops one that is unfair to a region.
func TestExampleGate(t *testing.T) {
	examples := filepath.Join(testenv.Root(t), "examples", "github-actions")
	data, err := os.ReadFile(filepath.Join(examples, "model-gate.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := config.Decode("model-gate.yml", data, &w); err != nil {
		t.Fatal(err)
	}
	var command []string
	for _, s := range w.Jobs["gate"].Steps {
		if fields := strings.Fields(s.Run); len(fields) > 0 && fields[0] == "driftd" {
			command = fields[1:]
		}
	}
	if command == nil {
		t.Fatal("no step runs driftd")
	}
	gate, err := os.ReadFile(filepath.Join(examples, "gate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		unfair bool
		code   int
		says   string
	}{
		{"good", false, exitDone, "kept      quality.roc_auc is 1, at least 0.85"},
		{"unfair", true, exitDrift, "not kept  fairness.demographic_parity_difference is "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range map[string]string{
				"gate.yaml": string(gate), "training.csv": candidate(false), "candidate.csv": candidate(tt.unfair),
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			self, err := os.Executable() // stands for driftd, see TestMain
			if err != nil {
				t.Fatal(err)
			}
			driftd := filepath.Join(dir, "driftd")
			if err := os.Symlink(self, driftd); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), driftd, command...)
			cmd.Dir = dir
			out, _ := cmd.CombinedOutput() // the code is looked at
			if got := cmd.ProcessState.ExitCode(); got != tt.code || !strings.Contains(string(out), tt.says) {
				t.Errorf("exit code %d, want %d and %q:\n%s", got, tt.code, tt.says, out)
			}
			if _, err := os.Stat(filepath.Join(dir, "drift.html")); err != nil {
				t.Errorf("the report: %v", err)
			}
		})
	}
}

// candidate is the holdout data with the scores of a candidate; an unfair one selects hardly anybody of the region north.
func candidate(unfair bool) string {
	var b strings.Builder
	b.WriteString("amount,region,score,truth\n")
	for i := range 1000 {
		region, truth := []string{"north", "south"}[i%2], i/2%2
		score := 0.2 + 0.6*float64(truth)
		if unfair && region == "north" && i%20 != 2 {
			score = 0.1
		}
		fmt.Fprintf(&b, "%d,%s,%g,%d\n", i%97, region, score, truth)
	}
	return b.String()
}
