// Package twosample compares two sorted samples: every rank statistic and distance of raw values by one merge, exactly up to the
// rounding of its sums. It is what has both samples in memory uses; package detectors computes the same from counts over cells.
//
// The conventions are those of docs/statistics.md: ties are handled by the definitions on distribution functions (Cramér-von Mises) and
// by mid-ranks (Anderson-Darling, Mann-Whitney). gonum's two-sample code is not used: its WassersteinDistance is quadratic and rescales
// its caller's weights in place, and it has no p-values.
package twosample

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/stat"
)

// Test is a statistic with its p-value. Where OK is false it does not exist, and the numbers say nothing.
type Test struct {
	Value, P float64
	OK       bool
}

// Distance is a statistic without a p-value. Where OK is false it does not exist: it overflows, or a side is empty.
type Distance struct {
	Value float64
	OK    bool
}

// Comparison is what one merge of two samples says.
type Comparison struct {
	RefN, CurN uint64
	Ties       bool // the pooled values are not all distinct

	// KS is the Kolmogorov-Smirnov distance sup |F - G|; its p-value is stat.KSPValue.
	KS Distance

	// CramerVonMises is nm/N² Σ (F - G)² over the N pooled values with repetition; p is the asymptotic one. Null below 2 values a side.
	CramerVonMises Test

	// AndersonDarling is Scholz and Stephens' statistic for two samples in the mid-rank form, standardised; p is clipped to
	// [0.001, 0.25]. Null for fewer than 4 values, or fewer than 2 distinct ones.
	AndersonDarling Test

	// MannWhitney is U of the reference: for each of its values the current ones below, plus half of those that are equal; p is
	// the asymptotic one, two-sided, with tie and continuity correction.
	MannWhitney Test

	// Wasserstein is ∫ |F - G| dx, in the unit of the values.
	Wasserstein Distance

	// Energy is sqrt(2 ∫ (F - G)² dx), in the root of the unit of the values.
	Energy Distance
}

// MaxValues is the largest product of the two sizes: counts of pairs are kept in 64 bits.
const MaxValues = 1 << 62

// Compare merges two samples, sorted in increasing order, of finite values (-0 is 0). It keeps and changes neither. Either may be
// empty: then nothing exists. Samples that are not sorted, or not finite, give numbers without meaning, never a panic.
//
// Cost: one pass, some 10 ns a value; no allocation that grows with the samples.
func Compare(ref, cur []float64) (Comparison, error) {
	c := Comparison{RefN: uint64(len(ref)), CurN: uint64(len(cur))}
	if len(ref) == 0 || len(cur) == 0 {
		return c, nil
	}
	if float64(len(ref))*float64(len(cur)) > MaxValues {
		return c, fmt.Errorf("comparing samples of %d and %d values: more than 2^62 pairs, compare fewer", len(ref), len(cur))
	}
	s := merge(ref, cur)
	m, n := c.RefN, c.CurN
	whole := float64(m) * float64(n)
	all := float64(m + n)

	c.Ties = s.ties > 0
	c.KS = Distance{Value: min(float64(s.most)/whole, 1), OK: true}

	c.CramerVonMises.Value = whole / all * (s.cvm.total() / all)
	c.CramerVonMises.P, c.CramerVonMises.OK = stat.CramerVonMisesPValue(c.CramerVonMises.Value, m, n)

	if s.distinct > 1 {
		a2 := (all - 1) / all * whole * s.ad.total()
		c.AndersonDarling.Value, c.AndersonDarling.P, _, c.AndersonDarling.OK = stat.AndersonDarling(a2, m, n)
	}

	c.MannWhitney.Value = float64(s.u2/2) + float64(s.u2%2)/2
	excess := math.Abs(float64(int64(s.u2-m*n))) / 2 // the difference fits: 2U is at most 2nm < 2^63
	c.MannWhitney.P, c.MannWhitney.OK = stat.MannWhitneyPValue(excess, s.ties, m, n)

	w, e := s.w.total(), s.e.total()
	scale := 1.0
	if math.IsInf(w, 0) || math.IsInf(e, 0) || math.IsNaN(w) || math.IsNaN(e) {
		// A difference of values overflows although the integrals may not: once more, a little smaller.
		scale = 0x1p-4
		w, e = integrate(ref, cur, scale)
	}
	c.Wasserstein = existing(w / scale)
	c.Energy = existing(math.Sqrt(2*e) / math.Sqrt(scale))
	return c, nil
}

