package e2e_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	_ "modernc.org/sqlite" // the store's driver: a test locks the store with it

	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/selfalert"
)

// pressureConfig has small bounds and windows that close with the next event.
const pressureConfig = `
commit: {interval: 20ms, max_bytes: 1MiB}
nats:
  embedded: {listen: "127.0.0.1:0"} # tests that run beside each other
  state: {max_bytes: 2MiB}
  outbox: {max_bytes: 1MiB}
models:
  m: {windows: [{size: 15m}], pane: 15m, lateness: 0s, watermark_delay: 0s}
`

// quarters publishes one event for each quarter of an hour in [from, to), and waits for every acknowledgement.
func quarters(tb testing.TB, js jetstream.JetStream, from, to int) {
	tb.Helper()
	var acks []jetstream.PubAckFuture
	for i := from; i < to; i++ {
		ack, err := js.PublishAsync("ml.events.m", fmt.Appendf(nil, `{"id":"q%d","ts":%d}`, i, at.UnixMilli()+int64(i)*900_000))
		if err != nil {
			tb.Fatal(err)
		}
		acks = append(acks, ack)
	}
	for _, a := range acks {
		select {
		case <-a.Ok():
		case err := <-a.Err():
			tb.Fatal(err)
		}
	}
}

// counted waits until everything that is stored is folded and committed.
func (d *daemon) counted(js jetstream.JetStream) {
	d.tb.Helper()
	eventually(d.tb, "everything is folded and committed", func() bool {
		for series, x := range d.metrics() {
			if strings.HasPrefix(series, "driftd_pipeline_position") {
				return uint64(x) == lastSeq(d.tb, js)
			}
		}
		return false
	})
}

// fires says whether an alert about driftd itself fires, by the API, the metrics and the page.
func (d *daemon) fires(name selfalert.Name) bool {
	d.tb.Helper()
	var alerts []selfalert.Alert
	find := func() int {
		d.get("/api/v1/self", &alerts)
		return slices.IndexFunc(alerts, func(a selfalert.Alert) bool { return a.Name == name })
	}
	i := find()
	if i < 0 {
		return false
	}
	summary := alerts[i].Summary
	series := fmt.Sprintf(`driftd_alert{alert=%q,severity=%q}`, name, alerts[i].Severity)
	_, page, err := d.fetch(http.MethodGet, "/", nil)
	if err != nil {
		d.tb.Fatal(err)
	}
	if find() < 0 {
		return false // it ended between the two looks
	}
	if !strings.Contains(string(page), summary) || !strings.Contains(d.log.String(), "alert="+string(name)) &&
		!strings.Contains(d.log.String(), `"alert":"`+string(name)+`"`) {
		d.tb.Errorf("alert %s is not on the page or not in the log", name)
	}
	return d.metric(series) == 1
}

