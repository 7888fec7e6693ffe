package alerting

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/driftd/driftd/result"
)

// observation is what one window says to one rule about one feature, or about the model. A window that cannot judge gives
// none: missing data is not an all-clear.
type observation struct {
	segment   string
	feature   string
	role      result.Role
	hit       bool // the condition holds
	clear     bool // the value is below the clear threshold; neither is possible
	value     float64
	threshold float64
	unit      string
	reasons   []string
}

// observe returns what a result says to the rule, given what the rule remembers. It is one of as many results as the rule looks at in
// this window: what chance explains is shared among them (Bonferroni).
func (b *Book) observe(r *Rule, past []Point, sum *result.Summary, features []result.Feature, results int) []observation {
	switch r.Kind {
	case KindFeatureDrift:
		return r.drift(result.RoleFeature, features, results)
	case KindPredictionDrift:
		return r.drift(result.RolePrediction, features, results)
	case KindDriftShare:
		return r.share(sum, features)
	case KindMissingValues, KindInvalidValues, KindUnseenValues, KindOutOfRange:
		return r.rates(features, results)
	case KindLatency:
		return r.latency(sum)
	case KindLatencyBound:
		return r.latencyBound(sum)
	case KindErrorRate:
		return r.errorRate(sum)
	case KindLatencySLO, KindErrorSLO:
		return r.budget(past, sum)
	case KindThroughputDrop:
		return r.throughput(past, sum)
	case KindLoss:
		return r.loss(sum)
	case KindCondition:
		return r.condition(b.condition(r.When), sum, features)
	case KindNoData, KindQuality, KindLabelCoverage, KindFairness, KindChangePoint: // decided by the watermark, by documents of quality, and over time
	}
	return nil
}

// drift holds where a feature's effect reaches its threshold of drift and chance does not explain it; its rates have rules of
// their own.
func (r *Rule) drift(role result.Role, features []result.Feature, results int) []observation {
	var out []observation
	for i := range features {
		f := &features[i]
		value, significant, ok := f.Gate()
		if f.Role != role || !r.wants(f.Feature) || !ok {
			continue // not meant, or nothing could be judged
		}
		if results > 1 && f.QValue != nil {
			significant = significant && *f.QValue*float64(results) <= f.Thresholds.Q
		}
		threshold := f.Thresholds.Drift
		if r.Threshold > 0 {
			threshold = r.Threshold
		}
		out = append(out, observation{
			segment: "", feature: f.Feature, role: f.Role, hit: significant && value >= threshold, clear: value < r.Clear*threshold,
			value: value, threshold: threshold, unit: f.Thresholds.Statistic, reasons: f.Reasons,
		})
	}
	return out
}

// drifted reports whether a feature drifted by its gate.
func drifted(f *result.Feature) bool {
	value, significant, ok := f.Gate()
	return ok && significant && value >= f.Thresholds.Drift
}

// share holds where the model's verdict is drift because of how many of its features drifted.
func (r *Rule) share(sum *result.Summary, features []result.Feature) []observation {
	if sum.DriftShare == nil {
		return nil
	}
	value, threshold := *sum.DriftShare, r.Threshold
	if threshold == 0 {
		threshold = 0.5
	}
	drifted, judged := 0, 0
	for i := range features {
		if features[i].Verdict != result.Insufficient {
			judged++
		}
		if features[i].Verdict == result.Drift {
			drifted++
		}
	}
	return []observation{{
		segment: "", feature: "", role: "", hit: value >= threshold && drifted > 1, clear: value < r.Clear*threshold, value: value, threshold: threshold,
		unit: "share of features", reasons: []string{fmt.Sprintf("%d of %d judged features drifted: %s", drifted, judged, percent(value))},
	}}
}

// rateOf maps a kind to its statistic, and says what the rate is a rate of.
func rateOf(k Kind) (statistic, is string) {
	switch k { //nolint:exhaustive // the kinds of rates
	case KindInvalidValues:
		return "invalid_rate", "has a wrong type"
	case KindUnseenValues:
		return "other_rate", "is none of the reference's categories"
	case KindOutOfRange:
		return "out_of_range_rate", "is outside of the reference's range"
	}
	return "missing_rate", "is missing"
}

