package notify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/alerting/notify/notifytest"
	"github.com/driftd/driftd/broker"
	"github.com/driftd/driftd/internal/secret"
	"github.com/driftd/driftd/internal/slacktest"
	"github.com/driftd/driftd/internal/testenv"
)

// capture is a receiver by HTTP that takes everything.
type capture struct {
	mu      sync.Mutex
	bodies  [][]byte
	headers []http.Header
}

func (c *capture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.headers = append(c.bodies, body), append(c.headers, r.Header.Clone())
}

func (c *capture) took() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([][]byte(nil), c.bodies...)
}

// client is a client as the daemon's are: it follows no redirect.
func client(tb testing.TB) *http.Client {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func host(now func() time.Time) notify.Host {
	return notify.Host{Logger: slog.New(slog.DiscardHandler), Page: func() string { return "https://driftd.example.com" }, Now: now}
}

func text(s string) func() (secret.String, error) {
	return func() (secret.String, error) { return secret.New(s), nil }
}

// make builds the receivers of a type.
func receivers(tb testing.TB, typ string, s notify.Settings, h notify.Host) []notify.Receiver {
	tb.Helper()
	if s.Client == nil {
		s.Client = client(tb)
	}
	for _, spec := range notify.Builtin() {
		if spec.Type == typ {
			out, err := spec.New(s, h)
			if err != nil {
				tb.Fatal(err)
			}
			return out
		}
	}
	tb.Fatalf("there is no notifier of the type %s", typ)
	return nil
}

func one(tb testing.TB, typ string, s notify.Settings, h notify.Host) notify.Notifier {
	tb.Helper()
	s.Name = typ
	all := receivers(tb, typ, s, h)
	if len(all) != 1 {
		tb.Fatalf("%d receivers, want one", len(all))
	}
	return all[0].Notifier
}

func toServer(typ string, settings func(url string) notify.Settings) func(testing.TB) (notify.Notifier, func() [][]byte) {
	return func(tb testing.TB) (notify.Notifier, func() [][]byte) {
		c := &capture{}
		server := httptest.NewServer(c)
		tb.Cleanup(server.Close)
		return one(tb, typ, settings(server.URL), host(notifytest.Now)), c.took
	}
}

func at(typ string, settings func(url string) notify.Settings) func(testing.TB, string) notify.Notifier {
	return func(tb testing.TB, url string) notify.Notifier { return one(tb, typ, settings(url), host(ticking())) }
}

// ticking is a clock by which a second passes between any two looks: nobody waits for Slack's pace.
func ticking() func() time.Time {
	var mu sync.Mutex
	t := notifytest.Now()
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		t = t.Add(time.Second)
		return t
	}
}

// harnesses has one entry for each type; slack has two ways.
func harnesses() map[string]notifytest.Harness {
	am := func(url string) notify.Settings {
		return notify.Settings{URLs: []string{url}, External: map[string]string{"cluster": "eu"}}
	}
	hook := func(url string) notify.Settings {
		return notify.Settings{Address: text(url + "/" + notifytest.Secret), Key: text(notifytest.Secret)}
	}
	bot := func(api string) notify.Settings {
		return notify.Settings{URLs: []string{api}, Token: text(notifytest.Secret), Channel: "#ml-alerts", Pictures: true}
	}
	return map[string]notifytest.Harness{
		"alertmanager": {
			Golden: "alertmanager.golden", Healthy: toServer("alertmanager", am), At: at("alertmanager", am), Took: func(status int) bool { return status == http.StatusOK },
			// Its own 400 is a JSON string (TestOneRefusedOfMany); another is that of a proxy and tells nothing about the alert.
			Refuses: func(status int) bool { return status != http.StatusBadRequest && notifytest.Refuses(status) },
		},
		"webhook": {Golden: "webhook.golden", Healthy: toServer("webhook", hook), At: at("webhook", hook)},
		"slack": {
			Golden: "slack.golden", Healthy: slackBot, At: at("slack", bot), Took: func(status int) bool { return status == http.StatusOK },
			Answer: `{"ok":true,"channel":"C1","ts":"1.000001"}`,
		},
		"slack by an incoming webhook": {
			Golden: "slackhook.golden", Healthy: slackHook, At: at("slack", func(url string) notify.Settings {
				return notify.Settings{Address: text(url + "/services/" + notifytest.Secret)}
			}),
			Refuses: func(int) bool { return false }, // only Slack's words for a message that is wrong
		},
		"nats": {Golden: "nats.golden", Healthy: natsHealthy, Away: natsAway},
		"log":  {Golden: "log.golden", Healthy: logHealthy},
	}
}

