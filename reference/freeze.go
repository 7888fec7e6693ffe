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

// FreezeCategorical makes a categorical feature of how often each category was seen, as a Builder would. What is missing or invalid
// the caller sets in its Counts. counts is not kept.
func FreezeCategorical(role result.Role, name string, counts map[string]uint64, maxCategories int) (*Feature, error) {
	f := &Feature{Name: name, Role: role, Space: nil, Counts: nil, Deciles: nil, Distinct: 0, Singletons: 0, panes: nil}
	if err := f.freezeCounts(counts, maxCategories); err != nil {
		return nil, fmt.Errorf("%s %q: %w", role, name, err)
	}
	return f, nil
}

// Magic starts the bytes of every encoded reference; the byte behind it is the version of the format.
const Magic = "driftd-ref"

// Sort brings the features into the order that Find and Encode rely on, for a Reference that is put together by hand.
func (r *Reference) Sort() { slices.SortFunc(r.Features, compareFeatures) }
