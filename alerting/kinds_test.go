package alerting_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/result"
)

// service returns a window with events of which some failed.
func service(n int, size int64, events, failed uint64) *result.Summary {
	return &result.Summary{ //nolint:exhaustruct // what rules read
		Complete: true, ResultID: fmt.Sprint("r", n), Key: result.Key{Model: "m", Version: result.All, Segment: result.All},
		Window: result.Window{Start: int64(n) * size, End: int64(n+1) * size, Size: size},
		Counts: result.Counts{Events: events}, Errors: failed, //nolint:exhaustruct // as above
	}
}

// fires steps a book by windows and returns those in which an incident of a rule fired or ended.
func fires(book *alerting.Book, r alerting.Rule, windows []*result.Summary) []string {
	var out []string
	for i, w := range windows {
		for _, tr := range book.Step(w, nil, []alerting.Rule{r}) {
			if tr.To == result.Firing || tr.To == result.Resolved {
				out = append(out, fmt.Sprintf("%d %s", i, tr.To))
			}
		}
	}
	return out
}

// The lower end of the score interval decides: by Wilson's formula at z = 3.0902, worked out in Python, it is 0.0407 for 60 of 1,000
// and 0.0539 for 76 of 1,000; the threshold is 5 %.
func TestErrorRate(t *testing.T) {
	r := rule(t, "error-rate")
	r.Scope = alerting.ScopeAll
	var unsure, sure []*result.Summary
	for n := range 3 {
		unsure, sure = append(unsure, service(n, hour, 1000, 60)), append(sure, service(n, hour, 1000, 76))
	}
	if got := fires(&alerting.Book{}, r, unsure); len(got) != 0 {
		t.Errorf("60 of 1,000: %v", got)
	}
	if got := fires(&alerting.Book{}, r, sure); !slices.Equal(got, []string{"1 firing"}) {
		t.Errorf("76 of 1,000: %v", got)
	}
	if got := fires(&alerting.Book{}, r, []*result.Summary{service(0, hour, 0, 0), service(1, hour, 4, 2), service(2, hour, 4, 2)}); len(got) != 0 {
		t.Errorf("windows with next to nothing: %v", got)
	}
}

// Against the reference the lower end of the change decides, which the result has; a result that has none is not judged.
func TestErrorRateAgainstTheReference(t *testing.T) {
	r := rule(t, "error-rate")
	r.Scope, r.Relative, r.Threshold = alerting.ScopeAll, true, 0.02
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	windows := func(value, lower float64) (out []*result.Summary) {
		for n := range 3 {
			w := service(n, hour, 1000, 60)
			w.ErrorChange = result.Stat{Value: &value, Lower: &lower, Upper: new(1.0), Baseline: new(0.06 - value)} //nolint:exhaustruct // no p-value
			out = append(out, w)
		}
		return out
	}
	if got := fires(&alerting.Book{}, r, windows(0.04, 0.019)); len(got) != 0 {
		t.Errorf("it may be chance: %v", got)
	}
	if got := fires(&alerting.Book{}, r, windows(0.04, 0.021)); !slices.Equal(got, []string{"1 firing"}) {
		t.Errorf("two points more for sure: %v", got)
	}
	none := windows(0.04, 0.021)
	for _, w := range none {
		w.ErrorChange = result.Stat{Reason: "the reference has no status"} //nolint:exhaustruct // nothing
	}
	if got := fires(&alerting.Book{}, r, none); len(got) != 0 {
		t.Errorf("without a reference: %v", got)
	}
}

