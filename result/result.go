// Package result holds the documents that driftd publishes: what a window said about a model. A result is serialised
// once, by the fold, and forwarded as it is: store, alerts, page and subscribers read the same bytes (design section 5).
// It is a leaf package; docs/schema/result.schema.json is checked against it. No wall clock, epoch or commit number is in it.
package result

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"strings"
)

// SchemaVersion is the version of every document of this package.
const SchemaVersion = 1

// All stands for all versions, or all segments, together.
const All = "*"

// Other collects the versions (or segment values) beyond the configured bound.
const Other = "other"

// NoValue collects, in a segment dimension, the events that have no value of it.
const NoValue = "(missing)"

// SegmentKey returns the name of a segment: one value of one dimension. A dimension's name has no `=`.
func SegmentKey(dimension, value string) string { return dimension + "=" + value }

// CutSegment splits the name of a segment; ok is false for All.
func CutSegment(segment string) (dimension, value string, ok bool) { return strings.Cut(segment, "=") }

// Verdict is the judgement of one feature or one model in one window.
type Verdict string

// The four verdicts. Insufficient data is a verdict, not an error.
const (
	Drift        Verdict = "drift"
	Warning      Verdict = "warning"
	Stable       Verdict = "stable"
	Insufficient Verdict = "insufficient"
)

// Level is the verdict as a number, for thresholds of a dashboard: 2 drift, 1 warning, 0 stable, -1 insufficient.
func (v Verdict) Level() int64 {
	switch v {
	case Drift:
		return 2
	case Warning:
		return 1
	case Stable:
		return 0
	default:
		return -1
	}
}

// Key names what a result is about; results with equal keys differ in their revision only.
type Key struct {
	Model   string `json:"model"`
	Version string `json:"version"` // a version, `*` or `other`
	Segment string `json:"segment"` // `*`, or dimension=value
}

// Window is a half-open interval [start, end) of event time, in Unix milliseconds UTC.
type Window struct {
	Start int64 `json:"start_ms"`
	End   int64 `json:"end_ms"`
	Size  int64 `json:"size_ms"`
}

// ReferenceID names the reference that a result was computed against.
type ReferenceID struct {
	Name        string `json:"name"`
	Fingerprint string `json:"fingerprint"` // sha256:<hex of the canonical bytes>
}

// Counts says what the window saw. Rates are derived from these, never stored.
type Counts struct {
	Events       uint64 `json:"events"`        // prediction events counted in the window
	Labels       uint64 `json:"labels"`        // labels whose own time lies in the window
	Late         uint64 `json:"late"`          // records that came after their window's lateness, counted where they arrived
	LateAccepted uint64 `json:"late_accepted"` // events counted after the window had its revision 0
	Duplicate    uint64 `json:"duplicate"`     // repeated ids, dropped
	WithoutID    uint64 `json:"without_id"`    // events that could not be deduplicated
	// Records whose id was compared with less of the stream than limits.dedup_horizon says. They belong to no version.
	DedupShort   uint64            `json:"dedup_short,omitempty"`
	Future       uint64            `json:"future"` // events and labels ahead of the broker's clock, counted at the broker's time
	Unknown      uint64            `json:"unknown_feature"`
	DuplicateKey uint64            `json:"duplicate_key"`
	Rejected     map[string]uint64 `json:"rejected"` // dead-lettered records by reason, where they arrived
}

// Stat is one statistic. Value is null with a Reason where the number does not exist; it is never NaN.
type Stat struct {
	Value  *float64 `json:"value"`
	PValue *float64 `json:"p_value"`
	Lower  *float64 `json:"lower,omitempty"` // bounds, where the value is only enclosed
	Upper  *float64 `json:"upper,omitempty"`

	// Baseline is what the value is to be read against: of a rate what it is compared with (the reference's, or what chance makes of it),
	// of mann_whitney nm/2, of std_ratio 1, of distinct the reference's number. Other statistics have none.
	Baseline *float64 `json:"baseline,omitempty"`

	Reason string `json:"reason,omitempty"`
}

