package main

import (
	"encoding/json"
	"testing"

	"github.com/driftd/driftd/result"
)

// doc is a summary of a window, or another document.
func doc(t *testing.T, kind, version string, revision int, events uint64) []byte {
	t.Helper()
	var s result.Summary
	s.Type, s.Key, s.Revision, s.Complete = kind, result.Key{Model: "soak-a", Version: version, Segment: "*"}, revision, true
	s.Counts.Events = events
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The newest revision counts; all versions together have every revision, one version may miss some.
func TestLedger(t *testing.T) {
	type step struct {
		version  string
		revision int
		events   uint64
	}
	for _, tt := range []struct {
		name  string
		steps []step
		ok    bool
	}{
		{"revisions", []step{{"*", 0, 3}, {"1", 0, 3}, {"*", 1, 5}, {"1", 1, 5}}, true},
		{"a version that only a late event has", []step{{"*", 0, 3}, {"1", 0, 3}, {"*", 1, 4}, {"2", 1, 1}, {"*", 2, 5}, {"1", 2, 4}}, true},
		{"a revision is missing", []step{{"*", 0, 3}, {"1", 0, 3}, {"*", 2, 3}}, false},
		{"the first one is missing", []step{{"*", 1, 3}}, false},
		{"a repetition", []step{{"*", 0, 3}, {"1", 0, 3}, {"1", 0, 3}}, false},
	} {
		l := &ledger{newest: map[window]result.Summary{}}
		l.take([]byte(`{"type":"features","features":[]}`))
		for _, s := range tt.steps {
			l.take(doc(t, "summary", s.version, s.revision, s.events))
		}
		var p producer
		p.sent.events = 5
		c := l.compare(&p)
		if (c.err == nil) != tt.ok || tt.ok && !c.equal() {
			t.Errorf("%s: %+v, want it to fit: %v", tt.name, c, tt.ok)
		}
	}
	l := &ledger{newest: map[window]result.Summary{}}
	l.take([]byte("no document"))
	if c := l.compare(&producer{}); c.err == nil || c.equal() {
		t.Errorf("bytes that are no document: %+v", c)
	}
}
