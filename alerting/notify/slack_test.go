package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/alerting/notify"
	"github.com/driftd/driftd/alerting/notify/notifytest"
	"github.com/driftd/driftd/internal/slacktest"
	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/result"
)

// dot is the smallest PNG: one pixel (https://www.w3.org/TR/png-3/; made by Python's zlib).
const dot = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89" +
	"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"

// bot returns the receivers of a bot's token: #ml-alerts, and #risk for the team.
func bot(tb testing.TB, s *slacktest.Server, picture func(context.Context, *result.Transition) ([]byte, error)) []notify.Receiver {
	tb.Helper()
	h := host(ticking())
	h.Picture = picture
	return receivers(tb, "slack", notify.Settings{
		Name: "slack", URLs: []string{s.URL}, Token: text(slacktest.Token), Channel: "#ml-alerts", Pictures: true,
		Routes: []notify.Route{{Match: map[string]string{"team": "risk"}, Channel: "#risk"}},
	}, h)
}

// channel returns the receiver of a channel.
func channel(tb testing.TB, all []notify.Receiver, name string) notify.Receiver {
	tb.Helper()
	i := slices.IndexFunc(all, func(r notify.Receiver) bool { return r.Name == "slack="+name })
	if i < 0 {
		tb.Fatalf("no receiver of %s in %v", name, all)
	}
	return all[i]
}

// tellAll starts a courier for each receiver, and returns them by name.
func tellAll(tb testing.TB, all []notify.Receiver, say func(*stream), records func(string) jetstream.KeyValue) map[string]*notify.Courier {
	tb.Helper()
	out := map[string]*notify.Courier{}
	for _, r := range all {
		s := newStream()
		say(s)
		c, _ := courierFor(tb, r, s, records(r.Name))
		out[r.Name] = c
	}
	return out
}

func features(n int, name func(int) string) func(*result.Transition) {
	return func(t *result.Transition) {
		t.FeaturesTotal, t.Feature, t.Role = n, name(0), result.RoleFeature
		reasons := []string{strings.Repeat("psi_debiased 0.45 ≥ 0.25 with q 2.2e-44 & more <", 20), strings.Repeat("median 570 → 917 ", 20), "a third"}
		for i := range min(n, 25) {
			t.Features = append(t.Features, result.IncidentFeature{Feature: name(i), Role: result.RoleFeature, Firing: true, Reasons: reasons})
		}
		for i := range min(n, 5) {
			t.Reasons = append(t.Reasons, name(i)+": "+reasons[0])
		}
		t.Title = fmt.Sprintf("m: drift of %d features (%s, %s, …) firing", n, name(0), name(min(1, n-1)))
	}
}

// hostile are names of 256 bytes, the longest possible, that try to call people, to end code and to take more room than they have.
func hostile(i int) string {
	heads := []string{"<!here>", "<!channel> ", "`code` <@U024BE7LH> ", "&&&&<<<<>>>>", "@everyone *b* _i_ ~s~ ", "a|b\n> quote ", "😀😀", "\x00\x1b[31m", "x"}
	name := fmt.Sprint(heads[i%len(heads)], i)
	return name + strings.Repeat([]string{"&", "<", "é", "😀", "`"}[i%5], (256-len(name))/4)
}

// An incident of 1 to 500 features is one message that Slack takes, and calls nobody, whatever the features are called.
func TestSlackTakesEveryIncident(t *testing.T) {
	s := slacktest.New(t)
	n := channel(t, bot(t, s, nil), "ml-alerts").Notifier
	for total := 1; total <= 500; total++ {
		tr := result.Transition{
			ID: strconv.Itoa(total), Incident: strconv.Itoa(total), Rule: strings.Repeat("r<", 64), Kind: "feature_drift", Severity: "warning", To: result.Firing,
			Key: result.Key{Model: strings.Repeat("m", 128), Version: strings.Repeat("<v", 128), Segment: "*"}, Window: result.Window{Start: 0, End: 1, Size: 1},
			Unit: "psi_debiased", Reference: &result.ReferenceID{Name: strings.Repeat("&", 256), Fingerprint: "sha256:0a"},
			Annotations: map[string]string{"runbook": strings.Repeat("<!here> & ", 400), "what": strings.Repeat("`", 4000), "why": strings.Repeat("é", 2000)},
		}
		features(total, hostile)(&tr)
		if out := n.Deliver(t.Context(), []notify.Notice{{Transition: tr, New: true, Changed: true}}); out[0].Err != nil {
			t.Fatalf("%d features: %v", total, out[0].Err)
		}
	}
	messages := s.Messages("ml-alerts")
	if len(messages) != 500 {
		t.Errorf("%d messages of 500 incidents", len(messages))
	}
	for _, m := range messages {
		if len(m.Calls) > 0 {
			t.Fatalf("a message calls %v:\n%s\n%s", m.Calls, m.Text, m.Blocks)
		}
	}
}

