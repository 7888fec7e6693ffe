package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

// series makes samples of one quantity, the memory, as a function of the time.
func series(n int, rss func(i int) float64) []sample {
	out := make([]sample, n)
	for i := range out {
		out[i] = sample{after: time.Duration(i+1) * 10 * time.Second, rss: rss(i)} //nolint:exhaustruct // one quantity
	}
	return out
}

// y = 5 + 2x: slope 2, mean of x (1+2+3+4)/4 = 2.5, so mean 10; an outlier of +4 at x = 4 adds 4·1.5/5 = 1.2 to the slope.
func TestTrend(t *testing.T) {
	x := []float64{1, 2, 3, 4}
	if mean, slope := trend(x, []float64{7, 9, 11, 13}); mean != 10 || slope != 2 {
		t.Errorf("got mean %v and slope %v, want 10 and 2", mean, slope)
	}
	if mean, slope := trend(x, []float64{7, 9, 11, 17}); mean != 11 || math.Abs(slope-3.2) > 1e-12 {
		t.Errorf("got mean %v and slope %v, want 11 and 3.2", mean, slope)
	}
	if mean, slope := trend([]float64{1}, []float64{3}); mean != 3 || slope != 0 {
		t.Errorf("got mean %v and slope %v of one point, want 3 and 0", mean, slope)
	}
}

func TestJudge(t *testing.T) {
	const m = 1 << 20
	for _, tt := range []struct {
		name string
		rss  func(i int) float64
		flat bool
	}{
		{"constant", func(int) float64 { return 100 * m }, true},
		{"warming up in the first quarter", func(i int) float64 { return 100 * m * min(1, float64(i)/80) }, true},
		{"a saw tooth of 40 MiB", func(i int) float64 { return float64(100+(i*7)%40) * m }, true},
		{"shrinking", func(i int) float64 { return float64(500-i) * m }, true},
		{"a leak of 100 KiB a sample", func(i int) float64 { return 100*m + float64(i)*100*1024 }, false},
	} {
		list := judge(series(360, tt.rss))
		for _, j := range list {
			if want := tt.flat || j.name != "memory (RSS)"; j.flat() != want {
				t.Errorf("%s: %s: flat is %v, want %v (growth %v, bound %v)", tt.name, j.name, j.flat(), want, j.growth, j.bound)
			}
		}
		if err := grown(list); (err == nil) != tt.flat {
			t.Errorf("%s: got error %v", tt.name, err)
		}
	}
}

// The table has the last sample of each twelfth.
func TestTable(t *testing.T) {
	var out strings.Builder
	writeTable(&out, series(360, func(int) float64 { return 0 }), tableRows)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2+tableRows {
		t.Fatalf("got %d lines, want a head of two and %d rows", len(lines), tableRows)
	}
	if !strings.HasPrefix(lines[2], "| 5m0s |") || !strings.HasPrefix(lines[13], "| 1h0m0s |") {
		t.Errorf("the first row is %.40s…, the last %.40s…; want 5m0s and 1h0m0s", lines[2], lines[13])
	}
}
