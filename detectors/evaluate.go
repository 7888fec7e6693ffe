package detectors

import (
	"github.com/driftd/driftd/cells"
	"github.com/driftd/driftd/reference"
	"github.com/driftd/driftd/result"
)

// gate is the statistic that verdicts of a feature's distribution are taken by; its p-value is corrected by Judge.
const gate = "psi_debiased"

// Evaluate computes the configured statistics of a feature in one window; those that verdicts need are always among them. The verdict that it sets is provisional: what the effect alone says;
// Judge corrects for the number of features and gives the reasons. f and cur are not changed.
func Evaluate(f *reference.Feature, cur *cells.Counts, cfg Config) result.Feature {
	in := NewInput(f, cur, cfg)
	kind := f.Space.Kind()
	out := result.Feature{
		Feature: f.Name, Role: f.Role, Kind: kind.String(),
		Reference: reference.Describe(in.Ref), Current: reference.Describe(in.Cur),
		Statistics: map[string]result.Stat{}, Bins: in.Bins, QValue: nil,
		NMin: MinimumN(occupiedBins(in.RefBins), in.M(), cfg.Warning),
		Thresholds: result.Thresholds{
			Statistic: gate, Warning: cfg.Warning, Drift: cfg.Drift, Q: cfg.Q, RateWarning: cfg.RateWarning, RateDrift: cfg.RateDrift,
		},
		Verdict: result.Insufficient, Reasons: []string{},
	}
	if in.sweep != nil {
		out.Reference.Median, out.Current.Median = in.sweep.refMiddle.value(in.Ref), in.sweep.curMiddle.value(in.Cur)
	}
	if out.Bins == nil {
		out.Bins = []result.Bin{}
	}
	for _, s := range Builtin() {
		if s.AppliesTo(kind) && cfg.wants(s) {
			out.Statistics[s.Name] = existing(s.Compute(in))
		}
	}
	if enoughValues(&out) {
		out.Verdict = effectVerdict(*out.Statistics[gate].Value, cfg.Warning, cfg.Drift)
	}
	return out
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
