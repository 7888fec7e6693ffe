package alerting

import (
	"fmt"
	"math"
	"strconv"

	"github.com/driftd/driftd/result"
)

// observation is what one window says to one rule about one subject. A window that cannot judge gives none: missing data is
// not an all-clear.
type observation struct {
	feature   string
	role      result.Role
	hit       bool // the condition holds
	clear     bool // the value is below the clear threshold; neither is possible
	value     float64
	threshold float64
	unit      string
	what      string // for the title: "feature origin drift"
	reasons   []string
}

// observe returns what a result says to the rule.
func (r *Rule) observe(sum *result.Summary, features []result.Feature) []observation {
	switch r.Kind {
	case KindFeatureDrift:
		return r.drift(features)
	case KindMissingValues:
		return r.missing(features)
	case KindLatency:
		return r.latency(sum)
	}
	return nil
}

// drift holds where a feature's verdict is drift by its gating statistic; a drift of its rates has rules of its own.
func (r *Rule) drift(features []result.Feature) []observation {
	var out []observation
	for i := range features {
		f := &features[i]
		gate, ok := f.Statistics[f.Thresholds.Statistic]
		if !ok || gate.Value == nil || f.QValue == nil {
			continue // nothing could be judged
		}
		threshold := f.Thresholds.Drift
		if r.Threshold > 0 {
			threshold = r.Threshold
		}
		value := *gate.Value
		out = append(out, observation{
			feature: f.Feature, role: f.Role, hit: *f.QValue <= f.Thresholds.Q && value >= threshold, clear: value < r.Clear*threshold,
			value: value, threshold: threshold, unit: f.Thresholds.Statistic, what: named(f.Role, f.Feature) + " drift", reasons: f.Reasons,
		})
	}
	return out
}

// missing holds where the share of missing values rose by the threshold and chance does not explain it: p ≤ 0.01 over the
// number of features (Bonferroni).
func (r *Rule) missing(features []result.Feature) []observation {
	var out []observation
	for i := range features {
		f := &features[i]
		s, ok := f.Statistics["missing_rate"]
		rows := f.Reference.Count + f.Reference.Missing + f.Reference.Invalid + f.Reference.Inf
		if !ok || s.Value == nil || s.PValue == nil || rows == 0 {
			continue
		}
		before := float64(f.Reference.Missing) / float64(rows)
		rise := *s.Value - before
		out = append(out, observation{
			feature: f.Feature, role: f.Role, hit: rise >= r.Threshold && *s.PValue <= 0.01/float64(len(features)),
			clear: rise < r.Clear*r.Threshold, value: rise, threshold: r.Threshold, unit: "rise of missing_rate", what: named(f.Role, f.Feature) + " missing values",
			reasons: []string{fmt.Sprintf("%s is missing in %s of the events, in the reference in %s", f.Feature, percent(*s.Value), percent(before))},
		})
	}
	return out
}

// latency holds where even the lower end of the ratio's interval reaches the threshold.
func (r *Rule) latency(sum *result.Summary) []observation {
	ratio, ok := sum.Latency.Ratio[r.Quantile]
	now, then := sum.Latency.Quantiles[r.Quantile], sum.Latency.Reference[r.Quantile]
	if !ok || ratio.Value == nil || ratio.Lower == nil || now == nil || then == nil {
		return nil
	}
	name := quantileName(r.Quantile)
	return []observation{{
		feature: "", role: "", hit: *ratio.Lower >= r.Threshold, clear: *ratio.Value < 1+r.Clear*(r.Threshold-1),
		value: *ratio.Value, threshold: r.Threshold, unit: "ratio to the reference", what: "latency " + name,
		reasons: []string{fmt.Sprintf("latency %s is %.3g ms, in the reference %.3g ms: × %.2f (at least × %.2f)", name, *now, *then, *ratio.Value, *ratio.Lower)},
	}}
}

// quantileName returns "p95" for "0.95".
func quantileName(quantile string) string {
	q, err := strconv.ParseFloat(quantile, 64)
	if err != nil {
		return "quantile " + quantile
	}
	return "p" + strconv.FormatFloat(math.Round(q*1e6)/1e4, 'f', -1, 64)
}

func named(role result.Role, feature string) string {
	if role == result.RolePrediction {
		return feature
	}
	return "feature " + feature
}

func percent(x float64) string { return strconv.FormatFloat(100*x, 'f', 1, 64) + " %" }
