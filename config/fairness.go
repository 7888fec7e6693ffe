package config

import (
	"slices"

	"github.com/driftd/driftd/fold"
	"github.com/driftd/driftd/quality"
)

// Fairness is how a model's predictions are compared between groups of people.
type Fairness struct {
	// Names of `segments`: their values are the groups. Empty: groups are not compared. Needs `labels` of a binary task, which say what is positive;
	// how often a group is selected is said without any label, the rest as labels come.
	Dimensions []string `yaml:"dimensions"`

	// Cases that a group needs to be compared by a rate of them: predictions, positive labels, negative labels, or labels. Smaller groups are
	// shown and not judged.
	NMin int `yaml:"n_min" min:"1" max:"1000000"`

	// The confidence of the intervals, from 0.5 to 0.9999. They hold for all pairs of groups at once.
	Level float64 `yaml:"level"`
}

// newFairness returns what compares no groups.
func newFairness() Fairness { return Fairness{Dimensions: []string{}, NMin: 30, Level: 0.95} }

// counting returns the setting as the fold knows it; nil where no groups are compared.
func (f *Fairness) counting() *fold.Fairness {
	if len(f.Dimensions) == 0 {
		return nil
	}
	return &fold.Fairness{Dimensions: slices.Sorted(slices.Values(f.Dimensions)), NMin: uint64(f.NMin), Level: f.Level}
}

// checkFairness applies the rules about groups.
func (k *checker) checkFairness(path string, m *Model) {
	if l := m.Fairness.Level; !(l >= 0.5 && l <= 0.9999) {
		k.fail(path+".level", nil, "must be between 0.5 and 0.9999, got %v", l)
	}
	dimensions := path + ".dimensions"
	if len(m.Fairness.Dimensions) == 0 || k.d.isBroken(dimensions) {
		return
	}
	for i, d := range m.Fairness.Dimensions {
		p := joinIndex(dimensions, i)
		if _, known := m.Segments[d]; !known {
			k.fail(p, []string{dimensions}, "must be one of the model's segments, got %q", d)
		} else if slices.Index(m.Fairness.Dimensions, d) < i {
			k.fail(p, []string{dimensions}, "is there twice: %q", d)
		}
	}
	var needs string
	switch l := &m.Labels; {
	case l.Mode == "":
		needs = "a mode: they say what is positive; self needs no label to come"
	case l.Task != quality.Binary.String():
		needs = "task: binary, it is " + l.Task
	case !l.Segments:
		needs = "segments: true"
	default:
		return
	}
	k.fail(dimensions, []string{path}, "needs labels with %s", needs)
}
