// Package ruletest runs data-driven tests of alert rules, as promtool does for Prometheus: a file says what the windows of a model
// show, and which incidents that must make. It is for users' own rules; package alerting is what evaluates them.
package ruletest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/config"
	"github.com/driftd/driftd/result"
)

// File is a file of tests.
type File struct {
	Tests []Test `yaml:"tests"`
}

// Test is a series of windows of one model, and the transitions that they must make.
type Test struct {
	Name    string          `yaml:"name"`
	Model   string          `yaml:"model"`   // its rules are those of the configuration, or of the defaults
	Version string          `yaml:"version"` // empty: all versions together
	Window  config.Duration `yaml:"window"`  // size; 0: an hour
	Input   Input           `yaml:"input"`
	Expect  []Expect        `yaml:"expect"` // every transition, in the order of the windows
}

// Input is what the windows show. A series is one value a window, separated by blanks: `0.1 0.3x2 _` is 0.1, 0.3, 0.3 and a
// window that could not be judged. A shorter series repeats its last value.
type Input struct {
	Windows          int                `yaml:"windows"` // how many
	Events           string             `yaml:"events"`  // 1000 without a word
	Errors           string             `yaml:"errors"`
	Lost             string             `yaml:"lost"` // messages; above 0 the window is incomplete
	DriftShare       string             `yaml:"drift_share"`
	Latency          map[string]string  `yaml:"latency" key:"quantile"`           // milliseconds by quantile: "0.95"
	LatencyReference map[string]string  `yaml:"latency_reference" key:"quantile"` // of the reference, by quantile
	Over             map[string]string  `yaml:"over" key:"milliseconds"`          // events that took longer, by milliseconds
	Features         map[string]Feature `yaml:"features" key:"feature"`
	Quality          Quality            `yaml:"quality"`
}

// Quality is what the documents of quality of the windows say, at the maturity that each rule looks at. They come behind all the windows'
// results, in their order.
type Quality struct {
	Task        string            `yaml:"task"`                   // binary without a word
	Predictions string            `yaml:"predictions"`            // events without a word
	Labels      string            `yaml:"labels"`                 // predictions without a word
	Metrics     map[string]string `yaml:"metrics" key:"metric"`   // of the labels, and their estimate too
	Margin      string            `yaml:"margin"`                 // half of each metric's confidence interval; 0 without a word
	Reference   map[string]string `yaml:"reference" key:"metric"` // the reference's, certain
}

// Feature is what the windows show of one feature.
type Feature struct {
	Role       string            `yaml:"role"`                       // feature or prediction; empty: feature
	Statistics map[string]string `yaml:"statistics" key:"statistic"` // series by name; a rate is compared with 0
	Q          string            `yaml:"q"`                          // q-value of the gate, and p of the rates; 0 without a word
}

// Expect is one transition.
type Expect struct {
	Window    int      `yaml:"window"` // from 1
	Rule      string   `yaml:"rule"`
	To        string   `yaml:"to"`
	Features  []string `yaml:"features"` // by effect; empty: not looked at
	Inhibited string   `yaml:"inhibited_by"`
}

func (e Expect) String() string {
	out := fmt.Sprintf("window %d: %s %s", e.Window, e.Rule, e.To)
	if len(e.Features) > 0 {
		out += " of " + strings.Join(e.Features, ", ")
	}
	if e.Inhibited != "" {
		out += " (inhibited by " + e.Inhibited + ")"
	}
	return out
}

// Parse reads a file of tests; the error is a config.Errors with every mistake and its place.
func Parse(name string, data []byte) (*File, error) {
	var f File
	if err := config.Decode(name, data, &f); err != nil {
		return nil, err
	}
	return &f, nil
}

// maxWindows bounds a test.
const maxWindows = 100_000

// Run runs a test with the rules of a configuration and returns what differs, one line each; nil: it passes. The error says what is
// wrong with the test itself.
func (t *Test) Run(c *config.Config) (differences []string, err error) {
	counting := c.Counting()
	model, ok := counting.Models[t.Model]
	if !ok || model.Rules == nil {
		rules := counting.Defaults.Rules
		if !ok {
			model = counting.Defaults
		}
		model.Rules = rules
	}
	if t.Input.Windows < 1 || t.Input.Windows > maxWindows {
		return nil, fmt.Errorf("input.windows is %d, must be 1 to %d", t.Input.Windows, maxWindows)
	}
	in, err := t.read()
	if err != nil {
		return nil, err
	}
	size := t.Window.Milliseconds()
	if size == 0 {
		size = time.Hour.Milliseconds()
	}
	book := alerting.Restore(nil)
	var got []Expect
	for n := range t.Input.Windows {
		sum, features := in.window(t, n, size, &model.Detectors.Warning, &model.Detectors.Drift, &model.Detectors.Q)
		for _, tr := range book.Step(sum, features, model.Rules) {
			e := Expect{Window: n + 1, Rule: tr.Rule, To: string(tr.To), Features: nil, Inhibited: tr.InhibitedBy}
			for _, f := range tr.Features {
				e.Features = append(e.Features, f.Feature)
			}
			got = append(got, e)
		}
	}
	if len(t.Input.Quality.Metrics) > 0 || t.Input.Quality.Labels != "" {
		got = append(got, in.stepQuality(t, book, size, model.Rules)...)
	}
	return compare(t.Expect, got), nil
}