// Side describes one side, reference or current, of a feature.
type Side struct {
	Count   uint64   `json:"count"` // values in the distribution
	Missing uint64   `json:"missing"`
	Invalid uint64   `json:"invalid"`
	Inf     uint64   `json:"inf"`
	Mean    *float64 `json:"mean"`
	Std     *float64 `json:"std"` // ddof 1
	Min     *float64 `json:"min"`
	Max     *float64 `json:"max"`
	Median  *float64 `json:"median"` // from the cells: exact while the values are cut points, else an estimate
}

// Thresholds are what a feature was judged by.
type Thresholds struct {
	Statistic   string  `json:"statistic"` // the statistic that gates the verdict
	Warning     float64 `json:"warning"`
	Drift       float64 `json:"drift"`
	Auto        string  `json:"auto,omitempty"`        // what the reference's own chunks did to both, or why nothing; empty: fixed
	Q           float64 `json:"q"`                     // the largest q-value with which an effect counts
	EffectOnly  bool    `json:"effect_only,omitempty"` // the gate has no p-value: its effect is enough
	RateWarning float64 `json:"rate_warning"`          // change of a rate, as a share
	RateDrift   float64 `json:"rate_drift"`
}

// Bin is one bin of the judged table with both counts.
type Bin struct {
	Label     string `json:"label"`
	Reference uint64 `json:"reference"`
	Current   uint64 `json:"current"`
}

// Role tells a user's feature from a part of the prediction; the two have name spaces of their own.
type Role string

// The roles of a monitored column.
const (
	RoleFeature    Role = "feature"
	RolePrediction Role = "prediction"
)

// Feature is the part of a result about one feature.
type Feature struct {
	Feature    string          `json:"feature"`
	Role       Role            `json:"role"`
	Kind       string          `json:"kind"`
	Reference  Side            `json:"reference"`
	Current    Side            `json:"current"`
	Statistics map[string]Stat `json:"statistics"`
	Bins       []Bin           `json:"bins"`
	QValue     *float64        `json:"q_value"` // of the gate, over the model's features
	NMin       uint64          `json:"n_min"`   // the sample size that a verdict needs; 0: no size is enough for this reference
	Weight     float64         `json:"weight"`  // how much the feature counts in the model's drift_share
	Thresholds Thresholds      `json:"thresholds"`
	Verdict    Verdict         `json:"verdict"`
	Reasons    []string        `json:"reasons"`
	Seen       []string        `json:"-"` // what the change looks like, for whoever gives the reasons
}

// Gate returns the value that the verdict of the distribution was taken by, and whether it is significant: chance does not explain
// it. Not ok: the distribution could not be judged.
func (f *Feature) Gate() (value float64, significant, ok bool) {
	s, exists := f.Statistics[f.Thresholds.Statistic]
	switch {
	case !exists || s.Value == nil:
		return 0, false, false
	case f.Thresholds.EffectOnly:
		ok = f.NMin > 0 && f.Current.Count >= f.NMin
		return math.Abs(*s.Value), ok, ok
	case f.QValue == nil: // only what could be judged has one
		return 0, false, false
	}
	return math.Abs(*s.Value), *f.QValue <= f.Thresholds.Q, true
}

// Latency describes the service time of the window, in milliseconds. Quantiles have a relative error of at most 1 %.
type Latency struct {
	Count     uint64              `json:"count"`
	Invalid   uint64              `json:"invalid"`
	Mean      *float64            `json:"mean_ms"`
	Min       *float64            `json:"min_ms"` // within RelativeError; 0 below a nanosecond
	Max       *float64            `json:"max_ms"`
	Quantiles map[string]*float64 `json:"quantiles_ms"`   // "0.5", "0.9", "0.95", "0.99", "0.999"
	Reference map[string]*float64 `json:"reference_ms"`   // the same quantiles of the reference, null without one
	Ratio     map[string]Stat     `json:"ratio"`          // each quantile over the reference's, with a 99.9 % interval; null without one
	Over      map[string]uint64   `json:"over,omitempty"` // events that took longer than the milliseconds of the key, for each objective of the rules

	// RelativeError is the bound of every quantile: it is off by at most this share of itself. Mean and Max are exact. 0: written by a
	// version that did not say it.
	RelativeError float64 `json:"relative_error"`

	// Slower is the probability that an event of the window took longer than one of the reference, equal ones counted half: Mann and
	// Whitney's U over the number of pairs, two-sided p-value. Baseline is ½. Lower and Upper bound what the histograms' buckets leave open.
	Slower Stat `json:"slower"`
}

