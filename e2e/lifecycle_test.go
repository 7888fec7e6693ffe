package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/app"
	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/broker/brokertest"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/ingest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
)

// goodEvent is an event of churn.
func goodEvent(id int, ts time.Time) string {
	return fmt.Sprintf(`{"id":"%d","ts":%d,"features":{"x":%d,"c":"a"}}`, id, ts.UnixMilli(), id%50)
}

// SIGTERM commits what was folded, though the next commit was far away, and exits with 0; the next start folds only what is
// behind it, and nothing again.
func TestStopCommits(t *testing.T) {
	const events = 1000
	ext := startBroker(t)
	slow := ext.config() + strings.Replace(churnConfig, "50ms", "1m", 1)
	d := newDaemon(t, slow)
	t.Logf("first start: ready after %v", d.start().Round(time.Millisecond))
	_, js := brokertest.Connect(t, ext.url, ext.token)
	for i := range events {
		if _, err := js.PublishAsync("ml.events.churn", []byte(goodEvent(i, at))); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	last := lastSeq(t, js)
	eventually(t, "the daemon has read everything", func() bool { return unread(t, js) == 0 })
	if got := checkpoint(t, js); got != 0 {
		t.Fatalf("position %d was committed before SIGTERM", got)
	}
	d.stop()
	at0 := checkpoint(t, js)
	if at0 == 0 {
		t.Fatalf("SIGTERM committed nothing")
	}
	// What was delivered and not folded at the moment of the signal is not lost, only later.
	d.configure(ext.config() + churnConfig)
	took := d.start()
	d.settled(js)
	if got := d.metric("driftd_ingest_messages_total"); got != float64(last-at0) {
		t.Errorf("the next start folded %v messages, want the %d behind position %d", got, last-at0, at0)
	}
	d.stop()
	again := d.start()
	eventually(t, "the partition is worked on", func() bool { return d.metrics()[`driftd_pipeline_position{partition="0"}`] > 0 }) // it may be ready a moment before
	if got := d.metric("driftd_pipeline_position"); got != float64(last) {
		t.Errorf("position %v after an orderly stop, want %d", got, last)
	}
	if got := d.metric("driftd_ingest_messages_total"); got != 0 {
		t.Errorf("%v messages were folded again", got)
	}
	t.Logf("SIGTERM committed position %d of %d; ready after %v and %v", at0, last, took.Round(time.Millisecond), again.Round(time.Millisecond))
	d.stop()
}

// unread returns how many messages of the input the daemon's consumer has not been sent, or 1 where it has none yet.
func unread(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	in, err := js.Stream(t.Context(), journal.InputStream(0))
	if err != nil {
		t.Fatal(err)
	}
	consumers := in.ListConsumers(t.Context())
	pending := uint64(1)
	for c := range consumers.Info() {
		pending = c.NumPending
	}
	return pending
}

// checkpoint returns the committed position of a daemon that does not run; 0: nothing was ever committed.
func checkpoint(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), journal.StateStream(0))
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), "driftd.state.0.meta")
	if err != nil {
		t.Fatal(err)
	}
	var meta struct {
		Position ingest.Identity `json:"position"`
	}
	if err := json.Unmarshal(m.Data, &meta); err != nil {
		t.Fatalf("reading the checkpoint: %v: %.300s", err, m.Data)
	}
	return meta.Position.Seq
}

// badConfig has five mistakes.
const badConfig = `
commit: {interval: 5}
limits: {dedup_ids: -1}
models:
  churn:
    windows: [{size: 20m}]
    lateness: soon
    detectors: {q: 2}
`

