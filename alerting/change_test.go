package alerting_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// changeRule looks at a series by a detector.
func changeRule(tb testing.TB, c alerting.Change, features ...string) alerting.Rule {
	tb.Helper()
	r := alerting.Template("slow-decay", alerting.KindChangePoint)
	r.Change, r.Features = &c, features
	if err := r.Validate(); err != nil {
		tb.Fatal(err)
	}
	return r
}

// told steps a book, which is stored and restored between any two windows, and returns what fired or was resolved.
func told(tb testing.TB, r alerting.Rule, n int, window func(i int) (*result.Summary, []result.Feature)) []string {
	tb.Helper()
	book := &alerting.Book{}
	var out []string
	for i := range n {
		sum, features := window(i)
		for _, tr := range book.Step(sum, features, []alerting.Rule{r}) {
			if tr.To == result.Firing || tr.To == result.Resolved {
				out = append(out, fmt.Sprintf("%d %s %s: %s", i, tr.To, tr.Feature, strings.Join(tr.Reasons, "; ")))
			}
		}
		book = restart(tb, book)
	}
	return out
}

// An error rate that creeps from 1 % to 3 % stays under the bound of 5 % of the rule on errors in every window; CUSUM and Page-Hinkley tell it, and
// neither tells anything of the 120 windows before. A fall is not told where only a rise is asked for.
func TestSlowDecayUnderEveryThreshold(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	var failed []uint64
	for i := range 260 {
		rate := 0.01 + 0.02*max(0, min(1, float64(i-120)/60))
		n := uint64(0)
		for range 2000 {
			if rng.Float64() < rate {
				n++
			}
		}
		failed = append(failed, n)
	}
	window := func(i int) (*result.Summary, []result.Feature) { return service(i, 3_600_000, 2000, failed[i]), nil }
	if got := told(t, rule(t, "error-rate"), len(failed), func(i int) (*result.Summary, []result.Feature) {
		sum, _ := window(i)
		sum.Key.Version = "1"
		return sum, nil
	}); len(got) != 0 {
		t.Fatalf("the rule on errors says %q; want nothing", got)
	}
	for _, c := range []alerting.Change{
		{Series: "error_rate", Detector: alerting.DetectorCUSUM, Direction: alerting.DirectionUp, Threshold: 8},
		{Series: "error_rate", Detector: alerting.DetectorPageHinkley, Direction: alerting.DirectionUp, Threshold: 0.1},
	} {
		got := told(t, changeRule(t, c), len(failed), window)
		if len(got) == 0 || !strings.Contains(got[0], " firing : error_rate rose: on average ") {
			t.Errorf("%s says %q; want a rise", c.Detector, got)
			continue
		}
		var at int
		if _, err := fmt.Sscan(got[0], &at); err != nil || at < 120 || at > 240 {
			t.Errorf("%s says %q; want it after 120 and by 240", c.Detector, got[0])
		}
		c.Direction = alerting.DirectionDown
		if got := told(t, changeRule(t, c), len(failed), window); len(got) != 0 {
			t.Errorf("%s, asked for a fall, says %q", c.Detector, got)
		}
	}
}

// ADWIN's bound is made for numbers of the size of 1 and takes more windows: it tells a share of drift that goes from 0.1 to 0.6.
func TestAdaptiveWindow(t *testing.T) {
	c := alerting.Change{Series: "drift_share", Detector: alerting.DetectorADWIN, Direction: alerting.DirectionBoth}
	got := told(t, changeRule(t, c), 300, func(i int) (*result.Summary, []result.Feature) {
		share := 0.1 + 0.05*float64(i%3)
		if i >= 150 {
			share += 0.5
		}
		sum := service(i, 3_600_000, 2000, 0)
		sum.DriftShare = &share
		return sum, nil
	})
	var at int
	if len(got) != 2 || !strings.Contains(got[0], " firing : drift_share rose: ") {
		t.Fatalf("%q; want one rise, and its end", got)
	}
	if _, err := fmt.Sscan(got[0], &at); err != nil || at < 150 || at > 250 {
		t.Errorf("%q; want it within a hundred windows of the change at 150", got)
	}
}

// The mean of each named feature is a series of its own; a window without it says nothing; the incident is over after six quiet windows.
func TestChangeOfFeatures(t *testing.T) {
	c := alerting.Change{Series: "mean", Detector: alerting.DetectorCUSUM, Direction: alerting.DirectionBoth, Warmup: 20}
	got := told(t, changeRule(t, c, "age", "income"), 40, func(i int) (*result.Summary, []result.Feature) {
		age, income := float64(40+i%2), float64(100+i%3)
		if i >= 30 {
			age -= 10
		}
		features := []result.Feature{
			{Feature: "age", Role: result.RoleFeature, Current: result.Side{Mean: &age}},
			{Feature: "height", Role: result.RoleFeature, Current: result.Side{Mean: &age}},
			{Feature: "income", Role: result.RoleFeature, Current: result.Side{Mean: &income}},
		}
		if i%10 == 9 {
			features[2].Current.Mean = nil
		}
		return service(i, 3_600_000, 2000, 0), features
	})
	if len(got) != 2 || !strings.HasPrefix(got[0], "30 firing age: mean fell: on average 30 in the last 1 windows, 40.5 in the 30 before (cusum)") ||
		!strings.HasPrefix(got[1], "36 resolved age: ") {
		t.Errorf("%q; want the fall of age at 30, over at 36", got)
	}
}

func TestBadChanges(t *testing.T) {
	good := alerting.Change{Series: "error_rate", Detector: alerting.DetectorCUSUM, Direction: alerting.DirectionUp}
	for what, change := range map[string]func(r *alerting.Rule){
		"no series":               func(r *alerting.Rule) { r.Change.Series = "" },
		"a series without a name": func(r *alerting.Rule) { r.Change.Series = "psi" },
		"features of the model":   func(r *alerting.Rule) { r.Features = []string{"age"} },
		"an unknown detector":     func(r *alerting.Rule) { r.Change.Detector = "guess" },
		"an unknown direction":    func(r *alerting.Rule) { r.Change.Direction = "sideways" },
		"a warmup of adwin":       func(r *alerting.Rule) { r.Change.Detector, r.Change.Warmup = alerting.DetectorADWIN, 3 },
		"an impossible threshold": func(r *alerting.Rule) { r.Change.Detector, r.Change.Threshold = alerting.DetectorADWIN, 2 },
		"two windows of three":    func(r *alerting.Rule) { r.Hits, r.Of = 2, 3 },
		"segments":                func(r *alerting.Rule) { r.Segments = []string{"region"} },
		"nothing that is watched": func(r *alerting.Rule) { r.Change = nil },
	} {
		c := good
		r := changeRule(t, c)
		change(&r)
		if r.Validate() == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}
