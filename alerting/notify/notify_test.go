package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/internal/amtest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

const patience = 30 * time.Second

// buckets opens the buckets of a real broker.
func buckets(tb testing.TB) jetstream.KeyValue {
	tb.Helper()
	embedded, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: tb.TempDir(), Host: "127.0.0.1", Port: -1, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler)}) //nolint:exhaustruct // the defaults are meant
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(embedded.Shutdown)
	nc, err := broker.Connect(tb.Context(), broker.ConnectOptions{URL: embedded.URL(), Token: embedded.Token(), Name: "test", Logger: slog.New(slog.DiscardHandler)}) //nolint:exhaustruct // as above
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	records, _, err := notify.OpenBuckets(tb.Context(), js, 1)
	if err != nil {
		tb.Fatal(err)
	}
	return records
}

// stream is a source that keeps what was not acknowledged, as the outbox does.
type stream struct {
	mu   sync.Mutex
	msgs []notify.Message
	wake chan struct{}
}

func newStream() *stream { return &stream{wake: make(chan struct{}, 1)} } //nolint:exhaustruct // empty

// say publishes a transition.
func (s *stream) say(tb testing.TB, incident string, to result.IncidentState, end int64, change ...func(*result.Transition)) {
	tb.Helper()
	t := result.Transition{ //nolint:exhaustruct // what notifiers read
		Schema: 1, Type: "transition", ID: fmt.Sprintf("%s.%s.%d", incident, to, end), Incident: incident, Rule: incident, Kind: "feature_drift", Severity: "warning",
		Key: result.Key{Model: "m", Version: "*", Segment: "*"}, From: result.Pending, To: to, Window: result.Window{Start: end - 3_600_000, End: end, Size: 3_600_000},
		Title: "m: " + incident + " " + string(to), Reasons: []string{"a reason"},
	}
	for _, f := range change {
		f(&t)
	}
	data, err := json.Marshal(t)
	if err != nil {
		tb.Fatal(err)
	}
	s.mu.Lock()
	s.msgs = append(s.msgs, notify.Message{Data: data, Time: time.Now(), Ack: nil})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *stream) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.msgs) == 0
}

func (s *stream) Fetch(ctx context.Context, limit int) ([]notify.Message, error) {
	for {
		s.mu.Lock()
		out := slices.Clone(s.msgs[:min(limit, len(s.msgs))])
		s.mu.Unlock()
		for i := range out {
			out[i].Ack = func() error {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.msgs = slices.DeleteFunc(s.msgs, func(m notify.Message) bool { return bytes.Equal(m.Data, out[i].Data) })
				return nil
			}
		}
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		}
	}
}

// courier runs a courier until the returned function is called.
func courier(tb testing.TB, name string, n notify.Notifier, s *stream, records jetstream.KeyValue, silences func() []alerting.Silence) (*notify.Courier, func()) {
	tb.Helper()
	if silences == nil {
		silences = func() []alerting.Silence { return nil }
	}
	return run(tb, notify.Receiver{Name: name, Notifier: n, Match: nil}, s, records, silences)
}

// courierFor is courier for a receiver of a type.
func courierFor(tb testing.TB, r notify.Receiver, s *stream, records jetstream.KeyValue) (*notify.Courier, func()) {
	tb.Helper()
	return run(tb, r, s, records, func() []alerting.Silence { return nil })
}

func run(tb testing.TB, r notify.Receiver, s *stream, records jetstream.KeyValue, silences func() []alerting.Silence) (*notify.Courier, func()) {
	tb.Helper()
	c := notify.NewCourier(notify.Options{
		Name: r.Name, Notifier: r.Notifier, Records: records, Silences: silences, Match: r.Match, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		Timeout: 2 * time.Second, MaxWait: time.Second, Grouping: 50 * time.Millisecond,
		Source: func(context.Context) (notify.Source, error) { return s, nil },
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx); err != nil {
			tb.Error(err)
		}
	}()
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); <-done }) }
	tb.Cleanup(stop)
	return c, stop
}

