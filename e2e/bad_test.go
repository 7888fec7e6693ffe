package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/history"
	"github.com/driftd/driftd/result"
)

// churnConfig has short windows and a reference of 200 rows with a numeric and a categorical feature.
const churnConfig = `
commit: {interval: 50ms}
models:
  churn:
    reference: churn
    windows: [{size: 15m}]
    pane: 15m
    lateness: 1h
`

// at is a quarter of an hour of the past, where the events of these tests are.
var at = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// writeFile writes a file of the test and returns its path.
func writeFile(tb testing.TB, name, text string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// createChurn stores the reference of churnConfig and waits until the stream's configuration has it.
func createChurn(tb testing.TB, d *daemon, js jetstream.JetStream) {
	tb.Helper()
	var rows strings.Builder
	rows.WriteString("x,c\n")
	for i := range 200 {
		fmt.Fprintf(&rows, "%d,%c\n", i%50, 'a'+rune(i%3))
	}
	before := lastSeq(tb, js)
	d.must("reference create", "--from", writeFile(tb, "churn.csv", rows.String()), "--name", "churn", "--model", "churn")
	eventually(tb, "the reference is in the stream's configuration", func() bool { return lastSeq(tb, js) > before })
	d.settled(js)
}

func lastSeq(tb testing.TB, js jetstream.JetStream) uint64 {
	tb.Helper()
	in, err := js.Stream(tb.Context(), "DRIFTD_IN_0")
	if err != nil {
		tb.Fatal(err)
	}
	return in.CachedInfo().State.LastSeq
}

// send publishes a message and waits for its acknowledgement.
func send(tb testing.TB, js jetstream.JetStream, subject, data string) {
	tb.Helper()
	if _, err := js.Publish(tb.Context(), subject, []byte(data)); err != nil {
		tb.Fatal(err)
	}
}

// moved returns by how much series changed, those that did not left out.
func moved(before, after map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for series, x := range after {
		if x != before[series] && strings.HasPrefix(series, "driftd_ingest_") {
			out[strings.TrimSuffix(strings.TrimPrefix(series, "driftd_ingest_"), "_total")] = x - before[series]
		}
	}
	delete(out, "messages")
	return out
}

// deadLetters lists what was refused.
func deadLetters(tb testing.TB, d *daemon) []result.DeadLetter {
	tb.Helper()
	var out []result.DeadLetter
	for line := range strings.Lines(d.must("dead-letters list", "--limit", "0", "--json")) {
		var l result.DeadLetter
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			tb.Fatal(err)
		}
		out = append(out, l)
	}
	return out
}

