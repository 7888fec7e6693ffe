// Package historytest makes results as the fold commits them, and holds the one conformance suite of everything that answers
// the questions of package history. Test code only.
package historytest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/driftd/driftd/result"
)

// Hour is an hour in Unix milliseconds.
const Hour = int64(3_600_000)

// Document is one committed document and its message id.
type Document struct {
	ID   string
	Data []byte
}

// Result describes one result; Documents makes its bytes as the fold would.
type Result struct {
	Model, Version, Segment string
	Start, Size, Extra      int64 // Extra: how much longer than Size an extended window is
	Revision                int
	Fingerprint             string
	Features                int
	PerPart                 int // features a document
	Events                  uint64
	Shift                   float64  // moves every statistic, so that revisions differ
	Names                   []string // of the features; f000, f001, … without
}

// Hourly returns the i-th hourly window of the model credit: three features in two documents, 100+i events.
func Hourly(i int) Result {
	return Result{
		Model: "credit", Version: "*", Segment: "*", Start: int64(i) * Hour, Size: Hour, Extra: 0, Revision: 0, Fingerprint: "sha256:aa",
		Features: 3, PerPart: 2, Events: uint64(100 + i), Shift: 0, Names: nil,
	}
}

// Key names what the result is about.
func (w Result) Key() result.Key {
	return result.Key{Model: w.Model, Version: w.Version, Segment: w.Segment}
}

// Window is the result's window.
func (w Result) Window() result.Window {
	return result.Window{Start: w.Start, End: w.Start + w.Size + w.Extra, Size: w.Size}
}

// ID is the result's id.
func (w Result) ID() string { return result.ID(w.Key(), w.Window(), w.Size, w.Fingerprint, w.Revision) }

func (w Result) ref() *result.ReferenceID {
	if w.Fingerprint == "" {
		return nil
	}
	return &result.ReferenceID{Name: "jan", Fingerprint: w.Fingerprint}
}

// Feature is the result's i-th feature.
func (w Result) Feature(i int) result.Feature {
	verdict := [...]result.Verdict{result.Stable, result.Warning, result.Drift, result.Insufficient}[i%4]
	psi := float64(i)/8 + w.Shift
	name := fmt.Sprintf("f%03d", i)
	if i < len(w.Names) {
		name = w.Names[i]
	}
	f := result.Feature{
		Feature: name, Role: result.RoleFeature, Kind: "numeric",
		Reference: result.Side{Count: 1000, Mean: new(1.0), Std: new(2.0), Min: new(-3.0), Max: new(4.0), Median: new(0.1 + 0.2)},
		Current: result.Side{
			Count: w.Events, Missing: 5, Invalid: 2, Inf: 1, Mean: new(1.0 / 3), Std: new(2.5), Min: new(-5e-324), Max: new(1.7976931348623157e308), Median: new(0.7),
		},
		Statistics: map[string]result.Stat{
			"psi": {Value: new(psi + 0.01), PValue: new(0.5)}, "psi_debiased": {Value: new(psi)}, "kl": {Value: new(0.1)},
			"js": {Value: new(0.2)}, "ks": {Value: new(0.3), PValue: new(0.04), Lower: new(0.29), Upper: new(0.31)},
			"chi2": {Reason: "one bin"}, "missing_rate": {Value: new(0.05), Baseline: new(0.01)}, "wasserstein": {Value: new(1e21)}, "popmon": {Value: new(38.5)},
		},
		Thresholds: result.Thresholds{Statistic: "psi_debiased", Warning: 0.1, Drift: 0.25, Q: 0.01, RateWarning: 0.02, RateDrift: 0.1},
		QValue:     new(0.02), NMin: 203, Verdict: verdict, Reasons: []string{"psi_debiased <0.1> & so on"},
	}
	for b := range 12 {
		f.Bins = append(f.Bins, result.Bin{Label: "(" + strconv.Itoa(b) + ", " + strconv.Itoa(b+1) + "]", Reference: 100, Current: uint64(b)})
	}
	return f
}

