package ingest

import "testing"

// The two forms are those of nats-server's ADR-15 and ADR-32 acknowledgement subjects.
func TestParseReply(t *testing.T) {
	good := delivery{streamSeq: 4711, timeNS: 1700000000123456789, pending: 42}
	for _, s := range []string{
		"$JS.ACK.S.C.1.4711.9.1700000000123456789.42",
		"$JS.ACK.hub.ACCHASH.S.C.1.4711.9.1700000000123456789.42",
		"$JS.ACK._.ACCHASH.S.C.1.4711.9.1700000000123456789.42.rnd",
	} {
		if d, ok := parseReply(s); !ok || d != good {
			t.Errorf("parseReply(%q) = %+v, %v", s, d, ok)
		}
	}
	for _, s := range []string{
		"", "$JS.ACK.", "_INBOX.x", "$JS.ACK.S.C.1.4711.9.1700000000123456789", "$JS.ACK.S.C.1.4711.9.1700000000123456789.42.x",
		"$JS.ACK.S.C.1.x.9.1700000000123456789.42", "$JS.ACK.S.C.1.0.9.1700000000123456789.42",
		"$JS.ACK.S.C.1.99999999999999999999.9.1.42", "$JS.ACK.S.C.1..9.1.42",
	} {
		if d, ok := parseReply(s); ok {
			t.Errorf("parseReply(%q) = %+v, want a refusal", s, d)
		}
	}
	if n := testing.AllocsPerRun(100, func() { parseReply("$JS.ACK.S.C.1.4711.9.1700000000123456789.42") }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add("$JS.ACK.S.C.1.4711.9.1700000000123456789.42")
	f.Add("$JS.ACK._.A.S.C.1.4711.9.1700000000123456789.42.r")
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseReply(s); ok && d.streamSeq == 0 {
			t.Errorf("parseReply(%q) accepts sequence 0", s)
		}
	})
}