// Every kind of bad record moves its counter by one, leaves a dead letter with its reason where it must, and the good event
// behind it is counted.
func TestBadRecords(t *testing.T) {
	d := startDaemon(t, churnConfig)
	_, js := d.connect()
	createChurn(t, d, js)
	n := 0
	good := func() string {
		n++
		return fmt.Sprintf(`{"model":"churn","id":"good-%d","ts":%q,"features":{"x":%d,"c":"a"}}`, n, at.Format(time.RFC3339), n)
	}
	event := map[string]float64{`records_total{result="event"}`: 1}
	with := func(series string, x float64) map[string]float64 {
		out := maps.Clone(event)
		out[series] += x
		return out
	}
	dead := func(reason string) map[string]float64 { return with(`rejected_total{reason="`+reason+`"}`, 1) }
	kept := func(series string) map[string]float64 {
		out := with(series, 1)
		out[`records_total{result="event"}`]++
		return out
	}
	ts := fmt.Sprintf(`"ts":%q`, at.Format(time.RFC3339))
	send(t, js, "ml.events.churn", good())
	for _, tc := range []struct {
		name, subject, data string
		want                map[string]float64 // with the good event behind it
		reason              string             // of the dead letter; empty: none
		detail              string             // part of it
	}{
		{"not JSON", "ml.events.churn", "hello", dead("malformed"), "malformed", "JSON"},
		{"cut off", "ml.events.churn", `{"model":"churn","id":"cut`, dead("malformed"), "malformed", ""},
		{"bare NaN", "ml.events.churn", `{"id":"nan",` + ts + `,"features":{"x":NaN}}`, dead("bare_nan"), "bare_nan", "null"},
		{"unreadable time", "ml.events.churn", `{"id":"time","ts":"yesterday","features":{"x":1}}`, dead("bad_time"), "bad_time", "RFC 3339"},
		{"models disagree", "ml.events.churn", `{"model":"other","id":"m",` + ts + `}`, dead("model_mismatch"), "model_mismatch", "subject"},
		{"label without an id", "ml.labels.churn", `{"label":1,` + ts + `}`, dead("label_without_id"), "label_without_id", "id"},
		{"quoted NaN", "ml.events.churn", `{"id":"qnan",` + ts + `,"features":{"x":"NaN","c":"a"}}`, with(`records_total{result="event"}`, 1), "", ""},
		{"quoted infinity", "ml.events.churn", `{"id":"qinf",` + ts + `,"features":{"x":"-Infinity","c":"a"}}`, with(`records_total{result="event"}`, 1), "", ""},
		{"wrong type of a feature", "ml.events.churn", `{"id":"wt",` + ts + `,"features":{"x":[1],"c":"a"}}`, kept("wrong_types"), "", ""},
		{"wrong type of a field", "ml.events.churn", `{"id":"wf",` + ts + `,"latency_ms":"fast","features":{"x":1,"c":"a"}}`, kept("wrong_types"), "", ""},
		{"a feature never seen", "ml.events.churn", `{"id":"fn",` + ts + `,"features":{"x":1,"c":"a","shoe":42}}`, kept("unknown_fields"), "", ""},
		{"a duplicate key", "ml.events.churn", `{"id":"dk",` + ts + `,"features":{"x":1,"x":2,"c":"a"}}`, kept("duplicate_keys"), "", ""},
		{"an id twice", "ml.events.churn", `{"id":"good-1",` + ts + `}`, with(`records_total{result="duplicate"}`, 1), "", ""},
		{"no id", "ml.events.churn", `{` + ts + `,"features":{"x":1,"c":"a"}}`, kept("without_id"), "", ""},
		{"the year 1970", "ml.events.churn", `{"id":"1970","ts":"1970-01-01T00:00:00Z"}`, with(`records_total{result="late"}`, 1), "", ""},
	} {
		d.settled(js)
		before, letters := d.metrics(), len(deadLetters(t, d))
		send(t, js, tc.subject, tc.data)
		send(t, js, "ml.events.churn", good())
		d.settled(js)
		if got := moved(before, d.metrics()); !maps.Equal(got, tc.want) {
			t.Errorf("%s: counters moved by %v, want %v", tc.name, got, tc.want)
		}
		now := deadLetters(t, d)
		switch {
		case tc.reason == "" && len(now) == letters:
		case tc.reason == "" || len(now) != letters+1:
			t.Errorf("%s: %d dead letters more, reason %q", tc.name, len(now)-letters, tc.reason)
		case now[letters].Reason != tc.reason || !strings.Contains(now[letters].Detail, tc.detail):
			t.Errorf("%s: dead letter %+v, want reason %q with %q", tc.name, now[letters], tc.reason, tc.detail)
		case d.must("dead-letters show", fmt.Sprintf("%d.%d", now[letters].Seq, now[letters].Index), "--raw") != tc.data:
			t.Errorf("%s: dead-letters show does not give back the record", tc.name)
		}
	}
	// Where each value went, in the judged window.
	marker(t, js, "churn", at.Add(time.Hour))
	d.settled(js)
	s, x := windowOf(t, d, "churn", at, "x")
	if s.Counts.Late != 1 || s.Counts.Duplicate != 1 || s.Counts.Unknown != 1 || s.Counts.DuplicateKey != 1 || s.Counts.WithoutID != 1 {
		t.Errorf("counts of the window: %+v", s.Counts)
	}
	// NaN is missing, -Infinity and the array lie beside the distribution; all other events count.
	if x.Current.Missing != 1 || x.Current.Inf != 1 || x.Current.Invalid != 1 || x.Current.Count != s.Counts.Events-3 {
		t.Errorf("x of %d events: %+v", s.Counts.Events, x.Current)
	}
}

// windowOf returns the result of the window that starts at a time, and one of its features.
func windowOf(tb testing.TB, d *daemon, model string, start time.Time, feature string) (s result.Summary, f result.Feature) {
	tb.Helper()
	var page []result.Summary
	d.get(fmt.Sprintf("/api/v1/models/%s/windows?from=%d&to=%d", model, start.UnixMilli(), start.UnixMilli()+1), &page)
	if len(page) != 1 {
		tb.Fatalf("%d windows start at %s, want 1", len(page), start)
	}
	var w history.Window
	d.get("/api/v1/models/"+model+"/windows/"+page[0].ResultID, &w)
	for _, data := range w.Features {
		var x result.Feature
		if err := json.Unmarshal(data, &x); err != nil {
			tb.Fatal(err)
		}
		if x.Feature == feature {
			f = x
		}
	}
	return page[0], f
}

