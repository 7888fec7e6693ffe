package event_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/event"
)

const fingerprint = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// goodControls maps control messages to what they say. 1709251200000 is 2024-03-01T00:00:00Z (date -u -d … +%s).
func goodControls() map[string]event.Control {
	return map[string]event.Control{
		`{"schema":1,"watermark":"2024-03-01T00:00:00.000Z"}`: {Kind: event.ControlMarker, Watermark: 1709251200000},
		`{"schema":1,"watermark":"2024-03-01T00:00:00.007Z","source":"elec2-up","end":true}`: {
			Kind: event.ControlMarker, Watermark: 1709251200007, Source: "elec2-up", End: true,
		},
		`{"schema":1,"activate":{"model":"m","reference":"` + fingerprint + `","name":"week 9 <&> é"}}`: {
			Kind: event.ControlActivation, Model: "m", Reference: fingerprint, Name: "week 9 <&> é",
		},
		`{"schema":1,"activate":{"model":"m","reference":"` + fingerprint + `"}}`: {
			Kind: event.ControlActivation, Model: "m", Reference: fingerprint,
		},
		`{"schema":1,"config":{"hash":"h1","models":{"m":{"windows":["1h"],"x":"<&>"},"a":1.50}}}`: {
			Kind: event.ControlConfig, ConfigHash: "h1", Models: []byte(`{"m":{"windows":["1h"],"x":"<&>"},"a":1.50}`),
		},
	}
}

// The keys of goodControls are the canonical form: decoding and encoding gives each of them back byte for byte.
func TestControlRoundTrip(t *testing.T) {
	s := schema(t, "control")
	for text, want := range goodControls() {
		got, rej := event.DecodeControl([]byte(text))
		if rej != nil {
			t.Errorf("%s: %v", text, rej)
			continue
		}
		if !cmp.Equal(want, got) {
			t.Errorf("%s: (-want +got):\n%s", text, cmp.Diff(want, got))
		}
		if encoded := string(got.Encode()); encoded != text {
			t.Errorf("encoded\n%s, want\n%s", encoded, text)
		}
		if !validates(t, s, text) {
			t.Errorf("does not validate: %s", text)
		}
	}
}

func TestControlForms(t *testing.T) {
	s := schema(t, "control")
	for _, text := range []string{
		"\n{ \"end\" : false , \"watermark\" : 1709251200000.9, \"schema\" : 1 }\n", `{"schema":1,"watermark":"2024-03-01T01:00:00+01:00"}`,
	} {
		got, rej := event.DecodeControl([]byte(text))
		if rej != nil || !cmp.Equal(got, event.Control{Kind: event.ControlMarker, Watermark: 1709251200000}) {
			t.Errorf("%s: got %+v, %v", text, got, rej)
		}
		if !validates(t, s, text) {
			t.Errorf("does not validate: %s", text)
		}
	}
	got, rej := event.DecodeControl([]byte(`{"schema":1,"config":{"hash":"h","models": {"a" : 1}}}`))
	if rej != nil || string(got.Models) != `{"a":1}` {
		t.Errorf("models are not compact: %s, %v", got.Models, rej)
	}
}

