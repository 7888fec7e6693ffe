// Package alerting decides what is worth a person's attention: rules over results, and incidents that open, fire and
// resolve. It is pure: an incident's state is a function of the final results in the order of the stream, and its
// transitions are committed with them, so that a restart or another owner says the same (design sections 7 and 8).
package alerting

import (
	"errors"
	"fmt"
	"slices"
)

// Kind says what a rule looks at.
type Kind string

// The kinds of a rule.
const (
	KindFeatureDrift  Kind = "feature_drift"  // a feature or a part of the prediction drifted
	KindMissingValues Kind = "missing_values" // a feature misses more values than the reference did
	KindLatency       Kind = "latency"        // a quantile of the latency is a multiple of the reference's
)

// kinds lists all of them.
func kinds() []Kind { return []Kind{KindFeatureDrift, KindMissingValues, KindLatency} }

// Scope says which results of a window a rule looks at.
type Scope string

// The scopes of a rule.
const (
	ScopeAll  Scope = "all"  // all versions together
	ScopeEach Scope = "each" // each version for itself
)

// Rule is a condition over results, and how long it must hold.
type Rule struct {
	Name     string `json:"name"`
	Kind     Kind   `json:"kind"`
	Scope    Scope  `json:"scope"`
	Severity string `json:"severity"` // free text for routing: info, warning, critical

	// Threshold of the rule's value: a rise of the share of missing values, or the ratio of the latency to the reference's. For
	// feature_drift 0 means the feature's own threshold of drift.
	Threshold float64 `json:"threshold"`

	// Quantile that a latency rule looks at, as it is named in results: "0.95".
	Quantile string `json:"quantile,omitempty"`

	// An incident fires when the condition held in Hits of the last Of windows, which do not overlap. It resolves when the value
	// was below Clear times the threshold in Quiet windows in a row.
	Hits  int     `json:"hits"`
	Of    int     `json:"of"`
	Clear float64 `json:"clear"`
	Quiet int     `json:"quiet"`
}

// Defaults are the rules that hold without any configuration.
func Defaults() []Rule {
	return []Rule{
		{
			Name: "feature-drift", Kind: KindFeatureDrift, Scope: ScopeAll, Severity: "warning",
			Threshold: 0, Quantile: "", Hits: 2, Of: 3, Clear: 0.8, Quiet: 2,
		},
		{
			Name: "missing-values", Kind: KindMissingValues, Scope: ScopeAll, Severity: "warning",
			Threshold: 0.02, Quantile: "", Hits: 2, Of: 3, Clear: 0.8, Quiet: 2,
		},
		{
			Name: "latency-p95", Kind: KindLatency, Scope: ScopeEach, Severity: "critical",
			Threshold: 1.25, Quantile: "0.95", Hits: 2, Of: 3, Clear: 0.8, Quiet: 2,
		},
	}
}

// Validate returns what is wrong with a rule, or nil.
func (r Rule) Validate() error {
	switch {
	case r.Name == "":
		return errors.New("a rule needs a name")
	case !slices.Contains(kinds(), r.Kind):
		return fmt.Errorf("rule %s: kind is %q, must be one of %v", r.Name, r.Kind, kinds())
	case r.Scope != ScopeAll && r.Scope != ScopeEach:
		return fmt.Errorf("rule %s: scope is %q, must be all or each", r.Name, r.Scope)
	case r.Hits < 1 || r.Of < r.Hits || r.Of > maxHistory:
		return fmt.Errorf("rule %s: needs 1 ≤ hits (%d) ≤ of (%d) ≤ %d", r.Name, r.Hits, r.Of, maxHistory)
	case r.Quiet < 1:
		return fmt.Errorf("rule %s: quiet is %d, must be at least 1", r.Name, r.Quiet)
	case !(r.Clear > 0 && r.Clear <= 1):
		return fmt.Errorf("rule %s: clear is %v, must be above 0 and at most 1", r.Name, r.Clear)
	case !(r.Threshold >= 0):
		return fmt.Errorf("rule %s: threshold is %v, must not be negative", r.Name, r.Threshold)
	case r.Kind == KindLatency && !(r.Threshold > 1):
		return fmt.Errorf("rule %s: threshold is %v, a ratio of latencies must be above 1", r.Name, r.Threshold)
	}
	return nil
}
