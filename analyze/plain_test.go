package analyze

import (
	"testing"

	"github.com/driftd/driftd/result"
)

func TestPlain(t *testing.T) {
	middle := func(x float64) *float64 { return &x }
	side := func(n, missing uint64, median *float64) result.Side {
		return result.Side{Count: n, Missing: missing, Median: median}
	}
	bins := func(label string) []result.Bin {
		return []result.Bin{{Label: label, Reference: 10, Current: 60}, {Label: "rest", Reference: 90, Current: 40}}
	}
	tests := map[string]struct {
		f    result.Feature
		want string
	}{
		"numeric": {
			result.Feature{Kind: "numeric", Verdict: result.Drift, Reference: side(100, 0, middle(3)), Current: side(100, 0, middle(8)), Bins: bins("> 7.5")},
			"60.0 % of the values are now above 7.5; it was 10.0 %. The middle value went from 3 to 8.",
		},
		"between": {
			result.Feature{Kind: "numeric", Verdict: result.Warning, Reference: side(100, 0, nil), Current: side(100, 0, nil), Bins: bins("(2, 3]")},
			"60.0 % of the values are now between 2 and 3; it was 10.0 %.",
		},
		"categorical": {
			result.Feature{Kind: "categorical", Verdict: result.Drift, Reference: side(100, 0, nil), Current: side(100, 0, nil), Bins: bins("DE")},
			`"DE" is now 60.0 % of the values; it was 10.0 %.`,
		},
		"gone": {
			result.Feature{Kind: "numeric", Verdict: result.Drift, Reference: side(100, 0, nil), Current: side(0, 100, nil)},
			"100.0 % of the rows have no value; it was 0.0 %.",
		},
		"stable": {result.Feature{Verdict: result.Stable, Reference: side(100, 0, nil), Current: side(100, 0, nil)}, "The values look as they did."},
		"few":    {result.Feature{Verdict: result.Insufficient, Reference: side(1, 0, nil), Reasons: []string{"needs 203, has 150"}}, "There are too few values to tell: needs 203, has 150."},
	}
	for name, tt := range tests {
		psi := 1.0
		tt.f.Statistics = map[string]result.Stat{"psi_debiased": {Value: &psi}}
		if got := plain(&Feature{Feature: tt.f}); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
