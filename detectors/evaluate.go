package detectors

import (
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/exact"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// gate is the statistic that verdicts of a feature's distribution are taken by; its p-value is corrected by Judge.
const gate = "psi_debiased"

// Evaluate computes every statistic of a feature in one window. The verdict that it sets is provisional: what the effect alone says;
// Judge corrects for the number of features and gives the reasons. f and cur are not changed.
func Evaluate(f *reference.Feature, cur *cells.Counts, cfg Config) result.Feature {
	in := NewInput(f, cur, cfg)
	kind := f.Space.Kind()
	out := result.Feature{
		Feature: f.Name, Role: f.Role, Kind: kind.String(),
		Reference: Describe(in.Ref), Current: Describe(in.Cur),
		Statistics: map[string]result.Stat{}, Bins: in.Bins, QValue: nil,
		NMin: MinimumN(occupiedBins(in.RefBins), in.M(), cfg.Warning),
		Thresholds: result.Thresholds{
			Statistic: gate, Warning: cfg.Warning, Drift: cfg.Drift, RateWarning: cfg.RateWarning, RateDrift: cfg.RateDrift,
		},
		Verdict: result.Insufficient, Reasons: []string{},
	}
	if out.Bins == nil {
		out.Bins = []result.Bin{}
	}
	for _, s := range Builtin() {
		if s.AppliesTo(kind) {
			out.Statistics[s.Name] = existing(s.Compute(in))
		}
	}
	if enoughValues(&out) {
		out.Verdict = effectVerdict(*out.Statistics[gate].Value, cfg.Warning, cfg.Drift)
	}
	return out
}

// Describe summarises the counts of one side. Mean and standard deviation (n-1) come from exact sums; they, the extremes and the
// median are null where they do not exist: no values, a categorical feature, one value (std), an overflow, a range that
// subtraction made unknown.
func Describe(c *cells.Counts) result.Side {
	side := result.Side{
		Count: c.N(), Missing: c.Missing, Invalid: c.Invalid, Inf: c.Inf,
		Mean: nil, Std: nil, Min: nil, Max: nil, Median: nil,
	}
	if c.Space().Kind() != cells.Numeric {
		return side
	}
	side.Mean = number(exact.Mean(&c.Sum, c.N()))
	if _, variance, ok := exact.MeanVariance(&c.Sum, &c.SumSquares, c.N(), 1); ok {
		side.Std = number(math.Sqrt(variance), true)
	}
	side.Min, side.Max = number(c.Min()), number(c.Max())
	median, _, _, ok := c.Quantile(0.5)
	side.Median = number(median, ok)
	return side
}

// number returns a number that exists, or nil.
func number(x float64, ok bool) *float64 {
	if !ok || math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// effectVerdict says what an effect of this size is, before chance is considered.
func effectVerdict(effect, warning, drift float64) result.Verdict {
	switch {
	case effect >= drift:
		return result.Drift
	case effect >= warning:
		return result.Warning
	}
	return result.Stable
}
