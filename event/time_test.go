package event_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/driftd/driftd/event"
)

// decodeTime decodes the literal as a `ts` and returns it as oracleTime does.
func decodeTime(t *testing.T, d *event.Decoder, literal string) (s string, bad bool) {
	t.Helper()
	d.Reset([]byte(`{"ts":` + literal + `}`))
	d.Next()
	ev, rej := d.Event()
	switch {
	case rej != nil && rej.Reason == event.RejectBadTime:
		return "none", true
	case rej != nil:
		t.Fatalf("%s: %v", literal, rej)
	case !ev.HasTime:
		return "none", false
	}
	return strconv.FormatInt(ev.Time, 10), false
}

// TestTimes: epoch milliseconds are from GNU date (`date -u -d 2026-11-22T10:00:00.123Z +%s%3N`).
func TestTimes(t *testing.T) {
	d := event.NewDecoder(event.DefaultLimits())
	for _, tt := range []struct {
		literal string
		want    string // empty: refused
	}{
		{`"2026-11-22T10:00:00.123Z"`, "1795341600123"},
		{`"2026-11-22T10:00:00Z"`, "1795341600000"},
		{`"2026-11-22t10:00:00.1239999999999z"`, "1795341600123"},
		{`"2026-11-22T12:30:00.1+02:30"`, "1795341600100"},
		{`"2026-11-22T00:00:00-10:00"`, "1795341600000"},
		{`"2024-02-29T23:59:59.999Z"`, "1709251199999"},
		{`"1969-12-31T23:59:59.9995Z"`, "-1"},
		{`"1970-01-01T00:00:00Z"`, "0"},
		{`"2099-01-01T00:00:00Z"`, "4070908800000"},
		{`"0001-01-01T00:00:00Z"`, "-62135596800000"},
		{`"0000-12-31T23:30:00-01:00"`, "-62135595000000"},
		{`"9999-12-31T23:59:59.999999Z"`, "253402300799999"},
		{`1795341600123`, "1795341600123"},
		{`1795341600123.999`, "1795341600123"},
		{`1.7953416e12`, "1795341600000"},
		{`-0.5`, "-1"},
		{`0`, "0"},
		{`null`, "none"},
		{`"2023-02-29T00:00:00Z"`, ""},
		{`"1900-02-29T00:00:00Z"`, ""},
		{`"2026-04-31T00:00:00Z"`, ""},
		{`"2016-12-31T23:59:60Z"`, ""},
		{`"2026-11-22T24:00:00Z"`, ""},
		{`"2026-11-22T10:60:00Z"`, ""},
		{`"2026-13-22T10:00:00Z"`, ""},
		{`"2026-00-22T10:00:00Z"`, ""},
		{`"2026-11-00T10:00:00Z"`, ""},
		{`"2026-11-22T10:00:00"`, ""},
		{`"2026-11-22T10:00:00.Z"`, ""},
		{`"2026-11-22T10:00:00,123Z"`, ""},
		{`"2026-11-22T10:00:00+24:00"`, ""},
		{`"2026-11-22T10:00:00+02"`, ""},
		{`"2026-11-22T10:00:00+0200"`, ""},
		{`"2026-11-22T10:00:00ZZ"`, ""},
		{`"2026-11-22T10:00:00 Z"`, ""},
		{`"2026-11-22 10:00:00Z"`, ""},
		{`"2026-11-22T10:00Z"`, ""},
		{`"2026-11-22"`, ""},
		{`"26-11-22T10:00:00Z"`, ""},
		{`"+2026-11-22T10:00:00Z"`, ""},
		{`"1795341600123"`, ""},
		{`"now"`, ""},
		{`""`, ""},
		{`"0001-01-01T00:30:00+01:00"`, ""},
		{`"9999-12-31T23:30:00-01:00"`, ""},
		{`1e300`, ""},
		{`-62135596800001`, ""},
		{`253402300800000`, ""},
		{`true`, ""},
		{`{}`, ""},
		{`[0]`, ""},
	} {
		got, bad := decodeTime(t, d, tt.literal)
		if bad != (tt.want == "") || !bad && got != tt.want {
			t.Errorf("%s: got %s (refused %t), want %q", tt.literal, got, bad, tt.want)
		}
	}
}

// TestTimeEqualsTimeParse compares random and damaged times with time.Parse behind the grammar of RFC 3339.
func TestTimeEqualsTimeParse(t *testing.T) {
	const seed1, seed2 = 20261122, 3
	rng := rand.New(rand.NewPCG(seed1, seed2))
	d := event.NewDecoder(event.DefaultLimits())
	const letters = "0123456789-:.+TZtz ,"
	n := 200_000
	if testing.Short() {
		n = 20_000
	}
	for range n {
		s := fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", rng.IntN(10_000), rng.IntN(14), rng.IntN(33), rng.IntN(25), rng.IntN(61), rng.IntN(61))
		if rng.IntN(2) == 0 {
			s += "." + strconv.FormatUint(rng.Uint64N(1<<rng.IntN(64)), 10)
		}
		switch rng.IntN(3) {
		case 0:
			s += "Z"
		default:
			s += fmt.Sprintf("%c%02d:%02d", "+-"[rng.IntN(2)], rng.IntN(26), rng.IntN(62))
		}
		if rng.IntN(3) == 0 {
			b := []byte(s)
			b[rng.IntN(len(b))] = letters[rng.IntN(len(letters))]
			s = string(b)
		}
		want, wantBad := oracleTime(node{value: s})
		got, gotBad := decodeTime(t, d, `"`+s+`"`)
		if got != want || gotBad != wantBad {
			t.Fatalf("%q (seeds %d, %d): got %s (refused %t), time.Parse says %s (refused %t)", s, seed1, seed2, got, gotBad, want, wantBad)
		}
		ms := fmt.Sprintf("%.2f", (rng.Float64()-0.5)*float64(int64(1)<<rng.IntN(52)))
		want, wantBad = oracleTime(node{value: json.Number(ms)})
		if got, gotBad = decodeTime(t, d, ms); got != want || gotBad != wantBad {
			t.Fatalf("%s: got %s (refused %t), want %s (refused %t)", ms, got, gotBad, want, wantBad)
		}
	}
}
