package quality

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

func (c *Counts) evaluateRegression() []result.Metric {
	n := c.errors.N() + c.errors.Inf
	if c.errors.Inf > 0 {
		return overflown(n)
	}
	none := reasonNoRows
	if n > 0 {
		none = "every target is 0"
	}
	mse := c.meanSquare(n)
	out := []result.Metric{
		mean("mae", n, &c.absolute.Sum, &c.absolute.SumSquares, positive(), reasonNoRows),
		mse,
		root(mse),
		mean("bias", n, &c.errors.Sum, &c.errors.SumSquares, everything(), reasonNoRows),
		mean("mape", n-c.zero, &c.relative.sum, &c.relative.squares, positive(), none),
		c.r2(n),
	}
	for _, q := range errorQuantiles() {
		of := c.absolute
		if q.signed {
			of = c.errors
		}
		out = append(out, quantile(q.name, of, q.q))
	}
	return out
}

type errorQuantile struct {
	name   string
	q      float64
	signed bool
}

func errorQuantiles() []errorQuantile {
	return []errorQuantile{
		{"median_absolute_error", 0.5, false},
		{"p90_absolute_error", 0.9, false},
		{"p95_absolute_error", 0.95, false},
		{"p99_absolute_error", 0.99, false},
		{"max_error", 1, false},
		{"error_p05", 0.05, true},
		{"error_p50", 0.5, true},
		{"error_p95", 0.95, true},
	}
}

// AbsoluteError returns the moments of the absolute errors of a regression (divisor n - 1); false for a classification, and where they do not exist.
func (c *Counts) AbsoluteError() (n uint64, mean, variance float64, ok bool) {
	if c.spec.task != Regression || c.errors.Inf > 0 {
		return 0, 0, 0, false
	}
	n = c.errors.N()
	mean, variance, ok = exact.MeanVariance(&c.absolute.Sum, &c.absolute.SumSquares, n, 1)
	return n, mean, variance, ok
}

// overflown are the metrics of n rows one of which has an error beyond float64.
func overflown(n uint64) []result.Metric {
	names := []string{"mae", "mse", "rmse", "bias", "mape", "r2"}
	out := make([]result.Metric, 0, len(names)+len(errorQuantiles()))
	for _, name := range names {
		out = append(out, null(name, "", n, reasonOverflow))
	}
	for _, q := range errorQuantiles() {
		out = append(out, null(q.name, "", n, reasonOverflow))
	}
	return out
}

// meanSquare is the mean of the squared errors.
func (c *Counts) meanSquare(n uint64) result.Metric {
	if n == 0 {
		return null("mse", "", n, reasonNoRows)
	}
	value, ok := exact.Mean(&c.errors.SumSquares, n)
	if !ok {
		return null("mse", "", n, reasonOverflow)
	}
	return metric("mse", "", n, value, normal(value, n, &c.square.sum, &c.square.squares), positive())
}

// root turns the mean square into its root, ends included.
func root(mse result.Metric) result.Metric {
	out := mse
	out.Name = "rmse"
	for _, x := range []**float64{&out.Value, &out.Lower, &out.Upper} {
		if *x != nil {
			r := math.Sqrt(**x)
			*x = &r
		}
	}
	return out
}

// farCenter is how many standard deviations the targets' mean may be from the Spec's center before the sums of the interval of R²
// cancel too much to mean anything.
const farCenter = 1000

// r2 is 1 - SSE/SST. The interval is by the delta method: with the mean square A of the errors and the variance B of the targets, row i moves
// R² by -(eᵢ² - A)/B + A((tᵢ - t̄)² - B)/B².
func (c *Counts) r2(n uint64) result.Metric {
	switch {
	case n == 0:
		return null("r2", "", n, reasonNoRows)
	case n == 1 || exact.AllEqual(&c.target.sum, &c.target.squares, n):
		return null("r2", "", n, "all targets are equal")
	}
	a, ok := exact.Mean(&c.errors.SumSquares, n)
	_, b, known := exact.MeanVariance(&c.target.sum, &c.target.squares, n, 0)
	range1 := stat.Interval{Lower: math.Inf(-1), Upper: 1}
	switch {
	case !ok || !known:
		return null("r2", "", n, reasonOverflow)
	case a == 0: // also where the squares vanish below the smallest float64
		return metric("r2", "", n, 1, unknown(), range1)
	case b == 0:
		return null("r2", "", n, "the targets' variance is too small for a float64")
	}
	interval := unknown()
	if v, ok := c.r2Variance(n, a, b); ok {
		half := stat.Z95 * math.Sqrt(v/float64(n))
		interval = stat.Interval{Lower: 1 - a/b - half, Upper: 1 - a/b + half}
	}
	return metric("r2", "", n, 1-a/b, interval, range1)
}

func (c *Counts) r2Variance(n uint64, a, b float64) (float64, bool) {
	z := &c.centered
	var m [7]float64
	for i, sum := range []*exact.Sum{&z.u, &z.u2, &z.u3, &z.u4, &z.e2u, &z.e2u2, &c.square.squares} {
		mean, ok := exact.Mean(sum, n)
		if !ok {
			return 0, false
		}
		m[i] = mean
	}
	d := m[0]
	if d*d > farCenter*farCenter*b {
		return 0, false
	}
	e4 := m[6]
	u4 := m[3] - 4*d*m[2] + 6*d*d*m[1] - 3*d*d*d*d
	e2u2 := m[5] - 2*d*m[4] + d*d*a
	v := (e4-a*a)/(b*b) + a*a*(u4-b*b)/(b*b*b*b) - 2*a*(e2u2-a*b)/(b*b*b)
	return max(v, 0), finite(v)
}

// quantile is a quantile of the errors by linear interpolation, enclosed by the cells. The interval is that of the order statistics: the
// ranks nq ± z√(nq(1-q)); the largest error has none.
func quantile(name string, of *cells.Counts, q float64) result.Metric {
	n := of.N()
	value, least, most, ok := of.Quantile(q)
	if !ok {
		return null(name, "", n, reasonNoRows)
	}
	interval := unknown()
	if q > 0 && q < 1 {
		half := stat.Z95 * math.Sqrt(q*(1-q)/float64(n))
		_, lower, _, _ := of.Quantile(max(q-half, 0))
		_, _, upper, _ := of.Quantile(min(q+half, 1))
		interval = stat.Interval{Lower: lower, Upper: upper}
	}
	m := metric(name, "", n, value, interval, everything())
	if m.Value != nil && least < most {
		m.Least, m.Most = &least, &most
	}
	return m
}