// Documents returns the result's summary and then its feature documents.
func (w Result) Documents(tb testing.TB) []Document {
	tb.Helper()
	parts := 0
	var docs []Document
	for from := 0; from < w.Features; from += w.PerPart {
		d := result.FeatureDoc{
			Schema: result.SchemaVersion, Type: "features", ResultID: w.ID(), Part: parts, Key: w.Key(), Window: w.Window(), Revision: w.Revision,
			Ref: w.ref(), Features: nil,
		}
		for i := from; i < min(from+w.PerPart, w.Features); i++ {
			d.Features = append(d.Features, w.Feature(i))
		}
		docs = append(docs, Document{w.ID() + "." + strconv.Itoa(parts), Marshal(tb, d)})
		parts++
	}
	sum := result.Summary{
		Schema: result.SchemaVersion, Type: "summary", ResultID: w.ID(), Key: w.Key(), Window: w.Window(), Revision: w.Revision, Complete: true,
		Lost: 0, Ref: w.ref(), Counts: result.Counts{Events: w.Events, Labels: 7, Rejected: map[string]uint64{"malformed": 1}},
		ThroughputHz: float64(w.Events) / 3600, Errors: 3, Status: map[string]uint64{"ok": w.Events},
		ThroughputRatio: result.Stat{Value: new(1.25), Lower: new(1.0), Upper: new(1.5)},
		ErrorRate:       result.Stat{Value: new(0.0625), Lower: new(0.03125), Upper: new(0.125)},
		ErrorChange:     result.Stat{Value: new(0.03125), Lower: new(0.015625), Upper: new(0.0625), Baseline: new(0.03125)},
		StatusShare:     map[string]result.Stat{"ok": {Value: new(1.0), Lower: new(0.75), Upper: new(1.0)}},
		Latency: result.Latency{
			Count: w.Events, Invalid: 1, Mean: new(12.5), Min: new(0.5), Max: new(99.0), RelativeError: 0.01,
			Slower:    result.Stat{Value: new(0.625), Lower: new(0.5), Upper: new(0.75), PValue: new(0.001), Baseline: new(0.5)},
			Quantiles: map[string]*float64{"0.5": new(12.0), "0.9": new(20.0), "0.95": nil, "0.99": new(50.0), "0.999": new(1.0 / 3)},
			Reference: map[string]*float64{"0.5": new(11.0)},
			Ratio:     map[string]result.Stat{"0.5": {Value: new(12.0 / 11), Lower: new(1.0), Upper: new(1.2)}},
		},
		Features: w.Features, Parts: parts, DriftShare: new(0.25), Verdict: result.Warning, Reasons: []string{"1 of 4 features"},
	}
	return append([]Document{{w.ID(), Marshal(tb, sum)}}, docs...)
}

// Change returns a transition of an incident of the model credit at the end of an hour.
func Change(tb testing.TB, incident string, end int64, to result.IncidentState) Document {
	tb.Helper()
	t := result.Transition{
		Schema: result.SchemaVersion, Type: "transition", ID: fmt.Sprintf("%s.%s.%d", incident, to, end/Hour), Incident: incident,
		Rule: "rule-" + incident, Kind: "drift", Severity: "warning", Key: Hourly(0).Key(), Feature: "", Role: "", From: result.Inactive, To: to,
		Window: result.Window{Start: end - Hour, End: end, Size: Hour}, ResultID: Hourly(0).ID(), Since: end - Hour, Value: 0.3, Threshold: 0.25,
		Unit: "psi", Worst: 1.0 / 3, Title: `"credit" drifts, \ and more`, Reasons: []string{"a, b = c"},
	}
	return Document{t.ID, Marshal(tb, t)}
}

// Quality makes the document about the quality of the result's window at a maturity, by which so many labels have come.
func (w Result) Quality(tb testing.TB, maturity int64, labels uint64) Document {
	tb.Helper()
	accuracy, lower, upper := 0.75, 0.7, 0.8
	coverage, p50, p95 := float64(labels)/float64(w.Events), 1000.0, 5000.0
	metrics := []result.Metric{
		{Name: "accuracy", N: labels, Value: &accuracy, Lower: &lower, Upper: &upper},
		{Name: "roc_auc", N: labels, Reason: "one class only"},
		{Name: "recall", Class: "a", N: labels, Value: &accuracy, Lower: &lower, Upper: &upper},
	}
	q := result.Quality{ //nolint:exhaustruct // what no store looks at
		Schema: result.SchemaVersion, Type: "quality", ResultID: result.QualityID(w.Key(), w.Window(), w.Size, w.Fingerprint, maturity),
		Key: w.Key(), Window: w.Window(), Maturity: maturity, Final: maturity > 24*Hour, Ref: w.ref(), Task: "binary", Mode: "full", Rate: 1,
		Predictions: w.Events, Labels: labels, Coverage: &coverage, DelayP50: &p50, DelayP95: &p95, Corrected: 1, Duplicate: 2, Unmatched: 3, Evicted: 4,
		Metrics: metrics, Reference: metrics[:1], Change: nil, Confusion: &result.Confusion{Classes: []string{"0", "1"}, Matrix: [][]uint64{{1, 2}, {3, 4}}},
		Estimate: &result.Estimate{Predictions: w.Events, Left: 0, Calibration: "none", Assumptions: []string{}, Metrics: metrics[:1]}, Reasons: []string{},
	}
	return Document{ID: q.ResultID, Data: Marshal(tb, q)}
}