func TestConformance(t *testing.T) {
	all := harnesses()
	for _, spec := range notify.Builtin() {
		if _, ok := all[spec.Type]; !ok {
			t.Errorf("the type %s has no harness", spec.Type)
		}
	}
	for name, h := range all {
		t.Run(name, func(t *testing.T) { notifytest.Run(t, h) })
	}
}

func slackBot(tb testing.TB) (notify.Notifier, func() [][]byte) {
	s := slacktest.New(tb)
	n := one(tb, "slack", notify.Settings{URLs: []string{s.URL}, Token: text(slacktest.Token), Channel: "#ml-alerts", Pictures: true}, host(ticking()))
	return n, func() [][]byte { return posted(tb, s.Parents("ml-alerts"), "#ml-alerts") }
}

func slackHook(tb testing.TB) (notify.Notifier, func() [][]byte) {
	s := slacktest.New(tb)
	n := one(tb, "slack", notify.Settings{Address: text(s.Hook)}, host(ticking()))
	return n, func() [][]byte { return posted(tb, s.Parents("hook"), "") }
}

// posted writes messages as Preview does.
func posted(tb testing.TB, messages []slacktest.Message, channel string) [][]byte {
	tb.Helper()
	var out [][]byte
	for _, m := range messages {
		data, err := json.Marshal(struct {
			Channel string          `json:"channel,omitempty"`
			Text    string          `json:"text"`
			Blocks  json.RawMessage `json:"blocks"`
		}{channel, m.Text, m.Blocks})
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, data)
	}
	return out
}

