package detectors

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// How bins are made from the reference (Config.Bins).
const (
	BinsAuto            = "auto"             // a bin a value for at most MaxValueBins distinct values, else BinsQuantile10Split
	BinsQuantile10Split = "quantile10_split" // deciles; one that several deciles share is a bin of its own
	BinsQuantile10      = "quantile10"       // deciles, equal ones merged: blind below a constant reference, kept for comparison
)

// How empty bins are kept from making a logarithm infinite (Config.Smoothing).
const (
	SmoothingPseudocount = "pseudocount" // half a count a bin, spread by the pooled proportions
	SmoothingFloor       = "floor"       // proportions are at least Config.Epsilon and not renormalised
)

// How p-values that have several customs are computed (Config.Convention).
const (
	ConventionDefault = "default" // ks: exact while n·m ≤ 10,000, else the one-sample exact distribution
	ConventionSciPy   = "scipy"   // ks: exact while max(n, m) ≤ 10,000, as scipy.stats.ks_2samp; up to a second a feature
)

// How p-values are corrected for the number of features (Config.FDR).
const (
	FDRBenjaminiHochberg  = "bh" // independent or positively dependent features
	FDRBenjaminiYekutieli = "by" // any dependence; stricter
)

// Where thresholds come from (Config.Threshold).
const (
	ThresholdAuto  = "auto"  // the configured ones, raised to what the reference's own chunks show without drift
	ThresholdFixed = "fixed" // the configured ones
)

// AllStatistics in Config.Statistics stands for every name.
const AllStatistics = "all"

// defaultStatistics are what is computed where Config.Statistics is empty, beside what verdicts need: the cheap ones that say different
// things.
func defaultStatistics() []string {
	return []string{
		"psi", "psi_debiased", "kl", "js", "hellinger", "total_variation", "chi2", "ks", "wasserstein", "mean_shift",
	}
}

func statisticNames() []string {
	specs := Builtin()
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	return names
}

// wants reports whether a statistic is computed.
func (c Config) wants(s Spec) bool {
	if s.Rate != NotARate || s.Name == DefaultGate || s.Name == c.Gate {
		return true // verdicts need it
	}
	wanted := c.Statistics
	if len(wanted) == 0 {
		wanted = defaultStatistics()
	}
	return slices.Contains(wanted, s.Name) || slices.Contains(wanted, AllStatistics)
}

// Equal reports whether both say the same.
func (c Config) Equal(o Config) bool {
	same := slices.Equal(c.Statistics, o.Statistics)
	c.Statistics, o.Statistics = nil, nil // an empty list and none are the same
	return same && reflect.DeepEqual(c, o)
}

// MaxValueBins is the largest number of distinct reference values for which BinsAuto gives each a bin of its own.
const MaxValueBins = 20

// Config says how a feature is measured and judged. Default gives the documented defaults. It travels as JSON in the input
// stream, so that a second reading of the stream judges the same.
type Config struct {
	// Which statistics are computed, by their names in docs/statistics.md, or `all`. Empty: psi, psi_debiased, kl, js, ks, chi2,
	// hellinger, total_variation, wasserstein and mean_shift. The gate of the verdicts and the rates are always computed.
	Statistics []string `json:"statistics,omitempty" yaml:"statistics"`

	// How bins are made from the reference: `auto`, `quantile10_split` or `quantile10`.
	Bins string `json:"bins" yaml:"bins"`

	// How empty bins are treated in psi and kl: `pseudocount` or `floor`.
	Smoothing string `json:"smoothing" yaml:"smoothing"`

	// The least proportion of a bin with `smoothing: floor`. Above 0, at most 0.1.
	Epsilon float64 `json:"epsilon" yaml:"epsilon"`

	// Which custom p-values follow: `default` or `scipy`. Or whose default rule is the gate instead of `gate`, `warning`, `drift` and
	// `threshold`: `evidently` (that for references above 1,000 rows), `azure`, `scouter` (with its bins and smoothing), `nannyml` (whose threshold
	// comes from ten parts of a reference with times), `tfdv` or `popmon` (which needs these parts for numbers; its statistic is `popmon`).
	Convention string `json:"convention" yaml:"convention"`

	// The statistic that verdicts of a feature's distribution are taken by: `psi_debiased`, or one of `psi`, `kl`, `js`, `hellinger`,
	// `total_variation`, `l_infinity`, `chi2`, `ks`, `wasserstein`, `wasserstein_normed` and `mean_shift` (its size). A feature for whose kind it
	// is not defined is judged by `psi_debiased`. `warning` and `drift` are thresholds of this statistic: set them with it.
	Gate string `json:"gate" yaml:"gate"`

	// Bins that expect fewer values than this on either side are pooled for chi2; 0 pools nothing.
	ChiSquareMinExpected float64 `json:"chi2_min_expected" yaml:"chi2_min_expected"`

	// The value of the gate from which a feature warns. Above 0.
	Warning float64 `json:"warning" yaml:"warning"`

	// The value of the gate from which a feature drifts. At least `warning`.
	Drift float64 `json:"drift" yaml:"drift"`

	// Whether `warning` and `drift` are the whole threshold (`fixed`), or are raised to what the reference's own chunks, each as long as
	// the window, show without drift (`auto`): it needs the gate `psi_debiased` and a reference with 10 chunks, and is off below, which is told.
	Threshold string `json:"threshold" yaml:"threshold"`

	// How much the feature counts in `drift_share`, against the others. 0: its verdict is told, but the model's does not depend on it.
	Weight float64 `json:"weight" yaml:"weight"`

	// The false discovery rate: a verdict needs a q-value of at most this. Between 0 and 1.
	Q float64 `json:"q" yaml:"q"`

	// How p-values are corrected for the number of features: `bh` (Benjamini-Hochberg) or `by` (Benjamini-Yekutieli).
	FDR string `json:"fdr" yaml:"fdr"`

	// How far a rate (missing, invalid, infinite, unseen, out of range) must move to warn, as a share of the values.
	RateWarning float64 `json:"rate_warning" yaml:"rate_warning"`

	// How far a rate must move to be drift. At least `rate_warning`, at most 1.
	RateDrift float64 `json:"rate_drift" yaml:"rate_drift"`

	// The share of a model's judged features, by their weights, that must drift for the model to drift. Above 0, at most 1.
	DriftShare float64 `json:"drift_share" yaml:"drift_share"`
}

