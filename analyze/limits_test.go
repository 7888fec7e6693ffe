package analyze_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/driftd/driftd/analyze"
)

// What does not fit in memory is refused with what to do, and changes nothing else.
func TestLimits(t *testing.T) {
	text := "x,u\n" + repeat(140_000, func(i int) string { return fmt.Sprintf("%d,user %d\n", i, i) })
	path := file(t, "a.csv", text)
	for name, tt := range map[string]struct {
		change func(o *analyze.Options)
		want   string
	}{
		"numbers":              {func(o *analyze.Options) { o.Memory = 1 << 20 }, "column x: more than 43690 numbers do not fit in 1 MiB of memory; allow more by --memory"},
		"numbers and segments": {func(o *analyze.Options) { o.Memory, o.SegmentBy = 1<<20, "s" }, "column x: more than 26214 numbers"},
		"segments":             {func(o *analyze.Options) { o.SegmentBy = "u" }, "--segment-by u: more than 131072 different values"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(path, path)
			tt.change(&o)
			if o.SegmentBy == "s" {
				o.Reference = file(t, "s.csv", "x,s\n"+repeat(60_000, func(i int) string { return fmt.Sprintf("%d,%d\n", i, i%2) }))
				o.Current = o.Reference
			}
			_, err := analyze.Analyze(context.Background(), o)
			if usage := new(analyze.UsageError); !errors.As(err, &usage) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want a *UsageError with %q", err, tt.want)
			}
		})
	}
	o := options(path, path) // fewer columns at once, the same report
	want := compare(t, o)
	o.Memory = 4 << 20
	if got := compare(t, o); got.Reference.Fingerprint != want.Reference.Fingerprint || len(got.Features) != 2 {
		t.Errorf("one column after the other: another report")
	}
}
