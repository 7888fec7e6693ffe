package compare

import (
	"fmt"
	"slices"

	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/internal/stat/ab"
	"github.com/driftd/driftd/internal/stat/sequential"
	"github.com/driftd/driftd/result"
)

// Side is what a version was in a window.
type Side struct {
	Events, Errors uint64
	Latency        *cells.Histogram
}

// At says which window of which model it is.
type At struct {
	Model       string
	Window      result.Window
	Every       int64
	Ref         *result.ReferenceID
	Fingerprint string
}

// Window is what both versions were in a window: in its final result, revision 0.
type Window struct {
	At

	Complete            bool
	Baseline, Candidate Side
	Other               uint64 // events of versions beyond the bound, which may be the candidate's

	// The candidate against the baseline, judged; nil: nothing could be compared, and Why says so.
	Inputs, Predictions []result.Feature
	Why                 string

	Latency result.Latency // of the candidate, against the baseline

	Pairs   *Pairs   // shadow: nil where nothing is joined
	Classes []string // of the pairs
}

// Truth is what labels say of a version in a window.
type Truth struct {
	Labels uint64
	Wrong  sequential.Arm     // of the guarded metric: failures among its trials
	Off    sequential.Moments // absolute errors of a regression
}

// Matured is the quality of both versions in a window, at the last maturity.
type Matured struct {
	At

	Maturity            int64
	Baseline, Candidate Truth
	Difference          []result.Metric
}

// minQuantile is how many latencies of the baseline say what is slow in the next window.
const minQuantile = 20

// Step looks at the next window and returns the state after it, with what there is to say.
func (s *State) Step(c *Config, w *Window) (*State, *result.Comparison) {
	out := s.begin(c, w.Window.Start)
	a, b := &w.Baseline, &w.Candidate
	out.readings++
	out.seen++
	out.events[0] += a.Events
	out.events[1] += b.Events
	was := out.both
	out.both, out.gone = a.Events > 0 && b.Events > 0, b.Events == 0
	if was && out.both { // the first window may have begun before the candidate did
		out.splitA += a.Events
		out.splitB += b.Events
	}
	if out.both {
		out.windows++
		out.baseline = arm{out.baseline.Events + a.Events, out.baseline.Errors + a.Errors}
		out.candidate = arm{out.candidate.Events + b.Events, out.candidate.Errors + b.Errors}
		out.errors.Add(sequential.Arm{Successes: a.Errors, Trials: a.Events}, sequential.Arm{Successes: b.Errors, Trials: b.Events})
	}
	out.stepLatency(c, a.Latency, b.Latency)
	if f := mean(w.Predictions); f != nil {
		out.scores.Add(moments(&f.Reference), moments(&f.Current))
	}
	if judged, differ := count(w.Inputs); judged > 0 {
		out.differ = differ
	}
	if w.Pairs != nil {
		if out.pairs == nil || out.pairs.classes != w.Pairs.classes {
			out.pairs = NewPairs(w.Pairs.classes) // a changed list of classes begins anew
		}
		out.pairs.Merge(w.Pairs)
	}
	doc := out.document(c, &w.At, 0)
	doc.Complete = w.Complete
	doc.Now = out.now(c, w)
	if n := a.Events + b.Events; n > 0 {
		share := float64(b.Events) / float64(n)
		doc.Split.Share = &share
	}
	if c.Mode == Shadow {
		doc.Shadow = out.shadow(c, w.Pairs, w.Classes)
	}
	if !w.Complete {
		doc.Notes = append(doc.Notes, "incomplete: input of the window was lost, and whose it was cannot be known")
	}
	if b.Events == 0 && w.Other > 0 {
		doc.Notes = append(doc.Notes, fmt.Sprintf("other: %d events of the window are of versions beyond limits.max_versions, and may be the candidate's", w.Other))
	}
	out.decide(c, doc)
	return out, doc
}

