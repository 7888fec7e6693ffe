package quality

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/internal/exact"
)

// Row is a prediction with its label. A label with FlawNoLabel never came: the row is a prediction only.
type Row struct {
	Prediction Prediction
	Label      Label
}

// folds is the number of parts that Build cross-fits calibrations over.
const folds = 5

// Build freezes what cfg leaves open from the rows of a reference, and counts them: the cut points (every distinct score or error, or at
// most about resolution of them), the calibrations, and the center of the targets. The Spec is that of the counts. What cfg has
// already stays as it is.
func Build(cfg Config, rows []Row, resolution int) (*Counts, error) {
	if resolution < 1 {
		return nil, fmt.Errorf("building quality counts: a resolution of %d, at least 1 is needed", resolution)
	}
	open, err := NewSpec(cfg)
	if err != nil {
		return nil, err
	}
	if err := check(open, rows); err != nil {
		return nil, err
	}
	if len(cfg.Points) == 0 {
		values := append(spread(open, rows), origin(open))
		cfg.Points = thin(values, resolution)
	}
	if cfg.Task == Regression && cfg.TargetCenter == 0 {
		cfg.TargetCenter = center(rows)
	}
	if cfg.Task != Regression && len(cfg.Calibrations) == 0 {
		cfg.Calibrations = calibrations(open, rows)
	}
	return count(cfg, rows)
}

// Exact counts rows over cells of their own, one for each distinct score or error: Evaluate of the counts is exact, as is Estimate. The
// Points of cfg are not used.
func Exact(cfg Config, rows []Row) (*Counts, error) {
	cfg.Points = nil
	open, err := NewSpec(cfg)
	if err != nil {
		return nil, err
	}
	if err := check(open, rows); err != nil {
		return nil, err
	}
	cfg.Points = increasing(append(spread(open, rows), origin(open)))
	return count(cfg, rows)
}

// check says which row was not read by a Spec of these classes.
func check(s *Spec, rows []Row) error {
	for i := range rows {
		if err := errors.Join(s.checkPrediction(&rows[i].Prediction), s.checkLabel(rows[i].Label)); err != nil {
			return fmt.Errorf("building quality counts: row %d: %w", i, err)
		}
	}
	return nil
}

func count(cfg Config, rows []Row) (*Counts, error) {
	s, err := NewSpec(cfg)
	if err != nil {
		return nil, err
	}
	c := NewCounts(s)
	for _, r := range rows {
		c.AddPrediction(r.Prediction)
		if r.Label.Flaw != FlawNoLabel {
			c.AddLabel(r.Prediction, r.Label)
		}
	}
	return c, nil
}

// spread returns all scores, or all errors that are finite.
func spread(s *Spec, rows []Row) []float64 {
	var out []float64
	for _, r := range rows {
		switch {
		case s.task != Regression:
			out = append(out, r.Prediction.Scores...)
		case r.Prediction.Flaw == FlawNone && r.Label.Flaw == FlawNone:
			if e := r.Prediction.Value - r.Label.Value; finite(e) {
				out = append(out, e)
			}
		}
	}
	return out
}

// origin is a point that is always among the cut points: what predictions turn at.
func origin(s *Spec) float64 {
	if s.task == Binary {
		return s.threshold
	}
	return 0
}

// thin returns the distinct values, or where there are more than resolution those at the ranks ⌈kn/resolution⌉ and those that hold a share
// of 1/resolution or more.
func thin(values []float64, resolution int) []float64 {
	for i := range values {
		values[i] += 0
	}
	slices.Sort(values)
	distinct := slices.Compact(slices.Clone(values))
	if len(distinct) <= resolution {
		return distinct
	}
	n := len(values)
	keep := []float64{values[0]}
	for k := 1; k <= resolution; k++ {
		keep = append(keep, values[(k*n+resolution-1)/resolution-1])
	}
	for first, i := 0, 1; i <= n; i++ {
		if i == n || values[i] != values[first] {
			if (i-first)*resolution >= n {
				keep = append(keep, values[first])
			}
			first = i
		}
	}
	return increasing(keep)
}

// center is the mean of the targets, 0 where there is none.
func center(rows []Row) float64 {
	var sum exact.Sum
	var n uint64
	for _, r := range rows {
		if r.Label.Flaw == FlawNone {
			sum.Add(r.Label.Value)
			n++
		}
	}
	mean, _ := exact.Mean(&sum, n)
	return mean
}

// calibrations chooses one for each class that has a score, none where no labelled row has one.
func calibrations(s *Spec, rows []Row) []Calibration {
	parts := make([][folds][]Group, s.scoredClasses())
	n := 0
	for _, r := range rows {
		if r.Prediction.Flaw != FlawNone || r.Label.Flaw != FlawNone || len(r.Prediction.Scores) == 0 {
			continue
		}
		for i, x := range r.Prediction.Scores {
			class := i
			if s.task == Binary {
				class = 1
			}
			g := Group{Score: x, N: 1, Positive: 0}
			if r.Label.Class == class {
				g.Positive = 1
			}
			parts[i][n%folds] = append(parts[i][n%folds], g)
		}
		n++
	}
	if n == 0 {
		return nil
	}
	out := make([]Calibration, 0, len(parts))
	for i := range parts {
		out = append(out, Calibrate(parts[i][:min(n, folds)], s.bins))
	}
	return out
}

// Predict returns a prediction of the Spec's task from plain numbers: the score of a binary task or the value of a regression. NaN and the
// infinities are flawed.
func (s *Spec) Predict(x float64) Prediction {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return flawed(FlawScore)
	case s.task == Regression:
		return Prediction{Flaw: FlawNone, Class: NoClass, Scores: nil, Value: x + 0}
	}
	p := Prediction{Flaw: FlawNone, Class: 0, Scores: []float64{x + 0}, Value: 0}
	if x >= s.threshold {
		p.Class = 1
	}
	return p
}
