// Package compare says what may become of a version that is compared with another one over the same windows: promote, hold or roll back. It is
// a state machine of counted windows: what each side counted goes in, a document comes out, and the state is a function of the windows in their order, so
// that a second reading of a stream gives the same bytes. What decides may be read at every window (package sequential); what is told beside
// it, by tests of fixed size, is of one window.
package compare

import (
	"errors"
	"fmt"
	"slices"
)

// The modes of a comparison.
const (
	Canary = "canary" // the candidate gets a share of the traffic
	AB     = "ab"     // so do both
	Shadow = "shadow" // the candidate answers the requests of the baseline, too, and nobody waits for it
)

// Modes lists the modes.
func Modes() []string { return []string{Canary, Shadow, AB} }

// The metrics that can be guarded.
const (
	ErrorRate = "error_rate"
	Latency   = "latency"
	Quality   = "quality"
)

// Guards lists what can be guarded.
func Guards() []string { return []string{ErrorRate, Latency, Quality} }

// What of the quality is guarded.
const (
	Accuracy    = "accuracy"
	Recall      = "recall"
	Precision   = "precision"
	Specificity = "specificity"
	MAE         = "mae"
)

// maxName bounds a name, in bytes.
const maxName = 256

// MaxComparisons is how many comparisons a model may have.
const MaxComparisons = 8

// Config is one comparison.
type Config struct {
	Name      string  `json:"name"`
	Mode      string  `json:"mode"`
	Baseline  string  `json:"baseline"`
	Candidate string  `json:"candidate"`
	Window    int64   `json:"window_ms"`       // size of the windows that are compared
	Share     float64 `json:"share,omitempty"` // of the candidate in the traffic of both; 0: not tested

	Alpha  float64  `json:"alpha"`  // the chance of rolling back a candidate that is within its margins
	Guards []string `json:"guards"` // in the order of Guards()

	ErrorMargin   float64 `json:"error_margin"`   // largest increase of the error rate
	LatencyMargin float64 `json:"latency_margin"` // largest ratio of latencies
	Quantile      float64 `json:"quantile"`       // of the baseline's latencies, above which a request is slow
	QualityMetric string  `json:"quality_metric,omitempty"`
	QualityMargin float64 `json:"quality_margin"` // largest loss of it; of MAE as a share of the baseline's

	MinEvents  uint64 `json:"min_events"`            // of each side before a candidate is promoted
	MinWindows uint64 `json:"min_windows"`           // in which both had events
	MaxWindows uint64 `json:"max_windows,omitempty"` // after so many a person should decide; 0: no bound

	MinAnswered  float64 `json:"min_answered,omitempty"`  // shadow: least share of the requests that the candidate answers
	MinAgreement float64 `json:"min_agreement,omitempty"` // shadow: least share of equal classes; 0: told only
	Tolerance    float64 `json:"tolerance,omitempty"`     // shadow: numbers that differ by more are counted
}

// Validate returns what makes a comparison impossible, or nil.
func (c *Config) Validate() error {
	within := func(x, low, high float64) bool { return x >= low && x <= high } // NaN is not
	switch {
	case c.Name == "" || max(len(c.Name), len(c.Baseline), len(c.Candidate)) > maxName:
		return fmt.Errorf("a comparison and its versions need names of at most %d bytes", maxName)
	case !slices.Contains(Modes(), c.Mode):
		return fmt.Errorf("the mode is %q, not canary, shadow or ab", c.Mode)
	case c.Baseline == "" || c.Candidate == "":
		return errors.New("it needs two versions, baseline and candidate")
	case c.Baseline == "*" || c.Candidate == "*":
		return errors.New("it compares two versions, not all of them together")
	case c.Baseline == c.Candidate:
		return fmt.Errorf("baseline and candidate are both %q: a version is not compared with itself", c.Baseline)
	case !(c.Share == 0 || within(c.Share, 1e-6, 1-1e-6)):
		return fmt.Errorf("a share of %v, it must be between 0 and 1", c.Share)
	case c.Share != 0 && c.Mode == Shadow:
		return errors.New("a shadow has no share of the traffic: it answers what the baseline answers")
	case !within(c.Alpha, 1e-6, 0.5):
		return fmt.Errorf("alpha is %v, it must be in [0.000001, 0.5]", c.Alpha)
	case len(c.Guards) == 0 || !isSubsequence(c.Guards, Guards()):
		return fmt.Errorf("the guards are %q, they must be of %q, each once and in this order", c.Guards, Guards())
	case !within(c.ErrorMargin, 0, 1) || !within(c.QualityMargin, 0, 1):
		return fmt.Errorf("margins of %v (error_rate) and %v (quality), they must be in [0, 1]", c.ErrorMargin, c.QualityMargin)
	case !within(c.LatencyMargin, 1, 100):
		return fmt.Errorf("a margin of latency of %v, it is a ratio in [1, 100]", c.LatencyMargin)
	case !within(c.Quantile, 0.01, 0.999):
		return fmt.Errorf("a quantile of %v, it must be in [0.01, 0.999]", c.Quantile)
	case c.Window <= 0 || c.MinEvents < 1 || c.MinWindows < 1:
		return fmt.Errorf("window_ms %d, min_events %d and min_windows %d must be at least 1", c.Window, c.MinEvents, c.MinWindows)
	case c.MaxWindows != 0 && c.MaxWindows < c.MinWindows:
		return fmt.Errorf("max_windows %d is less than min_windows %d", c.MaxWindows, c.MinWindows)
	case !within(c.MinAnswered, 0, 1) || !within(c.MinAgreement, 0, 1) || !within(c.Tolerance, 0, 1e300):
		return fmt.Errorf("min_answered %v and min_agreement %v must be in [0, 1], tolerance %v at least 0", c.MinAnswered, c.MinAgreement, c.Tolerance)
	case slices.Contains(c.Guards, Quality) && !slices.Contains([]string{Accuracy, Recall, Precision, Specificity, MAE}, c.QualityMetric):
		return fmt.Errorf("the guarded metric of quality is %q, not accuracy, recall, precision, specificity or mae", c.QualityMetric)
	}
	return nil
}

// isSubsequence reports whether some are of all, each once and in their order.
func isSubsequence(some, all []string) bool {
	for _, s := range some {
		i := slices.Index(all, s)
		if i < 0 {
			return false
		}
		all = all[i+1:]
	}
	return true
}

// identity is what a comparison is about. Where it changes, what was seen so far says nothing any more.
func (c *Config) identity() string {
	return fmt.Sprintf("%s\x00%s\x00%s\x00%d\x00%v\x00%v\x00%s\x00%v", c.Mode, c.Baseline, c.Candidate, c.Window, c.LatencyMargin, c.Quantile, c.QualityMetric, c.Tolerance)
}
