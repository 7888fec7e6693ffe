package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/driftd/driftd/result"
)

// A version that fails beside the one that is right: a real daemon says `roll_back` on its subject and in its API, and a program that reads the verdicts puts
// the previous version back.
func TestVerdict(t *testing.T) {
	d := startDaemon(t, `
commit: {interval: 50ms}
models:
  churn:
    windows: [{size: 15m}]
    pane: 15m
    lateness: 0s
    compare:
      next: {mode: ab, baseline: "1", candidate: "2", share: 0.5}
`)
	_, js := d.connect()
	serving := writeFile(t, "serving.json", `{"version":"2","previous":"1"}`)
	token := writeFile(t, "token", d.run.Token)
	example(t, "rollback", "--url", d.run.URL, "--token-file", token, "--model", "churn", "--serving", serving, "--verdicts")
	for window := range 3 {
		send(t, js, "ml.events.churn", events(window, "1", false, false))
		send(t, js, "ml.events.churn", events(window, "2", true, false))
		d.settled(js)
	}
	eventually(t, "version 1 serves again", func() bool { return versionOf(t, serving) == "1" })
	var told []result.Comparison
	d.get("/api/v1/models/churn/verdicts", &told)
	if len(told) != 1 || told[0].Verdict != result.RollBack || !strings.HasPrefix(told[0].Reasons[0], "error_rate: worse by more than 0.01: errors 0 % and 20 %") {
		t.Fatalf("%+v", told)
	}
	s, err := js.Stream(t.Context(), "DRIFTD_OUTBOX")
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(t.Context(), "driftd.verdicts.churn")
	if err != nil {
		t.Fatal(err)
	}
	var published result.Comparison
	if err := json.Unmarshal(m.Data, &published); err != nil {
		t.Fatal(err)
	}
	if id := m.Header.Get(jetstream.MsgIDHeader); published.ResultID != told[0].ResultID || id != told[0].ResultID || published.Reading != told[0].Reading {
		t.Errorf("published is %s as %s, the API tells %s", published.ResultID, id, told[0].ResultID)
	}
	var all []result.Comparison
	d.get("/api/v1/models/churn/verdicts?compare=next", &all)
	if len(all) != int(told[0].Reading) || all[0].ResultID != told[0].ResultID {
		t.Errorf("%d verdicts of %d readings", len(all), told[0].Reading)
	}
}
