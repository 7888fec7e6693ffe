package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/internal/slacktest"
)

// Every incident of the demo is one message in Slack, which says what is wrong and has its picture in its thread, and says in the end
// that it is over. `go test -artifacts` keeps the messages and the pictures.
func TestDemoSlack(t *testing.T) {
	s := slacktest.New(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token":       slacktest.Token,
		"driftd.yaml": fmt.Sprintf("notifiers: {slack: {type: slack, urls: [%q], token_file: token, channel: \"#ml-alerts\"}}", s.URL),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), "demo", "--exit", "--listen", "127.0.0.1:0", "--speed", demoAlertsSpeed, "--notifiers", filepath.Join(dir, "driftd.yaml"))
	cmd.Env = append(cmd.Environ(), "TMPDIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	if strings.Contains(out.String(), "not every receiver") {
		t.Errorf("the demo ended before everything was told:\n%s", out.Bytes())
	}
	parents := s.Parents("ml-alerts")
	if len(parents) != len(demo.Incidents()) {
		t.Errorf("%d messages of %d incidents", len(parents), len(demo.Incidents()))
	}
	for i, in := range demo.Incidents() {
		if i >= len(parents) {
			break
		}
		m := parents[i]
		if !strings.HasPrefix(m.Text, "✅") || !strings.Contains(string(m.Blocks), in.Rule) || !strings.Contains(string(m.Blocks), in.Feature) {
			t.Errorf("%s: the message is %s\n%s", in.Rule, m.Text, m.Blocks)
		}
		artifact(t, in.Rule+".json", m.Blocks)
		pictures := 0
		for _, f := range s.Files() {
			if f.Thread == m.TS {
				pictures++
				artifact(t, in.Rule+".png", f.Data)
			}
		}
		if pictures != 1 {
			t.Errorf("%s: %d pictures in the thread, want one", in.Rule, pictures)
		}
	}
}

func artifact(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}