// rates holds where a rate rose by the threshold and chance does not explain it: p ≤ 0.01 over the number of features of all results
// (Bonferroni). Of values that are unseen or out of range it says nothing where the feature's drift says it already.
func (r *Rule) rates(features []result.Feature, results int) []observation {
	statistic, is := rateOf(r.Kind)
	var out []observation
	for i := range features {
		f := &features[i]
		s, ok := f.Statistics[statistic]
		before, known := rateBefore(f, r.Kind, s)
		if !r.wants(f.Feature) || !ok || s.Value == nil || s.PValue == nil || !known {
			continue
		}
		if (r.Kind == KindUnseenValues || r.Kind == KindOutOfRange) && drifted(f) {
			continue
		}
		rise := *s.Value - before
		out = append(out, observation{
			segment: "", feature: f.Feature, role: f.Role, hit: rise >= r.Threshold && *s.PValue <= 0.01/float64(len(features)*results),
			clear: rise < r.Clear*r.Threshold, value: rise, threshold: r.Threshold, unit: "rise of " + statistic,
			reasons: []string{fmt.Sprintf("%s %s in %s of the events, in the reference in %s", f.Feature, is, percent(*s.Value), percent(before))},
		})
	}
	return out
}

// rateBefore is what a rate is compared with: of missing and invalid values the reference's own, of the others what the result
// says, since a reference shows 0 of them by construction.
func rateBefore(f *result.Feature, k Kind, s result.Stat) (rate float64, ok bool) {
	rows := f.Reference.Count + f.Reference.Missing + f.Reference.Invalid + f.Reference.Inf
	switch {
	case s.Baseline != nil:
		return *s.Baseline, true
	case rows == 0:
		return 0, false
	case k == KindMissingValues:
		return float64(f.Reference.Missing) / float64(rows), true
	case k == KindInvalidValues:
		return float64(f.Reference.Invalid) / float64(rows), true
	}
	return 0, false
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
		segment: "", feature: "", role: "", hit: *ratio.Lower >= r.Threshold, clear: *ratio.Value < 1+r.Clear*(r.Threshold-1),
		value: *ratio.Value, threshold: r.Threshold, unit: "ratio to the reference",
		reasons: []string{fmt.Sprintf("latency %s is %.3g ms, in the reference %.3g ms: × %.2f (at least × %.2f)", name, *now, *then, *ratio.Value, *ratio.Lower)},
	}}
}

// minTail is how many latencies must lie beyond a quantile before it is held against a bound.
const minTail = 10

// latencyBound holds where a quantile is above the threshold, and enough values are beyond it to know.
func (r *Rule) latencyBound(sum *result.Summary) []observation {
	now := sum.Latency.Quantiles[r.Quantile]
	q, err := strconv.ParseFloat(r.Quantile, 64)
	if now == nil || err != nil || float64(sum.Latency.Count)*(1-q) < minTail {
		return nil
	}
	return []observation{{
		segment: "", feature: "", role: "", hit: *now >= r.Threshold, clear: *now < r.Clear*r.Threshold, value: *now, threshold: r.Threshold, unit: "ms",
		reasons: []string{fmt.Sprintf("latency %s is %.4g ms, the bound is %.4g ms", quantileName(r.Quantile), *now, r.Threshold)},
	}}
}

// errorRate holds where even the lower end of the rate's interval reaches the threshold.
func (r *Rule) errorRate(sum *result.Summary) []observation {
	n := sum.Counts.Events
	if n == 0 {
		return nil
	}
	// One failure of two is 50 %, and nothing to wake up for.
	enough := sum.Errors >= minFailed
	if r.Relative {
		c := &sum.ErrorChange
		if c.Value == nil || c.Lower == nil || c.Baseline == nil {
			return nil
		}
		return []observation{{
			segment: "", feature: "", role: "", hit: enough && *c.Lower >= r.Threshold, clear: *c.Value < r.Clear*r.Threshold, value: *c.Value, threshold: r.Threshold,
			unit: "share of events",
			reasons: []string{fmt.Sprintf("%d of %d events failed, %s where the reference has %s: %s more (at least %s)", sum.Errors, n,
				percent(float64(sum.Errors)/float64(n)), percent(*c.Baseline), percent(*c.Value), percent(max(0, *c.Lower)))},
		}}
	}
	rate := float64(sum.Errors) / float64(n)
	lower := wilsonLower(sum.Errors, n)
	return []observation{{
		segment: "", feature: "", role: "", hit: enough && lower >= r.Threshold, clear: rate < r.Clear*r.Threshold, value: rate, threshold: r.Threshold, unit: "share of events",
		reasons: []string{fmt.Sprintf("%d of %d events failed: %s (at least %s)", sum.Errors, n, percent(rate), percent(lower))},
	}}
}

// minFailed is how many events of a window must have failed at least.
const minFailed = 5

// wilsonZ is the one-sided 99.9 % quantile of the standard normal distribution (SciPy: norm.ppf(0.999)).
const wilsonZ = 3.090232306167813

