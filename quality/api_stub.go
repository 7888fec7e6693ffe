package quality

import "github.com/driftd/driftd/result"

// Evaluate returns the metrics of labelled rows in a fixed order.
func Evaluate(c *Counts) []result.Metric { return nil }

// Estimation is what the labels should say, as long as nothing but the inputs changed.
type Estimation struct {
	Predictions uint64          // that the estimate is of
	Left        uint64          // predictions without a probability, which are not in it
	Calibration string          // how scores became probabilities: in words
	Assumptions []string        // what the estimate rests on: in words
	Metrics     []result.Metric // in a fixed order; Lower and Upper are the band that the labels should end up in
}

// Estimate returns what the labels of all predictions of c should say.
func Estimate(c *Counts) Estimation { return Estimation{} }

// Row is a prediction with its label.
type Row struct {
	Prediction Prediction
	Label      Label
}

// Build freezes what cfg leaves open (cut points, calibrations, target center) from the labelled rows of a reference, and counts them. A row whose
// label has FlawNoLabel is a prediction that was never labelled.
func Build(cfg Config, rows []Row, resolution int) (*Counts, error) { return nil, nil }

// Exact counts rows over their own distinct scores or errors: Evaluate of it is exact. cfg.Points are not used.
func Exact(cfg Config, rows []Row) (*Counts, error) { return nil, nil }

// Difference returns current less reference of the same metric, with its confidence interval.
func Difference(current, reference result.Metric) result.Metric { return result.Metric{} }

// ReliabilityBin is one calibration bin.
type ReliabilityBin struct {
	Lower, Upper float64 // of the probability
	N, Positive  uint64
	Mean         float64 // of the probability; 0 where N is
}

// Reliability returns the calibration bins, nil for a regression.
func (c *Counts) Reliability() []ReliabilityBin { return nil }

// Confusion returns the classes (the last one of a multiclass task is `other`) and the matrix: rows are labels, columns predictions. nil
// for a regression.
func (c *Counts) Confusion() (classes []string, matrix [][]uint64) { return nil, nil }