// Summary is the one document of a window about its model; the features follow in FeatureDocs with the same ResultID.
type Summary struct {
	Schema   int          `json:"schema"`
	Type     string       `json:"type"` // "summary"
	ResultID string       `json:"result_id"`
	Key      Key          `json:"key"`
	Window   Window       `json:"window"`
	Revision int          `json:"revision"`
	Complete bool         `json:"complete"` // false: input was lost, see Lost
	Lost     uint64       `json:"lost"`
	Ref      *ReferenceID `json:"reference"` // null: no_reference
	Counts   Counts       `json:"counts"`

	ThroughputHz float64           `json:"throughput_hz"` // events a second of the window's size
	Errors       uint64            `json:"errors"`        // events whose status is not a success
	Status       map[string]uint64 `json:"status"`        // events by status class (bounded)
	Latency      Latency           `json:"latency"`

	// Against the reference, and with what chance allows; all intervals are at 99.9 %.
	ThroughputRatio Stat            `json:"throughput_ratio"` // events a second over the reference's rows a second
	ErrorRate       Stat            `json:"error_rate"`       // Errors over the events, with Wilson's interval
	ErrorChange     Stat            `json:"error_change"`     // ErrorRate less the reference's, which is its baseline, with Newcombe's interval
	StatusShare     map[string]Stat `json:"status_share"`     // the share of each status, with Wilson's interval

	Features   int      `json:"features"`    // how many features the FeatureDocs hold together
	Parts      int      `json:"parts"`       // how many FeatureDocs follow
	DriftShare *float64 `json:"drift_share"` // share of judged features with verdict drift
	Verdict    Verdict  `json:"verdict"`
	Reasons    []string `json:"reasons"`
}

// FeatureDoc is a part of a result: features in name order, as many as fit 512 KiB. It names the reference, so that a sink
// can place it without its summary.
type FeatureDoc struct {
	Schema   int          `json:"schema"`
	Type     string       `json:"type"` // "features"
	ResultID string       `json:"result_id"`
	Part     int          `json:"part"` // from 0
	Key      Key          `json:"key"`
	Window   Window       `json:"window"`
	Revision int          `json:"revision"`
	Ref      *ReferenceID `json:"reference"` // null in documents of versions that did not write it
	Features []Feature    `json:"features"`
}

// DocKind says on which subject a document leaves.
type DocKind string

// The kinds of a document.
const (
	KindResult     DocKind = "result"     // a Summary, a FeatureDoc or a Quality
	KindTransition DocKind = "transition" // a Transition
	KindVerdict    DocKind = "verdicts"   // a Comparison
)

// Doc is a serialised document on its way to the outbox. ID is its message id there.
type Doc struct {
	ID    string // <result_id> for a summary, <result_id>.<part> for features, the transition's own id
	Kind  DocKind
	Model string
	Data  []byte
}

// ID returns the result id: a function of what the result is about, so that two readings of a stream give the same one. every is
// the window's slide in milliseconds: two kinds of window of one size may end at the same time with different contents, where the
// configuration changed. It is a part of the id only where windows overlap, so that the others keep the ids that they had.
func ID(k Key, w Window, every int64, fingerprint string, revision int) string {
	parts := []string{
		k.Model, k.Version, k.Segment, fingerprint,
		strconv.FormatInt(w.Start, 10), strconv.FormatInt(w.End, 10), strconv.FormatInt(w.Size, 10), strconv.Itoa(revision),
	}
	if every != w.Size {
		parts = append(parts, strconv.FormatInt(every, 10))
	}
	h := sha256.New()
	for _, s := range parts {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s)) // length-prefixed: no two tuples share bytes
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
