package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/driftd/driftd/internal/testenv"
)

// promServer is a real Prometheus (Debian: the package prometheus) that scrapes one daemon and evaluates the rules of deploy/prometheus.
type promServer struct{ url string }

// sample is one series of an answer.
type sample struct {
	Metric map[string]string
	Value  []any
	Values [][]any
}

var pending = regexp.MustCompile(`(?m)^(\s+)(for|keep_firing_for): .*$`)

// startPrometheus starts a Prometheus that asks every half second. Its rules are those of deploy/prometheus, which fire at once instead of after
// their `for`.
func startPrometheus(tb testing.TB, target string) *promServer {
	tb.Helper()
	bin, err := exec.LookPath("prometheus")
	if err != nil {
		testenv.Missing(tb, "prometheus (Debian: the package prometheus)")
	}
	dir := tb.TempDir()
	address := testenv.FreeAddress(tb)
	u, err := url.Parse(target)
	if err != nil {
		tb.Fatal(err)
	}
	rules := pending.ReplaceAllString(string(readRoot(tb, "deploy/prometheus/driftd.rules.yaml")), "")
	config := fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 1s}
rule_files: [rules.yaml]
scrape_configs: [{job_name: driftd, static_configs: [{targets: [%q]}]}]
`, u.Host)
	for name, text := range map[string]string{"rules.yaml": rules, "prometheus.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	log := &logBuffer{}
	cmd := exec.Command(bin, "--config.file="+filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // how a killed process ended says nothing
		if tb.Failed() {
			tb.Logf("Prometheus' log:\n%s", log.tail(30))
		}
	})
	p := &promServer{url: "http://" + address}
	eventually(tb, "Prometheus is ready", func() bool {
		res, err := http.Get(p.url + "/-/ready")
		return err == nil && res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	return p
}

// get asks the API and decodes the data of its answer.
func (p *promServer) get(tb testing.TB, path string, ask url.Values, into any) {
	tb.Helper()
	res, err := http.PostForm(p.url+path, ask)
	if path == "/api/v1/label/__name__/values" {
		res, err = http.Get(p.url + path)
	}
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil || res.StatusCode != http.StatusOK {
		tb.Fatalf("%s %v: status %d, %v: %s", path, ask, res.StatusCode, err, data)
	}
	if err := json.Unmarshal(data, &struct{ Data any }{into}); err != nil {
		tb.Fatalf("%s: %v in %.300s", path, err, data)
	}
}

// query asks `query` or `query_range` and returns the series with their values.
func (p *promServer) query(tb testing.TB, kind string, ask url.Values) []sample {
	tb.Helper()
	var data struct{ Result []sample }
	p.get(tb, "/api/v1/"+kind, ask, &data)
	return data.Result
}

// names returns the names of all metrics.
func (p *promServer) names(tb testing.TB) []string {
	tb.Helper()
	var names []string
	p.get(tb, "/api/v1/label/__name__/values", nil, &names)
	return names
}
