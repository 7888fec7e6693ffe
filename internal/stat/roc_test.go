package stat_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/driftd/driftd/internal/stat"
)

// The variance is DeLong's by its definition over all pairs, the value and its bounds are those of the best, the worst and the tied order of
// the rows inside the groups.
func TestROCAndAveragePrecisionByDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 1))
	for range 300 {
		groups := make([]stat.ScoreGroup, 1+r.IntN(6))
		for i := range groups {
			groups[i] = stat.ScoreGroup{Negative: uint64(r.IntN(4)), Positive: uint64(r.IntN(4)), Tied: r.IntN(2) == 0}
		}
		var positive, negative []float64 // scores: the number of the group
		for i, g := range groups {
			for range g.Negative {
				negative = append(negative, float64(i))
			}
			for range g.Positive {
				positive = append(positive, float64(i))
			}
		}
		roc, ok := stat.NewROC(groups)
		if ok != (len(positive) > 0 && len(negative) > 0) {
			t.Fatalf("%v: ok = %t", groups, ok)
		}
		ap, n, apOK := stat.AveragePrecision(groups)
		if apOK != (len(positive) > 0) || n != uint64(len(positive)) {
			t.Fatalf("%v: average precision of %d positives, ok = %t", groups, n, apOK)
		}
		if apOK {
			near(t, "average precision", ap.Value, averagePrecision(positive, negative))
		}
		if !ok {
			continue
		}
		value, variance := deLong(positive, negative)
		near(t, "area", roc.Value, value)
		near(t, "variance", roc.Variance, variance)
		least, most, apLeast, apMost := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
		for range 60 { // random orders, and ties, inside the groups that are not tied
			spread := func(xs []float64, at float64) []float64 {
				out := make([]float64, len(xs))
				for i, x := range xs {
					if out[i] = x; !groups[int(x)].Tied {
						out[i] += at + float64(r.IntN(4))/10
					}
				}
				return out
			}
			for _, at := range [][2]float64{{0, 0}, {0.5, 0}, {0, 0.5}} {
				p, q := spread(positive, at[0]), spread(negative, at[1])
				v, _ := deLong(p, q)
				least, most = min(least, v), max(most, v)
				v = averagePrecision(p, q)
				apLeast, apMost = min(apLeast, v), max(apMost, v)
			}
		}
		near(t, "least area", roc.Least, least)
		near(t, "largest area", roc.Most, most)
		if ap.Least > apLeast+1e-12 || ap.Most < apMost-1e-12 || ap.Least > ap.Value || ap.Most < ap.Value {
			t.Fatalf("%v: average precision %v, random orders give [%v, %v]", groups, ap, apLeast, apMost)
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-12 {
		t.Fatalf("%s = %v, want %v", what, got, want)
	}
}

// deLong is the area and its variance by the definition: the mean of the kernel over all pairs, and the sample variances of its means over
// rows and over columns.
func deLong(positive, negative []float64) (area, variance float64) {
	kernel := func(x, y float64) float64 {
		switch {
		case x > y:
			return 1
		case x == y:
			return 0.5
		}
		return 0
	}
	component := func(a, b []float64, k func(x, y float64) float64) (mean, spread float64) {
		means := make([]float64, len(a))
		for i, x := range a {
			for _, y := range b {
				means[i] += k(x, y) / float64(len(b))
			}
			mean += means[i] / float64(len(a))
		}
		if len(a) < 2 {
			return mean, 0
		}
		for _, m := range means {
			spread += (m - mean) * (m - mean) / float64(len(a)-1)
		}
		return mean, spread / float64(len(a))
	}
	area, s10 := component(positive, negative, kernel)
	_, s01 := component(negative, positive, func(y, x float64) float64 { return kernel(x, y) })
	return area, s10 + s01
}

// averagePrecision is Σ (Rₖ - Rₖ₋₁)Pₖ over the distinct scores: of each positive, the precision at its score.
func averagePrecision(positive, negative []float64) (sum float64) {
	for _, x := range positive {
		tp, fp := 0.0, 0.0
		for _, y := range positive {
			if y >= x {
				tp++
			}
		}
		for _, y := range negative {
			if y >= x {
				fp++
			}
		}
		sum += tp / (tp + fp) / float64(len(positive))
	}
	return sum
}

// The interval of a separated sample is not of width 0: its end θ solves (1-θ)² = z²V(θ) with Hanley and McNeil's variance, worked out
// for n₀ = n₁ = 10: V = θ(1-θ)(1 + 9((1-θ)/(2-θ) + θ/(1+θ)))/100.
func TestROCIntervalOfSeparatedClasses(t *testing.T) {
	roc, ok := stat.NewROC([]stat.ScoreGroup{{Negative: 10, Tied: true}, {Positive: 10, Tied: true}})
	if !ok || roc.Value != 1 || roc.Variance != 0 {
		t.Fatalf("%+v", roc)
	}
	got := roc.Interval()
	theta := got.Lower
	v := theta * (1 - theta) * (1 + 9*((1-theta)/(2-theta)+theta/(1+theta))) / 100
	if got.Upper != 1 || math.Abs((1-theta)*(1-theta)-stat.Z95*stat.Z95*v) > 1e-12 || theta < 0.7 {
		t.Errorf("%v", got)
	}
	if got, ok := stat.NewROC([]stat.ScoreGroup{{Positive: 1, Negative: 1, Tied: true}}); !ok || got.Interval().Lower < 0 || got.Interval().Upper > 1 {
		t.Errorf("one row a class: %v", got.Interval())
	}
}

// Of a table of two classes the coefficient is Pearson's correlation of label and prediction, worked out by hand for 6 1 / 2 3:
// (3·6 - 1·2)/√(7·5·8·4) = 16/√1120.
func TestMatthews(t *testing.T) {
	table := []uint64{6, 1, 2, 3}
	got, ok := stat.Matthews(table, 2)
	if !ok || math.Abs(got-16/math.Sqrt(1120)) > 1e-15 {
		t.Errorf("got %v", got)
	}
	if i, ok := stat.MatthewsInterval(table, 2); !ok || i.Lower > got || i.Upper < got || i.Lower < -1 || i.Upper > 1 {
		t.Errorf("interval %v of %v", i, got)
	}
	if i, ok := stat.MatthewsInterval([]uint64{50, 0, 0, 50}, 2); !ok || !(i.Lower < 0.98) || !(i.Lower > 0.8) {
		t.Errorf("a perfect table has the interval %v", i)
	}
	for _, table := range [][]uint64{{0, 0, 0, 0}, {5, 0, 0, 0}, {5, 5, 0, 0}, {5, 0, 5, 0}} {
		if m, ok := stat.Matthews(table, 2); ok {
			t.Errorf("%v has the coefficient %v", table, m)
		}
	}
}

// Of two rates with Wilson's intervals it is Newcombe's interval of their difference, which has golden numbers of its own.
func TestMoverIsNewcombe(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 2))
	for range 200 {
		n1, n2 := 1+r.Uint64N(300), 1+r.Uint64N(300)
		k1, k2 := r.Uint64N(n1+1), r.Uint64N(n2+1)
		w1, _ := stat.Wilson(k1, n1, 0.95)
		w2, _ := stat.Wilson(k2, n2, 0.95)
		got := stat.Mover([]float64{1, -1}, []float64{float64(k2) / float64(n2), float64(k1) / float64(n1)}, []stat.Interval{w2, w1}).Within(-1, 1)
		want, _ := stat.Newcombe(k1, n1, k2, n2, 0.95)
		near(t, "lower end", got.Lower, want.Lower)
		near(t, "upper end", got.Upper, want.Upper)
	}
}
