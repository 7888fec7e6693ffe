// Package notifytest is the conformance suite of notifiers: what holds for each of them, whoever it tells. Test code only.
package notifytest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/result"
)

// Secret is what a Harness uses wherever its notifier has a token, a password, a key or a secret address.
const Secret = "xoxb-Sup3r.S3cret/77"

// patience bounds what must return at once.
const patience = 20 * time.Second

// Harness is a notifier with receivers for it.
type Harness struct {
	Golden string // file below testdata
	// Healthy returns a notifier whose receiver takes everything, and what it took, in the form of Preview.
	Healthy func(tb testing.TB) (notify.Notifier, func() [][]byte)
	// At returns a notifier that tells a server at an address; nil: it speaks no HTTP.
	At func(tb testing.TB, url string) notify.Notifier
	// Away returns a notifier whose receiver cannot be reached; nil: there is always one, or At says it.
	Away   func(tb testing.TB) notify.Notifier
	Took   func(status int) bool // which statuses are success; nil: 2xx
	Answer string                // the body of a success
	// Refuses says which statuses are the last word on a notice; nil: the rule of all.
	Refuses func(status int) bool
}

var update = flag.Bool("update", false, "write the golden files anew")

// Run checks a notifier.
func Run(t *testing.T, h Harness) {
	t.Helper()
	t.Run("payload", h.payload)
	t.Run("outcomes", h.outcomes)
	if h.At != nil {
		t.Run("statuses", h.statuses)
		t.Run("pause", h.pause)
		t.Run("hangs", h.hangs)
	}
	if h.At != nil || h.Away != nil {
		t.Run("away", h.away)
		t.Run("cancelled", h.cancelled)
	}
}

// Notices are what the suite tells: an incident of a feature with a hostile name, one of 200 features, one that came and went, and an
// alert about driftd itself.
func Notices() []notify.Notice {
	const hour, start = int64(3_600_000), int64(1_767_225_600_000) // 2026-01-01T00:00:00Z
	fired := time.UnixMilli(start + 3*hour).UTC()
	base := result.Transition{
		Schema: 1, Type: "transition", ID: "a1.firing.1767232800000", Incident: "a1", Rule: "feature-drift", Kind: "feature_drift", Severity: "critical",
		Key:  result.Key{Model: "credit-risk", Version: "*", Segment: "*"},
		From: result.Pending, To: result.Firing, Window: result.Window{Start: start + hour, End: start + 2*hour, Size: hour},
		ResultID: strings.Repeat("0a", 16), Since: start, Value: 0.45, Threshold: 0.25, Unit: "psi_debiased", Worst: 0.47,
		Reference: &result.ReferenceID{Name: "january", Fingerprint: "sha256:" + strings.Repeat("ab", 32)},
	}
	hostile := base
	hostile.Feature, hostile.Role, hostile.FeaturesTotal = "<!here> `x` & @channel\n*", result.RoleFeature, 1
	hostile.Title = "credit-risk: feature " + hostile.Feature + " drift firing"
	hostile.Reasons = []string{"psi_debiased 0.45 ≥ 0.25 with q 2.2e-44 (n 514, reference 16942)", "median 570 → 917, every quantile × 1.61: a change of unit?"}
	hostile.Features = []result.IncidentFeature{{
		Feature: hostile.Feature, Role: result.RoleFeature, Firing: true, Since: start, Value: 0.45, Threshold: 0.25, Worst: 0.47, Reasons: hostile.Reasons,
	}}
	hostile.Annotations = map[string]string{"runbook": "https://wiki.example.com/drift?a=1&b=2"}
	hostile.Labels = map[string]string{"team": "risk"}
	many := base
	many.ID, many.Incident, many.Rule, many.Severity, many.Key.Version = "b2.firing.1767232800000", "b2", "drift-share", "warning", "7"
	many.Title, many.FeaturesTotal = "credit-risk 7: drift of 200 features (f000, f001, f002, …) firing", 200
	for i := range 25 {
		many.Features = append(many.Features, result.IncidentFeature{
			Feature: fmt.Sprintf("f%03d", i), Role: result.RoleFeature, Firing: true, Since: start, Value: 1.5, Threshold: 0.25, Worst: 2, Reasons: []string{"psi_debiased 1.5 ≥ 0.25"},
		})
	}
	many.Reasons = []string{"f000: psi_debiased 1.5 ≥ 0.25"}
	over := base
	over.ID, over.Incident, over.Rule, over.Kind = "c3.resolved.1767232800000", "c3", "latency-p95", "latency"
	over.From, over.To, over.Reference, over.Unit, over.Value, over.Threshold, over.Worst = result.Firing, result.Resolved, nil, "ratio to the reference", 1, 1.25, 2.5
	over.Title, over.Reasons = "credit-risk: latency p95 resolved", []string{"latency p95 is 10 ms, in the reference 10 ms"}
	self := result.Transition{
		Schema: 1, Type: "transition", ID: "driftd-lag.firing.1", Incident: "driftd-lag-70", Rule: "lag", Kind: "driftd", Severity: "warning", From: result.Inactive, To: result.Firing,
		Since: start, Window: result.Window{Start: start, End: start + hour}, Title: "driftd: it is behind (partition 0) firing", Reasons: []string{"20000 messages", "look at the broker"},
		Labels: map[string]string{"subject": "partition 0"},
	}
	return []notify.Notice{
		{Transition: hostile, Fired: fired, New: true, Changed: true},
		{Transition: many, Fired: fired, New: true, Changed: true},
		{Transition: over, Fired: fired, Ended: fired.Add(time.Hour), New: true, Changed: true},
		{Transition: self, Fired: fired, New: true, Changed: true},
	}
}