// A drift of 200 features is one message: posted, changed in place, with a picture and replies in its thread, also over a restart.
func TestSlackOneMessageForAnIncident(t *testing.T) {
	s, records := slacktest.New(t), buckets(t)
	all := bot(t, s, func(context.Context, *result.Transition) ([]byte, error) { return []byte(dot), nil })
	r, source := channel(t, all, "ml-alerts"), newStream()
	many := features(200, func(i int) string { return fmt.Sprintf("f%03d", i) })
	c, stop := courierFor(t, r, source, records)
	source.say(t, "drift-share", result.Firing, 2, many)
	testenv.Eventually(t, patience, "it is told", func() bool { return c.Stats().Told == 1 && len(s.Files()) == 1 })
	parents := s.Parents("ml-alerts")
	if len(parents) != 1 || len(s.Messages("ml-alerts")) != 1 {
		t.Fatalf("messages: %+v", s.Messages("ml-alerts"))
	}
	if f := s.Files()[0]; f.Thread != parents[0].TS || f.Channel != parents[0].Channel || f.Title == "" {
		t.Errorf("the picture: %+v, want it in the thread of %+v", f, parents[0])
	}
	stop()
	courierFor(t, r, source, records)
	more := features(230, func(i int) string { return fmt.Sprintf("f%03d", i) })
	source.say(t, "drift-share", result.Firing, 3, more, func(tr *result.Transition) { tr.From = result.Firing })
	source.say(t, "drift-share", result.Resolved, 9_000_000)
	testenv.Eventually(t, patience, "the end is told", func() bool {
		m := s.Messages("ml-alerts")
		return len(m) > 1 && strings.HasPrefix(m[len(m)-1].Text, "✅ Over since 1970-01-01 02:30 UTC, after 2h30m0s")
	})
	parents = s.Parents("ml-alerts")
	if len(parents) != 1 || parents[0].Edits == 0 || !strings.HasPrefix(parents[0].Text, "✅") {
		t.Errorf("the message: %+v", parents)
	}
	for _, m := range s.Messages("ml-alerts")[1:] {
		if m.Thread != parents[0].TS {
			t.Errorf("a reply outside of the thread: %+v", m)
		}
	}
	if len(s.Files()) != 1 {
		t.Errorf("%d pictures, want one", len(s.Files()))
	}
}

// What has the labels of a team is told in the team's channel, everything else in the channel of all.
func TestSlackRoutes(t *testing.T) {
	s, records := slacktest.New(t), buckets(t)
	tellAll(t, bot(t, s, nil), func(source *stream) {
		source.say(t, "a", result.Firing, 2)
		source.say(t, "b", result.Firing, 2, func(tr *result.Transition) { tr.Labels = map[string]string{"team": "risk"} })
		source.say(t, "c", result.Firing, 2, func(tr *result.Transition) { tr.Labels = map[string]string{"team": "fraud"} })
	}, func(string) jetstream.KeyValue { return records })
	testenv.Eventually(t, patience, "all are told", func() bool { return len(s.Parents("ml-alerts")) == 2 && len(s.Parents("risk")) == 1 })
	if m := s.Parents("risk")[0]; !strings.Contains(m.Text, "m: b firing") {
		t.Errorf("#risk was told %q", m.Text)
	}
}

// A channel that was archived, and a token that was revoked, are what people repair: nothing is lost, and no other channel waits.
func TestSlackIsRepaired(t *testing.T) {
	s, records := slacktest.New(t), buckets(t)
	s.Archive("risk")
	couriers := tellAll(t, bot(t, s, nil), func(source *stream) {
		source.say(t, "a", result.Firing, 2)
		source.say(t, "b", result.Firing, 2, func(tr *result.Transition) { tr.Labels = map[string]string{"team": "risk"} })
	}, func(string) jetstream.KeyValue { return records })
	risk, other := couriers["slack=risk"], couriers["slack=ml-alerts"]
	testenv.Eventually(t, patience, "one is told, the other waits", func() bool {
		return len(s.Parents("ml-alerts")) == 1 && other.Stats().Told == 1 && risk.Stats().Down
	})
	if st := other.Stats(); st.Down || st.Told != 1 {
		t.Errorf("the channel that is there: %+v", st)
	}
	if st := risk.Stats(); st.Refused != 0 || st.Pending != 1 {
		t.Errorf("the channel that is archived: %+v", st)
	}
	s.Revoke(true)
	s.Unarchive("risk")
	calls := len(s.Calls())
	testenv.Eventually(t, patience, "it is tried with the revoked token", func() bool { return len(s.Calls()) > calls })
	s.Revoke(false)
	testenv.Eventually(t, patience, "it is told", func() bool { return len(s.Parents("risk")) == 1 && !risk.Stats().Down })
}

