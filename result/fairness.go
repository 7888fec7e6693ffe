package result

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Fairness is the document of what the predictions of a window did to groups of people, the values of a segment dimension: how often
// they selected them, and, as far as labels had come at a maturity, how often that was right. All of them are about all events of
// the window; the segment of the key is `*`.
type Fairness struct {
	Schema    int          `json:"schema"`
	Type      string       `json:"type"` // "fairness"
	ResultID  string       `json:"result_id"`
	Key       Key          `json:"key"`
	Window    Window       `json:"window"`
	Dimension string       `json:"dimension"`
	Maturity  int64        `json:"maturity_ms"` // as in Quality
	Final     bool         `json:"final"`
	Ref       *ReferenceID `json:"reference"` // null: no_reference

	Positive string  `json:"positive"` // the class that selects
	Level    float64 `json:"level"`    // confidence of the intervals
	NMin     uint64  `json:"n_min"`    // cases that a group needs to be compared by a rate of them

	Groups    []FairnessGroup `json:"groups"`           // in the order of their names, `other` and `(missing)` last
	Gaps      []FairnessGap   `json:"gaps"`             // one of each measure
	Ungrouped uint64          `json:"ungrouped_labels"` // labels that carry their prediction and name no group
	Reasons   []string        `json:"reasons"`
}

// FairnessGroup is what was done to one group.
type FairnessGroup struct {
	Group       string `json:"group"`
	Predictions uint64 `json:"predictions"` // with a class; of labels that carry them where the stream has no events
	Selected    uint64 `json:"selected"`    // predicted to be of the positive class
	Labels      uint64 `json:"labels"`      // of two known classes
	Positives   uint64 `json:"positives"`   // labels of the positive class

	Compared bool     `json:"compared"` // false: it is in no gap
	Rates    []Metric `json:"rates"`    // selection_rate, true_positive_rate, false_positive_rate, accuracy
	Reason   string   `json:"reason,omitempty"`
}

// FairnessGap is how far the groups are apart that are furthest apart. The interval is of all pairs at once: its lower end (of a ratio its upper
// end) is beyond a bound only where some pair is, beyond chance.
type FairnessGap struct {
	Metric string   `json:"metric"`
	Value  *float64 `json:"value"` // null: it does not exist, and Reason says why
	Lower  *float64 `json:"lower"`
	Upper  *float64 `json:"upper"`
	PValue *float64 `json:"p_value"` // that all groups have one rate, over all pairs; null for the ratio
	Low    string   `json:"low"`     // the groups with the smallest and the largest rate
	High   string   `json:"high"`
	Left   []string `json:"left"` // groups that are too small for it, which nothing is said of
	Reason string   `json:"reason,omitempty"`
}

// The measures of fairness, as Fairlearn names them.
const (
	DemographicParityDifference = "demographic_parity_difference"
	DemographicParityRatio      = "demographic_parity_ratio"
	EqualOpportunityDifference  = "equal_opportunity_difference"
	EqualizedOddsDifference     = "equalized_odds_difference"
	FalsePositiveRateDifference = "false_positive_rate_difference"
	AccuracyDifference          = "accuracy_difference"
)

// FairnessMetrics lists the measures in the order of a document.
func FairnessMetrics() []string {
	return []string{
		DemographicParityDifference, DemographicParityRatio, EqualOpportunityDifference, FalsePositiveRateDifference, EqualizedOddsDifference, AccuracyDifference,
	}
}

// FairnessID returns the result id of a document about fairness; see ID.
func FairnessID(k Key, w Window, every int64, fingerprint string, maturity int64, dimension string) string {
	h := sha256.New()
	for _, s := range []string{
		"fairness", k.Model, k.Version, k.Segment, fingerprint, strconv.FormatInt(w.Start, 10), strconv.FormatInt(w.End, 10),
		strconv.FormatInt(w.Size, 10), strconv.FormatInt(every, 10), strconv.FormatInt(maturity, 10), dimension,
	} {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
