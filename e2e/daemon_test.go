package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
)

// patience bounds every wait for something that must happen; a loaded machine is slow, never endless.
const patience = 60 * time.Second

// TestMain lets this binary be a broker of its own (see startBroker), and removes the binary that the tests built.
func TestMain(m *testing.M) {
	if dir := os.Getenv(brokerDirEnv); dir != "" {
		os.Exit(beBroker(dir))
	}
	code := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

var (
	buildOnce sync.Once
	buildDir  string
	errBuild  error
)

// binary builds ./cmd/driftd, once for all tests, and returns its path.
func binary(tb testing.TB) string {
	tb.Helper()
	buildOnce.Do(func() {
		if buildDir, errBuild = os.MkdirTemp("", "driftd-e2e-"); errBuild != nil { //nolint:usetesting // it outlives the first test
			return
		}
		cmd := exec.Command("go", "build", "-o", filepath.Join(buildDir, "driftd"), "./cmd/driftd")
		cmd.Dir = testenv.Root(tb)
		if out, err := cmd.CombinedOutput(); err != nil {
			errBuild = fmt.Errorf("building ./cmd/driftd: %w\n%s", err, out)
		}
	})
	if errBuild != nil {
		tb.Fatal(errBuild)
	}
	return filepath.Join(buildDir, "driftd")
}

// daemon is one data directory and the process that runs on it, which may be killed and started again.
type daemon struct {
	tb      testing.TB
	dir     string   // data directory
	input   string   // name of the input stream
	sink    string   // the durable consumer that feeds the store, or how its name begins
	config  string   // path of the configuration; empty: none
	args    []string // further flags of `driftd run`
	listens bool     // the configuration says where to listen
	scheme  string   // of the API
	auth    *url.Userinfo
	client  *http.Client
	log     *logBuffer
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	run     broker.Runtime
}

// newDaemon prepares a daemon on a fresh data directory without starting it. config is the text of a driftd.yaml, or empty.
func newDaemon(tb testing.TB, config string) *daemon {
	tb.Helper()
	d := &daemon{
		tb: tb, dir: filepath.Join(tb.TempDir(), "data"), input: journal.InputStream(0), sink: "driftd-store", config: "", args: nil, listens: false, scheme: "http", auth: nil,
		client: &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}},
		log:    &logBuffer{}, cmd: nil, exited: nil, run: broker.Runtime{},
	}
	if config != "" {
		d.config = filepath.Join(filepath.Dir(d.dir), "driftd.yaml")
		d.configure(config)
	}
	tb.Cleanup(func() {
		if d.cmd != nil {
			d.kill()
		}
		if tb.Failed() {
			tb.Logf("the daemon's log:\n%s", d.log.tail(100))
		}
	})
	return d
}

// eventually waits for something that must happen.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	testenv.Eventually(tb, patience, what, ok)
}

// startDaemon runs a daemon on a fresh data directory until the test ends, and returns when it is ready.
func startDaemon(tb testing.TB, config string) *daemon {
	tb.Helper()
	d := newDaemon(tb, config)
	d.start()
	return d
}

// configure writes another configuration; the process learns of it at its next start or reload.
func (d *daemon) configure(config string) {
	d.tb.Helper()
	if err := os.WriteFile(d.config, []byte(config), 0o600); err != nil {
		d.tb.Fatal(err)
	}
}

// launch starts the process and does not wait for it.
func (d *daemon) launch() {
	d.tb.Helper()
	args := []string{"run", "--data-dir", d.dir}
	if !slices.Contains(d.args, "--listen") && !d.listens {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	if d.config != "" {
		args = append(args, "--config", d.config)
	}
	cmd := exec.Command(binary(d.tb), append(args, d.args...)...)
	cmd.Dir = filepath.Dir(d.dir)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		d.tb.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state is looked at by whoever waits for the channel
		close(exited)
	}()
	d.cmd, d.exited = cmd, exited
}

// start starts the process, waits until it is ready, and returns how long that took.
func (d *daemon) start() time.Duration {
	d.tb.Helper()
	begin := time.Now()
	d.launch()
	testenv.Eventually(d.tb, patience, "the daemon is ready", func() bool {
		if d.ended() {
			d.tb.Fatalf("the daemon ended: %v\n%s", d.cmd.ProcessState, d.log.tail(50))
		}
		run, err := broker.ReadRuntime(d.dir)
		if err != nil || run.PID != d.cmd.Process.Pid {
			return false // not yet, or the record of the process before
		}
		d.run = run
		status, _, err := d.fetch(http.MethodGet, "/-/ready", nil)
		return err == nil && status == http.StatusOK
	})
	return time.Since(begin)
}

func (d *daemon) ended() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// signal sends a signal to the process, and to no other.
func (d *daemon) signal(s syscall.Signal) {
	d.tb.Helper()
	if err := d.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.tb.Fatalf("sending %v to %d: %v", s, d.cmd.Process.Pid, err)
	}
}

// kill ends the process as kill -9 does, and waits for its end.
func (d *daemon) kill() {
	d.tb.Helper()
	d.signal(syscall.SIGKILL)
	<-d.exited
	d.cmd = nil
}

// stop sends SIGTERM, waits for the end and wants exit code 0.
func (d *daemon) stop() {
	d.tb.Helper()
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		d.tb.Errorf("the daemon ended with exit code %d after SIGTERM\n%s", code, d.log.tail(50))
	}
}

// wait waits for the end of the process and returns its exit code.
func (d *daemon) wait() int {
	d.tb.Helper()
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.tb.Fatalf("the daemon did not end within %v\n%s", patience, d.log.tail(50))
	}
	code := d.cmd.ProcessState.ExitCode()
	d.cmd = nil
	return code
}

