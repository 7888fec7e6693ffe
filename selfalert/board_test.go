package selfalert_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/internal/testenv"
	"github.com/driftd/driftd/selfalert"
)

// step writes what a step changed: + for what began to fire, - for what stopped.
func step(b *selfalert.Board, second int64, holding ...selfalert.Condition) string {
	var out []string
	for _, a := range b.Step(second*1000, holding) {
		sign := "+"
		if a.Ended != 0 {
			sign = "-"
		}
		out = append(out, fmt.Sprintf("%s%s %s: %s", sign, a.Name, a.Subject, a.Detail))
	}
	return strings.Join(out, "\n")
}

// The delays are those of the table: a sink is down for 10 s before it fires, lost messages fire for an hour.
func TestBoard(t *testing.T) {
	down := selfalert.Condition{Name: selfalert.SinkDown, Subject: "store", Detail: "locked"}
	full := selfalert.Condition{Name: selfalert.StateFull, Subject: "partition 1", Detail: "10047"}
	lost := selfalert.Condition{Name: selfalert.MessagesLost, Subject: "partition 0", Detail: "3 messages"}
	b := selfalert.NewBoard()
	for _, s := range []struct {
		at      int64
		holding []selfalert.Condition
		want    string
	}{
		{0, []selfalert.Condition{down, full}, "+state_full partition 1: 10047"}, // one fires at once
		{9, []selfalert.Condition{down, full}, ""},
		{10, []selfalert.Condition{down, full}, "+sink_down store: locked"},
		{11, []selfalert.Condition{full}, "-sink_down store: locked"},
		{12, []selfalert.Condition{down}, "-state_full partition 1: 10047"}, // a new outage, which begins now
		{15, nil, ""},
		{16, []selfalert.Condition{down}, ""}, // and again from the beginning
		{25, []selfalert.Condition{down}, ""},
		{26, []selfalert.Condition{down, lost}, "+sink_down store: locked\n+messages_lost partition 0: 3 messages"},
		{26 + 3599, []selfalert.Condition{down}, ""},
		{26 + 3600, []selfalert.Condition{down}, "-messages_lost partition 0: 3 messages"},
	} {
		if got := step(b, s.at, s.holding...); got != s.want {
			t.Errorf("second %d: %q, want %q", s.at, got, s.want)
		}
	}
	want := []selfalert.Alert{{
		Name: selfalert.SinkDown, Severity: selfalert.Warning, Subject: "store", Detail: "locked", Since: 16_000,
		Summary: "a store does not take results: they wait in the outbox; counting goes on",
		Remedy:  "bring the store back: it gets everything that the outbox still has",
	}}
	if diff := cmp.Diff(want, b.Firing()); diff != "" {
		t.Errorf("firing (-want +got):\n%s", diff)
	}
}

// Every alert has an entry in the runbook.
func TestEveryAlertIsInTheRunbook(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testenv.Root(t), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range selfalert.Rules() {
		row := fmt.Sprintf("| %#q | %s |", r.Name, r.Severity)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/operations.md has no row beginning %q", row)
		}
		if r.Summary == "" || r.Remedy == "" {
			t.Errorf("%s says not what it means, or what to do", r.Name)
		}
	}
}
