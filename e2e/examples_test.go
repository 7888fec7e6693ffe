package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// The programs of examples/ act on the alerts of a daemon: a version that fails is taken out of service, and a model whose feature
// drifts gets a new reference of what it sees now; both incidents end by that.
func TestExamples(t *testing.T) {
	d := startDaemon(t, `
commit: {interval: 50ms}
models:
  churn:
    windows: [{size: 15m}]
    pane: 15m
    lateness: 15m
notifiers:
  programs: {type: nats}
`)
	_, js := d.connect()
	rows := &strings.Builder{}
	rows.WriteString("x,c\n")
	for i := range 2000 {
		fmt.Fprintf(rows, "%d,%c\n", i%50, 'a'+rune(i%3))
	}
	d.must("reference create", "--from", writeFile(t, "churn.csv", rows.String()), "--name", "churn", "--model", "churn", "--activate")
	d.settled(js)

	serving := writeFile(t, "serving.json", `{"version":"2","previous":"1"}`)
	token := writeFile(t, "token", d.run.Token)
	example(t, "rollback", "--url", d.run.URL, "--token-file", token, "--model", "churn", "--serving", serving)
	job := writeFile(t, "retrain.sh", fmt.Sprintf(`set -e
grep -q '"incident":"'"$DRIFTD_INCIDENT"'"' # the transition is on the standard input
exec %s reference create --name churn-retrained --model "$DRIFTD_MODEL" --from-window "$DRIFTD_RESULT" --activate --data-dir %s
`, binary(t), d.dir))
	example(t, "retrain", "--url", d.run.URL, "--token-file", token, "--", "sh", job)
	eventually(t, "both programs wait", func() bool {
		s, err := js.Stream(t.Context(), "DRIFTD_ALERTS")
		return err == nil && s.CachedInfo().State.Consumers == 2
	})

	window := 0
	next := func(shifted bool) {
		version := versionOf(t, serving)
		send(t, js, "ml.events.churn", events(window, version, version == "2", shifted))
		window++
		d.settled(js)
	}
	for range 4 { // version 2 fails in every fifth event
		next(false)
	}
	eventually(t, "version 1 serves again", func() bool { return versionOf(t, serving) == "1" })
	for range 4 { // now x has moved
		next(true)
	}
	eventually(t, "the model has a new reference", func() bool { return strings.Contains(d.must("reference list"), "churn-retrained") })
	for range 4 {
		next(true)
	}
	eventually(t, "both incidents are over", func() bool {
		var incidents []result.Transition
		d.get("/api/v1/alerts?model=churn&limit=100", &incidents)
		var over []string
		for _, i := range incidents {
			if i.To == result.Resolved {
				over = append(over, i.Rule)
			}
		}
		return slices.Contains(over, "error-rate") && slices.Contains(over, "feature-drift")
	})
}

// events is a message with the events of a quarter of an hour, four a second.
func events(window int, version string, fails, shifted bool) string {
	out := make([]map[string]any, 0, 1000)
	for i := range 1000 {
		x, status := i%50, "ok"
		if shifted {
			x = 30 + i%50
		}
		if fails && i%5 == 0 {
			status = "error"
		}
		ts := at.Add(time.Duration(window)*15*time.Minute + time.Duration(i)*900*time.Millisecond)
		out = append(out, map[string]any{
			"model": "churn", "id": fmt.Sprint(window, "-", i), "ts": ts.Format(time.RFC3339Nano), "version": version, "status": status,
			"features": map[string]any{"x": x, "c": string('a' + rune(i%3))},
		})
	}
	data, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func versionOf(tb testing.TB, file string) string {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var s struct{ Version string }
	if err := json.Unmarshal(data, &s); err != nil {
		tb.Fatal(err)
	}
	return s.Version
}

// example builds a program of examples/ and runs it until the test ends.
func example(tb testing.TB, name string, args ...string) {
	tb.Helper()
	bin := filepath.Join(tb.TempDir(), name)
	build := exec.Command("go", "build", "-o", bin, "./examples/"+name)
	build.Dir = testenv.Root(tb)
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building %s: %v\n%s", name, err, out)
	}
	log := &logBuffer{}
	cmd := exec.Command(bin, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("%s says:\n%s", name, log.tail(50))
		}
	})
}