// Whatever becomes of the picture, the message goes out and says so.
func TestSlackWithoutPicture(t *testing.T) {
	for name, test := range map[string]struct {
		picture func(context.Context, *result.Transition) ([]byte, error)
		spoil   func(*slacktest.Server)
		want    string
	}{
		"cannot be drawn":     {func(context.Context, *result.Transition) ([]byte, error) { return nil, errors.New("the store is away") }, nil, "the store is away"},
		"no permission":       {nil, func(s *slacktest.Server) { s.Fail("files.getUploadURLExternal", 1, http.StatusOK, "missing_scope") }, "files:write"},
		"upload refused":      {nil, func(s *slacktest.Server) { s.Fail("upload", 1, http.StatusForbidden, "") }, "403"},
		"cannot be completed": {nil, func(s *slacktest.Server) { s.Fail("files.completeUploadExternal", 1, http.StatusOK, "file_not_found") }, "file_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			s := slacktest.New(t)
			picture := test.picture
			if picture == nil {
				picture = func(context.Context, *result.Transition) ([]byte, error) { return []byte(dot), nil }
				test.spoil(s)
			}
			n := channel(t, bot(t, s, picture), "ml-alerts").Notifier
			out := n.Deliver(t.Context(), notifytest.Notices()[:1])
			m := s.Messages("ml-alerts")
			if out[0].Err != nil || len(m) != 1 || !strings.Contains(string(m[0].Blocks), "There is no picture: ") || !strings.Contains(string(m[0].Blocks), test.want) {
				t.Errorf("%+v\n%s", out[0], m[0].Blocks)
			}
			if strings.Contains(string(m[0].Blocks), slacktest.Token) {
				t.Error("the message shows the token")
			}
		})
	}
}

// A rate limit is waited for, and takes nobody down; a message that Slack will not have is refused, and the next one is told.
func TestSlackAnswers(t *testing.T) {
	s, records := slacktest.New(t), buckets(t)
	s.Fail("chat.postMessage", 1, http.StatusTooManyRequests, "")
	r, source := channel(t, bot(t, s, nil), "ml-alerts"), newStream()
	c, _ := courierFor(t, r, source, records)
	source.say(t, "a", result.Firing, 2)
	testenv.Eventually(t, patience, "it is told after the pause", func() bool { return len(s.Parents("ml-alerts")) == 1 })
	if st := c.Stats(); st.Down || st.Failed != 1 {
		t.Errorf("after a pause: %+v", st)
	}
	s.Fail("chat.postMessage", 1, http.StatusOK, "invalid_blocks")
	source.say(t, "b", result.Firing, 3)
	testenv.Eventually(t, patience, "it is refused", func() bool { return c.Stats().Refused == 1 })
	source.say(t, "b", result.Resolved, 4)
	testenv.Eventually(t, patience, "the next is told", func() bool { return len(s.Parents("ml-alerts")) == 2 })
	s.Delete(s.Parents("ml-alerts")[0].TS)
	source.say(t, "a", result.Resolved, 5)
	testenv.Eventually(t, patience, "a message that somebody removed is posted anew", func() bool {
		p := s.Parents("ml-alerts")
		return len(p) == 2 && strings.Contains(p[1].Text, "m: a resolved")
	})
}

