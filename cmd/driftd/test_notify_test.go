package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/driftd/driftd/internal/slacktest"
)

// notifyConfig writes a configuration whose notifiers tell a Slack and a webhook of the test.
func notifyConfig(t *testing.T, s *slacktest.Server, hook string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"token": slacktest.Token + "\n", "hook": s.Hook + "\n",
		"driftd.yaml": fmt.Sprintf(`
web: {external_url: "https://driftd.example.com"}
notifiers:
  slack: {type: slack, urls: [%q], token_file: token, channel: "#ml-alerts", routes: [{match: {team: risk}, channel: "#risk"}]}
  incoming: {type: slack, url_file: hook}
  away: {type: webhook, urls: [%q], timeout: 5s}
`, s.URL, hook),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "driftd.yaml")
}

func testNotify(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), append([]string{"test", "notify"}, args...), strings.NewReader(""), &out, io.Writer(&errs), nil)
	return code, out.String(), errs.String()
}

// A test message goes the whole way: every channel is told with a picture, and told that it is over, in the same message.
func TestNotifySlack(t *testing.T) {
	s := slacktest.New(t)
	file := notifyConfig(t, s, "http://127.0.0.1:1")
	if code, out, errs := testNotify(t, "slack", "--config", file); code != exitDone || out != "slack=risk was told\nslack=ml-alerts was told\n" {
		t.Fatalf("%d %q %q", code, out, errs)
	}
	for _, name := range []string{"ml-alerts", "risk"} {
		m := s.Parents(name)
		if len(m) != 1 || m[0].Edits != 1 || !strings.Contains(m[0].Text, "a test message of driftd (resolved)") || len(s.Messages(name)) != 2 {
			t.Errorf("#%s: %+v", name, s.Messages(name))
		}
	}
	if files := s.Files(); len(files) != 2 || files[0].Width != 1000 {
		t.Errorf("%d pictures", len(files))
	}
	if code, out, errs := testNotify(t, "incoming", "--config", file); code != exitDone || len(s.Messages("hook")) != 2 {
		t.Errorf("%d %q %q, %d messages", code, out, errs, len(s.Messages("hook")))
	}
}

// Without a connection nothing is sent, and what would be is printed: also of a type that no configuration names.
func TestNotifyDryRun(t *testing.T) {
	s := slacktest.New(t)
	png := filepath.Join(t.TempDir(), "p.png")
	code, out, errs := testNotify(t, "slack", "--config", notifyConfig(t, s, "http://127.0.0.1:1"), "--dry-run", "--picture", png)
	if code != exitDone || len(s.Calls()) != 0 || !strings.Contains(out, `"channel": "#risk"`) || !strings.Contains(out, "median 570 → 917") {
		t.Errorf("%d %q %q, calls %v", code, out, errs, s.Calls())
	}
	if info, err := os.Stat(png); err != nil || info.Size() == 0 {
		t.Errorf("the picture: %v", err)
	}
	for _, name := range []string{"alertmanager", "log", "nats", "slack", "webhook"} {
		if code, out, errs := testNotify(t, name, "--dry-run"); code != exitDone || !strings.Contains(out, "driftd-test") {
			t.Errorf("%s: %d %q %q", name, code, out, errs)
		}
	}
}

// What goes wrong is said, with what to do, and without the secret.
func TestNotifyFails(t *testing.T) {
	s := slacktest.New(t)
	hook := httptest.NewServer(http.NotFoundHandler())
	defer hook.Close()
	file := notifyConfig(t, s, hook.URL)
	s.Archive("risk")
	code, out, errs := testNotify(t, "slack", "--config", file)
	if code != exitFailed || out != "slack=ml-alerts was told\n" || !strings.Contains(errs, "slack=risk: telling slack: is_archived (unarchive the channel, or configure another)") {
		t.Errorf("%d %q %q", code, out, errs)
	}
	s.Revoke(true)
	if code, _, errs := testNotify(t, "slack", "--config", file); code != exitFailed || !strings.Contains(errs, "token_revoked") || strings.Contains(errs, slacktest.Token) {
		t.Errorf("%d %q", code, errs)
	}
	if code, _, errs := testNotify(t, "away", "--config", file); code != exitFailed || !strings.Contains(errs, "404") {
		t.Errorf("%d %q", code, errs)
	}
	for _, args := range [][]string{{}, {"slack"}, {"nobody", "--config", file}, {"a", "b"}, {"nobody", "--dry-run"}} {
		if code, _, errs := testNotify(t, args...); code != exitUsage {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
}
