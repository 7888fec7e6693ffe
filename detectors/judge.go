package detectors

import (
	"math"
	"slices"

	"github.com/driftd/driftd/internal/stat"
	"github.com/driftd/driftd/result"
)

// Judge gives the verdicts of all features of one model in one window, and of the model. It fills the q-value, the verdict and the
// reasons of every element of fs from its statistics; a second call gives the same.
//
// A feature drifts (warns) when its gate (Thresholds.Statistic) reaches its threshold and the q-value of the gate's own p-value over the
// model's features is at most its Thresholds.Q, or when one of its rates moved by the configured share with such a q-value among the rates,
// which are a family of their own. Its distribution is insufficient below NMin values; its rates are judged by rules of their own (see
// judgeRates): a feature that is missing altogether is not stable. A model drifts when cfg.DriftShare of its judged features do, by their
// weights, or a part of its prediction does; it warns when any drifts or warns; it is insufficient when none could be judged.
//
// The share is that of judged features by weight, predictions not counted; nil when no feature with a weight was judged.
func Judge(fs []result.Feature, cfg Config) (verdict result.Verdict, share *float64, reasons []string) {
	qValues(fs, cfg.FDR)
	rates := judgeRates(fs, cfg)
	for i := range fs {
		f := &fs[i]
		f.Verdict, f.Reasons = judgeDistribution(f)
		if r := rates[i]; r.verdict != result.Stable {
			if f.Verdict == result.Stable || f.Verdict == result.Insufficient {
				f.Reasons = slices.Concat(r.reasons, f.Seen) // what is wrong comes first, and alone
			} else {
				f.Reasons = append(f.Reasons, r.reasons...)
			}
			f.Verdict = worse(f.Verdict, r.verdict)
		}
	}
	return judgeModel(fs, cfg.DriftShare)
}

// minOdd is how many events must be missing, new and so on, more or fewer than the reference's rate lets expect, before a rate is judged: below, one
// odd event would be a large share of a small window.
const minOdd = 5

// rateStrictness divides the q-value that a rate needs: a distribution is protected by n_min as well, a rate by its test alone, and at the default of
// 0.01 chance then moves some rate of a model in at most one of 2,500 windows.
const rateStrictness = 25

// adjust corrects a family of p-values for its size.
func adjust(p []float64, fdr string) []float64 {
	if fdr == FDRBenjaminiYekutieli {
		return stat.BenjaminiYekutieli(p)
	}
	return stat.BenjaminiHochberg(p)
}

// qValues corrects the gates' p-values over the features that can be judged.
func qValues(fs []result.Feature, fdr string) {
	var at []int
	var p []float64
	for i := range fs {
		fs[i].QValue = nil
		if _, ok := judgeable(&fs[i]); ok && !fs[i].Thresholds.EffectOnly {
			at, p = append(at, i), append(p, *fs[i].Statistics[fs[i].Thresholds.Statistic].PValue)
		}
	}
	for k, q := range adjust(p, fdr) {
		fs[at[k]].QValue = &q
	}
}

// judgeDistribution judges a feature by its gate.
func judgeDistribution(f *result.Feature) (result.Verdict, []string) {
	effect, ok := judgeable(f)
	if !ok {
		return result.Insufficient, []string{insufficientReason(f)}
	}
	v := effectVerdict(effect, f.Thresholds.Warning, f.Thresholds.Drift)
	if v != result.Stable && (f.Thresholds.EffectOnly || *f.QValue <= f.Thresholds.Q) {
		return v, slices.Concat([]string{effectReason(f, effect, v)}, f.Seen, movedReasons(f))
	}
	return result.Stable, []string{stableReason(f, effect)}
}

// rateFinding is what the rates of one feature say.
type rateFinding struct {
	verdict result.Verdict
	reasons []string
}

