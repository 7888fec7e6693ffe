package detectortest

import (
	"slices"
	"testing"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// Numeric builds a feature of a reference from raw values in the plainest way: sort, take the deciles (type 7, integer
// positions), keep at most resolution order statistics and every decile as cut points. It is the readable counterpart of
// the reference package's builder.
func Numeric(tb testing.TB, values []float64, resolution int) *reference.Feature {
	tb.Helper()
	return NumericOver(tb, values, resolution, nil)
}

// NumericOver is Numeric with more cut points.
func NumericOver(tb testing.TB, values []float64, resolution int, edges []float64) *reference.Feature {
	tb.Helper()
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	for i, x := range sorted {
		if x == 0 {
			sorted[i] = 0 // -0
		}
	}
	distinct := slices.Compact(slices.Clone(sorted))
	points := slices.Clone(distinct)
	if n := len(sorted); len(distinct) > resolution {
		points = points[:0]
		for k := range resolution + 1 {
			points = append(points, sorted[k*(n-1)/resolution])
		}
	}
	deciles := Deciles(sorted)
	points = append(points, deciles...)
	for _, e := range edges {
		points = append(points, e+0) // -0 + 0 is 0
	}
	slices.Sort(points)
	space, err := cells.NewNumeric(slices.Compact(points))
	if err != nil {
		tb.Fatalf("building a numeric feature: %v", err)
	}
	f := &reference.Feature{
		Name: "x", Role: result.RoleFeature, Space: space, Counts: cells.NewCounts(space),
		Deciles: deciles, Distinct: uint64(len(distinct)), Singletons: 0,
	}
	AddNumbers(f.Counts, values)
	return f
}

// Deciles returns the nine deciles of sorted values: type 7 at the integer positions k(n-1)/10, not merged; nil for none.
func Deciles(sorted []float64) []float64 {
	n := len(sorted)
	if n == 0 {
		return nil
	}
	out := make([]float64, 0, 9)
	for k := 1; k <= 9; k++ {
		i, rest := k*(n-1)/10, k*(n-1)%10
		x := sorted[i]
		if rest > 0 {
			x = cells.Interpolate(sorted[i], sorted[i+1], float64(rest)/10)
		}
		if x == 0 {
			x = 0 // -0
		}
		out = append(out, x)
	}
	return out
}

// Categorical builds a feature of a reference that tracks the given categories.
func Categorical(tb testing.TB, categories, values []string) *reference.Feature {
	tb.Helper()
	space, err := cells.NewCategorical(categories)
	if err != nil {
		tb.Fatalf("building a categorical feature: %v", err)
	}
	f := &reference.Feature{
		Name: "c", Role: result.RoleFeature, Space: space, Counts: cells.NewCounts(space),
		Deciles: nil, Distinct: 0, Singletons: 0,
	}
	seen := map[string]int{}
	for _, v := range values {
		seen[v]++
	}
	f.Distinct = uint64(len(seen))
	for _, n := range seen {
		if n == 1 {
			f.Singletons++
		}
	}
	AddCategories(f.Counts, values)
	return f
}

// AddNumbers counts values.
func AddNumbers(c *cells.Counts, values []float64) {
	for _, x := range values {
		c.AddNumber(x)
	}
}

// AddCategories counts values.
func AddCategories(c *cells.Counts, values []string) {
	for _, v := range values {
		c.AddCategory([]byte(v))
	}
}