func existing(x float64) Distance {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return Distance{}
	}
	return Distance{Value: x, OK: true}
}

// sums are what the merge accumulates. Over the distinct pooled values, with d = F - G behind a value, l values equal to it, and B the
// mid-rank:
type sums struct {
	most     uint64  // max |nm·d|
	u2       uint64  // 2U
	ties     float64 // Σ l³ - l
	distinct int     // distinct values, counted up to 2
	cvm      blocks  // Σ l·d²
	ad       blocks  // Σ l·d_mid²/(B(N-B) - Nl/4), d_mid halfway between d before and behind
	w        blocks  // ∫ |d| dx
	e        blocks  // ∫ d² dx
}

// merge walks both samples from the smallest value up. Differences of the distribution functions are integers, n·i - m·j after i
// values of the reference and j of the current sample: nothing cancels.
func merge(ref, cur []float64) sums {
	var s sums
	m, n := len(ref), len(cur)
	invWhole := 1 / (float64(m) * float64(n))
	all := float64(m + n)
	i, j := 0, 0
	before, last := 0.0, 0.0 // d behind the value before, and that value
	for i < m || j < n {
		i0, j0 := i, j
		var z float64
		// Either side may be through; the comparisons let a NaN pass as the smaller one, so that the loop always advances.
		if j >= n || (i < m && !(cur[j] < ref[i])) {
			z = ref[i]
			i++
		} else {
			z = cur[j]
			j++
		}
		for i < m && ref[i] == z {
			i++
		}
		for j < n && cur[j] == z {
			j++
		}
		r, c := i-i0, j-j0
		diff := n*i - m*j
		d := float64(diff) * invWhole
		if diff < 0 {
			diff = -diff
		}
		s.most = max(s.most, uint64(diff))
		l := float64(r + c)
		s.cvm.add(l * d * d)
		middle := (before + d) / 2
		rank := float64(i0+j0) + l/2
		s.ad.add(l * middle * middle / (float64(rank*(all-rank)) - float64(all*l/4)))
		if r+c > 1 {
			s.ties += l * (float64(l*l) - 1)
		}
		s.u2 += uint64(r) * uint64(2*j0+c)
		if s.distinct > 0 {
			gap := z - last
			s.w.add(math.Abs(before) * gap)
			s.e.add(before * before * gap)
		}
		if s.distinct < 2 {
			s.distinct++
		}
		before, last = d, z
	}
	return s
}

// integrate repeats the integrals of merge with all values scaled.
func integrate(ref, cur []float64, scale float64) (w, e float64) {
	m, n := len(ref), len(cur)
	invWhole := 1 / (float64(m) * float64(n))
	var ws, es blocks
	before, last := 0.0, 0.0
	for i, j := 0, 0; i < m || j < n; {
		var z float64
		if j >= n || (i < m && !(cur[j] < ref[i])) {
			z = ref[i] * scale
			i++
		} else {
			z = cur[j] * scale
			j++
		}
		if i+j > 1 {
			ws.add(math.Abs(before) * (z - last))
			es.add(before * before * (z - last))
		}
		before, last = float64(n*i-m*j)*invWhole, z
	}
	return ws.total(), es.total()
}

// blocks sums in blocks of 256: the rounding error grows with the number of blocks, not of terms, at no cost.
type blocks struct {
	inner, outer float64
	n            uint8
}

func (b *blocks) add(x float64) {
	b.inner += x
	b.n++
	if b.n == 0 {
		b.outer += b.inner
		b.inner = 0
	}
}

func (b *blocks) total() float64 { return b.outer + b.inner }
