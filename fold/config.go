// Package fold is the deterministic core of a partition: stored messages in, counts, results and dead letters out. It
// holds everything that the commit stores, and nothing else. The same messages in the same order give the same bytes,
// whenever commits happen and however often it is restored; it knows no clock, network, logger or goroutine.
package fold

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/driftd/driftd/alerting"
	"github.com/driftd/driftd/compare"
	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/result"
	"github.com/driftd/driftd/window"
)

// Counting is the part of the configuration that decides what is counted and judged. It travels in the input stream as a
// control message, so that a second reading of the stream counts the same (design sections 5 and 6).
type Counting struct {
	Defaults        ModelConfig            `json:"defaults"`
	Models          map[string]ModelConfig `json:"models"`
	UnknownModels   string                 `json:"unknown_models"`             // UnknownAuto or UnknownReject
	MaxModels       int                    `json:"max_models"`                 // how many models may be discovered
	MaxVersions     int                    `json:"max_versions"`               // versions of a model counted apart at a time
	FutureTolerance int64                  `json:"future_tolerance_ms"`        // how far ahead of the broker's clock an event may be
	DedupIDs        int                    `json:"dedup_ids"`                  // ids remembered by the partition
	DedupHorizon    int64                  `json:"dedup_horizon_ms,omitempty"` // over which ids should be remembered; 0: not stated
	Limits          event.Limits           `json:"limits"`
	MaxMessage      int                    `json:"max_message"` // bytes; a larger message is refused unread
}

// What happens to a model that the configuration does not name.
const (
	UnknownAuto   = "auto"   // it is counted, up to MaxModels
	UnknownReject = "reject" // its records are dead-lettered
)

// ModelConfig is how one model is counted and judged.
type ModelConfig struct {
	Reference     string                   `json:"reference"`         // fingerprint; empty: none
	ReferenceName string                   `json:"reference_name"`    // for people
	Rolling       *Rolling                 `json:"rolling,omitempty"` // instead of Reference
	Timing        window.Timing            `json:"timing"`
	Detectors     detectors.Config         `json:"detectors"`
	Rules         []alerting.Rule          `json:"rules"`                 // null in a model: those of Defaults
	Features      map[string]FeatureConfig `json:"features,omitempty"`    // by name
	Predictions   map[string]FeatureConfig `json:"predictions,omitempty"` // by reserved name
	Segments      []SegmentConfig          `json:"segments,omitempty"`    // by dimension
	Labels        *Labels                  `json:"labels,omitempty"`      // nil: labels are only counted
	Compare       []compare.Config         `json:"compare,omitempty"`     // of live versions, by name
}

// FeatureConfig overrides how one feature is judged.
type FeatureConfig struct {
	Ignore    bool              `json:"ignore,omitempty"`    // neither judged nor reported
	Detectors *detectors.Config `json:"detectors,omitempty"` // whole, already merged with the model's
}

// ignores reports whether a feature of a role, or of any where role is empty, is neither judged nor reported.
func (c ModelConfig) ignores(role result.Role, name string) bool {
	return role != result.RolePrediction && c.Features[name].Ignore || role != result.RoleFeature && c.Predictions[name].Ignore
}

// Hash identifies a configuration by its canonical JSON.
func (c Counting) Hash() string {
	data, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("BUG: a configuration that cannot be encoded: %v", err))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Validate returns the first thing that makes a configuration impossible to count by. The config package reports every
// mistake with its line; this guards the stream, where anybody may write.
func (c Counting) Validate() error {
	if c.UnknownModels != UnknownAuto && c.UnknownModels != UnknownReject {
		return fmt.Errorf("unknown_models is %q, not auto or reject", c.UnknownModels)
	}
	if c.MaxModels < 0 || c.MaxVersions < 1 || c.FutureTolerance < 0 || c.DedupIDs < 0 || c.MaxMessage < 1 ||
		c.DedupHorizon < 0 || c.DedupHorizon > 0 && c.DedupIDs == 0 {
		return fmt.Errorf("a limit is out of range: max_models %d, max_versions %d, future_tolerance_ms %d, dedup_ids %d, dedup_horizon_ms %d,"+
			" max_message %d", c.MaxModels, c.MaxVersions, c.FutureTolerance, c.DedupIDs, c.DedupHorizon, c.MaxMessage)
	}
	check := func(name string, m ModelConfig) error {
		if err := m.Timing.Validate(); err != nil {
			return fmt.Errorf("model %q: %w", name, err)
		}
		if m.Rolling != nil {
			if err := m.Rolling.Validate(m.Timing); err != nil {
				return fmt.Errorf("model %q: %w", name, err)
			}
			if m.Reference != "" {
				return fmt.Errorf("model %q has a reference and a rolling one", name)
			}
		}
		if err := validateSegments(m.Segments); err != nil {
			return fmt.Errorf("model %q: %w", name, err)
		}
		if m.Labels != nil {
			if err := m.Labels.Validate(m.Timing); err != nil {
				return fmt.Errorf("model %q: %w", name, err)
			}
			if f := m.Labels.Fairness; f != nil {
				if err := f.validate(m.Labels, m.Segments); err != nil {
					return fmt.Errorf("model %q: %w", name, err)
				}
			}
		}
		if err := m.validateCompare(); err != nil {
			return fmt.Errorf("model %q: %w", name, err)
		}
		for i := range m.Rules {
			if err := m.Rules[i].Validate(); err != nil {
				return fmt.Errorf("model %q: %w", name, err)
			}
		}
		return nil
	}
	if err := check("(defaults)", c.Defaults); err != nil {
		return err
	}
	for name, m := range c.Models {
		if err := check(name, m); err != nil {
			return err
		}
	}
	return nil
}

// Binding is a reference that an operator activated for a model.
type Binding struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"`
}
