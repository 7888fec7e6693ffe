// Package cells holds the one idea of driftd: a reference is frozen into cells per feature, a window is counts over these
// cells and a few exact sums, and everything else is computed from two count vectors over the same cells (design section 3).
// It is a leaf package of pure data: merging is addition, sliding is subtraction, equal states have equal bytes.
package cells

// Kind is the kind of a feature. It comes from the reference, never from live events.
type Kind uint8

// The kinds of a feature.
const (
	Numeric Kind = iota + 1
	Categorical
)

// String returns `numeric` or `categorical`.
func (k Kind) String() string {
	switch k {
	case Numeric:
		return "numeric"
	case Categorical:
		return "categorical"
	}
	return "unknown"
}
