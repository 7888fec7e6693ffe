package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/journal"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/selfalert"
)

// lossConfig reads a stream that a test may damage, which driftd's own forbids.
func lossConfig(policy string, b external) string {
	return b.config() + fmt.Sprintf(`  stream: EVENTS
  input: {on_loss: %s}
commit: {interval: 20ms}
models:
  m: {windows: [{size: 15m}], pane: 15m, lateness: 0s, watermark_delay: 0s}
`, policy)
}

// lossy starts a broker with the stream EVENTS, and a daemon that reads it.
func lossy(t *testing.T, policy string) (*daemon, jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	b := startBroker(t)
	d := newDaemon(t, lossConfig(policy, b))
	d.input = "EVENTS"
	d.run.URL, d.run.Token = b.url, b.token
	_, js := d.connect()
	s, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ml.events.*", "driftd.control.0"}})
	if err != nil {
		t.Fatal(err)
	}
	d.start()
	return d, js, s
}

// Retention overtakes a daemon that is down, or somebody deletes what it has not read. The windows in which that was say how many
// are missing, a counter and a critical alert too; with halt it stops and says what to do.
func TestProvenLoss(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"continue", "halt"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			d, js, s := lossy(t, policy)
			quarters(t, js, 0, 10)
			d.settled(js)
			first, _ := streamLast(t, js, "EVENTS")
			d.stop()
			quarters(t, js, 10, 20)
			if err := s.Purge(t.Context(), jetstream.WithPurgeSequence(first+6)); err != nil { // five that nobody has read
				t.Fatal(err)
			}
			if err := s.DeleteMsg(t.Context(), first+8); err != nil { // and one in the middle
				t.Fatal(err)
			}
			if policy == "halt" {
				d.launch()
				if code := d.wait(); code != 1 || !strings.Contains(d.log.String(), "on_loss is halt") {
					t.Errorf("exit code %d\n%s", code, d.log.tail(5))
				}
				return
			}
			d.start()
			quarters(t, js, 20, 22)
			d.settled(js)
			if n := d.metric("driftd_ingest_lost_messages_total"); n != 6 {
				t.Errorf("%v messages are counted as lost, want 6", n)
			}
			eventually(t, "the loss is alerted", func() bool { return d.fires(selfalert.MessagesLost) })
			var lost []string
			for _, w := range d.windows("m") {
				if !w.Complete || w.Lost > 0 {
					lost = append(lost, fmt.Sprint((w.Window.Start-at.UnixMilli())/900_000, " lacks ", w.Lost))
				}
			}
			slices.Sort(lost)
			// The loss is noted where the source is then: its newest event is of quarter 9 at the first, of quarter 16 at the second.
			if got, want := strings.Join(lost, "; "), "16 lacks 1; 9 lacks 5"; got != want {
				t.Errorf("incomplete windows: %s, want %s", got, want)
			}
		})
	}
}

func streamLast(t *testing.T, js jetstream.JetStream, name string) (last uint64, created string) {
	t.Helper()
	s, err := js.Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.LastSeq, s.CachedInfo().Created.String()
}

// windows returns the summaries of a model.
func (d *daemon) windows(model string) []result.Summary {
	d.tb.Helper()
	var docs []json.RawMessage
	d.get("/api/v1/models/"+model+"/windows?limit=1000", &docs)
	out := make([]result.Summary, len(docs))
	for i, doc := range docs {
		if err := json.Unmarshal(doc, &out[i]); err != nil {
			d.tb.Fatal(err)
		}
	}
	return out
}

// A stream that was deleted and made again has other messages under the same numbers: counting them would count something else.
func TestStreamMadeAgain(t *testing.T) {
	t.Parallel()
	d, js, _ := lossy(t, "continue")
	quarters(t, js, 0, 10)
	d.settled(js)
	d.stop()
	if err := js.DeleteStream(t.Context(), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"ml.events.*", "driftd.control.0"}}); err != nil {
		t.Fatal(err)
	}
	quarters(t, js, 0, 30)
	d.launch()
	if code := d.wait(); code != 1 || !strings.Contains(d.log.String(), "deleted and created again") {
		t.Errorf("exit code %d\n%s", code, d.log.tail(5))
	}
	// What the runbook says to go on with it.
	if err := js.DeleteStream(t.Context(), journal.StateStream(0)); err != nil {
		t.Fatal(err)
	}
	d.start()
	d.settled(js)
	if n := len(d.windows("m")); n != 29 {
		t.Errorf("%d windows, want 29", n)
	}
}

// The broker loses the end of the input, as after a power loss, and uses its sequences again. Where the daemon has committed what is
// gone, it stops and says so.
func TestRolledBackInput(t *testing.T) {
	t.Parallel()
	d := newDaemon(t, "nats: {embedded: {listen: \"127.0.0.1:0\"}}\ncommit: {interval: 20ms}\n")
	d.start()
	_, js := d.connect()
	quarters(t, js, 0, 10)
	d.settled(js)
	d.stop()
	files, err := filepath.Glob(filepath.Join(d.dir, "jetstream", "jetstream", "*", "streams", "DRIFTD_IN_0"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the files of the input stream: %v, %v", files, err)
	}
	old := filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(files[0])); err != nil {
		t.Fatal(err)
	}
	d.start()
	_, js = d.connect()
	quarters(t, js, 10, 20)
	d.settled(js)
	d.stop()
	if err := os.RemoveAll(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(files[0], os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	d.launch()
	if code := d.wait(); code != 1 || !strings.Contains(d.log.String(), "lost messages or was rolled back") {
		t.Errorf("exit code %d\n%s", code, d.log.tail(5))
	}
}
