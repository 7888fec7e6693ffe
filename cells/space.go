package cells

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/driftd/driftd/internal/exact/wire"
)

// Bounds of what a Space accepts, so that decoding foreign bytes needs bounded memory.
const (
	MaxPoints       = 1 << 22 // cut points of one numeric feature
	MaxCategories   = 1 << 20 // tracked categories of one feature
	MaxCategoryName = 1 << 16 // bytes of one category
)

// Space is the frozen set of cells of one feature: immutable, safe for concurrent use, shared by all counts over it.
//
// Numeric: with the points c_1 < … < c_m the dense cells are c_1, (c_1, c_2), c_2, …, c_m, numbered 0 to 2m-2. What lies
// below c_1 or above c_m has outer cells, see outerKey. Categorical: one dense cell a category, in byte order, and `other`.
type Space struct {
	kind       Kind
	points     []float64 // the array behind them goes on with NaN, see locate
	table      table
	categories []string
	index      map[string]int // category to cell
	words      wordTable      // a faster index of the same, where there is one
}

// NewNumeric returns the cells of a numeric feature with the given cut points, which must be finite and strictly
// increasing; -0 is taken as 0. No points at all is a feature that was never seen: all its values are outer.
func NewNumeric(points []float64) (*Space, error) {
	if len(points) > MaxPoints {
		return nil, fmt.Errorf("building cells: %d cut points, at most %d are allowed", len(points), MaxPoints)
	}
	own := append(make([]float64, 0, len(points)+glance), points...)
	for i, p := range own {
		if math.IsNaN(p) || math.IsInf(p, 0) {
			return nil, fmt.Errorf("building cells: cut point %d is %v, it must be finite", i, p)
		}
		if p == 0 {
			own[i] = 0 // -0
		}
		if i > 0 && p <= own[i-1] {
			return nil, fmt.Errorf("building cells: cut point %d (%v) is not above the one before (%v)", i, p, own[i-1])
		}
	}
	s := &Space{kind: Numeric, points: own}
	for i := range glance {
		own[:cap(own)][len(own)+i] = math.NaN()
	}
	if len(own) > 1 {
		s.table = newTable(own)
	}
	return s, nil
}

// NewCategorical returns the cells of a categorical feature that tracks the given categories; every other value is `other`.
// The order given does not matter: cells are in byte order. A category given twice is an error.
func NewCategorical(categories []string) (*Space, error) {
	if len(categories) > MaxCategories {
		return nil, fmt.Errorf("building cells: %d categories, at most %d are allowed", len(categories), MaxCategories)
	}
	own := slices.Sorted(slices.Values(categories))
	index := make(map[string]int, len(own))
	for i, c := range own {
		if len(c) > MaxCategoryName {
			return nil, fmt.Errorf("building cells: a category of %d bytes, at most %d are allowed", len(c), MaxCategoryName)
		}
		if i > 0 && c == own[i-1] {
			return nil, fmt.Errorf("building cells: the category %q is given twice", c)
		}
		index[c] = i
	}
	return &Space{kind: Categorical, categories: own, index: index, words: newWordTable(own)}, nil
}

// Kind returns the feature's kind.
func (s *Space) Kind() Kind { return s.kind }

// Points returns the cut points in increasing order. The caller must not change them.
func (s *Space) Points() []float64 { return s.points }

// Categories returns the tracked categories in byte order. The caller must not change them.
func (s *Space) Categories() []string { return s.categories }

// Equal reports whether both spaces have the same cells, so that counts over them can be added and compared.
func (s *Space) Equal(o *Space) bool {
	return s == o || (s.kind == o.kind && slices.Equal(s.points, o.points) && slices.Equal(s.categories, o.categories))
}

// size returns the number of dense cells.
func (s *Space) size() int {
	if s.kind == Categorical {
		return len(s.categories) + 1
	}
	return max(2*len(s.points)-1, 0)
}

// bounds returns the ends of dense cell i of a numeric space, equal for a point.
func (s *Space) bounds(i int) (lo, hi float64) {
	return s.points[i/2], s.points[(i+1)/2]
}

// The outer cells of either sign: 16 to a power of two from 2^-63 to 2^65, so that a cell's middle is within 1/32 of every
// value in it, and beyond these magnitudes one cell for 16 powers of two. The few of them keep the memory and the
// encoding of a feature bounded even where it is fed with random bits.
const (
	fineFrom     = 0x3c00 // the key of 2^-63
	fineTo       = 0x4400 // the key of 2^65
	coarseWidth  = 0x100
	maxOuterKey  = 0x7f00
	outerPerSign = fineTo - fineFrom + (0x8000-fineTo+fineFrom)/coarseWidth
)

// outerKey names the outer cell of a value beyond the points: the 15 bits below the sign of its float64 (11 of exponent, 4
// of mantissa), the low 8 of them cleared in the coarse cells, negative values as the complement, so that keys order as values.
func outerKey(x float64) int {
	k := coarse(int(math.Float64bits(x)>>48) & 0x7fff)
	if x < 0 {
		return ^k
	}
	return k
}

// coarse returns the cell that key k ≥ 0 belongs to.
func coarse(k int) int {
	if k >= fineFrom && k < fineTo {
		return k
	}
	return k &^ (coarseWidth - 1)
}

// outerBounds returns the smallest and the largest end of outer cell k, without regard to the points.
func outerBounds(k int) (lo, hi float64) {
	if k < 0 {
		lo, hi = outerBounds(^k)
		return -hi, 0 - lo // not -0
	}
	lo = math.Float64frombits(uint64(k) << 48)
	if k == maxOuterKey {
		return lo, math.MaxFloat64
	}
	next := k + 1
	if k < fineFrom || k >= fineTo {
		next = k + coarseWidth
	}
	return lo, math.Float64frombits(uint64(next) << 48)
}

// validOuterKey reports whether k is the key of a cell.
func validOuterKey(k int) bool {
	if k < 0 {
		k = ^k
	}
	return k <= maxOuterKey && coarse(k) == k
}

// AppendBinary appends the canonical form of the space, which is part of a reference's fingerprint.
func (s *Space) AppendBinary(b []byte) []byte {
	b = append(b, byte(s.kind))
	if s.kind == Categorical {
		b = wire.AppendUvarint(b, uint64(len(s.categories)))
		for _, c := range s.categories {
			b = wire.AppendString(b, c)
		}
		return b
	}
	b = wire.AppendUvarint(b, uint64(len(s.points)))
	for _, p := range s.points {
		b = wire.AppendFloat(b, p)
	}
	return b
}

// DecodeSpace reads the space at the start of b and returns what follows it.
func DecodeSpace(b []byte) (s *Space, rest []byte, err error) {
	r := wire.NewReader(b)
	switch kind := Kind(r.Byte()); kind {
	case Numeric:
		points := make([]float64, r.Count(8))
		for i := range points {
			points[i] = r.Finite()
		}
		s, err = NewNumeric(points)
	case Categorical:
		names := make([]string, r.Count(1))
		for i := range names {
			names[i] = r.String(MaxCategoryName)
			if i > 0 && r.Err() == nil && strings.Compare(names[i-1], names[i]) >= 0 {
				r.Fail("category %q is not above the one before", names[i])
			}
			if r.Err() != nil {
				break
			}
		}
		if r.Err() == nil {
			s, err = NewCategorical(names)
		}
	default:
		r.Fail("unknown kind %d", kind)
	}
	if e := errors.Join(r.Err(), err); e != nil {
		return nil, b, fmt.Errorf("reading cells: %w", e)
	}
	return s, r.Rest(), nil
}