// Now is the time at which the suite's notices are told.
func Now() time.Time { return time.Date(2026, time.January, 1, 3, 0, 5, 0, time.UTC) }

// payload: what is sent is what Preview shows, and what the golden file says.
func (h *Harness) payload(t *testing.T) {
	n, took := h.Healthy(t)
	var got bytes.Buffer
	for i, notice := range Notices() {
		before := fmt.Sprintf("%#v", notice)
		preview, err := n.Preview(notice)
		if err != nil {
			t.Fatal(err)
		}
		if out := n.Deliver(t.Context(), []notify.Notice{notice}); len(out) != 1 || out[0].Err != nil || out[0].Later {
			t.Fatalf("notice %d: %+v", i, out)
		}
		if fmt.Sprintf("%#v", notice) != before {
			t.Errorf("notice %d was changed", i)
		}
		sent := took()
		if len(sent) != i+1 {
			t.Fatalf("after %d notices %d were taken", i+1, len(sent))
		}
		if diff := cmp.Diff(pretty(t, preview), pretty(t, sent[i])); diff != "" {
			t.Errorf("notice %d (-Preview +sent):\n%s", i, diff)
		}
		silent(t, "a payload", string(preview))
		got.WriteString(pretty(t, preview) + "\n")
	}
	path := filepath.Join("testdata", h.Golden)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("payloads (-golden +got; -update writes them anew):\n%s", diff)
	}
}