// After an hour without Slack, with a restart in it, what holds is told once and what is over as over, in one message; later changes
// of all these are one reply each time.
func TestSlackOutage(t *testing.T) {
	s, records := slacktest.New(t), buckets(t)
	s.Fail("chat.postMessage", 1_000_000, http.StatusServiceUnavailable, "")
	r, source := channel(t, bot(t, s, nil), "ml-alerts"), newStream()
	c, stop := courierFor(t, r, source, records)
	for i := range 50 {
		name := fmt.Sprintf("rule-%02d", i)
		source.say(t, name, result.Firing, 2)
		if i >= 3 {
			source.say(t, name, result.Resolved, 3)
		}
	}
	testenv.Eventually(t, patience, "it is away", func() bool { return c.Stats().Down && c.Stats().Pending == 50 })
	stop()
	c, _ = courierFor(t, r, source, records)
	testenv.Eventually(t, patience, "it is still away", func() bool { return c.Stats().Down })
	if n := len(s.Messages("ml-alerts")); n != 0 {
		t.Fatalf("%d messages while it is away", n)
	}
	s.Fail("chat.postMessage", 0, 0, "")
	testenv.Eventually(t, patience, "everything is told", func() bool { return !c.Stats().Down && c.Stats().Pending == 0 })
	m := s.Messages("ml-alerts")
	if len(m) != 1 || m[0].Text != "50 incidents at once: 3 firing, 47 over" {
		t.Fatalf("told: %+v", m)
	}
	if !strings.Contains(string(m[0].Blocks), "m: rule-00 firing") || !strings.Contains(string(m[0].Blocks), "… and 25 more") {
		t.Errorf("the digest: %s", m[0].Blocks)
	}
	source.say(t, "rule-00", result.Resolved, 9)
	source.say(t, "rule-01", result.Resolved, 9)
	testenv.Eventually(t, patience, "the ends are told", func() bool { return c.Stats().Told == 52 })
	if p := s.Parents("ml-alerts"); len(p) != 1 {
		t.Errorf("%d messages outside of the thread, want one", len(p))
	}
}

// Five hundred incidents at once are one message.
func TestSlackStorm(t *testing.T) {
	s := slacktest.New(t)
	n := channel(t, bot(t, s, nil), "ml-alerts").Notifier
	notices := make([]notify.Notice, 0, 500)
	for i := range 500 {
		notice := notifytest.Notices()[i%3]
		notice.Transition.Incident, notice.Transition.ID = fmt.Sprint("i", i), fmt.Sprint("t", i)
		notice.Transition.Title = hostile(i)
		notices = append(notices, notice)
	}
	for i, o := range n.Deliver(t.Context(), notices) {
		if o.Err != nil || o.Later {
			t.Fatalf("notice %d: %+v", i, o)
		}
		notices[i].Memory, notices[i].New = o.Memory, false
	}
	if m := s.Messages("ml-alerts"); len(m) != 1 || len(m[0].Calls) > 0 {
		t.Fatalf("%d messages, %v", len(m), m[0].Calls)
	}
	for i, o := range n.Deliver(t.Context(), notices) { // all of them change
		if o.Err != nil || o.Later {
			t.Fatalf("notice %d: %+v", i, o)
		}
	}
	if m := s.Messages("ml-alerts"); len(m) != 2 || m[1].Thread != m[0].TS {
		t.Errorf("%d messages, want a reply to the one", len(m))
	}
}

// An incoming webhook can change no message: it is one for each change of state, and none for a feature more.
func TestSlackIncomingWebhook(t *testing.T) {
	s := slacktest.New(t)
	r := receivers(t, "slack", notify.Settings{Name: "hook", Address: text(s.Hook)}, host(ticking()))[0]
	source := newStream()
	c, _ := courierFor(t, r, source, buckets(t))
	source.say(t, "a", result.Firing, 2)
	testenv.Eventually(t, patience, "it is told", func() bool { return len(s.Messages("hook")) == 1 })
	source.say(t, "a", result.Firing, 3, func(tr *result.Transition) { tr.From = result.Firing })
	testenv.Eventually(t, patience, "the change is taken", func() bool { return c.Stats().Told == 2 })
	s.Archive("hook")
	source.say(t, "a", result.Resolved, 4)
	testenv.Eventually(t, patience, "it waits for the channel", func() bool { return c.Stats().Down })
	s.Unarchive("hook")
	testenv.Eventually(t, patience, "the end is told", func() bool { return len(s.Messages("hook")) == 2 })
	if m := s.Messages("hook")[1]; !strings.HasPrefix(m.Text, "✅") {
		t.Errorf("told %q", m.Text)
	}
}

// A message has its pace, whatever there is to tell: what does not fit into one delivery comes with the next, and is no failure.
func TestSlackPace(t *testing.T) {
	s := slacktest.New(t)
	s.Limit(300 * time.Millisecond) // Slack says a second; a slow machine may take a part of the pace
	h := host(time.Now)
	r := receivers(t, "slack", notify.Settings{Name: "slack", URLs: []string{s.URL}, Token: text(slacktest.Token), Channel: "#ml-alerts"}, h)[0]
	source := newStream()
	for i := range 4 {
		source.say(t, fmt.Sprint("rule-", i), result.Firing, 2)
	}
	c, _ := courierFor(t, r, source, buckets(t))
	testenv.Eventually(t, patience, "all are told", func() bool { return len(s.Parents("ml-alerts")) == 4 })
	if s.Limited() != 0 || c.Stats().Down {
		t.Errorf("limited %d times, %+v", s.Limited(), c.Stats())
	}
}