// judgeRates judges the rates of every feature, as one family. A rate needs no n_min: its test is exact in small windows. It needs minOdd odd
// events, and that the share moved by as much as is configured.
func judgeRates(fs []result.Feature, cfg Config) []rateFinding {
	type test struct {
		feature int
		name    string
		rule    RateRule
	}
	rates := slices.DeleteFunc(Builtin(), func(s Spec) bool { return s.Rate == NotARate })
	tests, p := make([]test, 0, len(rates)*len(fs)), make([]float64, 0, len(rates)*len(fs))
	for i := range fs {
		if fs[i].Reference.Count == 0 {
			continue // a column that the reference knows by its name only
		}
		for _, s := range rates { // not the map: its order is random
			st, ok := fs[i].Statistics[s.Name]
			if !ok || st.Value == nil || st.PValue == nil || st.Baseline == nil {
				continue
			}
			tests = append(tests, test{i, s.Name, s.Rate})
			p = append(p, *st.PValue)
		}
	}
	out := make([]rateFinding, len(fs))
	for i := range out {
		out[i].verdict = result.Stable
	}
	for k, q := range adjust(p, cfg.FDR) {
		t := tests[k]
		f := &fs[t.feature]
		st := f.Statistics[t.name]
		change := *st.Value - *st.Baseline
		if t.rule == RateChange {
			change = math.Abs(change)
		}
		if change*rowsOf(f, t.name) < minOdd {
			continue
		}
		v := effectVerdict(change, f.Thresholds.RateWarning, f.Thresholds.RateDrift)
		if v == result.Stable || q > f.Thresholds.Q/rateStrictness {
			continue
		}
		out[t.feature].verdict = worse(out[t.feature].verdict, v)
		out[t.feature].reasons = append(out[t.feature].reasons, rateReason(t.name, st, q))
	}
	return out
}

// rowsOf is what a rate of the window is a share of.
func rowsOf(f *result.Feature, name string) float64 {
	c := f.Current
	if name == "other_rate" || name == "out_of_range_rate" {
		return float64(c.Count)
	}
	return float64(c.Count + c.Missing + c.Invalid + c.Inf)
}

// worse returns the worse of two verdicts; anything known is worse than insufficient.
func worse(a, b result.Verdict) result.Verdict {
	if severity(b) > severity(a) {
		return b
	}
	return a
}

func severity(v result.Verdict) int {
	switch v {
	case result.Drift:
		return 3
	case result.Warning:
		return 2
	case result.Stable:
		return 1
	case result.Insufficient:
	}
	return 0
}

// judgeModel sums the verdicts of the features up.
func judgeModel(fs []result.Feature, driftShare float64) (result.Verdict, *float64, []string) {
	var t tally
	for i := range fs {
		t.add(&fs[i])
	}
	var share *float64
	if t.weight > 0 {
		s := t.driftingWeight / t.weight
		share = &s
	}
	verdict := result.Stable
	switch {
	case t.judged+t.judgedPredictions == 0:
		verdict = result.Insufficient
	case len(t.driftingPredictions) > 0 || (share != nil && t.driftingWeight > 0 && *share >= driftShare):
		verdict = result.Drift
	case len(t.drifting)+len(t.warning) > 0:
		verdict = result.Warning
	}
	return verdict, share, t.reasons(verdict, share, driftShare)
}

// tally counts the verdicts of a model.
type tally struct {
	judged, judgedPredictions     int
	weight, driftingWeight        float64 // of features
	drifting, driftingPredictions []string
	warning                       []string // features and predictions
	insufficient                  []string
}

func (t *tally) add(f *result.Feature) {
	prediction := f.Role == result.RolePrediction
	if f.Verdict == result.Insufficient {
		t.insufficient = append(t.insufficient, f.Feature)
		return
	}
	if prediction {
		t.judgedPredictions++
	} else {
		t.judged++
		t.weight += f.Weight
		if f.Verdict == result.Drift {
			t.driftingWeight += f.Weight
		}
	}
	switch {
	case f.Verdict == result.Drift && prediction && f.Weight == 0: // told, but the model's verdict does not depend on it
		t.warning = append(t.warning, f.Feature)
	case f.Verdict == result.Drift && prediction:
		t.driftingPredictions = append(t.driftingPredictions, f.Feature)
	case f.Verdict == result.Drift:
		t.drifting = append(t.drifting, f.Feature)
	case f.Verdict == result.Warning:
		t.warning = append(t.warning, f.Feature)
	}
}
