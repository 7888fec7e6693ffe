package config

import (
	"maps"
	"reflect"
	"slices"

	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/fold"
)

// Comparison is two live versions that are compared over the same windows.
type Comparison struct {
	// `canary`: the candidate gets a share of the traffic. `ab`: both do. `shadow`: the candidate answers what the baseline answers, and nobody waits
	// for it; requests are matched by the id of the events, which needs `labels.mode` `sample` or `full` (no label has to come).
	Mode string `yaml:"mode" enum:"|canary|shadow|ab"`

	// The version that serves, as events name it.
	Baseline string `yaml:"baseline"`

	// The version that may take its place. Another name begins the comparison anew.
	Candidate string `yaml:"candidate"`

	// The size of the windows that are compared, one of the model's that follow each other. `0s`: the shortest of them.
	Window Duration `yaml:"window" min:"0s" max:"366d"`

	// The candidate's share of the traffic of both versions, as it is meant to be. A split that is not so (sample ratio mismatch) is reported, and
	// nothing is promoted on it. `0`: not tested.
	Share float64 `yaml:"share"`

	// The chance of rolling back a candidate that is within its margins, over all windows and guards together.
	Alpha float64 `yaml:"alpha"`

	// What decides: `error_rate`, `latency`, `quality`. Empty: all of them; quality only where the model's labels have a `mode`.
	Guards []string `yaml:"guards"`

	// How much worse the candidate may be.
	Margins Margins `yaml:"margins"`

	// The quantile of the baseline's latencies above which a request is slow.
	LatencyQuantile float64 `yaml:"latency_quantile"`

	// What of the quality is guarded: `accuracy`, of a binary task also `recall`, `precision` or `specificity`; of a regression `mae`. Empty: the first one of
	// the task.
	QualityMetric string `yaml:"quality_metric" enum:"|accuracy|recall|precision|specificity|mae"`

	// Events that each version must have had before the candidate is promoted. To roll back needs no least number.
	MinEvents int `yaml:"min_events" min:"1"`

	// Windows in which both must have had events before the candidate is promoted.
	MinWindows int `yaml:"min_windows" min:"1"`

	// After so many windows of both without a decision the verdict says that a person should decide. `0`: no bound.
	MaxWindows int `yaml:"max_windows" min:"0"`

	// The least share of the baseline's requests that a shadow has to answer.
	MinAnswered float64 `yaml:"min_answered"`

	// The least share of requests for which a shadow has to name the same class. `0`: it is reported and does not decide.
	MinAgreement float64 `yaml:"min_agreement"`

	// Scores (or numbers of a regression) of a shadow that differ by more than this are counted.
	Tolerance float64 `yaml:"tolerance"`
}

// Margins are how much worse a candidate may be.
type Margins struct {
	// The largest increase of the error rate: 0.01 is one percentage point.
	ErrorRate float64 `yaml:"error_rate"`

	// The largest ratio of its latencies to those of the baseline.
	Latency float64 `yaml:"latency"`

	// The largest loss of the guarded metric of quality: 0.02 is two percentage points; of `mae` as a share of the baseline's.
	Quality float64 `yaml:"quality"`
}

// DefaultComparison returns a comparison that says nothing of its own.
func DefaultComparison() Comparison {
	return Comparison{
		Mode: "", Baseline: "", Candidate: "", Window: 0, Share: 0, Alpha: 0.05, Guards: []string{},
		Margins: Margins{ErrorRate: 0.01, Latency: 1.2, Quality: 0.02}, LatencyQuantile: 0.95, QualityMetric: "", MinEvents: 1000, MinWindows: 3, MaxWindows: 0,
		MinAnswered: 0.95, MinAgreement: 0, Tolerance: 0.01,
	}
}