// jetStream is a real broker.
func jetStream(tb testing.TB) jetstream.JetStream {
	tb.Helper()
	embedded, err := broker.StartEmbedded(broker.EmbeddedOptions{StoreDir: tb.TempDir(), Host: "127.0.0.1", Port: -1, MaxPayload: 1 << 20, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(embedded.Shutdown)
	nc, err := broker.Connect(tb.Context(), broker.ConnectOptions{URL: embedded.URL(), Token: embedded.Token(), Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	return js
}

func natsHealthy(tb testing.TB) (notify.Notifier, func() [][]byte) {
	js := jetStream(tb)
	sub, err := js.Conn().SubscribeSync(notify.AlertsSubject + ">")
	if err != nil {
		tb.Fatal(err)
	}
	if err := js.Conn().Flush(); err != nil {
		tb.Fatal(err)
	}
	var got [][]byte
	return notify.NewNATS(js), func() [][]byte {
		for {
			msg, err := sub.NextMsg(patience)
			if err != nil {
				tb.Fatal(err)
			}
			got = append(got, msg.Data)
			if n, _, err := sub.Pending(); err != nil || n == 0 {
				return got
			}
		}
	}
}

func natsAway(tb testing.TB) notify.Notifier {
	js := jetStream(tb)
	js.Conn().Close()
	return notify.NewNATS(js)
}

func logHealthy(testing.TB) (notify.Notifier, func() [][]byte) {
	var b bytes.Buffer
	handler := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	return &notify.Log{Logger: slog.New(handler)}, func() [][]byte { return bytes.SplitAfter(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n")) }
}

// The signature of a webhook is the HMAC-SHA256 of time and body.
func TestSignature(t *testing.T) {
	// source: printf '1767225600.{"a":1}' | openssl dgst -sha256 -hmac KEY (OpenSSL 3), with the keys "secret" and "old".
	const want = "t=1767225600,v1=96a067a1c95eb143fc00b9097bcfcbcd5456adda508c443ff219748e764dbed7,v1=cd9e49c9b39ccfcda646c16ec08d49a1dd00555d686a5903a93c013de32e5466"
	got := notify.Sign(secret.New("secret\nold\n"), time.Unix(1_767_225_600, 0), []byte(`{"a":1}`))
	if got != want {
		t.Errorf("Sign = %s, want %s", got, want)
	}
}

// What is posted carries the signature of its very bytes, and the id by which a receiver knows a repetition.
func TestWebhookHeaders(t *testing.T) {
	c := &capture{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	n := one(t, "webhook", notify.Settings{URLs: []string{server.URL}, Key: text("secret")}, host(notifytest.Now))
	notices := notifytest.Notices()
	for i, o := range n.Deliver(t.Context(), notices) {
		if o.Err != nil {
			t.Fatalf("notice %d: %v", i, o.Err)
		}
		if got, want := c.headers[i].Get(notify.SignatureHeader), notify.Sign(secret.New("secret"), notifytest.Now(), c.bodies[i]); got != want {
			t.Errorf("notice %d: signature %s, want %s", i, got, want)
		}
		if got := c.headers[i].Get(notify.DeliveryHeader); got != notices[i].Transition.ID {
			t.Errorf("notice %d: delivery %q", i, got)
		}
	}
}

// A stream that holds the subject keeps a transition once, however often it is published; who is subscribed gets it as well.
func TestNATSStream(t *testing.T) {
	js := jetStream(t)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ALERTS", Subjects: []string{notify.AlertsSubject + ">"}})
	if err != nil {
		t.Fatal(err)
	}
	n, notices := notify.NewNATS(js), notifytest.Notices()
	for range 2 {
		for i, o := range n.Deliver(t.Context(), notices) {
			if o.Err != nil {
				t.Fatalf("notice %d: %v", i, o.Err)
			}
		}
	}
	info, err := stream.Info(t.Context())
	if err != nil || info.State.Msgs != uint64(len(notices)) {
		t.Fatalf("the stream holds %d messages (%v), want %d", info.State.Msgs, err, len(notices))
	}
	first, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if first.Subject != "driftd.alerts.credit-risk" || first.Header.Get(nats.MsgIdHdr) != notices[0].Transition.ID {
		t.Errorf("%s with the id %q", first.Subject, first.Header.Get(nats.MsgIdHdr))
	}
	last, err := stream.GetMsg(t.Context(), uint64(len(notices)))
	if err != nil || last.Subject != "driftd.alerts.driftd.self" {
		t.Errorf("an alert about driftd itself is on %s (%v)", last.Subject, err)
	}
}

// A program is given every transition in its order, also what a person is spared: those of one incident in quick succession, pending
// and silenced ones. The broker being away changes the order no more than a restart does.
func TestEveryTransitionForPrograms(t *testing.T) {
	js := jetStream(t)
	sub, err := js.Conn().SubscribeSync(notify.AlertsSubject + "m")
	if err != nil {
		t.Fatal(err)
	}
	if err := js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	s := newStream()
	s.say(t, "a", "pending", 1)
	s.say(t, "a", "firing", 2)
	s.say(t, "a", "firing", 3)
	s.say(t, "b", "firing", 3)
	s.say(t, "a", "resolved", 4)
	s.say(t, "a", "firing", 2) // a redelivery
	courier(t, "nats", notify.NewNATS(js), s, nil, nil)
	var got []string
	for len(got) < 5 {
		msg, err := sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("after %v: %v", got, err)
		}
		got = append(got, msg.Header.Get(nats.MsgIdHdr))
	}
	if want := "a.pending.1 a.firing.2 a.firing.3 b.firing.3 a.resolved.4"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	testenv.Eventually(t, patience, "everything is acknowledged", s.empty)
	if n, _, err := sub.Pending(); err != nil || n != 0 {
		t.Errorf("%d more (%v)", n, err)
	}
}

// No address of a webhook is in an error, also where it is none.
func TestWebhookBadAddress(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:1/" + notifytest.Secret, "http://user:" + url.PathEscape(notifytest.Secret) + "@127.0.0.1:1/", "ftp://127.0.0.1/" + url.PathEscape(notifytest.Secret), "\x7f" + notifytest.Secret} {
		n := one(t, "webhook", notify.Settings{Address: text(address)}, host(notifytest.Now))
		out := n.Deliver(t.Context(), notifytest.Notices()[:1])
		if out[0].Err == nil || out[0].Refused || strings.Contains(fmt.Sprintf("%v %+v", out[0].Err, out[0].Err), "S3cret") {
			t.Errorf("%+v", out[0])
		}
	}
}

// What a webhook posts is what its schema says, and has every field of it; of a model, its transition is one by its own schema.
func TestNoticeSchema(t *testing.T) {
	dir := filepath.Join(testenv.Root(t), "docs", "schema")
	compile := func(name string) *jsonschema.Schema {
		s, err := jsonschema.NewCompiler().Compile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	notice, transition := compile("notice.schema.json"), compile("transition.schema.json")
	var properties struct{ Properties map[string]any }
	data, err := os.ReadFile(filepath.Join(dir, "notice.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &properties); err != nil {
		t.Fatal(err)
	}
	n := one(t, "webhook", notify.Settings{URLs: []string{"http://127.0.0.1:1"}}, host(notifytest.Now))
	for i, told := range notifytest.Notices() {
		body, err := n.Preview(told)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := notice.Validate(instance); err != nil {
			t.Errorf("notice %d: %v", i, err)
		}
		fields, ok := instance.(map[string]any)
		if !ok {
			t.Fatalf("notice %d is no object", i)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(properties.Properties)), slices.Sorted(maps.Keys(fields))); diff != "" {
			t.Errorf("fields (-schema +notice):\n%s", diff)
		}
		if told.Transition.Key.Model != "" {
			if err := transition.Validate(fields["transition"]); err != nil {
				t.Errorf("transition %d: %v", i, err)
			}
		}
	}
}