// Verdict makes what a comparison of the model credit said of the window that begins at an hour, in a reading.
func Verdict(tb testing.TB, compare string, hour int, reading uint64, maturity int64) Document {
	tb.Helper()
	r := Hourly(hour)
	key := result.Key{Model: r.Key().Model, Version: "2", Segment: result.All}
	lower, value, upper := -0.01, 0.002, 0.009
	share := 0.25
	c := result.Comparison{ //nolint:exhaustruct // what no store looks at
		Schema: result.SchemaVersion, Type: "verdict", ResultID: result.ComparisonID(key, compare, r.Window(), r.Size, r.Fingerprint, maturity), Key: key,
		Compare: compare, Mode: "canary", Baseline: "1", Candidate: "2", Window: r.Window(), Maturity: maturity, Reading: reading, Since: 0, Windows: reading,
		Complete: true, Ref: r.ref(), Verdict: result.Promote, Reasons: []string{"error_rate: not worse"}, Notes: []string{},
		Total:  result.Sides{Baseline: 300, Candidate: 100, BaselineErrors: 3, CandidateErrors: 1},
		Guards: []result.Guard{{Metric: "error_rate", State: result.GuardNotWorse, Margin: 0.01, Difference: result.Stat{Value: &value, Lower: &lower, Upper: &upper}}}, //nolint:exhaustruct // the difference
		Split:  result.Split{Total: &share},                                                                                                                             //nolint:exhaustruct // the share
	}
	return Document{ID: c.ResultID, Data: Marshal(tb, c)}
}

// Fairness makes the document about what the result's window did to the groups of a dimension.
func (w Result) Fairness(tb testing.TB, maturity int64, dimension string) Document {
	tb.Helper()
	value, lower, upper, p := 0.25, 0.125, 0.5, 0.001
	rates := []result.Metric{{Name: "selection_rate", N: 40, Value: &value, Lower: &lower, Upper: &upper}, {Name: "true_positive_rate", Reason: "no positive label in this group"}}
	f := result.Fairness{
		Schema: result.SchemaVersion, Type: "fairness", ResultID: result.FairnessID(w.Key(), w.Window(), w.Size, w.Fingerprint, maturity, dimension),
		Key: w.Key(), Window: w.Window(), Dimension: dimension, Maturity: maturity, Final: maturity > 0, Ref: w.ref(), Positive: "1", Level: 0.95, NMin: 30,
		Groups: []result.FairnessGroup{
			{Group: "f", Predictions: 40, Selected: 10, Labels: 20, Positives: 0, Compared: true, Rates: rates, Reason: ""},
			{Group: "none", Predictions: 40, Selected: 20, Labels: 0, Positives: 0, Compared: true, Rates: rates[:1], Reason: ""},
		},
		Gaps: []result.FairnessGap{
			{Metric: result.DemographicParityDifference, Value: &value, Lower: &lower, Upper: &upper, PValue: &p, Low: "f", High: "none", Left: []string{}, Reason: ""},
			{Metric: result.AccuracyDifference, Value: nil, Lower: nil, Upper: nil, PValue: nil, Low: "", High: "", Left: []string{"f"}, Reason: "fewer than two groups have 30 labels"},
		},
		Ungrouped: 3, Reasons: []string{},
	}
	return Document{ID: f.ResultID, Data: Marshal(tb, f)}
}

// Marshal writes v as the fold does.
func Marshal(tb testing.TB, v any) []byte {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