// stepQuality lets a book look at the documents of quality of all windows.
func (s series) stepQuality(t *Test, book *alerting.Book, size int64, rules []alerting.Rule) []Expect {
	var out []Expect
	maturities := []int64{0, -1} // -1 stands for the last
	for i := range rules {
		if m := rules[i].Maturity; m > 0 && !slices.Contains(maturities, m) {
			maturities = append(maturities, m)
		}
	}
	for n := range t.Input.Windows {
		for _, maturity := range maturities {
			for _, tr := range book.StepQuality(s.quality(t, n, size, maturity), rules) {
				out = append(out, Expect{Window: n + 1, Rule: tr.Rule, To: string(tr.To), Features: nil, Inhibited: tr.InhibitedBy})
			}
		}
	}
	return out
}

// compare returns what is missing of want, and what of got was not wanted.
func compare(want, got []Expect) []string {
	var out []string
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g Expect) bool {
			return g.Window == w.Window && g.Rule == w.Rule && g.To == w.To && g.Inhibited == w.Inhibited && (len(w.Features) == 0 || slices.Equal(w.Features, g.Features))
		})
		if i < 0 {
			out = append(out, "missing     "+w.String())
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, g := range left {
		out = append(out, "unexpected  "+g.String())
	}
	return out
}

// series are the values of a window, by path; nil: there is none.
type series map[string][]*float64

func (t *Test) read() (series, error) {
	s, in := series{}, &t.Input
	for path, text := range map[string]string{"events": in.Events, "errors": in.Errors, "lost": in.Lost, "drift_share": in.DriftShare} {
		if err := s.add(path, text, in.Windows); err != nil {
			return nil, err
		}
	}
	for group, all := range map[string]map[string]string{"latency": in.Latency, "latency_reference": in.LatencyReference, "over": in.Over} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if group != "over" && !slices.Contains(alerting.Quantiles(), name) {
				return nil, fmt.Errorf("input.%s: %q is no quantile of a result: those are %s", group, name, strings.Join(alerting.Quantiles(), ", "))
			}
			if err := s.add(group+" "+name, all[name], in.Windows); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Features)) {
		f := in.Features[name]
		if f.Role != "" && f.Role != string(result.RoleFeature) && f.Role != string(result.RolePrediction) {
			return nil, fmt.Errorf("input.features.%s.role is %q, must be feature or prediction", name, f.Role)
		}
		if err := s.add("q "+name, f.Q, in.Windows); err != nil {
			return nil, err
		}
		for _, statistic := range slices.Sorted(maps.Keys(f.Statistics)) {
			if err := s.add("stat "+name+" "+statistic, f.Statistics[statistic], in.Windows); err != nil {
				return nil, err
			}
		}
	}
	q := &in.Quality
	if !slices.Contains([]string{"", "binary", "multiclass", "regression"}, q.Task) {
		return nil, fmt.Errorf("input.quality.task is %q, must be binary, multiclass or regression", q.Task)
	}
	for path, text := range map[string]string{"predictions": q.Predictions, "labels": q.Labels, "margin": q.Margin} {
		if err := s.add(path, text, in.Windows); err != nil {
			return nil, err
		}
	}
	for group, all := range map[string]map[string]string{"metric": q.Metrics, "reference": q.Reference} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !slices.Contains(alerting.Metrics(), name) {
				return nil, fmt.Errorf("input.quality: %q is no metric that a rule can look at: those are %s", name, strings.Join(alerting.Metrics(), ", "))
			}
			if err := s.add(group+" "+name, all[name], in.Windows); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// add expands a series.
func (s series) add(path, text string, windows int) error {
	for word := range strings.FieldsSeq(text) {
		value, times, repeated := strings.Cut(word, "x")
		n := 1
		if repeated {
			var err error
			if n, err = strconv.Atoi(times); err != nil || n < 1 || n > maxWindows {
				return fmt.Errorf("input: the series of %s: %q is no value, and no value x times such as 0.1x5", path, word)
			}
		}
		var number *float64
		if value != "_" {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("input: the series of %s: %q is no number; `_` is a window that could not be judged", path, value)
			}
			number = &x
		}
		for range n {
			s[path] = append(s[path], number)
		}
	}
	if len(s[path]) > windows {
		return fmt.Errorf("input: the series of %s has %d values, there are %d windows", path, len(s[path]), windows)
	}
	return nil
}

// at returns the value of a window; the last one holds on.
func (s series) at(path string, n int) *float64 {
	all := s[path]
	if len(all) == 0 {
		return nil
	}
	return all[min(n, len(all)-1)]
}

func (s series) count(path string, n int, otherwise uint64) uint64 {
	if len(s[path]) == 0 {
		return otherwise
	}
	if v := s.at(path, n); v != nil && *v > 0 {
		return uint64(*v)
	}
	return 0
}