// A store that hangs slows nothing: everything is counted and committed, and reaches the store afterwards. What the outbox could
// not keep for so long is counted as expired, exactly, and alerted.
func TestStoreThatHangs(t *testing.T) {
	t.Parallel() // it waits most of its time
	d := startDaemon(t, pressureConfig)
	_, js := d.connect()
	quarters(t, js, 0, 10)
	d.settled(js)
	db, err := sql.Open("sqlite", filepath.Join(d.dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	lock, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil { // every write of the daemon waits for this transaction
		t.Fatal(err)
	}
	stored := d.metric("driftd_store_documents_total")
	quarters(t, js, 10, 200)
	d.counted(js)
	if now := d.metric("driftd_store_documents_total"); now != stored {
		t.Fatalf("the store took %v documents although it was locked", now-stored)
	}
	if d.metric("driftd_store_expired_documents_total") != 0 {
		t.Error("documents expired within the outbox's bound")
	}
	eventually(t, "the store's outage is alerted", func() bool { return d.fires(selfalert.SinkDown) })
	if status, _, _ := d.fetch(http.MethodGet, "/-/healthy", nil); status != http.StatusOK {
		t.Errorf("/-/healthy answers %d: an outage of the store must not restart the daemon", status)
	}
	outbox, err := js.Stream(t.Context(), journal.OutboxStream)
	if err != nil {
		t.Fatal(err)
	}
	for n := 200; ; n += 300 { // until the outbox drops results that the store has not seen
		quarters(t, js, n, n+300)
		d.counted(js)
		info, err := outbox.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.FirstSeq > uint64(stored)+50 {
			break
		}
	}
	eventually(t, "the expiry is alerted", func() bool { return d.fires(selfalert.OutboxExpired) })
	if _, err := lock.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	d.settled(js)
	info, err := outbox.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var written, expired float64
	eventually(t, "every document is written or expired", func() bool { // what has expired is counted when the daemon looks next
		m := d.metrics()
		written, expired = m["driftd_store_documents_total"], m["driftd_store_expired_documents_total"]
		return uint64(written+expired) >= info.State.LastSeq
	})
	t.Logf("%v documents written, %v expired", written, expired)
	if uint64(written+expired) != info.State.LastSeq || expired == 0 {
		t.Errorf("%v documents written and %v expired, of %d in all", written, expired, info.State.LastSeq)
	}
	eventually(t, "the outage is over", func() bool { return !d.fires(selfalert.SinkDown) })
}

// A full state stream stops the counting with a clear alert and loses nothing; with room it goes on by itself.
func TestFullStateStream(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, pressureConfig)
	_, js := d.connect()
	quarters(t, js, 0, 10)
	d.settled(js)
	junk := make([]byte, 64<<10)
	for size := len(junk); size > 512; { // larger pieces first, so that no room is left
		if _, err := js.Publish(t.Context(), "driftd.state.0.junk", junk[:size]); err != nil {
			size /= 2
		}
	}
	quarters(t, js, 10, 400)
	eventually(t, "the full state stream is alerted", func() bool { return d.fires(selfalert.StateFull) })
	if status, body, _ := d.fetch(http.MethodGet, "/-/ready", nil); status != http.StatusServiceUnavailable || !strings.Contains(string(body), "full") {
		t.Errorf("/-/ready answers %d: %s", status, body)
	}
	state, err := js.Stream(t.Context(), journal.StateStream(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := state.Purge(t.Context(), jetstream.WithPurgeSubject("driftd.state.0.junk")); err != nil {
		t.Fatal(err)
	}
	quarters(t, js, 400, 410)
	d.settled(js)
	eventually(t, "the alert is over", func() bool { return !d.fires(selfalert.StateFull) })
	var windows []json.RawMessage
	d.get("/api/v1/models/m/windows?limit=1000", &windows)
	if len(windows) != 409 { // the last one is open
		t.Fatalf("%d windows, want 409", len(windows))
	}
	for _, w := range windows {
		var s result.Summary
		if err := json.Unmarshal(w, &s); err != nil {
			t.Fatal(err)
		}
		if s.Counts.Events != 1 || !s.Complete {
			t.Errorf("window %v: %d events, complete %v", time.UnixMilli(s.Window.Start), s.Counts.Events, s.Complete)
		}
	}
}

// When a state stream counts as filling is a setting, and a reload changes it: an eighth of a stream of 2 MiB is more than 5 %, and
// less than half.
func TestThresholdOfSelfAlert(t *testing.T) {
	t.Parallel() // it waits most of its time
	d := startDaemon(t, pressureConfig+"self_alerts: {state_percent: 5}\n")
	_, js := d.connect()
	for range 4 {
		if _, err := js.Publish(t.Context(), "driftd.state.0.junk", make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the filling state stream is alerted", func() bool { return d.fires(selfalert.StateFilling) })
	d.configure(pressureConfig + "self_alerts: {state_percent: 50}\n")
	if status, body, err := d.fetch(http.MethodPost, "/-/reload", nil); err != nil || status != http.StatusOK {
		t.Fatalf("reloading: %d %s %v", status, body, err)
	}
	eventually(t, "the alert is over", func() bool { return !d.fires(selfalert.StateFilling) })
}