// Default returns the documented defaults.
func Default() Config {
	return Config{
		Statistics: []string{}, Bins: BinsAuto, Smoothing: SmoothingPseudocount, Epsilon: 1e-4, Convention: ConventionDefault, ChiSquareMinExpected: 1,
		Gate: DefaultGate, Warning: 0.1, Drift: 0.25, Threshold: ThresholdAuto, Weight: 1, Q: 0.01, FDR: FDRBenjaminiHochberg, RateWarning: 0.02, RateDrift: 0.1, DriftShare: 0.5,
	}
}

// maxWeight keeps sums of weights exact enough.
const maxWeight = 1e6

// UnmarshalJSON implements json.Unmarshaler. What an older version did not write means what that version did.
func (c *Config) UnmarshalJSON(data []byte) error {
	type plain Config
	p := plain(*c)
	p.Gate, p.Threshold, p.Weight = DefaultGate, ThresholdFixed, 1
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return fmt.Errorf("decoding the detectors: %w", err)
	}
	*c = Config(p)
	return nil
}

// ConfigError is one invalid setting.
type ConfigError struct {
	Path    string // the setting's name: `warning`
	Message string // what it must be, and what it is
}

// Error implements error.
func (e *ConfigError) Error() string { return e.Path + ": " + e.Message }

// Validate returns nil or every invalid setting: an error that unwraps to a list of *ConfigError (errors.As finds the first).
func (c Config) Validate() error {
	var errs []error
	fail := func(path, format string, args ...any) {
		errs = append(errs, &ConfigError{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	oneOf := func(path, got string, allowed ...string) {
		if !slices.Contains(allowed, got) {
			fail(path, "must be one of %s, got %q", strings.Join(allowed, ", "), got)
		}
	}
	// The comparisons are written so that NaN fails them.
	within := func(path string, got, least, most float64, aboveLeast bool) {
		if !(got >= least && got <= most) || (aboveLeast && got == least) || math.IsInf(got, 0) {
			word := "at least"
			if aboveLeast {
				word = "above"
			}
			upper := ""
			if most < math.MaxFloat64 {
				upper = fmt.Sprintf(" and at most %v", most)
			}
			fail(path, "must be %s %v%s, got %v", word, least, upper, got)
		}
	}
	known := statisticNames()
	for i, name := range c.Statistics {
		switch {
		case name == AllStatistics && len(c.Statistics) > 1:
			fail("statistics", "%q says everything: leave the other names out", name)
		case name != AllStatistics && !slices.Contains(known, name):
			fail("statistics", "must be %s or some of %s, got %q", AllStatistics, strings.Join(known, ", "), name)
		case slices.Contains(c.Statistics[:i], name):
			fail("statistics", "has %q twice", name)
		}
	}
	oneOf("bins", c.Bins, BinsAuto, BinsQuantile10Split, BinsQuantile10)
	oneOf("smoothing", c.Smoothing, SmoothingPseudocount, SmoothingFloor)
	within("epsilon", c.Epsilon, 0, 0.1, true)
	oneOf("convention", c.Convention, Conventions()...)
	within("chi2_min_expected", c.ChiSquareMinExpected, 0, math.MaxFloat64, false)
	oneOf("gate", c.Gate, Gates()...)
	oneOf("threshold", c.Threshold, ThresholdAuto, ThresholdFixed)
	within("weight", c.Weight, 0, maxWeight, false)
	within("warning", c.Warning, 0, math.MaxFloat64, true)
	if c.Warning > 0 {
		within("drift", c.Drift, c.Warning, math.MaxFloat64, false)
	}
	within("q", c.Q, 0, 1, true)
	oneOf("fdr", c.FDR, FDRBenjaminiHochberg, FDRBenjaminiYekutieli)
	within("rate_warning", c.RateWarning, 0, 1, true)
	if c.RateWarning > 0 {
		within("rate_drift", c.RateDrift, c.RateWarning, 1, false)
	}
	within("drift_share", c.DriftShare, 0, 1, true)
	return errors.Join(errs...)
}
