package result

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// Quality is the document of how right the predictions of a window were, as far as their labels had come at a maturity, and of what
// is estimated without them. The window is that of the predictions, whenever their labels came.
type Quality struct {
	Schema   int          `json:"schema"`
	Type     string       `json:"type"` // "quality"
	ResultID string       `json:"result_id"`
	Key      Key          `json:"key"`
	Window   Window       `json:"window"`
	Maturity int64        `json:"maturity_ms"` // how long after the window's end labels were waited for; 0: with the window's own result
	Final    bool         `json:"final"`       // the last maturity: later labels change nothing
	Ref      *ReferenceID `json:"reference"`   // null: no_reference
	Task     string       `json:"task"`        // binary, multiclass or regression
	Mode     string       `json:"mode"`        // how labels meet predictions: self, sample or full
	Rate     float64      `json:"rate"`        // share of the ids that are looked at

	Predictions uint64   `json:"predictions"`  // of the window, of the ids that are looked at
	Labels      uint64   `json:"labels"`       // that came for them
	Coverage    *float64 `json:"coverage"`     // labels over predictions; null without predictions
	DelayP50    *float64 `json:"delay_p50_ms"` // from a prediction to its label; null without labels
	DelayP95    *float64 `json:"delay_p95_ms"`
	Corrected   uint64   `json:"corrected"` // labels that replaced an earlier one
	Duplicate   uint64   `json:"duplicate"` // labels that came in the window and said again what was known
	Unmatched   uint64   `json:"unmatched"` // labels that came in the window, for which no prediction has come
	Evicted     uint64   `json:"evicted"`   // predictions that could not wait for their label

	Flawed   map[string]uint64 `json:"flawed"`   // predictions that nothing can be said of, by why
	Unusable map[string]uint64 `json:"unusable"` // labels that are in no metric, by why

	Metrics   []Metric   `json:"metrics"`   // as far as labels have come; null where none has
	Reference []Metric   `json:"baseline"`  // the same of the reference; null where it has none
	Change    []Metric   `json:"change"`    // metrics less baseline
	Confusion *Confusion `json:"confusion"` // null for a regression
	Estimate  *Estimate  `json:"estimate"`  // null where predictions carry no probabilities
	Reasons   []string   `json:"reasons"`   // what keeps the numbers from being the whole truth
}

// Confusion counts labels by class and what was predicted instead.
type Confusion struct {
	Classes []string   `json:"classes"`
	Matrix  [][]uint64 `json:"matrix"` // rows are labels, columns predictions
}

// Estimate is what the labels of all predictions should say, if nothing but the inputs changed.
type Estimate struct {
	Predictions uint64   `json:"predictions"` // that it is of
	Left        uint64   `json:"left"`        // predictions without a probability, which are not in it
	Calibration string   `json:"calibration"` // how scores became probabilities
	Assumptions []string `json:"assumptions"`
	Metrics     []Metric `json:"metrics"`
}

// QualityID returns the result id of a quality document; see ID.
func QualityID(k Key, w Window, every int64, fingerprint string, maturity int64) string {
	h := sha256.New()
	for _, s := range []string{
		"quality", k.Model, k.Version, k.Segment, fingerprint, strconv.FormatInt(w.Start, 10), strconv.FormatInt(w.End, 10),
		strconv.FormatInt(w.Size, 10), strconv.FormatInt(every, 10), strconv.FormatInt(maturity, 10),
	} {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