// Mature looks at the quality of a window and returns the state after it, with what there is to say.
func (s *State) Mature(c *Config, m *Matured) (*State, *result.Comparison) {
	out := s.begin(c, m.Window.Start)
	a, b := &m.Baseline, &m.Candidate
	out.readings++
	if a.Labels > 0 && b.Labels > 0 {
		out.matured++
		out.labels[0] += a.Labels
		out.labels[1] += b.Labels
		out.wrong.Add(a.Wrong, b.Wrong)
		out.off.Add(a.Off, b.Off)
		if a.Off.Count > 0 && b.Off.Count > 0 {
			out.meanOff[0] += float64(float64(a.Off.Count) * a.Off.Mean)
			out.meanOff[1] += float64(float64(b.Off.Count) * b.Off.Mean)
		}
	}
	doc := out.document(c, &m.At, m.Maturity)
	doc.Complete = true
	doc.Quality = &result.QualityCompare{BaselineLabels: a.Labels, CandidateLabels: b.Labels, Difference: m.Difference}
	if c.Mode == Shadow {
		doc.Shadow = out.shadow(c, nil, nil)
	}
	out.decide(c, doc)
	return out, doc
}

// Stale reports whether quality of a window is of before the comparison began, so that it says nothing of it.
func (s *State) Stale(c *Config, start int64) bool {
	return s.identity != c.identity() || start < s.since
}

// stepLatency compares the shares of requests that are slow: of the baseline's those above its quantile in the last window, of the candidate's those above
// the margin times as much. What is slow was known before the window, so that the shares are compared as any two are.
func (s *State) stepLatency(c *Config, a, b *cells.Histogram) {
	if a == nil || b == nil {
		return
	}
	s.latency[0] += a.Count()
	s.latency[1] += b.Count()
	if s.slowAt > 0 {
		s.slow.Add(sequential.Arm{Successes: a.CountAbove(s.slowAt), Trials: a.Count()},
			sequential.Arm{Successes: b.CountAbove(s.slowAt * c.LatencyMargin), Trials: b.Count()})
	}
	if q, ok := a.Quantile(c.Quantile); ok && a.Count() >= minQuantile && q > 0 {
		s.slowAt = q
	}
}

// document returns what is said whatever the window is.
func (s *State) document(c *Config, at *At, maturity int64) *result.Comparison {
	key := result.Key{Model: at.Model, Version: c.Candidate, Segment: result.All}
	doc := &result.Comparison{
		Schema: result.SchemaVersion, Type: "verdict", ResultID: result.ComparisonID(key, c.Name, at.Window, at.Every, at.Fingerprint, maturity),
		Key: key, Compare: c.Name, Mode: c.Mode, Baseline: c.Baseline, Candidate: c.Candidate, Window: at.Window, Maturity: maturity, Reading: s.readings, Since: s.since,
		Windows: s.windows, Complete: true, Ref: at.Ref, Verdict: result.Hold, Reasons: []string{}, Notes: []string{},
		Total: result.Sides{
			Baseline: s.baseline.Events, Candidate: s.candidate.Events, BaselineErrors: s.baseline.Errors, CandidateErrors: s.candidate.Errors,
		},
		Guards: []result.Guard{}, Split: s.split(c), Now: nil, Quality: nil, Shadow: nil,
	}
	for _, g := range c.Guards {
		switch g {
		case ErrorRate:
			doc.Guards = append(doc.Guards, s.guardErrors(c))
		case Latency:
			doc.Guards = append(doc.Guards, s.guardLatency(c))
		case Quality:
			doc.Guards = append(doc.Guards, s.guardQuality(c))
		}
	}
	return doc
}

// splitLevel is the level at which a split is not as configured: small, since nothing is told then.
const splitLevel = 0.001

func (s *State) split(c *Config) result.Split {
	out := result.Split{Expected: nil, Share: nil, Total: nil, ChiSq: nil, PValue: nil, Anytime: nil, Mismatch: false}
	n := s.splitA + s.splitB
	if n == 0 {
		return out
	}
	total := float64(s.splitB) / float64(n)
	out.Total = &total
	if c.Share == 0 {
		return out
	}
	expected := c.Share
	out.Expected = &expected
	if r, err := ab.SampleRatio([]uint64{s.splitA, s.splitB}, []float64{1 - c.Share, c.Share}); err == nil {
		out.ChiSq, out.PValue = r.ChiSquare, r.PValue
	}
	p := sequential.Split(s.splitA, s.splitB, c.Share)
	out.Anytime, out.Mismatch = &p, p <= splitLevel
	return out
}

