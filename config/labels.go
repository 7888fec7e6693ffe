package config

import (
	"cmp"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/labels"
	"github.com/driftd/driftd/quality"
)

// Labels is how the labels of a model meet its predictions.
type Labels struct {
	// `self`: a label carries its prediction (`prediction`, `version`, `prediction_ts`), and nothing is kept. `sample`: predictions and labels
	// of a share of the ids meet by id. `full`: all of them do. Empty: labels are only counted.
	Mode string `yaml:"mode" enum:"|self|sample|full"`

	// The share of the ids that `sample` looks at, more than 0 and at most 1. Which ones follows from a hash of the id alone, so that every
	// replica and every second reading look at the same.
	Rate float64 `yaml:"rate"`

	// How long a prediction waits for its label, and a label for its prediction, in event time. The input stream should keep as much: what
	// waits is read again from it when a cache is lost.
	Horizon Duration `yaml:"horizon" min:"1m" max:"366d"`

	// Ids that wait at most. Beyond it the ones that came first are let go, and results say so (`labels_short`). Each takes 60 to 70 bytes of
	// disk and 5 bytes of the state.
	MaxPending int `yaml:"max_pending" min:"1000" max:"100000000"`

	// How long after a window's end its quality is said: at most 8 times, each later than the one before, at most `horizon`. Labels that come after the
	// last one change nothing. It is also said with the window's own result, which only rules with `estimate` look at.
	Maturities []Duration `yaml:"maturities"`

	// What the model predicts.
	Task string `yaml:"task" enum:"binary|multiclass|regression"`

	// The positive class of a binary task, as labels have it: `fraud`. Empty: 1, or true.
	Positive string `yaml:"positive"`

	// The other class of a binary task. Empty: 0, or false; with a `positive`, every other one.
	Negative string `yaml:"negative"`

	// The least score that predicts the positive class, for predictions that are a score alone.
	Threshold float64 `yaml:"threshold"`

	// The classes of a multiclass task, at most 64. Every other one is counted as `other`.
	Classes []string `yaml:"classes"`

	// Calibration bins of equal width.
	Bins int `yaml:"bins" min:"2" max:"100"`

	// The quality is counted and said by the model's `segments`, too. Each prediction that waits takes a byte more for each dimension, and one.
	Segments bool `yaml:"segments"`
}

// newLabels returns labels that are only counted.
func newLabels() Labels {
	return Labels{
		Mode: "", Rate: 1, Horizon: 7 * Day, MaxPending: 1_000_000, Maturities: []Duration{Duration(time.Hour), Day, 7 * Day}, Task: "binary",
		Positive: "", Negative: "", Threshold: quality.DefaultThreshold, Classes: []string{}, Bins: quality.DefaultBins, Segments: true,
	}
}

// counting returns the labels of a model with or without segments as the fold knows them; nil where they are only counted.
func (l *Labels) counting(segments bool) *fold.Labels {
	if l.Mode == "" {
		return nil
	}
	out := &fold.Labels{
		Join: labels.Config{
			Mode: l.Mode, Rate: uint32(math.Round(l.Rate * labels.Million)), Horizon: l.Horizon.Milliseconds(), MaxPending: l.MaxPending, Maturities: nil,
		},
		Task: l.Task, Positive: l.Positive, Negative: l.Negative, Threshold: l.Threshold, Classes: slices.Clone(l.Classes), Bins: l.Bins,
		Segments: l.Segments && segments, Fairness: nil,
	}
	if l.Mode != labels.ModeSample {
		out.Join.Rate = labels.Million
	}
	for _, m := range l.Maturities {
		out.Join.Maturities = append(out.Join.Maturities, m.Milliseconds())
	}
	return out
}

