package compare

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/driftd/driftd/internal/stat/sequential"
	"github.com/driftd/driftd/result"
)

// guard returns a guard that says nothing yet.
func guard(metric string, margin float64, n, m uint64, why string) result.Guard {
	return result.Guard{
		Metric: metric, State: result.GuardNoData, Margin: margin, Baseline: nil, Candidate: nil, N: n, M: m, Difference: none(why), SlowerThan: nil,
	}
}

// worseLevel is the level at which one guard may say that the candidate is worse: all of them together say so wrongly with the chance alpha.
func (c *Config) worseLevel() float64 { return c.Alpha / float64(len(c.Guards)) }

// settle says what the difference shows: worse where all of what is not refuted is above the margin, not worse where all of it is below.
func settle(g *result.Guard, margin float64) {
	d := &g.Difference
	switch {
	case d.Lower != nil && *d.Lower >= margin:
		g.State = result.GuardWorse
	case d.Upper != nil && *d.Upper < 0:
		g.State = result.GuardBetter
	case d.Upper != nil && *d.Upper <= margin && margin > 0:
		g.State = result.GuardNotWorse
	default:
		g.State = result.GuardUndecided
	}
}

// shares lets a test of two shares, of which the larger one is worse, speak. It returns what is told of the difference at alpha.
func (c *Config) shares(g *result.Guard, p *sequential.Proportions) sequential.Gap {
	r := p.Read(c.Alpha)
	g.Baseline, g.Candidate, g.N, g.M = r.RateA, r.RateB, r.A, r.B
	worse, fine := p.Gap(c.worseLevel(), c.planned()), p.Gap(c.Alpha, c.planned())
	g.Difference = result.Stat{Value: fine.Value, PValue: r.Effect.PValue, Lower: worse.Least, Upper: fine.Upper, Baseline: nil, Reason: fine.Reason}
	return fine
}

func (s *State) guardErrors(c *Config) result.Guard {
	g := guard(ErrorRate, c.ErrorMargin, s.baseline.Events, s.candidate.Events, "no window in which both versions had events")
	if s.windows > 0 {
		c.shares(&g, &s.errors)
		settle(&g, c.ErrorMargin)
	}
	return g
}

// guardLatency decides by the odds ratio alone: the margin is in what is counted as slow.
func (s *State) guardLatency(c *Config) result.Guard {
	g := guard(Latency, c.LatencyMargin, s.latency[0], s.latency[1], "no two windows in which both versions had latencies")
	if s.slowAt > 0 {
		at := s.slowAt
		g.SlowerThan = &at
	}
	if s.slow.Read(c.Alpha).Windows == 0 {
		return g
	}
	fine := c.shares(&g, &s.slow)
	g.Difference.Upper, g.Difference.Reason = fine.Most, ""
	if settle(&g, 0); g.State == result.GuardBetter {
		g.State = result.GuardNotWorse // than the margin
	}
	return g
}

func (s *State) guardQuality(c *Config) result.Guard {
	g := guard(c.QualityMetric, c.QualityMargin, s.labels[0], s.labels[1], "no window whose labels of both versions matured")
	switch {
	case s.matured == 0:
	case c.QualityMetric == MAE:
		worse, fine := s.off.Read(c.worseLevel()), s.off.Read(c.Alpha)
		g.N, g.M = fine.A, fine.B
		if fine.Windows == 0 {
			break
		}
		x, y := s.meanOff[0]/float64(fine.A), s.meanOff[1]/float64(fine.B)
		g.Baseline, g.Candidate = &x, &y
		g.Difference = estimate(fine.Effect)
		g.Difference.Lower = worse.Effect.Lower
		settle(&g, c.QualityMargin*x)
	default:
		if s.wrong.Read(c.Alpha).Windows > 0 {
			c.shares(&g, &s.wrong)
			settle(&g, c.QualityMargin)
		}
	}
	return g
}

// decide gives the verdict of a document and why.
func (s *State) decide(c *Config, doc *result.Comparison) {
	if s.worse == "" {
		var worse []string
		for i := range doc.Guards {
			if g := &doc.Guards[i]; g.State == result.GuardWorse {
				worse = append(worse, c.say(g))
			}
		}
		if s.worse = strings.Join(worse, "; "); s.worse != "" {
			doc.Verdict, doc.Reasons = result.RollBack, worse
		}
	} else {
		doc.Verdict, doc.Reasons = result.RollBack, []string{s.worse}
		doc.Notes = append(doc.Notes, "stays: what was shown once is not taken back; a comparison of another name or version begins anew")
	}
	held := s.holds(c, doc)
	switch {
	case doc.Verdict == result.RollBack:
		doc.Notes = append(held, doc.Notes...)
	case len(held) > 0:
		doc.Reasons = held
	default:
		doc.Verdict = result.Promote
		for i := range doc.Guards {
			doc.Reasons = append(doc.Reasons, c.say(&doc.Guards[i]))
		}
	}
}