// pretty indents JSON; another text stays.
func pretty(tb testing.TB, data []byte) string {
	tb.Helper()
	var v any
	if json.Unmarshal(data, &v) != nil {
		return strings.TrimSpace(string(data))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// outcomes: one for each notice, in their order; none for none.
func (h *Harness) outcomes(t *testing.T) {
	n, _ := h.Healthy(t)
	if out := n.Deliver(t.Context(), nil); len(out) != 0 {
		t.Errorf("no notice has %d outcomes", len(out))
	}
	notices := Notices()
	out := n.Deliver(t.Context(), notices)
	if len(out) != len(notices) {
		t.Fatalf("%d outcomes of %d notices", len(out), len(notices))
	}
	for i, o := range out {
		if o.Err != nil || o.Later || o.Refused {
			t.Errorf("notice %d: %+v", i, o)
		}
	}
}

// statuses: success is told; an answer to what was said is its last word; everything else is tried again.
func (h *Harness) statuses(t *testing.T) {
	status := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		if status/100 == 2 {
			_, _ = w.Write([]byte(h.Answer)) // some have no body
			return
		}
		// A receiver that repeats what it was told in secret.
		_ = json.NewEncoder(w).Encode(map[string]string{"error": Secret, "path": r.URL.Path, "authorization": r.Header.Get("Authorization")})
	}))
	defer server.Close()
	n := h.At(t, server.URL)
	took, refuses := h.Took, h.Refuses
	if took == nil {
		took = func(status int) bool { return status/100 == 2 }
	}
	if refuses == nil {
		refuses = Refuses
	}
	for status = 200; status < 600; status++ {
		out := n.Deliver(t.Context(), Notices()[:1])
		if len(out) != 1 {
			t.Fatalf("%d: %d outcomes", status, len(out))
		}
		if o := out[0]; (o.Err == nil) != took(status) || o.Later || o.Refused != refuses(status) {
			t.Errorf("%d: %+v, want told %v, refused %v", status, o, took(status), refuses(status))
		}
		if out[0].Err != nil {
			silent(t, fmt.Sprintf("the error of %d", status), shown(out[0].Err))
		}
	}
}

// Refuses is the rule of all: 4xx is an answer to what was said, but where it is about who says it, the address or the moment.
func Refuses(status int) bool {
	return status/100 == 4 && !slices.Contains([]int{401, 403, 404, 407, 408, 425, 429}, status)
}

// pause: who asks to be left alone is left alone so long.
func (h *Harness) pause(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	out := h.At(t, server.URL).Deliver(t.Context(), Notices()[:1])
	if out[0].Err == nil || out[0].Pause != 17*time.Second || out[0].Refused {
		t.Errorf("%+v, want a pause of 17 s", out[0])
	}
}

// hangs: a receiver that takes the connection and says nothing is left when the time is over.
func (h *Harness) hangs(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	retried(t, within(t, h.At(t, server.URL), ctx))
}

// away: a receiver that cannot be reached is tried again.
func (h *Harness) away(t *testing.T) {
	retried(t, within(t, h.gone(t), t.Context()))
}

// cancelled: nothing is told any more, and nothing is refused for it.
func (h *Harness) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	retried(t, within(t, h.gone(t), ctx))
}

func (h *Harness) gone(t *testing.T) notify.Notifier {
	t.Helper()
	if h.Away != nil {
		return h.Away(t)
	}
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return h.At(t, server.URL)
}

// within delivers, and fails the test if that does not return.
func within(t *testing.T, n notify.Notifier, ctx context.Context) []notify.Outcome { //nolint:revive // the test comes first
	t.Helper()
	done := make(chan []notify.Outcome, 1) // one answer
	go func() { done <- n.Deliver(ctx, Notices()[:2]) }()
	select {
	case out := <-done:
		return out
	case <-time.After(patience):
		t.Fatalf("Deliver outlives its context by %v", patience)
		return nil
	}
}

// retried checks that nothing was told and nothing refused, and that at least the first says why.
func retried(t *testing.T, out []notify.Outcome) {
	t.Helper()
	if len(out) != 2 || out[0].Err == nil {
		t.Fatalf("%+v, want an error", out)
	}
	for _, o := range out {
		if o.Err == nil && !o.Later || o.Refused {
			t.Errorf("%+v, want that it is tried again", o)
		}
		if o.Err != nil {
			silent(t, "an error", shown(o.Err))
		}
	}
}

// shown is an error as people see it: as text, and in a log.
func shown(err error) string {
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Warn("a receiver of alerts does not answer", slog.Any("err", err))
	return err.Error() + fmt.Sprintf(" %+v ", err) + b.String()
}

func silent(t *testing.T, what, text string) {
	t.Helper()
	if strings.Contains(text, Secret) || strings.Contains(text, "S3cret") {
		t.Errorf("%s shows the secret: %s", what, text)
	}
}
