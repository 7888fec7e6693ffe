package sequential

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/internal/exact/wire"
	"github.com/driftd/driftd/internal/stat"
)

// Moments describe one side of a window. Variance has the divisor Count - 1.
type Moments struct {
	Count          uint64
	Mean, Variance float64
}

// minMeans is how many values each side needs before a reading: the law of large numbers has to have begun.
const minMeans = 200

// Means compares the means of two sides: errors of a regression, latencies.
//
// H₀: within each window both sides have one mean, whatever their variances are; it may move from window to window. Formula: with d the
// difference of a window's means, v its variance (v_A/n_A + v_B/n_B) and h = n_A n_B/(n_A + n_B): D = Σhd/Σh, V = Σh²v, s = 1 + r·Σh,
// E = exp((Σhd)²·r·Σh/(2Vs))/sqrt(s), a normal mixture; the confidence sequence is where E is below 1/α, p = 1/E. r makes it tightest at the
// planned size. Unit: that of the values. Direction: positive, B has the larger mean.
// Approximation: asymptotic, by the central limit theorem; nothing is told below 200 values a side. Measured error: docs/statistics.md. With
// tails as heavy as those of latencies a share (slower than an objective) in Proportions is exact and sees more.
// Special cases: a window with fewer than two values on a side, or with a variance that is no number, says nothing; where nothing varies nothing
// is told. Cost: constant.
// Reference: I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy, A. Ramdas, Time-uniform central limit theory and asymptotic confidence
// sequences, Annals of Statistics 2024; H. Robbins 1970.
type Means struct {
	planned  uint64
	windows  uint64
	a, b     uint64
	weights  float64 // Σh
	weighted float64 // Σhd
	variance float64 // Σh²v
}

// NewMeans returns a comparison that has seen nothing. planned is about how many values a side will have when it matters most: at least 1.
func NewMeans(planned uint64) *Means {
	return &Means{planned: max(1, planned), windows: 0, a: 0, b: 0, weights: 0, weighted: 0, variance: 0}
}

// Add counts a window.
func (s *Means) Add(a, b Moments) {
	n, m := float64(a.Count), float64(b.Count)
	h := weight(n, m)
	d := h * (b.Mean - a.Mean)
	v := h / n * h * a.Variance
	v += float64(h / m * h * b.Variance)
	if a.Count < 2 || b.Count < 2 || !(v >= 0) || math.IsInf(v, 0) || math.IsNaN(d) || math.IsInf(d, 0) {
		return
	}
	if math.IsInf(s.weighted+d, 0) || math.IsInf(s.variance+v, 0) {
		return
	}
	s.windows++
	s.a, s.b = s.a+a.Count, s.b+b.Count
	s.weights, s.weighted, s.variance = s.weights+h, s.weighted+d, s.variance+v
}

// rate is r of the formula for a planned size: where the boundary of a 5 % test is tightest (Waudby-Smith et al.).
func rate(planned uint64) float64 {
	const l = 5.991464547107982 // -2 ln 0.05
	return (l + math.Log(l+1)) / (float64(planned) / 2)
}

// half is half the width of the confidence sequence of a weighted mean difference: (Σhd)² = 2V·spread/(r·Σh)·(ln(spread)/2 - ln α) at its ends.
func half(r, weights, variance, alpha float64) float64 {
	spread := 1 + float64(r*weights)
	return math.Sqrt(2*spread/(r*weights)*(math.Log(spread)/2-math.Log(alpha))) * math.Sqrt(variance) / weights
}

// Read says what the windows so far tell at a level alpha in (0, 1), which is about the chance of ever telling a difference where there is
// none.
func (s *Means) Read(alpha float64) Reading {
	out := Reading{
		Effect: stat.Missing("no window in which both sides had values"), Decision: Undecided, Windows: s.windows, A: s.a, B: s.b,
		RateA: nil, RateB: nil, Difference: nil,
	}
	if s.windows == 0 {
		return out
	}
	d := s.weighted / s.weights
	out.Effect = stat.Estimate{Value: &d, Lower: nil, Upper: nil, PValue: nil, Reason: ""}
	switch {
	case min(s.a, s.b) < minMeans:
		out.Effect.Reason = fmt.Sprintf("each side needs %d values, one has %d", minMeans, min(s.a, s.b))
		return out
	case s.variance == 0:
		out.Effect.Reason = "nothing varies"
		return out
	}
	r := rate(s.planned)
	spread := 1 + float64(r*s.weights)
	evidence := float64(s.weighted/s.variance*s.weighted/2*(r*s.weights)/spread) - math.Log(spread)/2
	w := half(r, s.weights, s.variance, alpha)
	lower, upper := d-w, d+w
	out.Effect.Lower, out.Effect.Upper = &lower, &upper
	var p float64
	p, out.Decision = decide(evidence, alpha, d > 0)
	out.Effect.PValue = &p
	return out
}

// AppendBinary appends the canonical encoding of the state.
func (s *Means) AppendBinary(b []byte) []byte {
	b = append(b, version)
	for _, n := range []uint64{s.planned, s.windows, s.a, s.b} {
		b = wire.AppendUvarint(b, n)
	}
	for _, x := range []float64{s.weights, s.weighted, s.variance} {
		b = wire.AppendFloat(b, x+0) // no negative zero
	}
	return b
}

// DecodeMeans reads the state at the start of b and returns what follows it. Its errors wrap wire.ErrCorrupt.
func DecodeMeans(b []byte) (s *Means, rest []byte, err error) {
	r := wire.NewReader(b)
	s = NewMeans(1)
	if v := r.Byte(); v != version {
		r.Fail("version %d of a state, want %d", v, version)
	}
	for _, n := range []*uint64{&s.planned, &s.windows, &s.a, &s.b} {
		*n = r.Uvarint()
	}
	for _, x := range []*float64{&s.weights, &s.weighted, &s.variance} {
		*x = r.Finite()
	}
	if s.planned == 0 || s.windows > s.a/2 || s.windows > s.b/2 || s.weights < 0 || s.variance < 0 || (s.windows == 0) != (s.weights == 0) {
		r.Fail("counts that do not fit")
	}
	if err := r.Err(); err != nil {
		return nil, b, fmt.Errorf("reading a sequential test of means: %w", err)
	}
	return s, r.Rest(), nil
}
