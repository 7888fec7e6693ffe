package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/driftd/driftd/config"
)

// The addresses become a notifier of the configuration that is used and kept, with its defaults and its rules.
func TestDemoAlertmanagers(t *testing.T) {
	var out strings.Builder
	con := &console{stdin: strings.NewReader(""), stdout: &out, stderr: &out, environ: nil}
	urls := []string{"http://127.0.0.1:9093", "https://am.example/prefix"}
	c := &conductor{demoFlags: demoFlags{exit: true, dataDir: "", listen: "", speed: 0, alertmanagers: urls}, con: con, dir: t.TempDir()} //nolint:exhaustruct // not run
	c.show, c.level = newStage(con), &slog.LevelVar{}
	if err := c.configure(); err != nil {
		t.Fatal(err)
	}
	kept, err := loadConfig(c.file)
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]*config.Config{"used": c.cfg, "kept": kept} {
		n := cfg.Notifiers["alertmanager"]
		if n.Type != "alertmanager" || !slices.Equal(n.URLs, urls) || n.Timeout <= 0 {
			t.Errorf("the notifier that is %s: %+v", name, n)
		}
	}
	c.tell()
	if !strings.Contains(out.String(), urls[1]) || !strings.Contains(out.String(), "choose a --speed") {
		t.Errorf("it says %q", out.String())
	}
	c.alertmanagers = []string{"127.0.0.1:9093"}
	if err := c.configure(); err == nil || !strings.Contains(err.Error(), "notifiers.alertmanager.urls") {
		t.Errorf("an address without http: %v", err)
	}
}