// fetch sends a request to the API and returns the status and the body.
func (d *daemon) fetch(method, path string, body io.Reader) (int, []byte, error) {
	base, err := url.Parse(d.run.WebURL)
	if err != nil {
		return 0, nil, err
	}
	base.Scheme, base.User = d.scheme, d.auth
	req, err := http.NewRequestWithContext(d.tb.Context(), method, strings.TrimSuffix(base.String(), "/")+path, body)
	if err != nil {
		return 0, nil, err
	}
	res, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	return res.StatusCode, data, err
}

// get reads a path of the API, wants 200, and decodes the answer's data. It returns the cursor of the next page.
func (d *daemon) get(path string, into any) (next string) {
	d.tb.Helper()
	status, body, err := d.fetch(http.MethodGet, path, nil)
	if err != nil || status != http.StatusOK {
		d.tb.Fatalf("GET %s: status %d, %v: %.500s", path, status, err, body)
	}
	answer := struct {
		Data any    `json:"data"`
		Next string `json:"next"`
	}{Data: into, Next: ""}
	if err := json.Unmarshal(body, &answer); err != nil {
		d.tb.Fatalf("GET %s: %v: %.500s", path, err, body)
	}
	return answer.Next
}

// metrics reads /metrics: values by series, such as `driftd_ingest_records_total{result="event"}`.
func (d *daemon) metrics() map[string]float64 {
	d.tb.Helper()
	status, body, err := d.fetch(http.MethodGet, "/metrics", nil)
	if err != nil || status != http.StatusOK {
		d.tb.Fatalf("GET /metrics: status %d, %v", status, err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if name += "}"; !ok {
			name, value, ok = strings.Cut(strings.TrimSpace(line), " ")
		}
		if x, err := strconv.ParseFloat(value, 64); ok && err == nil && !strings.HasPrefix(line, "#") {
			out[name] = x
		}
	}
	return out
}

// metric returns one series, which must be there: of partition 0 where it has one for each.
func (d *daemon) metric(series string) float64 {
	d.tb.Helper()
	all := d.metrics()
	x, ok := all[series]
	if !ok {
		x, ok = all[series+`{partition="0"}`]
	}
	if !ok {
		d.tb.Fatalf("/metrics has no series %s", series)
	}
	return x
}

// connect connects to the daemon's broker until the test ends. Only an embedded broker is recorded with its token.
func (d *daemon) connect() (*nats.Conn, jetstream.JetStream) {
	d.tb.Helper()
	return brokertest.Connect(d.tb, d.run.URL, d.run.Token)
}

// settled waits until everything in the input stream is folded, committed, forwarded and stored.
func (d *daemon) settled(js jetstream.JetStream) {
	d.tb.Helper()
	missing := ""
	defer func() {
		if d.tb.Failed() {
			d.tb.Logf("what was waited for last: %s", missing)
		}
	}()
	testenv.Eventually(d.tb, patience, "everything is folded, committed and stored", func() bool {
		missing = d.unsettled(js)
		return missing == ""
	})
}

// unsettled says what is not done yet, or nothing.
func (d *daemon) unsettled(js jetstream.JetStream) string {
	d.tb.Helper()
	in, err := js.Stream(d.tb.Context(), d.input)
	if err != nil {
		return err.Error()
	}
	position, last := uint64(d.metrics()[`driftd_pipeline_position{partition="0"}`]), in.CachedInfo().State.LastSeq
	if position != last {
		return fmt.Sprintf("the position is %d, the stream ends at %d", position, last)
	}
	state, err := js.Stream(d.tb.Context(), journal.StateStream(0))
	if err != nil {
		return err.Error()
	}
	info, err := state.Info(d.tb.Context(), jetstream.WithSubjectFilter("driftd.state.0.out.>"))
	if err != nil {
		return err.Error()
	}
	if n := len(info.State.Subjects); n > 0 {
		return fmt.Sprintf("%d committed documents are not in the outbox", n)
	}
	outbox, err := js.Stream(d.tb.Context(), journal.OutboxStream)
	if err != nil {
		return err.Error()
	}
	missing := "no sink reads the outbox"
	for c := range outbox.ListConsumers(d.tb.Context()).Info() {
		if !strings.HasPrefix(c.Name, d.sink) {
			continue
		}
		// Its NumPending lags behind the stream.
		if end := outbox.CachedInfo().State.LastSeq; c.NumAckPending > 0 || c.AckFloor.Stream != end {
			return fmt.Sprintf("%s has stored up to %d, with %d not acknowledged; the outbox ends at %d", c.Name, c.AckFloor.Stream, c.NumAckPending, end)
		}
		missing = ""
	}
	return missing
}

// cli runs the command line in the daemon's surroundings, where it finds the broker by the daemon's record or configuration.
func (d *daemon) cli(command string, args ...string) (stdout, stderr string, code int) {
	d.tb.Helper()
	where := []string{"--data-dir", d.dir}
	if d.config != "" {
		where = append(where, "--config", d.config)
	}
	cmd := exec.CommandContext(d.tb.Context(), binary(d.tb), append(append(strings.Fields(command), where...), args...)...)
	cmd.Dir = filepath.Dir(d.dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		d.tb.Fatalf("running driftd %s: %v", command, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs the command line and wants exit code 0.
func (d *daemon) must(command string, args ...string) string {
	d.tb.Helper()
	stdout, stderr, code := d.cli(command, args...)
	if code != 0 {
		d.tb.Fatalf("driftd %s %v: exit code %d\n%s%s", command, args, code, stdout, stderr)
	}
	return stdout
}

// logBuffer collects what processes print; safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	data bytes.Buffer
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.data.String()
}

// tail returns the last lines.
func (b *logBuffer) tail(n int) string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