func TestControlRefused(t *testing.T) {
	s := schema(t, "control")
	long := strings.Repeat("x", 257)
	for _, tt := range []struct {
		text   string
		reason event.RejectReason
		says   string
	}{
		{``, event.RejectMalformed, "ends too early"},
		{`[]`, event.RejectMalformed, "not a JSON object"},
		{`{"schema":1,"watermark":1`, event.RejectMalformed, "ends too early"},
		{`{"schema":1,"watermark":1}{}`, event.RejectMalformed, "after top-level value"},
		{`{"watermark":1}`, event.RejectMalformed, `"schema":1`},
		{`{"schema":2,"watermark":1}`, event.RejectUnsupported, "schema 2"},
		{`{"schema":"1","watermark":1}`, event.RejectMalformed, "schema"},
		{`{"schema":1}`, event.RejectMalformed, "exactly one"},
		{`{"schema":1,"watermark":1,"config":{"hash":"h","models":{}}}`, event.RejectMalformed, "exactly one"},
		{`{"schema":1,"Watermark":1}`, event.RejectMalformed, `unknown key "Watermark"`},
		{`{"schema":1,"watermark":1,"future":1}`, event.RejectMalformed, `unknown key "future"`},
		{`{"schema":1,"watermark":1,"watermark":2}`, event.RejectMalformed, `"watermark" comes twice`},
		{`{"schema":1,"watermark":"2024-03-01"}`, event.RejectBadTime, "watermark"},
		{`{"schema":1,"watermark":null}`, event.RejectBadTime, "watermark"},
		{`{"schema":1,"watermark":true}`, event.RejectBadTime, "watermark"},
		{`{"schema":1,"watermark":1e300}`, event.RejectBadTime, "watermark"},
		{`{"schema":1,"watermark":1,"source":"a b"}`, event.RejectModelName, "source"},
		{`{"schema":1,"watermark":1,"source":""}`, event.RejectModelName, "source"},
		{`{"schema":1,"watermark":1,"source":7}`, event.RejectMalformed, "source"},
		{`{"schema":1,"watermark":1,"end":"yes"}`, event.RejectMalformed, "end"},
		{`{"schema":1,"activate":{"model":"m","reference":"` + fingerprint + `"},"end":true}`, event.RejectMalformed, "belong to a marker"},
		{`{"schema":1,"activate":"m"}`, event.RejectMalformed, "activate"},
		{`{"schema":1,"activate":{"reference":"` + fingerprint + `"}}`, event.RejectNoModel, "model"},
		{`{"schema":1,"activate":{"model":"a.b","reference":"` + fingerprint + `"}}`, event.RejectModelName, "128"},
		{`{"schema":1,"activate":{"model":"m","reference":"sha256:E3"}}`, event.RejectMalformed, "fingerprint"},
		{`{"schema":1,"activate":{"model":"m","reference":"` + strings.ToUpper(fingerprint) + `"}}`, event.RejectMalformed, "fingerprint"},
		{`{"schema":1,"activate":{"model":"m","reference":"` + fingerprint + `","name":"` + long + `"}}`, event.RejectLimits, "name"},
		{`{"schema":1,"activate":{"model":"m","reference":"` + fingerprint + `","version":"1"}}`, event.RejectMalformed, "version"},
		{`{"schema":1,"config":{"models":{}}}`, event.RejectMalformed, "hash"},
		{`{"schema":1,"config":{"hash":"` + long + `","models":{}}}`, event.RejectMalformed, "hash"},
		{`{"schema":1,"config":{"hash":"h"}}`, event.RejectMalformed, "models"},
		{`{"schema":1,"config":{"hash":"h","models":[]}}`, event.RejectMalformed, "models"},
	} {
		got, rej := event.DecodeControl([]byte(tt.text))
		if rej == nil || rej.Reason != tt.reason || !strings.Contains(rej.Detail, tt.says) || !cmp.Equal(got, event.Control{}) {
			t.Errorf("%s: got %+v, %v; want %v with %q", tt.text, got, rej, tt.reason, tt.says)
		}
		// JSON has no opinion on keys that come twice, and the schema's library takes the last one.
		if !strings.Contains(tt.says, "twice") && validates(t, s, tt.text) {
			t.Errorf("validates: %s", tt.text)
		}
	}
	delta := `{"schema":1,"delta":{"agent":"a","number":1,"fingerprint":"` + fingerprint + `","counts":"AA=="}}`
	if _, rej := event.DecodeControl([]byte(delta)); rej == nil || rej.Reason != event.RejectUnsupported || !validates(t, s, delta) {
		t.Errorf("a delta is reserved: got %v, want it valid and refused as unsupported", rej)
	}
	latin := []byte("{\"schema\":1,\"watermark\":1,\"source\":\"\xff\"}")
	if _, rej := event.DecodeControl(latin); rej == nil || rej.Reason != event.RejectMalformed {
		t.Errorf("invalid UTF-8: got %v", rej)
	}
}

// FuzzControl checks that no bytes panic, and that what is accepted survives encoding.
func FuzzControl(f *testing.F) {
	for text := range goodControls() {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"schema":1,"delta":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, rej := event.DecodeControl(data)
		if rej != nil {
			return
		}
		again, rej := event.DecodeControl(c.Encode())
		if rej != nil || !cmp.Equal(c, again) {
			t.Fatalf("%q: %+v became %+v (%v)", data, c, again, rej)
		}
	})
}