// window lays out one result.
func (s series) window(t *Test, n int, size int64, warning, drift, q *float64) (*result.Summary, []result.Feature) {
	version := t.Version
	if version == "" {
		version = result.All
	}
	sum := new(result.Summary) // what rules read; the rest stays empty
	sum.ResultID, sum.Key = fmt.Sprintf("%032x", n), result.Key{Model: t.Model, Version: version, Segment: result.All}
	sum.Window = result.Window{Start: int64(n) * size, End: int64(n+1) * size, Size: size}
	sum.Verdict, sum.DriftShare = result.Stable, s.at("drift_share", n)
	sum.Lost, sum.Errors = s.count("lost", n, 0), s.count("errors", n, 0)
	sum.Complete, sum.Counts.Events = sum.Lost == 0, s.count("events", n, 1000)
	sum.ThroughputHz = float64(sum.Counts.Events) / (float64(size) / 1000)
	sum.Latency = result.Latency{ //nolint:exhaustruct // as above
		Count: sum.Counts.Events, Quantiles: map[string]*float64{}, Reference: map[string]*float64{}, Ratio: map[string]result.Stat{}, Over: map[string]uint64{},
	}
	for name := range t.Input.Latency {
		now, then := s.at("latency "+name, n), s.at("latency_reference "+name, n)
		sum.Latency.Quantiles[name], sum.Latency.Reference[name] = now, then
		if now != nil && then != nil && *then > 0 {
			ratio := *now / *then
			sum.Latency.Ratio[name] = result.Stat{Value: &ratio, Lower: &ratio, Upper: &ratio, PValue: nil, Baseline: nil, Reason: ""}
		}
	}
	for ms := range t.Input.Over {
		sum.Latency.Over[ms] = s.count("over "+ms, n, 0)
	}
	features := make([]result.Feature, 0, len(t.Input.Features))
	for _, name := range slices.Sorted(maps.Keys(t.Input.Features)) {
		features = append(features, s.feature(t, name, n, *warning, *drift, *q))
	}
	return sum, features
}

// quality lays out one document of quality at a maturity; -1: the last.
func (s series) quality(t *Test, n int, size, maturity int64) *result.Quality {
	sum, _ := s.window(t, n, size, new(float64), new(float64), new(float64))
	q := new(result.Quality) // what rules read; the rest stays empty
	q.ResultID, q.Key, q.Window, q.Task = sum.ResultID, sum.Key, sum.Window, cmp.Or(t.Input.Quality.Task, "binary")
	q.Maturity, q.Final = maturity, maturity < 0
	if q.Final {
		q.Maturity = size
	}
	q.Predictions = s.count("predictions", n, sum.Counts.Events)
	q.Labels = s.count("labels", n, q.Predictions)
	if q.Predictions > 0 {
		coverage := float64(q.Labels) / float64(q.Predictions)
		q.Coverage = &coverage
	}
	margin := 0.0
	if m := s.at("margin", n); m != nil {
		margin = *m
	}
	metrics := func(group string, all map[string]string, rows uint64, margin float64) (out []result.Metric) {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			m := result.Metric{Name: name, Class: "", N: rows, Value: s.at(group+" "+name, n), Lower: nil, Upper: nil, Least: nil, Most: nil, Reason: ""}
			if m.Value != nil {
				lower, upper := *m.Value-margin, *m.Value+margin
				m.Lower, m.Upper = &lower, &upper
			}
			out = append(out, m)
		}
		return out
	}
	q.Metrics = metrics("metric", t.Input.Quality.Metrics, q.Labels, margin)
	q.Reference = metrics("reference", t.Input.Quality.Reference, math.MaxUint32, 0)
	q.Estimate = &result.Estimate{
		Predictions: q.Predictions, Left: 0, Calibration: "", Assumptions: nil, Metrics: metrics("metric", t.Input.Quality.Metrics, q.Predictions, margin),
	}
	return q
}

func (s series) feature(t *Test, name string, n int, warning, drift, q float64) result.Feature {
	f := t.Input.Features[name]
	role := result.RoleFeature
	if f.Role != "" {
		role = result.Role(f.Role)
	}
	p := s.at("q "+name, n)
	if f.Q == "" {
		p = new(float64)
	}
	var out result.Feature // what rules read; the rest stays empty
	out.Feature, out.Role, out.Statistics, out.QValue, out.Verdict = name, role, map[string]result.Stat{}, p, result.Stable
	out.Thresholds.Statistic, out.Thresholds.Warning, out.Thresholds.Drift, out.Thresholds.Q = "psi_debiased", warning, drift, q
	out.Reference.Count, out.Current.Count = 1000, 1000
	for statistic := range f.Statistics {
		value := s.at("stat "+name+" "+statistic, n)
		out.Statistics[statistic] = result.Stat{Value: value, PValue: p, Baseline: new(float64), Lower: nil, Upper: nil, Reason: ""}
		if statistic == out.Thresholds.Statistic && value != nil && *value >= drift {
			out.Verdict = result.Drift
		}
		if value != nil {
			out.Reasons = append(out.Reasons, fmt.Sprintf("%s %.4g", statistic, *value))
		}
	}
	slices.Sort(out.Reasons)
	return out
}
