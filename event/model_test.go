package event_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/driftd/driftd/event"
)

func TestResolveModel(t *testing.T) {
	long := strings.Repeat("m", 128)
	for _, tt := range []struct {
		subject, body string
		want          string
		reason        event.RejectReason
	}{
		{"m", "m", "m", 0},
		{"m", "", "m", 0},
		{"", "Credit-Risk_2", "Credit-Risk_2", 0},
		{"", long, long, 0},
		{long, "", long, 0},
		{"", "", "", event.RejectNoModel},
		{"m", "n", "", event.RejectModelMismatch},
		{"M", "m", "", event.RejectModelMismatch},
		{"", long + "m", "", event.RejectModelName},
		{"", "a.b", "", event.RejectModelName},
		{"", "a b", "", event.RejectModelName},
		{"", "ü", "", event.RejectModelName},
		{"", "*", "", event.RejectModelName},
		{"m", "a/b", "", event.RejectModelName},
		{"a>", "", "", event.RejectModelName},
		{"a>", "a>", "", event.RejectModelName},
	} {
		ev := &event.Event{Model: []byte(tt.body)}
		got, rej := event.ResolveModel(tt.subject, ev)
		gotBytes, rejBytes := event.ResolveModel([]byte(tt.subject), ev)
		if !bytes.Equal(got, gotBytes) || (rej == nil) != (rejBytes == nil) {
			t.Errorf("%+v: a subject of bytes gives %q, %v", tt, gotBytes, rejBytes)
		}
		switch {
		case rej == nil && (tt.reason != 0 || string(got) != tt.want):
			t.Errorf("%+v: got %q", tt, got)
		case rej != nil && (rej.Reason != tt.reason || rej.Detail == "" || got != nil):
			t.Errorf("%+v: got %q, %v", tt, got, rej)
		}
	}
}