// holds returns what keeps a candidate from being promoted, what is wrong with the comparison itself first.
func (s *State) holds(c *Config, doc *result.Comparison) []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case s.windows == 0 && s.events == [2]uint64{}:
		add("no_events: neither version %s nor %s has had an event since %s", quote(c.Baseline), quote(c.Candidate), instant(s.since))
	case s.windows == 0 && s.events[1] == 0:
		add("no_candidate: version %s has not had an event since %s", quote(c.Candidate), instant(s.since))
	case s.windows == 0 && s.events[0] == 0:
		add("no_baseline: version %s has not had an event since %s", quote(c.Baseline), instant(s.since))
	case s.windows == 0:
		add("apart: the versions have not had events in the same window")
	case s.gone:
		add("gone: version %s had no events in the last window", quote(c.Candidate))
	}
	if doc.Split.Mismatch {
		add("sample_ratio_mismatch: %s has %s of the traffic and should have %s (p %s at any window): no difference means anything until the split is right",
			quote(c.Candidate), percent(*doc.Split.Total), percent(c.Share), digits(*doc.Split.Anytime))
	}
	if c.Mode == Shadow {
		s.shadowHolds(c, add)
	}
	if s.differ > 0 {
		add("inputs_differ: %d inputs are distributed differently in the two versions: they do not answer the same requests", s.differ)
	}
	if s.windows > 0 && s.windows < c.MinWindows {
		add("few_windows: both had events in %d windows, min_windows is %d", s.windows, c.MinWindows)
	}
	if n := min(s.baseline.Events, s.candidate.Events); s.windows > 0 && n < c.MinEvents {
		who := c.Candidate
		if s.baseline.Events < s.candidate.Events {
			who = c.Baseline
		}
		add("few_events: %s has had %d events in these windows, min_events is %d", quote(who), n, c.MinEvents)
	}
	for i := range doc.Guards {
		g := &doc.Guards[i]
		switch {
		case g.State == result.GuardNoData && g.Metric == Latency && s.latency == [2]uint64{}:
			doc.Notes = append(doc.Notes, "latency: the events have none, so that it does not decide")
		case g.State == result.GuardNoData || g.State == result.GuardUndecided:
			out = append(out, c.say(g))
		}
	}
	if len(out) > 0 && c.MaxWindows > 0 && s.windows >= c.MaxWindows {
		add("max_windows: %d windows have not decided: let a person decide, or widen the margins", s.windows)
	}
	return out
}

// shadowHolds says what is wrong with a shadow.
func (s *State) shadowHolds(c *Config, add func(format string, args ...any)) {
	p := s.pairs
	if p == nil || p.Baseline == 0 {
		add("no_pairs: no request of the baseline was seen by its id: events need ids, and labels.mode has to be sample or full")
		return
	}
	if answered := *p.answered(); answered < c.MinAnswered {
		add("shadow_answers: %s answers %s of the requests of %s (%d of %d), min_answered is %s", quote(c.Candidate), percent(answered), quote(c.Baseline),
			p.Both, p.Baseline, percent(c.MinAnswered))
	}
	if c.MinAgreement > 0 {
		equal, n, _ := p.agreement()
		switch {
		case n == 0:
			add("no_classes: min_agreement needs answers of both versions that are classes")
		case float64(equal)/float64(n) < c.MinAgreement:
			add("disagree: the versions agree on %s of %d requests, min_agreement is %s", percent(float64(equal)/float64(n)), n, percent(c.MinAgreement))
		}
	}
}

// say tells a guard with its numbers.
func (c *Config) say(g *result.Guard) string {
	d := &g.Difference
	if g.State == result.GuardNoData {
		return fmt.Sprintf("%s: no_data: %s", g.Metric, d.Reason)
	}
	where := fmt.Sprintf("%s, %s in %d, %s in %d", c.sides(g), quote(c.Baseline), g.N, quote(c.Candidate), g.M)
	bounds := fmt.Sprintf("difference %s in [%s, %s]", number(d.Value), number(d.Lower), number(d.Upper))
	var what string
	switch {
	case g.Metric == Latency && g.State == result.GuardWorse:
		what = fmt.Sprintf("slower than %s times the baseline", digits(g.Margin))
	case g.Metric == Latency && g.State == result.GuardUndecided:
		what = fmt.Sprintf("neither shown to be slower than %s times the baseline nor not to be", digits(g.Margin))
	case g.Metric == Latency:
		what = fmt.Sprintf("not slower than %s times the baseline", digits(g.Margin))
	case g.State == result.GuardWorse:
		what = "worse by more than " + c.margin(g)
	case g.State == result.GuardBetter:
		what = "better"
	case g.State == result.GuardNotWorse:
		what = "not worse by " + c.margin(g)
	default:
		what = "neither shown to be worse by " + c.margin(g) + " nor not to be"
	}
	if d.Reason != "" && g.State == result.GuardUndecided {
		bounds += " (" + d.Reason + ")"
	}
	return fmt.Sprintf("%s: %s: %s; %s", g.Metric, what, where, bounds)
}

func (*Config) margin(g *result.Guard) string {
	if g.Metric == MAE {
		return percent(g.Margin) + " of the baseline's"
	}
	return digits(g.Margin)
}

// sides names what the guard compares.
func (c *Config) sides(g *result.Guard) string {
	what := map[string]string{
		ErrorRate: "errors", Latency: "slow requests", Accuracy: "wrong answers", Recall: "missed positives", Precision: "false ones among positives",
		Specificity: "false alarms", MAE: "mean absolute error",
	}[g.Metric]
	share := percent
	if g.Metric == MAE {
		share = digits
	}
	if g.Baseline == nil || g.Candidate == nil {
		return what
	}
	return what + " " + share(*g.Baseline) + " and " + share(*g.Candidate)
}

func quote(s string) string { return strconv.Quote(s) }

func instant(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

func number(x *float64) string {
	if x == nil {
		return "…"
	}
	return digits(*x)
}

func digits(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) }

func percent(x float64) string { return strconv.FormatFloat(100*x, 'g', 4, 64) + " %" }

// Guarded reports whether a metric decides.
func (c *Config) Guarded(metric string) bool { return slices.Contains(c.Guards, metric) }