// The page pairs of the workbook for 99.9 %: 14.4 × 0.1 % = 1.44 % in an hour and in five minutes. 2 % of bad events from minute 60
// on: the hour reaches 1.44 % when 0.72 of it are bad: after 43.2 minutes, in the window that ends at minute 105. Half an hour
// later it stops: the five minutes are clean at once.
func TestErrorBudget(t *testing.T) {
	r := alerting.Template("budget", alerting.KindErrorSLO)
	r.SLO.Objective = 0.999
	r.SLO.Window = r.SLO.Step([]int64{5 * 60_000, hour})
	if r.SLO.Window != 5*60_000 {
		t.Fatalf("step %d", r.SLO.Window)
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	r.SLO.Burns = r.SLO.Burns[:1]
	var windows []*result.Summary
	for n := range 40 {
		failed := uint64(0)
		if n >= 12 && n < 27 {
			failed = 20
		}
		windows = append(windows, service(n, 5*60_000, 1000, failed))
	}
	if diff := cmp.Diff([]string{"20 firing", "27 resolved"}, fires(&alerting.Book{}, r, windows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Nine failures are no incident however large their share is.
	for i := range windows {
		windows[i] = service(i, 5*60_000, 10, map[bool]uint64{true: 9, false: 0}[i == 20])
	}
	if got := fires(&alerting.Book{}, r, windows); len(got) != 0 {
		t.Errorf("nine failures: %v", got)
	}
}

func TestLatencyBudgetAndBound(t *testing.T) {
	slo := alerting.Template("slow", alerting.KindLatencySLO)
	slo.SLO.Objective, slo.SLO.Milliseconds, slo.SLO.Window, slo.SLO.Burns = 0.99, 250, hour, []alerting.Burn{{Long: 2 * hour, Short: hour, Factor: 10}}
	bound := alerting.Template("p99", alerting.KindLatencyBound)
	bound.Quantile, bound.Threshold, bound.Scope = "0.99", 300, alerting.ScopeAll
	for _, r := range []alerting.Rule{slo, bound} {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	window := func(n int, over uint64, p99 float64, count uint64) *result.Summary {
		w := service(n, hour, count, 0)
		w.Latency.Count, w.Latency.Over = count, map[string]uint64{"250": over}
		w.Latency.Quantiles = map[string]*float64{"0.99": &p99}
		return w
	}
	// A burn of 10 × 1 % in both hours: 100 of 1,000.
	if got := fires(&alerting.Book{}, slo, []*result.Summary{window(0, 10, 1, 1000), window(1, 120, 1, 1000), window(2, 120, 1, 1000), window(3, 0, 1, 1000)}); !slices.Equal(got, []string{"2 firing", "3 resolved"}) {
		t.Errorf("budget: %v", got)
	}
	if got := fires(&alerting.Book{}, bound, []*result.Summary{window(0, 0, 299, 2000), window(1, 0, 310, 2000), window(2, 0, 310, 2000)}); !slices.Equal(got, []string{"2 firing"}) {
		t.Errorf("bound: %v", got)
	}
	if got := fires(&alerting.Book{}, bound, []*result.Summary{window(0, 0, 900, 500), window(1, 0, 900, 500), window(2, 0, 900, 500)}); len(got) != 0 {
		t.Errorf("five values beyond the quantile are too few to know: %v", got)
	}
}

// A drop is held against the median of the windows before; windows of the drop do not become usual at once.
func TestThroughputDrop(t *testing.T) {
	r := rule(t, "throughput-drop")
	var windows []*result.Summary
	for n, events := range []uint64{1000, 1100, 900, 1000, 1050, 950, 20, 20, 20, 1000, 1000} {
		windows = append(windows, service(n, hour, events, 0))
	}
	if diff := cmp.Diff([]string{"7 firing", "10 resolved"}, fires(&alerting.Book{}, r, windows)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	windows = nil
	for n := range 60 { // traffic that is gone for good becomes usual after a day
		windows = append(windows, service(n, hour, map[bool]uint64{true: 1000, false: 50}[n < 6], 0))
	}
	got := fires(&alerting.Book{}, r, windows)
	if len(got) != 2 || got[0] != "7 firing" || !strings.HasSuffix(got[1], "resolved") {
		t.Errorf("traffic that is gone for good: %v", got)
	}
	windows = nil
	for n := range 20 { // little traffic tells nothing
		windows = append(windows, service(n, hour, map[bool]uint64{true: 20, false: 0}[n < 10], 0))
	}
	if got := fires(&alerting.Book{}, r, windows); len(got) != 0 {
		t.Errorf("little traffic: %v", got)
	}
}

func TestLoss(t *testing.T) {
	lost := service(1, hour, 10, 0)
	lost.Complete, lost.Lost = false, 7
	book := &alerting.Book{}
	got := book.Step(lost, nil, []alerting.Rule{rule(t, "loss")})
	if len(got) != 1 || got[0].To != result.Firing || got[0].Severity != "critical" || got[0].Value != 7 {
		t.Fatalf("loss: %+v", got)
	}
	if got := book.Step(service(2, hour, 10, 0), nil, []alerting.Rule{rule(t, "loss")}); len(got) != 1 || got[0].To != result.Resolved {
		t.Errorf("the next complete window: %+v", got)
	}
}

// A drift of a feature says already that its values left the reference's range.
func TestRatesBesideDrift(t *testing.T) {
	r := rule(t, "out-of-range")
	for drift, want := range map[float64]int{0.5: 0, 0: 1} {
		sum, features := wide(0, drift)
		features[0].Statistics["out_of_range_rate"] = result.Stat{Value: new(0.4), PValue: new(1e-9), Baseline: new(0.01)} //nolint:exhaustruct // what the rule reads
		if got := (&alerting.Book{}).Step(sum, features, []alerting.Rule{r}); len(got) != want {
			t.Errorf("drift %v: %+v", drift, got)
		}
	}
	only := rule(t, "feature-drift")
	only.Features = []string{"f001"}
	sum, features := wide(0, 0.5, 0.6)
	if got := (&alerting.Book{}).Step(sum, features, []alerting.Rule{only}); len(got) != 1 || got[0].FeaturesTotal != 1 || got[0].Feature != "f001" {
		t.Errorf("a rule about one feature: %+v", got)
	}
}

func TestCondition(t *testing.T) {
	sum, features := wide(0, 0.5, 0.1)
	sum.Counts.Events, sum.Errors = 200, 3
	sum.Latency.Quantiles = map[string]*float64{"0.99": new(640.0)}
	for when, want := range map[string]int{
		`events > 100 and latency.p99 > 500`:                   1,
		`latency.p95 > 0 or latency.p95 < 1`:                   0, // there is none: neither above nor below
		`error_rate > 0.01`:                                    1,
		`stat("f000", "psi_debiased") > 0.4`:                   1,
		`stat("f001", "psi_debiased") > 0.4`:                   0,
		`stat("nobody", "psi_debiased") >= 0`:                  0, // cannot be judged
		`stat("f000", "nothing") >= 0`:                         0,
		`count(features, .stat["psi_debiased"] > 0.05) == 2`:   1,
		`any(features, .name startsWith "f" and .count > 1e6)`: 0,
		`drift_share() >= 0`:                                   0, // nothing was judged
	} {
		r := alerting.Template("own", alerting.KindCondition)
		r.When, r.Hits, r.Of = when, 1, 1
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", when, err)
			continue
		}
		if got := (&alerting.Book{}).Step(sum, features, []alerting.Rule{r}); len(got) != want {
			t.Errorf("%s: %d transitions, want %d", when, len(got), want)
		}
	}
}

// Mistakes are found before anything runs, with their place.
func TestConditionMistakes(t *testing.T) {
	for when, want := range map[string]string{
		``:                          "line 1, column 1 of the expression: the expression is empty",
		`events >`:                  "line 1, column 8",
		`evnts > 3`:                 "line 1, column 1 of the expression: unknown name evnts",
		`events > "x"`:              "line 1, column 8",
		"true and\n  latency.p42>1": "line 2, column 11",
		`events`:                    "expected bool",
		`now().Year() > 2000`:       "now",
		`stat("a") > 1`:             "not enough arguments",
		strings.Repeat("1+", 2500):  "at most 4096",
	} {
		_, err := alerting.Compile(when)
		if _, ok := errors.AsType[*alerting.ConditionError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: error %v, want %q", when, err, want)
		}
	}
	c, err := alerting.Compile(`stat("age", "psi") > 0.1 and any(features, .name == "x")`)
	if err != nil {
		t.Fatal(err)
	}
	if f, s := c.Statistics(); !slices.Equal(f, []string{"age"}) || !slices.Equal(s, []string{"psi"}) {
		t.Errorf("statistics: %v %v", f, s)
	}
}

func TestAnnotations(t *testing.T) {
	r := rule(t, "feature-drift")
	r.Hits, r.Of = 1, 1
	r.Labels = map[string]string{"team": "risk"}
	r.Annotations = map[string]string{
		"summary": `{{.Key.Model}} drifts since {{time .Since}}: {{range .Features}}{{.Feature}} {{number .Value}} {{end}}`,
		"long":    `{{range .Reasons}}` + strings.Repeat("x", 7000) + `{{end}}`,
	}
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	sum, features := wide(0, 0.5)
	got := (&alerting.Book{}).Step(sum, features, []alerting.Rule{r})
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	if want := "m drifts since 1970-01-01T00:00:00Z: f000 0.5 "; got[0].Annotations["summary"] != want || got[0].Labels["team"] != "risk" {
		t.Errorf("annotations %q, labels %v", got[0].Annotations, got[0].Labels)
	}
	if n := len(got[0].Annotations["long"]); n > 4096 || !strings.HasSuffix(got[0].Annotations["long"], "…") {
		t.Errorf("a long annotation has %d bytes", n)
	}
	for text, want := range map[string]string{
		"{{.Nope}}": "Nope", "{{": "unclosed", "{{index .Reasons 7}}": "out of range", strings.Repeat("x", 9000): "at most 8192",
		`{{index .Labels "team"}}{{.Labels.team}}`: "no entry",
	} {
		r.Annotations = map[string]string{"summary": text}
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: error %v, want %q", text, err, want)
		}
	}
}

func TestRuleMistakes(t *testing.T) {
	for name, change := range map[string]func(*alerting.Rule){
		"must have an objective": func(r *alerting.Rule) { *r = alerting.Template("s", alerting.KindErrorSLO) },
		"must have a latency":    func(r *alerting.Rule) { *r = alerting.Template("s", alerting.KindLatencySLO); r.SLO.Objective = 0.99 },
		"can never burn":         func(r *alerting.Rule) { *r = alerting.Template("s", alerting.KindErrorSLO); r.SLO.Objective = 0.9 },
		"quantile":               func(r *alerting.Rule) { r.Kind, r.Threshold, r.Quantile = alerting.KindLatency, 2, "0.97" },
		"the milliseconds":       func(r *alerting.Rule) { *r = alerting.Template("b", alerting.KindLatencyBound) },
		"driftd sets itself":     func(r *alerting.Rule) { r.Labels = map[string]string{"model": "x"} },
		"must have names":        func(r *alerting.Rule) { r.Labels = map[string]string{"a b": "x"} },
		"metric must be":         func(r *alerting.Rule) { r.Kind, r.Metric = alerting.KindQuality, "speed" },
		"when is for":            func(r *alerting.Rule) { r.When = "true" },
		"keep_firing_for":        func(r *alerting.Rule) { r.KeepFiring = -1 },
		"a share":                func(r *alerting.Rule) { r.Kind, r.Threshold = alerting.KindErrorRate, 5 },
	} {
		r := rule(t, "feature-drift")
		change(&r)
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