// A reload that is good holds from where it lies in the stream; a bad one changes nothing and says every mistake.
func TestReload(t *testing.T) {
	d := startDaemon(t, churnConfig)
	_, js := d.connect()
	createChurn(t, d, js)
	quarter := func(n int) time.Time { return at.Add(time.Duration(n) * 15 * time.Minute) }
	window := func(n int) (result.Summary, result.Feature) {
		t.Helper()
		for i := range 20 {
			send(t, js, "ml.events.churn", goodEvent(100*n+i, quarter(n)))
		}
		marker(t, js, "churn", quarter(n+1).Add(time.Minute))
		d.settled(js)
		return windowOf(t, d, "churn", quarter(n), "x")
	}
	if _, x := window(0); x.Thresholds.Drift != 0.25 {
		t.Errorf("drift threshold %v before the reload, want the default", x.Thresholds.Drift)
	}
	reloads := map[string]func(){
		"SIGHUP": func() { d.signal(syscall.SIGHUP) },
		"POST": func() {
			if _, _, err := d.fetch(http.MethodPost, "/-/reload", nil); err != nil {
				t.Fatal(err)
			}
		},
	}
	n := 0
	for _, how := range []string{"SIGHUP", "POST"} {
		reload := reloads[how]
		// Good: other thresholds, no lateness.
		n += 2
		drift := 0.5 + float64(n)/10
		good := strings.Replace(churnConfig, "lateness: 1h", fmt.Sprintf("lateness: 0s\n    detectors: {drift: %v}", drift), 1)
		before := lastSeq(t, js)
		d.configure(good)
		reload()
		eventually(t, how+": the configuration lies in the stream", func() bool { return lastSeq(t, js) > before })
		window(n) // the pane in which the change lies may still have the old one
		if _, x := window(n + 1); x.Thresholds.Drift != drift {
			t.Errorf("%s: drift threshold %v after the reload, want %v", how, x.Thresholds.Drift, drift)
		}
		late := d.metric(`driftd_ingest_records_total{result="late"}`)
		send(t, js, "ml.events.churn", goodEvent(100*n+99, quarter(n+1)))
		d.settled(js)
		if got := d.metric(`driftd_ingest_records_total{result="late"}`); got != late+1 {
			t.Errorf("%s: %v late events without lateness, want %v", how, got, late+1)
		}
		if got := d.metric("driftd_config_last_reload_successful"); got != 1 {
			t.Errorf("%s: driftd_config_last_reload_successful is %v", how, got)
		}

		// Bad: five mistakes, each in the log.
		before = lastSeq(t, js)
		d.configure(badConfig)
		logged := len(d.log.String())
		reload()
		eventually(t, how+": the reload failed", func() bool { return d.metric("driftd_config_last_reload_successful") == 0 })
		eventually(t, how+": the log says why", func() bool {
			log := d.log.String()[logged:]
			for _, mistake := range []string{"commit.interval", "limits.dedup_ids", "windows[0].size", "models.churn.lateness", "detectors.q"} {
				if !strings.Contains(log, mistake) {
					return false
				}
			}
			return true
		})
		n++
		if _, x := window(n + 1); x.Thresholds.Drift != drift || lastSeq(t, js) != before+21 {
			t.Errorf("%s: drift threshold %v after a bad reload, want %v; the stream grew by %d", how, x.Thresholds.Drift, drift, lastSeq(t, js)-before)
		}
	}
	d.configure(badConfig)
	status, body, err := d.fetch(http.MethodPost, "/-/reload", nil)
	if err != nil || status != http.StatusInternalServerError || !strings.Contains(string(body), "reload_failed") || strings.Count(string(body), "driftd.yaml:") != 5 {
		t.Errorf("POST /-/reload of a bad file: status %d, %v: %s", status, err, body)
	}
	if log := d.log.String(); strings.Contains(log, "a reload does not change this") {
		t.Error("the flags of the command line were taken for a change of the file")
	}
	d.configure(churnConfig)
	if status, body, err := d.fetch(http.MethodPost, "/-/reload", nil); err != nil || status != http.StatusOK || d.metric("driftd_config_last_reload_successful") != 1 {
		t.Errorf("POST /-/reload of a good file: status %d, %v: %s", status, err, body)
	}
	d.stop()
}