// comparison returns a comparison as the fold knows it.
func comparison(name string, c Comparison, labels *fold.Labels, windows []Window) compare.Config {
	out := compare.Config{
		Name: name, Mode: c.Mode, Baseline: c.Baseline, Candidate: c.Candidate, Window: c.Window.Milliseconds(), Share: c.Share, Alpha: c.Alpha, Guards: nil,
		ErrorMargin: c.Margins.ErrorRate, LatencyMargin: c.Margins.Latency, Quantile: c.LatencyQuantile, QualityMetric: "", QualityMargin: c.Margins.Quality,
		MinEvents: uint64(c.MinEvents), MinWindows: uint64(c.MinWindows), MaxWindows: uint64(c.MaxWindows), MinAnswered: 0, MinAgreement: 0, Tolerance: 0,
	}
	if c.Mode == compare.Shadow {
		out.MinAnswered, out.MinAgreement, out.Tolerance = c.MinAnswered, c.MinAgreement, c.Tolerance
	}
	for _, g := range compare.Guards() {
		if slices.Contains(c.Guards, g) || len(c.Guards) == 0 && (g != compare.Quality || labels != nil) {
			out.Guards = append(out.Guards, g)
		}
	}
	if labels != nil && out.Guarded(compare.Quality) {
		out.QualityMetric = c.QualityMetric
		if of := fold.GuardedQuality(labels.Task); out.QualityMetric == "" && len(of) > 0 {
			out.QualityMetric = of[0]
		}
	}
	if out.Window == 0 {
		for _, w := range windows {
			if w.Every == w.Size && (out.Window == 0 || w.Size.Milliseconds() < out.Window) {
				out.Window = w.Size.Milliseconds()
			}
		}
	}
	return out
}

// checkComparisons applies the rules about versions that are compared.
func (k *checker) checkComparisons(path string, m Model) {
	if len(m.Compare) > compare.MaxComparisons {
		k.fail(path+".compare", nil, "must be at most %d comparisons, got %d", compare.MaxComparisons, len(m.Compare))
	}
	for _, name := range slices.Sorted(maps.Keys(m.Compare)) {
		p := joinKey(path+".compare", name)
		if name == "" || len(name) > maxNameSize || hasControl(name) {
			k.failKey(p, "must be a comparison's name: 1 to %d bytes of UTF-8 without control characters", maxNameSize)
			continue
		}
		k.checkComparison(p, name, m)
	}
}

func (k *checker) checkComparison(p, name string, m Model) {
	c := m.Compare[name]
	found := bounds(p, reflect.ValueOf(c))
	for _, f := range found {
		k.report(f)
	}
	whole := len(found) == 0
	fail := func(at, format string, args ...any) {
		k.fail(at, []string{p}, format, args...)
		whole = false
	}
	if c.Mode == "" {
		fail(p, "needs a mode: canary, shadow or ab")
	}
	for _, v := range []struct{ key, name string }{{"baseline", c.Baseline}, {"candidate", c.Candidate}} {
		if at := p + "." + v.key; v.name == "" || v.name == "*" || len(v.name) > maxNameSize {
			fail(at, "needs a version, as events name it, of at most %d bytes", maxNameSize)
		}
	}
	if c.Baseline != "" && c.Baseline == c.Candidate {
		fail(p+".candidate", "is the baseline as well (%s): a version is not compared with itself", shorten(c.Candidate))
	}
	for i, g := range c.Guards {
		if !slices.Contains(compare.Guards(), g) || slices.Contains(c.Guards[:i], g) {
			fail(joinIndex(p+".guards", i), "must be %s, each once, got %q", list(compare.Guards(), "or"), shorten(g))
		}
	}
	if c.Mode == compare.Shadow && m.Labels.Mode != "sample" && m.Labels.Mode != "full" {
		fail(p+".mode", "matches requests by their id, which needs labels.mode sample or full; no label has to come")
	}
	if slices.Contains(c.Guards, compare.Quality) && m.Labels.Mode == "" {
		fail(p+".guards", "has quality, which needs labels.mode")
	}
	if !whole || k.d.isBroken(p) {
		return
	}
	counted := modelCounting(m, k.c.Defaults.Resolution)
	i := slices.IndexFunc(counted.Compare, func(o compare.Config) bool { return o.Name == name })
	if counted.Timing.Validate() != nil || counted.Labels != nil && counted.Labels.Validate(counted.Timing) != nil {
		return // reported where it is
	}
	if err := counted.CheckComparison(&counted.Compare[i]); err != nil {
		at, keys := p, []string{
			"window", "share", "alpha", "latency_quantile", "quality_metric", "margins", "max_windows", "min_answered", "min_agreement", "tolerance",
		}
		if i := slices.IndexFunc(keys, func(key string) bool { return k.d.written(p + "." + key) }); i >= 0 {
			at = p + "." + keys[i]
		}
		k.fail(at, []string{p}, "cannot be: %v", err)
	}
}
