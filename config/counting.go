package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// Counting returns the part of c that decides what is counted and judged. It travels in the input stream, so that a second
// reading of the stream counts the same; whatever is not in it may change without a trace in the results. Two
// configurations that count alike have the same fold.Counting, and so the same hash, however they are written.
//
// ReferenceName is a model's `reference` as it is written. Reference is the fingerprint where that is one, and empty where
// it is a name: only the broker knows which fingerprint a name has, so the caller fills it in before it uses the value.
func (c *Config) Counting() fold.Counting {
	limits := event.DefaultLimits()
	limits.MaxRecord, limits.MaxFields = int(c.Limits.MaxRecord), c.Limits.MaxFeatures
	out := fold.Counting{
		Defaults:        modelCounting(c.newModel(), c.Defaults.Resolution),
		Models:          map[string]fold.ModelConfig{},
		UnknownModels:   c.UnknownModels,
		MaxModels:       c.Limits.MaxModels,
		MaxVersions:     c.Limits.MaxVersions,
		FutureTolerance: c.Limits.FutureTolerance.Milliseconds(),
		DedupIDs:        c.Limits.DedupIDs,
		DedupHorizon:    c.Limits.DedupHorizon.Milliseconds(),
		Limits:          limits,
		MaxMessage:      int(c.Limits.MaxMessage),
	}
	for name, m := range c.Models {
		counted := modelCounting(m, c.Defaults.Resolution)
		if reflect.DeepEqual(counted.Rules, out.Defaults.Rules) {
			counted.Rules = nil // those of the defaults: a thousand models must fit one message
		}
		out.Models[name] = counted
	}
	return out
}

// modelCounting leaves out the features that say nothing of their own.
func modelCounting(m Model, resolution int) fold.ModelConfig {
	out := fold.ModelConfig{
		Reference: "", ReferenceName: m.Reference.String(), Rolling: m.Reference.rolling(resolution),
		Timing: window.Timing{
			Windows: make([]window.Spec, 0, len(m.Windows)), Pane: m.Pane.Milliseconds(),
			Lateness: m.Lateness.Milliseconds(), WatermarkDelay: m.WatermarkDelay.Milliseconds(),
		},
		Detectors: m.Detectors,
		Rules:     alerts(m.Rules, m.Windows),
		Features:  nil, Predictions: nil, Segments: nil, Labels: m.Labels.counting(len(m.Segments) > 0), Compare: nil,
	}
	if strings.HasPrefix(m.Reference.Name, fingerprintPrefix) {
		out.Reference = m.Reference.Name
	}
	for _, w := range m.Windows {
		out.Timing.Windows = append(out.Timing.Windows, window.Spec{
			Size: w.Size.Milliseconds(), Every: w.Every.Milliseconds(), MinEvents: uint64(w.MinEvents), ExtendTo: w.ExtendTo.Milliseconds(),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Segments)) {
		s := fold.SegmentConfig{Dimension: name, Values: nil, Largest: m.Segments[name].Largest}
		if len(m.Segments[name].Values) > 0 {
			s.Values, s.Largest = slices.Clone(m.Segments[name].Values), 0
		}
		out.Segments = append(out.Segments, s)
	}
	for _, name := range slices.Sorted(maps.Keys(m.Compare)) {
		out.Compare = append(out.Compare, comparison(name, m.Compare[name], out.Labels, m.Windows))
	}
	if out.Labels != nil {
		out.Labels.Fairness = m.Fairness.counting()
	}
	for name, f := range m.Features {
		own := fold.FeatureConfig{Ignore: f.Ignore, Detectors: nil}
		if !f.Detectors.Equal(m.Detectors) {
			own.Detectors = &f.Detectors
		}
		switch {
		case !own.Ignore && own.Detectors == nil:
		case f.Role == string(result.RolePrediction):
			out.Predictions = with(out.Predictions, name, own)
		default:
			out.Features = with(out.Features, name, own)
		}
	}
	return out
}

// with adds to a map that is nil while it is empty: an empty one would have other bytes.
func with(m map[string]fold.FeatureConfig, name string, f fold.FeatureConfig) map[string]fold.FeatureConfig {
	if m == nil {
		m = map[string]fold.FeatureConfig{}
	}
	m[name] = f
	return m
}