// now compares the sides of one window.
func (s *State) now(c *Config, w *Window) *result.SideBySide {
	a, b := &w.Baseline, &w.Candidate
	out := &result.SideBySide{
		Events:    result.Sides{Baseline: a.Events, Candidate: b.Events, BaselineErrors: a.Errors, CandidateErrors: b.Errors},
		ErrorRate: estimate(ab.CompareProportions(ab.Arm{Successes: a.Errors, Trials: a.Events}, ab.Arm{Successes: b.Errors, Trials: b.Events}, level).Difference),
		Latency:   w.Latency, MeanMS: none("a version has no latencies"), Inputs: differing(w.Inputs), Predictions: differing(w.Predictions), Why: w.Why,
		Score: none("predictions are no numbers, or are not compared"), ScoreTotal: none("predictions are no numbers, or are not compared"),
	}
	if f := mean(w.Predictions); f != nil {
		x, y := moments(&f.Reference), moments(&f.Current)
		out.Score = estimate(ab.CompareMeans(ab.Moments(x), ab.Moments(y), level).Difference)
		out.ScoreTotal = estimate(s.scores.Read(c.Alpha).Effect)
	}
	if a.Latency != nil && b.Latency != nil {
		x, ok1 := a.Latency.Mean()
		y, ok2 := b.Latency.Mean()
		if ok1 && ok2 {
			out.MeanMS = value(y - x)
		}
	}
	return out
}

// mean returns the numeric prediction whose means are compared, or nil.
func mean(predictions []result.Feature) *result.Feature {
	for i := range predictions {
		f := &predictions[i]
		if f.Reference.Mean != nil && f.Reference.Std != nil && f.Current.Mean != nil && f.Current.Std != nil {
			return f
		}
	}
	return nil
}

func moments(s *result.Side) sequential.Moments {
	return sequential.Moments{Count: s.Count, Mean: *s.Mean, Variance: *s.Std * *s.Std}
}

// count returns how many columns could be judged, and how many of them differ.
func count(fs []result.Feature) (judged, differ int) {
	for i := range fs {
		if fs[i].Verdict == result.Insufficient {
			continue
		}
		if judged++; fs[i].Verdict == result.Drift {
			differ++
		}
	}
	return judged, differ
}

// maxTop bounds the columns that are named.
const maxTop = 10

// differing names the columns that are distributed differently, the furthest first.
func differing(fs []result.Feature) *result.Differing {
	if fs == nil {
		return nil
	}
	out := &result.Differing{Compared: 0, Differ: 0, Share: nil, Top: []result.Differs{}}
	if out.Compared, out.Differ = count(fs); out.Compared > 0 {
		share := float64(out.Differ) / float64(out.Compared)
		out.Share = &share
	}
	far := func(f *result.Feature) float64 {
		v, _, ok := f.Gate()
		if !ok {
			return -1
		}
		return v / max(f.Thresholds.Drift, 1e-300)
	}
	order := make([]int, len(fs))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		switch x, y := far(&fs[i]), far(&fs[j]); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	for _, i := range order[:min(maxTop, len(order))] {
		f := &fs[i]
		out.Top = append(out.Top, result.Differs{
			Feature: f.Feature, Verdict: f.Verdict, Statistic: f.Thresholds.Statistic, Value: f.Statistics[f.Thresholds.Statistic].Value, Reasons: f.Reasons,
		})
	}
	return out
}

func (s *State) shadow(c *Config, window *Pairs, classes []string) *result.Shadow {
	if window == nil {
		window = NewPairs(0)
	}
	total := s.pairs
	if total == nil {
		total = NewPairs(0)
	}
	return &result.Shadow{Window: window.describe(classes, c.Tolerance), Total: total.describe(classes, c.Tolerance)}
}