// wilsonLower is the lower end of the score interval of a proportion, one-sided 99.9 % (Wilson, JASA 22, 1927).
func wilsonLower(k, n uint64) float64 {
	p, m := float64(k)/float64(n), float64(n)
	z2 := wilsonZ * wilsonZ
	return max(0, (p+z2/(2*m)-wilsonZ*math.Sqrt(p*(1-p)/m+z2/(4*m*m)))/(1+z2/m))
}

// budget holds where the error budget burns too quickly in both windows of a pair.
func (r *Rule) budget(past []Point, sum *result.Summary) []observation {
	point, ok := r.point(sum)
	if !ok {
		return nil
	}
	ratio, pair, share, ok := r.SLO.burn(append(slices.Clip(past), point), sum.Window.End)
	if !ok {
		return nil
	}
	what := "failed"
	if r.Kind == KindLatencySLO {
		what = fmt.Sprintf("took more than %.4g ms", r.SLO.Milliseconds)
	}
	return []observation{{
		segment: "", feature: "", role: "", hit: ratio >= 1, clear: ratio < 1, value: ratio * pair.Factor, threshold: pair.Factor, unit: "times the error budget",
		reasons: []string{fmt.Sprintf("%s of the events of the last %v %s, the objective allows %s: the budget burns %.3g times as fast as it may (bound %.3g)",
			percent(share), duration(pair.Long), what, percent(1-r.SLO.Objective), share/(1-r.SLO.Objective), pair.Factor)},
	}}
}

// point is what a rule remembers of a window; ok is false where it remembers nothing.
func (r *Rule) point(sum *result.Summary) (Point, bool) {
	p := Point{End: sum.Window.End, Total: sum.Counts.Events, Bad: sum.Errors}
	switch r.Kind { //nolint:exhaustive // the others remember nothing
	case KindErrorSLO, KindThroughputDrop:
		return p, true
	case KindLatencySLO:
		over, ok := sum.Latency.Over[OverKey(r.SLO.Milliseconds)]
		p.Total, p.Bad = sum.Latency.Count, over
		return p, ok
	}
	return p, false
}

// OverKey is the name under which a result says how many events took longer than some milliseconds.
func OverKey(ms float64) string { return strconv.FormatFloat(ms, 'g', -1, 64) }

// minUsual is how many events a window usually has where a drop can be told from chance.
const minUsual = 100

// baselineWindows is how many windows a drop of throughput is compared with at most.
const baselineWindows = 24

// throughput holds where a window has a tenth (the threshold says how much less) of the median of the windows before, by more
// than chance. Windows of a drop do not become part of what they are compared with, unless it lasts as long as that.
func (r *Rule) throughput(past []Point, sum *result.Summary) []observation {
	if len(past) < minThroughputN {
		return nil
	}
	counts := make([]uint64, 0, len(past))
	for _, p := range past {
		counts = append(counts, p.Total)
	}
	slices.Sort(counts)
	usual := float64(counts[len(counts)/2])
	now := float64(sum.Counts.Events)
	drop := max(0, 1-now/max(usual, 1))
	if usual < minUsual {
		drop = 0
	}
	// Poisson: the count that a rate would have to have to stay at the bound, by its normal approximation at three deviations.
	bound := (1 - r.Threshold) * usual
	return []observation{{
		segment: "", feature: "", role: "", hit: drop >= r.Threshold && now+3*math.Sqrt(max(now, 1)) < max(bound, 10)+3*math.Sqrt(max(bound, 10)),
		clear: drop < r.Clear*r.Threshold, value: drop, threshold: r.Threshold, unit: "drop of the events",
		reasons: []string{fmt.Sprintf("%d events, usual are %.0f (median of the %d windows before): %s less", sum.Counts.Events, usual, len(past), percent(drop))},
	}}
}

// loss holds where input of the window was lost.
func (r *Rule) loss(sum *result.Summary) []observation {
	return []observation{{
		segment: "", feature: "", role: "", hit: !sum.Complete, clear: sum.Complete, value: float64(sum.Lost), threshold: max(1, r.Threshold), unit: "messages",
		reasons: []string{fmt.Sprintf("%d messages of the input were lost before they were counted: the window is incomplete", sum.Lost)},
	}}
}

// condition holds where the user's expression says so.
func (r *Rule) condition(c *Condition, sum *result.Summary, features []result.Feature) []observation {
	if c == nil {
		return nil
	}
	holds, err := c.Holds(factsOf(sum, features))
	if err != nil {
		return nil
	}
	value, says := 0.0, "the condition does not hold: "
	if holds {
		value, says = 1, "the condition holds: "
	}
	return []observation{{
		segment: "", feature: "", role: "", hit: holds, clear: !holds, value: value, threshold: 1, unit: "condition", reasons: []string{says + r.When},
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
