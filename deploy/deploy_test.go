// Package deploy_test checks what driftd is deployed with: each configuration by the program that reads it, and compose.yaml by its rules.
package deploy_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/crypto/bcrypt"

	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/internal/testenv"
)

// run runs a program that must be there and must succeed.
func run(t *testing.T, program, pkg string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		testenv.Missing(t, fmt.Sprintf("%s (Debian: the package %s)", program, pkg))
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestRules(t *testing.T) {
	t.Log(run(t, "promtool", "prometheus", "check", "rules", "prometheus/driftd.rules.yaml"))
	t.Log(run(t, "promtool", "prometheus", "test", "rules", "prometheus/driftd.rules.test.yaml"))
}

// Every alert of the rules has a test, and the metrics that the rules name are documented.
func TestRulesAreTestedAndKnown(t *testing.T) {
	rules, tests, documented := read(t, "prometheus/driftd.rules.yaml"), read(t, "prometheus/driftd.rules.test.yaml"), read(t, "../docs/metrics.md")
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) < 10 {
		t.Errorf("only %d alerts", len(alerts))
	}
	for _, a := range alerts {
		if !regexp.MustCompile(`alertname: ` + a[1] + `\n\s+exp_alerts:\n`).MatchString(tests) {
			t.Errorf("no test lets %s fire", a[1])
		}
	}
	records := regexp.MustCompile(`- record: (\S+)`).FindAllStringSubmatch(rules, -1)
	for _, m := range regexp.MustCompile(`[a-z_:]*driftd_[a-z_0-9:]+`).FindAllString(regexp.MustCompile(`(?m)^\s*(#|summary:|description:).*$`).ReplaceAllString(rules, ""), -1) {
		own := slices.ContainsFunc(records, func(r []string) bool { return r[1] == m })
		if !own && !strings.Contains(documented, "`"+m+"`") {
			t.Errorf("docs/metrics.md does not have %s", m)
		}
	}
}

func TestConfigurations(t *testing.T) {
	t.Run("driftd", func(t *testing.T) {
		c, err := config.Load("driftd.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if c.Web.ConfigFile == "" || c.Store.Type != "influxdb" {
			t.Errorf("web %+v, store %+v", c.Web, c.Store)
		}
	})
	t.Run("web", func(t *testing.T) {
		if err := web.Validate("web.yaml"); err != nil {
			t.Fatal(err)
		}
		var file struct {
			Users map[string]string `yaml:"basic_auth_users"`
		}
		if err := yaml.Unmarshal([]byte(read(t, "web.yaml")), &file); err != nil {
			t.Fatal(err)
		}
		password := strings.TrimSpace(read(t, "secrets/driftd-password"))
		if err := bcrypt.CompareHashAndPassword([]byte(file.Users["driftd"]), []byte(password)); err != nil {
			t.Errorf("web.yaml has another password than secrets/driftd-password: %v", err)
		}
	})
	t.Run("prometheus", func(t *testing.T) { // paths as in the container
		dir := t.TempDir()
		text := strings.ReplaceAll(read(t, "prometheus/prometheus.yml"), "/run/secrets/", dir+"/")
		for name, text := range map[string]string{
			"prometheus.yml": text, "driftd-password": read(t, "secrets/driftd-password"), "driftd.rules.yaml": read(t, "prometheus/driftd.rules.yaml"),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Log(run(t, "promtool", "prometheus", "check", "config", filepath.Join(dir, "prometheus.yml")))
	})
	t.Run("nats", func(t *testing.T) { t.Log(run(t, "nats-server", "nats-server", "-t", "-c", "nats.conf")) })
	t.Run("alertmanager", alertmanager)
}

// alertmanager starts on its configuration, and says that it has read it.
func alertmanager(t *testing.T) {
	bin := filepath.Join(testenv.Root(t), "bin", "alertmanager")
	if _, err := os.Stat(bin); err != nil {
		testenv.Missing(t, "bin/alertmanager (scripts/alertmanager.sh builds it)")
	}
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "--config.file=alertmanager.yml", "--storage.path="+t.TempDir(), "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // how a killed process ended says nothing
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	testenv.Eventually(t, 30*time.Second, "Alertmanager has read its configuration", func() bool {
		text := read(t, log)
		if strings.Contains(text, "Loading configuration file failed") {
			t.Fatal(text)
		}
		return strings.Contains(text, "Completed loading of configuration file")
	})
}

// compose is what the test reads of compose.yaml.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       string
		Command     []string
		Ports       []string
		Volumes     []string
		Secrets     []string
		Restart     string
		Healthcheck *struct{ Test []string }
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
	Secrets map[string]struct{ File string }
	Volumes map[string]any
}

var pinned = regexp.MustCompile(`^[a-z0-9/.-]+:v?\d+\.\d+\.\d+(-alpine)?$`)

// Images are of one version, ports on loopback, what is mounted exists, services say when they are well, and who waits for whom can be
// waited for.
func TestCompose(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"nats", "influxdb", "grafana", "alertmanager", "prometheus", "driftd", "replay"} {
		if _, ok := c.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, s := range c.Services {
		own := s.Image == "driftd:compose"
		if !own && !pinned.MatchString(s.Image) {
			t.Errorf("%s: the image %s is not pinned to a version", name, s.Image)
		}
		if job := s.Restart == "no"; job == (s.Healthcheck != nil) {
			t.Errorf("%s: a service has a health check, and what ends has none", name)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: the port %s is not on loopback", name, p)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s: the volume %s is not declared", name, from)
				}
				continue
			}
			if _, err := os.Stat(from); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range s.Secrets {
			if _, err := os.Stat(c.Secrets[secret].File); err != nil {
				t.Errorf("%s: the secret %s: %v", name, secret, err)
			}
		}
		for on, d := range s.DependsOn {
			other, ok := c.Services[on]
			healthy := d.Condition == "service_healthy" && other.Healthcheck != nil
			ended := d.Condition == "service_completed_successfully" && other.Restart == "no"
			if !ok || !healthy && !ended {
				t.Errorf("%s waits for %s to be %s, which it never says", name, on, d.Condition)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(c.Services["driftd"].Build, "Dockerfile")); err != nil {
		t.Error(err)
	}
}

