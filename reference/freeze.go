package reference

import (
	"fmt"
	"slices"

	"github.com/driftd/driftd/result"
)

// FreezeNumeric makes a numeric feature of all its values, as a Builder with the resolution would: sorted in increasing order,
// finite, zeros without a sign. What is missing, infinite or invalid the caller sets in its Counts. sorted is not kept.
func FreezeNumeric(role result.Role, name string, sorted []float64, resolution int) (*Feature, error) {
	f := &Feature{Name: name, Role: role, Space: nil, Counts: nil, Deciles: nil, Distinct: 0, Singletons: 0, panes: nil}
	if err := f.freezeSorted(sorted, resolution, nil); err != nil {
		return nil, fmt.Errorf("%s %q: %w", role, name, err)
	}
	return f, nil
}

// Categories says how often the categories of a column were seen.
type Categories struct {
	// Counts holds every category that was seen at least MinCategoryCount times, or the most frequent of these: more than are tracked.
	// It may hold others.
	Counts map[string]uint64

	Rare           uint64 // values of the categories that are not in Counts
	RareDistinct   uint64 // these categories
	RareSingletons uint64 // those of them that were seen once
}

// FreezeCategorical makes a categorical feature of how often each category was seen, as a Builder would. What is missing or invalid
// the caller sets in its Counts. The map is not kept.
func FreezeCategorical(role result.Role, name string, c Categories, maxCategories int) (*Feature, error) {
	f := &Feature{Name: name, Role: role, Space: nil, Counts: nil, Deciles: nil, Distinct: 0, Singletons: 0, panes: nil}
	if err := f.freezeCounts(c.Counts, maxCategories); err != nil {
		return nil, fmt.Errorf("%s %q: %w", role, name, err)
	}
	f.Distinct += c.RareDistinct
	f.Singletons += c.RareSingletons
	f.Counts.AddOther(c.Rare)
	return f, nil
}

// Magic starts the bytes of every encoded reference; the byte behind it is the version of the format.
const Magic = "driftd-ref"

// Sort brings the features into the order that Find and Encode rely on, for a Reference that is put together by hand.
func (r *Reference) Sort() { slices.SortFunc(r.Features, compareFeatures) }
