// Package quality counts how right a model's predictions were, once their labels are known, and estimates it before they are.
// Like everything that driftd counts it is additive: confusion cells, score cells per class, calibration bins and exact sums over
// a frozen Spec, so that counts merge, slide and take a label back when it is corrected, in any order, to the same bytes. Evaluate
// turns counts into metrics with confidence intervals; Estimate is confidence-based performance estimation, which needs no
// labels. Nothing here joins, waits or knows a clock: who hands in a prediction and its label decides what belongs together.
package quality

import (
	"errors"
	"fmt"
)

// Task is what a model predicts.
type Task uint8

// The tasks.
const (
	Binary     Task = iota + 1 // one of two classes, with or without the probability of the positive one
	Multiclass                 // one of several classes, with or without the probability of each
	Regression                 // a number
)

// String returns the name of the task as it stands in the configuration.
func (t Task) String() string {
	switch t {
	case Binary:
		return "binary"
	case Multiclass:
		return "multiclass"
	case Regression:
		return "regression"
	}
	return fmt.Sprintf("Task(%d)", uint8(t))
}

// ParseTask returns the task of that name.
func ParseTask(name string) (Task, bool) {
	for _, t := range []Task{Binary, Multiclass, Regression} {
		if t.String() == name {
			return t, true
		}
	}
	return 0, false
}

// Flaw says why a prediction or a label cannot be counted as such. It is counted instead: a closed set, also for metrics.
type Flaw uint8

// The flaws. A prediction that has one is a prediction nevertheless, and a label that has one is a label: both stay in the coverage.
const (
	FlawNone           Flaw = iota
	FlawNoPrediction        // null or absent
	FlawPredictionType      // of a type that the task has no use for, such as a string where a number is predicted
	FlawScore               // a score that is null, NaN, infinite or no number
	FlawNoLabel             // null
	FlawLabelType           // of a type that the task has no use for
	FlawLabelClass          // neither of the two classes of a binary task
	flawEnd
)

// String returns the flaw's name as it stands in metrics and results.
func (f Flaw) String() string {
	switch f {
	case FlawNone:
		return "none"
	case FlawNoPrediction:
		return "no_prediction"
	case FlawPredictionType:
		return "prediction_type"
	case FlawScore:
		return "score"
	case FlawNoLabel:
		return "no_label"
	case FlawLabelType:
		return "label_type"
	case FlawLabelClass:
		return "label_class"
	case flawEnd:
	}
	return fmt.Sprintf("Flaw(%d)", uint8(f))
}

// Flaws lists every flaw, for metrics that start at zero.
func Flaws() []Flaw {
	out := make([]Flaw, 0, flawEnd-1)
	for f := FlawNoPrediction; f < flawEnd; f++ {
		out = append(out, f)
	}
	return out
}

// Errors of the algebra of counts.
var (
	// ErrDifferentSpec: the two sides do not share one Spec; they are never added.
	ErrDifferentSpec = errors.New("the two sides count over different specs")
	// ErrNotContained: what is to be taken out was never added.
	ErrNotContained = errors.New("a count would become negative: what is subtracted was never added")
	// ErrTooMany: a count would not fit 64 bits.
	ErrTooMany = errors.New("a count does not fit 64 bits")
)
