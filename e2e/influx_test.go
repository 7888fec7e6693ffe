package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/history/historytest"
	"github.com/driftd/driftd/influx"
	"github.com/driftd/driftd/internal/elec2test"
	"github.com/driftd/driftd/internal/influxtest"
	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/store"
)

// withInfluxDB returns a configuration that keeps results in a bucket of the server.
func withInfluxDB(server *influxtest.Server, bucket, tokenFile string) string {
	return fmt.Sprintf(`
store:
  type: influxdb
  influxdb: {url: %q, org: %q, bucket: %q, token_file: %q}
`, server.URL, server.Org, bucket, tokenFile)
}

// driftd runs the command line, which must succeed.
func driftd(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := exec.Command(binary(tb), args...).CombinedOutput()
	if err != nil {
		tb.Fatalf("driftd %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// The real log through replay, the daemon and InfluxDB, which is away and not prepared at the start, and is killed in the
// middle: the daemon starts, says so once, and catches up; the API, reading from InfluxDB, answers what expected.json says; and
// every committed document is there, once, byte for byte. Backfilling from the outbox, and from the input, gives the same.
func TestInfluxDBOutage(t *testing.T) {
	server := influxtest.New(t, influxtest.Options{Auth: true})
	tokens := filepath.Join(t.TempDir(), "influx-token")
	d := newDaemon(t, elec2Config+withInfluxDB(server, "driftd", tokens))
	d.sink = "driftd-influxdb"
	d.launch()
	d.listening(t)
	eventually(t, "the daemon says that the store is away", func() bool {
		status, body, err := d.fetch("GET", "/-/ready", nil)
		return err == nil && status == 503 && strings.Contains(string(body), "store")
	})
	server.Start()
	driftd(t, "init", "influxdb", "--config", d.config, "--admin-token-file", writeFile(t, "admin-token", server.Token))
	createElec2(t, d, elec2test.ExactResolution)
	_, js := d.connect()
	records := elec2test.Lines(t)
	third := len(records) / 3
	for i, from := range []int{0, third, 2 * third} {
		to := []int{third, 2 * third, len(records)}[i]
		if i == 1 {
			server.Kill() // results are committed and wait
		}
		for at := from; at < to; {
			at += publish(t, js, records[at:min(at+2000, to)], func(int) {})
		}
		if i == 1 {
			eventually(t, "results wait for the store", func() bool { return d.metric("driftd_store_up") == 0 })
			server.Start()
		}
	}
	marker := event.Control{Kind: event.ControlMarker, Source: elec2test.Model, Watermark: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), End: true}
	if _, err := js.Publish(t.Context(), "driftd.control.0", marker.Encode()); err != nil {
		t.Fatal(err)
	}
	d.settled(js)
	windows, features := elec2test.ReadExpected(t).Compare(t, apiResults(t, d, elec2test.Model), true)
	if windows != 32 || features != 32*8 {
		t.Errorf("%d windows and %d features were compared, want all", windows, features)
	}
	for _, outage := range []string{"the store refuses results until somebody looks", "the store does not take results"} { // no token, no server
		if n := strings.Count(d.log.String(), outage); n != 1 {
			t.Errorf("the log says %d times %q, want once for its outage", n, outage)
		}
	}
	committed := committedDocuments(t, js)
	for _, from := range []string{"outbox", "input"} {
		server.CreateBucket(from, 0)
		again := writeFile(t, from+".yaml", elec2Config+withInfluxDB(server, from, writeFile(t, "admin-token", server.Token)))
		t.Log(from, driftd(t, "backfill", "--from", from, "--config", again, "--data-dir", d.dir))
		if diff := cmp.Diff(committed, storedDocuments(t, server, from, elec2test.Model)); diff != "" {
			t.Errorf("after a backfill from %s (-committed +stored):\n%s", from, diff)
		}
	}
	stored := storedDocuments(t, server, "driftd", elec2test.Model)
	missing := 0
	for id, data := range committed {
		if !bytes.Equal(stored[id], data) {
			missing++
		}
	}
	points := server.Count("driftd", influx.MeasurementDocument, influx.FieldResultID) + server.Count("driftd", influx.MeasurementAlert, influx.FieldID)
	t.Logf("%d documents committed, %d written, %d missing, %d double", len(committed), points, missing, points-len(committed))
	if missing != 0 || points != len(committed) {
		t.Errorf("%d documents committed, %d written, %d missing or other", len(committed), points, missing)
	}
	d.stop()
}

// What the embedded store holds, moved to InfluxDB: the same documents, incidents among them.
func TestBackfillFromStore(t *testing.T) {
	server := influxtest.Start(t, influxtest.Options{})
	server.CreateBucket("moved", 0)
	dir := t.TempDir()
	s, err := store.Open(t.Context(), filepath.Join(dir, "store.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	var docs []store.Document
	for i := range 250 {
		for _, doc := range historytest.Hourly(i).Documents(t) {
			docs = append(docs, store.Document(doc))
		}
	}
	docs = append(docs, store.Document(historytest.Change(t, "a", 2*historytest.Hour, result.Firing)))
	if err := errors.Join(s.Write(t.Context(), docs), s.Close()); err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		want[doc.ID] = doc.Data
	}
	config := writeFile(t, "moved.yaml", withInfluxDB(server, "moved", adminToken(t, server)))
	for range 2 { // stopped and started again, it changes nothing
		driftd(t, "backfill", "--from", "store", "--config", config, "--data-dir", dir)
	}
	if diff := cmp.Diff(want, storedDocuments(t, server, "moved", "credit")); diff != "" {
		t.Errorf("after moving (-embedded +influxdb):\n%s", diff)
	}
	if n := server.Count("moved", influx.MeasurementDocument, influx.FieldResultID); n != 750 {
		t.Errorf("%d documents, want 750", n)
	}
}

// adminToken writes the server's token to a file; there is none without authentication.
func adminToken(tb testing.TB, server *influxtest.Server) string {
	tb.Helper()
	if server.Token == "" {
		return ""
	}
	return writeFile(tb, "admin-token", server.Token)
}

// listening waits until the API answers, ready or not.
func (d *daemon) listening(tb testing.TB) {
	tb.Helper()
	eventually(tb, "the API answers", func() bool {
		run, err := broker.ReadRuntime(d.dir)
		if err != nil || run.PID != d.cmd.Process.Pid {
			return false
		}
		d.run = run
		_, _, err = d.fetch("GET", "/-/healthy", nil)
		return err == nil
	})
}

// committedDocuments returns what the outbox holds, by message id.
func committedDocuments(tb testing.TB, js jetstream.JetStream) map[string][]byte {
	tb.Helper()
	s, err := js.Stream(tb.Context(), journal.OutboxStream)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string][]byte{}
	for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(tb.Context(), seq)
		if err != nil {
			tb.Fatal(err)
		}
		out[m.Header.Get(jetstream.MsgIDHeader)] = m.Data
	}
	return out
}

// storedDocuments reads every document of a model back from InfluxDB, all revisions, by its message id.
func storedDocuments(tb testing.TB, server *influxtest.Server, bucket, model string) map[string][]byte {
	tb.Helper()
	db, err := influx.Open(influx.Options{URL: server.URL, Org: server.Org, Bucket: bucket, Token: func() (string, error) { return server.Token, nil }})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	out := map[string][]byte{}
	if err := db.EachDocument(tb.Context(), model, func(doc influx.Document) error {
		out[doc.ID] = doc.Data
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	list, err := db.Alerts(tb.Context(), history.AlertsQuery{Page: history.Page{Limit: 1000}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, raw := range list.Transitions {
		var t result.Transition
		if err := json.Unmarshal(raw, &t); err != nil {
			tb.Fatal(err)
		}
		all, err := db.Alerts(tb.Context(), history.AlertsQuery{Incident: t.Incident})
		if err != nil {
			tb.Fatal(err)
		}
		for _, raw := range all.Transitions {
			if err := json.Unmarshal(raw, &t); err != nil {
				tb.Fatal(err)
			}
			out[t.ID] = raw
		}
	}
	return out
}
