package cells

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/DataDog/sketches-go/ddsketch/mapping"

	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/exact/wire"
)

// HistogramAccuracy is the relative error of a Histogram's quantiles.
const HistogramAccuracy = 0.01

// mappingAccuracy is a little better, so that the bound holds after the rounding of the mapping's own arithmetic.
const mappingAccuracy = 0.0099

// HistogramFloor is the smallest value, in milliseconds, that a Histogram tells from 0.
const HistogramFloor = 1e-6

// Histogram counts non-negative values, latencies in milliseconds, in logarithmic buckets of relative width 2 %: mergeable by
// addition, never collapsing, so a quantile's error is bounded however far the tail reaches. The buckets are those of DataDog's
// sketches-go (cubic interpolation of the logarithm; Masson, Rim, Lee: "DDSketch", VLDB 2019), the counts are our own
// integers. The sum is exact. It is not safe for concurrent use.
type Histogram struct {
	index      mapping.IndexMapping
	zero       uint64   // values below HistogramFloor
	base       int      // bucket of counts[0]
	counts     []uint64 // a contiguous range of buckets
	n          uint64
	sum        exact.Sum
	max        float64
	maxUnknown bool // after Subtract
}

// NewHistogram returns an empty histogram.
func NewHistogram() *Histogram {
	m, err := mapping.NewCubicallyInterpolatedMapping(mappingAccuracy)
	if err != nil {
		panic("BUG: " + err.Error()) // a constant accuracy is valid or never was
	}
	return &Histogram{index: m}
}

// Add counts ms. It reports whether it did: a NaN, an infinity or a negative value is no latency and changes nothing.
func (h *Histogram) Add(ms float64) bool {
	if !(ms >= 0 && ms <= math.MaxFloat64) {
		return false
	}
	if ms < HistogramFloor {
		h.zero++
	} else {
		h.addBucket(h.bucket(ms), 1)
	}
	if h.n == 0 {
		h.max, h.maxUnknown = ms, false
	} else {
		h.max = max(h.max, ms)
	}
	h.n++
	h.sum.Add(ms)
	return true
}

// bucket returns the bucket of ms ≥ HistogramFloor. Beyond 1.2e308, where the mapping ends, all values share the last one.
func (h *Histogram) bucket(ms float64) int {
	return h.index.Index(min(ms, h.index.MaxIndexableValue()))
}

func (h *Histogram) addBucket(i int, n uint64) {
	if len(h.counts) == 0 {
		h.base, h.counts = i, make([]uint64, 1)
	}
	if i < h.base || i >= h.base+len(h.counts) {
		lo, hi := min(h.base, i), max(h.base+len(h.counts), i+1)
		wide := make([]uint64, hi-lo)
		copy(wide[h.base-lo:], h.counts)
		h.base, h.counts = lo, wide
	}
	h.counts[i-h.base] += n
}

// Count returns the number of values.
func (h *Histogram) Count() uint64 { return h.n }

// Mean returns the exact mean, rounded once; false where there are no values.
func (h *Histogram) Mean() (float64, bool) { return exact.Mean(&h.sum, h.n) }

// Max returns the largest value; false where there is none, and after Subtract until RestoreMax.
func (h *Histogram) Max() (float64, bool) { return h.max, h.n > 0 && !h.maxUnknown }

// Quantile returns the q-quantile: within HistogramAccuracy of the order statistic at rank floor(q(n-1)), 0 for values below
// HistogramFloor. It returns false where there are no values or q is outside [0, 1].
func (h *Histogram) Quantile(q float64) (float64, bool) {
	if h.n == 0 || !(q >= 0 && q <= 1) {
		return 0, false
	}
	rank := min(uint64(math.Floor(q*float64(h.n-1))), h.n-1)
	seen := h.zero
	if rank < seen {
		return 0, true
	}
	for i, n := range h.counts {
		if seen += n; rank < seen {
			v := h.index.Value(h.base + i)
			if !h.maxUnknown {
				v = min(v, h.max) // still in the bucket: the largest value lies in it or above
			}
			return v, true
		}
	}
	panic("BUG: the buckets of a histogram do not add up to its count")
}

// CountAbove returns how many values are above ms, where a value within HistogramAccuracy of ms may be on either side: values of
// the bucket that holds ms count as not above it.
func (h *Histogram) CountAbove(ms float64) uint64 {
	if h.n == 0 || !(ms >= 0) {
		return h.n
	}
	if math.IsInf(ms, 1) {
		return 0
	}
	above := uint64(0)
	first := math.MinInt
	if ms >= HistogramFloor {
		first = h.bucket(ms) + 1
	}
	for i, n := range h.counts {
		if h.base+i >= first {
			above += n
		}
	}
	return above
}

// Merge adds everything that o counted, which stays as it is. On an error h is unchanged.
func (h *Histogram) Merge(o *Histogram) error {
	if h.n+o.n < h.n {
		return fmt.Errorf("merging histograms: %w", ErrTooMany)
	}
	switch {
	case o.n == 0:
	case h.n == 0:
		h.max, h.maxUnknown = o.max, o.maxUnknown
	default:
		h.max, h.maxUnknown = max(h.max, o.max), h.maxUnknown || o.maxUnknown
	}
	h.zero += o.zero
	for i, n := range o.counts {
		if n != 0 {
			h.addBucket(o.base+i, n)
		}
	}
	h.n += o.n
	h.sum.Merge(&o.sum)
	return nil
}

