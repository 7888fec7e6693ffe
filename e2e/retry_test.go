package e2e_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/driftd/driftd/ingest"
)

const retryConfig = `
commit: {interval: 20ms}
unknown_models: reject
models:
  known: {windows: [{size: 15m}], pane: 15m}
`

// events returns how many events were counted, and how many records were duplicates.
func (d *daemon) events() string {
	m := d.metrics()
	return fmt.Sprint(m[`driftd_ingest_records_total{result="event"}`], " ", m[`driftd_ingest_records_total{result="duplicate"}`])
}

func TestDeadLettersRetry(t *testing.T) {
	d := startDaemon(t, retryConfig)
	_, js := d.connect()
	// Without ids, so that nothing but the pointer can tell a repetition.
	send(t, js, "ml.events.new", fmt.Sprintf(`[{"ts":%d},{"ts":%[1]d}]`, at.UnixMilli()))
	send(t, js, "ml.events.new", `{"ts":"yesterday"}`)
	d.settled(js)
	letters := deadLetters(t, d)
	if len(letters) != 3 || letters[0].Reason != "unknown_model" || letters[2].Reason != "bad_time" {
		t.Fatalf("dead letters: %+v", letters)
	}
	message := letters[0].Seq

	// What the decoder refuses is not worth a message; what only the daemon can judge is, and it is refused again.
	if _, stderr, code := d.cli("dead-letters retry", strconv.FormatUint(letters[2].Seq, 10)); code != 1 || !strings.Contains(stderr, "would be refused again") {
		t.Errorf("retrying what cannot be decoded: exit code %d: %s", code, stderr)
	}
	// Not the next number: the daemon may have put a record of its own, such as a tick, between the two.
	d.must("dead-letters retry", strconv.FormatUint(letters[2].Seq, 10), "--force")
	d.settled(js)
	if now := deadLetters(t, d); len(now) != 4 || now[3].Reason != "bad_time" || now[3].Seq <= letters[2].Seq {
		t.Errorf("dead letters after a retry by force: %+v", now)
	}

	// The model is named now: its records are counted, once.
	d.configure(retryConfig + "  new: {windows: [{size: 15m}], pane: 15m}\n")
	before := lastSeq(t, js)
	if status, body, err := d.fetch(http.MethodPost, "/-/reload", nil); err != nil || status != http.StatusOK {
		t.Fatalf("reloading: %d %s %v", status, body, err)
	}
	eventually(t, "the configuration is in the stream", func() bool { return lastSeq(t, js) > before })
	if out := d.must("dead-letters retry", "--reason", "unknown_model"); strings.Count(out, "is message") != 2 {
		t.Errorf("retrying by reason: %s", out)
	}
	d.settled(js)
	if got := d.events(); got != "2 0" {
		t.Errorf("events and duplicates %s, want 2 0", got)
	}
	if out := d.must("dead-letters retry", fmt.Sprint(message, ".1")); !strings.Contains(out, "was published a moment ago") {
		t.Errorf("retrying again at once: %s", out)
	}
	// Later the broker has forgotten that: the fold has not, also after a kill.
	d.kill()
	d.start()
	_, js = d.connect()
	msg := &nats.Msg{Subject: "ml.events.new", Data: fmt.Appendf(nil, `{"ts":%d}`, at.UnixMilli()), Header: nats.Header{}}
	msg.Header.Set(ingest.HeaderRetry, fmt.Sprint(message, ".1"))
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
	d.settled(js)
	if got := d.events(); got != "0 1" { // of this process
		t.Errorf("events and duplicates %s, want 0 1", got)
	}

	// The message is gone.
	in, err := js.Stream(t.Context(), d.input)
	if err != nil {
		t.Fatal(err)
	}
	cfg := in.CachedInfo().Config
	cfg.MaxMsgs = 1 // as a limit of bytes or age would
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := d.cli("dead-letters retry", strconv.FormatUint(message, 10)); code != 1 || !strings.Contains(stderr, "no longer has message") {
		t.Errorf("retrying what is gone: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := d.cli("dead-letters retry", "999999"); code != 1 || !strings.Contains(stderr, "there is no dead letter 999999") {
		t.Errorf("retrying what never was: exit code %d: %s", code, stderr)
	}
	if _, stderr, code := d.cli("dead-letters retry", "--reason", "boredom"); code != 2 || !strings.Contains(stderr, "bare_nan") {
		t.Errorf("retrying an unknown reason: exit code %d: %s", code, stderr)
	}
}
