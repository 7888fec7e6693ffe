package cells

import (
	"math"
	"math/bits"
)

// table finds the cell of a value in a few steps, wherever the points lie: a monotone function of the value names a bucket, and the
// bucket says how many points lie in those before. Two functions are tried, and the one is kept whose buckets are less crowded: steps
// of one width, and steps of the float64's bits, which are near to logarithmic. A crowded bucket is searched by halves, so that no
// points and no values make a look-up slower than a binary search of all points.
type table struct {
	// Of bucket b: the number of points in the buckets before; one more than there are buckets. One of the two is there.
	narrow []uint16 // where that is enough: twice the buckets in the same memory
	wide   []uint32
	byBits bool
	lo     float64 // of the first bucket
	scale  float64 // buckets a unit
	base   uint64  // ordinal of the first point
	factor uint64  // buckets an ordinal, in units of 2^-64
}

const (
	bytesPerPoint = 8
	glance        = 4 // points that are compared at once; more in one bucket are searched
)

// newTable returns the table of points, of which there are two or more.
func newTable(points []float64) table {
	lo, hi := points[0], points[len(points)-1]
	most := bytesPerPoint / 2 * len(points)
	if len(points) > math.MaxUint16 {
		most /= 2
	}
	logs := table{narrow: nil, wide: nil, byBits: true, lo: 0, scale: 0, base: ordinal(lo), factor: math.MaxUint64}
	if all := ordinal(hi) - logs.base + 1; all > uint64(most) {
		logs.factor, _ = bits.Div64(uint64(most), 0, all)
	}
	cost := logs.fill(points)
	even := table{narrow: nil, wide: nil, byBits: false, lo: lo, scale: float64(most-1) / (hi - lo), base: 0, factor: 0}
	// A range beyond float64 has no width, and one of a few of the smallest numbers no number of buckets.
	if even.scale > 0 && !math.IsInf(even.scale, 0) && even.fill(points) <= cost {
		return even
	}
	return logs
}

// fill counts the points of every bucket and returns the sum of the squares: how many points a value meets, who is as the points are.
func (t *table) fill(points []float64) (cost int) {
	start := make([]uint32, t.bucket(points[len(points)-1])+2)
	for _, p := range points {
		start[t.bucket(p)+1]++
	}
	for i := 1; i < len(start); i++ {
		cost += int(start[i]) * int(start[i])
		start[i] += start[i-1]
	}
	if len(points) > math.MaxUint16 {
		t.wide = start
		return cost
	}
	t.narrow = make([]uint16, len(start))
	for i, n := range start {
		t.narrow[i] = uint16(n)
	}
	return cost
}

// bucket returns the bucket of x, which lies between the first and the last point. It never decreases with x, rounding
// included: so what is in an earlier bucket than x is smaller, and what is in a later one larger.
func (t *table) bucket(x float64) uint {
	if t.byBits {
		b, _ := bits.Mul64(ordinal(x)-t.base, t.factor)
		return uint(b)
	}
	return uint(int64((x - t.lo) * t.scale))
}

// span returns how many points are in the buckets before b, and how many up to it.
func (t *table) span(b uint) (at, end int) {
	if t.narrow != nil {
		return int(t.narrow[b]), int(t.narrow[b+1])
	}
	return int(t.wide[b]), int(t.wide[b+1])
}

// ordinal numbers the float64 values in their order. x is not -0.
func ordinal(x float64) uint64 {
	u := math.Float64bits(x)
	return u ^ (uint64(int64(u)>>63) | 1<<63)
}

// Places that are no dense cell.
const (
	placeBelow = -1
	placeAbove = -2
)

// locate returns the dense cell of x, or placeBelow or placeAbove. x is finite and not -0.
func (s *Space) locate(x float64) int {
	d := s.points
	switch {
	case len(d) == 0 || x > d[len(d)-1]:
		return placeAbove
	case x < d[0]:
		return placeBelow
	case len(d) == 1:
		return 0
	}
	at, end := s.table.span(s.table.bucket(x))
	if end-at > glance {
		at = searchPoints(d, at, end, x)
	} else {
		// Points of later buckets are larger, and NaN, which stands behind the last, compares as if it were.
		p := (*[glance]float64)(d[at : at+glance : at+glance])
		at += boolToInt(p[0] < x) + boolToInt(p[1] < x) + boolToInt(p[2] < x) + boolToInt(p[3] < x)
	}
	return 2*at - boolToInt(d[at] != x)
}

// searchPoints returns how many points are below x, which are at least at and at most end. It has no branch that depends on x: the
// mask is the form that the compiler turns into none.
func searchPoints(d []float64, at, end int, x float64) int {
	n := end - at
	for n > 1 {
		half := n >> 1
		at += half & -boolToInt(d[at+half-1] < x)
		n -= half
	}
	return at + boolToInt(d[at] < x)
}

// boolToInt is written so that the compiler makes one instruction of it.
func boolToInt(b bool) int {
	var i int
	if b {
		i = 1
	}
	return i
}