// Subtract takes everything that o counted out of h: it inverts Merge. The maximum becomes unknown while values are left, see
// RestoreMax. On an error h is unchanged.
func (h *Histogram) Subtract(o *Histogram) error {
	contained := o.n <= h.n && o.zero <= h.zero
	for i, n := range o.counts {
		contained = contained && n <= h.at(o.base+i)
	}
	if !contained {
		return fmt.Errorf("subtracting histograms: %w", ErrNotContained)
	}
	if o.n > 0 {
		h.max, h.maxUnknown = 0, h.n > o.n
	}
	h.zero -= o.zero
	for i, n := range o.counts {
		if n != 0 {
			h.counts[o.base+i-h.base] -= n
		}
	}
	h.n -= o.n
	h.sum.Subtract(&o.sum)
	return nil
}

// RestoreMax sets the maximum from the parts that make up h, after Subtract. It stays unknown where a part does not know its own.
func (h *Histogram) RestoreMax(parts ...*Histogram) {
	h.max, h.maxUnknown = 0, h.n > 0
	for _, p := range parts {
		if p.n > 0 && p.maxUnknown {
			h.max, h.maxUnknown = 0, true
			return
		}
		if p.n > 0 {
			h.max, h.maxUnknown = max(h.max, p.max), false
		}
	}
}

func (h *Histogram) at(i int) uint64 {
	if i < h.base || i >= h.base+len(h.counts) {
		return 0
	}
	return h.counts[i-h.base]
}

// Clone returns an independent copy.
func (h *Histogram) Clone() *Histogram {
	c := *h
	c.counts, c.sum = slices.Clone(h.counts), h.sum.Clone()
	return &c
}

// AppendBinary appends the canonical form of h: equal histograms have equal bytes.
func (h *Histogram) AppendBinary(b []byte) []byte {
	b = wire.AppendUvarint(b, h.zero)
	switch {
	case h.n == 0:
		b = append(b, rangeNone)
	case h.maxUnknown:
		b = append(b, rangeUnknown)
	default:
		b = wire.AppendFloat(append(b, rangeKnown), h.max)
	}
	b = h.sum.AppendBinary(b)
	base, counts := h.base, h.counts
	for len(counts) > 0 && counts[0] == 0 {
		base, counts = base+1, counts[1:]
	}
	for len(counts) > 0 && counts[len(counts)-1] == 0 {
		counts = counts[:len(counts)-1]
	}
	b = wire.AppendUvarint(b, uint64(len(counts)))
	if len(counts) == 0 {
		return b
	}
	v := vector{size: len(counts), wide: counts}
	return v.appendBinary(wire.AppendVarint(b, int64(base)))
}

// MaxEncodedLen is an upper bound of what AppendBinary appends.
func (h *Histogram) MaxEncodedLen() int {
	v := vector{size: len(h.counts), wide: h.counts}
	return 10 + 1 + 8 + exact.MaxEncodedLen + 3 + 5 + v.encodedLen()
}

// DecodeHistogram reads the histogram at the start of b and returns what follows it. Bytes that AppendBinary does not write
// are an error that wraps wire.ErrCorrupt.
func DecodeHistogram(b []byte) (h *Histogram, rest []byte, err error) {
	r := wire.NewReader(b)
	h = NewHistogram()
	h.zero = r.Uvarint()
	state := r.Byte()
	switch state {
	case rangeNone:
	case rangeKnown:
		if h.max = r.Finite(); h.max < 0 {
			r.Fail("a maximum of %v", h.max)
		}
	case rangeUnknown:
		h.maxUnknown = true
	default:
		r.Fail("unknown kind of range %d", state)
	}
	if r.Err() == nil {
		rest, err := h.sum.Decode(r.Rest())
		if err != nil {
			r.Fail("sum: %v", err)
		}
		r.Bytes(len(r.Rest()) - len(rest))
	}
	h.n = h.zero
	if err := h.decodeBuckets(r); err != nil {
		r.Fail("buckets: %v", err)
	}
	if (state == rangeNone) != (h.n == 0) {
		r.Fail("a maximum of kind %d for %d values", state, h.n)
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading histogram: %w", err)
	}
	return h, r.Rest(), nil
}

func (h *Histogram) decodeBuckets(r *wire.Reader) error {
	size := r.Uvarint()
	if r.Err() != nil || size == 0 {
		return r.Err()
	}
	base := r.Varint()
	lowest, highest := h.bucket(HistogramFloor), h.bucket(math.MaxFloat64)
	if base < int64(lowest) || base > int64(highest) || size > uint64(highest-int(base))+1 {
		return errors.New("beyond the range of float64")
	}
	v, n := decodeVector(r, int(size))
	if r.Err() != nil {
		return r.Err()
	}
	if h.n += n; h.n < n {
		return ErrTooMany
	}
	h.base, h.counts = int(base), make([]uint64, size)
	for c := v.cursor(); ; {
		i, n, ok := c.next()
		if !ok {
			break
		}
		h.counts[i] = n
	}
	if h.counts[0] == 0 || h.counts[size-1] == 0 {
		return errors.New("an empty bucket at an end")
	}
	return nil
}