// checkModelLabels applies the rules about the labels of a model.
func (k *checker) checkModelLabels(path string, m *Model) {
	l := &m.Labels
	if l.Mode == "" {
		if !reflect.DeepEqual(*l, newLabels()) {
			k.fail(path, nil, "needs a mode: full, sample or self; without one, labels are only counted")
		}
		return
	}
	switch {
	case !(l.Rate > 0 && l.Rate <= 1) || math.Round(l.Rate*labels.Million) < 1:
		k.fail(path+".rate", nil, "must be more than 0 (at least a millionth) and at most 1, got %v", l.Rate)
	case l.Mode != labels.ModeSample && l.Rate != 1:
		k.fail(path+".rate", []string{path + ".mode"}, "is the share of mode: sample; mode: %s looks at every id", l.Mode)
	}
	k.checkMaturities(path+".maturities", l)
	if l.Threshold != l.Threshold || math.IsInf(l.Threshold, 0) {
		k.fail(path+".threshold", nil, "must be a number, got %v", l.Threshold)
		return
	}
	counted := l.counting(len(m.Segments) > 0)
	if _, known := quality.ParseTask(l.Task); !known {
		return // reported as a choice
	}
	if _, err := counted.Spec(); err != nil {
		at := path
		for _, name := range []string{"classes", "positive", "negative"} {
			if k.d.written(path + "." + name) {
				at = path + "." + name
			}
		}
		if !k.d.isBroken(at) {
			k.fail(at, nil, "cannot be counted: %v", err)
		}
		return
	}
	if timing := modelCounting(*m, k.c.Defaults.Resolution).Timing; timing.Validate() == nil && counted.Join.Validate() == nil {
		if err := counted.Validate(timing); err != nil {
			k.fail(path+".maturities", []string{path}, "cannot be: %v", err)
		}
	}
}

// checkQualityRules applies the rules about the rules that look at the quality of a model.
func (k *checker) checkQualityRules(path string, m *Model) {
	for _, name := range slices.Sorted(maps.Keys(m.Rules)) {
		r := m.Rules[name]
		of := r.alert(name, m.Windows)
		if !r.Enabled || !of.OfQuality() || of.Validate() != nil {
			continue
		}
		p := joinKey(path+".rules", name)
		if m.Labels.Mode == "" {
			if k.d.written(p) && !reflect.DeepEqual(r, k.c.Defaults.Rules[name]) { // those of the defaults look at what there is
				k.fail(p, nil, "looks at the model's quality, and its labels are only counted: give labels a mode")
			}
			continue
		}
		if of.Kind == alerting.KindFairness {
			switch {
			case len(m.Fairness.Dimensions) == 0:
				k.fail(p, nil, "looks at groups, and the model compares none: name fairness.dimensions")
			case of.Dimension != "" && !slices.Contains(m.Fairness.Dimensions, of.Dimension):
				k.fail(p+".dimension", []string{p}, "must be one of fairness.dimensions (%s), got %q", list(m.Fairness.Dimensions, "and"), shorten(of.Dimension))
			}
		}
		metric := cmp.Or(r.Metric, strings.TrimPrefix(r.Change.Series, "quality."))
		if known := alerting.TaskMetrics(m.Labels.Task); metric != "" && known != nil && of.Kind != alerting.KindFairness && !slices.Contains(known, metric) {
			k.fail(p+".metric", []string{p + ".change.series", p, path}, "is %s, which a %s task has not got; there are %s", shorten(metric), m.Labels.Task, list(known, "and"))
		}
		if r.Maturity != 0 && !slices.Contains(m.Labels.Maturities, r.Maturity) {
			k.fail(p+".maturity", []string{p, path}, "must be one of the model's labels.maturities (%v), got %s", m.Labels.Maturities, r.Maturity)
		}
	}
}

func (k *checker) checkMaturities(path string, l *Labels) {
	if n := len(l.Maturities); n == 0 || n > labels.MaxMaturities {
		k.fail(path, nil, "must be 1 to %d, got %d", labels.MaxMaturities, n)
	}
	for i, d := range l.Maturities {
		p := joinIndex(path, i)
		switch {
		case k.d.isBroken(p):
		case d < Duration(time.Millisecond) || d%Duration(time.Millisecond) != 0:
			k.fail(p, []string{path}, "must be at least 1ms, in whole milliseconds, got %s", d)
		case d > l.Horizon:
			k.fail(p, []string{path}, "must not be later than the horizon (%s), got %s", l.Horizon, d)
		case i > 0 && d <= l.Maturities[i-1]:
			k.fail(p, []string{path}, "must be later than the one before (%s), got %s", l.Maturities[i-1], d)
		}
	}
}