// The commands that compose.yaml runs are commands of driftd, with flags that it has.
func TestComposeRunsWhatDriftdHas(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "driftd")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/driftd").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	for name, s := range c.Services {
		if s.Image != "driftd:compose" {
			continue
		}
		for _, args := range [][]string{s.Command, healthArgs(s.Healthcheck)} {
			if len(args) == 0 {
				continue
			}
			out, err := exec.Command(bin, append(slices.Clone(args), "--help")...).CombinedOutput() // flags before it are parsed first
			if err != nil || !bytes.Contains(out, []byte("Usage")) && !bytes.Contains(out, []byte("driftd "+args[0])) {
				t.Errorf("%s: driftd %s: %v\n%s", name, strings.Join(args, " "), err, out)
			}
		}
	}
}

// The library that Docker Compose is made of reads the file, and finds what is wrong in one that is spoiled.
func TestComposeIsReadByItsLibrary(t *testing.T) {
	check := func(file string) (string, error) {
		out, err := exec.Command("go", "-C", "../tools/compose", "run", ".", file).CombinedOutput()
		return string(out), err
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	out, err := check(filepath.Join(here, "compose.yaml"))
	if err != nil || !strings.Contains(out, "driftd: services [") {
		t.Fatalf("%v\n%s", err, out)
	}
	for fault, text := range map[string]string{
		"a condition that there is not": strings.Replace(read(t, "compose.yaml"), "service_healthy", "service_well", 1),
		"a key that there is not":       strings.Replace(read(t, "compose.yaml"), "healthcheck:", "health:", 1),
		"a volume that there is not":    strings.Replace(read(t, "compose.yaml"), "nats-data:/data", "nats-date:/data", 1),
	} {
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := check(file); err == nil {
			t.Errorf("%s: nothing is wrong: %s", fault, out)
		}
	}
}

// ports are where each service listens: NATS and driftd by their configurations, the others by their images' defaults.
func ports(t *testing.T) map[string][]string {
	t.Helper()
	monitoring := regexp.MustCompile(`(?m)^http: (\d+)$`).FindStringSubmatch(read(t, "nats.conf"))
	page := regexp.MustCompile(`listen: 0\.0\.0\.0:(\d+)`).FindStringSubmatch(read(t, "driftd.yaml"))
	if monitoring == nil || page == nil {
		t.Fatalf("nats.conf has the monitoring at %q, driftd.yaml the page at %q", monitoring, page)
	}
	return map[string][]string{
		"nats": {"4222", monitoring[1]}, "driftd": {page[1]}, "influxdb": {"8086"}, "alertmanager": {"9093"}, "prometheus": {"9090"}, "grafana": {"3000"},
	}
}

// Health checks are commands that the images have, and ask the port at which the service listens; so do the other services, and what is
// published.
func TestComposeAsksWhereServicesListen(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	listens := ports(t)
	// What the images have beside their server, by their Dockerfiles: BusyBox in those of Prometheus and on Alpine, Grafana curl since
	// its pull request 65547, which says that there was no wget, InfluxDB its client, and driftd itself alone.
	has := map[string]string{
		"nats": "wget", "prom/prometheus": "wget", "prom/alertmanager": "wget", "grafana/grafana": "curl", "influxdb": "influx", "driftd": "/usr/local/bin/driftd",
	}
	port := regexp.MustCompile(`127\.0\.0\.1:(\d+)`)
	asked := 0
	for name, s := range c.Services {
		for _, p := range s.Ports {
			published := strings.Split(p, ":")
			if len(published) != 3 || published[1] != published[2] || !slices.Contains(listens[name], published[2]) {
				t.Errorf("%s publishes %s and listens at %v", name, p, listens[name])
			}
		}
		if s.Healthcheck == nil {
			continue
		}
		image, _, _ := strings.Cut(s.Image, ":")
		test := s.Healthcheck.Test
		if len(test) < 2 || test[0] != "CMD" || test[1] != has[image] {
			t.Errorf("%s: the image %s has %q, the health check is %q", name, image, has[image], test)
		}
		for _, m := range port.FindAllStringSubmatch(strings.Join(test, " "), -1) {
			asked++
			if !slices.Contains(listens[name], m[1]) {
				t.Errorf("%s: the health check asks port %s, and it listens at %v", name, m[1], listens[name])
			}
		}
	}
	address := regexp.MustCompile(`\b(nats|driftd|influxdb|alertmanager|prometheus|grafana):(\d{4,5})\b`)
	for _, file := range []string{"compose.yaml", "driftd.yaml", "prometheus/prometheus.yml", "alertmanager.yml", "nats.conf"} {
		for _, m := range address.FindAllStringSubmatch(read(t, file), -1) {
			asked++
			if !slices.Contains(listens[m[1]], m[2]) {
				t.Errorf("%s asks %s, which listens at %v", file, m[0], listens[m[1]])
			}
		}
	}
	if asked < 10 { // five health checks with a port; driftd asks three services, Prometheus two, Grafana two
		t.Errorf("only %d addresses were found", asked)
	}
}

func healthArgs(check *struct{ Test []string }) []string {
	if check == nil {
		return nil
	}
	return check.Test[2:] // CMD, the binary
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
