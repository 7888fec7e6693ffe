package e2e_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/driftd/driftd/demo"
	"github.com/driftd/driftd/internal/amtest"
)

// demoAlertsSpeed shows a week in a second and a half: longer than the grouping of couriers and of Alertmanager (0.2 s each), so
// that each incident is told while it fires.
const demoAlertsSpeed = "400000"

// The incidents of the demo arrive in two real Alertmanagers, and each tells its webhook of every one twice: that it fires, and
// that it is over.
func TestDemoAlertmanager(t *testing.T) {
	var receivers []*amtest.Receiver
	args := []string{"demo", "--exit", "--listen", "127.0.0.1:0", "--speed", demoAlertsSpeed}
	for range 2 {
		r := amtest.NewReceiver(t)
		am := amtest.New(t, r, "")
		am.Start()
		receivers = append(receivers, r)
		args = append(args, "--alertmanager", am.URL)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = append(cmd.Environ(), "TMPDIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	text := out.String()
	first, _, _ := strings.Cut(text, "\n")
	page, ok := strings.CutPrefix(first, "page      ")
	if !ok {
		t.Fatalf("the first line is %q, want the page's address", first)
	}
	if strings.Contains(text, "not every receiver") {
		t.Errorf("the demo ended before everything was told:\n%s", text)
	}
	for i, r := range receivers {
		eventually(t, "the end of every incident reaches the webhook", func() bool {
			over := 0
			for _, line := range r.Told() {
				if strings.HasPrefix(line, "resolved ") {
					over++
				}
			}
			return over >= len(demo.Incidents())
		})
		for _, in := range demo.Incidents() {
			demoIncidentArrived(t, i, r, in, page)
		}
	}
	t.Logf("the demo said:\n%s", text)
}

// demoIncidentArrived checks what one webhook was told of one incident, and logs it.
func demoIncidentArrived(t *testing.T, instance int, r *amtest.Receiver, in demo.Incident, page string) {
	t.Helper()
	var statuses []string
	for _, n := range r.Notifications() {
		for _, a := range n.Alerts {
			if a.Labels["alertname"] != in.Rule || a.Labels["version"] != in.Version {
				continue
			}
			statuses = append(statuses, a.Status)
			t.Logf("Alertmanager %d: %s %v\n  %v\n  %s", instance, a.Status, a.Labels, a.Annotations, a.GeneratorURL)
			for label, want := range map[string]string{"model": demo.ModelName, "window": "1d", "segment": "*"} {
				if a.Labels[label] != want {
					t.Errorf("%s: label %s is %q, want %q", in.Rule, label, a.Labels[label], want)
				}
			}
			if a.Labels["severity"] == "" || a.Labels["kind"] == "" {
				t.Errorf("%s: no severity or kind in %v", in.Rule, a.Labels)
			}
			if !strings.Contains(a.Annotations["features"], in.Feature) || a.Annotations["summary"] == "" || a.Annotations["description"] == "" {
				t.Errorf("%s: annotations %v", in.Rule, a.Annotations)
			}
			since, err := time.Parse(time.RFC3339, a.Annotations["since"])
			if err != nil || since.UnixMilli() < in.Start || since.UnixMilli() >= in.End {
				t.Errorf("%s: since %v, %v; want within the days of the injection", in.Rule, since, err)
			}
			if !strings.HasPrefix(a.GeneratorURL, page+"models/"+demo.ModelName) {
				t.Errorf("%s: generatorURL %q, want a page of %s", in.Rule, a.GeneratorURL, page)
			}
		}
	}
	if got := strings.Join(statuses, " "); got != "firing resolved" {
		t.Errorf("Alertmanager %d told of %s: %q, want firing and resolved once each", instance, in.Rule, got)
	}
}
