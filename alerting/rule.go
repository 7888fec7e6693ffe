// Package alerting decides what is worth a person's attention: rules over results, and incidents that open, fire and
// resolve. It is pure: an incident's state is a function of the final results in the order of the stream, and its
// transitions are committed with them, so that a restart or another owner says the same (design sections 7 and 8).
package alerting

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/driftd/driftd/result"
)

// Kind says what a rule looks at.
type Kind string

// The kinds of a rule. One incident collects all features of its rule.
const (
	KindFeatureDrift    Kind = "feature_drift"    // features drifted by their gates
	KindPredictionDrift Kind = "prediction_drift" // a part of the prediction drifted
	KindDriftShare      Kind = "drift_share"      // a share of the features drifted
	KindMissingValues   Kind = "missing_values"   // features miss more values than the reference did
	KindInvalidValues   Kind = "invalid_values"   // features have more values of a wrong type
	KindUnseenValues    Kind = "unseen_values"    // features have categories that the reference has not
	KindOutOfRange      Kind = "out_of_range"     // features leave the range of the reference
	KindLatency         Kind = "latency"          // a quantile of the latency is a multiple of the reference's
	KindLatencyBound    Kind = "latency_bound"    // a quantile of the latency is above a number of milliseconds
	KindLatencySLO      Kind = "latency_slo"      // the error budget of "answers in time" burns too quickly
	KindErrorRate       Kind = "error_rate"       // the share of failed events is above a bound
	KindErrorSLO        Kind = "error_slo"        // the error budget of "answers well" burns too quickly
	KindThroughputDrop  Kind = "throughput_drop"  // far fewer events than in the windows before
	KindNoData          Kind = "no_data"          // no event at all
	KindLoss            Kind = "loss"             // input was lost: the window is incomplete
	KindQuality         Kind = "quality"          // a metric of the model's quality is beyond a bound
	KindLabelCoverage   Kind = "label_coverage"   // too few predictions have a label
	KindFairness        Kind = "fairness"         // groups of people are too far apart
	KindChangePoint     Kind = "change_point"     // the level of a series changed
	KindCondition       Kind = "condition"        // an expression of the user's own
)

