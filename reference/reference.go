// Package reference freezes what a model's data looked like: the cells of every feature and prediction with the whole
// reference's counts, and the latency. A reference is immutable, named, and identified by the hash of its canonical bytes
// (design section 3). It is part of the deterministic core.
package reference

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/quality"
	"github.com/driftd/driftd/result"
)

// DefaultResolution is the number of cut points of a numeric feature up to which all its distinct values are kept.
const DefaultResolution = 2000

// DefaultMaxCategories is how many categories of a feature are tracked at most.
const DefaultMaxCategories = 1000

// MinCategoryCount is how often the reference must have seen a category for it to be tracked on its own.
const MinCategoryCount = 10

// fewLabels is below how many labels the quality of a reference is noted to be uncertain: what rules need by default.
const fewLabels = 100

// Bounds of the segments of a reference.
const (
	MaxDimensions     = 8       // dimensions of a reference, or of a model
	MaxSegments       = 100     // values of a dimension that are counted on their own
	DefaultSegments   = 10      // of them where nobody says how many
	maxSegmentValues  = 1 << 16 // different values that building looks at for the largest
	maxDimensionBytes = 128     // of a dimension's name
)

// Reference is a frozen baseline of one model. It must not be changed after Build or Decode; its counts are shared.
type Reference struct {
	Name       string
	Model      string // empty: the rows named none
	Source     string // where the rows came from, for people
	Start, End int64  // the span [Start, End) of event time in Unix milliseconds; both 0 where the rows have no times
	Rows       uint64
	Resolution int
	Features   []Feature        // by Role, then Name
	Latency    *cells.Histogram // milliseconds; nil where the rows have none
	Errors     *Errors          // nil where no row has a status

	Pane  int64      // length of Panes, milliseconds; 0: the rows are not counted by pane
	Panes []PaneRows // those with rows, by Start; rows without a time are in none

	Dimensions []Dimension // by Name: the same rows, counted by segment

	Quality *quality.Counts // of the rows' predictions and labels; nil: none has a label, or nobody said what they are
}

// Errors are the rows of a reference, and how many of them failed: those whose status is no success (event.Succeeded).
type Errors struct{ Rows, Failed uint64 }

// Feature is one monitored column of a reference.
type Feature struct {
	Name   string
	Role   result.Role
	Space  *cells.Space
	Counts *cells.Counts // of the whole reference, over Space
	// Deciles are the nine deciles (type 7 of Hyndman and Fan 1996, at integer positions k(m-1)/10), not merged where equal,
	// each of them a point of Space; none for a categorical feature and where the reference has no values.
	Deciles    []float64
	Distinct   uint64 // distinct values, or categories including those in `other`
	Singletons uint64 // values or categories seen exactly once: N1 of the Good-Turing estimate of what is unseen

	panes [][]byte // the counts by pane, in their encoding: see ChunkCounts
}

// Find returns the feature with this role and name.
func (r *Reference) Find(role result.Role, name string) (*Feature, bool) {
	i, ok := slices.BinarySearchFunc(r.Features, Feature{Role: role, Name: name}, compareFeatures)
	if !ok {
		return nil, false
	}
	return &r.Features[i], true
}

func compareFeatures(a, b Feature) int {
	return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Name, b.Name))
}

// Fingerprint returns what identifies the reference: `sha256:` and the hash of Encode.
func (r *Reference) Fingerprint() string {
	sum := sha256.Sum256(r.Encode())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Notes says what a person should know about the reference before relying on it; it is empty for an ordinary one.
func (r *Reference) Notes() []string {
	var notes []string
	if r.Quality != nil && r.Quality.Labels() < fewLabels {
		notes = append(notes, fmt.Sprintf("%d labels: the intervals of the reference's quality are wide, and rules that compare with it need %d", r.Quality.Labels(), fewLabels))
	}
	if r.Rows == 1 {
		notes = append(notes, "the reference has one row: every verdict will be insufficient; use more rows")
	}
	for i := range r.Features {
		f := &r.Features[i]
		switch {
		case f.Counts.N() == 0:
			notes = append(notes, fmt.Sprintf("%s %q has no values in %d rows: every verdict on it will be insufficient",
				f.Role, f.Name, r.Rows))
		case f.Space.Kind() == cells.Categorical && len(f.Space.Categories()) == 0:
			notes = append(notes, fmt.Sprintf("%s %q has no category seen %d times: all its values are `other`",
				f.Role, f.Name, MinCategoryCount))
		}
	}
	return notes
}

// Side describes the reference's side of the feature.
func (f *Feature) Side() result.Side { return Describe(f.Counts) }

// Describe returns the description of counts that stands in results and analyses. The mean and the standard deviation (ddof 1)
// come from exact sums and are rounded once; null where they do not exist: no values, one value, or an overflow.
func Describe(c *cells.Counts) result.Side {
	s, _, _ := DescribeVariance(c)
	return s
}

// DescribeVariance is Describe and the variance (ddof 1), where it exists: the standard deviation is its root.
func DescribeVariance(c *cells.Counts) (s result.Side, variance float64, ok bool) {
	s = result.Side{
		Count: c.N(), Missing: c.Missing, Invalid: c.Invalid, Inf: c.Inf, Mean: nil, Std: nil, Min: nil, Max: nil,
	}
	if c.Space().Kind() != cells.Numeric {
		return s, 0, false
	}
	mean, variance, ok := exact.MeanVariance(&c.Sum, &c.SumSquares, c.N(), 1)
	if ok {
		std := math.Sqrt(variance)
		s.Mean, s.Std = &mean, &std
	} else if mean, exists := exact.Mean(&c.Sum, c.N()); exists {
		s.Mean = &mean
	}
	if lo, known := c.Min(); known {
		s.Min = &lo
	}
	if hi, known := c.Max(); known {
		s.Max = &hi
	}
	return s, variance, ok
}
