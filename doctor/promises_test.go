package doctor

import (
	"strings"
	"testing"
	"time"
)

// Copies, majorities and spare servers are those of RAFT: of n copies, n/2+1 must have a write.
func TestPromises(t *testing.T) {
	for _, tt := range []struct {
		name  string
		facts facts
		want  string // kill of driftd, kill of a broker, power, disk
		power string // in the words about the power
	}{
		{"embedded", facts{known: true, copies: 1, embedded: true}, "yes yes no no", "sync_interval is 2m"},
		{"one server", facts{known: true, copies: 1}, "yes yes unknown no", "unless it is always"},
		{"two copies", facts{known: true, copies: 2}, "yes yes unknown no", "needs both"},
		{"three copies", facts{known: true, copies: 3}, "yes yes yes yes", "when 2 have it: holds for 1 at a time"},
		{"five copies", facts{known: true, copies: 5}, "yes yes yes yes", "when 3 have it: holds for 2 at a time"},
		{"in memory", facts{known: true, copies: 1, memory: true}, "yes no no no", "in memory"},
		{"refused", facts{known: true, copies: 3, refused: "stream X has no_ack true"}, "no no no no", "X has no_ack true"},
		{"unreadable", facts{}, "unknown unknown unknown unknown", "could be read"},
	} {
		var got []string
		all := promises(tt.facts)
		for _, g := range all {
			got = append(got, string(g.Holds))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: holds %q, want %q", tt.name, s, tt.want)
		}
		if len(all) == 4 && !strings.Contains(all[2].Because, tt.power) {
			t.Errorf("%s: of a power loss it says %q, want it to say %q", tt.name, all[2].Because, tt.power)
		}
	}
}

func TestClockStatus(t *testing.T) {
	const tolerance = 5 * time.Minute
	for _, tt := range []struct {
		offset, trip time.Duration
		want         Status
	}{
		{0, time.Millisecond, OK},
		{900 * time.Millisecond, 0, OK},
		{2 * time.Second, 3 * time.Second, OK}, // it may be the way of the question
		{-2 * time.Second, time.Millisecond, Advice},
		{6 * time.Minute, time.Millisecond, Broken},
		{-6 * time.Minute, time.Millisecond, Broken},
	} {
		if got, remedy := clockStatus(tt.offset, tt.trip, tolerance); got != tt.want || (remedy == "") != (got == OK) {
			t.Errorf("offset %v, round trip %v: %s (%q), want %s", tt.offset, tt.trip, got, remedy, tt.want)
		}
	}
}

func TestLagStatus(t *testing.T) {
	for share, want := range map[float64]Status{0: OK, 0.49: OK, 0.5: Advice, 0.94: Advice, 0.95: Broken, 2: Broken} {
		if got, _ := lagStatus(share, "max_bytes"); got != want {
			t.Errorf("%v of the retention: %s, want %s", share, got, want)
		}
	}
}

func TestSizesAndAges(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 30: "10.0 GiB", 1 << 62: "4096.0 PiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{7 * 24 * time.Hour: "7d", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m", 2 * time.Hour: "2h", 65 * time.Second: "1m5s", 30 * time.Second: "30s"} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}