// kinds lists all of them.
func kinds() []Kind {
	return []Kind{
		KindFeatureDrift, KindPredictionDrift, KindDriftShare, KindMissingValues, KindInvalidValues, KindUnseenValues, KindOutOfRange, KindLatency,
		KindLatencyBound, KindLatencySLO, KindErrorRate, KindErrorSLO, KindThroughputDrop, KindNoData, KindLoss, KindQuality, KindLabelCoverage, KindFairness, KindChangePoint,
		KindCondition,
	}
}

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

	// Threshold of the rule's value: a rise of a rate, a ratio of latencies, milliseconds, a share of events. For drift of
	// features 0 means the feature's own threshold of drift.
	Threshold float64 `json:"threshold"`

	// Quantile that a rule on latency looks at, as it is named in results: "0.95".
	Quantile string `json:"quantile,omitempty"`

	// Metric that a rule on quality looks at, as it is named in results. Empty with Relative: the usual one of the task.
	Metric string `json:"metric,omitempty"`

	// What only rules about quality have, but for Relative, which makes Threshold of an error rate how much higher than the reference's it may be. Maturity is at which of the model's maturities, in milliseconds, they look at a window; 0: the
	// last. Relative makes Threshold the share by which the metric may be worse than the reference's, or the label coverage less than
	// that of the windows before. Estimate looks at what is estimated without labels. MinLabels is from how many labels on a
	// metric is judged, or the coverage from how many predictions on; 0: DefaultMinLabels.
	Maturity  int64 `json:"maturity_ms,omitempty"`
	Relative  bool  `json:"relative,omitempty"`
	Estimate  bool  `json:"estimate,omitempty"`
	MinLabels int   `json:"min_labels,omitempty"`

	// Dimension limits a rule on fairness to the groups of one; empty: those of any.
	Dimension string `json:"dimension,omitempty"`

	// Features limits a rule on features to these; empty: all.
	Features []string `json:"features,omitempty"`

	// Segments makes the rule look at parts of the events instead of all of them: dimensions (`region`), values of them (`region=eu`),
	// or `*` for every segment there is. All of them are one incident. Empty: all events together.
	Segments []string `json:"segments,omitempty"`

	// When is the expression of a condition, see Condition.
	When string `json:"when,omitempty"`

	// Change is the series of change_point, nil for the other kinds.
	Change *Change `json:"change,omitempty"`

	// SLO is the objective of latency_slo and error_slo, nil for the other kinds.
	SLO *SLO `json:"slo,omitempty"`

	// An incident fires when the condition held in Hits of the last Of windows, which do not overlap. It resolves when the value
	// was below Clear times the threshold in Quiet windows in a row, and KeepFiring milliseconds of event time passed since it
	// held last.
	Hits       int     `json:"hits"`
	Of         int     `json:"of"`
	Clear      float64 `json:"clear"`
	Quiet      int     `json:"quiet"`
	KeepFiring int64   `json:"keep_firing_ms,omitempty"`

	// Labels go with every transition, for routing. Annotations are templates of text/template over a Transition.
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`

	// Inhibits names the rules of the same model that are not worth a message while this one fires; `*` is all others.
	Inhibits []string `json:"inhibits,omitempty"`
}

// Bounds of a rule.
const (
	maxHistory     = 32      // windows that an incident remembers
	maxRuleName    = 128     // bytes
	maxLabels      = 32      // labels, and annotations, of a rule
	maxLabelBytes  = 1 << 10 // of one label's value
	maxTemplate    = 8 << 10 // bytes of an annotation's template
	maxKeepFiring  = 31 * 24 * 3_600_000
	minThroughputN = 5 // windows that a drop of throughput is compared with, at least
)

// fixed holds what most rules have in common: two of three windows, quiet after two below eight tenths of the threshold.
func fixed(name string, kind Kind, scope Scope, severity string, threshold float64) Rule {
	return Rule{ //nolint:exhaustruct // what is left out is for special rules
		Name: name, Kind: kind, Scope: scope, Severity: severity, Threshold: threshold, Hits: 2, Of: 3, Clear: 0.8, Quiet: 2,
	}
}

// Template returns the rule of a kind before anything is said about it: what a user's own rule begins with.
func Template(name string, kind Kind) Rule {
	for _, r := range Defaults() {
		if r.Kind == kind && len(r.Segments) == 0 && !r.Relative {
			r.Name = name
			return r
		}
	}
	r := fixed(name, kind, ScopeAll, "warning", 0)
	switch kind { //nolint:exhaustive // the others have a default rule, or need no threshold
	case KindLatencyBound:
		r.Quantile, r.Scope = "0.95", ScopeEach
	case KindLatencySLO, KindErrorSLO:
		r.SLO = &SLO{Objective: 0, Milliseconds: 0, Burns: PageBurns(), Window: 0}
		r.Hits, r.Of, r.Quiet, r.Severity = 1, 1, 1, "critical"
	case KindQuality:
		r.MinLabels, r.Severity = DefaultMinLabels, "critical"
	case KindLabelCoverage:
		r.Threshold, r.MinLabels = 0.5, DefaultMinLabels
	case KindFairness:
		r.Threshold = 0.1
	case KindChangePoint:
		r.Change = &Change{Series: "", Detector: DetectorCUSUM, Direction: DirectionBoth, Threshold: 0, Warmup: 0}
		r.Hits, r.Of, r.Quiet = 1, 1, 6
	case KindCondition:
		r.Threshold = 1
	}
	return r
}

// Defaults are the rules that hold without any configuration.
func Defaults() []Rule {
	latency := fixed("latency-p95", KindLatency, ScopeEach, "critical", 1.25)
	latency.Quantile = "0.95"
	feature := fixed("feature-drift", KindFeatureDrift, ScopeAll, "warning", 0)
	feature.Inhibits = []string{"segment-drift"} // where all events drift, most parts of them do
	share := fixed("drift-share", KindDriftShare, ScopeAll, "critical", 0)
	share.Inhibits = []string{"feature-drift", "prediction-drift", "segment-drift", "unseen-values", "out-of-range"}
	segment := fixed("segment-drift", KindFeatureDrift, ScopeAll, "warning", 0)
	segment.Segments = []string{result.All}
	silent := fixed("no-data", KindNoData, ScopeAll, "critical", 0)
	silent.Hits, silent.Of, silent.Quiet, silent.Inhibits = 3, 3, 1, []string{"*"}
	loss := fixed("loss", KindLoss, ScopeAll, "critical", 1)
	loss.Hits, loss.Of, loss.Quiet = 1, 1, 1
	throughput := fixed("throughput-drop", KindThroughputDrop, ScopeAll, "warning", 0.9)
	throughput.Inhibits = nil
	worse := fixed("quality-drop", KindQuality, ScopeAll, "critical", 0.1)
	worse.Relative, worse.MinLabels = true, DefaultMinLabels
	unlabelled := fixed("label-coverage-drop", KindLabelCoverage, ScopeAll, "warning", 0.5)
	unlabelled.Relative, unlabelled.MinLabels = true, DefaultMinLabels
	return []Rule{
		feature,
		fixed("prediction-drift", KindPredictionDrift, ScopeAll, "critical", 0),
		share,
		segment,
		fixed("missing-values", KindMissingValues, ScopeAll, "warning", 0.02),
		fixed("invalid-values", KindInvalidValues, ScopeAll, "warning", 0.02),
		fixed("unseen-values", KindUnseenValues, ScopeAll, "warning", 0.05),
		fixed("out-of-range", KindOutOfRange, ScopeAll, "warning", 0.05),
		latency,
		fixed("error-rate", KindErrorRate, ScopeEach, "critical", 0.05),
		throughput,
		worse,
		unlabelled,
		silent,
		loss,
	}
}

// labelName is what Alertmanager accepts everywhere; annotations have the same names.
var labelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// RuleError says what is wrong with one setting of a rule.
type RuleError struct {
	Rule  string
	Field string // as it is called in driftd.yaml; empty: the rule as a whole
	Err   error
}

func (e *RuleError) Error() string {
	where := e.Field
	if where == "" {
		return fmt.Sprintf("rule %q: %v", e.Rule, e.Err)
	}
	return fmt.Sprintf("rule %q: %s %v", e.Rule, where, e.Err)
}

// Unwrap returns the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// Validate returns what is wrong with a rule, a *RuleError, or nil.
func (r *Rule) Validate() error {
	for _, check := range []func() (string, error){r.validate, r.validateKind, r.validateChange, r.validateQuality, r.validateFairness, r.validateSegments, r.validateLabels, r.validateAnnotations} {
		if field, err := check(); err != nil {
			return &RuleError{Rule: r.Name, Field: field, Err: err}
		}
	}
	return nil
}

func (r *Rule) validate() (string, error) {
	switch {
	case r.Name == "":
		return "name", errors.New("must not be empty")
	case len(r.Name) > maxRuleName:
		return "name", fmt.Errorf("has %d bytes, at most %d are possible", len(r.Name), maxRuleName)
	case !slices.Contains(kinds(), r.Kind):
		return "kind", fmt.Errorf("must be one of %s, got %q", strings.Join(KindNames(), ", "), r.Kind)
	case r.Scope != ScopeAll && r.Scope != ScopeEach:
		return "scope", fmt.Errorf("must be all or each, got %q", r.Scope)
	case len(r.Severity) > maxLabelBytes:
		return "severity", fmt.Errorf("has %d bytes, at most %d are possible", len(r.Severity), maxLabelBytes)
	case r.Hits < 1 || r.Of < r.Hits || r.Of > maxHistory:
		return "for", fmt.Errorf("must be k of n windows with 1 ≤ k ≤ n ≤ %d, got %d of %d", maxHistory, r.Hits, r.Of)
	case r.Quiet < 1 || r.Quiet > maxHistory:
		return "quiet", fmt.Errorf("must be 1 to %d windows, got %d", maxHistory, r.Quiet)
	case !(r.Clear > 0 && r.Clear <= 1):
		return "clear", fmt.Errorf("must be above 0 and at most 1, got %v", r.Clear)
	case r.KeepFiring < 0 || r.KeepFiring > maxKeepFiring:
		return "keep_firing_for", errors.New("must be 0s to 31d")
	case !(r.Threshold >= 0) || math.IsInf(r.Threshold, 0):
		return "threshold", fmt.Errorf("must not be negative, got %v", r.Threshold)
	}
	return "", nil
}

// validateKind checks what only some kinds have.
func (r *Rule) validateKind() (string, error) {
	if r.Kind == KindLatency || r.Kind == KindLatencyBound {
		if !slices.Contains(Quantiles(), r.Quantile) {
			return "quantile", fmt.Errorf("must be one of %s, got %q", strings.Join(Quantiles(), ", "), r.Quantile)
		}
	}
	switch r.Kind { //nolint:exhaustive // the others need nothing more
	case KindLatency:
		if !(r.Threshold > 1) {
			return "threshold", fmt.Errorf("must be above 1, a ratio of latencies, got %v", r.Threshold)
		}
	case KindLatencyBound:
		if !(r.Threshold > 0) {
			return "threshold", errors.New("must be the milliseconds that the quantile should stay below")
		}
	case KindErrorRate, KindThroughputDrop, KindLabelCoverage, KindMissingValues, KindInvalidValues, KindUnseenValues, KindOutOfRange:
		if !(r.Threshold > 0 && r.Threshold < 1) {
			return "threshold", fmt.Errorf("must be above 0 and below 1, a share, got %v", r.Threshold)
		}
	case KindLatencySLO, KindErrorSLO:
		if r.SLO == nil {
			return "slo", errors.New("is missing")
		}
		if err := r.SLO.validate(r.Kind == KindLatencySLO); err != nil {
			return "slo", err
		}
	case KindCondition:
		_, err := Compile(r.When)
		return "when", err
	}
	if r.When != "" {
		return "when", fmt.Errorf("is for rules of the kind %s, got the kind %s", KindCondition, r.Kind)
	}
	return "", nil
}

func (r *Rule) validateLabels() (string, error) {
	if len(r.Labels) > maxLabels {
		return "labels", fmt.Errorf("must be at most %d, got %d", maxLabels, len(r.Labels))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Labels)) {
		switch {
		case !labelName.MatchString(name):
			return "labels", fmt.Errorf("must have names of a letter or `_`, then letters, digits and `_`, got %q", name)
		case slices.Contains(reservedLabels(), name):
			return "labels", fmt.Errorf("must not hold %s, which driftd sets itself", name)
		case len(r.Labels[name]) > maxLabelBytes:
			return "labels", fmt.Errorf("must have values of at most %d bytes, %s has %d", maxLabelBytes, name, len(r.Labels[name]))
		}
	}
	return "", nil
}

func (r *Rule) validateAnnotations() (string, error) {
	if len(r.Annotations) > maxLabels {
		return "annotations", fmt.Errorf("must be at most %d, got %d", maxLabels, len(r.Annotations))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Annotations)) {
		if !labelName.MatchString(name) {
			return "annotations", fmt.Errorf("must have names of a letter or `_`, then letters, digits and `_`, got %q", name)
		}
		if err := CheckTemplate(r.Annotations[name]); err != nil {
			return "annotations." + name, fmt.Errorf("must be a template: %w", err)
		}
	}
	return "", nil
}

// IsLabelName reports whether a label or an annotation may have a name.
func IsLabelName(name string) bool { return labelName.MatchString(name) }

// reservedLabels are the labels that every alert has.
func reservedLabels() []string {
	return []string{"alertname", "model", "version", "segment", "window", "severity", "kind"}
}

// KindNames returns the names of all kinds, in the order of the documentation.
func KindNames() []string {
	out := make([]string, 0, len(kinds()))
	for _, k := range kinds() {
		out = append(out, string(k))
	}
	return out
}

// Quantiles are the quantiles of the latency that results have.
func Quantiles() []string { return []string{"0.5", "0.9", "0.95", "0.99", "0.999"} }

// wants reports whether a rule on features looks at this one.
func (r *Rule) wants(feature string) bool {
	return len(r.Features) == 0 || slices.Contains(r.Features, feature)
}
