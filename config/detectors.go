package config

// Detectors says how features are judged.
type Detectors struct {
	// How bins are made.
	Bins string `yaml:"bins"`
	// How empty bins are treated.
	Smoothing string `yaml:"smoothing"`
	// The floor of a proportion.
	Epsilon float64 `yaml:"epsilon"`
	// The effect that warns.
	Warning float64 `yaml:"warning"`
	// The effect that is drift.
	Drift float64 `yaml:"drift"`
	// The false discovery rate.
	Q float64 `yaml:"q"`
	// The correction for many features.
	FDR string `yaml:"fdr"`
	// The share of drifting features that makes a model drift.
	DriftShare float64 `yaml:"drift_share"`
}

func defaultDetectors() Detectors {
	return Detectors{Bins: "auto", Smoothing: "pseudocount", Epsilon: 1e-4, Warning: 0.1, Drift: 0.25, Q: 0.01, FDR: "bh", DriftShare: 0.5}
}

// Validate is replaced with the package's.
func (Detectors) Validate() error { return nil }
