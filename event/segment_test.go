package event_test

import (
	"testing"

	"github.com/driftd/driftd/event"
)

func TestAppendDimension(t *testing.T) {
	for _, tt := range []struct {
		record, want string
		ok           bool
	}{
		{`{"segment":{"region":"eu"},"features":{"region":"us"}}`, "eu", true}, // the segment field first
		{`{"features":{"region":"us"}}`, "us", true},
		{`{"features":{"region":1.0}}`, "1", true}, // shortest decimal form, as categories
		{`{"features":{"region":true}}`, "true", true},
		{`{"features":{"region":""}}`, "", true},
		{`{"features":{"region":"a","region":"b"}}`, "b", true}, // the last one
		{`{"segment":{"region":null},"features":{"region":"us"}}`, "", false},
		{`{"features":{"region":["us"]}}`, "", false},
		{`{"features":{"other":"us"}}`, "", false},
		{`{"segment":{"at":{"region":"x"}}}`, "", false},
	} {
		d := event.NewDecoder(event.DefaultLimits())
		d.Reset([]byte(tt.record))
		if !d.Next() {
			t.Fatalf("%s: no record", tt.record)
		}
		ev, rejected := d.Event()
		if rejected != nil {
			t.Fatalf("%s: %v", tt.record, rejected)
		}
		got, ok := ev.AppendDimension([]byte("> "), "region")
		if string(got) != "> "+tt.want || ok != tt.ok {
			t.Errorf("%s: %q, %v; want %q, %v", tt.record, got, ok, tt.want, tt.ok)
		}
	}
}