func alertmanager(tb testing.TB, url string) *notify.Alertmanager {
	tb.Helper()
	n, err := notify.NewAlertmanager(notify.AlertmanagerOptions{
		URL: url, Client: http.DefaultClient, External: map[string]string{"cluster": "test"}, Page: func() string { return "http://driftd.example" },
		Now: time.Now, Repeat: time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// A drift of 200 features is one alert on its whole way: fired, told, changed, resolved.
func TestAlertmanager(t *testing.T) {
	receiver := amtest.NewReceiver(t)
	am := amtest.New(t, receiver, "")
	am.Start()
	s := newStream()
	courier(t, "am-0", alertmanager(t, am.URL), s, buckets(t), nil)
	many := func(tr *result.Transition) {
		tr.Feature, tr.Role, tr.FeaturesTotal = "f000", result.RoleFeature, 200
		for i := range 25 {
			tr.Features = append(tr.Features, result.IncidentFeature{Feature: fmt.Sprintf("f%03d", i), Role: result.RoleFeature}) //nolint:exhaustruct // names
		}
	}
	s.say(t, "feature-drift", result.Pending, 1)
	s.say(t, "feature-drift", result.Firing, 2, many)
	testenv.Eventually(t, patience, "the receiver is told", func() bool { return len(receiver.Told()) > 0 })
	first := receiver.Notifications()[0]
	if len(first.Alerts) != 1 || first.GroupLabels["alertname"] != "feature-drift" {
		t.Fatalf("told: %+v", first)
	}
	a := first.Alerts[0]
	wantLabels := map[string]string{
		"alertname": "feature-drift", "cluster": "test", "kind": "feature_drift", "model": "m", "segment": "*", "severity": "warning", "version": "*", "window": "1h",
	}
	if diff := cmp.Diff(wantLabels, a.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if a.GeneratorURL != "http://driftd.example/models/m" || a.Annotations["summary"] != "m: feature-drift firing" ||
		a.Annotations["description"] != "a reason" || len(a.Annotations["features"]) == 0 {
		t.Errorf("alert: %+v", a)
	}
	s.say(t, "feature-drift", result.Firing, 3, many, func(tr *result.Transition) { tr.From = result.Firing; tr.Title = "changed" })
	testenv.Eventually(t, patience, "the annotation is the new one", func() bool {
		alerts := am.Alerts()
		return len(alerts) == 1 && alerts[0].Annotations["summary"] == "changed"
	})
	// A crash of Alertmanager in the middle: it forgets, and is told again.
	am.Kill()
	am.Start()
	testenv.Eventually(t, patience, "it knows the alert again", func() bool { return len(am.Alerts()) == 1 })
	s.say(t, "feature-drift", result.Resolved, 4)
	testenv.Eventually(t, patience, "the receiver hears that it is over", func() bool { return slices.Contains(receiver.Told(), "resolved feature-drift m") })
	firing := 0
	for _, n := range receiver.Notifications() {
		if n.Status == "firing" {
			firing++
		}
	}
	if firing > 2 { // once, and perhaps once more after the crash, whose log of what was told is a snapshot
		t.Errorf("told %d times that it fires", firing)
	}
}

// What Alertmanager itself groups, inhibits and silences it does with driftd's alerts too.
func TestAlertmanagerInhibitsAndSilences(t *testing.T) {
	receiver := amtest.NewReceiver(t)
	am := amtest.New(t, receiver, `
inhibit_rules:
  - source_matchers: [alertname="no-data"]
    target_matchers: [alertname="feature-drift"]
    equal: [model]
`)
	am.Start()
	am.Post("/api/v2/silences", map[string]any{
		"matchers": []map[string]any{{"name": "alertname", "value": "latency-p95", "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().UTC(), "endsAt": time.Now().Add(time.Hour).UTC(), "createdBy": "test", "comment": "test",
	})
	s := newStream()
	courier(t, "am-0", alertmanager(t, am.URL), s, buckets(t), nil)
	s.say(t, "no-data", result.Firing, 2)
	s.say(t, "feature-drift", result.Firing, 2)
	s.say(t, "latency-p95", result.Firing, 2)
	s.say(t, "error-rate", result.Firing, 2)
	testenv.Eventually(t, patience, "two of four are told", func() bool { return len(receiver.Told()) >= 2 })
	testenv.Eventually(t, patience, "it holds all four", func() bool { return len(am.Alerts()) == 4 })
	told := receiver.Told()
	slices.Sort(told)
	if diff := cmp.Diff([]string{"firing error-rate m", "firing no-data m"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// After an outage what still holds is told once, and what came and went meanwhile is no news.
func TestOutage(t *testing.T) {
	receiver := amtest.NewReceiver(t)
	am := amtest.New(t, receiver, "")
	var taken counter
	n, err := notify.NewAlertmanager(notify.AlertmanagerOptions{
		URL: am.URL, Client: &http.Client{Transport: &taken}, External: nil, Page: func() string { return "" }, //nolint:exhaustruct // the defaults are meant
		Now: time.Now, Repeat: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, records := newStream(), buckets(t)
	c, stop := courier(t, "am-0", n, s, records, nil)
	for i := range 50 {
		name := fmt.Sprintf("rule-%02d", i)
		s.say(t, name, result.Firing, 2)
		if i >= 3 {
			s.say(t, name, result.Resolved, 3)
		}
	}
	testenv.Eventually(t, patience, "it is away", func() bool { return c.Stats().Down && c.Stats().Pending == 50 })
	stop() // and driftd restarts in the middle
	c, _ = courier(t, "am-0", n, s, records, nil)
	testenv.Eventually(t, patience, "it is still away", func() bool { return c.Stats().Down })
	am.Start()
	testenv.Eventually(t, patience, "everything is told", func() bool { return !c.Stats().Down && c.Stats().Pending == 0 })
	testenv.Eventually(t, patience, "three are told", func() bool { return len(receiver.Told()) >= 3 })
	// Everything is repeated again and again, also what is over: nobody hears of it.
	after := taken.Load()
	testenv.Eventually(t, patience, "it is repeated five times", func() bool { return taken.Load() >= after+5 })
	s.say(t, "rule-00", result.Resolved, 9)
	testenv.Eventually(t, patience, "the end is told", func() bool { return slices.Contains(receiver.Told(), "resolved rule-00 m") })
	told := receiver.Told()
	slices.Sort(told)
	if diff := cmp.Diff([]string{"firing rule-00 m", "firing rule-01 m", "firing rule-02 m", "resolved rule-00 m"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	testenv.Eventually(t, patience, "each of 50 changes is counted as told once, and one end", func() bool { return c.Stats().Told >= 51 })
	if n := c.Stats().Told; n != 51 {
		t.Errorf("%d changes were told, want 51", n)
	}
}

// counter counts the requests that a receiver took.
type counter struct{ atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && res.StatusCode == http.StatusOK {
		c.Add(1)
	}
	return res, err
}

// Each receiver is told on its own: one that hangs, and one that answers 500, delay nobody.
func TestReceiversAreIndependent(t *testing.T) {
	receiver := amtest.NewReceiver(t)
	am := amtest.New(t, receiver, "")
	am.Start()
	release := make(chan struct{})
	hangs := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	fails := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(func() { close(release); hangs.Close(); fails.Close() })
	records := buckets(t)
	streams := []*stream{newStream(), newStream(), newStream()}
	var couriers []*notify.Courier
	for i, url := range []string{hangs.URL, fails.URL, am.URL} {
		c, _ := courier(t, fmt.Sprint("am-", i), alertmanager(t, url), streams[i], records, nil)
		couriers = append(couriers, c)
	}
	for _, s := range streams {
		s.say(t, "feature-drift", result.Firing, 2)
	}
	testenv.Eventually(t, patience, "the third is told", func() bool { return len(receiver.Told()) == 1 })
	testenv.Eventually(t, patience, "the others are known to be away", func() bool { return couriers[0].Stats().Down && couriers[1].Stats().Down })
	testenv.Eventually(t, patience, "that is noted", func() bool { return couriers[2].Stats().Told == 1 })
	if s := couriers[2].Stats(); s.Down || s.Told != 1 {
		t.Errorf("the third: %+v", s)
	}
}

// Alertmanager refuses one alert of three; the others are taken, and the refused one is not sent for ever.
func TestOneRefusedOfMany(t *testing.T) {
	receiver := amtest.NewReceiver(t)
	am := amtest.New(t, receiver, "")
	am.Start()
	s := newStream()
	s.say(t, "a", result.Firing, 2)
	s.say(t, "b", result.Firing, 2, func(tr *result.Transition) { tr.Labels = map[string]string{"": "x"} })
	s.say(t, "c", result.Firing, 2)
	c, _ := courier(t, "am-0", alertmanager(t, am.URL), s, buckets(t), nil)
	testenv.Eventually(t, patience, "two are told", func() bool { return len(receiver.Told()) == 2 })
	testenv.Eventually(t, patience, "one is refused", func() bool { return c.Stats().Refused == 1 && c.Stats().Pending == 0 })
	if st := c.Stats(); st.Down || st.Told != 2 {
		t.Errorf("stats: %+v", st)
	}
}

// recorder is told everything, and fails as often as it is asked to.
type recorder struct {
	mu   sync.Mutex
	told []string
	fail int
	news []bool
}

func (r *recorder) Deliver(_ context.Context, notices []notify.Notice) []notify.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]notify.Outcome, len(notices))
	for i, n := range notices {
		if r.fail > 0 {
			r.fail--
			out[i].Err = errors.New("not now")
			continue
		}
		r.told, r.news = append(r.told, n.Transition.ID), append(r.news, n.New)
		out[i].Memory = json.RawMessage(`"` + n.Transition.ID + `"`)
	}
	return out
}

func (*recorder) Preview(n notify.Notice) ([]byte, error) { return []byte(n.Transition.ID), nil }

func (r *recorder) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// A silence holds back and never changes: when it ends, what still fires is told; what is over is told only if its beginning was.
func TestSilence(t *testing.T) {
	var active atomic.Bool
	active.Store(true)
	silences := func() []alerting.Silence {
		if !active.Load() {
			return nil
		}
		return []alerting.Silence{{ID: "1", Matchers: map[string]string{"model": "m", "alertname": "held"}, Start: time.Now().Add(-time.Hour), End: time.Now().Add(time.Hour)}} //nolint:exhaustruct // nobody
	}
	r, s := &recorder{}, newStream() //nolint:exhaustruct // nothing was told
	courier(t, "r", r, s, buckets(t), silences)
	s.say(t, "held", result.Firing, 2)
	s.say(t, "other", result.Firing, 2)
	testenv.Eventually(t, patience, "the other is told", func() bool { return slices.Equal(r.list(), []string{"other.firing.2"}) })
	active.Store(false)
	testenv.Eventually(t, patience, "the held one is told", func() bool { return slices.Contains(r.list(), "held.firing.2") })
}

// Transitions come again and in any order; each state is told once, and an inhibited incident not at all.
func TestOrderAndRepetition(t *testing.T) {
	r, s, records := &recorder{fail: 2}, newStream(), buckets(t) //nolint:exhaustruct // nothing was told
	_, stop := courier(t, "r", r, s, records, nil)
	s.say(t, "quiet", result.Firing, 2, func(tr *result.Transition) { tr.InhibitedBy = "no-data" })
	s.say(t, "a", result.Firing, 2)
	testenv.Eventually(t, patience, "it is told", func() bool { return slices.Equal(r.list(), []string{"a.firing.2"}) })
	stop()
	courier(t, "r", r, s, records, nil)
	s.say(t, "a", result.Resolved, 5)
	testenv.Eventually(t, patience, "its end is told", func() bool { return slices.Contains(r.list(), "a.resolved.5") })
	s.say(t, "a", result.Firing, 2)    // a redelivery
	s.say(t, "a", result.Resolved, 5)  // and another
	s.say(t, "last", result.Firing, 9) // after it
	testenv.Eventually(t, patience, "the last is told", func() bool { return slices.Contains(r.list(), "last.firing.9") })
	if diff := cmp.Diff([]string{"a.firing.2", "a.resolved.5", "last.firing.9"}, r.list()); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if diff := cmp.Diff([]bool{true, false, true}, r.news); diff != "" {
		t.Errorf("new (-want +got):\n%s", diff)
	}
}