// A second daemon on a data directory that is in use is refused, and says by whom; the first one is not disturbed.
func TestSecondDaemon(t *testing.T) {
	ext := startBroker(t)
	for name, config := range map[string]string{"embedded": churnConfig, "external": ext.config() + churnConfig} {
		t.Run(name, func(t *testing.T) {
			first := startDaemon(t, config)
			second := newDaemon(t, config)
			second.dir = first.dir
			second.launch()
			if code := second.wait(); code != 1 {
				t.Errorf("the second daemon ended with exit code %d, want 1", code)
			}
			if log := second.log.String(); !strings.Contains(log, "in use by process "+strconv.Itoa(first.run.PID)) || !strings.Contains(log, "--data-dir") {
				t.Errorf("the second daemon says: %s", log)
			}
			if status, _, err := first.fetch(http.MethodGet, "/-/ready", nil); err != nil || status != http.StatusOK {
				t.Errorf("the first daemon is not ready any more: %d, %v", status, err)
			}
			first.must("dead-letters list") // its record is still there
			first.stop()
		})
	}
}

// Two Apps in one process share nothing: they start, stop, are stopped before they ran, and start again on the same data,
// and leave no goroutine behind.
func TestTwoApps(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	build := func(dir string) *app.App {
		t.Helper()
		c := config.Default()
		c.DataDir, c.Web.Listen, c.NATS.Embedded.Listen = dir, "127.0.0.1:0", "127.0.0.1:0"
		a, err := app.New(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	dirs := []string{t.TempDir(), t.TempDir()}
	for round := range 2 {
		apps := []*app.App{build(dirs[0]), build(dirs[1])}
		if apps[0].URL() == apps[1].URL() || apps[0].BrokerURL() == apps[1].BrokerURL() {
			t.Fatalf("two apps at one address: %s and %s", apps[0].URL(), apps[0].BrokerURL())
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, len(apps))
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for _, a := range apps {
			go func() { ended <- a.Run(ctx) }()
			testenv.Eventually(t, patience, "the app is ready", func() bool {
				res, err := client.Get(strings.TrimSuffix(a.URL(), "/") + "/-/ready")
				if err != nil {
					return false
				}
				defer res.Body.Close()
				return res.StatusCode == http.StatusOK
			})
		}
		cancel()
		for range apps {
			if err := <-ended; err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
	}
	// Stopped before it started: Run returns at once, and everything is taken down.
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := build(dirs[0]).Run(stopped); err != nil {
		t.Errorf("running an app that is stopped already: %v", err)
	}
	// A New that fails takes down what it built.
	c := config.Default()
	c.DataDir, c.Web.Listen, c.NATS.Embedded.Listen = dirs[1], "192.0.2.1:1", "127.0.0.1:0"
	if _, err := app.New(t.Context(), app.Options{Config: c, Logger: slog.New(slog.DiscardHandler), Version: "test"}); err == nil {
		t.Error("an app beyond loopback without authentication was built")
	}
	again, cancel := context.WithCancel(t.Context())
	cancel()
	if err := build(dirs[1]).Run(again); err != nil {
		t.Errorf("running on the data of an app that failed to start: %v", err)
	}
}

// The last window closes by itself when its source falls silent, at the watermark that its last event gave plus the silence.
func TestIdleMarker(t *testing.T) {
	d := startDaemon(t, `
commit: {interval: 50ms}
limits: {idle_timeout: 300ms}
models:
  churn:
    windows: [{size: 1s}]
    pane: 1s
    lateness: 0s
    watermark_delay: 0s
`)
	_, js := d.connect()
	start := at.Add(400 * time.Millisecond)
	send(t, js, "ml.events.churn", goodEvent(1, start))
	sent := time.Now()
	eventually(t, "the only window closes", func() bool { return d.metric("driftd_window_results_total") == 1 })
	if took := time.Since(sent); took < 600*time.Millisecond {
		t.Errorf("the window closed after %v: the watermark is ahead of the silence", took)
	} else {
		t.Logf("the window closed %v after its last event, 600ms before its end", took.Round(time.Millisecond))
	}
	d.settled(js)
	var page []result.Summary
	d.get("/api/v1/models/churn/windows", &page)
	if len(page) != 1 || page[0].Window.Start != at.UnixMilli() || page[0].Counts.Events != 1 || page[0].Verdict != result.Insufficient {
		t.Errorf("windows %+v", page)
	}
	sameAsUndisturbed(t, js, d.config)
	d.stop()
}

// /metrics is what Prometheus wants of it.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		testenv.Missing(t, "promtool (Debian: the package prometheus)")
	}
	d := startDaemon(t, churnConfig)
	_, js := d.connect()
	createChurn(t, d, js)
	send(t, js, "ml.events.churn", goodEvent(1, at)+"\n{")
	marker(t, js, "churn", at.Add(time.Hour))
	d.settled(js)
	_, body, err := d.fetch(http.MethodGet, "/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(string(body))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A daemon that starts before its broker waits for it, says so once, and runs when the broker is there.
func TestStartBeforeTheBroker(t *testing.T) {
	t.Parallel()
	ext := startBroker(t)
	proxy := brokertest.NewProxy(t, ext.url)
	proxy.SetDown(true)
	ext.url = proxy.URL()
	d := newDaemon(t, ext.config()+churnConfig)
	d.launch()
	const says = "broker is not reachable: waiting for it"
	eventually(t, "the daemon says that it waits", func() bool { return strings.Contains(d.log.String(), says) })
	if _, err := broker.ReadRuntime(d.dir); err == nil || d.ended() {
		t.Fatalf("the daemon ended, or says that it runs: %v", err)
	}
	proxy.SetDown(false)
	eventually(t, "the daemon is ready", func() bool {
		var err error
		if d.run, err = broker.ReadRuntime(d.dir); err != nil || d.ended() {
			return false
		}
		status, _, err := d.fetch(http.MethodGet, "/-/ready", nil)
		return err == nil && status == http.StatusOK
	})
	if log := d.log.String(); strings.Count(log, says) != 1 || !strings.Contains(log, "broker is reached") {
		t.Errorf("want it said once that it waits, and that this is over:\n%s", log)
	}
	d.stop()
}

// A daemon that is stopped while it waits for its broker has done what it was asked.
func TestStopBeforeTheBroker(t *testing.T) {
	t.Parallel()
	ext := startBroker(t)
	proxy := brokertest.NewProxy(t, ext.url)
	proxy.SetDown(true)
	ext.url = proxy.URL()
	d := newDaemon(t, ext.config()+churnConfig)
	d.launch()
	eventually(t, "the daemon says that it waits", func() bool { return strings.Contains(d.log.String(), "broker is not reachable: waiting for it") })
	d.stop()
	if log := d.log.String(); strings.Contains(log, "canceled") {
		t.Errorf("a stop is said to be a fault:\n%s", log)
	}
}

// A daemon whose broker goes away for a moment while it starts asks again, at every step: the one of the partitions, which resolves the names of
// references, and the one of the notifiers.
func TestBrokerAwayDuringTheStart(t *testing.T) {
	t.Parallel()
	for step, ask := range map[string]string{
		"partitions": "$JS.API.STREAM.MSG.GET." + journal.ReferencesStream, "notifiers": "$JS.API.STREAM.INFO.KV_" + notify.RecordsBucket,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ext := startBroker(t)
			proxy := brokertest.NewProxy(t, ext.url)
			ext.url = proxy.URL()
			proxy.CutBefore(ask)
			d := newDaemon(t, ext.config()+churnConfig)
			d.start()
			if log := d.log.String(); !strings.Contains(log, "the broker does not answer yet: waiting for it") || !strings.Contains(log, "the broker answers") {
				t.Errorf("want it said that it waits, and that this is over:\n%s", log)
			}
			d.stop()
		})
	}
}