// marker publishes a marker for one model.
func marker(tb testing.TB, js jetstream.JetStream, model string, watermark time.Time) {
	tb.Helper()
	send(tb, js, "driftd.control.0", fmt.Sprintf(`{"schema":1,"watermark":%d,"source":%q}`, watermark.UnixMilli(), model))
}

// An event of 2099 is counted at the broker's time, says so, and moves no watermark: the window of now stays open.
func TestFutureEvent(t *testing.T) {
	d := startDaemon(t, churnConfig)
	_, js := d.connect()
	createChurn(t, d, js)
	now := time.Now().UTC()
	good := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"ts":%d,"features":{"x":1,"c":"a"}}`, id, now.UnixMilli())
	}
	send(t, js, "ml.events.churn", good("1"))
	send(t, js, "ml.events.churn", `{"id":"2","ts":"2099-01-01T00:00:00Z","features":{"x":1,"c":"a"}}`)
	send(t, js, "ml.events.churn", good("3"))
	d.settled(js)
	if got := d.metric("driftd_ingest_future_total"); got != 1 {
		t.Errorf("driftd_ingest_future_total is %v, want 1", got)
	}
	if got := d.metric(`driftd_ingest_records_total{result="event"}`); got != 3 {
		t.Errorf("%v events were counted, want 3", got)
	}
	if got := d.metric("driftd_window_results_total"); got != 0 {
		t.Errorf("%v windows were closed by an event of 2099", got)
	}
	// The end of a file closes what it opened, however far the quarter's end is; a plain marker may not lead the clock.
	send(t, js, "driftd.control.0", fmt.Sprintf(`{"schema":1,"watermark":%d,"source":"churn","end":true}`, now.UnixMilli()))
	d.settled(js)
	var events, future uint64
	var page []result.Summary
	d.get("/api/v1/models/churn/windows", &page)
	for _, s := range page { // two, when the quarter ended in between
		events, future = events+s.Counts.Events, future+s.Counts.Future
	}
	if events != 3 || future != 1 {
		t.Errorf("the windows have %d events, %d of the future, want 3 and 1", events, future)
	}
}

// A model that nobody named is counted and shown without a reference, or refused, as the configuration says.
func TestUnknownModel(t *testing.T) {
	for policy, want := range map[string]float64{"auto": 1, "reject": 0} {
		t.Run(policy, func(t *testing.T) {
			d := startDaemon(t, "unknown_models: "+policy+"\n"+churnConfig)
			_, js := d.connect()
			send(t, js, "ml.events.stranger", fmt.Sprintf(`{"id":"1","ts":%d,"features":{"x":1}}`, at.UnixMilli()))
			send(t, js, "ml.events.churn", fmt.Sprintf(`{"id":"1","ts":%d}`, at.UnixMilli()))
			send(t, js, "driftd.control.0", fmt.Sprintf(`{"schema":1,"watermark":%d}`, at.Add(24*time.Hour).UnixMilli()))
			d.settled(js)
			if got := d.metric(`driftd_ingest_records_total{result="event"}`); got != 1+want {
				t.Errorf("%v events were counted, want %v", got, 1+want)
			}
			if got := d.metric(`driftd_ingest_rejected_total{reason="unknown_model"}`); got != 1-want {
				t.Errorf("%v records were refused as of an unknown model, want %v", got, 1-want)
			}
			letters := deadLetters(t, d)
			var models []history.Model
			d.get("/api/v1/models", &models)
			if policy == "reject" {
				if len(letters) != 1 || letters[0].Reason != "unknown_model" || letters[0].Model != "stranger" || len(models) != 1 {
					t.Errorf("dead letters %+v, models %+v", letters, models)
				}
				return
			}
			if len(letters) != 0 || len(models) != 2 || models[1].Model != "stranger" ||
				!strings.Contains(strings.Join(models[1].Latest[0].Reasons, " "), "reference") {
				t.Errorf("dead letters %+v, models %+v", letters, models)
			}
		})
	}
}

// A message of 10 MB is refused by the broker, and the client is told; where the broker takes it, driftd dead-letters it.
func TestOversize(t *testing.T) {
	big := append([]byte(`{"id":"big","features":{"x":"`), bytes.Repeat([]byte("x"), 10_000_000)...)
	big = append(big, `"}}`...)
	t.Run("refused by the broker", func(t *testing.T) {
		d := startDaemon(t, churnConfig)
		_, js := d.connect()
		if _, err := js.Publish(t.Context(), "ml.events.churn", big); !errors.Is(err, nats.ErrMaxPayload) {
			t.Errorf("publishing 10 MB: %v, want %v", err, nats.ErrMaxPayload)
		}
		_, stderr, code := d.cli("replay", "--model", "churn", writeFile(t, "big.ndjson", string(big)+"\n"))
		if code != 1 || !strings.Contains(stderr, "big.ndjson:1") || !strings.Contains(stderr, "the broker takes at most") {
			t.Errorf("replay: exit code %d: %.300s", code, stderr)
		}
		send(t, js, "ml.events.churn", `{"id":"1"}`)
		d.settled(js)
		if got := d.metric(`driftd_ingest_records_total{result="event"}`); got != 1 {
			t.Errorf("%v events were counted, want the good one", got)
		}
	})
	t.Run("dead-lettered by driftd", func(t *testing.T) {
		d := startDaemon(t, "nats: {embedded: {max_payload: 16MiB}}\n"+churnConfig)
		_, js := d.connect()
		if _, err := js.Publish(t.Context(), "ml.events.churn", big); err != nil {
			t.Fatalf("publishing 10 MB: %v", err)
		}
		send(t, js, "ml.events.churn", `{"id":"1"}`)
		d.settled(js)
		letters := deadLetters(t, d)
		if len(letters) != 1 || letters[0].Reason != "oversize" || letters[0].Size != len(big) || !strings.Contains(letters[0].Detail, "limits.max_message") {
			t.Errorf("dead letters %+v", letters)
		}
		if got := d.metric(`driftd_ingest_rejected_total{reason="oversize"}`); got != 1 {
			t.Errorf("%v records were refused as oversize, want 1", got)
		}
		if got := d.metric(`driftd_ingest_records_total{result="event"}`); got != 1 {
			t.Errorf("%v events were counted, want the good one", got)
		}
	})
}

// Files without rows are unreadable input; a reference of one row says what it lacks, and judges nothing.
func TestPoorFiles(t *testing.T) {
	d := startDaemon(t, churnConfig)
	_, js := d.connect()
	empty, header := writeFile(t, "empty.ndjson", ""), writeFile(t, "header.csv", "x,c\n")
	for _, tc := range []struct {
		command string
		args    []string
		code    int
		says    string
	}{
		{"replay", []string{empty}, 2, "empty"},
		{"reference create", []string{"--from", empty, "--model", "churn"}, 1, "the input is empty"},
		{"reference create", []string{"--from", header, "--model", "churn"}, 1, "rows"},
		{"replay", []string{"nowhere.ndjson"}, 2, "no such file"},
	} {
		stdout, stderr, code := d.cli(tc.command, tc.args...)
		if code != tc.code || !strings.Contains(stderr, tc.says) {
			t.Errorf("driftd %s %v: exit code %d, want %d with %q\n%s%s", tc.command, tc.args, code, tc.code, tc.says, stdout, stderr)
		}
	}
	before := lastSeq(t, js)
	d.must("reference create", "--from", writeFile(t, "one.csv", "x,c\n1,a\n"), "--name", "churn", "--model", "churn")
	eventually(t, "the reference is in the stream's configuration", func() bool { return lastSeq(t, js) > before })
	for i := range 100 {
		send(t, js, "ml.events.churn", fmt.Sprintf(`{"id":"%d","ts":%d,"features":{"x":%d,"c":"a"}}`, i, at.UnixMilli(), i))
	}
	marker(t, js, "churn", at.Add(time.Hour))
	d.settled(js)
	s, x := windowOf(t, d, "churn", at, "x")
	if s.Verdict != result.Insufficient || x.Verdict != result.Insufficient || s.Counts.Events != 100 || len(x.Reasons) == 0 || x.Reference.Count != 1 {
		t.Errorf("verdict %s of %d events, x: %s %v", s.Verdict, s.Counts.Events, x.Verdict, x.Reasons)
	}
}
