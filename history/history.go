// Package history holds the questions that can be asked about stored results, and the shapes of the answers. The store
// answers them, the HTTP API and the page ask them; this leaf package lies between the two so that neither imports the
// other. Times are Unix milliseconds UTC; an answer's documents are the very bytes that were committed.
package history

import (
	"encoding/json"
	"fmt"

	"github.com/driftd/driftd/result"
)

// Range selects windows whose start lies in [From, To). Zero means open on that side.
type Range struct {
	From, To int64
}

// Page asks for a part of an answer. Limit 0 is the query's default; a larger limit than the query's maximum is an error.
// Cursor is empty for the first page, else the Next of the page before: opaque, and bound to the query that gave it.
type Page struct {
	Limit  int
	Cursor string
}

// Series selects one line of windows of a model. Empty Version and Segment mean all (`*`); Size 0 means the smallest
// window size that the series has. Sizes are milliseconds.
type Series struct {
	Model   string
	Version string
	Segment string
	Size    int64
}

// WithDefaults returns s with `*` for an empty version and segment.
func (s Series) WithDefaults() Series {
	if s.Version == "" {
		s.Version = result.All
	}
	if s.Segment == "" {
		s.Segment = result.All
	}
	return s
}

// WindowsQuery asks for the windows of a series, newest first.
type WindowsQuery struct {
	Series
	Range
	Page
}

// FeatureQuery asks for one feature over the windows of a series, newest first. An empty Role means a user's feature.
type FeatureQuery struct {
	Series
	Range
	Page
	Feature string
	Role    result.Role
}

// QualityQuery asks for what was said of the quality of the windows of a series, newest window first. Without a Maturity it asks for the last
// one of each window that was said; with one, in milliseconds, for that one.
type QualityQuery struct {
	Series
	Range
	Page
	Maturity *int64
}

// FairnessQuery asks for what the windows of a series did to groups of people, as QualityQuery asks for their quality; without a Dimension it
// asks for all of them.
type FairnessQuery struct {
	QualityQuery
	Dimension string
}

// Quality is a page of documents about quality, or about fairness, as they were committed.
type Quality struct {
	Documents []json.RawMessage
	Next      string
}

// VerdictsQuery asks for what was said of the versions of a model that are compared: the newest verdict of each comparison, or with a Compare all of that
// one, newest first.
type VerdictsQuery struct {
	Page
	Model   string
	Compare string
}

// Verdicts is a page of verdicts as they were committed.
type Verdicts struct {
	Documents []json.RawMessage
	Next      string
}

// AlertsQuery asks for the incidents, the one that changed last first: for each its newest transition. Model and State
// narrow it down. With an Incident it asks for all transitions of that one instead, newest first.
type AlertsQuery struct {
	Page
	Model    string
	State    result.IncidentState
	Incident string
}

// Alerts is a page of transitions as they were committed.
type Alerts struct {
	Transitions []json.RawMessage
	Next        string
}

// State is what the newest window of a series said.
type State struct {
	Version    string         `json:"version"`
	Segment    string         `json:"segment"`
	ResultID   string         `json:"result_id"`
	Window     result.Window  `json:"window"`
	Revision   int            `json:"revision"`
	Complete   bool           `json:"complete"`
	Verdict    result.Verdict `json:"verdict"`
	DriftShare *float64       `json:"drift_share"`
	Events     uint64         `json:"events"`
	Features   int            `json:"features"`
	Reasons    []string       `json:"reasons"`
}

// Model is one line of the list of models. Latest holds the newest window of each size, all versions and segments together.
type Model struct {
	Model  string  `json:"model"`
	Newest int64   `json:"newest_ms"` // end of the newest window, in event time
	Latest []State `json:"latest"`
}

// ModelDetail is one model with everything that can be selected in it, and the newest window of every series.
type ModelDetail struct {
	Model    string   `json:"model"`
	Newest   int64    `json:"newest_ms"`
	Oldest   int64    `json:"oldest_ms"` // start of the oldest window still stored
	Versions []string `json:"versions"`
	Segments []string `json:"segments"`
	Sizes    []int64  `json:"sizes_ms"`
	Latest   []State  `json:"latest"`
}

// Windows is a page of summaries as they were committed, newest first.
type Windows struct {
	Summaries []json.RawMessage
	Next      string
}

// Revision names one revision of a window.
type Revision struct {
	ResultID string `json:"result_id"`
	Revision int    `json:"revision"`
	Current  bool   `json:"current"`
}

// Window is one result whole: the summary and its features as they were committed, and the window's revisions, oldest first.
type Window struct {
	Summary   json.RawMessage   `json:"summary"`
	Features  []json.RawMessage `json:"features"`
	Parts     int               `json:"parts"`        // as the summary says
	Stored    int               `json:"parts_stored"` // smaller while documents are still on their way
	Revisions []Revision        `json:"revisions"`
}

// FeatureState is what one window said of one feature, without its bins. The statistics that the store keeps as columns
// are in it under the names of the result; a null value has its reason in the full document.
type FeatureState struct {
	Feature    string                 `json:"feature,omitempty"`
	Role       result.Role            `json:"role,omitempty"`
	Kind       string                 `json:"kind,omitempty"`
	ResultID   string                 `json:"result_id"`
	Window     result.Window          `json:"window"`
	Revision   int                    `json:"revision"`
	Verdict    result.Verdict         `json:"verdict"`
	QValue     *float64               `json:"q_value"`
	NMin       uint64                 `json:"n_min"`
	Current    result.Side            `json:"current"`
	Statistics map[string]result.Stat `json:"statistics"`
}

// FeatureSeries is one feature over time, newest first, and the whole document of the newest window of the page.
type FeatureSeries struct {
	Feature string          `json:"feature"`
	Role    result.Role     `json:"role"`
	Kind    string          `json:"kind"`
	Latest  json.RawMessage `json:"latest"` // a result.Feature as committed, with bins and reasons; null without a window
	Points  []FeatureState  `json:"points"`
	Next    string          `json:"-"`
}

// HeatWindow is one column of a heat map.
type HeatWindow struct {
	ResultID string         `json:"result_id"`
	Window   result.Window  `json:"window"`
	Revision int            `json:"revision"`
	Verdict  result.Verdict `json:"verdict"`
	Events   uint64         `json:"events"`
}

// HeatFeature is one row of a heat map. Verdicts has one letter a column: d drift, w warning, s stable, i insufficient,
// - no such feature in that window. PSI holds psi_debiased a column, NaN where there is none.
type HeatFeature struct {
	Feature  string
	Role     result.Role
	Kind     string
	Verdicts []byte
	PSI      []float64
}

// Heat is the matrix of features over windows, oldest window first, features by role and name.
type Heat struct {
	Windows  []HeatWindow
	Features []HeatFeature
	Next     string // the page of windows before these
}

// QueryError says that a question cannot be asked like this: which field, and what to do.
type QueryError struct {
	Field  string
	Detail string
}

// Error implements error.
func (e *QueryError) Error() string { return e.Field + ": " + e.Detail }

// NotFoundError says what is not stored.
type NotFoundError struct {
	What string // "model", "feature", "result", "series"
	Name string
}

// Error implements error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %q is not stored", e.What, e.Name) }
