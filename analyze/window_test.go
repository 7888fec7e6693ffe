package analyze

import (
	"testing"
	"time"
)

// The rows of a window span a little less than it: by at most a sixteenth, they are taken for whole hours or days.
func TestWindowOf(t *testing.T) {
	for _, tt := range []struct{ span, pane, want time.Duration }{
		{time.Millisecond, 15 * time.Minute, 15 * time.Minute},
		{14 * time.Minute, 15 * time.Minute, 15 * time.Minute},
		{57 * time.Minute, 15 * time.Minute, time.Hour},
		{50 * time.Minute, 15 * time.Minute, time.Hour}, // four panes
		{6*time.Hour + 50*time.Minute, 15 * time.Minute, 7 * time.Hour},
		{23*time.Hour + 47*time.Minute, 15 * time.Minute, 24 * time.Hour},
		{24 * time.Hour, 15 * time.Minute, 24 * time.Hour},
		{13 * time.Hour, 15 * time.Minute, 13 * time.Hour},
		{13*time.Hour + time.Minute, 15 * time.Minute, 13*time.Hour + 15*time.Minute},
		{6*24*time.Hour + 20*time.Hour, 15 * time.Minute, 7 * 24 * time.Hour},
		{23 * time.Hour, 6 * time.Hour, 24 * time.Hour},
		{50 * time.Minute, 6 * time.Hour, 6 * time.Hour},
	} {
		if got := windowOf(tt.span.Milliseconds(), tt.pane.Milliseconds()); got != tt.want.Milliseconds() {
			t.Errorf("rows that span %v, panes of %v: %v, want %v", tt.span, tt.pane, duration(got), tt.want)
		}
	}
	for ms, want := range map[int64]string{86_400_000: "24h", 900_000: "15m", 5_400_000: "1h30m", 36_000_000: "10h", 1_500: "1.5s", 600_000: "10m"} {
		if got := duration(ms); got != want {
			t.Errorf("%d ms are %q, want %q", ms, got, want)
		}
	}
}
