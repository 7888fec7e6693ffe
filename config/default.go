package config

import (
	"slices"
	"strings"
	"time"

	"github.com/driftd/driftd/detectors"
	"github.com/driftd/driftd/event"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Default returns the configuration of an empty file: the embedded broker and store, hourly windows, every model counted.
// It is a new value each time; the caller may change it.
func Default() *Config {
	return &Config{
		NATS: NATS{
			Stream:     "DRIFTD_IN_0",
			Partitions: []Partition{},
			LeaseTTL:   Duration(12 * time.Second),
			Replicas:   1,
			Embedded:   Embedded{Listen: "127.0.0.1:4222", MaxPayload: 8 * MiB},
			Input:      Input{OnLoss: "continue"},
			State:      State{},
			Outbox:     Outbox{MaxAge: 7 * Day},
		},
		DataDir: "./driftd-data",
		Web:     Web{Listen: "127.0.0.1:8790", AllowedHosts: []string{}, Metrics: WebMetrics{Models: 1000, Features: 0}},
		Store: Store{Type: "embedded", Retention: 90 * Day, InfluxDB: InfluxDB{
			Bucket: "driftd", Query: "auto", Timeout: Duration(10 * time.Second), BatchLines: 5000, BatchBytes: 4 * MiB, Gzip: true, Histograms: true,
		}},
		Commit: Commit{Interval: Duration(time.Second), MaxMessages: 900, MaxBytes: 32 * MiB},
		Limits: Limits{
			MaxMessage: 8 * MiB, MaxRecord: MiB,
			MaxFeatures: 5000, MaxModels: 1000, MaxVersions: 20, DedupIDs: 1_000_000,
			IdleTimeout: Duration(5 * time.Minute), FutureTolerance: Duration(5 * time.Minute),
		},
		UnknownModels: "auto",
		Defaults: Defaults{
			Windows:        []Window{{Size: Duration(time.Hour), Every: Duration(time.Hour)}},
			Pane:           Duration(15 * time.Minute),
			Lateness:       Duration(time.Hour),
			WatermarkDelay: Duration(30 * time.Second),
			Resolution:     2000,
			Detectors:      detectors.Default(),
			Rules:          defaultRules(),
		},
		Models:     map[string]Model{},
		Notifiers:  map[string]Notifier{},
		SelfAlerts: SelfAlerts{LagMessages: 10_000, OutboxPercent: 70, StatePercent: 70},
		Log:        Log{Level: "info", Format: "text"},
	}
}

// Model returns the settings of a model: its entry, or the defaults for a model that has none. Nothing is left to inherit.
func (c *Config) Model(name string) Model {
	if m, ok := c.Models[name]; ok {
		return m
	}
	return c.newModel()
}

// newModel returns a model that says nothing of its own.
func (c *Config) newModel() Model {
	d := &c.Defaults
	return Model{
		Windows: slices.Clone(d.Windows), Pane: d.Pane, Lateness: d.Lateness, WatermarkDelay: d.WatermarkDelay,
		Detectors: d.Detectors, Rules: cloneRules(d.Rules), Labels: newLabels(), Fairness: newFairness(), Features: map[string]Feature{}, Segments: map[string]Segment{},
		Compare: map[string]Comparison{}, Annotations: []Annotation{},
	}
}

func cloneRules(rules map[string]Rule) map[string]Rule {
	out := map[string]Rule{}
	for name, r := range rules {
		out[name] = r.clone()
	}
	return out
}

// Feature returns the settings of one feature or part of a prediction: its entry, or the model's for one that has none.
// An entry holds for its own role only: a feature that is called `prediction` does not share the prediction's.
func (m Model) Feature(role result.Role, name string) Feature {
	if f, ok := m.Features[name]; ok && f.Role == string(role) {
		return f
	}
	return Feature{Role: string(role), Detectors: m.Detectors}
}

// element returns what an entry of one of the maps inherits. The decoder asks for it before it reads the entry.
func (c *Config) element(field, _ string) any {
	if field == "notifiers" {
		return DefaultNotifier()
	}
	return c.newModel()
}

// DefaultNotifier returns a notifier that says nothing of its own.
func DefaultNotifier() Notifier {
	return Notifier{ //nolint:exhaustruct // what is left out is empty
		URLs: []string{}, Match: map[string]string{}, ExternalLabels: map[string]string{}, Routes: []Route{}, Pictures: true, Timeout: Duration(10 * time.Second),
	}
}

// DefaultSegment returns a segment dimension that says nothing of its own.
func DefaultSegment() Segment {
	return Segment{Values: []string{}, Largest: reference.DefaultSegments}
}

func (m *Model) element(field, key string) any {
	if field == "rules" {
		return Rule{} //nolint:exhaustruct // completeRules fills in what the file does not say
	}
	if field == "segments" {
		return DefaultSegment()
	}
	if field == "compare" {
		return DefaultComparison()
	}
	return m.Feature(roleOf(key), key)
}

// roleOf returns the role of a name that says none.
func roleOf(name string) result.Role {
	switch {
	case name == event.PredictionName, name == event.PredictionLabelName, name == event.PredictionScoreName,
		strings.HasPrefix(name, event.PredictionScorePrefix):
		return result.RolePrediction
	default:
		return result.RoleFeature
	}
}
