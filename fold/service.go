package fold

import (
	"fmt"
	"math"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// serviceLevel is the confidence of every interval about the service: one window of 1,000 is outside by chance.
const serviceLevel = 0.999

// shareOf is k of n events with Wilson's interval.
func shareOf(k, n uint64) result.Stat {
	i, ok := stat.Wilson(k, n, serviceLevel)
	if !ok {
		return noStat("no events")
	}
	v := float64(k) / float64(n)
	return result.Stat{Value: &v, PValue: nil, Lower: &i.Lower, Upper: &i.Upper, Baseline: nil, Reason: ""}
}

// errorChange is the window's error rate less the reference's, with Newcombe's interval and the p-value of two proportions.
func errorChange(failed, events uint64, ref *reference.Reference) result.Stat {
	if ref == nil || ref.Errors == nil {
		return noStat("the reference has no status")
	}
	was := ref.Errors
	i, ok := stat.Newcombe(was.Failed, was.Rows, failed, events, serviceLevel)
	if !ok {
		return noStat("no events")
	}
	rate := float64(was.Failed) / float64(was.Rows)
	d := float64(failed)/float64(events) - rate
	out := result.Stat{Value: &d, PValue: nil, Lower: &i.Lower, Upper: &i.Upper, Baseline: &rate, Reason: ""}
	if p, ok := stat.TwoProportions(was.Failed, was.Rows, failed, events); ok {
		out.PValue = &p
	}
	return out
}

func noStat(reason string) result.Stat {
	return result.Stat{Value: nil, PValue: nil, Lower: nil, Upper: nil, Baseline: nil, Reason: reason}
}

// statusShares is the share of each response status.
func statusShares(status map[string]uint64, events uint64) map[string]result.Stat {
	out := make(map[string]result.Stat, len(status))
	for s, n := range status {
		out[s] = shareOf(n, events)
	}
	return out
}

// slower is the probability that an event of the window took longer than one of the reference, equal ones counted half: Mann and Whitney's
// U over the number of pairs. What is equal is what shares a bucket of the histograms; the bounds are for every order inside of them. The
// p-value is that of the values rounded to buckets, a test in its own right, with the correction for ties.
func slower(cur *cells.Histogram, ref *reference.Reference) result.Stat {
	switch {
	case ref == nil || ref.Latency == nil || ref.Latency.Count() == 0:
		return noStat("the reference has no latencies")
	case cur.Count() == 0:
		return noStat("the window has no latencies")
	}
	n, m := cur.Count(), ref.Latency.Count()
	all := float64(n) * float64(m)
	pairs := cur.Pairs(ref.Latency)
	u := pairs.Longer + pairs.Same/2
	p, _ := stat.MannWhitneyPValue(math.Abs(u-all/2), pairs.Ties, m, n) // both have values
	value, lower, upper, even := u/all, pairs.Longer/all, min(1, (pairs.Longer+pairs.Same)/all), 0.5
	return result.Stat{Value: &value, PValue: &p, Lower: &lower, Upper: &upper, Baseline: &even, Reason: ""}
}

// covered is how much event time a stored reference was counted in, milliseconds: its panes with rows, else its span; 0 without times.
func covered(ref *reference.Reference) int64 {
	if len(ref.Panes) > 0 {
		return ref.Pane * int64(len(ref.Panes))
	}
	return ref.End - ref.Start
}

// throughputRatio is the window's rate of events over the reference's, with the interval of two Poisson counts: given their sum the first
// is binomial, and Wilson's interval of its share becomes one of the ratio. Events that come in bursts make it too narrow.
func throughputRatio(events uint64, length int64, base baseline, config ModelConfig, version string) result.Stat {
	ref, span := base.ref, base.span
	var rows uint64
	switch {
	case ref == nil:
		return noStat("there is no reference")
	case version != result.All && (config.Rolling == nil || config.Rolling.Version == ""):
		return noStat("the reference does not tell versions apart")
	case span > 0:
		rows = ref.Rows
	default:
		if span = covered(ref); span == 0 {
			return noStat("the reference's rows have no times")
		}
		if len(ref.Panes) == 0 {
			rows = ref.Rows
		}
		for _, p := range ref.Panes { // not those without a time
			rows += p.Rows
		}
	}
	share, ok := stat.Wilson(events, events+rows, serviceLevel)
	if !ok || rows == 0 {
		return noStat("the reference has no rows with a time")
	}
	scale := float64(span) / float64(length)
	v := float64(events) / float64(rows) * scale
	lower, upper := share.Lower/(1-share.Lower)*scale, share.Upper/(1-share.Upper)*scale // below 1: rows are above 0
	if math.IsInf(upper, 0) {
		return noStat(fmt.Sprintf("%d events of the window are too many against %d rows", events, rows))
	}
	return result.Stat{Value: &v, PValue: nil, Lower: &lower, Upper: &upper, Baseline: nil, Reason: ""}
}
