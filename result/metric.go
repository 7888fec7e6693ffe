package result

// Metric is one measure of quality. Value is null with a Reason where the number does not exist; it is never NaN.
type Metric struct {
	Name  string   `json:"name"`            // closed set, see docs/statistics.md: accuracy, macro_f1, …
	Class string   `json:"class,omitempty"` // of a metric of one class among several
	N     uint64   `json:"n"`               // rows that it is taken over
	Value *float64 `json:"value"`

	// The 95 % confidence interval; null where there is none. Of an estimate it is the band that the labels should end up in.
	Lower *float64 `json:"lower"`
	Upper *float64 `json:"upper"`

	// Where the counts only enclose the value: it lies between these, and the interval is widened by as much.
	Least *float64 `json:"least,omitempty"`
	Most  *float64 `json:"most,omitempty"`

	Reason string `json:"reason,omitempty"`
}
